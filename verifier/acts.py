"""Contests, releases and holds: what workers, enterprises and reviewers say, and what follows from it.

Functions over a transaction; they do nothing outside it and may run twice.

1. Everything said is a fact; whatever changes it is a later fact that supersedes it. Nothing is edited.
2. A worker contests a listing: from then on the enterprise's rows do not count for that person before a
   reviewer has answered, and the enterprise is told what it is told of strangers. Upheld, that stays.
3. A month is released by the enterprise that holds it, or by the bureau at the worker's wish, while it is
   granted and not claimed: what money was asked for is the subsidy system's to give back first. The next
   waiting candidate takes it in the written order (``verifier.candidates``).
4. A reviewer's hold has a reason and an end, at most ``LONGEST_HOLD`` away, and ends by itself.
5. Whatever is said of one of several merged learners is said of the person. All their rows are touched
   before anything is read, and everyone concerned is put on the due list in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.decision import Entitlement, ReviewNeed
from verifier.model.facts import (
    ContestFact,
    FactId,
    HoldFact,
    ReleaseFact,
    ReviewClosedFact,
    Source,
    Wish,
)
from verifier.model.person import LearnerId, Uscc
from verifier.ports import NewId
from verifier.ports.acting import ActingTransaction, Month

Act = TypeVar("Act", ContestFact, ReleaseFact, HoldFact)

LONGEST_HOLD: Final = timedelta(days=180)
"""Ours: no text says how long a reviewer may suspend."""
CONTEST: Final = "listing_contest"
_GRANTED: Final = "granted"


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody's word about a person.

    Attributes:
        learner_id: the person, under any of their learners.
        reason: in their own words; personal.
    """

    learner_id: LearnerId
    reason: str = field(repr=False)
    source: Source
    at: datetime


def person(tx: ActingTransaction, learner: LearnerId) -> Collection[LearnerId]:
    """Everyone who is this person, once every identifier row of theirs is touched.

    Raises:
        AccessDenied: NOT_FOUND, there is no such learner.
        Conflict: STATE_REFUSED, they were merged or parted meanwhile.
    """
    group = _members(tx, learner)
    tx.lock(group)
    if _members(tx, learner) != group:
        raise Conflict(Code.STATE_REFUSED, "they were merged or parted meanwhile", pointer="learner")
    if not tx.weights({learner}):
        raise AccessDenied(Code.NOT_FOUND, "no such learner", pointer="learner")
    return set(group)


def _members(tx: ActingTransaction, learner: LearnerId) -> Mapping[LearnerId, LearnerId]:
    return tx.members({*tx.members({learner}).values()})


# --- contests -----------------------------------------------------------------------------------------------


def contest(tx: ActingTransaction, said: Said, uscc: Uscc, *, new_id: NewId) -> FactId:
    """The worker says that an enterprise lists them wrongly; a reviewer is asked.

    Returns:
        The contest, which the review is about.

    Raises:
        AccessDenied: NOT_FOUND, the enterprise does not list the person.
        Conflict: STATE_REFUSED, it is contested already, or was found not to count.
    """
    group = person(tx, said.learner_id)
    if all(row.withdrawn for row in tx.employments(uscc, group)):
        raise AccessDenied(Code.NOT_FOUND, "this enterprise does not list the person", pointer="uscc")
    before = _contest(tx, group, uscc)
    if before is not None and before.upheld is not False:
        detail = "the listing is contested already, or was found not to count"
        raise Conflict(Code.STATE_REFUSED, detail, pointer="uscc")
    fact = ContestFact(
        fact_id=FactId(new_id()),
        learner_id=before.learner_id if before else said.learner_id,
        uscc=uscc,
        reason=said.reason,
        recorded_at=said.at,
        source=said.source,
        supersedes=before.fact_id if before else None,
    )
    tx.add_facts([fact])
    tx.open_reviews(fact.learner_id, [ReviewNeed(CONTEST, (fact.fact_id,))], said.at)
    tx.put_due(group, "contest", said.at)
    return fact.fact_id


def take_contest_back(tx: ActingTransaction, said: Said, uscc: Uscc, *, new_id: NewId) -> None:
    """The worker no longer contests a listing; the question is closed, and the rows count again.

    Raises:
        Conflict: STATE_REFUSED, the listing is not contested.
    """
    group = person(tx, said.learner_id)
    before = _contest(tx, group, uscc)
    if before is None or before.upheld is False:
        raise Conflict(Code.STATE_REFUSED, "the listing is not contested", pointer="uscc")
    facts: list[ContestFact | ReviewClosedFact] = [answered(before, said, upheld=False, new_id=new_id)]
    if before.upheld is None:
        review = tx.review_asked(before.learner_id, ReviewNeed(CONTEST, (before.fact_id,)))
        if review is not None:
            closed = FactId(new_id())
            facts.append(
                ReviewClosedFact(
                    closed, before.learner_id, review, "withdrawn", said.reason, said.at, said.source
                )
            )
    tx.add_facts(facts)
    tx.put_due(group, "contest", said.at)


def answered(before: ContestFact, said: Said, *, upheld: bool, new_id: NewId) -> ContestFact:
    """A contest with its answer."""
    return _next_state(before, said, new_id, upheld=upheld)


def _next_state(fact: Act, said: Said, new_id: NewId, **members: bool) -> Act:
    """An act with what was said of it since; it supersedes what stood there."""
    stated: dict[str, Any] = {"reason": said.reason, "recorded_at": said.at, "source": said.source, **members}
    return replace(fact, fact_id=FactId(new_id()), supersedes=fact.fact_id, **stated)


