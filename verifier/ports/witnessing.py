"""What is kept of witnesses, and how they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The newest cosignature of one witness.

    Attributes:
        size: of the tree that it is about.
        checkpoint: that checkpoint as the log signed it, without cosignatures.
        line: the signature line, newline included.
        at: when the witness made it, by its own clock.
    """

    witness: str
    size: int
    checkpoint: bytes
    line: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back from a witness.

    Attributes:
        status: of HTTP.
        body: cut off behind the longest that is read.
    """

    status: int
    body: bytes


class Ask(Protocol):
    """Sends a request and reads the answer; bounded in time and size."""

    async def __call__(self, url: str, body: bytes) -> Answered | None:
        """POST; None if there was no answer."""
        ...


class WitnessedStore(Protocol):
    """The ledger, as far as witnesses are concerned."""

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint; empty while the ledger is."""
        ...

    async def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Stored complete subtrees by (level, index)."""
        ...

    async def cosignatures(self) -> Sequence[Cosigned]:
        """The newest of each witness, by the witness's name."""
        ...

    async def keep_cosignature(self, cosigned: Cosigned) -> None:
        """Keep it in place of an older one of the same witness; one of a smaller tree changes nothing."""
        ...
