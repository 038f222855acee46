"""Fields at rest: AES-256-GCM with associated data, data keys wrapped under master keys, keyed digests.

A sealed field is ``version (1 byte) || nonce (12 bytes) || ciphertext and tag``; the version byte is
authenticated. What a field is (table, column, row) goes into the associated data, so that a value moved to
another place does not open. Each learner has a data key of their own; erasing its wrapped form erases what it
sealed. Nonces are random: one data key seals fewer than 2^32 fields (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verifier.errors import Code, ConfigurationError
from verifier.ports import RandomBytes
from verifier.signatures.hmac import hmac_sha256

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = len(_VERSION) + _NONCE_BYTES
_KEY_VERSION_BYTES: Final = 4
_WRAP_LABEL: Final = "training-verifier/data-key"
_DIGEST_LABEL: Final = "training-verifier/keyed-digest"
_FEWEST_DISTINCT: Final = 8


def associated_data(*parts: str) -> bytes:
    """What a sealed value belongs to, such as table, column and row, as unambiguous bytes."""
    said = b""
    for part in parts:
        encoded = part.encode("utf-8")
        said += len(encoded).to_bytes(4, "big") + encoded
    return said


def _random(randbytes: RandomBytes, count: int) -> bytes:
    data = randbytes(count)
    if len(data) != count:
        raise ConfigurationError(Code.KEY_REFUSED, "the source of randomness gave too little or too much")
    return data


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "an encryption key has not 32 bytes")
    return AESGCM(key)


def seal(key: bytes, plaintext: bytes, aad: bytes, randbytes: RandomBytes) -> bytes:
    """Encrypt one field.

    Args:
        key: 32 bytes.
        plaintext: the field.
        aad: what it belongs to (``associated_data``); needed again to open it.
        randbytes: a cryptographic source.

    Raises:
        ConfigurationError: KEY_REFUSED, the key or the randomness is not of its length.
    """
    nonce = _random(randbytes, _NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, plaintext, _VERSION + aad)


def open_sealed(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Decrypt one field.

    Args:
        key: the key it was sealed with.
        sealed: from ``seal``.
        aad: as given to ``seal``.

    Raises:
        ConfigurationError: KEY_REFUSED: the wrong key, another place, or altered bytes; which is not said.
    """
    cipher = _cipher(key)
    nonce, ciphertext = sealed[len(_VERSION) : _HEADER_BYTES], sealed[_HEADER_BYTES:]
    if not sealed.startswith(_VERSION) or len(ciphertext) < _TAG_BYTES:
        raise _does_not_open()
    try:
        return cipher.decrypt(nonce, ciphertext, _VERSION + aad)
    except InvalidTag as error:
        raise _does_not_open() from error


def _does_not_open() -> ConfigurationError:
    return ConfigurationError(Code.KEY_REFUSED, "a sealed value does not open")


def new_data_key(randbytes: RandomBytes) -> bytes:
    """A fresh 32-byte key for one learner's fields."""
    return _random(randbytes, KEY_BYTES)


def wrap_key(kek: bytes, key_version: int, data_key: bytes, aad: bytes, randbytes: RandomBytes) -> bytes:
    """Encrypt a data key under a master key: ``key version (4 bytes) || sealed``.

    Args:
        kek: the master key, 32 bytes.
        key_version: its version, 1 to 2^32 - 1; authenticated.
        data_key: 32 bytes.
        aad: whose key it is.
        randbytes: a cryptographic source.

    Raises:
        ConfigurationError: KEY_REFUSED, a key is not of its length.
    """
    if len(data_key) != KEY_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "a data key has not 32 bytes")
    version = key_version.to_bytes(_KEY_VERSION_BYTES, "big")
    return version + seal(kek, data_key, _wrapping(version, aad), randbytes)


