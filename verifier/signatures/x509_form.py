"""The form of X.509 certificates (RFC 5280, section 4): what one says, before anything of it is believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography.hazmat import asn1

from verifier.signatures import authority, der
from verifier.signatures.authority import Statement

MAX_CERTIFICATE_BYTES: Final = 8192
MAX_CACHED: Final = 256

_V3: Final = 2
_MAX_SERIAL_BITS: Final = 160
"""20 octets (RFC 5280, section 4.1.2.2)."""

_SUBJECT_KEY_ID: Final = "2.5.29.14"
_KEY_USAGE: Final = "2.5.29.15"
_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_NAME_CONSTRAINTS: Final = "2.5.29.30"
_EXTENDED_KEY_USAGE: Final = "2.5.29.37"
_UNDERSTOOD: Final = frozenset({_KEY_USAGE, _BASIC_CONSTRAINTS, _EXTENDED_KEY_USAGE})

_SIGNING_PURPOSES: Final = frozenset(
    {
        "2.5.29.37.0",  # any
        "1.3.6.1.5.5.7.3.2",  # client authentication: what certificates on USB keys say
        "1.3.6.1.5.5.7.3.4",  # e-mail protection: signed content of any kind
        "1.3.6.1.5.5.7.3.36",  # document signing (RFC 9336)
        "1.3.6.1.4.1.311.10.3.12",  # document signing, Microsoft
        "1.2.840.113583.1.1.5",  # document signing, Adobe
    },
)
"""Purposes that include signing a document. A certificate made for servers, code or time stamps alone is
not used for what its authority did not look at (RFC 5280, section 4.2.1.12)."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose form is right; nothing in it is believed yet.

    Attributes:
        der: as read.
        statement: what its issuer signed, with the signature.
        serial: number within its issuer.
        issuer: name, DER.
        subject: name, DER.
        not_before: aware, UTC; the boundary is included.
        not_after: the same.
        spki: the key certified.
        authority: whether it may certify others.
        path_length: how many authorities may stand between it and a leaf; None is any number.
        usage: the first eight bits of key usage; None where it says nothing.
        signs_documents: whether its purposes, where it names any, include that.
        unsupported: whether it holds a critical extension that is not followed here, or name constraints.
        key_id: the subject key identifier, where there is one.
    """

    der: bytes = field(repr=False)
    statement: Statement = field(repr=False)
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    spki: bytes
    authority: bool
    path_length: int | None
    usage: int | None
    signs_documents: bool
    unsupported: bool
    key_id: bytes | None


def _usage(extension: der.Extension | None) -> int | None:
    if extension is None:
        return None
    bits = der.decode(asn1.BitString, extension.value).as_bytes()
    return bits[0] if bits else 0


def _constraints(extension: der.Extension | None) -> tuple[bool, int | None]:
    if extension is None:
        return False, None
    constraints = der.decode(der.BasicConstraints, extension.value)
    if constraints.path_length is not None and (constraints.path_length < 0 or not constraints.authority):
        raise der.malformed()
    return constraints.authority, constraints.path_length


def _signs_documents(extension: der.Extension | None) -> bool:
    if extension is None:
        return True
    purposes = {purpose.dotted_string for purpose in der.purposes(extension.value)}
    return not _SIGNING_PURPOSES.isdisjoint(purposes)


@lru_cache(maxsize=MAX_CACHED)
def read(data: bytes) -> Certificate:
    """Takes a certificate apart without believing it.

    Raises:
        SignatureRejected: ``malformed``; nothing else, whatever the bytes.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise der.malformed()
    statement = authority.statement(data)
    tbs = der.decode(der.TbsCertificate, statement.tbs)
    if tbs.version != _V3 or tbs.serial < 0 or tbs.serial.bit_length() > _MAX_SERIAL_BITS:
        raise der.malformed()
    if der.encode(tbs.signature) != statement.identifier or not (tbs.issuer.data and tbs.subject.data):
        raise der.malformed()
    extensions = der.by_id(tbs.extensions)
    certifies, path_length = _constraints(extensions.get(_BASIC_CONSTRAINTS))
    critical = {name for name, extension in extensions.items() if extension.critical}
    key_id = extensions.get(_SUBJECT_KEY_ID)
    return Certificate(
        der=data,
        statement=statement,
        serial=tbs.serial,
        issuer=der.encode(tbs.issuer),
        subject=der.encode(tbs.subject),
        not_before=der.moment(tbs.validity.not_before),
        not_after=der.moment(tbs.validity.not_after),
        spki=der.encode(tbs.spki),
        authority=certifies,
        path_length=path_length,
        usage=_usage(extensions.get(_KEY_USAGE)),
        signs_documents=_signs_documents(extensions.get(_EXTENDED_KEY_USAGE)),
        unsupported=not critical <= _UNDERSTOOD or _NAME_CONSTRAINTS in extensions,
        key_id=None if key_id is None else der.decode(bytes, key_id.value),
    )
