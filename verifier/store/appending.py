"""What the issuer writes: one batch, or nothing of it. Part of ``IssuingTransaction``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import date
from typing import Any, Final

from sqlalchemy import Delete, Table, Update, bindparam, delete, update

from verifier.errors import Code, LedgerRefused
from verifier.ports.issuing import Batch, NewRecord
from verifier.store import tables
from verifier.store.columns import microseconds
from verifier.store.deciding import Deciding
from verifier.store.keys import KEYS, listing
from verifier.store.session import chunks

HEAD: Final = "ledger"

_EVIDENCE: Final = tables.evidence.c
_MOVE: Final = (
    update(tables.ledger_head)
    .where(
        tables.ledger_head.c.name == HEAD,
        tables.ledger_head.c.epoch == bindparam("at_epoch"),
        tables.ledger_head.c.size == bindparam("at_size"),
    )
    .values(
        size=bindparam("new_size"), checkpoint=bindparam("new_checkpoint"), signed_at=bindparam("new_moment")
    )
)
_TAKEN_OFF: Final = delete(tables.outbox).where(tables.outbox.c.outbox_id.in_(KEYS))
_ROOTED: Final = (
    update(tables.evidence).where(_EVIDENCE.evidence_id.in_(KEYS)).values(position=bindparam("root"))
)
_REPLACED: Final = delete(tables.status_lists).where(tables.status_lists.c.list_id.in_(KEYS))
_BECOMES: Final = (
    update(tables.status_entries)
    .where(tables.status_entries.c.record_id == bindparam("superseded"))
    .values(status=bindparam("becomes"))
)


def sealed_disclosures(record_id: str) -> tuple[str, str]:
    """Column and row that a record's disclosures are sealed for."""
    return ("records.sealed_disclosures", record_id)


class Appending(Deciding):
    """Compares the ledger's head, and stores a batch."""

    def commit(self, batch: Batch) -> None:
        """Compare the head, then store the batch.

        Raises:
            LedgerRefused: LEDGER_HEAD_MOVED; nothing was stored.
        """
        before, after = batch.before, batch.after
        there = {"at_epoch": before.epoch, "at_size": before.size}
        new = {"new_size": after.size, "new_checkpoint": after.checkpoint, "new_moment": batch.at}
        if self.connection.execute(_MOVE, {**there, **new}).rowcount != 1:
            raise LedgerRefused(Code.LEDGER_HEAD_MOVED, "the head is not where it was read")
        at = microseconds(batch.at)
        self._store_entries(batch, at)
        self._store_records(batch, at)
        self._settle(batch)
        self._store_lists(batch, at)

    def _insert(self, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows as the driver takes them, values in the order of the table's columns."""
        if values := list(rows):
            self.connection.exec_driver_sql(self.form_of(table).insert, values)

    def _settle(self, batch: Batch) -> None:
        """What was taken is pending no more; what is rooted bears its root's index."""
        self._for_all(_TAKEN_OFF, batch.outbox)
        self._for_all(_ROOTED, batch.evidence, root=batch.evidence_position)

    def _for_all(self, statement: Update | Delete, keys: Collection[Any], **values: Any) -> None:
        """Execute a statement that was composed once, with ``KEYS`` as its list, for all of many keys."""
        composed, parameters = listing(statement, self.connection.dialect.name)
        for chunk in chunks(keys):
            self.connection.execute(composed, {**parameters(chunk), **values})

    def _store_lists(self, batch: Batch, at: int) -> None:
        if not batch.lists:
            return
        self._for_all(_REPLACED, [one.list_id for one in batch.lists])
        self._insert(tables.status_lists, ((one.list_id, one.token, at, one.taken) for one in batch.lists))

    def _store_entries(self, batch: Batch, at: int) -> None:
        self._insert(
            tables.entries,
            (
                (one.position, one.kind, one.body, one.leaf_hash, one.office, one.record_id, at)
                for one in batch.entries
            ),
        )
        self._insert(tables.nodes, batch.nodes)
        self._insert(
            tables.statements,
            (
                (new.statement_id, new.kind, new.reference, new.learner_id, new.position, new.jws, at)
                for new in batch.statements
            ),
        )

    def _store_records(self, batch: Batch, at: int) -> None:
        if not batch.records:
            return
        self.learner_keys({new.issuable.learner_id for new in batch.records})
        days_as_text = self.form_of(tables.records).days_as_text
        self._insert(
            tables.records, (self._record(new, at, days_as_text=days_as_text) for new in batch.records)
        )
        self._insert(
            tables.status_entries,
            ((new.status_list, new.status_index, new.record_id, new.status) for new in batch.records),
        )
        # Last, and in their order: one record may supersede another of the same batch.
        superseded = [
            {"superseded": new.issuable.previous.record_id, "becomes": new.previous_status}
            for new in batch.records
            if new.issuable.previous is not None and new.previous_status is not None
        ]
        if superseded:
            self.connection.execute(_BECOMES, superseded)

    def _record(self, new: NewRecord, at: int, *, days_as_text: bool) -> tuple[Any, ...]:
        issuable = new.issuable
        sealed = b""  # nobody could open the disclosures of somebody who was erased
        if not self.vault.erased(issuable.learner_id):
            place = sealed_disclosures(new.record_id)
            sealed = self.vault.seal(issuable.learner_id, *place, json.dumps(new.disclosures).encode())
        month: date | str | None = issuable.month
        if days_as_text and issuable.month is not None:
            month = issuable.month.isoformat()
        return (
            *(new.record_id, issuable.decision_id, issuable.learner_id, issuable.entitlement),
            *(new.kind, new.position, issuable.office, month, issuable.uscc, issuable.dispatched_by),
            issuable.previous.record_id if issuable.previous else None,
            *(new.jws, sealed, at),
        )
