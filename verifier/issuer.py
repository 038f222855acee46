"""Steps 6 and 7: decisions become signed records and ledger entries, in one dense order from 0.

One step of the issuer (``Issuer.step``):

1. read the head and what is pending;
2. refuse if the head is smaller than, or not a continuation of, the checkpoint kept outside the database;
3. sign records for the indices they will have, the checkpoint and the status lists;
4. in one transaction compare the head (epoch and size) with what was read, and store everything, or nothing;
5. keep the new checkpoint outside the database.

Nothing is signed inside the transaction, and nothing signed is served before it is stored: when another
issuer was faster, what was signed is thrown away. A crash between 4 and 5 leaves an older checkpoint
outside, which the ledger still continues.

A checkpoint is kept from the very beginning, of the empty ledger: where entries are and none is kept, it was
lost, and with it what would show that the database is an older one. Then nothing is signed until an operator
has said so (``verifier ledger keep``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import ledger
from verifier.batching import Builder, Pen
from verifier.errors import Code, LedgerRefused
from verifier.merkle import EMPTY_ROOT, Frontier, coordinates
from verifier.model.ledger import Checkpoint, NodeReader
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.issuing import (
    Batch,
    Head,
    Issuable,
    IssuingTransaction,
    KeptCheckpoint,
    OutboxItem,
    SignedList,
)
from verifier.ports.signing import Signer
from verifier.signatures import jws, status_list
from verifier.signatures.strict_json import JsonValue, canonical

T = TypeVar("T")

BATCH: Final = 1000
EVIDENCE_BATCH: Final = 20_000
LIST_BITS: Final = 2
LIST_SIZE: Final = 1 << 17
"""Places of one status list; only half are used, so that a random free one is soon found."""
STATUS_TTL: Final = timedelta(minutes=15)
STATUS_LIFETIME: Final = timedelta(hours=12)
STATUS_REFRESH: Final = STATUS_TTL / 3
"""After that a list is signed again, so that whoever fetches one has most of its ``ttl`` before them."""
_QUICK: Final = 6
"""How hard a list is compressed with every batch: of a well-filled one level 9 takes 30 ms, this takes 2."""

WRITTEN_LISTS: Final = 8
"""Lists that are kept as they are written, in case that nothing in them changes."""


class IssuerUnits(Protocol):
    """Runs the issuer's transactions."""

    async def issuing(self, work: Callable[[IssuingTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """What only the issuer holds.

    Attributes:
        checkpoint: signs checkpoints, with Ed25519.
        coming: will take its place; until then both sign, so that whoever knows one of them can check.
        former: public keys of those that signed checkpoints before: one of these may be kept outside.
    """

    record: Signer = field(repr=False)
    status: Signer = field(repr=False)
    checkpoint: Signer = field(repr=False)
    coming: Signer | None = field(default=None, repr=False)
    former: tuple[Ed25519PublicKey, ...] = field(default=(), repr=False)

    @property
    def checkpoints(self) -> tuple[Signer, ...]:
        """All that sign checkpoints now."""
        return (self.checkpoint,) if self.coming is None else (self.checkpoint, self.coming)

    @property
    def known(self) -> tuple[Ed25519PublicKey, ...]:
        """Keys whose checkpoints are ours."""
        return (*map(ledger.public_of, self.checkpoints), *self.former)


@dataclass(frozen=True, slots=True)
class _Pending:
    """What one transaction read.

    Attributes:
        places: in status lists, one for each decision that may issue a record.
        lists: lists to sign: how many of their places are taken, and the statuses of all, packed.
    """

    head: Head
    frontier: Frontier
    items: Sequence[OutboxItem]
    issuable: Mapping[str, Issuable]
    evidence: Sequence[tuple[str, bytes]]
    places: Sequence[tuple[int, int]]
    lists: Mapping[int, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class _Stored:
    """What this process stored last: while the head is still the very same, the store holds nothing else.

    Attributes:
        lists: status lists that the batch signed, packed.
    """

    head: Head
    frontier: Frontier
    lists: Mapping[int, bytes]

    def is_what_was_kept(self, kept: Checkpoint) -> bool:
        """Whether a checkpoint is of the very tree that was stored."""
        return (kept.size, kept.root) == (self.frontier.size, self.frontier.root())


class Issuer:
    """Signs and appends. Holds the record, checkpoint and status-list keys, and nothing else does."""

    def __init__(
        self,
        units: IssuerUnits,
        keys: IssuerKeys,
        kept: KeptCheckpoint,
        *,
        origin: str,
        base_url: str,
        clock: Clock,
        randbytes: RandomBytes,
        new_id: NewId,
    ) -> None:
        self._units = units
        self._keys = keys
        self._kept = kept
        self._origin = origin
        self._base_url = base_url
        self._clock = clock
        self._randbytes = randbytes
        self._new_id = new_id
        self._epoch = -1
        self._stored: _Stored | None = None
        self._verified: tuple[bytes, IssuerKeys, Checkpoint] | None = None

    def take_up(self, keys: IssuerKeys) -> None:
        """Sign with these from the next step on."""
        self._keys = keys

    async def start(self) -> Head:
        """Take over: fence whoever issued before, after checking that the ledger continues what was kept.

        Raises:
            LedgerRefused: the database holds a smaller or another ledger than the one that was signed, or no
                checkpoint is kept of it.
        """
        await self._units.issuing(self._check_start, write=False)
        head = await self._units.issuing(lambda tx: tx.take_over(), write=True)
        self._epoch = head.epoch
        return head

    def _check_start(self, tx: IssuingTransaction) -> None:
        head = tx.head()
        if head.size == 0 and not self._kept.read():
            text = ledger.checkpoint_body(self._origin, 0, EMPTY_ROOT)
            self._kept.write(ledger.sign_note(text, self._origin, *self._keys.checkpoints))
        self._frontier(tx, head)

    def _kept_checkpoint(self) -> Checkpoint:
        """The checkpoint outside the database.

        Raises:
            LedgerRefused: there is none, or none of ours.
        """
        note = self._kept.read()
        if not note:
            raise LedgerRefused(
                Code.LEDGER_FORK_REFUSED, "the kept checkpoint is missing: see `ledger keep` in the manual"
            )
        keys, verified = self._keys, self._verified
        if verified is not None and verified[0] == note and verified[1] is keys:
            return verified[2]
        try:
            kept = ledger.parse_checkpoint(ledger.verify_note(note, {self._origin: keys.known}))
        except LedgerRefused as error:
            detail = f"the kept checkpoint is not ours: {error.detail}"
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, detail) from None
        self._verified = note, keys, kept
        return kept

    def _frontier(self, tx: IssuingTransaction, head: Head) -> Frontier:
        """The ledger's right edge, after checking that it continues the checkpoint kept outside."""
        kept = self._kept_checkpoint()
        if kept.size > head.size:
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, "the ledger does not continue the kept checkpoint")
        stored = self._stored
        if stored is not None and stored.head == head and stored.is_what_was_kept(kept):
            return stored.frontier

        def edges(node: NodeReader) -> tuple[Frontier, Frontier]:
            return Frontier.read(kept.size, node), Frontier.read(head.size, node)

        nodes = tx.nodes(coordinates(edges))
        before, now = edges(lambda level, index: nodes[level, index])
        if before.root() != kept.root:
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, "the ledger does not continue the kept checkpoint")
        return now

    async def step(self) -> int:
        """Issue what is pending, up to one batch.

        Returns:
            How many entries were appended; 0 when there was nothing to do.

        Raises:
            LedgerRefused: another issuer took over (LEDGER_HEAD_MOVED), or the ledger would fork.
        """
        pending = await self._units.issuing(self._read, write=False)
        if pending is None:
            return 0
        batch, stored = self._sign(pending, self._clock(), self._keys)
        await self._units.issuing(lambda tx: tx.commit(batch), write=True)
        self._stored = stored
        if batch.entries:
            self._keep(batch.after)
        return len(batch.entries)

    def _keep(self, head: Head) -> None:
        """Keep a head's checkpoint outside, unless whoever took over meanwhile has kept a newer one."""
        if self._kept_checkpoint().size < head.size:
            self._kept.write(head.checkpoint)

    def _read(self, tx: IssuingTransaction) -> _Pending | None:
        """All that a batch is made of; None if there is nothing to do."""
        head = tx.head()
        if head.epoch != self._epoch:
            raise LedgerRefused(Code.LEDGER_HEAD_MOVED, "another issuer took over")
        items, evidence, lists = tx.pending(BATCH), tx.unrooted(EVIDENCE_BATCH), tx.status_lists()
        earliest = self._clock() - STATUS_REFRESH
        stale = {list_id for list_id, (_, signed_at) in lists.items() if signed_at < earliest}
        if not items and not evidence and not stale:
            return None
        # In every step: a backup may be restored under a running issuer, and bear its epoch.
        frontier = self._frontier(tx, head)
        issuable = tx.issuable({item.reference for item in items if item.kind == "decision"})
        places = self._places(tx, len(issuable), lists)
        previous = {one.previous.status_list for one in issuable.values() if one.previous is not None}
        return _Pending(
            head,
            frontier,
            items,
            issuable,
            evidence,
            places,
            {
                list_id: (lists[list_id][0] if list_id in lists else 0, self._packed(tx, head, list_id))
                for list_id in stale | previous | {list_id for list_id, _ in places}
            },
        )

    def _packed(self, tx: IssuingTransaction, head: Head, list_id: int) -> bytes:
        """All statuses of a list, from the store where this process did not store them last.

        To read them takes as long as the list is full, and hardly any changes.
        """
        stored = self._stored
        if stored is not None and stored.head == head and list_id in stored.lists:
            return stored.lists[list_id]
        packed = status_list.blank(LIST_SIZE, LIST_BITS)
        for index, status in tx.set_statuses(list_id).items():
            status_list.put(packed, LIST_BITS, index, status)
        return bytes(packed)

    def _places(
        self, tx: IssuingTransaction, wanted: int, lists: Mapping[int, tuple[int, datetime]]
    ) -> list[tuple[int, int]]:
        """A random free place in a status list for each decision that may issue a record."""
        current = max(lists, default=0)
        if lists and lists[current][0] + wanted > LIST_SIZE // 2:
            current += 1
        free: dict[int, None] = {}
        while len(free) < wanted:
            drawn = {int.from_bytes(self._randbytes(4), "big") % LIST_SIZE for _ in range(wanted - len(free))}
            free.update(dict.fromkeys(sorted(drawn - set(tx.taken(current, drawn)) - set(free))))
        # Sorted draws would show the order of issue in the order of places.
        return sorted(((current, index) for index in free), key=lambda _: self._randbytes(8))

    def _sign(self, pending: _Pending, now: datetime, keys: IssuerKeys) -> tuple[Batch, _Stored]:
        pen = Pen(keys.record, self._origin, self._base_url, self._randbytes, self._new_id)
        builder = Builder(pen, pending.head.size, pending.issuable, pending.places, now)
        for item in pending.items:
            builder.add(item)
        builder.add_evidence_root(pending.evidence)
        frontier, nodes = pending.frontier.append([entry.leaf_hash for entry in builder.entries])
        note = pending.head.checkpoint
        if builder.entries:
            text = ledger.checkpoint_body(self._origin, frontier.size, frontier.root())
            note = ledger.sign_note(text, self._origin, *keys.checkpoints)
        batch = Batch(
            before=pending.head,
            after=Head(pending.head.epoch, frontier.size, note),
            entries=builder.entries,
            nodes=[(node.level, node.index, node.hash) for node in nodes],
            records=builder.records,
            outbox=[item.outbox_id for item in pending.items],
            evidence=[evidence_id for evidence_id, _ in pending.evidence],
            evidence_position=builder.evidence_position,
            lists=(),
            at=now,
            statements=builder.statements,
        )
        lists = _lists(pending.lists, batch)
        signed = [
            SignedList(list_id, _signed_list(pen, keys.status, list_id, packed, batch), taken)
            # A list of which no place is taken was drawn from, but the decisions issued nothing.
            for list_id, (taken, packed) in sorted(lists.items())
            if taken
        ]
        packed = {list_id: packed for list_id, (_, packed) in lists.items()}
        return replace(batch, lists=signed), _Stored(batch.after, frontier, packed)


def _lists(lists: Mapping[int, tuple[int, bytes]], batch: Batch) -> Mapping[int, tuple[int, bytes]]:
    """The lists as the batch leaves them: how many places are taken, and all statuses, packed."""
    statuses = {list_id: bytearray(packed) for list_id, (_, packed) in lists.items()}
    taken = {list_id: count for list_id, (count, _) in lists.items()}
    for new in batch.records:
        taken[new.status_list] += 1
        status_list.put(statuses[new.status_list], LIST_BITS, new.status_index, new.status)
        previous = new.issuable.previous
        if previous is not None and new.previous_status is not None:
            packed = statuses[previous.status_list]
            status_list.put(packed, LIST_BITS, previous.status_index, new.previous_status)
    return {list_id: (taken[list_id], bytes(packed)) for list_id, packed in statuses.items()}


def _signed_list(pen: Pen, signer: Signer, list_id: int, packed: bytes, batch: Batch) -> str:
    level = _QUICK if batch.records else status_list.BEST
    said: dict[str, JsonValue] = {
        "sub": pen.status_uri(list_id),
        "iss": pen.base_url,
        "iat": int(batch.at.timestamp()),
        "exp": int((batch.at + STATUS_LIFETIME).timestamp()),
        "ttl": int(STATUS_TTL.total_seconds()),
        "status_list": {"bits": LIST_BITS, "lst": _written(packed, level)},
    }
    return jws.sign_compact(canonical(said), signer, typ="statuslist+jwt")


@lru_cache(maxsize=WRITTEN_LISTS)
def _written(packed: bytes, level: int) -> str:
    """A list's statuses, compressed. A new record is valid, as a free place is: most batches change none."""
    return status_list.encode(packed, LIST_BITS, level=level)
