"""Gateway signatures: HMAC-SHA256 over method, path, time and body digest, with a key id beside it.

The key id travels in a header of its own and only selects the secret; it is not signed, because a wrong one
selects a secret under which the signature does not hold.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from verifier.errors import SignatureRejected
from verifier.signatures.freshness import signed_at
from verifier.signatures.hmac import equal, hmac_sha256
from verifier.signatures.steps import Step

if TYPE_CHECKING:
    from datetime import datetime

MIN_SECRET_BYTES: Final = 16
"""Shorter secrets count as none: 112 bits is the least that NIST SP 800-131A allows for HMAC."""
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
# No space, no control character: a line break in the path could stand for another field.
_PATH: Final = re.compile(r"/[\x21-\x7e]{0,2047}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


def canonical_request(method: str, path: str, timestamp: str, body: bytes) -> bytes:
    """What is signed: ``METHOD LF PATH LF TIMESTAMP LF hex(SHA-256(body))``.

    Args:
        method: HTTP method, upper case.
        path: request target as sent, with its query.
        timestamp: Unix seconds, ASCII digits.
        body: the raw body.

    Raises:
        SignatureRejected: ``malformed``: a field could not be told from its neighbours.
    """
    fields = ((_METHOD, method), (_PATH, path), (_TIMESTAMP, timestamp))
    if any(form.fullmatch(field) is None for form, field in fields):
        raise SignatureRejected(Step.MALFORMED)
    return f"{method}\n{path}\n{timestamp}\n{hashlib.sha256(body).hexdigest()}".encode("ascii")


def sign(*, method: str, path: str, timestamp: str, body: bytes, secret: bytes) -> str:
    """The signature of a request: 64 lower-case hexadecimal digits. Arguments as in ``canonical_request``.

    Raises:
        SignatureRejected: ``no_key`` or ``malformed``.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise SignatureRejected(Step.NO_KEY)
    return hmac_sha256(secret, canonical_request(method, path, timestamp, body)).hex()


def verify(
    *,
    method: str,
    path: str,
    timestamp: str,
    signature_hex: str,
    body: bytes,
    secret: bytes,
    now: datetime,
    tolerance_seconds: int = 90,
) -> datetime:
    """Verifies a gateway signature.

    The caller still owes: the secret of the key id that the request names, the limits on the body, and the
    delivery id's claim; a replay within the window verifies.

    Args:
        method: HTTP method, upper case.
        path: request target as sent, with its query.
        timestamp: the time header as received.
        signature_hex: the signature header as received.
        body: the raw body.
        secret: at least 16 bytes; a shorter one is no secret.
        now: the current time, aware.
        tolerance_seconds: greatest distance of the signed time from ``now``, the boundary included.

    Returns:
        The signed time, UTC.

    Raises:
        SignatureRejected: ``malformed``, ``no_key``, ``timestamp`` or ``signature``; nothing else.
    """
    if _HEX.fullmatch(signature_hex) is None:
        raise SignatureRejected(Step.MALFORMED)
    at = signed_at(timestamp, now=now, tolerance_seconds=tolerance_seconds)
    expected = sign(method=method, path=path, timestamp=timestamp, body=body, secret=secret)
    if not equal(expected.encode("ascii"), signature_hex.encode("ascii")):
        raise SignatureRejected(Step.SIGNATURE)
    return at
