"""What the issuer reads and writes: ``IssuingTransaction``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Table, and_, bindparam, delete, func, select, tuple_, update

from verifier.errors import Code, LedgerRefused
from verifier.model.decision import DecisionId, Entitlement, State
from verifier.model.facts import AdmissionFact, FactKind
from verifier.model.person import LearnerId, Uscc
from verifier.model.standards import CURRENCY, Standards
from verifier.ports.issuing import Batch, Head, Issuable, IssuedRecord, NewRecord, OutboxItem
from verifier.record import clauses
from verifier.store import tables
from verifier.store.deciding import Deciding
from verifier.store.session import chunks
from verifier.traces import without_facts

HEAD = "ledger"


class _Trace(msgspec.Struct):
    """What of a trace a record says. Reading no more than that takes a tenth of the time."""

    clauses: msgspec.Raw
    pins: dict[str, str]
    not_evaluated: list[str]


class _Holder(msgspec.Struct):
    raw: str


def _columns(table: Table, *names: str) -> tuple[Column[Any], ...]:
    return tuple(table.c[name] for name in names)


_DECISION: Final = _columns(
    tables.decisions,
    *("decision_id", "learner_id", "entitlement", "revision", "state", "decided_at", "trace"),
    *("completion_fact", "uscc", "dispatched_by", "office", "month"),
)
_SEALED: Final = _columns(tables.facts, "fact_id", "learner_id", "sealed", "sealed_key")
_RECORD: Final = _columns(
    tables.records, "record_id", "learner_id", "entitlement", "kind", "office", "month", "uscc"
)
"""What is read of each for a record: whole rows hold some kilobytes that nobody needs."""
_TRACES: Final = msgspec.json.Decoder(_Trace)
_HOLDERS: Final = msgspec.json.Decoder(_Holder)
"""The sealed part of a completion."""


def sealed_disclosures(record_id: str) -> tuple[str, str]:
    """Column and row that a record's disclosures are sealed for."""
    return ("records.sealed_disclosures", record_id)


def _standard(
    table: Standards | None, entitlement: str, office: str, month: date | None
) -> dict[str, Any] | None:
    """The amount that a table gives for a month, as its record says it."""
    found = table.at(entitlement, office, month) if table is not None and month is not None else None
    if table is None or found is None:
        return None
    said = {"amount_fen": found.amount_fen, "currency": CURRENCY, "reference": found.reference}
    return {**said, "digest": table.digest}


def _issuable(
    row: Mapping[Any, Any],
    disclosed: Mapping[str, str | None],
    previous: IssuedRecord | None,
    standards: Standards | None,
) -> Issuable:
    trace = _TRACES.decode(row["trace"])
    return Issuable(
        decision_id=DecisionId(row["decision_id"]),
        learner_id=LearnerId(row["learner_id"]),
        entitlement=Entitlement(row["entitlement"]),
        revision=row["revision"],
        state=State(row["state"]),
        decided_at=row["decided_at"],
        office=row["office"],
        month=row["month"],
        uscc=Uscc(row["uscc"]) if row["uscc"] else None,
        dispatched_by=Uscc(row["dispatched_by"]) if row["dispatched_by"] else None,
        trace={
            "clauses": clauses(without_facts(bytes(trace.clauses))),
            "pins": trace.pins,
            "not_evaluated": trace.not_evaluated,
        },
        disclosures={name: value for name, value in disclosed.items() if value},
        previous=previous,
        standard=_standard(standards, row["entitlement"], row["office"], row["month"]),
    )


