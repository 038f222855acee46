"""Signatures beside files: of this very file, of its kind, from whom and for whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from verifier import signed_file
from verifier.errors import Code, RequestRejected
from verifier.signatures import jws, strict_json
from verifier.signatures.jws import Algorithm, SigningKey

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)


def signing_key(kid: str) -> SigningKey:
    return SigningKey(kid, Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


KEY, OTHER = signing_key("record-1"), signing_key("record-2")
KEYS = [OTHER.verification_key, KEY.verification_key]
CONTENT = b'{"index":0}\n{"next":0}\n'
EXPECTED = {"kind": "feed", "issuer": "https://test.invalid", "audience": "bureau", "name": "feed.ndjson"}


def made(content: bytes = CONTENT, key: SigningKey = KEY, **changes: Any) -> str:
    members = {**EXPECTED, "jti": "j-1", "at": NOW, "adds": {"after": -1, "next": 0}, **changes}
    return signed_file.make(signed_file.contents([content]), key, **members)


def checked(token: str, content: bytes = CONTENT, **changes: Any) -> dict[str, Any]:
    return signed_file.check(token, signed_file.contents([content]), KEYS, **{**EXPECTED, **changes})


def test_a_signature_says_all_of_its_file() -> None:
    claims = checked(made())
    assert {name: claims[name] for name in ("iss", "aud", "iat", "jti", "kind", "name", "after", "next")} == {
        "iss": "https://test.invalid",
        "aud": "bureau",
        "iat": 1625112000,
        "jti": "j-1",
        "kind": "feed",
        "name": "feed.ndjson",
        "after": -1,
        "next": 0,
    }
    assert claims["size"] == len(CONTENT)
    assert signed_file.check(made(), signed_file.contents([CONTENT]), KEYS) == claims


def test_a_file_for_nobody_in_particular_names_nobody() -> None:
    assert "aud" not in checked(made(audience=""), audience="")


@given(st.binary(max_size=50), st.data())
def test_no_other_content_passes(content: bytes, data: st.DataObject) -> None:
    other = data.draw(st.binary(max_size=50).filter(lambda raw: raw != content))
    with pytest.raises(RequestRejected) as refused:
        checked(made(content), other)
    assert refused.value.code is Code.SIGNED_FILE_REFUSED


@given(st.lists(st.binary(max_size=9)))
def test_how_a_file_is_read_in_pieces_does_not_matter(pieces: list[bytes]) -> None:
    assert signed_file.contents(pieces) == signed_file.contents([b"".join(pieces)])


@pytest.mark.parametrize("member", list(EXPECTED))
def test_what_was_expected_otherwise_is_refused(member: str) -> None:
    changes: dict[str, Any] = {member: "other"}
    with pytest.raises(RequestRejected) as refused:
        checked(made(), **changes)
    assert refused.value.pointer == {"issuer": "iss", "audience": "aud"}.get(member, member)


def claims(**changes: Any) -> bytes:
    found = signed_file.contents([CONTENT])
    members: dict[str, Any] = {
        "iss": EXPECTED["issuer"],
        "aud": "bureau",
        "iat": 1,
        "jti": "j",
        "kind": "feed",
        "name": "feed.ndjson",
        "sha256": found.sha256,
        "size": found.size,
        **changes,
    }
    return strict_json.canonical({k: v for k, v in members.items() if v is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"iat": None},
        {"iat": "1"},
        {"iat": True},
        {"jti": None},
        {"jti": 1},
        {"iss": None},
        {"aud": ["bureau"]},
        {"aud": None},
        {"kind": None},
        {"size": True},
        {"size": str(len(CONTENT))},
        {"sha256": None},
    ],
)
def test_claims_that_are_missing_or_of_another_type_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RequestRejected):
        checked(jws.sign_compact(claims(**changes), KEY, typ=signed_file.TYP))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "x" * 9000,
        jws.sign_compact(claims(), KEY, typ="dc+sd-jwt"),
        jws.sign_compact(claims(), signing_key("record-1"), typ=signed_file.TYP),
        jws.sign_compact(claims(), signing_key("unknown"), typ=signed_file.TYP),
        jws.sign_compact(b"[]", KEY, typ=signed_file.TYP),
        jws.sign_compact(b"{", KEY, typ=signed_file.TYP),
    ],
    ids=["empty", "garbled", "long", "typ", "other-key", "unknown-key", "list", "not-json"],
)
def test_what_is_no_signature_of_a_file_is_refused(token: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        checked(token)
    assert refused.value.code is Code.SIGNED_FILE_REFUSED


def test_a_text_is_known_for_a_files_signature_by_its_type() -> None:
    assert signed_file.is_signature(made())
    assert not signed_file.is_signature(jws.sign_compact(b"{}", KEY, typ="dc+sd-jwt"))
    assert not signed_file.is_signature("a.b.c")


def test_what_a_kind_adds_replaces_nothing() -> None:
    with pytest.raises(ValueError, match="may not be set"):
        made(adds={"sha256": "0"})
