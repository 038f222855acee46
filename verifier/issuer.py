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
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import ledger, outcome, record
from verifier.errors import Code, LedgerRefused
from verifier.merkle import Frontier, leaf_hash
from verifier.model.time import iso
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.issuing import (
    Batch,
    Head,
    Issuable,
    IssuedRecord,
    IssuingTransaction,
    KeptCheckpoint,
    NewEntry,
    NewRecord,
    NewStatement,
    OutboxItem,
)
from verifier.ports.signing import Signer
from verifier.signatures import jws, status_list
from verifier.signatures.strict_json import JsonValue, canonical

T = TypeVar("T")

BATCH: Final = 500
EVIDENCE_BATCH: Final = 20_000
LIST_BITS: Final = 2
LIST_SIZE: Final = 1 << 17
"""Places of one status list; only half are used, so that a random free one is soon found."""
STATUS_TTL: Final = timedelta(minutes=15)
STATUS_LIFETIME: Final = timedelta(hours=12)


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
    head: Head
    frontier: Frontier
    items: Sequence[OutboxItem]
    issuable: Mapping[str, Issuable]
    evidence: Sequence[tuple[str, bytes]]
    lists: Mapping[int, tuple[int, datetime | None]]


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

    def take_up(self, keys: IssuerKeys) -> None:
        """Sign with these from the next step on."""
        self._keys = keys

    async def start(self) -> Head:
        """Take over: fence whoever issued before, after checking that the ledger continues what was kept.

        Raises:
            LedgerRefused: the database holds a smaller or another ledger than the one that was signed.
        """
        await self._units.issuing(self._check_continues, write=False)
        head = await self._units.issuing(lambda tx: tx.take_over(), write=True)
        self._epoch = head.epoch
        return head

    def _check_continues(self, tx: IssuingTransaction) -> None:
        note = self._kept.read()
        if not note:
            return
        keys = {self._origin: self._keys.known}
        kept = ledger.parse_checkpoint(ledger.verify_note(note, keys))
        if kept.size > tx.head().size or Frontier.read(kept.size, tx.node).root() != kept.root:
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, "the ledger does not continue the kept checkpoint")

    async def step(self) -> int:
        """Issue what is pending, up to one batch.

        Returns:
            How many entries were appended; 0 when there was nothing to do.

        Raises:
            LedgerRefused: another issuer took over (LEDGER_HEAD_MOVED), or the ledger would fork.
        """
        pending = await self._units.issuing(self._read, write=False)
        now = self._clock()
        stale = [
            list_id
            for list_id, (_, signed_at) in pending.lists.items()
            if signed_at is None or now - signed_at > STATUS_TTL
        ]
        if not pending.items and not pending.evidence and not stale:
            return 0
        places = await self._units.issuing(lambda tx: self._places(tx, pending), write=False)
        batch = self._sign(pending, places, now)
        touched = {item.status_list for item in batch.records} | set(stale) | _previous_lists(batch.records)
        tokens = await self._units.issuing(lambda tx: self._tokens(tx, touched, batch, now), write=False)
        batch = replace(batch, status_tokens=tokens)
        await self._units.issuing(lambda tx: tx.commit(batch), write=True)
        if batch.entries:
            self._kept.write(batch.after.checkpoint)
        return len(batch.entries)

    def _read(self, tx: IssuingTransaction) -> _Pending:
        head = tx.head()
        if head.epoch != self._epoch:
            raise LedgerRefused(Code.LEDGER_HEAD_MOVED, "another issuer took over")
        # In every step: a backup may be restored under a running issuer, and bear its epoch.
        self._check_continues(tx)
        items = tx.pending(BATCH)
        issuable = tx.issuable({item.reference for item in items if item.kind == "decision"})
        frontier = Frontier.read(head.size, tx.node)
        return _Pending(head, frontier, items, issuable, tx.unrooted(EVIDENCE_BATCH), tx.status_lists())

    def _places(self, tx: IssuingTransaction, pending: _Pending) -> list[tuple[int, int]]:
        """A random free place in a status list for each decision that may issue a record."""
        wanted = len(pending.issuable)
        current = max(pending.lists, default=0)
        if pending.lists and pending.lists[current][0] + wanted > LIST_SIZE // 2:
            current += 1
        free: dict[int, None] = {}
        while len(free) < wanted:
            drawn = {int.from_bytes(self._randbytes(4), "big") % LIST_SIZE for _ in range(wanted - len(free))}
            free.update(dict.fromkeys(sorted(drawn - set(tx.taken(current, drawn)) - set(free))))
        # Sorted draws would show the order of issue in the order of places.
        return sorted(((current, index) for index in free), key=lambda _: self._randbytes(8))

    def _sign(self, pending: _Pending, places: list[tuple[int, int]], now: datetime) -> Batch:
        builder = _Builder(self, pending, places, now)
        for item in pending.items:
            builder.add(item)
        builder.add_evidence_root(pending.evidence)
        frontier, nodes = pending.frontier.append([entry.leaf_hash for entry in builder.entries])
        note = pending.head.checkpoint
        if builder.entries:
            text = ledger.checkpoint_body(self._origin, frontier.size, frontier.root())
            note = ledger.sign_note(text, self._origin, *self._keys.checkpoints)
        return Batch(
            before=pending.head,
            after=Head(pending.head.epoch, frontier.size, note),
            entries=builder.entries,
            nodes=[(node.level, node.index, node.hash) for node in nodes],
            records=builder.records,
            outbox=[item.outbox_id for item in pending.items],
            evidence=[evidence_id for evidence_id, _ in pending.evidence],
            evidence_position=builder.evidence_position,
            status_tokens={},
            at=now,
            statements=builder.statements,
        )

    def sign_outcome(self, body: Mapping[str, Any], position: int, now: datetime) -> NewStatement:
        """Sign the outcome of an objection for the index it will have."""
        statement_id = self._new_id()
        said = outcome.claims(
            body,
            statement_id=statement_id,
            issuer=self._base_url,
            origin=self._origin,
            position=position,
            at=now,
        )
        token = jws.sign_compact(canonical(said), self._keys.record, typ=outcome.TYP)
        return NewStatement(statement_id, outcome.KIND, body["number"], body["learner"], position, token)

    def sign_record(
        self, issuable: Issuable, issued: str, position: int, place: tuple[int, int], now: datetime
    ) -> NewRecord:
        """Sign the record of one decision for the index it will have."""
        record_id = self._new_id()
        list_id, status_index = place
        visible = record.claims(
            issuable,
            record_id=record_id,
            issued=issued,
            issuer=self._base_url,
            origin=self._origin,
            position=position,
            status_uri=self.status_uri(list_id),
            status_index=status_index,
            at=now,
        )
        hidden = record.disclosures(issuable, self._randbytes)
        token = jws.sign_compact(
            canonical(record.payload(visible, hidden)), self._keys.record, typ=record.TYP
        )
        last = issuable.previous.kind if issuable.previous else None
        status, previous_status = record.statuses(issued, last)
        return NewRecord(
            record_id=record_id,
            issuable=issuable,
            kind=issued,
            position=position,
            jws=token,
            disclosures=tuple(part.encoded for part in hidden),
            status_list=list_id,
            status_index=status_index,
            status=status,
            previous_status=previous_status,
        )

    def status_uri(self, list_id: int) -> str:
        """Address of a status list."""
        return f"{self._base_url}/status-lists/{list_id}"

    def _tokens(self, tx: IssuingTransaction, lists: set[int], batch: Batch, now: datetime) -> dict[int, str]:
        changed: dict[tuple[int, int], int] = {}
        for new in batch.records:
            changed[new.status_list, new.status_index] = new.status
            if new.issuable.previous is not None and new.previous_status is not None:
                previous = new.issuable.previous
                changed[previous.status_list, previous.status_index] = new.previous_status
        tokens = {}
        for list_id in sorted(lists):
            packed = status_list.blank(LIST_SIZE, LIST_BITS)
            statuses = dict(tx.set_statuses(list_id))
            statuses.update({index: status for (owner, index), status in changed.items() if owner == list_id})
            for index, status in statuses.items():
                status_list.put(packed, LIST_BITS, index, status)
            tokens[list_id] = self._status_token(list_id, packed, now)
        return tokens

    def _status_token(self, list_id: int, packed: bytearray, now: datetime) -> str:
        claims: dict[str, JsonValue] = {
            "sub": self.status_uri(list_id),
            "iss": self._base_url,
            "iat": int(now.timestamp()),
            "exp": int((now + STATUS_LIFETIME).timestamp()),
            "ttl": int(STATUS_TTL.total_seconds()),
            "status_list": {"bits": LIST_BITS, "lst": status_list.encode(packed, LIST_BITS)},
        }
        return jws.sign_compact(canonical(claims), self._keys.status, typ="statuslist+jwt")