class Issuing(Deciding):
    """One transaction of the issuer."""

    def head(self) -> Head:
        """The head; a new ledger has epoch 0 and size 0."""
        row = self.connection.execute(
            select(tables.ledger_head).where(tables.ledger_head.c.name == HEAD)
        ).one_or_none()
        return Head(row.epoch, row.size, bytes(row.checkpoint)) if row else Head(0, 0, b"")

    def take_over(self) -> Head:
        """Raise the epoch, so that an issuer that was there before can commit no more."""
        start = {"name": HEAD, "epoch": 0, "size": 0, "checkpoint": b"", "signed_at": None}
        start["signed_at"] = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        self.insert_missing(tables.ledger_head, [start])
        table = tables.ledger_head
        self.connection.execute(update(table).where(table.c.name == HEAD).values(epoch=table.c.epoch + 1))
        return self.head()

    def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Hashes of stored complete subtrees by (level, index)."""
        table = tables.nodes
        rows = self.connection.execute(
            select(table).where(tuple_(table.c.level, table.c.position).in_(list(coordinates)))
        )
        found = {(row.level, row.position): bytes(row.hash) for row in rows}
        if len(found) != len(coordinates):
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, "a node of the ledger is missing")
        return found

    def pending(self, limit: int) -> Sequence[OutboxItem]:
        """The oldest items that are not in the ledger yet."""
        table = tables.outbox
        rows = self.connection.execute(
            select(table).order_by(table.c.created_at, table.c.outbox_id).limit(limit)
        )
        return [
            OutboxItem(row.outbox_id, row.kind, row.reference, msgspec.json.decode(row.body), row.created_at)
            for row in rows
        ]

    def issuable(self, decisions: Collection[str]) -> Mapping[str, Issuable]:
        """Decisions with what their records disclose."""
        found: dict[str, Issuable] = {}
        standards = self.standards()
        for chunk in chunks(decisions):
            rows = (
                self.connection.execute(select(*_DECISION).where(tables.decisions.c.decision_id.in_(chunk)))
                .mappings()
                .all()
            )
            learners = {row["learner_id"] for row in rows}
            self.learner_keys(learners)
            holders = self._holders({row["completion_fact"] for row in rows if row["completion_fact"]})
            numbers = self._id_numbers(learners)
            last = self._last_records(learners)
            names = self._employer_names({row["uscc"] for row in rows if row["uscc"]})
            for row in rows:
                disclosed = {
                    "name": holders.get(row["completion_fact"]),
                    "id_number": numbers.get(row["learner_id"]),
                    "employer": names.get(row["uscc"], row["uscc"]),
                    "dispatched_by": row["dispatched_by"],
                }
                previous = last.get((row["learner_id"], row["entitlement"]))
                found[row["decision_id"]] = _issuable(row, disclosed, previous, standards)
        return found

    def _holders(self, facts: Collection[str]) -> dict[str, str]:
        rows = (
            self.connection.execute(select(*_SEALED).where(tables.facts.c.fact_id.in_(sorted(facts))))
            .mappings()
            .all()
        )
        self.learner_keys({row["learner_id"] for row in rows})
        opened = {row["fact_id"]: self.unsealed(row) for row in rows}
        return {fact: _HOLDERS.decode(name).raw for fact, name in opened.items() if name is not None}

    def _id_numbers(self, learners: Collection[str]) -> dict[str, str]:
        table = tables.identifiers
        rows = self.connection.execute(
            # Of whatever version: rows of two versions hold the same value.
            select(table.c.learner_id, table.c.sealed_value).where(table.c.learner_id.in_(sorted(learners)))
        )
        found = {}
        for learner, sealed in rows:
            value = self.vault.open(learner, "identifiers.sealed_value", learner, sealed)
            if value is not None:
                found[learner] = value.decode()
        return found

    def _employer_names(self, uscc: Collection[str]) -> dict[str, str]:
        facts = self.facts_where(
            and_(tables.facts.c.uscc.in_(sorted(uscc)), tables.facts.c.kind == FactKind.ADMISSION.value)
        )
        return {fact.uscc: f"{fact.uscc} {fact.name}" for fact in facts if isinstance(fact, AdmissionFact)}

    def _last_records(self, learners: Collection[str]) -> dict[tuple[str, str], IssuedRecord]:
        table, status = tables.records, tables.status_entries
        newest = (
            select(table.c.learner_id, table.c.entitlement, func.max(table.c.position))
            .where(table.c.learner_id.in_(sorted(learners)))
            .group_by(table.c.learner_id, table.c.entitlement)
        )
        rows = self.connection.execute(
            select(*_RECORD, status.c.list_id, status.c.position.label("place"))
            .join(status, status.c.record_id == table.c.record_id)
            .where(tuple_(table.c.learner_id, table.c.entitlement, table.c.position).in_(newest))
        )
        return {
            (row.learner_id, row.entitlement): IssuedRecord(
                row.record_id,
                row.kind,
                row.list_id,
                row.place,
                row.office,
                row.month,
                Uscc(row.uscc) if row.uscc else None,
            )
            for row in rows
        }

    def unrooted(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """Evidence that no evidence root covers yet: ids and digests."""
        table = tables.evidence
        rows = self.connection.execute(
            select(table.c.evidence_id, table.c.digest).where(table.c.position.is_(None)).limit(limit)
        )
        return [(evidence_id, bytes(digest)) for evidence_id, digest in rows]

    def taken(self, list_id: int, indices: Collection[int]) -> Collection[int]:
        """Which of these places of a status list are taken."""
        table = tables.status_entries
        rows = self.connection.execute(
            select(table.c.position).where(table.c.list_id == list_id, table.c.position.in_(sorted(indices)))
        ).scalars()
        return set(rows)

    def status_lists(self) -> Mapping[int, tuple[int, datetime]]:
        """Per list: how many places are taken, and when it was last signed."""
        table = tables.status_lists
        rows = self.connection.execute(select(table.c.list_id, table.c.taken, table.c.signed_at))
        return {list_id: (taken, signed_at) for list_id, taken, signed_at in rows}

    def set_statuses(self, list_id: int) -> Mapping[int, int]:
        """The places of a list whose status is not valid."""
        table = tables.status_entries
        rows = self.connection.execute(
            select(table.c.position, table.c.status).where(table.c.list_id == list_id, table.c.status != 0)
        )
        return {position: status for position, status in rows}  # noqa: C416 - rows are not plain tuples

    def commit(self, batch: Batch) -> None:
        """Compare the head, then store the batch.

        Raises:
            LedgerRefused: LEDGER_HEAD_MOVED; nothing was stored.
        """
        table, before, after = tables.ledger_head, batch.before, batch.after
        moved = self.connection.execute(
            update(table)
            .where(table.c.name == HEAD, table.c.epoch == before.epoch, table.c.size == before.size)
            .values(size=after.size, checkpoint=after.checkpoint, signed_at=batch.at)
        )
        if moved.rowcount != 1:
            raise LedgerRefused(Code.LEDGER_HEAD_MOVED, "the head is not where it was read")
        self._store_entries(batch)
        self._store_records(batch)
        self._store_statements(batch)
        self._settle(batch)
        self._store_lists(batch)

    def _settle(self, batch: Batch) -> None:
        """What was taken is pending no more; what is rooted bears its root's index."""
        outbox, evidence = tables.outbox, tables.evidence
        for chunk in chunks(batch.outbox):
            self.connection.execute(delete(outbox).where(outbox.c.outbox_id.in_(chunk)))
        for chunk in chunks(batch.evidence):
            self.connection.execute(
                update(evidence)
                .where(evidence.c.evidence_id.in_(chunk))
                .values(position=batch.evidence_position)
            )

    def _store_lists(self, batch: Batch) -> None:
        if not batch.lists:
            return
        table = tables.status_lists
        signed = [one.list_id for one in batch.lists]
        self.connection.execute(delete(table).where(table.c.list_id.in_(signed)))
        self.connection.execute(
            table.insert(),
            [
                {"list_id": one.list_id, "token": one.token, "signed_at": batch.at, "taken": one.taken}
                for one in batch.lists
            ],
        )

    def _store_entries(self, batch: Batch) -> None:
        if not batch.entries:
            return
        self.connection.execute(
            tables.entries.insert(),
            [
                {
                    "position": entry.position,
                    "kind": entry.kind,
                    "body": entry.body,
                    "leaf_hash": entry.leaf_hash,
                    "office": entry.office,
                    "record_id": entry.record_id,
                    "recorded_at": batch.at,
                }
                for entry in batch.entries
            ],
        )
        self.connection.execute(
            tables.nodes.insert(),
            [{"level": level, "position": index, "hash": value} for level, index, value in batch.nodes],
        )

    def _store_statements(self, batch: Batch) -> None:
        rows = [
            {
                "statement_id": new.statement_id,
                "kind": new.kind,
                "reference": new.reference,
                "learner_id": new.learner_id,
                "position": new.position,
                "jws": new.jws,
                "issued_at": batch.at,
            }
            for new in batch.statements
        ]
        if rows:
            self.connection.execute(tables.statements.insert(), rows)

    def _store_records(self, batch: Batch) -> None:
        if not batch.records:
            return
        self.learner_keys({new.issuable.learner_id for new in batch.records})
        rows = [self._record_row(new, batch.at) for new in batch.records]
        self.connection.execute(tables.records.insert(), rows)
        table = tables.status_entries
        self.connection.execute(
            table.insert(),
            [
                {
                    "list_id": new.status_list,
                    "position": new.status_index,
                    "record_id": new.record_id,
                    "status": new.status,
                }
                for new in batch.records
            ],
        )
        # Last, and in their order: one record may supersede another of the same batch.
        superseded = [
            {"superseded": new.issuable.previous.record_id, "becomes": new.previous_status}
            for new in batch.records
            if new.issuable.previous is not None and new.previous_status is not None
        ]
        if superseded:
            self.connection.execute(
                update(table)
                .where(table.c.record_id == bindparam("superseded"))
                .values(status=bindparam("becomes")),
                superseded,
            )

    def _record_row(self, new: NewRecord, at: datetime) -> dict[str, Any]:
        issuable = new.issuable
        sealed = b""  # nobody could open the disclosures of somebody who was erased
        if not self.vault.erased(issuable.learner_id):
            place = sealed_disclosures(new.record_id)
            sealed = self.vault.seal(issuable.learner_id, *place, json.dumps(new.disclosures).encode())
        return {
            "record_id": new.record_id,
            "decision_id": issuable.decision_id,
            "learner_id": issuable.learner_id,
            "entitlement": issuable.entitlement,
            "kind": new.kind,
            "position": new.position,
            "office": issuable.office,
            "month": issuable.month,
            "uscc": issuable.uscc,
            "dispatched_by": issuable.dispatched_by,
            "supersedes": issuable.previous.record_id if issuable.previous else None,
            "jws": new.jws,
            "sealed_disclosures": sealed,
            "issued_at": at,
        }
