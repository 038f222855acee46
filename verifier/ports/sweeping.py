"""What carrying a cause to everybody needs of a transaction: a sweep, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from verifier.model.person import LearnerId
from verifier.ports.intake import EvaluatorTransaction


@dataclass(frozen=True, slots=True)
class Sweep:
    """Everybody is to be judged again, in the order of their ids.

    Attributes:
        cursor: id of the last learner who was; empty at first.
        total: people of whom anything was known when it began.
        done: people judged so far; more than ``total`` where others came meanwhile.
    """

    sweep_id: str
    cause: str
    cursor: LearnerId
    total: int
    done: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is still to be judged again.

    Attributes:
        due: people on the due list whose turn has come, and since when the first of them stands there.
        later: people who are on it for a later moment.
        sweeps: oldest first.
    """

    due: int
    oldest: datetime | None
    later: int
    sweeps: tuple[Sweep, ...]


class SweepingTransaction(EvaluatorTransaction, Protocol):
    """An evaluator's transaction that may also take a slice of a sweep."""

    def sweeps(self) -> Sequence[Sweep]:
        """Every sweep, oldest first."""
        ...

    def hold_sweep(self, sweep_id: str) -> Sweep | None:
        """Take a sweep for this transaction alone, as it stands now; None where it has ended meanwhile."""
        ...

    def people_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners of whom any fact is known, by id."""
        ...

    def move_sweep(self, sweep_id: str, cursor: LearnerId, people: int) -> None:
        """Note that these people were judged, up to the cursor."""
        ...

    def end_sweep(self, sweep_id: str) -> None:
        """The sweep is over."""
        ...
