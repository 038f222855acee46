"""What enterprises and the bureau state about employment: rosters, scope declarations, admissions.

Functions over a transaction. They do nothing outside it and may run twice; clock, ids and digests are
arguments.

1. Stating the same thing again changes nothing: the identical roster, row, declaration or admission.
2. A row is known by (enterprise, person, first day). Other content under it is a new fact that supersedes the
   old one; what was known before can still be asked.
3. Silence states nothing: people whom a later roster leaves out stay as they are. Somebody leaves by a row
   with a last day. So a roster may be sent whole or in parts, and an empty file dismisses nobody.
4. Whoever's facts changed is put on the due list in the same transaction, and judged again by itself.
5. Rosters are taken before the enterprise is admitted: the clause that asks for admission waits for it.

What an enterprise is told of its people is in ``verifier.standing``, offered here as ``status``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Final

from verifier.errors import Code, RequestRejected
from verifier.model.facts import AdmissionFact, EmploymentFact, FactId, ScopeFact, Source
from verifier.model.person import Uscc
from verifier.model.standing import StatusAnswer
from verifier.ports import Digest, NewId
from verifier.ports.intake import RosterTransaction
from verifier.roster import content
from verifier.roster_rows import RosterRow
from verifier.standing import members, status

__all__ = [
    "StatusAnswer",
    "UploadResult",
    "admit",
    "declare_scope",
    "members",
    "roster_digest",
    "status",
    "take_rows",
    "upload",
]

MAX_NAME: Final = 200
MAX_OFFICE: Final = 32
"""In characters."""

_stated = attrgetter("end", "category", "post", "dispatched_by", "name.raw")
"""What a row says besides whose it is and from when: the same attributes in a file's row and in a fact."""


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What an upload changed. Nothing here tells whether a person was known from elsewhere.

    Attributes:
        unchanged: the roster equals the last one; nothing was written.
        rows: how many rows were uploaded.
        new: rows that this enterprise had not stated before.
        changed: rows that say something else than before.
    """

    unchanged: bool
    rows: int
    new: int = 0
    changed: int = 0


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
    known = sorted(tx.employments(uscc, set(learners.values())), key=attrgetter("recorded_at", "fact_id"))
    standing = {(fact.learner_id, fact.start): fact for fact in known}
    facts: list[EmploymentFact] = []
    changed = 0
    for row in sorted(rows, key=attrgetter("identifier.value", "start")):
        key = (learners[row.identifier], row.start)
        before = standing.get(key)
        if before is not None and _stated(before) == _stated(row):
            continue
        standing[key] = EmploymentFact(
            fact_id=FactId(new_id()),
            learner_id=key[0],
            uscc=uscc,
            start=row.start,
            end=row.end,
            category=row.category,
            post=row.post,
            dispatched_by=row.dispatched_by,
            name=row.name,
            recorded_at=at,
            source=Source("roster", roster_id),
            supersedes=before.fact_id if before else None,
        )
        facts.append(standing[key])
        changed += before is not None
    tx.add_facts(facts)
    tx.put_due({fact.learner_id for fact in facts}, "roster", at)
    return UploadResult(unchanged=False, rows=len(rows), new=len(facts) - changed, changed=changed)


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
    """Record that the bureau lets an enterprise take part.

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
    said = (name, office, start, end)
    if any((fact.name, fact.office, fact.start, fact.end) == said for fact in tx.admissions(uscc)):
        return False
    source = Source("operator", operator)
    tx.add_facts([AdmissionFact(FactId(new_id()), uscc, name, office, start, end, at, source)])
    tx.put_due(tx.listed(uscc), "admission", at)
    return True


def _days_in_order(start: date, end: date | None) -> None:
    if end is not None and end < start:
        raise RequestRejected(Code.SCHEMA_INVALID, "ends before it begins", pointer="/to")
