"""Authorities, certificates and revocation lists for tests: sound ones, and every defect.

    root = certificates.root()
    authority = certificates.intermediate(root)
    leaf = certificates.leaf(authority)
    chain = [leaf.der, authority.der]
    crls = [certificates.crl(root), certificates.crl(authority, [certificates.revoked(leaf)])]

``cms_messages`` signs with them. Everything is written here byte by byte, by none of the code under test, so
that any part can be wrong. Keys are made once for each kind and name, as RSA keys take long. All is valid
from 2021 to 2030 unless said.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias, TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey

NOT_BEFORE: Final = datetime(2021, 1, 1, tzinfo=UTC)
NOT_AFTER: Final = datetime(2030, 12, 31, 23, 59, 59, tzinfo=UTC)
ISSUED: Final = datetime(2021, 6, 1, 12, tzinfo=UTC)
"""A moment at which all is valid, and no list is yet out of date."""

DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_CERT_SIGN, CRL_SIGN = 0x80, 0x40, 0x04, 0x02
NULL: Final = b"\x05\x00"


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER value."""
    content = b"".join(parts)
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return (
        bytes([tag])
        + (bytes([len(content)]) if len(content) < 128 else bytes([0x80 | len(size)]) + size)
        + content
    )


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    return tlv(0x31, *sorted(parts))


def integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (first * 40 + second, *rest):
        groups = [arc >> shift & 0x7F for shift in range(0, max(arc.bit_length(), 1), 7)]
        content += bytes([group | (0x80 if index else 0) for index, group in enumerate(groups)][::-1])
    return tlv(0x06, content)


def octets(content: bytes) -> bytes:
    return tlv(0x04, content)


def bits(content: bytes) -> bytes:
    return tlv(0x03, b"\0", content)


def time(moment: datetime) -> bytes:
    """RFC 5280, section 4.1.2.5: two digits of the year up to 2049."""
    if moment.year < 2050:
        return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return generalized_time(moment)


def generalized_time(moment: datetime) -> bytes:
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def name(common_name: str, tag: int = 0x0C) -> bytes:
    """C=CN, CN=..."""
    country = tlv(0x31, sequence(oid("2.5.4.6"), tlv(0x13, b"CN")))
    return sequence(country, tlv(0x31, sequence(oid("2.5.4.3"), tlv(tag, common_name.encode()))))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(oid(dotted), *([b"\x01\x01\xff"] if critical else []), octets(value))


class Kind(StrEnum):
    """What kind a key is of, with its signature algorithm."""

    RSA = "RSA"
    RSA_PSS = "RSA-PSS"
    P256 = "P-256"
    P384 = "P-384"
    ED25519 = "Ed25519"
    SM2 = "SM2"


SHA256: Final = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL)
SM3: Final = sequence(oid("1.2.156.10197.1.401"), NULL)
_PSS: Final = sequence(
    oid("1.2.840.113549.1.1.10"),
    sequence(
        tlv(0xA0, SHA256),
        tlv(0xA1, sequence(oid("1.2.840.113549.1.1.8"), SHA256)),
        tlv(0xA2, integer(32)),
    ),
)
IDENTIFIERS: Final = {
    Kind.RSA: sequence(oid("1.2.840.113549.1.1.11"), NULL),
    Kind.RSA_PSS: _PSS,
    Kind.P256: sequence(oid("1.2.840.10045.4.3.2")),
    Kind.P384: sequence(oid("1.2.840.10045.4.3.3")),
    Kind.ED25519: sequence(oid("1.3.101.112")),
    Kind.SM2: sequence(oid("1.2.156.10197.1.501")),
}
"""AlgorithmIdentifier by which a key of each kind signs."""

Private: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey | Sm2PrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """A private key that signs in one way."""

    kind: Kind
    private: Private = field(repr=False)

    @property
    def spki(self) -> bytes:
        if isinstance(self.private, Sm2PrivateKey):
            return self.private.public_key.spki()
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            return private.sign(
                data, pss if self.kind is Kind.RSA_PSS else padding.PKCS1v15(), hashes.SHA256()
            )
        if isinstance(private, ec.EllipticCurvePrivateKey):
            digest = hashes.SHA384() if self.kind is Kind.P384 else hashes.SHA256()
            return private.sign(data, ec.ECDSA(digest))
        return private.sign(data)


