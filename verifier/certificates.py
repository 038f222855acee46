"""Step 3: a signed certificate becomes a ``VerifiedCertificate``, or is refused with the number of its step.

1.  **Form**: a strict compact JWS (RFC 7515) of at most 8 KiB, whose payload is one strict JSON object.
2.  **Header**: no parameter that brings its own key or changes what is signed (``jwk``, ``jku``, ``x5u``,
    ``x5c``, ``crit``, ...), and ``typ`` is the one fixed for certificates, so that no other kind of token
    passes for one.
3.  **Issuer**: the register knows the issuer. Its name is read from the payload, unverified, only to find
    keys.
4.  **Platform**: the issuer lets this platform carry its certificates.
5.  **Key**: the header's ``kid`` names a key registered for this issuer.
6.  **Algorithm**: it is the one the key is registered for.
7.  **Signature**: it holds under that key. From here on the content is the issuer's.
8.  **Claims**: everything is there, of its type and length, as the platform's table of fields says.
9.  **Key at issue**: the key might sign at the moment of issue. A key retired since keeps what it signed.
10. **Compromise**: the certificate was first received before its key became doubtful. The date it bears
    proves nothing: whoever stole a key writes any date.
11. **Time**: it was neither issued nor completed in the future, and completed before it was issued; clocks
    may differ by five minutes. A certificate need not expire.
12. **Message**: what the message repeats from the certificate is what the certificate says
    (``check_stated``).

Steps 1 to 11 are ``verify``; the caller owes step 12, where the message repeats anything. Also still owed:
whether the platform was recognised at the completion date (a clause of the policy), whether the identity
claims are well-formed (step 4 of the flow), and replay: an ES256 signature can be altered into another valid
one, so that a certificate is identified by issuer, number scope and number, never by its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from verifier.errors import CertificateRejected, Code, RequestRejected, SignatureRejected
from verifier.keyring import Issuer, IssuerKey, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.person import IdentityClaims
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import jws, strict_json
from verifier.signatures.steps import Step

MAX_TOKEN_BYTES: Final = 8192
TYP: Final = "JWT"
"""What the assumed profiles put into ``typ``; compared exactly."""
SKEW: Final = timedelta(minutes=5)
"""By how much the clocks of a platform and of this service may differ."""

_MAX_REVISION: Final = 2**31 - 1
_LONGEST: Final = 200
_NUMBER: Final = re.compile(r"[0-9A-Za-z\u4e00-\u9fff\u3014\u3015\uff08\uff09()\[\]._/:#-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_Claims = Mapping[str, strict_json.JsonValue]


def verify(
    signed: SignedCertificate,
    *,
    platform: PlatformSlug,
    register: Register,
    first_received_at: datetime,
) -> VerifiedCertificate:
    """Take a certificate through steps 1 to 11.

    Args:
        signed: as the platform's adapter found it.
        platform: whose authentic delivery it came in.
        register: the adopted register.
        first_received_at: when these bytes first reached this service, aware UTC: for what is read again, the
            first time and not this one.

    Raises:
        CertificateRejected: with the step; nothing else, whatever the token.
    """
    return _VERIFIERS[signed.kind](signed, platform, register, first_received_at)


def _verify_jws(
    signed: SignedCertificate, platform: PlatformSlug, register: Register, first_received_at: datetime
) -> VerifiedCertificate:
    unverified = _parse(signed.token)  # 1, 2
    claims = _claims(unverified)  # 1
    issuer = _issuer(claims, signed.fields, register)  # 3
    if platform not in issuer.platforms:
        raise CertificateRejected(Code.ISSUER_NOT_ALLOWED, 4, "the platform may not carry this issuer's")
    key = issuer.keys.get(unverified.kid) if unverified.kid is not None else None
    if key is None:
        raise CertificateRejected(Code.KEY_UNKNOWN, 5, "the issuer has no key of this id")
    _check_signature(unverified, key)  # 6, 7
    certificate = _read(claims, signed.fields, issuer, key)  # 8
    if not key.valid_at(certificate.issued_at):
        raise CertificateRejected(Code.KEY_NOT_VALID_AT_ISSUE, 9, "issued outside the key's interval")
    if key.doubtful_at(first_received_at):
        raise CertificateRejected(Code.KEY_COMPROMISED, 10, "first received after the key became doubtful")
    _check_time(certificate, first_received_at)  # 11
    return certificate


_VERIFIERS: Final[
    Mapping[
        CertificateKind,
        Callable[[SignedCertificate, PlatformSlug, Register, datetime], VerifiedCertificate],
    ]
] = MappingProxyType({CertificateKind.JWS: _verify_jws})


def _parse(token: str) -> jws.UnverifiedJws:
    try:
        unverified = jws.parse_compact(token, max_bytes=MAX_TOKEN_BYTES)
    except SignatureRejected as error:
        if error.step == Step.HEADER_REFUSED:
            raise CertificateRejected(
                Code.CERTIFICATE_HEADER_REFUSED, 2, "the header holds a refused parameter"
            ) from None
        raise CertificateRejected(Code.CERTIFICATE_MALFORMED, 1, "not a strict compact JWS") from None
    if unverified.typ != TYP:
        raise CertificateRejected(Code.CERTIFICATE_HEADER_REFUSED, 2, "typ is not that of certificates")
    return unverified


def _claims(unverified: jws.UnverifiedJws) -> _Claims:
    try:
        claims = strict_json.loads(unverified.payload, max_bytes=MAX_TOKEN_BYTES)
    except RequestRejected:
        claims = None
    if not isinstance(claims, dict):
        raise CertificateRejected(Code.CERTIFICATE_MALFORMED, 1, "the payload is not a strict JSON object")
    return claims


def _issuer(claims: _Claims, fields: CertificateFields, register: Register) -> Issuer:
    named = claims.get(fields.issuer)
    issuer = register.issuers.get(named) if isinstance(named, str) else None
    if issuer is None:
        raise CertificateRejected(Code.ISSUER_UNKNOWN, 3, "the register does not know the issuer")
    return issuer


def _check_signature(unverified: jws.UnverifiedJws, key: IssuerKey) -> None:
    try:
        jws.verify(unverified, key.key)
    except SignatureRejected as error:
        if error.step == Step.ALGORITHM:
            raise CertificateRejected(Code.ALGORITHM_REFUSED, 6, "not the registered algorithm") from None
        raise CertificateRejected(
            Code.CERTIFICATE_SIGNATURE_INVALID, 7, "the signature does not hold"
        ) from None


def _read(claims: _Claims, fields: CertificateFields, issuer: Issuer, key: IssuerKey) -> VerifiedCertificate:
    read = _Reader(claims)
    id_kind = read.text(fields.id_kind)
    return VerifiedCertificate(
        issuer=issuer.issuer_id,
        number_scope=issuer.number_scope,
        number=read.number(fields.number),
        revision=read.revision(fields.revision),
        holder=IdentityClaims(
            id_kind=fields.id_kinds.get(id_kind, id_kind),
            id_number=read.text(fields.id_number),
            name=read.text(fields.holder_name),
        ),
        course_code=read.text(fields.course_code),
        course_title=read.text(fields.course_title),
        organisation=read.text(fields.organisation),
        completed_at=read.moment(fields.completed_at, fields.completed_format),
        issued_at=read.moment(fields.issued_at, fields.issued_format),
        document=fields.documents.get(read.text(fields.document), DocumentKind.OTHER),
        key_id=key.key.kid,
        algorithm=key.key.algorithm.value,
        content_digest=sha256(strict_json.canonical(dict(claims))).digest(),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Step 8, member by member. A detail names our word for the member, never its value."""

    claims: _Claims

    def text(self, member: str) -> str:
        value = self.claims.get(member)
        if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or _CONTROL.search(value):
            raise _invalid("a text is missing, empty, too long or holds control characters")
        return value

    def number(self, member: str) -> str:
        value = self.text(member)
        if _NUMBER.fullmatch(value) is None:
            raise _invalid("the number is longer than 64 or holds other than letters, digits and ()[]._/:#-")
        return value

    def revision(self, member: str) -> int:
        if not member or member not in self.claims:
            return 1
        value = self.claims[member]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_REVISION:
            raise _invalid("the revision is not an integer from 1")
        return value

    def moment(self, member: str, form: TimeFormat) -> datetime:
        try:
            return parse_moment(self.claims.get(member), form)
        except ValueError:
            raise _invalid("a time is missing or not of the declared format") from None


