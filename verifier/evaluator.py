"""Decides again what is due: rosters, admissions, scope declarations, revocations, returned months.

A cause writes its due rows in its own transaction. Here they are taken in the transaction of their
decisions: a crash in between leaves them due, and evaluating twice changes nothing, since a decision is
appended only where something changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from verifier import pipeline
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId
from verifier.ports.intake import EvaluatorTransaction

T = TypeVar("T")
BATCH: Final = 200


class EvaluatorUnits(Protocol):
    """Runs the evaluator's transactions."""

    async def evaluating(self, work: Callable[[EvaluatorTransaction], T]) -> T:
        """Run one writing transaction."""
        ...


async def step(
    units: EvaluatorUnits, rulebook: Callable[[], Rulebook], *, clock: Clock, new_id: NewId
) -> int:
    """Work off one batch of due learners.

    Returns:
        How many learners were evaluated; 0 when nothing is due.
    """

    def work(tx: EvaluatorTransaction) -> int:
        at = clock()
        learners = tx.take_due(BATCH, at)
        if learners:
            pipeline.decide(tx, learners, rulebook(), at, new_id)
        return len(learners)

    return await units.evaluating(work)
