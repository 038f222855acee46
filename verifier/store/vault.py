"""Sealing for one transaction: learners' data keys, once unwrapped, and what is sealed with them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from verifier.errors import AccessDenied, Code, Conflict
from verifier.identity import blind_index, keyed_index
from verifier.model.person import Identifier, Trait
from verifier.ports import NewId, RandomBytes
from verifier.sealing import FieldKeys, associated_data, new_data_key, open_sealed, seal

_WRAPPED_BYTES = 65
"""Length of a wrapped data key: key version 4, form 1, nonce 12, key 32, tag 16."""


class Vault:
    """Seals and opens columns. A value without a learner gets a data key of its own, wrapped before it."""

    def __init__(self, keys: FieldKeys, randbytes: RandomBytes, new_id: NewId) -> None:
        self._keys = keys
        self._learners: dict[str, bytes | None] = {}
        self._wrapped: dict[str, bytes] = {}
        self.wraps_under: Callable[[], int] = lambda: keys.master_version
        """The master key's version that new data keys are wrapped under; a transaction asks the database."""
        self.randbytes = randbytes
        self.new_id = new_id

    @property
    def keys(self) -> FieldKeys:
        """Every version of every key."""
        return self._keys

    def blind_index(self, identifier: Identifier | Trait, version: int) -> bytes:
        """The identifier's index under a version of the pepper: 32 bytes."""
        return blind_index(identifier, self._keys.peppers[version])

    def index_again(self, kind: str, value: bytes, version: int) -> bytes:
        """The index of a stored identifier or trait, from its kind and its opened value."""
        return keyed_index(kind, value.decode(), self._keys.peppers[version])

    def digest(self, purpose: str, data: bytes) -> bytes:
        """Keyed digest of data for one purpose: 32 bytes."""
        return self._keys.digest(purpose, data)

    def lacking(self, learners: Collection[str]) -> set[str]:
        """Those of the learners whose key is not loaded."""
        return {learner for learner in learners if learner not in self._learners}

    def create_key(self, learner: str) -> None:
        """Make a data key for a new learner."""
        key = new_data_key(self.randbytes)
        self._learners[learner] = key
        self._wrapped[learner] = self._wrap(key, associated_data("learners.sealed_key", learner))

    def _wrap(self, key: bytes, aad: bytes) -> bytes:
        return self._keys.wrap(key, aad, self.randbytes, self.wraps_under())

    def rewrap(self, column: str, row: str, sealed: bytes) -> bytes:
        """A wrapped key, or a value behind its own, with the key wrapped anew; errors as ``unwrap``.

        The value behind it stays as it is.
        """
        aad = associated_data(column, row)
        wrapped, value = sealed[:_WRAPPED_BYTES], sealed[_WRAPPED_BYTES:]
        return self._wrap(self._keys.unwrap(wrapped, aad), aad) + value

    def sealed_key(self, learner: str) -> bytes:
        """The wrapped form of a key made by ``create_key``."""
        return self._wrapped[learner]

    def load(self, learner: str, sealed: bytes | None) -> None:
        """Unwrap a learner's key; None is an erased one."""
        key = None
        if sealed is not None:
            key = self._keys.unwrap(bytes(sealed), associated_data("learners.sealed_key", learner))
        self._learners[learner] = key

    def erased(self, learner: str) -> bool:
        """Whether a loaded learner's key was destroyed."""
        return self._learners[learner] is None

    def seal(self, learner: str | None, column: str, row: str, value: bytes) -> bytes:
        """Encrypt a column's value for its row.

        Args:
            learner: whose key; it must be loaded or created. None for what is no learner's.
            column: ``table.column``.
            row: the row's key.
            value: the plaintext.

        Raises:
            Conflict: LEARNER_ERASED, the key was destroyed.
            AccessDenied: NOT_FOUND, there is no such learner.
        """
        aad = associated_data(column, row)
        if learner is not None:
            if learner not in self._learners:
                raise AccessDenied(Code.NOT_FOUND, "no such learner", pointer="learner")
            key = self._learners[learner]
            if key is None:
                raise Conflict(Code.LEARNER_ERASED, "the learner's key was destroyed", pointer="learner")
            return seal(key, value, aad, self.randbytes)
        key = new_data_key(self.randbytes)
        return self._wrap(key, aad) + seal(key, value, aad, self.randbytes)

    def seal_apart(self, key_column: str, column: str, row: str, value: bytes) -> tuple[bytes, bytes]:
        """Encrypt a value that evidence covers, under a data key that stands in a column of its own.

        So the key can be wrapped anew, or destroyed, while the covered bytes stay as they are.

        Args:
            key_column: ``table.column`` of the wrapped key.
            column: ``table.column`` of the value.
            row: the row's key.
            value: the plaintext.

        Returns:
            The wrapped key, and the sealed value.
        """
        key = new_data_key(self.randbytes)
        sealed = seal(key, value, associated_data(column, row), self.randbytes)
        return self._wrap(key, associated_data(key_column, row)), sealed

    def open_apart(self, wrapped: bytes, key_column: str, column: str, row: str, sealed: bytes) -> bytes:
        """Decrypt what ``seal_apart`` encrypted."""
        key = self._keys.unwrap(bytes(wrapped), associated_data(key_column, row))
        return open_sealed(key, bytes(sealed), associated_data(column, row))

    def open(self, learner: str | None, column: str, row: str, sealed: bytes) -> bytes | None:
        """Decrypt a column's value; None when the learner's key was destroyed."""
        aad = associated_data(column, row)
        sealed = bytes(sealed)
        if learner is None:
            key: bytes | None = self._keys.unwrap(sealed[:_WRAPPED_BYTES], aad)
            sealed = sealed[_WRAPPED_BYTES:]
        else:
            key = self._learners[learner]
        return None if key is None else open_sealed(key, sealed, aad)
