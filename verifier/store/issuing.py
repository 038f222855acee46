"""What the issuer reads and writes: ``IssuingTransaction``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Integer, Row, Table, bindparam, exists, func, select, tuple_, update

from verifier.errors import Code, LedgerRefused
from verifier.model.decision import DecisionId, Entitlement, State
from verifier.model.facts import AdmissionFact, FactKind
from verifier.model.person import LearnerId, Uscc
from verifier.model.standards import CURRENCY, Standards
from verifier.ports.issuing import Head, Issuable, IssuedRecord, OutboxItem
from verifier.record import clauses
from verifier.store import tables
from verifier.store.appending import HEAD, Appending
from verifier.store.keys import KEYS
from verifier.traces import without_facts


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
_DECIDED: Final = select(*_DECISION).where(tables.decisions.c.decision_id.in_(KEYS))
_HEAD: Final = select(tables.ledger_head).where(tables.ledger_head.c.name == HEAD)
_NODES: Final = select(tables.nodes).where(tuple_(tables.nodes.c.level, tables.nodes.c.position).in_(KEYS))
_PENDING: Final = (
    select(tables.outbox)
    .order_by(tables.outbox.c.created_at, tables.outbox.c.outbox_id)
    .limit(bindparam("most", type_=Integer))
)
_NAMES: Final = select(*_SEALED).where(tables.facts.c.fact_id.in_(KEYS))
# Of whatever version: rows of two versions hold the same value.
_NUMBERS: Final = select(tables.identifiers.c.learner_id, tables.identifiers.c.sealed_value).where(
    tables.identifiers.c.learner_id.in_(KEYS)
)
_LATER: Final = tables.facts.alias("later")
_ADMITTED: Final = select(tables.facts).where(
    ~exists().where(_LATER.c.supersedes == tables.facts.c.fact_id),
    tables.facts.c.uscc.in_(KEYS),
    tables.facts.c.kind == FactKind.ADMISSION.value,
)
_LAST: Final = (
    select(*_RECORD, tables.status_entries.c.list_id, tables.status_entries.c.position.label("place"))
    .join(tables.status_entries, tables.status_entries.c.record_id == tables.records.c.record_id)
    .where(
        tuple_(tables.records.c.learner_id, tables.records.c.entitlement, tables.records.c.position).in_(
            select(
                tables.records.c.learner_id,
                tables.records.c.entitlement,
                func.max(tables.records.c.position),
            )
            .where(tables.records.c.learner_id.in_(KEYS))
            .group_by(tables.records.c.learner_id, tables.records.c.entitlement)
        )
    )
)
_UNROOTED: Final = (
    select(tables.evidence.c.evidence_id, tables.evidence.c.digest)
    .where(tables.evidence.c.position.is_(None))
    .limit(bindparam("most", type_=Integer))
)
_STATUSES: Final = tables.status_entries.c
_TAKEN: Final = select(_STATUSES.position).where(
    _STATUSES.list_id == bindparam("list"), _STATUSES.position.in_(KEYS)
)
_SET: Final = select(_STATUSES.position, _STATUSES.status).where(
    _STATUSES.list_id == bindparam("list"), _STATUSES.status != 0
)
_LISTS: Final = select(
    tables.status_lists.c.list_id, tables.status_lists.c.taken, tables.status_lists.c.signed_at
)
_TRACES: Final = msgspec.json.Decoder(_Trace)
_HOLDERS: Final = msgspec.json.Decoder(_Holder)
"""The sealed part of a completion."""


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
    row: Row[Any],
    disclosed: Mapping[str, str | None],
    previous: IssuedRecord | None,
    standards: Standards | None,
) -> Issuable:
    trace = _TRACES.decode(row.trace)
    return Issuable(
        decision_id=DecisionId(row.decision_id),
        learner_id=LearnerId(row.learner_id),
        entitlement=Entitlement(row.entitlement),
        revision=row.revision,
        state=State(row.state),
        decided_at=row.decided_at,
        office=row.office,
        month=row.month,
        uscc=Uscc(row.uscc) if row.uscc else None,
        dispatched_by=Uscc(row.dispatched_by) if row.dispatched_by else None,
        trace={
            "clauses": clauses(without_facts(bytes(trace.clauses))),
            "pins": trace.pins,
            "not_evaluated": trace.not_evaluated,
        },
        disclosures={name: value for name, value in disclosed.items() if value},
        previous=previous,
        standard=_standard(standards, row.entitlement, row.office, row.month),
    )


class Issuing(Appending):
    """One transaction of the issuer."""

    def head(self) -> Head:
        """The head; a new ledger has epoch 0 and size 0."""
        row = self.connection.execute(_HEAD).one_or_none()
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
        rows = self.among(_NODES, coordinates)
        found = {(level, position): bytes(value) for level, position, value in rows}
        if len(found) != len(coordinates):
            raise LedgerRefused(Code.LEDGER_FORK_REFUSED, "a node of the ledger is missing")
        return found

    def pending(self, limit: int) -> Sequence[OutboxItem]:
        """The oldest items that are not in the ledger yet."""
        rows = self.connection.execute(_PENDING, {"most": limit})
        return [
            OutboxItem(row.outbox_id, row.kind, row.reference, msgspec.json.decode(row.body), row.created_at)
            for row in rows
        ]

    def issuable(self, decisions: Collection[str]) -> Mapping[str, Issuable]:
        """Decisions with what their records disclose."""
        found: dict[str, Issuable] = {}
        standards = self.standards()
        rows = self.among(_DECIDED, decisions)
        learners = {row.learner_id for row in rows}
        self.learner_keys(learners)
        holders = self._holders({row.completion_fact for row in rows if row.completion_fact})
        numbers = self._id_numbers(learners)
        last = self._last_records(learners)
        names = self._employer_names({row.uscc for row in rows if row.uscc})
        for row in rows:
            disclosed = {
                "name": holders.get(row.completion_fact),
                "id_number": numbers.get(row.learner_id),
                "employer": names.get(row.uscc, row.uscc),
                "dispatched_by": row.dispatched_by,
            }
            previous = last.get((row.learner_id, row.entitlement))
            found[row.decision_id] = _issuable(row, disclosed, previous, standards)
        return found

    def _holders(self, facts: Collection[str]) -> dict[str, str]:
        rows = self.among(_NAMES, facts)
        self.learner_keys({row.learner_id for row in rows})
        opened = {row.fact_id: self.unsealed(row._mapping) for row in rows}  # noqa: SLF001 - SQLAlchemy's name
        return {fact: _HOLDERS.decode(name).raw for fact, name in opened.items() if name is not None}

    def _id_numbers(self, learners: Collection[str]) -> dict[str, str]:
        found = {}
        for learner, sealed in self.among(_NUMBERS, learners):
            value = self.vault.open(learner, "identifiers.sealed_value", learner, sealed)
            if value is not None:
                found[learner] = value.decode()
        return found

    def _employer_names(self, uscc: Collection[str]) -> dict[str, str]:
        facts = self._all_opened(self.among(_ADMITTED, uscc))
        return {fact.uscc: f"{fact.uscc} {fact.name}" for fact in facts if isinstance(fact, AdmissionFact)}

    def _last_records(self, learners: Collection[str]) -> dict[tuple[str, str], IssuedRecord]:
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
            for row in self.among(_LAST, learners)
        }

    def unrooted(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """Evidence that no evidence root covers yet: ids and digests."""
        rows = self.connection.execute(_UNROOTED, {"most": limit})
        return [(evidence_id, bytes(digest)) for evidence_id, digest in rows]

    def taken(self, list_id: int, indices: Collection[int]) -> Collection[int]:
        """Which of these places of a status list are taken."""
        return {position for (position,) in self.among(_TAKEN, indices, list=list_id)}

    def status_lists(self) -> Mapping[int, tuple[int, datetime]]:
        """Per list: how many places are taken, and when it was last signed."""
        rows = self.connection.execute(_LISTS)
        return {list_id: (taken, signed_at) for list_id, taken, signed_at in rows}

    def set_statuses(self, list_id: int) -> Mapping[int, int]:
        """The places of a list whose status is not valid."""
        rows = self.connection.execute(_SET, {"list": list_id})
        return {position: status for position, status in rows}  # noqa: C416 - rows are not plain tuples
