"""The append-only Merkle tree of RFC 6962 and RFC 9162 over SHA-256; pure.

Only complete subtrees are ever stored (``Node``), each once: a node never changes when the tree grows, so
that proofs for every earlier size can be made from the same rows. What is incomplete, the right edge, is
folded together again when asked for; at most one node a level is read for it.

A proof reads nodes through a ``NodeReader``. A store that answers only asynchronously asks ``coordinates``
first which nodes a proof needs, fetches them at once, and then lets the proof read from what was fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from verifier.errors import Code, LedgerRefused
from verifier.model.ledger import HASH_BYTES, Node, NodeReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962, 2.1)."""

_LEAF_PREFIX: Final = b"\x00"
_NODE_PREFIX: Final = b"\x01"


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body): the 32-byte hash of an entry (RFC 6962, 2.1)."""
    return sha256(_LEAF_PREFIX + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the 32-byte hash over two subtrees (RFC 6962, 2.1)."""
    return sha256(_NODE_PREFIX + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append to it and to tell its root.

    Attributes:
        size: number of leaves.
        hashes: roots of the complete subtrees that make up the tree, largest first; one for each bit set in
            ``size``.

    Raises:
        LedgerRefused: size and hashes do not belong together.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise _refused("a frontier has one hash for each bit set in its size")
        _require_hashes(self.hashes)

    @classmethod
    def read(cls, size: int, node: NodeReader) -> Frontier:
        """The frontier a tree had at a size, present or past, from its stored nodes.

        Raises:
            LedgerRefused: the size is negative or a node is not 32 bytes.
        """
        if size < 0:
            raise _refused("a tree has no negative size")
        return cls(size, tuple(node(level, index) for level, index in _peaks(0, size)))

    def root(self) -> bytes:
        """The Merkle tree hash, 32 bytes; ``EMPTY_ROOT`` without leaves."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT

    def append(self, leaf_hashes: Sequence[bytes]) -> tuple[Frontier, list[Node]]:
        """The tree with more leaves, and every node that became complete by them, leaves included.

        Args:
            leaf_hashes: results of ``leaf_hash``, in order.

        Returns:
            the new frontier, and the nodes to store, children before parents.

        Raises:
            LedgerRefused: a leaf hash is not 32 bytes.
        """
        _require_hashes(leaf_hashes)
        size, edge, completed = self.size, list(self.hashes), list[Node]()
        for leaf in leaf_hashes:
            level, index, current = 0, size, leaf
            completed.append(Node(level, index, current))
            while index & 1:
                level, index, current = level + 1, index >> 1, node_hash(edge.pop(), current)
                completed.append(Node(level, index, current))
            edge.append(current)
            size += 1
        return Frontier(size, tuple(edge)), completed


def tree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of all leaves at once; what ``Frontier().append(...)`` comes to, and faster.

    Raises:
        LedgerRefused: a leaf hash is not 32 bytes.
    """
    _require_hashes(leaf_hashes)
    level = list(leaf_hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        joined = [sha256(_NODE_PREFIX + left + right).digest() for left, right in pairs]
        # One without a partner goes up as it is: the tree of RFC 6962 splits at powers of two.
        level = joined + level[-1:] if len(level) % 2 else joined
    return level[0] if level else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The audit path of a leaf in the tree of ``size`` leaves (RFC 9162, 2.1.3.1).

    Raises:
        LedgerRefused: there is no leaf ``index`` in a tree of that size.
    """
    if not 0 <= index < size:
        raise _refused("the leaf lies outside the tree")
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(_subtree(split, end, node))
            end = split
        else:
            path.append(_subtree(start, split, node))
            start = split
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """The proof that the tree of ``new`` leaves begins with the ``old`` ones (RFC 9162, 2.1.4.1).

    Empty when the sizes are equal, and when ``old`` is 0: every tree begins with the empty one.

    Raises:
        LedgerRefused: the sizes are negative or shrink.
    """
    if not 0 <= old <= new:
        raise _refused("the older tree is larger than the newer one")
    if old in {0, new}:
        return []
    start, end, path = 0, new, list[bytes]()
    while old != end:
        split = start + _split(end - start)
        if old <= split:
            path.append(_subtree(split, end, node))
            end = split
        else:
            path.append(_subtree(start, split, node))
            start = split
    # The verifier knows the old root; it is told the last subtree only where that is not the old root itself.
    last = [_subtree(start, end, node)] if start else []
    return last + path[::-1]


def coordinates(read: Callable[[NodeReader], object]) -> list[tuple[int, int]]:
    """Which nodes a proof, a frontier or a tile will read, as (level, index) without repetition.

    Which nodes are read never depends on their hashes, so a dry run tells.

    Args:
        read: what will be done with a reader, such as ``lambda node: inclusion_proof(4, 9, node)``.
    """
    wanted: dict[tuple[int, int], None] = {}

    def note(level: int, index: int) -> bytes:
        wanted[level, index] = None
        return EMPTY_ROOT

    read(note)
    return list(wanted)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf stands at ``index`` in the tree of ``size`` leaves (RFC 9162, 2.1.3.2).

    Args:
        leaf: result of ``leaf_hash``.
        index: position of the leaf, from 0.
        size: size of the tree that has ``root``.
        proof: the audit path, leaf to root.
        root: Merkle tree hash, known from a verified checkpoint.

    Raises:
        LedgerRefused: it is not proved.
    """
    _require_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise _refused("the leaf lies outside the tree")
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _refused("the inclusion proof is too long")
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            position, last = _skip_lone(position, last)
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or current != root:
        raise _refused("the inclusion proof does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``new`` leaves begins with the ``old`` ones (RFC 9162, 2.1.4.2).

    For ``old`` 0 nothing is said about the new root.

    Args:
        old: size of the earlier tree.
        new: size of the later tree.
        old_root: its Merkle tree hash, known.
        new_root: the later tree's hash, known.
        proof: the consistency proof.

    Raises:
        LedgerRefused: it is not proved.
    """
    _require_hashes([old_root, new_root, *proof])
    if not 0 <= old <= new:
        raise _refused("the older tree is larger than the newer one")
    if old in {0, new}:
        agree = (old > 0 or old_root == EMPTY_ROOT) and (old < new or old_root == new_root)
        if proof or not agree:
            raise _refused("the roots of trees of equal or no size do not agree")
        return
    # The proof begins at the old tree's last complete subtree, unless that is the whole old tree.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    height = (old & -old).bit_length() - 1
    position, last = old - 1 >> height, new - 1 >> height
    if not path:
        raise _refused("the consistency proof is too short")
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _refused("the consistency proof is too long")
        if position & 1 or position == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            position, last = _skip_lone(position, last)
        else:
            newer = node_hash(newer, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or older != old_root or newer != new_root:
        raise _refused("the consistency proof does not lead to the roots")


def _skip_lone(position: int, last: int) -> tuple[int, int]:
    """Climb past the levels at which the right edge has no sibling."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _split(leaves: int) -> int:
    """The largest power of two below a number of leaves."""
    return 1 << ((leaves - 1).bit_length() - 1)


def _peaks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees that make up [start, end), largest first.

    ``start`` is a multiple of the largest of them, as RFC 6962 splits its trees.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _subtree(start: int, end: int, node: NodeReader) -> bytes:
    """Merkle tree hash of the leaves [start, end)."""
    return _fold([node(level, index) for level, index in _peaks(start, end)])


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Join complete subtrees, largest first, into one root."""
    root = peaks[-1]
    for peak in peaks[-2::-1]:
        root = node_hash(peak, root)
    return root


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise _refused("a hash of the tree is 32 bytes long")


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
