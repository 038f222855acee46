"""A signed xAPI statement as a certificate: the signed one counts, and the received one must say the same."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from verifier.certificates import compact, verify, xapi
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import Issuer, IssuerKey, KeyState, Register
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind, SignedCertificate
from verifier.model.delivery import PlatformSlug
from verifier.model.time import TimeFormat
from verifier.signatures import base64url, jws
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, SigningKey

PLATFORM = PlatformSlug("alpha")
NUMBER = "https://lms.example/xapi/number"
FIELDS = CertificateFields(
    issuer="/context/extensions/https:~1~1lms.example~1xapi~1issuer",
    number="/context/extensions/https:~1~1lms.example~1xapi~1number",
    holder_name="/actor/name",
    id_kind="/actor/account/homePage",
    id_number="/actor/account/name",
    course_code="/object/id",
    course_title="/object/definition/name/zh",
    organisation="/context/team/name",
    completed_at="timestamp",
    issued_at="timestamp",
    document="",
    revision="/context/extensions/https:~1~1lms.example~1xapi~1revision",
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.RFC3339,
    documents={},
    id_kinds={"https://id.example/resident": "resident_id"},
)
STATEMENT: dict[str, Any] = {
    "id": "33cff416-e331-4c9d-969e-5373a1756120",
    "actor": {
        "name": "测试·学员",
        "account": {"homePage": "https://id.example/resident", "name": "999901199001010010"},
    },
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "https://lms.example/c/1", "definition": {"name": {"zh": "安全生产"}}},
    "context": {
        "team": {"objectType": "Group", "name": "某培训机构", "member": []},
        "extensions": {"https://lms.example/xapi/issuer": "lms", NUMBER: "X-1"},
    },
    "timestamp": "2021-03-01T12:00:00+08:00",
}
SIGNATURE = {"usageType": "http://adlnet.gov/expapi/attachments/signature", "sha2": "0" * 64}
KEYS = {
    "rs": SigningKey("rs", Algorithm.RS256, rsa.generate_private_key(65537, 2048)),
    "ec": SigningKey("ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1())),
    "ed": SigningKey("ed", Algorithm.EDDSA, Ed25519PrivateKey.generate()),
}
START, AT = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 3, 10, tzinfo=UTC)
ISSUER = Issuer(
    "lms",
    "scope",
    frozenset({PLATFORM}),
    {kid: IssuerKey(key.verification_key, KeyState.ACTIVE, START) for kid, key in KEYS.items()},
)
REGISTER = Register("d" * 64, {}, {"lms": ISSUER})


def token(key: SigningKey = KEYS["rs"], payload: Any = STATEMENT, **header: Any) -> str:
    members = {"alg": key.algorithm.value, "kid": key.kid, **header}
    kept = {name: value for name, value in members.items() if value is not None}
    parts = (json.dumps(kept).encode(), json.dumps(payload).encode())
    signing_input = ".".join(map(base64url.encode, parts))
    return f"{signing_input}.{base64url.encode(jws.signature(signing_input.encode(), key))}"


def certificate(signature: str, received: Any = None) -> SignedCertificate:
    bearing = {**STATEMENT, "attachments": [SIGNATURE]} if received is None else received
    content = bearing if isinstance(bearing, bytes) else json.dumps(bearing).encode()
    return SignedCertificate(CertificateKind.XAPI, content, FIELDS, signature=signature)


def refusal(signature: str, received: Any = None) -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as refused:
        xapi.open_statement(certificate(signature, received))
    return refused.value.code, refused.value.step


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("typ", [None, "JWT", "JOSE"])
def test_a_signed_statement_is_read_completely(key: SigningKey, typ: str | None) -> None:
    verified = verify(
        certificate(token(key, typ=typ)), platform=PLATFORM, register=REGISTER, first_received_at=AT
    )
    assert (verified.issuer, verified.number, verified.revision, verified.key_id) == (
        "lms",
        "X-1",
        1,
        key.kid,
    )
    assert (verified.holder.id_kind, verified.holder.id_number, verified.holder.name) == (
        "resident_id",
        "999901199001010010",
        "测试·学员",
    )
    assert (verified.course_code, verified.course_title, verified.organisation) == (
        "https://lms.example/c/1",
        "安全生产",
        "某培训机构",
    )
    assert verified.completed_at == datetime(2021, 3, 1, 4, tzinfo=UTC)
    assert verified.document is DocumentKind.COURSE_PROOF


def test_what_is_read_is_what_was_signed_and_not_what_was_received() -> None:
    received = {
        **STATEMENT,
        "object": {"id": "https://lms.example/c/1", "definition": {"name": {"zh": "假"}}},
    }
    unverified = xapi.open_statement(certificate(token(), received))
    assert unverified.claims == STATEMENT


def test_a_received_statement_that_says_something_else_is_told_apart() -> None:
    other = {**STATEMENT, "actor": {"account": {"homePage": "https://id.example/resident", "name": "x"}}}
    assert refusal(token(), other) == (Code.CERTIFICATE_MISMATCH, 2)


def test_a_signature_over_something_else_does_not_hold() -> None:
    genuine, other = token().split("."), token(payload={**STATEMENT, "id": "x"}).split(".")
    unverified = xapi.open_statement(certificate(".".join([*genuine[:2], other[2]])))
    with pytest.raises(SignatureRejected):
        unverified.check(KEYS["rs"].verification_key, SignatureEncoding.DER_BASE64)


def test_another_algorithm_than_the_registered_one_is_refused() -> None:
    unverified = xapi.open_statement(certificate(token(alg="RS512")))
    with pytest.raises(SignatureRejected) as refused:
        unverified.check(KEYS["rs"].verification_key, SignatureEncoding.DER_BASE64)
    assert refused.value.step == "algorithm"


def test_a_chain_names_the_key_in_place_of_kid() -> None:
    chain = [base64.b64encode(der).decode() for der in (b"leaf", b"root")]
    unverified = xapi.open_statement(certificate(token(x5c=chain)))
    assert (unverified.key_id, unverified.chain) == (None, (b"leaf", b"root"))
    bare = xapi.open_statement(certificate(token(kid=None)))
    assert (bare.key_id, bare.chain) == (None, ())


@pytest.mark.parametrize(
    "x5c", [[], None, "AAAA", ["*"], ["证"], ["AAAA"] * 6, [7], [None], [""], ["AAAA", {}]]
)
def test_a_chain_that_is_none_is_refused(x5c: Any) -> None:
    header = {"alg": "RS256", "x5c": x5c}
    parts = ".".join(map(base64url.encode, (json.dumps(header).encode(), json.dumps(STATEMENT).encode())))
    assert refusal(f"{parts}.AAAA") == (Code.CERTIFICATE_HEADER_REFUSED, 2)


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "crit", "b64", "zip"])
def test_a_header_that_brings_its_own_key_is_refused(member: str) -> None:
    header: dict[str, Any] = {member: "x"}
    assert refusal(token(**header)) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


@pytest.mark.parametrize("typ", ["at+jwt", "dc+sd-jwt", "client-authentication+jwt", "statuslist+jwt", ""])
def test_no_other_kind_of_token_passes_for_a_statement(typ: str) -> None:
    assert refusal(token(typ=typ)) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


@pytest.mark.parametrize(
    "payload", [[], "x", {}, *({**STATEMENT, name: "x"} for name in ("actor", "verb", "object"))]
)
def test_a_payload_that_is_no_statement_is_malformed(payload: Any) -> None:
    assert refusal(token(payload=payload), payload) == (Code.CERTIFICATE_MALFORMED, 1)


@pytest.mark.parametrize("received", [b"", b"[]", b"{", b'{"id":1,"id":1}', b'"x"'])
def test_a_received_statement_that_is_no_strict_object_is_malformed(received: bytes) -> None:
    assert refusal(token(), received) == (Code.CERTIFICATE_MALFORMED, 1)


@pytest.mark.parametrize("signature", ["", "a.b", "证书", "\ufffd.\ufffd.\ufffd", "a" * 30_000])
def test_a_signature_that_is_no_token_is_malformed(signature: str) -> None:
    assert refusal(signature) == (Code.CERTIFICATE_MALFORMED, 1)


def test_a_statement_with_a_chain_may_have_24_kib() -> None:
    padding = {"x": "y" * (compact.MAX_CHAINED_BYTES * 3 // 4)}
    assert refusal(token(payload={**STATEMENT, **padding})) == (Code.CERTIFICATE_MALFORMED, 1)
    longer = {**STATEMENT, "x": "y" * 12_000}
    assert xapi.open_statement(certificate(token(payload=longer), longer)).claims == longer


@given(st.text(max_size=60), st.binary(max_size=60))
def test_garbage_is_refused_with_a_step_and_nothing_else(signature: str, content: bytes) -> None:
    for given_signature in (signature, token()):
        with pytest.raises(CertificateRejected):
            xapi.open_statement(certificate(given_signature, content))
