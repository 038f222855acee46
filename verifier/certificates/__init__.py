"""Step 3: a signed certificate becomes a ``VerifiedCertificate``, or is refused with the number of its step.

1.  **Form**: the kind's own form, read strictly and within its limits; one module here a kind.
2.  **Header**: what stands around the signed content is what the kind fixes: no parameter that brings its
    own key or changes what is signed, no other kind of token that passes for a certificate, nothing that
    was added after signing.
3.  **Issuer**: the register knows the issuer. Its name is read from the content, unverified, only to find
    keys.
4.  **Platform**: the issuer lets this platform carry its certificates.
5.  **Key**: the certificate names a key registered for this issuer, or brings a chain that led to an anchor
    registered for this issuer at the moment of issue.
6.  **Algorithm**: it is the one the key or anchor is registered for.
7.  **Signature**: it holds under that key. From here on the content is the issuer's.
8.  **Claims**: everything is there, of its type and length, as the platform's table of fields says.
9.  **Key at issue**: the key might sign at the moment of issue: it, or its chain and anchor, was valid and
    not revoked. A key retired since keeps what it signed.
10. **Compromise**: the certificate was first received before its key became doubtful. The date it bears
    proves nothing: whoever stole a key writes any date. Of a chain, a current revocation list must say so.
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

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from verifier.certificates import canonical, cms, compact, open_badge, pdf, reading, xapi
from verifier.certificates import signer as signers
from verifier.certificates.form import Unverified
from verifier.certificates.signer import Signer
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import Issuer, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.signatures.steps import Step

SKEW: Final = timedelta(minutes=5)
"""By how much the clocks of a platform and of this service may differ."""

FORMS: Final[Mapping[CertificateKind, Callable[[SignedCertificate], Unverified]]] = MappingProxyType(
    {
        CertificateKind.JWS: compact.open_bare,
        CertificateKind.JWS_X5C: compact.open_chained,
        CertificateKind.CANONICAL: canonical.open_canonical,
        CertificateKind.CMS: cms.open_detached,
        CertificateKind.XAPI: xapi.open_statement,
        CertificateKind.OPEN_BADGE: open_badge.open_credential,
        CertificateKind.PDF: pdf.open_document,
    }
)
"""Steps 1 and 2 of each kind; each raises only CertificateRejected."""


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
        CertificateRejected: with the step; nothing else, whatever the content.
    """
    unverified = FORMS[signed.kind](signed)  # 1, 2
    issuer = _issuer(unverified, signed.fields, register)  # 3
    if platform not in issuer.platforms:
        raise CertificateRejected(Code.ISSUER_NOT_ALLOWED, 4, "the platform may not carry this issuer's")
    signer = signers.find(unverified, signed.fields, issuer, first_received_at)  # 5
    _check_signature(unverified, signer)  # 6, 7
    key = signer.key
    certificate = reading.read(unverified, signed.fields, issuer, key.kid, key.algorithm.value)  # 8
    if not signer.might_sign_at(certificate.issued_at):
        raise CertificateRejected(Code.KEY_NOT_VALID_AT_ISSUE, 9, "issued outside the key's interval")
    if signer.unknown:
        raise CertificateRejected(Code.REVOCATION_UNKNOWN, 10, "no current list says whether it is revoked")
    if signer.doubtful_at(first_received_at):
        raise CertificateRejected(Code.KEY_COMPROMISED, 10, "first received after the key became doubtful")
    _check_time(certificate, first_received_at)  # 11
    return certificate


def _issuer(unverified: Unverified, fields: CertificateFields, register: Register) -> Issuer:
    named = reading.value(unverified.claims, fields.issuer)
    issuer = register.issuers.get(named) if isinstance(named, str) else None
    if issuer is None:
        raise CertificateRejected(Code.ISSUER_UNKNOWN, 3, "the register does not know the issuer")
    return issuer


def _check_signature(unverified: Unverified, signer: Signer) -> None:
    try:
        unverified.check(signer.key, signer.encoding)
    except SignatureRejected as error:
        if error.step == Step.ALGORITHM:
            raise CertificateRejected(Code.ALGORITHM_REFUSED, 6, "not the registered algorithm") from None
        raise CertificateRejected(
            Code.CERTIFICATE_SIGNATURE_INVALID, 7, "the signature does not hold"
        ) from None


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
