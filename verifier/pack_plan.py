"""What belongs into an audit pack: decided first, so that whom it shows is logged before it is written. Pure.

1. the range of entries: by index, or by the days in Beijing on which they were recorded;
2. the records of the range, or of one enterprise or office within it; for every person among them every claim
   on their months, and the records of these claims;
3. of each record the decision and the facts that it names; of whoever money was asked for, every roster row
   and contest that there ever was; every adoption;
4. the entries that bind all this, wherever in the ledger they are: evidence roots, steps of claims and
   clawbacks, whatever supersedes one of the records.

Memory grows with the ids of what is shown, not with the ledger; contents are read when they are written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from verifier import ledger
from verifier.errors import Code, RequestRejected, Unavailable
from verifier.model.ledger import Checkpoint
from verifier.model.time import BEIJING
from verifier.ports.auditing import Evidence
from verifier.ports.packing import PackedClaim, PackedRecord, PackTransaction

CLAIMS: Final = frozenset({"claim", "clawback"})
ADOPTION: Final = "adoption"
EVIDENCE: Final = "evidence"


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the ledger.

    Attributes:
        first: a day in Beijing or an index, as ``last``; both are included.
        enterprise: only what concerns this enterprise as employer or dispatching company; empty for all.
        office: only what belongs to this acceptance office; empty for all.
    """

    first: date | int
    last: date | int
    enterprise: str = ""
    office: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether parts of the range are shown as hashes alone."""
        return bool(self.enterprise or self.office)

    def concerns(self, record: PackedRecord) -> bool:
        """Whether a record is among what was asked for."""
        here = not self.enterprise or self.enterprise in {record.uscc, record.dispatched_by}
        return here and (not self.office or record.office == self.office)


@dataclass(slots=True)
class Plan:
    """What goes into a pack.

    Attributes:
        note: the signed checkpoint that all of it is shown under.
        first: index of the first entry of the range.
        last: index of the last one.
        entries: indices of the entries that are shown.
        records: ids.
        learners: whom it is about.
        claims: of each claim the record.
        completions: of each record the fact that it is about.
        adopted: digests of what the ledger says was adopted.
        roots: of ``entries``, those that are evidence roots.
        rows: table and key of rows that are shown; where nothing was narrowed, all rows of the range are too.
        needed: of ``rows``, those without which the records cannot be checked.
        uncovered: rows that came after the checkpoint, and are left out.
    """

    note: bytes
    checkpoint: Checkpoint
    status_lists: tuple[str, ...]
    first: int
    last: int
    narrowed: bool
    entries: set[int] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    learners: set[str] = field(default_factory=set)
    claims: dict[str, PackedClaim] = field(default_factory=dict)
    completions: dict[str, str] = field(default_factory=dict)
    adopted: set[str] = field(default_factory=set)
    roots: set[int] = field(default_factory=set)
    rows: set[tuple[str, str]] = field(default_factory=set)
    needed: set[tuple[str, str]] = field(default_factory=set)
    uncovered: int = 0

    def shows(self, one: Evidence) -> bool:
        """Whether a row that an evidence root covers is shown, not its digest alone."""
        position = -1 if one.position is None else one.position
        whole = not self.narrowed and self.first <= position <= self.last
        return whole or (one.source_table, one.source_key) in self.rows


def make(tx: PackTransaction, asked: Part) -> Plan:
    """Decide what goes in.

    Raises:
        RequestRejected: SCHEMA_INVALID, there is no such range.
        Unavailable: OVERLOADED, the issuer was always faster, or is behind.
    """
    note, tokens = tx.published()
    if not note:
        raise _no_range("from")
    # The service's own database: what it holds is shown, and the checker judges it.
    checkpoint = ledger.parse_checkpoint(note.rpartition(b"\n\n")[0] + b"\n")
    first, last = _range(tx, asked, checkpoint.size)
    plan = Plan(note, checkpoint, tuple(tokens), first, last, asked.narrowed)
    _choose_records(tx, asked, plan)
    _follow_claims(tx, plan)
    _follow_records(tx, plan)
    _cover(tx, plan)
    _name_people(tx, plan)
    return plan


def _range(tx: PackTransaction, asked: Part, size: int) -> tuple[int, int]:
    found: tuple[int, int] | None
    if isinstance(asked.first, int) and isinstance(asked.last, int):
        found = (asked.first, asked.last)
    elif isinstance(asked.first, date) and isinstance(asked.last, date):
        start, end = _midnight(asked.first), _midnight(asked.last) + timedelta(days=1)
        found = tx.recorded_between(start, end, size)
    else:
        raise _no_range("to")
    if found is None or not 0 <= found[0] <= found[1] < size:
        raise _no_range("from")
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING)


def _choose_records(tx: PackTransaction, asked: Part, plan: Plan) -> None:
    named: dict[str, list[int]] = {}
    for entry in tx.entries_between(plan.first, plan.last):
        record = entry.record_id or (_members(entry.body).get("record") if entry.kind in CLAIMS else None)
        if record is not None:
            named.setdefault(record, []).append(entry.position)
        elif not plan.narrowed:
            plan.entries.add(entry.position)
            if entry.kind == EVIDENCE:
                plan.roots.add(entry.position)
    for record in tx.packed_records(named):
        if asked.concerns(record):
            plan.records.add(record.record_id)
            plan.learners.add(record.learner_id)
            plan.entries.update(named[record.record_id])


def _follow_claims(tx: PackTransaction, plan: Plan) -> None:
    for claim in tx.claims_of(plan.learners):
        plan.records.add(claim.record_id)
        plan.rows.add(("claims", _key(claim.claim_id, claim.step)))
        plan.claims.setdefault(claim.claim_id, claim)
    size = plan.checkpoint.size
    # What was issued after the checkpoint is no part of what it signs.
    late = {record.record_id for record in tx.packed_records(plan.records) if record.position >= size}
    plan.records -= late
    plan.claims = {name: claim for name, claim in plan.claims.items() if claim.record_id not in late}
    for entry in tx.entries_of(CLAIMS | {ADOPTION}, size):
        members = _members(entry.body)
        if entry.kind == ADOPTION:
            plan.adopted.add(members["digest"])
        if entry.kind == ADOPTION or members["claim"] in plan.claims:
            plan.entries.add(entry.position)
    followed = set(plan.records)
    for record_id, before, position in tx.superseding(size):
        if before in followed:
            followed.add(record_id)
            plan.entries.add(position)


def _follow_records(tx: PackTransaction, plan: Plan) -> None:
    record_of: dict[str, str] = {}
    for record in tx.packed_records(plan.records):
        plan.entries.add(record.position)
        plan.rows.add(("decisions", _key(record.decision_id)))
        record_of[record.decision_id] = record.record_id
    for decision, trace in tx.traces(record_of):
        plan.rows.update(("facts", _key(fact)) for fact in trace["facts"])
        if trace["candidate"] is not None:
            plan.completions[record_of[decision]] = trace["candidate"]["completion"]
    asked_for = {claim.record_id for claim in plan.claims.values()} & plan.completions.keys()
    people = {claim.learner_id for claim in plan.claims.values()}
    # The completion of somebody who was merged is another learner's.
    completions = tx.facts_named({plan.completions[record] for record in asked_for})
    people |= {getattr(fact, "learner_id", "") for fact in completions}
    plan.needed = {row for row in plan.rows if row[0] != "claims"}
    plan.rows.update(("adoptions", _key(adoption)) for adoption, *_ in tx.adoptions_stored())
    plan.rows.update(("facts", _key(fact.fact_id)) for fact in tx.histories(people))


def _cover(tx: PackTransaction, plan: Plan) -> None:
    """The evidence roots of all rows that are shown; what came after the checkpoint is left out and counted.

    Raises:
        Unavailable: OVERLOADED, a record is signed and what it stands on is not under a root yet.
    """
    covered: set[tuple[str, str]] = set()
    for table, key, position in tx.covering(plan.checkpoint.size):
        if (table, key) in plan.rows:
            covered.add((table, key))
            plan.roots.add(position)
    if plan.needed - covered:
        raise Unavailable(Code.OVERLOADED, "the issuer is behind with its evidence: try again in a minute")
    plan.entries |= plan.roots
    plan.uncovered = len(plan.rows) - len(covered)
    plan.rows = covered
    plan.claims = {
        name: one for name, one in plan.claims.items() if ("claims", _key(name, "claim")) in covered
    }


def _name_people(tx: PackTransaction, plan: Plan) -> None:
    """Everybody of whom a row is shown, besides those of whom a record is."""
    for position in sorted(plan.roots):
        for one in tx.evidence_under(position):
            if one.row is not None and plan.shows(one) and (who := one.row.get("learner_id")):
                plan.learners.add(str(who))


def _members(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found


def _key(*parts: str) -> str:
    """A row's primary key, as evidence names it."""
    return json.dumps(list(parts), ensure_ascii=False)


def _no_range(pointer: str) -> RequestRejected:
    detail = "two days or two indices are needed, and entries between them under the newest checkpoint"
    return RequestRejected(Code.SCHEMA_INVALID, detail, pointer=pointer)