class _Builder:
    """The entries of one batch, in the order of their causes."""

    def __init__(
        self, issuer: Issuer, pending: _Pending, places: Sequence[tuple[int, int]], now: datetime
    ) -> None:
        self._issuer = issuer
        self._issuable = pending.issuable
        self._size = pending.head.size
        self._places = iter(places)
        self._now = now
        self._issued: dict[tuple[str, str], NewRecord] = {}
        self.entries: list[NewEntry] = []
        self.records: list[NewRecord] = []
        self.statements: list[NewStatement] = []
        self.evidence_position: int | None = None

    @property
    def position(self) -> int:
        """Index of the next entry."""
        return self._size + len(self.entries)

    def add(self, item: OutboxItem) -> None:
        """Append the entry that an item causes, if any."""
        if item.kind == outcome.KIND:
            self._add_outcome(item.body)
            return
        if item.kind != "decision":
            self._append(item.kind, dict(item.body), office=str(item.body.get("office", "")))
            return
        issuable = self._after_batch(self._issuable[item.reference])
        last = issuable.previous.kind if issuable.previous else None
        issued = record.kind(issuable.state, last)
        if issued is None:
            return
        issuable = record.about(issuable, issued)
        new = self._issuer.sign_record(issuable, issued, self.position, next(self._places), self._now)
        self._issued[issuable.learner_id, issuable.entitlement] = new
        self.records.append(new)
        signed = new.jws.rsplit(".", 1)[0].encode()
        body = record.entry(issuable, new.record_id, issued, sha256(signed).digest())
        self._append("record", body, office=issuable.office, record_id=new.record_id)
        self._tell_former_office(issuable, new)

    def _add_outcome(self, body: Mapping[str, Any]) -> None:
        new = self._issuer.sign_outcome(body, self.position, self._now)
        self.statements.append(new)
        signed = sha256(new.jws.rsplit(".", 1)[0].encode()).digest()
        self._append(outcome.KIND, outcome.entry(body, signed), office=body["office"])

    def _tell_former_office(self, issuable: Issuable, new: NewRecord) -> None:
        """An office whose grant now counts at another one would see of the new record only a leaf hash."""
        before = issuable.previous
        if before is not None and before.kind == record.GRANTED and before.office != issuable.office:
            body = {"supersedes": before.record_id, "by": new.record_id, "office": before.office}
            self._append("superseded", body, office=before.office)

    def _after_batch(self, issuable: Issuable) -> Issuable:
        """With the record before it, where that one is issued in this same batch."""
        before = self._issued.get((issuable.learner_id, issuable.entitlement))
        if before is None:
            return issuable
        return replace(
            issuable,
            previous=IssuedRecord(
                before.record_id,
                before.kind,
                before.status_list,
                before.status_index,
                before.issuable.office,
                before.issuable.month,
                before.issuable.uscc,
            ),
        )

    def add_evidence_root(self, evidence: Sequence[tuple[str, bytes]]) -> None:
        """Append the root over everything else that was recorded since the last one."""
        if not evidence:
            return
        self.evidence_position = self.position
        root = ledger.evidence_root([digest for _, digest in evidence])
        self._append("evidence", {"root": root.hex(), "count": len(evidence)})

    def _append(
        self, kind: str, body: dict[str, Any], *, office: str = "", record_id: str | None = None
    ) -> None:
        members = {"v": 1, "kind": kind, "index": self.position, "at": iso(self._now), **body}
        raw = ledger.entry_body(members)
        self.entries.append(NewEntry(self.position, kind, raw, leaf_hash(raw), office, record_id))


def _previous_lists(records: Sequence[NewRecord]) -> set[int]:
    return {new.issuable.previous.status_list for new in records if new.issuable.previous}
