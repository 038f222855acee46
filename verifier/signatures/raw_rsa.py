"""Signatures of the field of driver-training hours: raw RSA over the digest of body and time.

The sender pads the bare SHA-256 digest by PKCS #1 v1.5 (RFC 8017, section 9.2) *without* the DigestInfo that
names the hash, so that a verifier of SHA256withRSA refuses it and this one refuses SHA256withRSA. The time
stands in milliseconds, and is hashed behind the body as eight bytes, the highest first.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from verifier.errors import SignatureRejected
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import freshness
from verifier.signatures.steps import Step

_MILLISECONDS: Final = re.compile(r"[1-9][0-9]{12}")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2}){256,1024}")


def signed_digest(body: bytes, timestamp: str) -> bytes:
    """What is signed: ``SHA-256(body || time)``, 32 bytes.

    Args:
        body: the raw body; the time has a fixed length, so that its end is never in doubt.
        timestamp: Unix milliseconds: 13 ASCII digits.

    Raises:
        SignatureRejected: ``malformed``.
    """
    if _MILLISECONDS.fullmatch(timestamp) is None:
        raise SignatureRejected(Step.MALFORMED)
    return hashlib.sha256(body + int(timestamp).to_bytes(8)).digest()


def sign(*, body: bytes, timestamp: str, private_key: rsa.RSAPrivateKey) -> str:
    """The signature in upper-case hexadecimal digits; arguments and errors as in ``signed_digest``."""
    digest = signed_digest(body, timestamp)
    return private_key.sign(digest, padding.PKCS1v15(), NoDigestInfo()).hex().upper()


def verify(
    *,
    body: bytes,
    timestamp: str,
    signature_hex: str,
    public_key: rsa.RSAPublicKey,
    now: datetime,
    tolerance_seconds: int = 300,
) -> datetime:
    """Verifies a signature.

    The caller still owes: the key of the serial number that the request names, the limits on the body, and
    the delivery id's claim; a replay within the window verifies.

    Args:
        body: the raw body.
        timestamp: as received.
        signature_hex: as received: upper-case hexadecimal digits.
        public_key: a vetted key of 2048 to 8192 bits.
        now: the current time, aware.
        tolerance_seconds: greatest distance of the signed time from ``now``, the boundary included.

    Returns:
        The signed time, UTC.

    Raises:
        SignatureRejected: ``malformed``, ``timestamp`` or ``signature``; nothing else.
    """
    digest = signed_digest(body, timestamp)
    if _HEX.fullmatch(signature_hex) is None:
        raise SignatureRejected(Step.MALFORMED)
    try:
        at = parse_moment(timestamp, TimeFormat.EPOCH_MILLISECONDS)
    except ValueError as error:
        raise SignatureRejected(Step.TIMESTAMP) from error  # beyond the last year that anything here knows
    freshness.check(at, now=now, tolerance_seconds=tolerance_seconds)
    try:
        # With the padding's form checked, 32 bytes have one padding for a modulus: nothing is left open.
        recovered = public_key.recover_data_from_signature(
            bytes.fromhex(signature_hex), padding.PKCS1v15(), None
        )
    except InvalidSignature as error:
        raise SignatureRejected(Step.SIGNATURE) from error
    if recovered != digest:
        raise SignatureRejected(Step.SIGNATURE)
    return at