def _contest(tx: ActingTransaction, group: Collection[LearnerId], uscc: Uscc) -> ContestFact | None:
    found = [fact for fact in tx.acts_of(group) if isinstance(fact, ContestFact) and fact.uscc == uscc]
    # Two learners of a person may each have had one: the one that closes the listing is the one to answer.
    found.sort(key=lambda fact: (fact.upheld is False, fact.upheld is not None, fact.fact_id))
    return found[0] if found else None


# --- releases -----------------------------------------------------------------------------------------------


def release(
    tx: ActingTransaction, said: Said, uscc: Uscc, entitlement: Entitlement, wish: Wish, *, new_id: NewId
) -> bool:
    """An enterprise gives the month up that it holds, or the bureau takes it from there at the worker's wish.

    Returns:
        False if it was released before, and nothing changed.

    Raises:
        Conflict: MONTH_NOT_HELD, the enterprise does not hold it; MONTH_CLAIMED, money was asked for on it.
    """
    group = person(tx, said.learner_id)
    month = _held(tx, group, uscc, entitlement)
    before = _release(tx, group, month, entitlement)
    if before is not None and not before.withdrawn:
        return False
    fact = ReleaseFact(
        fact_id=FactId(new_id()),
        learner_id=before.learner_id if before else month.learner_id,
        entitlement=entitlement,
        issuer=month.issuer,
        number_scope=month.number_scope,
        number=month.number,
        uscc=uscc,
        wish=wish,
        reason=said.reason,
        recorded_at=said.at,
        source=said.source,
        supersedes=before.fact_id if before else None,
    )
    tx.add_facts([fact])
    tx.put_due(group, "release", said.at)
    return True


def take_release_back(
    tx: ActingTransaction,
    said: Said,
    uscc: Uscc,
    entitlement: Entitlement,
    wish: Wish,
    *,
    new_id: NewId,
) -> int:
    """Undo what was released at an enterprise at this wish: it is a candidate again, and takes its turn.

    Returns:
        How many releases were undone.

    Raises:
        Conflict: STATE_REFUSED, nothing was released at this wish.
    """
    group = person(tx, said.learner_id)
    standing = [
        fact
        for fact in tx.acts_of(group)
        if isinstance(fact, ReleaseFact) and (fact.uscc, fact.entitlement) == (uscc, entitlement)
        if not fact.withdrawn and fact.wish is wish
    ]
    if not standing:
        raise Conflict(Code.STATE_REFUSED, "nothing was released here at this wish", pointer="uscc")
    tx.add_facts([_next_state(fact, said, new_id, withdrawn=True) for fact in standing])
    tx.put_due(group, "release", said.at)
    return len(standing)


def _held(tx: ActingTransaction, group: Collection[LearnerId], uscc: Uscc, entitlement: Entitlement) -> Month:
    mine = [month for month in tx.months(group, entitlement) if month.uscc == uscc]
    if not mine:
        raise Conflict(Code.MONTH_NOT_HELD, "this enterprise does not hold the month", pointer="uscc")
    granted = [month for month in mine if month.state == _GRANTED]
    if not granted:
        detail = "the subsidy system must release the claim or record the return first"
        raise Conflict(Code.MONTH_CLAIMED, detail, pointer="uscc")
    return granted[0]


def _release(
    tx: ActingTransaction, group: Collection[LearnerId], month: Month, entitlement: Entitlement
) -> ReleaseFact | None:
    wanted = (month.issuer, month.number_scope, month.number, month.uscc, entitlement)
    found = [
        fact
        for fact in tx.acts_of(group)
        if isinstance(fact, ReleaseFact)
        and (fact.issuer, fact.number_scope, fact.number, fact.uscc, fact.entitlement) == wanted
    ]
    return min(found, key=lambda fact: (fact.withdrawn, fact.fact_id), default=None)


# --- holds --------------------------------------------------------------------------------------------------


def hold(tx: ActingTransaction, said: Said, until: datetime, *, new_id: NewId) -> None:
    """A reviewer suspends a person's decisions until a moment. What money was asked for on is not touched.

    Raises:
        RequestRejected: SCHEMA_INVALID, the end is not ahead, or too far.
    """
    if not said.at < until <= said.at + LONGEST_HOLD:
        detail = f"a hold ends within {LONGEST_HOLD.days} days"
        raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer="until")
    group = person(tx, said.learner_id)
    fact_id = FactId(new_id())
    tx.add_facts([HoldFact(fact_id, said.learner_id, until, said.reason, said.at, said.source)])
    tx.put_due(group, "hold", said.at)
    # When it ends the decision comes back by itself.
    tx.put_due(group, "hold_ended", said.at, not_before=until)


def lift_hold(tx: ActingTransaction, said: Said, *, new_id: NewId) -> int:
    """End every hold of a person that has not ended.

    Returns:
        How many were lifted.

    Raises:
        Conflict: STATE_REFUSED, nothing is held.
    """
    group = person(tx, said.learner_id)
    standing = [
        fact
        for fact in tx.acts_of(group)
        if isinstance(fact, HoldFact) and not fact.lifted and said.at < fact.until
    ]
    if not standing:
        raise Conflict(Code.STATE_REFUSED, "nothing is held", pointer="learner")
    tx.add_facts([_next_state(fact, said, new_id, lifted=True) for fact in standing])
    tx.put_due(group, "hold", said.at)
    return len(standing)
