"""What enterprises and the bureau state about employment: rosters, scope declarations, admissions.

Functions over a transaction. They do nothing outside it and may run twice; clock, ids and digests are
arguments.

1. Stating the same thing again changes nothing: the identical roster, row, declaration or admission.
2. A row is known by (enterprise, person, first day). Other content under it is a new fact that supersedes the
   old one; what was known before can still be asked.
3. A row with a wrong first day is withdrawn: a new fact supersedes it, says what it said and that it is taken
   back. Nothing of it counts any more; that it once did can still be shown.
4. Silence states nothing: people whom a later roster leaves out stay as they are. Somebody leaves by a row
   with a last day. So a roster may be sent whole or in parts, and an empty file dismisses nobody.
5. Whoever's facts changed is put on the due list in the same transaction, and judged again by itself.
6. An admission is known by (enterprise, first day). Another office, name or last day supersedes it.
7. Rosters are taken before the enterprise is admitted: the clause that asks for admission waits for it.

What an enterprise is told of its people is in ``verifier.standing``, offered here as ``status``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Final

from verifier import traits
from verifier.errors import Code, RequestRejected
from verifier.model.facts import AdmissionFact, EmploymentFact, FactId, ScopeFact, Source
from verifier.model.person import LearnerId, Uscc
from verifier.model.standing import StatusAnswer
from verifier.ports import Digest, NewId
from verifier.ports.intake import RosterTransaction
from verifier.roster import content
from verifier.roster_rows import RosterRow
from verifier.standing import status

__all__ = [
    "StatusAnswer",
    "UploadResult",
    "admit",
    "declare_scope",
    "roster_digest",
    "status",
    "take_rows",
    "unfounded",
    "upload",
]

MAX_NAME: Final = 200
MAX_OFFICE: Final = 32
"""In characters."""

_stated = attrgetter("end", "category", "post", "dispatched_by", "name.raw", "mark", "withdrawn")
"""What a row says besides whose it is and from when: the same attributes in a file's row and in a fact."""


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What an upload changed. Nothing here tells whether a person was known from elsewhere.

    Attributes:
        unchanged: the roster equals the last one; nothing was written.
        withdrawn: rows that were taken back.
        rows: how many rows were uploaded.
        new: rows that this enterprise had not stated before.
        changed: rows that say something else than before.
    """

    unchanged: bool
    rows: int
    new: int = 0
    changed: int = 0
    withdrawn: int = 0


def upload(
    tx: RosterTransaction,
    uscc: Uscc,
    rows: Collection[RosterRow],
    *,
    at: datetime,
    new_id: NewId,
    digest: Digest,
    client_id: str,
) -> UploadResult:
    """Take in a roster. People whom it leaves out stay as they are: they leave by a row with a last day.

    A large roster is better taken in slices, a transaction each: compare ``roster_digest`` with the last
    roster's, ``take_rows`` slice by slice, and record the upload with the last one. Should it break off in
    between, what was taken stands, and the same file sent again completes it.

    Args:
        tx: the transaction.
        uscc: whose roster it is.
        rows: rows without a problem; none at all changes nothing.
        at: aware UTC, the moment the facts bear.
        new_id: source of random ids.
        digest: keyed digest.
        client_id: who uploads.
    """
    said = roster_digest(uscc, rows, digest)
    if not rows or tx.last_roster(uscc) == said:
        return UploadResult(unchanged=True, rows=len(rows))
    roster_id = new_id()
    result = take_rows(tx, uscc, rows, roster_id, at=at, new_id=new_id)
    tx.add_roster(roster_id, uscc, said, len(rows), client_id, at)
    return result


def unfounded(tx: RosterTransaction, uscc: Uscc, rows: Collection[RosterRow]) -> frozenset[int]:
    """Numbers of the rows that withdraw what no roster of the enterprise ever listed.

    A row that is withdrawn already is none of them: the same may be said again.

    Args:
        tx: the transaction in which the others are taken.
        uscc: whose roster it is.
        rows: of a file.
    """
    wanted = [row for row in rows if row.withdrawn]
    learners = tx.known_learners({row.identifier for row in wanted})
    listed = {(fact.learner_id, fact.start) for fact in tx.employments(uscc, set(learners.values()))}
    return frozenset(row.row for row in wanted if (learners.get(row.identifier), row.start) not in listed)


def roster_digest(uscc: Uscc, rows: Collection[RosterRow], digest: Digest) -> bytes:
    """What tells a roster from the last one: 32 bytes, alike for the same rows in any order and file form."""
    return digest("roster", uscc.encode() + b"\n" + content(rows))


def take_rows(
    tx: RosterTransaction,
    uscc: Uscc,
    rows: Collection[RosterRow],
    roster_id: str,
    *,
    at: datetime,
    new_id: NewId,
) -> UploadResult:
    """Take in rows of a roster, without recording the upload. Arguments as for ``upload``."""
    learners = tx.learners({row.identifier for row in rows}, at)
    tx.add_traits(
        (learners[row.identifier], trait)
        for row in rows
        if not row.withdrawn
        for trait in traits.of_identified(row.identifier, row.name)
    )
    known = sorted(tx.employments(uscc, set(learners.values())), key=attrgetter("recorded_at", "fact_id"))
    standing = {(fact.learner_id, fact.start): fact for fact in known}
    source = Source("roster", roster_id)
    facts: list[EmploymentFact] = []
    changed = 0
    for row in sorted(rows, key=attrgetter("identifier.value", "start")):
        key = (learners[row.identifier], row.start)
        before = standing.get(key)
        if before is not None and (_taken_back(before, row) or _stated(before) == _stated(row)):
            continue
        after = _fact(row, key[0], uscc, before, FactId(new_id()), at, source)
        if after is not None:
            standing[key] = after
            facts.append(after)
            changed += before is not None and not after.withdrawn
    withdrawn = sum(fact.withdrawn for fact in facts)
    tx.add_facts(facts)
    tx.put_due({fact.learner_id for fact in facts}, "roster", at)
    new = len(facts) - changed - withdrawn
    return UploadResult(unchanged=False, rows=len(rows), new=new, changed=changed, withdrawn=withdrawn)


def _taken_back(before: EmploymentFact, row: RosterRow) -> bool:
    """Whether a row withdraws what is withdrawn already, whatever else it says."""
    return before.withdrawn and row.withdrawn


def _fact(
    row: RosterRow,
    learner: LearnerId,
    uscc: Uscc,
    before: EmploymentFact | None,
    fact_id: FactId,
    at: datetime,
    source: Source,
) -> EmploymentFact | None:
    """What a row states, over what stands; nothing where it withdraws what never stood."""
    if row.withdrawn:
        if before is None:
            return None
        return replace(
            before,
            fact_id=fact_id,
            recorded_at=at,
            source=source,
            supersedes=before.fact_id,
            withdrawn=True,
        )
    return EmploymentFact(
        fact_id=fact_id,
        learner_id=learner,
        uscc=uscc,
        start=row.start,
        end=row.end,
        category=row.category,
        post=row.post,
        dispatched_by=row.dispatched_by,
        name=row.name,
        recorded_at=at,
        source=source,
        supersedes=before.fact_id if before else None,
        mark=row.mark,
    )


def declare_scope(
    tx: RosterTransaction,
    uscc: Uscc,
    start: date,
    end: date | None,
    *,
    at: datetime,
    new_id: NewId,
    client_id: str,
) -> bool:
    """Record that an enterprise widens the scope to all its technical workers (clause 一（三）).

    Args:
        tx: the transaction.
        uscc: the enterprise.
        start: first day, Beijing's calendar.
        end: last day, included; None while it is open.
        at: aware UTC.
        new_id: source of random ids.
        client_id: who declares.

    Returns:
        False if these days were declared before, and nothing changed.

    Raises:
        RequestRejected: SCHEMA_INVALID, it ends before it begins.
    """
    _days_in_order(start, end)
    if any((fact.start, fact.end) == (start, end) for fact in tx.scopes(uscc)):
        return False
    tx.add_facts([ScopeFact(FactId(new_id()), uscc, start, end, at, Source("declaration", client_id))])
    tx.put_due(tx.listed(uscc), "scope", at)
    return True


def admit(
    tx: RosterTransaction,
    uscc: Uscc,
    name: str,
    office: str,
    start: date,
    end: date | None,
    *,
    at: datetime,
    new_id: NewId,
    operator: str,
) -> bool:
    """Record that the bureau lets an enterprise take part, or that what it said of a first day is different.

    To end an admission, it is recorded again with the same first day and a last one.

    Args:
        tx: the transaction.
        uscc: the enterprise.
        name: as it is registered, up to 200 characters.
        office: the acceptance office's code, up to 32 characters.
        start: first day, Beijing's calendar; completions of earlier days wait for another admission.
        end: last day, included; None while it is open.
        at: aware UTC.
        new_id: source of random ids.
        operator: who records it.

    Returns:
        False if the same was recorded before, and nothing changed.

    Raises:
        RequestRejected: SCHEMA_INVALID, with the argument that is empty or too long, or the days' order.
    """
    for pointer, text, limit in (("/name", name, MAX_NAME), ("/office", office, MAX_OFFICE)):
        if not text.strip() or len(text) > limit:
            raise RequestRejected(Code.SCHEMA_INVALID, "empty or too long", pointer=pointer)
    _days_in_order(start, end)
    listed = tx.listed(uscc)  # first: it is here that two who write about one enterprise take turns
    same_day = [fact for fact in tx.admissions(uscc) if fact.start == start]
    said = (name, office, end)
    if same_day and all((fact.name, fact.office, fact.end) == said for fact in same_day):
        return False
    source = Source("operator", operator)
    # Of one first day several may stand from before the later one superseded the earlier: all of them end.
    over: list[FactId | None] = [fact.fact_id for fact in same_day]
    tx.add_facts(
        [
            AdmissionFact(FactId(new_id()), uscc, name, office, start, end, at, source, supersedes=before)
            for before in over or [None]
        ]
    )
    tx.put_due(listed, "admission", at)
    return True


def _days_in_order(start: date, end: date | None) -> None:
    if end is not None and end < start:
        raise RequestRejected(Code.SCHEMA_INVALID, "ends before it begins", pointer="/to")
