"""Checks a platform's certificate as it stands in a file, against a trust register.

Only kinds that are whole in one file can be checked: compact JWS, with or without a chain, and Open Badges.
Of a PDF, of CMS and of signed parameters the signature, or a part of what is signed, stands in the message
that brought it.
"""

from __future__ import annotations

from typing import Final

from verifier import certificates
from verifier.errors import CertificateRejected, SignatureRejected
from verifier.keyring import Register
from verifier.model.certificate import CertificateKind, SignedCertificate, VerifiedCertificate
from verifier.model.time import beijing_date, covers, iso
from verifier.signatures import jws
from verifier.verifying.given import Given, Reading
from verifier.verifying.verdict import Kind, Point, Value, Verdict

MAX_BYTES: Final = 1 << 16
_POINTS: Final = (Point.SIGNATURE, Point.RECOGNITION, Point.KEY_AT_ISSUE, Point.PLATFORM)
_NO_REGISTER: Final = "no trust register was given (--register)"
_BESIDE: Final = "its signature, or a part of what is signed, stands in the message that brought it"


def beside() -> Verdict:
    """Of a kind that is not whole in one file."""
    kind = Kind.PLATFORM_CERTIFICATE
    return Verdict(kind, Value.NOT_CHECKED, (), (*_POINTS, Point.DELIVERY), reason=_BESIDE)


def token(text: str, given: Given) -> Verdict:
    """A compact JWS."""
    kind = Kind.PLATFORM_CERTIFICATE
    if given.register is None:
        return Verdict(kind, Value.NOT_CHECKED, (), (*_POINTS, Point.DELIVERY), reason=_NO_REGISTER)
    refused: CertificateRejected | None = None
    for reading in given.readings:
        if reading.kind not in _kinds(text) or reading.platform not in given.register.platforms:
            continue
        signed = SignedCertificate(reading.kind, text.encode(), reading.fields)
        try:
            found = certificates.verify(
                signed, platform=reading.platform, register=given.register, first_received_at=given.now
            )
        except CertificateRejected as error:
            # Read as another platform's it fails early; whoever came furthest knows best what is wrong.
            refused = error if refused is None or error.step > refused.step else refused
            continue
        return _verified(found, reading, given.register)
    if refused is None:
        reason = "no platform of the register has certificates of this kind"
        return Verdict(kind, Value.NOT_CHECKED, (), (*_POINTS, Point.DELIVERY), reason=reason)
    reason = f"step {refused.step}, {refused.code}: {refused.detail}"
    return Verdict(kind, Value.INVALID, (), (*_POINTS, Point.DELIVERY), {"code": refused.code.value}, reason)


def _kinds(text: str) -> frozenset[CertificateKind]:
    try:
        header = jws.parse_compact(text, max_bytes=MAX_BYTES, allow_x5c=True).header
    except SignatureRejected:
        return frozenset(CertificateKind)
    if "x5c" in header:
        return frozenset({CertificateKind.JWS_X5C})
    return frozenset({CertificateKind.JWS, CertificateKind.OPEN_BADGE})


def _verified(found: VerifiedCertificate, reading: Reading, register: Register) -> Verdict:
    day = beijing_date(found.completed_at)
    recognised = register.platforms[reading.platform].recognised
    says = {
        "issuer": found.issuer,
        "number": found.number,
        "revision": found.revision,
        "document": found.document.value,
        "issued_at": iso(found.issued_at),
        "completed_at": iso(found.completed_at),
        "key": found.key_id,
        "algorithm": found.algorithm,
        "read_as": reading.platform,
        "register": register.digest,
    }
    left, kind = (Point.DELIVERY,), Kind.PLATFORM_CERTIFICATE
    if not any(covers(one.start, one.end, day) for one in recognised):
        reason = "the platform was not recognised at the completion date"
        return Verdict(kind, Value.INVALID, _POINTS, left, says, reason)
    return Verdict(kind, Value.VALID, _POINTS, left, says)
