"""Fingerprints, by which two people compare a key over the telephone or from a sealed letter."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from verifier.signatures import keys, x509_form
from verifier.signatures.jws import REGISTERABLE, VerificationKey

GROUP: Final = 4


def grouped(digest: bytes) -> str:
    """A digest in hexadecimal, in groups that can be read aloud."""
    digits = digest.hex()
    return " ".join(digits[start : start + GROUP] for start in range(0, len(digits), GROUP))


def of_key(key: VerificationKey) -> dict[str, str]:
    """Fingerprints of a public key.

    Returns:
        ``spki_sha256``: of the SubjectPublicKeyInfo, as ``openssl pkey -pubin -outform DER`` writes it; for
        keys that JOSE knows also ``jwk_thumbprint`` (RFC 7638).
    """
    assert not isinstance(key.public, bytes)
    found = {"spki_sha256": grouped(sha256(keys.spki(key.public)).digest())}
    if key.algorithm in REGISTERABLE:
        found["jwk_thumbprint"] = keys.thumbprint(keys.public_jwk(key))
    return found


def of_certificate(der: bytes) -> dict[str, str]:
    """Fingerprints of an authority's certificate, and of its key."""
    return {
        "certificate_sha256": grouped(sha256(der).digest()),
        "spki_sha256": grouped(sha256(x509_form.read(der).spki).digest()),
    }
