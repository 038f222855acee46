"""The sandbox's certificate authority: a root, a signer's certificate under it, and its revocation list.

The list is made before the first certificate is used and stays current until the certificates end, so that no
demonstration ever fails by its age. A real authority writes a new one every few days.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from verifier.ports import RandomBytes

START: Final = datetime(2021, 1, 1, tzinfo=UTC)
END: Final = datetime(2049, 12, 31, tzinfo=UTC)
"""From when to when everything here is valid."""

_SERIAL_BYTES: Final = 16
"""RFC 5280, section 4.1.2.2: at most 20."""
_USAGES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def root(key: ec.EllipticCurvePrivateKey, name: str, randbytes: RandomBytes) -> x509.Certificate:
    """A root's own certificate.

    Args:
        key: its key.
        name: its common name.
        randbytes: for the serial number.
    """
    return (
        _builder(_name(name), _name(name), key.public_key(), randbytes)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )


def leaf(
    issuer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey | Ed25519PublicKey,
    name: str,
    randbytes: RandomBytes,
) -> x509.Certificate:
    """A signer's certificate.

    Args:
        issuer: the root's.
        key: the root's.
        public: the signer's.
        name: the signer's common name.
        randbytes: for the serial number.
    """
    return (
        _builder(issuer.subject, _name(name), public, randbytes)
        .add_extension(_usage("digital_signature"), critical=True)
        .sign(key, hashes.SHA256())
    )


def revocation_list(
    issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateRevocationList:
    """A list on which nothing is revoked.

    Args:
        issuer: the root's certificate.
        key: the root's.
    """
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    return builder.last_update(START).next_update(END).sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "CN")
    return x509.Name([country, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey | Ed25519PublicKey,
    randbytes: RandomBytes,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(1 + int.from_bytes(randbytes(_SERIAL_BYTES)))
        .not_valid_before(START)
        .not_valid_after(END)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})
