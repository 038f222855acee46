"""Standard Webhooks 1.0: ``v1`` (HMAC-SHA256) and ``v1a`` (Ed25519) over ``id.timestamp.body``."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures.freshness import signed_at
from verifier.signatures.hmac import equal, hmac_sha256
from verifier.signatures.steps import Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_SIGNATURES: Final = 5
"""Signatures in one header: each may cost a verification, and a rotation needs two."""
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
# Both stand in the specification's own libraries and in countless tutorials: everybody knows them.
_PUBLISHED_SECRETS: Final = frozenset(
    {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
)
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_\-.]{1,128}")
_ENTRY: Final = r"[a-z0-9]{1,8},[A-Za-z0-9+/=]{1,128}"
# An unknown version is skipped, as the specification asks; its form is still checked.
_SIGNATURES: Final = re.compile(
    rf"{_ENTRY}(?: {_ENTRY}){{0,{MAX_SIGNATURES - 1}}}",
)


def _signed_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode("ascii") + body


def _v1(content: bytes, secret: bytes) -> bytes:
    return base64.b64encode(hmac_sha256(secret, content))


def _holds_v1a(content: bytes, signature: str, key: Ed25519PublicKey) -> bool:
    try:
        decoded = binascii.a2b_base64(signature, strict_mode=True)
        key.verify(decoded, content)
    except (binascii.Error, InvalidSignature):
        return False
    # Only the canonical spelling, as for v1.
    return base64.b64encode(decoded).decode("ascii") == signature


def _any_holds(
    signatures: str, content: bytes, secrets: Sequence[bytes], public_keys: Sequence[Ed25519PublicKey]
) -> bool:
    expected = [_v1(content, secret) for secret in secrets]
    for entry in signatures.split(" "):
        version, _, value = entry.partition(",")
        if version == "v1" and any(equal(one, value.encode("ascii")) for one in expected):
            return True
        if version == "v1a" and any(_holds_v1a(content, value, key) for key in public_keys):
            return True
    return False


def verify(
    *,
    message_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    secrets: Sequence[bytes],
    public_keys: Sequence[Ed25519PublicKey],
    now: datetime,
    tolerance_seconds: int = 300,
) -> datetime:
    """Verifies one delivery; any one signature under any one configured key is enough.

    The caller still owes: that each header came exactly once, the limits on the body, and the claim of the
    message id; a replay within the window verifies.

    Args:
        message_id: header ``webhook-id``: 1 to 128 of ``A-Z a-z 0-9 _ - .``.
        timestamp: header ``webhook-timestamp``: Unix seconds, 1 to 12 ASCII digits.
        signatures: header ``webhook-signature``: at most 5, separated by single spaces.
        body: the raw body.
        secrets: decoded secrets, old and new during rotation; one under 24 bytes counts as none.
        public_keys: Ed25519 keys, old and new during rotation.
        now: the current time, aware.
        tolerance_seconds: greatest distance of the signed time from ``now``, the boundary included.

    Returns:
        The signed time, UTC.

    Raises:
        SignatureRejected: ``malformed``, ``no_key``, ``timestamp`` or ``signature``; nothing else.
    """
    if _MESSAGE_ID.fullmatch(message_id) is None or _SIGNATURES.fullmatch(signatures) is None:
        raise SignatureRejected(Step.MALFORMED)
    usable = [secret for secret in secrets if len(secret) >= MIN_SECRET_BYTES]
    if not usable and not public_keys:
        raise SignatureRejected(Step.NO_KEY)
    at = signed_at(timestamp, now=now, tolerance_seconds=tolerance_seconds)
    if not _any_holds(signatures, _signed_content(message_id, timestamp, body), usable, public_keys):
        raise SignatureRejected(Step.SIGNATURE)
    return at


def sign_v1(*, message_id: str, timestamp: int, body: bytes, secret: bytes) -> str:
    """One entry of ``webhook-signature`` by HMAC-SHA256; ``timestamp`` in Unix seconds."""
    return "v1," + _v1(_signed_content(message_id, str(timestamp), body), secret).decode("ascii")


def sign_v1a(*, message_id: str, timestamp: int, body: bytes, private_key: Ed25519PrivateKey) -> str:
    """One entry of ``webhook-signature`` by Ed25519; ``timestamp`` in Unix seconds."""
    signature = private_key.sign(_signed_content(message_id, str(timestamp), body))
    return "v1a," + base64.b64encode(signature).decode("ascii")


def decode_secret(text: str) -> bytes:
    """Decodes a secret in the specification's form: ``whsec_`` and the base64 of 24 to 64 bytes.

    Raises:
        ConfigurationError: ``key_refused``: another form, another length, or a secret that stands in the
            specification for everyone to read.
    """
    encoded = text.removeprefix("whsec_")
    try:
        secret = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:
        raise ConfigurationError(Code.KEY_REFUSED, "a webhook secret is not base64") from error
    if text == encoded or base64.b64encode(secret).decode("ascii") != encoded:
        raise ConfigurationError(Code.KEY_REFUSED, "a webhook secret is not whsec_ and canonical base64")
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "a webhook secret is not of 24 to 64 bytes")
    if encoded in _PUBLISHED_SECRETS:
        raise ConfigurationError(Code.KEY_REFUSED, "a webhook secret is a published sample")
    return secret
