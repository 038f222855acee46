"""Secrets that this service gives to clients which know nothing better (RFC 6749, section 2.3.1).

A secret is made here, shown once, and stored as a salted digest. It has 256 random bits, so that nobody finds
it by trying: the digest need not be slow, as one of a password that a person chose would have to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from verifier.errors import Code, ConfigurationError
from verifier.signatures import base64url, hmac

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16

_FORM: Final = "hmac-sha256"


def new(randbytes: Callable[[int], bytes]) -> tuple[str, str]:
    """A fresh secret.

    Args:
        randbytes: a cryptographic source.

    Returns:
        The secret, 43 characters of base64url, and what to store of it.

    Raises:
        ConfigurationError: KEY_REFUSED, the source gave too little.
    """
    secret, salt = randbytes(SECRET_BYTES), randbytes(SALT_BYTES)
    if len(secret) != SECRET_BYTES or len(salt) != SALT_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "the source of randomness gave too little or too much")
    text = base64url.encode(secret)
    return text, stored(text, salt)


def stored(secret: str, salt: bytes) -> str:
    """What is stored of a secret: ``hmac-sha256.<salt>.<HMAC-SHA256 of the secret under the salt>``."""
    digest = hmac.hmac_sha256(salt, secret.encode("utf-8"))
    return f"{_FORM}.{base64url.encode(salt)}.{base64url.encode(digest)}"


def matches(secret: str, known: Iterable[str]) -> bool:
    """Whether a secret is one of those that were stored.

    All are compared, each in constant time, so that the time says neither which it was nor how near.

    Args:
        secret: as a caller gives it; any text.
        known: from ``stored``; none is never a match.

    Raises:
        ConfigurationError: KEY_REFUSED, what is stored is not from ``stored``.
    """
    return sum(_is(secret, one) for one in known) > 0


def _is(secret: str, known: str) -> bool:
    try:
        _, salt, _ = known.split(".")
        expected = stored(secret, base64url.decode(salt))
    except ValueError:
        raise ConfigurationError(Code.KEY_REFUSED, "a stored client secret is malformed") from None
    return hmac.equal(expected.encode("ascii"), known.encode("utf-8"))
