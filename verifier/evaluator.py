"""Decides again what is due: rosters, admissions, declarations, revocations, returned months, adoptions.

A cause that concerns some people writes their due rows in its own transaction; one that may concern anybody
writes a sweep. Here both are taken in the transaction of their decisions: a crash in between leaves them as
they were, and evaluating twice changes nothing, since a decision is appended only where something changed.

1. Due rows come first: somebody waits for them.
2. Then one slice of the oldest sweep that has people left, in the order of their ids; its cursor moves in the
   same transaction.
3. A sweep that has been through everybody ends. Nobody is missed who was decided by the rulebook before: an
   adoption waits for whoever decides (``hold_rules``), and whoever decides after it does so by the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol, TypeVar

from verifier import pipeline
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId
from verifier.ports.sweeping import SweepingTransaction

T = TypeVar("T")
BATCH: Final = 200
SLICE: Final = 100


class EvaluatorUnits(Protocol):
    """Runs the evaluator's transactions."""

    async def anything_due(self) -> bool:
        """Whether anybody is due or a sweep is under way, by a reading transaction."""
        ...

    async def evaluating(self, work: Callable[[SweepingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...


async def step(
    units: EvaluatorUnits, rulebook: Callable[[], Rulebook], *, clock: Clock, new_id: NewId
) -> int:
    """Work off one batch of due learners or, where there is none, one slice of a sweep.

    Returns:
        How much was done; 0 when nothing is due.
    """

    def work(tx: SweepingTransaction) -> int:
        at = clock()
        learners = tx.take_due(BATCH, at)
        if learners:
            pipeline.decide(tx, learners, rulebook(), at, new_id)
            return len(learners)
        return _sweep(tx, rulebook, at, new_id)

    # Most looks find nothing, and those that write take turns with callbacks.
    return await units.evaluating(work) if await units.anything_due() else 0


def _sweep(tx: SweepingTransaction, rulebook: Callable[[], Rulebook], at: datetime, new_id: NewId) -> int:
    for known in tx.sweeps():
        sweep = tx.hold_sweep(known.sweep_id)
        if sweep is None:
            continue
        people = tx.people_after(sweep.cursor, SLICE)
        if people:
            tx.lock(people)
            pipeline.decide(tx, people, rulebook(), at, new_id)
            tx.move_sweep(sweep.sweep_id, max(people), len(people))
            return len(people)
        tx.end_sweep(sweep.sweep_id)
        return 1
    return 0
