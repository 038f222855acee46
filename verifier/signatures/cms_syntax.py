"""The syntax of signed data (RFC 5652), of GM/T 0010 and of the signed attributes that are followed.

Sets whose order nothing depends on are declared as lists, since many writers leave them unsorted; so are
sequences of any kind that may be missing, which otherwise could not be declared.
"""

from __future__ import annotations

from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier


@asn1.sequence
class EncapsulatedContent:
    """RFC 5652, section 5.2."""

    content_type: ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class IssuerAndSerial:
    """RFC 5652, section 10.2.4."""

    issuer: asn1.TLV
    serial: int


@asn1.sequence
class Attribute:
    """RFC 5652, section 5.3."""

    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class Attributes:
    """A sequence of nothing but a set of attributes."""

    attributes: asn1.SetOf[Attribute]


@asn1.sequence
class SigningTime:
    """A sequence of nothing but a time."""

    time: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class Parts:
    """A sequence of nothing but a sequence."""

    parts: list[asn1.TLV]


@asn1.sequence
class SignerInfo:
    """RFC 5652, section 5.3."""

    version: int
    signer: IssuerAndSerial | Annotated[bytes, asn1.Implicit(0)]
    digest_algorithm: asn1.TLV
    signed_attributes: Annotated[asn1.SetOf[Attribute] | None, asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes
    unsigned_attributes: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class SignedData:
    """RFC 5652, section 5.1."""

    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    encapsulated: EncapsulatedContent
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    crls: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signer_infos: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    """RFC 5652, section 3, with the one content that is read here."""

    content_type: ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class CertificateId:
    """ESSCertIDv2 (RFC 5035, section 4)."""

    hash_algorithm: list[asn1.TLV] | None
    certificate_hash: bytes
    issuer_serial: list[asn1.TLV] | None


@asn1.sequence
class SigningCertificate:
    """RFC 5035, section 3."""

    certificates: list[CertificateId]
    policies: list[asn1.TLV] | None


@asn1.sequence
class AlgorithmProtection:
    """RFC 6211, section 2."""

    digest_algorithm: asn1.TLV
    signature_algorithm: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    mac_algorithm: Annotated[list[asn1.TLV] | None, asn1.Implicit(2)]
