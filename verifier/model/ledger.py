"""What passes between the ledger's arithmetic (``merkle``, ``ledger``), the store and the web."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HASH_BYTES: Final = 32
"""Length of every hash of the tree: SHA-256."""

TILE_WIDTH: Final = 256
"""Hashes in a full tile; a tile spans eight levels of the tree (C2SP tlog-tiles)."""

KINDS: Final = frozenset(
    {
        "record",
        "superseded",
        "claim",
        "clawback",
        "freeze",
        "objection",
        "merge",
        "erasure",
        "retention",
        "adoption",
        "evidence",
    }
)
"""Every kind of entry. Whoever asks for another is told so: a slip must not pass for an empty answer."""

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree at (level, index), as it was stored."""


@dataclass(frozen=True, slots=True)
class Node:
    """The root of a complete subtree of 2**level leaves; stored once and never changed.

    Attributes:
        level: height above the leaves; 0 is a leaf hash.
        index: position within the level, from 0; it covers leaves [index * 2**level, (index + 1) * 2**level).
        hash: 32 bytes.
    """

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head (C2SP tlog-checkpoint).

    Attributes:
        origin: the log's name, such as ``bureau.example/training-ledger``.
        size: number of leaves.
        root: RFC 6962 Merkle tree hash of these leaves, 32 bytes.
    """

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Tile:
    """The coordinates of a tile of hashes or of a bundle of entries (C2SP tlog-tiles).

    Attributes:
        level: 0 to 63 for hashes, where level L holds the nodes of tree level 8 * L; None for entries.
        index: position within the level, from 0.
        width: 1 to 256 hashes or entries; below 256 the tile is partial.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def first(self) -> int:
        """Index of its first node within the tree level it holds (of its first entry, for a bundle)."""
        return self.index * TILE_WIDTH

    @property
    def tree_size(self) -> int:
        """Number of leaves from which on the tile exists; in a smaller tree it must not be served."""
        return (self.first + self.width) << 8 * (self.level or 0)