@lru_cache(maxsize=64)
def key(kind: Kind, holder: str, sm2_id: bytes = DEFAULT_ID) -> Key:  # noqa: ARG001 - for the cache
    """The key of that kind of that holder: the same for the same arguments."""
    match kind:
        case Kind.RSA | Kind.RSA_PSS:
            return Key(kind, rsa.generate_private_key(65537, 2048))
        case Kind.ED25519:
            return Key(kind, Ed25519PrivateKey.generate())
        case Kind.SM2:
            return Key(kind, Sm2PrivateKey.generate(sm2_id))
        case Kind.P256 | Kind.P384:
            return Key(kind, ec.generate_private_key(ec.SECP256R1() if kind is Kind.P256 else ec.SECP384R1()))


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with the key it certifies."""

    der: bytes = field(repr=False)
    key: Key
    name: bytes
    serial: int

    @property
    def pem(self) -> bytes:
        return pem(self.der, "CERTIFICATE")

    @property
    def parsed(self) -> x509.Certificate:
        """As the cryptography library reads it."""
        return x509.load_der_x509_certificate(self.der)


def pem(der: bytes, label: str) -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


class Options(TypedDict, total=False):
    """All that a certificate can be asked to be, sound or not."""

    kind: Kind  # of its key, P-256 unless said
    key: Key  # instead of the one that ``key(kind, name)`` makes
    serial: int
    subject: bytes  # a name in DER, instead of ``name(common_name)``
    not_before: datetime
    not_after: datetime
    authority: bool | None  # basic constraints; None leaves them out
    path_length: int | None
    usage: int | None  # key usage; None leaves it out
    purposes: Sequence[str] | None  # extended key usage; None leaves it out
    extensions: Sequence[bytes]  # further ones, from ``extension``
    issuer_name: bytes  # instead of the issuer's
    signed_by: Key  # instead of the issuer's
    version: int  # 2 is v3
    identifier: bytes  # of the signature algorithm, in both places
    inner_identifier: bytes  # of the signature algorithm, inside only
    spki: bytes  # instead of the key's


def issue(common_name: str, issuer: Issued | None, **options: Unpack[Options]) -> Issued:
    """A certificate by an issuer, or by itself if there is none."""
    own = options.get("key") or key(options.get("kind", Kind.P256), common_name)
    subject = options.get("subject", name(common_name))
    signer = options.get("signed_by") or (issuer.key if issuer else own)
    identifier = options.get("identifier", IDENTIFIERS[signer.kind])
    serial = options.get("serial", int.from_bytes(hashlib.sha256(common_name.encode()).digest()[:8]))
    tbs = sequence(
        tlv(0xA0, integer(options.get("version", 2))),
        integer(serial),
        options.get("inner_identifier", identifier),
        options.get("issuer_name", issuer.name if issuer else subject),
        sequence(time(options.get("not_before", NOT_BEFORE)), time(options.get("not_after", NOT_AFTER))),
        subject,
        options.get("spki", own.spki),
        tlv(0xA3, sequence(*_extensions(options))),
    )
    return Issued(sequence(tbs, identifier, bits(signer.sign(tbs))), own, subject, serial)


def _extensions(options: Options) -> list[bytes]:
    found = []
    authority, usage = options.get("authority"), options.get("usage")
    if authority is not None:
        length = options.get("path_length")
        parts = [b"\x01\x01\xff"] if authority else []
        parts += [] if length is None else [integer(length)]
        found.append(extension("2.5.29.19", sequence(*parts), critical=True))
    if usage is not None:
        unused = next((n for n in range(8) if usage >> n & 1), 0)
        found.append(extension("2.5.29.15", tlv(0x03, bytes([unused, usage])), critical=True))
    purposes = options.get("purposes")
    if purposes is not None:
        found.append(extension("2.5.29.37", sequence(*map(oid, purposes))))
    return [*found, *options.get("extensions", ())]


_AUTHORITY: Final[Options] = {"authority": True, "usage": KEY_CERT_SIGN | CRL_SIGN}
_LEAF: Final[Options] = {"usage": DIGITAL_SIGNATURE | NON_REPUDIATION}


def root(common_name: str = "根证书机构", **options: Unpack[Options]) -> Issued:
    """A self-signed authority."""
    merged: Options = {**_AUTHORITY, **options}
    return issue(common_name, None, **merged)


def intermediate(issuer: Issued, common_name: str = "中级证书机构", **options: Unpack[Options]) -> Issued:
    """An authority below another."""
    merged: Options = {**_AUTHORITY, **options}
    return issue(common_name, issuer, **merged)


def leaf(issuer: Issued | None, common_name: str = "某培训平台", **options: Unpack[Options]) -> Issued:
    """A signer of documents; without an issuer, self-signed."""
    merged: Options = {**_LEAF, **options}
    return issue(common_name, issuer, **merged)


REASON, INVALIDITY_DATE = "2.5.29.21", "2.5.29.24"


def revoked(
    certificate: Issued,
    at: datetime = datetime(2021, 3, 1, tzinfo=UTC),
    *,
    reason: int | None = None,
    invalid_since: datetime | None = None,
    extensions: Sequence[bytes] = (),
) -> bytes:
    """An entry of a list. Reasons as in RFC 5280, section 5.3.1: 1 is a compromised key, 4 superseded."""
    found = list(extensions)
    if reason is not None:
        found.append(extension(REASON, bytes([0x0A, 1, reason])))
    if invalid_since is not None:
        found.append(extension(INVALIDITY_DATE, generalized_time(invalid_since)))
    return sequence(integer(certificate.serial), time(at), *([sequence(*found)] if found else []))


class ListOptions(TypedDict, total=False):
    """All that a revocation list can be asked to be, sound or not."""

    this_update: datetime
    next_update: datetime | None  # None leaves it out
    extensions: Sequence[bytes]  # instead of a list number
    issuer_name: bytes
    signed_by: Key
    version: int | None  # 1 is v2; None leaves it out
    identifier: bytes
    inner_identifier: bytes


def crl(issuer: Issued, entries: Sequence[bytes] = (), **options: Unpack[ListOptions]) -> bytes:
    """A revocation list, DER; made a day before ``ISSUED`` and current for 30 days unless said."""
    signer = options.get("signed_by", issuer.key)
    identifier = options.get("identifier", IDENTIFIERS[signer.kind])
    this_update = options.get("this_update", ISSUED - timedelta(days=1))
    next_update = options.get("next_update", this_update + timedelta(days=30))
    version = options.get("version", 1)
    extensions = options.get("extensions", [extension("2.5.29.20", integer(1))])
    tbs = sequence(
        *([] if version is None else [integer(version)]),
        options.get("inner_identifier", identifier),
        options.get("issuer_name", issuer.name),
        time(this_update),
        *([] if next_update is None else [time(next_update)]),
        *([sequence(*entries)] if entries else []),
        *([tlv(0xA0, sequence(*extensions))] if extensions else []),
    )
    return sequence(tbs, identifier, bits(signer.sign(tbs)))
