"""The syntax of certificates and revocation lists (RFC 5280), read as strict DER.

What is declared here is decoded by the cryptography library: definite and shortest lengths, sorted sets, no
default written out, nothing left over. The library calls that interface unstable, so that no other module
than those that read these forms uses it, and the lock file fixes the version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeAlias, TypeVar

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from verifier.errors import SignatureRejected
from verifier.signatures.steps import Step

Decoded = TypeVar("Decoded")
Time: TypeAlias = asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class Extension:
    """RFC 5280, section 4.1: in certificates, revocation lists and their entries."""

    extension_id: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]  # noqa: FBT003 - ASN.1's DEFAULT FALSE
    value: bytes


@asn1.sequence
class Validity:
    """RFC 5280, section 4.1."""

    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class TbsCertificate:
    """RFC 5280, section 4.1, without the unique identifiers, which conforming authorities do not write."""

    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    serial: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: Validity
    subject: asn1.TLV
    spki: asn1.TLV
    extensions: Annotated[list[Extension] | None, asn1.Explicit(3)]


@asn1.sequence
class RevokedCertificate:
    """RFC 5280, section 5.1."""

    serial: int
    date: asn1.UTCTime | asn1.GeneralizedTime
    extensions: list[Extension] | None


@asn1.sequence
class TbsCertList:
    """RFC 5280, section 5.1."""

    version: int | None
    signature: asn1.TLV
    issuer: asn1.TLV
    this_update: asn1.UTCTime | asn1.GeneralizedTime
    next_update: asn1.UTCTime | asn1.GeneralizedTime | None
    revoked: list[RevokedCertificate] | None
    extensions: Annotated[list[Extension] | None, asn1.Explicit(0)]


@asn1.sequence
class BasicConstraints:
    """RFC 5280, section 4.2.1.9."""

    authority: Annotated[bool, asn1.Default(False)]  # noqa: FBT003 - ASN.1's DEFAULT FALSE
    path_length: int | None


@asn1.sequence
class AttributeTypeAndValue:
    """RFC 5280, section 4.1.2.4."""

    type: ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class Signed:
    """SIGNED{}: the outer form of certificates and revocation lists (RFC 5280, sections 4.1 and 5.1)."""

    tbs: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@asn1.sequence
class _Box:
    """A sequence of one: what is decoded must be a declared sequence, and a list is none."""

    content: asn1.TLV


@asn1.sequence
class _Purposes:
    purposes: list[ObjectIdentifier]


@asn1.sequence
class _Name:
    names: list[asn1.SetOf[AttributeTypeAndValue]]


def malformed() -> SignatureRejected:
    """What is raised for every breach of form."""
    return SignatureRejected(Step.MALFORMED)


def decode(kind: type[Decoded], data: bytes) -> Decoded:
    """Decodes one value that fills ``data`` to its end.

    Raises:
        SignatureRejected: ``malformed``.
    """
    try:
        return asn1.decode_der(kind, data)
    except ValueError as error:
        raise malformed() from error


def encode(value: object) -> bytes:
    """The DER of a decoded value: the bytes it was read from, since DER leaves no choice."""
    return asn1.encode_der(value)


def boxed(data: bytes) -> bytes:
    """One value as the only one of a sequence."""
    return encode(_Box(content=decode(asn1.TLV, data)))


def unboxed(data: bytes) -> bytes:
    """The only value of a sequence."""
    return encode(decode(_Box, data).content)


def purposes(data: bytes) -> list[ObjectIdentifier]:
    """An extended key usage extension (RFC 5280, section 4.2.1.12)."""
    return decode(_Purposes, boxed(data)).purposes


def name(data: bytes) -> list[list[AttributeTypeAndValue]]:
    """A name's relative names in the order written, each with its attributes."""
    return [relative.as_list() for relative in decode(_Name, boxed(data)).names]


def moment(time: Time) -> datetime:
    """Aware, UTC."""
    return time.as_datetime()


def by_id(extensions: list[Extension] | None) -> dict[str, Extension]:
    """Extensions by their dotted id.

    Raises:
        SignatureRejected: ``malformed``: one stands twice (RFC 5280, section 4.2).
    """
    found = {one.extension_id.dotted_string: one for one in extensions or ()}
    if len(found) != len(extensions or ()):
        raise malformed()
    return found


NULL: Final = b"\x05\x00"


def identifier(oid: str, parameters: bytes = b"") -> bytes:
    """The DER of an AlgorithmIdentifier of less than 128 bytes."""
    content = encode(ObjectIdentifier(oid)) + parameters
    return b"\x30" + bytes([len(content)]) + content


def with_or_without_null(oid: str) -> tuple[bytes, bytes]:
    """An algorithm without parameters, in the two forms that occur."""
    return identifier(oid), identifier(oid, NULL)


SHA256: Final = with_or_without_null("2.16.840.1.101.3.4.2.1")
SM3: Final = with_or_without_null("1.2.156.10197.1.401")


def _pss_with_sha256(digest: bytes, mask_digest: bytes) -> bytes:
    """RSASSA-PSS with SHA-256 on both levels and a salt as long as the hash (RFC 4055, section 3.1)."""

    def explicit(tag: int, content: bytes) -> bytes:
        return bytes([tag, len(content)]) + content

    mask = identifier("1.2.840.113549.1.1.8", mask_digest)
    parameters = explicit(0xA0, digest) + explicit(0xA1, mask) + explicit(0xA2, b"\x02\x01\x20")
    return identifier("1.2.840.113549.1.1.10", explicit(0x30, parameters))


PSS_WITH_SHA256: Final = tuple(_pss_with_sha256(digest, mask) for digest in SHA256 for mask in SHA256)
SM2_WITH_SM3: Final = with_or_without_null("1.2.156.10197.1.501")
ECDSA_WITH_SHA256: Final = identifier("1.2.840.10045.4.3.2")
RSA_WITH_SHA256: Final = with_or_without_null("1.2.840.113549.1.1.11")
