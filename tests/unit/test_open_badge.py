"""An Open Badges 3.0 credential as VC-JWT: its token repeats it, its identifiers are plain or proven."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from verifier.certificates import open_badge, verify
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import Issuer, IssuerKey, KeyState, Register
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind, SignedCertificate
from verifier.model.delivery import PlatformSlug
from verifier.model.time import TimeFormat
from verifier.signatures import base64url, jws
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, SigningKey

PLATFORM = PlatformSlug("alpha")
KID = "https://badges.example/keys#1"
RS = SigningKey(KID, Algorithm.RS256, rsa.generate_private_key(65537, 2048))
EC = SigningKey("ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
ID_NUMBER, SALT = "999901199001010010", "盐"
FIELDS = CertificateFields(
    issuer="iss",
    number="jti",
    holder_name="/identifiers/name/value",
    id_kind="/identifiers/nationalIdentityNumber/type",
    id_number="/identifiers/nationalIdentityNumber/value",
    course_code="/credential/credentialSubject/achievement/id",
    course_title="/credential/credentialSubject/achievement/name",
    organisation="/credential/issuer/name",
    completed_at="/credential/credentialSubject/activityEndDate",
    issued_at="nbf",
    document="",
    revision="",
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.EPOCH_SECONDS,
    documents={},
    id_kinds={"nationalIdentityNumber": "resident_id"},
)


def digest(value: str, salt: str = "") -> str:
    return "sha256$" + sha256((value + salt).encode()).hexdigest()


def identity(kind: str, value: str, *, hashed: bool = False, **members: Any) -> dict[str, Any]:
    return {
        "type": "IdentityObject",
        "hashed": hashed,
        "identityType": kind,
        "identityHash": value,
        **members,
    }


HASHED = identity("nationalIdentityNumber", digest(ID_NUMBER, SALT), hashed=True, salt=SALT)
PLAIN = identity("nationalIdentityNumber", ID_NUMBER)
NAME = identity("name", "测试·学员")
SUBJECT: dict[str, Any] = {
    "id": "urn:uuid:5bcd7a01-0000-4000-8000-000000000000",
    "type": ["AchievementSubject"],
    "activityEndDate": "2021-03-01T12:00:00+08:00",
    "identifier": [NAME, PLAIN],
    "achievement": {
        "id": "https://badges.example/c/1",
        "type": ["Achievement"],
        "name": "安全生产",
        "criteria": {"narrative": "考试合格"},
        "description": "x",
    },
}
CREDENTIAL: dict[str, Any] = {
    "@context": [
        "https://www.w3.org/ns/credentials/v2",
        "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
    ],
    "id": "https://badges.example/credentials/3527",
    "type": ["VerifiableCredential", "OpenBadgeCredential"],
    "issuer": {"id": "https://badges.example", "type": ["Profile"], "name": "某培训机构"},
    "validFrom": "2021-03-02T01:00:00Z",
    "credentialSubject": SUBJECT,
}
CLAIMS: dict[str, Any] = {
    "iss": "https://badges.example",
    "sub": SUBJECT["id"],
    "jti": CREDENTIAL["id"],
    "nbf": 1614646800,
}
START, AT = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 3, 10, tzinfo=UTC)
ISSUER = Issuer(
    "https://badges.example",
    "scope",
    frozenset({PLATFORM}),
    {key.kid: IssuerKey(key.verification_key, KeyState.ACTIVE, START) for key in (RS, EC)},
)
REGISTER = Register("d" * 64, {}, {"https://badges.example": ISSUER})


def token(payload: Any, key: SigningKey = RS, **header: Any) -> bytes:
    members = {"alg": key.algorithm.value, "kid": key.kid, "typ": "JWT", **header}
    kept = {name: value for name, value in members.items() if value is not None}
    parts = (json.dumps(kept).encode(), json.dumps(payload).encode())
    signing_input = ".".join(map(base64url.encode, parts))
    return f"{signing_input}.{base64url.encode(jws.signature(signing_input.encode(), key))}".encode()


def payload(**changes: Any) -> dict[str, Any]:
    """Credential and claims in one object, with members replaced; ``...`` removes one."""
    made = {**CREDENTIAL, **CLAIMS, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def subject(**changes: Any) -> dict[str, Any]:
    made = {**SUBJECT, **changes}
    return payload(credentialSubject={name: value for name, value in made.items() if value is not ...})


def certificate(content: bytes, known: Mapping[str, str] | None = None) -> SignedCertificate:
    return SignedCertificate(CertificateKind.OPEN_BADGE, content, FIELDS, known=known or {})


def refusal(content: bytes, known: Mapping[str, str] | None = None) -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as refused:
        open_badge.open_credential(certificate(content, known))
    return refused.value.code, refused.value.step


MALFORMED = (Code.CERTIFICATE_MALFORMED, 1)
HEADER = (Code.CERTIFICATE_HEADER_REFUSED, 2)


@pytest.mark.parametrize("key", [RS, EC], ids=["rs", "ec"])
@pytest.mark.parametrize("typ", [None, "JWT"])
def test_a_credential_is_read_completely(key: SigningKey, typ: str | None) -> None:
    verified = verify(
        certificate(token(payload(), key, typ=typ)),
        platform=PLATFORM,
        register=REGISTER,
        first_received_at=AT,
    )
    assert (verified.issuer, verified.number, verified.key_id) == (
        "https://badges.example",
        "https://badges.example/credentials/3527",
        key.kid,
    )
    assert (verified.holder.id_kind, verified.holder.id_number, verified.holder.name) == (
        "resident_id",
        ID_NUMBER,
        "测试·学员",
    )
    assert (verified.course_code, verified.course_title, verified.organisation) == (
        "https://badges.example/c/1",
        "安全生产",
        "某培训机构",
    )
    assert verified.completed_at == datetime(2021, 3, 1, 4, tzinfo=UTC)
    assert verified.issued_at == datetime(2021, 3, 2, 1, tzinfo=UTC)
    assert verified.document is DocumentKind.COURSE_PROOF


def older(**changes: Any) -> dict[str, Any]:
    """The same credential in the older data model, whole in ``vc``."""
    vc = {name: value for name, value in CREDENTIAL.items() if name != "validFrom"}
    vc["issuanceDate"] = CREDENTIAL["validFrom"]
    vc["@context"] = ["https://www.w3.org/2018/credentials/v1", *CREDENTIAL["@context"][1:]]
    return {**CLAIMS, "vc": {**vc, **changes}}


def test_both_data_models_say_the_same() -> None:
    new, old = (
        open_badge.open_credential(certificate(token(made, iat=None))) for made in (payload(), older())
    )
    for name in ("iss", "jti", "sub", "nbf", "identifiers"):
        assert new.claims[name] == old.claims[name]
    assert new.claims["credential"] == CREDENTIAL
    assert new.claims["identifiers"] == {
        "name": {"type": "name", "value": "测试·学员"},
        "nationalIdentityNumber": {"type": "nationalIdentityNumber", "value": ID_NUMBER},
    }


@pytest.mark.parametrize(
    "made",
    [
        payload(issuer="https://badges.example"),
        payload(type=["AchievementCredential", "VerifiableCredential", "x"]),
        payload(aud="somebody", iat=1614646800),
        payload(validUntil="2031-03-02T09:00:00+08:00", exp=1930179600),
        payload(**{"@context": [*CREDENTIAL["@context"], "https://more.example"]}),
        payload(
            **{
                "@context": [
                    CREDENTIAL["@context"][0],
                    "https://purl.imsglobal.org/spec/ob/v3p0/context.json",
                ]
            }
        ),
        payload(proof=[{"type": "DataIntegrityProof"}]),
        subject(type="AchievementSubject", achievement={**SUBJECT["achievement"], "type": "Achievement"}),
        subject(identifier=...),
        subject(identifier=[]),
    ],
)
def test_other_forms_of_the_same_are_read(made: dict[str, Any]) -> None:
    assert open_badge.open_credential(certificate(token(made))).claims["jti"] == CREDENTIAL["id"]


NO_BADGES: dict[str, Any] = {
    "no object": [payload()],
    "vc is none": {**CLAIMS, "vc": None},
    "vc beside the claims": {**payload(), "vc": "x"},
    "no contexts": payload(**{"@context": ...}),
    "contexts as text": payload(**{"@context": CREDENTIAL["@context"][0]}),
    "contexts turned round": payload(**{"@context": CREDENTIAL["@context"][::-1]}),
    "no context of badges": payload(**{"@context": CREDENTIAL["@context"][:1]}),
    "contexts of another thing": payload(**{"@context": [CREDENTIAL["@context"][0], "https://x.example"]}),
    "contexts with an object": payload(**{"@context": [{}, CREDENTIAL["@context"][1]]}),
    "a context beyond ASCII": payload(
        **{"@context": [CREDENTIAL["@context"][0], CREDENTIAL["@context"][1].replace("3.0.3", "3.0.\u0663")]}
    ),
    "an endorsement": payload(type=["VerifiableCredential", "EndorsementCredential"]),
    "no credential": payload(type=["OpenBadgeCredential"]),
    "no type": payload(type=...),
    "no subject": payload(credentialSubject=...),
    "two subjects": payload(credentialSubject=[SUBJECT, SUBJECT]),
    "another subject": subject(type=["ProfileSubject"]),
    "no achievement": subject(achievement=...),
    "an achievement by reference": subject(achievement="https://badges.example/c/1"),
    "another achievement": subject(achievement={**SUBJECT["achievement"], "type": ["Course"]}),
    "no iss": payload(iss=...),
    "another iss": payload(iss="https://other.example"),
    "an issuer without id": payload(issuer={"name": "x"}),
    "iss and issuer are numbers": payload(iss=1, issuer=1),
    "iss and issuer are empty": payload(iss="", issuer=""),
    "no issuer at all": payload(iss=..., issuer=...),
    "no sub": payload(sub=...),
    "another sub": payload(sub="urn:uuid:other"),
    "a subject without id": subject(id=...),
    "no jti": payload(jti=...),
    "another jti": payload(jti="https://badges.example/credentials/1"),
    "no id": payload(id=...),
    "no nbf": payload(nbf=...),
    "another nbf": payload(nbf=1614646801),
    "nbf as text": payload(nbf="1614646800"),
    "nbf as fraction": payload(nbf=1614646800.5),
    "nbf as bool": payload(nbf=True, validFrom="1970-01-01T00:00:01Z"),
    "no validFrom": payload(validFrom=...),
    "neither nbf nor validFrom": payload(nbf=..., validFrom=...),
    "validFrom without offset": payload(validFrom="2021-03-02T01:00:00"),
    "validFrom with a fraction": payload(validFrom="2021-03-02T01:00:00.5Z"),
    "the older model's name for it": payload(validFrom=..., issuanceDate="2021-03-02T01:00:00Z"),
    "exp alone": payload(exp=1930179600),
    "validUntil alone": payload(validUntil="2031-03-02T01:00:00Z"),
    "another exp": payload(exp=1930179601, validUntil="2031-03-02T01:00:00Z"),
    "exp as bool": payload(exp=True),
    "identifiers as an object": subject(identifier=NAME),
    "seventeen identifiers": subject(identifier=[NAME] * 17),
    "an identifier as text": subject(identifier=["x"]),
    "an identifier of another type": subject(identifier=[{**NAME, "type": "Profile"}]),
    "an identifier hashed or not": subject(identifier=[{**NAME, "hashed": "false"}]),
    "an identifier hashed by number": subject(identifier=[{**NAME, "hashed": 0}]),
    "an identifier without value": subject(identifier=[{**NAME, "identityHash": None}]),
    "an identifier without type": subject(identifier=[{**NAME, "identityType": 7}]),
    "two names": subject(identifier=[NAME, identity("name", "别人")]),
    "a digest by MD5": subject(identifier=[{**HASHED, "identityHash": "md5$" + "0" * 32}]),
    "a digest without its kind": subject(identifier=[{**HASHED, "identityHash": "0" * 64}]),
    "a salt that is none": subject(identifier=[{**HASHED, "salt": 7}]),
}


@pytest.mark.parametrize("made", NO_BADGES.values(), ids=NO_BADGES.keys())
def test_what_contradicts_itself_or_is_no_badge_is_malformed(made: Any) -> None:
    assert refusal(token(made)) == MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"typ": "vc+jwt"},
        {"cty": "vc"},
        {"x5c": ["AAAA"]},
        {"jwk": {"kty": "RSA"}},
        {"jku": "https://badges.example/keys"},
        {"x5t": "AAAA"},
        {"crit": ["exp"]},
    ],
)
def test_a_header_holds_three_members_and_never_a_key(header: dict[str, Any]) -> None:
    assert refusal(token(payload(), **header)) == HEADER


def test_a_key_is_looked_up_by_its_address_and_never_fetched() -> None:
    unverified = open_badge.open_credential(certificate(token(payload())))
    assert (unverified.key_id, unverified.chain) == (KID, ())
    unverified.check(RS.verification_key, SignatureEncoding.DER_BASE64)
    with pytest.raises(SignatureRejected):
        unverified.check(EC.verification_key, SignatureEncoding.DER_BASE64)


# Identifiers that are digests


def found(identifiers: list[Any], known: Mapping[str, str]) -> Any:
    content = token(subject(identifier=identifiers))
    return open_badge.open_credential(certificate(content, known)).claims["identifiers"]


def test_the_specifications_example_of_a_digest_is_proven() -> None:
    # 1EdTech, Open Badges 3.0, IdentityHash.
    written = "sha256$b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399"
    given_identity = identity("emailAddress", written, hashed=True, salt="Kosher")
    assert found([given_identity], {"emailAddress": "a@example.com"}) == {
        "emailAddress": {"type": "emailAddress", "value": "a@example.com"}
    }


@pytest.mark.parametrize(
    "identifiers",
    [
        [HASHED],
        [{**HASHED, "identityHash": "sha256$" + digest(ID_NUMBER, SALT)[7:].upper()}],
        [identity("nationalIdentityNumber", digest(ID_NUMBER), hashed=True)],
        [identity("nationalIdentityNumber", digest("x"), hashed=True), HASHED],
    ],
)
def test_a_stated_value_is_vouched_for_by_its_digest(identifiers: list[Any]) -> None:
    stated = {"nationalIdentityNumber": ID_NUMBER, "name": "nobody asks"}
    assert found(identifiers, stated) == {
        "nationalIdentityNumber": {"type": "nationalIdentityNumber", "value": ID_NUMBER}
    }


def test_a_stated_value_with_another_digest_is_told_apart() -> None:
    content = token(subject(identifier=[NAME, HASHED]))
    stated = {"nationalIdentityNumber": ID_NUMBER.replace("0010", "0029")}
    assert refusal(content, stated) == (Code.CERTIFICATE_MISMATCH, 2)


def test_a_digest_that_nobody_states_a_value_for_says_nothing() -> None:
    assert found([HASHED], {}) == {}
    with pytest.raises(CertificateRejected) as refused:
        verify(
            certificate(token(subject(identifier=[NAME, HASHED]))),
            platform=PLATFORM,
            register=REGISTER,
            first_received_at=AT,
        )
    assert (refused.value.code, refused.value.step) == (Code.CERTIFICATE_CLAIMS_INVALID, 8)


def test_a_plain_value_counts_before_any_digest() -> None:
    assert found([HASHED, PLAIN], {"nationalIdentityNumber": "x"}) == {
        "nationalIdentityNumber": {"type": "nationalIdentityNumber", "value": ID_NUMBER}
    }


@pytest.mark.parametrize("content", [b"", b"a.b.c", b"\xff", b"x" * 40_000])
def test_what_is_no_token_is_malformed(content: bytes) -> None:
    assert refusal(content) == MALFORMED


def test_a_credential_of_32_kib_is_read_and_a_longer_one_is_not() -> None:
    readable = token(payload(image="x" * 20_000))
    assert open_badge.open_credential(certificate(readable)).key_id == KID
    assert refusal(token(payload(image="x" * 25_000))) == MALFORMED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*CREDENTIAL, *CLAIMS, "vc", "exp", "validUntil"]), JSON)
def test_any_other_value_is_refused_with_a_step_or_read(name: str, value: Any) -> None:
    _read_or_refused(lambda: token(payload(**{name: value}), EC))


@given(st.sampled_from([*SUBJECT, "identifier"]), JSON)
def test_any_other_subject_is_refused_with_a_step_or_read(name: str, value: Any) -> None:
    _read_or_refused(lambda: token(subject(**{name: value}), EC))


def _read_or_refused(made: Callable[[], bytes]) -> None:
    with suppress(CertificateRejected):
        open_badge.open_credential(certificate(made(), {"a": "b"}))
