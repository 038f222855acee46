"""Which certificates the separate checker can judge, and where in them it finds what it compares."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from verifier import originals
from verifier.model.certificate import CertificateFields, CertificateKind, SignedCertificate
from verifier.model.facts import CompletionFact
from verifier.model.time import TimeFormat
from verifier.signatures import jws
from verifier.signatures.jws import Algorithm, SigningKey

KEY = SigningKey("k", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
FIELDS = CertificateFields(
    issuer="iss",
    number="no",
    holder_name="/who/0/name",
    id_kind="kind",
    id_number="/who/0/a~1b",
    course_code="",
    course_title="",
    organisation="",
    completed_at="at",
    issued_at="at",
    document="",
    revision="",
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.RFC3339,
    documents={},
    id_kinds={},
)
CLAIMS: dict[str, Any] = {
    "iss": "urn:i",
    "no": "N-1",
    "who": [{"name": "李四", "a/b": "999901199001011234"}],
    "at": datetime(2021, 3, 5, tzinfo=UTC).isoformat(),
}


def certificate(kind: CertificateKind = CertificateKind.JWS, **changes: Any) -> SignedCertificate:
    token = jws.sign_compact(json.dumps(CLAIMS).encode(), KEY, typ="JWT")
    return replace(SignedCertificate(kind, token.encode(), FIELDS), **changes)


def fact(weak: str = "") -> CompletionFact:
    return cast("CompletionFact", SimpleNamespace(weak=weak))


def followed(said: dict[str, Any]) -> list[Any]:
    payload = json.loads(base64.urlsafe_b64decode(said["jws"].split(".")[1] + "=="))
    found = []
    for path in said["places"]:
        value: Any = payload
        for step in path:
            value = value[step]
        found.append(value)
    return found


def test_a_token_under_a_registered_key_says_where_each_thing_stands() -> None:
    said = originals.members(certificate(), fact())
    assert said["kind"] == "jws"
    assert followed(said) == ["urn:i", "N-1", "李四", "999901199001011234", CLAIMS["at"]]


def test_a_signed_statement_is_the_token_that_was_attached_to_it() -> None:
    statement = {"actor": {"name": "x"}, "verb": {"id": "v"}, "object": {"id": "o"}, **CLAIMS}
    token = jws.sign_compact(json.dumps(statement).encode(), KEY, typ="JWT")
    content = json.dumps(statement).encode()
    said = originals.members(certificate(CertificateKind.XAPI, content=content, signature=token), fact())
    assert (said["kind"], said["jws"]) == ("xapi", token)
    chained = jws.sign_compact(json.dumps(statement).encode(), KEY, typ="JWT", headers={"x5c": ["AAAA"]})
    said = originals.members(certificate(CertificateKind.XAPI, content=content, signature=chained), fact())
    assert (said["kind"], "jws" in said, said["signature"]) == ("xapi x5c", False, chained)


@pytest.mark.parametrize(
    ("signed", "weak", "kind"),
    [
        (certificate(CertificateKind.PDF, content=b"%PDF"), "", "pdf"),
        (certificate(), "phone", "jws phone"),
        (
            certificate(fields=replace(FIELDS, completed_format=TimeFormat.COMPACT_BEIJING)),
            "",
            "jws yyyyMMddHHmmss+08:00",
        ),
    ],
)
def test_what_the_checker_cannot_judge_says_so_and_keeps_its_bytes(
    signed: SignedCertificate, weak: str, kind: str
) -> None:
    said = originals.members(signed, fact(weak))
    assert (said["kind"], "jws" in said) == (kind, False)
    assert base64.b64decode(said["content"]) == signed.content
