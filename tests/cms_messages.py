"""CMS signatures for tests: sound ones, and every defect.

message = cms_messages.cms(leaf, b"content", issuer=authority, enclosed=[leaf.der, authority.der])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from cryptography.hazmat.primitives import hashes

from tests.certificates import (
    IDENTIFIERS,
    ISSUED,
    SHA256,
    SM3,
    Issued,
    Kind,
    integer,
    octets,
    oid,
    sequence,
    set_of,
    time,
    tlv,
)


class CmsOptions(TypedDict, total=False):
    """All that a CMS signature can be asked to be, sound or not."""

    enclosed: Sequence[bytes]  # certificates; only the signer's unless said
    gm: bool  # object ids of GM/T 0010
    attributes: Sequence[bytes] | None  # all signed attributes, from ``attribute``; None leaves them out
    more_attributes: Sequence[bytes]  # besides the usual ones
    sorted_attributes: bool
    embedded: bytes | None  # content that is enclosed
    data_type: str
    signed_type: str
    named: bytes  # what names the signer's certificate
    version: int  # of the signer info
    data_version: int
    digest: bytes  # AlgorithmIdentifier in the signer info
    digests: Sequence[bytes]  # AlgorithmIdentifiers in front
    identifier: bytes  # of the signature algorithm
    signature: bytes
    unsigned: Sequence[bytes]
    crls: Sequence[bytes]
    copies: int  # how many times the signer info stands there


CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = (f"1.2.840.113549.1.9.{n}" for n in (3, 4, 5))
PKCS_DATA, GM_DATA = "1.2.840.113549.1.7.1", "1.2.156.10197.6.1.4.2.1"
PKCS_SIGNED, GM_SIGNED = "1.2.840.113549.1.7.2", "1.2.156.10197.6.1.4.2.2"


def attribute(dotted: str, *values: bytes) -> bytes:
    return sequence(oid(dotted), set_of(*values))


def digest(signer: Issued, content: bytes) -> bytes:
    """SM3 for SM2 keys, else SHA-256."""
    made = hashes.Hash(hashes.SM3() if signer.key.kind is Kind.SM2 else hashes.SHA256())
    made.update(content)
    return made.finalize()


def usual_attributes(signer: Issued, content: bytes, data_type: str = PKCS_DATA) -> list[bytes]:
    return [
        attribute(CONTENT_TYPE, oid(data_type)),
        attribute(SIGNING_TIME, time(ISSUED)),
        attribute(MESSAGE_DIGEST, octets(digest(signer, content))),
    ]


def issuer_and_serial(certificate: Issued, issuer: bytes) -> bytes:
    return sequence(issuer, integer(certificate.serial))


def cms(
    signer: Issued, content: bytes, *, issuer: Issued | None = None, **options: Unpack[CmsOptions]
) -> bytes:
    """A detached CMS signature with the usual signed attributes.

    Args:
        signer: who signs.
        content: what is signed.
        issuer: who issued the signer's certificate; needed to name it unless ``named`` is given.
        options: ``CmsOptions``.
    """
    gm = options.get("gm", False)
    data_type = options.get("data_type", GM_DATA if gm else PKCS_DATA)
    attributes = options.get("attributes", usual_attributes(signer, content, data_type))
    if attributes is not None:
        attributes = [*attributes, *options.get("more_attributes", ())]
        attributes = sorted(attributes) if options.get("sorted_attributes", True) else attributes
    signed = content if attributes is None else tlv(0x31, *attributes)
    digest_identifier = options.get("digest", SM3 if signer.key.kind is Kind.SM2 else SHA256)
    named = options.get("named") or issuer_and_serial(signer, issuer.name if issuer else signer.name)
    unsigned = options.get("unsigned", ())
    info = sequence(
        integer(options.get("version", 1)),
        named,
        digest_identifier,
        *([] if attributes is None else [tlv(0xA0, *attributes)]),
        options.get("identifier", IDENTIFIERS[signer.key.kind]),
        octets(options.get("signature") or signer.key.sign(signed)),
        *([tlv(0xA1, *unsigned)] if unsigned else []),
    )
    enclosed, crls = options.get("enclosed", [signer.der]), options.get("crls", ())
    embedded = options.get("embedded")
    data = sequence(
        integer(options.get("data_version", 1)),
        set_of(*options.get("digests", [digest_identifier])),
        sequence(oid(data_type), *([] if embedded is None else [tlv(0xA0, octets(embedded))])),
        *([tlv(0xA0, *enclosed)] if enclosed else []),
        *([tlv(0xA1, *crls)] if crls else []),
        tlv(0x31, *[info] * options.get("copies", 1)),
    )
    return sequence(oid(options.get("signed_type", GM_SIGNED if gm else PKCS_SIGNED)), tlv(0xA0, data))
