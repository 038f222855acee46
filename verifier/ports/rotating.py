"""What a rotation of the pepper or of the master key does in the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from verifier.model.rotation import Progress, Rotated, Turn


class RotatingTransaction(Protocol):
    """One step of a rotation."""

    def begin_step(self, name: Rotated) -> tuple[Turn, Progress]:
        """Take turns with every other step; where it stands, held to the transaction's end."""
        ...

    def known(self, name: Rotated) -> Collection[int]:
        """Versions that are configured."""
        ...

    def move(self, name: Rotated, turn: Turn, progress: Progress, at: datetime) -> None:
        """Move the phase on; waits until no transaction is in flight that read the one before."""
        ...

    def note(self, name: Rotated, progress: Progress, at: datetime) -> None:
        """Remember how far the phase's work has come."""
        ...

    def count(self, name: Rotated) -> int:
        """Rows that the phase's work goes through."""
        ...

    def fill_in(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Give rows of the old version their twins under the new one.

        Returns:
            How many rows were gone through, and the key of the last one.

        Raises:
            ConfigurationError: KEY_REFUSED, a row's index does not follow from its value.
        """
        ...

    def without_twin(self) -> tuple[int, int]:
        """Rows of the old version without a twin: of learners whose key is there, and of erased ones."""
        ...

    def drop(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Delete rows of the old version, in sorted order; answers as ``fill_in``."""
        ...

    def rewrap(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Wrap data keys anew that another version than the new one wraps; answers as ``fill_in``."""
        ...

    def wrapped_otherwise(self) -> int:
        """Data keys that are wrapped under another version than the one in force."""
        ...

    def rows(self, name: Rotated) -> Mapping[int, int]:
        """Rows by the version they are indexed or wrapped under."""
        ...

    def standing(self, name: Rotated) -> tuple[Turn, Progress]:
        """Where it stands, for looking only."""
        ...