def _invalid(detail: str) -> CertificateRejected:
    return CertificateRejected(Code.CERTIFICATE_CLAIMS_INVALID, 8, detail)


def _check_time(certificate: VerifiedCertificate, first_received_at: datetime) -> None:
    if max(certificate.issued_at, certificate.completed_at) > first_received_at + SKEW:
        raise CertificateRejected(Code.CERTIFICATE_NOT_YET_VALID, 11, "issued or completed in the future")
    if certificate.completed_at > certificate.issued_at + SKEW:
        raise CertificateRejected(Code.CERTIFICATE_CLAIMS_INVALID, 11, "completed after it was issued")


_STATED: Final[Mapping[str, Callable[[VerifiedCertificate], str]]] = MappingProxyType(
    {
        "number": lambda certificate: certificate.number,
        "holder_name": lambda certificate: certificate.holder.name,
        "id_number": lambda certificate: certificate.holder.id_number,
    }
)
"""What a message may repeat, by our names (``Event.stated``)."""


def matches(stated: Mapping[str, str], certificate: VerifiedCertificate) -> bool:
    """Whether all that a message repeats is what the certificate says, but for spaces around it.

    Args:
        stated: by our names; one that is not in the table cannot be compared, and so does not match.
        certificate: it counts, whatever the message says.
    """
    return all(
        name in _STATED and value.strip() == _STATED[name](certificate).strip()
        for name, value in stated.items()
    )


def check_stated(stated: Mapping[str, str], certificate: VerifiedCertificate) -> None:
    """Step 12.

    Raises:
        CertificateRejected: CERTIFICATE_MISMATCH; the certificate itself stays verified.
    """
    if not matches(stated, certificate):
        raise CertificateRejected(Code.CERTIFICATE_MISMATCH, 12, "the message differs from the certificate")