def unwrap_key(keks: Mapping[int, bytes], wrapped: bytes, aad: bytes) -> bytes:
    """Decrypt a data key with the master key that its version names.

    Args:
        keks: master keys by version.
        wrapped: from ``wrap_key``.
        aad: as given to ``wrap_key``.

    Raises:
        ConfigurationError: KEY_REFUSED: no such version, or it does not open.
    """
    kek = keks.get(wrapped_version(wrapped))
    if kek is None:
        raise ConfigurationError(Code.KEY_REFUSED, "the master key of a wrapped key is not configured")
    version, sealed = wrapped[:_KEY_VERSION_BYTES], wrapped[_KEY_VERSION_BYTES:]
    return open_sealed(kek, sealed, _wrapping(version, aad))


def wrapped_version(wrapped: bytes) -> int:
    """Under which version of the master key a data key is wrapped: what a rotation looks for."""
    return int.from_bytes(wrapped[:_KEY_VERSION_BYTES], "big")


def _wrapping(version: bytes, aad: bytes) -> bytes:
    return associated_data(_WRAP_LABEL) + version + aad


def keyed_digest(key: bytes, purpose: str, data: bytes) -> bytes:
    """HMAC-SHA256 over data for one purpose: 32 bytes.

    A plain digest of personal data is found by trying; and a digest made for one purpose must not be
    comparable with one made for another, so the purpose is part of what is digested.

    Args:
        key: at least 32 bytes.
        purpose: a fixed word of the caller.
        data: what is digested.

    Raises:
        ConfigurationError: KEY_REFUSED, the key is too short.
    """
    if len(key) < KEY_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "a digest key has fewer than 32 bytes")
    return hmac_sha256(key, _purpose(purpose) + data)


@cache
def _purpose(purpose: str) -> bytes:
    """The words of the callers are few, and fixed."""
    return associated_data(_DIGEST_LABEL, purpose)


@dataclass(frozen=True, slots=True)
class FieldKeys:
    """Every symmetric key for data at rest, by version; no two alike.

    Attributes:
        master_keys: wrap data keys; the current one, older ones until all is wrapped anew, perhaps the next.
        master_version: the one that a new database begins with; afterwards the database says (``rotations``).
        peppers: of the blind index (``verifier.identity.blind_index``).
        pepper_version: the same for the pepper.
        digest_key: for ``keyed_digest``.

    Raises:
        ConfigurationError: KEY_REFUSED: a key is missing, not of 32 bytes, a sample, or used twice.
    """

    master_keys: Mapping[int, bytes] = field(repr=False)
    master_version: int
    peppers: Mapping[int, bytes] = field(repr=False)
    pepper_version: int
    digest_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.master_version not in self.master_keys or self.pepper_version not in self.peppers:
            raise ConfigurationError(Code.KEY_REFUSED, "the key of a current version is missing")
        if not all(0 < version < 2**32 for version in (*self.master_keys, *self.peppers)):
            raise ConfigurationError(Code.KEY_REFUSED, "a key version is not within 1 to 2^32 - 1")
        every = (*self.master_keys.values(), *self.peppers.values(), self.digest_key)
        if any(len(key) != KEY_BYTES or len(set(key)) < _FEWEST_DISTINCT for key in every):
            raise ConfigurationError(Code.KEY_REFUSED, "a key has not 32 bytes, or looks like a sample")
        if len(set(every)) != len(every):
            raise ConfigurationError(Code.KEY_REFUSED, "one key serves two purposes or versions")
        # Copies: the holder of the original mappings must not be able to change the keys in use.
        object.__setattr__(self, "master_keys", MappingProxyType(dict(self.master_keys)))
        object.__setattr__(self, "peppers", MappingProxyType(dict(self.peppers)))

    def wrap(self, data_key: bytes, aad: bytes, randbytes: RandomBytes, version: int | None = None) -> bytes:
        """Wrap a data key under a version of the master key; errors as in ``wrap_key``."""
        version = self.master_version if version is None else version
        return wrap_key(self.master_keys[version], version, data_key, aad, randbytes)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Unwrap a data key under whichever version wrapped it; errors as in ``unwrap_key``."""
        return unwrap_key(self.master_keys, wrapped, aad)

    def digest(self, purpose: str, data: bytes) -> bytes:
        """``keyed_digest`` under the digest key: 32 bytes."""
        return keyed_digest(self.digest_key, purpose, data)
