"""The project's only comparison of secrets, and keyed digests (RFC 2104)."""

from __future__ import annotations

import hmac
from typing import Literal


def equal(a: bytes, b: bytes) -> bool:
    """Compares two secrets in a time that does not depend on where they differ.

    Every comparison with a secret goes through here, which a test checks. Bytes only: on text outside ASCII
    the standard library raises instead of answering.
    """
    return hmac.compare_digest(a, b)


def digest(key: bytes, message: bytes, hash_name: Literal["sha256", "sha384", "sha512"]) -> bytes:
    """HMAC of ``message`` with the named hash."""
    return hmac.digest(key, message, hash_name)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 of ``message``: 32 bytes."""
    return hmac.digest(key, message, "sha256")
