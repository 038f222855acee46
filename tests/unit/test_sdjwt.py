"""Selective disclosure: RFC 9901's figures, another implementation, and what must be refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey
from sd_jwt import verifier as other_verifier
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer

from verifier.errors import SignatureRejected
from verifier.signatures import sdjwt, strict_json
from verifier.signatures.sdjwt import Disclosure

KEY = ECKey.generate_key("P-256")
JWS = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
CLAIMS: dict[str, Any] = {
    "iss": "https://bureau.example",
    "vct": "https://bureau.example/training-record",
    "outcome": "granted",
    "status": {"status_list": {"idx": 7, "uri": "https://bureau.example/status-lists/1"}},
}
NAME = Disclosure("c2FsdC1vZi1uYW1lLTE2Yg", "name", "欧阳测试")
NUMBER = Disclosure("c2FsdC1vZi1udW1iZXItMQ", "id_number", "99990119900101001X")
EMPLOYER = Disclosure("c2FsdC1vZi1lbXBsb3llci0", "employer", {"uscc": "91", "name": "测试公司"})
ALL = [NAME, NUMBER, EMPLOYER]
FULL = {**CLAIMS, **{item.name: item.value for item in ALL}}


def counting(size: int) -> bytes:
    """Randomness that can be foreseen, and asked for its length."""
    return bytes(range(size))


def encoded(content: Any, **options: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content, **options).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def sign(payload: dict[str, Any]) -> str:
    return jws.serialize_compact({"alg": "ES256", "typ": "dc+sd-jwt"}, json.dumps(payload), KEY)


def refused(step: str, call: Any, *args: Any, **options: Any) -> bool:
    with pytest.raises(SignatureRejected) as caught:
        call(*args, **options)
    return caught.value.step == step


# The figures of RFC 9901


@pytest.mark.parametrize(
    ("disclosure", "reference", "content"),
    [
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0",
            Disclosure("_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"),
        ),
        (
            "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
            "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
            Disclosure("2GLC42sKQveCfGfryNRN9w", "given_name", "John"),
        ),
        (
            "WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd",
            "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo",
            Disclosure("eluV5Og3gSNII8EYnsxA_A", "family_name", "Doe"),
        ),
        (
            "WyI2SWo3dE0tYTVpVlBHYm9TNXRtdlZBIiwgImVtYWlsIiwgImpvaG5kb2VAZXhhbXBsZS5jb20iXQ",
            "JzYjH4svliH0R3PyEMfeZu6Jt69u5qehZo7F7EPYlSE",
            Disclosure("6Ij7tM-a5iVPGboS5tmvVA", "email", "johndoe@example.com"),
        ),
    ],
)
def test_the_disclosures_and_digests_published_in_the_rfc_are_ours(
    disclosure: str, reference: str, content: Disclosure
) -> None:
    assert sdjwt.digest(disclosure) == reference
    assert sdjwt.parse_disclosure(disclosure) == content
    assert sdjwt.disclosed({"_sd": [reference]}, [disclosure]) == {content.name: content.value}


def test_the_spellings_that_the_rfc_calls_equal_are_read_equal() -> None:
    content = Disclosure("_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius")
    no_space = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWlseV9uYW1lIiwiTcO2Yml1cyJd"
    for spelling in (
        no_space,
        "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNXHUwMGY2Yml1cyJd",
        "WwoiXzI2YmM0TFQtYWM2cTJLSTZjQlc1ZXMiLAoiZmFtaWx5X25hbWUiLAoiTcO2Yml1cyIKXQ",
    ):
        assert sdjwt.parse_disclosure(spelling) == content
    assert content.encoded == no_space


def test_the_array_element_of_the_rfc_is_outside_the_flat_form() -> None:
    element = "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0"
    assert sdjwt.digest(element) == "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs"
    assert refused("disclosure", sdjwt.disclosed, {"_sd": [sdjwt.digest(element)]}, [element])


# Issuing


def test_a_new_disclosure_has_128_bits_of_salt() -> None:
    assert sdjwt.new_disclosure("name", "欧阳测试", counting) == Disclosure(
        "AAECAwQFBgcICQoLDA0ODw", "name", "欧阳测试"
    )


def test_the_payload_holds_sorted_digests_and_no_hidden_claim() -> None:
    decoy = sdjwt.decoy(counting)
    payload = sdjwt.payload_with(CLAIMS, ALL, decoys=[decoy])
    assert payload["_sd"] == sorted([*(sdjwt.digest(item.encoded) for item in ALL), decoy])
    assert {name: value for name, value in payload.items() if name not in {"_sd", "_sd_alg"}} == CLAIMS
    assert payload["_sd_alg"] == "sha-256"
    assert "欧阳" not in json.dumps(payload, ensure_ascii=False)


def test_a_payload_without_anything_to_hide_is_left_as_it_is() -> None:
    assert sdjwt.payload_with(CLAIMS, []) == CLAIMS


def test_a_disclosure_shows_neither_salt_nor_value_in_messages() -> None:
    assert repr(NAME) == "Disclosure(name='name')"


@pytest.mark.parametrize(
    ("claims", "disclosures", "decoys"),
    [
        ({"_sd": []}, [], []),
        ({"_sd_alg": "sha-256"}, [], []),
        ({"...": "x"}, [], []),
        ({"nested": {"_sd": []}}, [], []),
        ({"nested": [{"...": "x"}]}, [], []),
        ({"nested": ({"_sd_alg": "x"},)}, [], []),
        ({}, [Disclosure("s", "_sd", 1)], []),
        ({}, [Disclosure("s", "...", 1)], []),
        ({}, [Disclosure("s", "_sd_alg", 1)], []),
        ({}, [Disclosure("s", "status", {})], []),
        ({}, [Disclosure("s", "exp", 1)], []),
        ({}, [Disclosure("s", "x", {"a": [{"...": "y"}]})], []),
        ({}, [Disclosure("s", "x", float("nan"))], []),
        ({}, [Disclosure("s", "x", b"bytes")], []),
        ({}, [Disclosure("s", "x", "\ud800")], []),
        ({}, [Disclosure("s", "x", "y" * 8192)], []),
        ({"name": "visible"}, [NAME], []),
        ({}, [NAME, NAME], []),
        ({}, [NAME, Disclosure("other salt", "name", "other")], []),
        ({}, [NAME], [sdjwt.digest(NAME.encoded)]),
    ],
)
def test_a_payload_that_would_be_refused_is_not_made(
    claims: dict[str, Any], disclosures: list[Disclosure], decoys: list[str]
) -> None:
    assert refused("disclosure", sdjwt.payload_with, claims, disclosures, decoys=decoys)
    if not decoys:
        assert refused("disclosure", sdjwt.issue, claims, disclosures)


@pytest.mark.parametrize("disclosures", [[], [NAME], ALL, [Disclosure("s", "x", "tab\tand …")]])
@pytest.mark.parametrize("extra", [{}, {"said": '"_sd" and "..."'}, {"said": "..."}, {"nested": [{"sd": 1}]}])
def test_what_is_issued_is_the_payload_in_its_one_form(
    disclosures: list[Disclosure], extra: dict[str, Any]
) -> None:
    claims = {**CLAIMS, **extra}
    written, encoded = sdjwt.issue(claims, disclosures)
    assert written == strict_json.canonical(sdjwt.payload_with(claims, disclosures))
    assert encoded == [item.encoded for item in disclosures]
    assert sdjwt.disclosed(json.loads(written), encoded).keys() == claims.keys() | {
        item.name for item in disclosures
    }


# Composing, splitting, redacting


def test_an_sd_jwt_ends_in_a_tilde_and_is_split_as_it_was_composed() -> None:
    disclosures = [item.encoded for item in ALL]
    composed = sdjwt.compose(JWS, disclosures)
    assert composed == "~".join([JWS, *disclosures]) + "~"
    assert sdjwt.split(composed) == (JWS, disclosures)
    assert sdjwt.split(sdjwt.compose(JWS, [])) == (JWS, [])


@pytest.mark.parametrize(
    "sd_jwt",
    [
        "",
        "~",
        JWS,
        f"{JWS}~{NAME.encoded}",
        f"{JWS}~{NAME.encoded}~{JWS}",
        f"{JWS}~~",
        f"{JWS}~{NAME.encoded}~~",
        f"~{JWS}~",
        f"{JWS} ~",
        f"{JWS}~\n",
        f"{JWS}~{NAME.encoded}=~",
        f"{JWS}~{NAME.encoded}\n~",
        f"{JWS}~五~",
        f"{JWS}.x~",
        "a.b~",
        "a..c~",
        f"{JWS}~{NAME.encoded}~{NAME.encoded}~",
        f"{JWS}~{'A' * 8193}~",
        "".join([JWS, "~", *(f"{number}~" for number in range(65))]),
        f"{'a' * 65_536}.b.c~",
    ],
)
def test_anything_else_is_not_split(sd_jwt: str) -> None:
    assert refused("sd_jwt_malformed", sdjwt.split, sd_jwt)


def test_the_limits_themselves_are_allowed() -> None:
    jws_part, disclosures = sdjwt.split("".join([JWS, "~", *(f"{number}~" for number in range(64))]))
    assert (jws_part, len(disclosures)) == (JWS, 64)
    assert sdjwt.split(f"{JWS}~{'A' * 8192}~")[1] == ["A" * 8192]
    longest = "a" * (65_536 - len(".b.c~")) + ".b.c~"
    assert sdjwt.split(longest)[0] == longest[:-1]


def test_what_cannot_be_split_is_not_composed() -> None:
    assert refused("sd_jwt_malformed", sdjwt.compose, JWS, [""])
    assert refused("sd_jwt_malformed", sdjwt.compose, f"{JWS}~x", ["with=padding"])


@given(st.sets(st.sampled_from(["name", "id_number", "employer", "unknown"])))
def test_redaction_keeps_exactly_the_claims_named(keep: set[str]) -> None:
    payload = sdjwt.payload_with(CLAIMS, ALL)
    whole = sdjwt.compose(JWS, [item.encoded for item in ALL])
    jws_part, disclosures = sdjwt.split(sdjwt.redact(whole, keep))
    assert jws_part == JWS
    expected = {**CLAIMS, **{item.name: item.value for item in ALL if item.name in keep}}
    assert sdjwt.disclosed(payload, disclosures) == expected


def test_redaction_of_a_malformed_disclosure_is_refused() -> None:
    assert refused("disclosure", sdjwt.redact, f"{JWS}~{encoded('text')}~", ["name"])
    assert refused("sd_jwt_malformed", sdjwt.redact, JWS, [])


# Verifying


def test_the_hidden_claims_come_back_and_the_digests_do_not() -> None:
    payload = sdjwt.payload_with(CLAIMS, ALL, decoys=[sdjwt.decoy(counting)])
    assert sdjwt.disclosed(payload, [item.encoded for item in ALL]) == FULL
    assert sdjwt.disclosed(payload, []) == CLAIMS


def test_the_hash_algorithm_may_be_left_out_but_not_another() -> None:
    payload = {"_sd": [sdjwt.digest(NAME.encoded)]}
    assert sdjwt.disclosed(payload, [NAME.encoded]) == {"name": "欧阳测试"}
    for algorithm in ("sha-512", "SHA-256", "md5", None, ["sha-256"]):
        assert refused("disclosure", sdjwt.disclosed, {**payload, "_sd_alg": algorithm}, [NAME.encoded])


@pytest.mark.parametrize("embedded", ["text", {"a": 1}, [1], [None], [["x"]], ["same", "same"]])
def test_digests_are_a_list_of_different_texts(embedded: object) -> None:
    assert refused("disclosure", sdjwt.disclosed, {"_sd": embedded}, [])


def test_a_disclosure_that_nobody_signed_or_that_comes_twice_is_refused() -> None:
    payload = sdjwt.payload_with(CLAIMS, [NAME])
    assert refused("disclosure", sdjwt.disclosed, payload, [NUMBER.encoded])
    assert refused("disclosure", sdjwt.disclosed, payload, [NAME.encoded, NAME.encoded])
    assert refused("disclosure", sdjwt.disclosed, CLAIMS, [NAME.encoded])
    respelled = encoded([NAME.salt, NAME.name, NAME.value], indent=1)
    assert sdjwt.parse_disclosure(respelled) == NAME
    assert refused("disclosure", sdjwt.disclosed, payload, [respelled])


def test_a_disclosure_cannot_overwrite_a_claim_even_if_it_was_signed() -> None:
    overwriting = Disclosure("s", "outcome", "refused")
    payload = {**CLAIMS, "_sd": [sdjwt.digest(overwriting.encoded)]}
    assert refused("disclosure", sdjwt.disclosed, payload, [overwriting.encoded])


def test_digests_elsewhere_than_at_the_top_are_refused() -> None:
    places: list[Any] = [{"_sd": []}, [{"...": "x"}], {"a": [{"b": {"_sd_alg": "sha-256"}}]}]
    for nested in places:
        assert refused("disclosure", sdjwt.disclosed, {"claim": nested}, [])


@pytest.mark.parametrize(
    "content",
    [
        "text",
        {},
        [],
        ["salt"],
        ["salt", "value"],
        ["salt", "name", 1, 2],
        [1, "name", "value"],
        ["salt", 1, "value"],
        ["salt", None, "value"],
        ["salt", "_sd", []],
        ["salt", "...", "x"],
        ["salt", "_sd_alg", "sha-256"],
        ["salt", "name", {"_sd": []}],
        ["salt", "name", [[{"...": "x"}]]],
        *(["salt", name, "x"] for name in sorted(sdjwt.ALWAYS_VISIBLE)),
        b"",
        b"\xff",
        b"\xef\xbb\xbf[1]",
        b'["salt","name",1',
        b'["salt","name",NaN]',
        b'["salt","name",1e999]',
        b'["salt","name",{"a":1,"a":2}]',
        rb'["salt","name","\ud800"]',
        b'["salt","name",' + b"9" * 5000 + b"]",
        b"[" * 6000,
        b'["salt","name","' + b"x" * 6200 + b'"]',
    ],
)
def test_a_disclosure_of_any_other_form_is_refused_even_if_it_was_signed(content: object) -> None:
    disclosure = encoded(content)
    assert refused("disclosure", sdjwt.disclosed, {"_sd": [sdjwt.digest(disclosure)]}, [disclosure])


@pytest.mark.parametrize("tail", ["=", "A", "\n", "+", "/", "五"])
def test_a_disclosure_has_one_spelling_in_base64url(tail: str) -> None:
    assert refused("disclosure", sdjwt.parse_disclosure, NAME.encoded + tail)


def test_left_over_bits_of_base64url_are_refused() -> None:
    disclosure = encoded(b'["s","n",1]')
    assert sdjwt.parse_disclosure(disclosure) == Disclosure("s", "n", 1)
    assert len(disclosure) % 4 == 3
    assert refused("disclosure", sdjwt.parse_disclosure, disclosure[:-1] + chr(ord(disclosure[-1]) + 1))


@settings(deadline=None)
@given(st.data())
def test_any_flipped_character_of_a_disclosure_is_refused(data: st.DataObject) -> None:
    payload = sdjwt.payload_with(CLAIMS, ALL)
    chosen = data.draw(st.sampled_from(ALL)).encoded
    place = data.draw(st.integers(0, len(chosen) - 1))
    char = data.draw(st.characters(codec="ascii").filter(lambda new: new != chosen[place]))
    assert refused("disclosure", sdjwt.disclosed, payload, [chosen[:place] + char + chosen[place + 1 :]])


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text('ab测试 "\\/', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "id_number", "employer", "其他"]), json_values))
def test_every_set_of_claims_survives_hiding_and_disclosing(hidden: dict[str, Any]) -> None:
    numbers = iter(range(256))
    disclosures = [
        sdjwt.new_disclosure(name, value, lambda size: bytes([next(numbers)] * size))
        for name, value in hidden.items()
    ]
    payload = sdjwt.payload_with(CLAIMS, disclosures)
    _, texts = sdjwt.split(sdjwt.compose(JWS, [item.encoded for item in disclosures]))
    assert sdjwt.disclosed(payload, texts) == {**CLAIMS, **hidden}


# Another implementation


def other_key() -> Any:
    return other_verifier.JWK.from_json(json.dumps(KEY.as_dict(private=True)))


@pytest.mark.parametrize("keep", [[], ["name"], ["name", "id_number", "employer"]])
def test_what_is_issued_here_is_verified_by_another_implementation(keep: list[str]) -> None:
    signed = sign(sdjwt.payload_with(CLAIMS, ALL, decoys=[sdjwt.decoy(counting)]))
    presented = sdjwt.redact(sdjwt.compose(signed, [item.encoded for item in ALL]), keep)
    verified = other_verifier.SDJWTVerifier(presented, lambda *_: other_key()).get_verified_payload()
    assert verified == {**CLAIMS, **{item.name: item.value for item in ALL if item.name in keep}}


@pytest.mark.parametrize("decoys", [False, True])
def test_what_another_implementation_issues_is_verified_here(*, decoys: bool) -> None:
    hidden = {SDObj(item.name): item.value for item in (NAME, NUMBER)}
    # Its decoys go into every object, also nested ones: those are outside the flat form.
    visible = {"iss": CLAIMS["iss"], "outcome": "granted"}
    issued = SDJWTIssuer({**visible, **hidden}, other_key(), add_decoy_claims=decoys)
    signed, disclosures = sdjwt.split(issued.sd_jwt_issuance)
    payload = json.loads(jws.deserialize_compact(signed, KEY).payload)
    expected = {**visible, NAME.name: NAME.value, NUMBER.name: NUMBER.value}
    assert sdjwt.disclosed(payload, disclosures) == expected
