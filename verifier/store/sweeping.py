"""Sweeps: everybody is judged again, slice by slice, and a crash resumes at the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, func, or_, select, update

from verifier.model.person import LearnerId
from verifier.ports.sweeping import Backlog, Sweep
from verifier.store import tables
from verifier.store.deciding import Deciding

_DUE: Final = (
    select(tables.due.c.due_id)
    .where(or_(tables.due.c.not_before.is_(None), tables.due.c.not_before <= bindparam("at")))
    .order_by(tables.due.c.created_at)
    .limit(1)
)
_SWEEPS: Final = select(tables.sweeps).order_by(tables.sweeps.c.created_at, tables.sweeps.c.sweep_id)


class Sweeping(Deciding):
    """Begins, moves and ends sweeps, and says how far they are."""

    def anything_due(self, at: datetime) -> bool:
        """Whether anybody is due at a moment, or a sweep is under way."""
        found = self.connection.execute(_DUE, {"at": at}).first() or self.connection.execute(_SWEEPS).first()
        return found is not None

    def people(self) -> int:
        """How many learners there are of whom any fact is known."""
        table = tables.facts
        return self.connection.execute(select(func.count(table.c.learner_id.distinct()))).scalar_one()

    def people_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners of whom any fact is known, by id."""
        table = tables.facts
        rows = self.connection.execute(
            select(table.c.learner_id)
            .where(table.c.learner_id > learner)
            .distinct()
            .order_by(table.c.learner_id)
            .limit(limit)
        ).scalars()
        return [LearnerId(who) for who in rows]

    def add_sweep(self, cause: str, total: int, at: datetime) -> None:
        """Begin a sweep, in the transaction of its cause."""
        self.connection.execute(
            tables.sweeps.insert(),
            {
                "sweep_id": self.vault.new_id(),
                "cause": cause,
                "cursor": "",
                "total": total,
                "done": 0,
                "created_at": at,
            },
        )

    def sweeps(self) -> Sequence[Sweep]:
        """Every sweep, oldest first."""
        return [_sweep(row) for row in self.connection.execute(_SWEEPS)]

    def hold_sweep(self, sweep_id: str) -> Sweep | None:
        """Take a sweep for this transaction alone, as it stands now; None where it has ended meanwhile."""
        table = tables.sweeps
        mine = table.c.sweep_id == sweep_id
        # Touched before it is read: of two evaluators the second waits here, and goes on behind the first.
        self.connection.execute(update(table).where(mine).values(done=table.c.done))
        row = self.connection.execute(select(table).where(mine)).one_or_none()
        return None if row is None else _sweep(row)

    def move_sweep(self, sweep_id: str, cursor: LearnerId, people: int) -> None:
        """Note that these people were judged, up to the cursor."""
        table = tables.sweeps
        self.connection.execute(
            update(table)
            .where(table.c.sweep_id == sweep_id)
            .values(cursor=cursor, done=table.c.done + people)
        )

    def end_sweep(self, sweep_id: str) -> None:
        """The sweep is over."""
        self.connection.execute(delete(tables.sweeps).where(tables.sweeps.c.sweep_id == sweep_id))

    def backlog(self, at: datetime) -> Backlog:
        """What is still to be judged again, as of a moment."""
        due = tables.due
        later = due.c.not_before > at
        count, since = func.count(due.c.learner_id.distinct()), func.min(due.c.created_at)
        waiting = select(count).where(later)
        people, oldest = self.connection.execute(
            select(count, since).where(or_(due.c.not_before.is_(None), due.c.not_before <= at))
        ).one()
        return Backlog(people, oldest, self.connection.execute(waiting).scalar_one(), tuple(self.sweeps()))


def _sweep(row: Row[Any]) -> Sweep:
    return Sweep(row.sweep_id, row.cause, LearnerId(row.cursor), row.total, row.done, row.created_at)
