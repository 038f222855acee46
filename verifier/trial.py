"""A dry run of any cause: what would be decided otherwise, found by doing it and taking it back.

The cause is carried out in a writing transaction, whoever it puts on the due list is judged in the same
transaction, and everything is rolled back. So the answer is what would happen, not a second reckoning of it.

A writing transaction keeps others waiting. Where a cause concerns many people they are judged in slices, and
the cause is carried out anew for each: no slice takes longer than a batch of the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from verifier import pipeline
from verifier.model.decision import DecisionId, Entitlement, LatestDecision, State
from verifier.model.person import LearnerId
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId
from verifier.ports.intake import DeciderTransaction, NewDecision

SLICE: Final = 200

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class TriedTransaction(DeciderTransaction, Protocol):
    """A transaction that knows whom it put on the due list."""

    @property
    def made_due(self) -> Collection[LearnerId]:
        """Whom this transaction put on the due list."""
        ...


class TrialUnits(Protocol):
    """Runs transactions that leave nothing behind."""

    async def trying(self, work: Callable[[Any], T]) -> T:
        """Run one writing transaction, and roll it back."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would be followed by another one; ``before`` is None where there is none yet.

    Attributes:
        decision: the id of the decision that would be followed.
    """

    learner_id: LearnerId
    entitlement: Entitlement
    before: State | None
    after: State
    decision: DecisionId | None = None


@dataclass(frozen=True, slots=True)
class Trial(Generic[T_co]):
    """What would come of a cause.

    Attributes:
        result: what the cause itself answers.
        judged: how many people would be judged again.
        changes: by learner's id.
    """

    result: T_co
    judged: int
    changes: tuple[Change, ...]

    def members(self, *, applied: bool = False) -> dict[str, Any]:
        """The trial as JSON members; or what came of it, where it was ``applied``."""
        return {
            "dry_run": not applied,
            "judged": self.judged,
            "changed" if applied else "would_change": len(self.changes),
            "decisions": [
                {
                    "decision": change.decision,
                    "learner": change.learner_id,
                    "entitlement": change.entitlement,
                    "from": change.before.value if change.before else None,
                    "to": change.after.value,
                }
                for change in self.changes
            ],
        }


async def rehearse(
    units: TrialUnits, cause: Callable[[Any], T], rulebook: Rulebook, *, clock: Clock, new_id: NewId
) -> Trial[T]:
    """Carry out a cause and all that follows from it, and take everything back.

    Args:
        units: where.
        cause: what would be done, over a transaction; it may run many times.
        rulebook: in force.
        clock: aware UTC.
        new_id: source of random ids.

    Raises:
        VerifierError: what the cause itself raises.
    """
    at, done, changes = clock(), 0, list[Change]()
    while True:
        result, people, found = await units.trying(_slice_from(cause, rulebook, at, new_id, done))
        changes += found
        done += SLICE
        if done >= people:
            return Trial(result, people, tuple(sorted(changes, key=lambda change: change.learner_id)))


def _slice_from(
    cause: Callable[[Any], T], rulebook: Rulebook, at: datetime, new_id: NewId, start: int
) -> Callable[[TriedTransaction], tuple[T, int, list[Change]]]:
    def work(tx: TriedTransaction) -> tuple[T, int, list[Change]]:
        result = cause(tx)
        due = sorted(tx.made_due)
        return result, len(due), _judged(tx, due[start : start + SLICE], rulebook, at, new_id)

    return work


def carry_out(
    cause: Callable[[Any], T], rulebook: Callable[[], Rulebook], at: datetime, new_id: NewId
) -> Callable[[TriedTransaction], Trial[T]]:
    """A cause and all that follows from it, as one transaction that stays: for causes about few people.

    Asked for the rulebook each time it runs: it starts again where another one is in force.

    So nothing that rests on what was decided before it, such as a claim, can come in between.
    """

    def work(tx: TriedTransaction) -> Trial[T]:
        result = cause(tx)
        due = sorted(tx.made_due)
        return Trial(result, len(due), tuple(_judged(tx, due, rulebook(), at, new_id)))

    return work


def _judged(
    tx: TriedTransaction, learners: Collection[LearnerId], rulebook: Rulebook, at: datetime, new_id: NewId
) -> list[Change]:
    tx.lock(learners)
    canonical = tx.canonical(learners)
    before = _before(tx, {*canonical, *canonical.values()}, rulebook)
    decided = pipeline.decide(tx, learners, rulebook, at, new_id)
    return sorted(_changes(decided, before), key=lambda change: change.learner_id)


def _before(
    tx: TriedTransaction, learners: Collection[LearnerId], rulebook: Rulebook
) -> Mapping[tuple[LearnerId, Entitlement], LatestDecision]:
    entitlements = {policy.entitlement for policy in rulebook.policies}
    return {
        (learner, entitlement): latest
        for entitlement in entitlements
        for learner, latest in tx.latest(learners, entitlement).items()
    }


def _changes(
    decided: Collection[NewDecision],
    before: Mapping[tuple[LearnerId, Entitlement], LatestDecision],
) -> Iterator[Change]:
    for new in decided:
        last = before.get((new.learner_id, new.entitlement))
        yield Change(
            new.learner_id,
            new.entitlement,
            last.state if last else None,
            new.state,
            last.decision_id if last else None,
        )
