"""Empties raw bodies whose time is over: a worker's bounded steps, and what an operator is told of it.

One step looks at a piece of the deliveries, in the order of their keys, and empties in one transaction what
need not be kept any longer (``verifier.raw_bodies``). What it emptied, the ledger says by number: an entry
``retention`` for each step that emptied anything. So a body that somebody else emptied shows in the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from verifier import arguments
from verifier.ports import Clock, NewId
from verifier.ports.erasing import RetainingTransaction
from verifier.raw_bodies import Term, held_back

T = TypeVar("T")
KIND: Final = "retention"
PIECE: Final = 500
EVERY: Final = timedelta(hours=1)
"""How long after one time through all deliveries the next begins."""
_START: Final = ("", "")


class RetentionUnits(Protocol):
    """Runs the transactions."""

    async def retaining(self, work: Callable[[RetainingTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to; it counts as something only where it emptied anything.

    Attributes:
        after: where the next step goes on; the start where there is nothing left.
        looked: at how many deliveries.
        emptied: how many of them were emptied, or could be.
        held: how many stay, by why.
    """

    after: tuple[str, str]
    looked: int
    emptied: int
    held: Mapping[str, int]

    def __bool__(self) -> bool:
        return self.emptied > 0


def step(
    tx: RetainingTransaction,
    term: Term,
    after: tuple[str, str],
    at: datetime,
    *,
    new_id: NewId | None,
    limit: int = PIECE,
) -> Step:
    """Take one step.

    Args:
        tx: the transaction.
        term: for how long bodies are kept.
        after: where the step before ended.
        at: aware UTC.
        new_id: source of random ids; None only looks.
        limit: deliveries of one step.
    """
    of_erased = not term.days
    if of_erased and not tx.any_erased():
        return Step(_START, 0, 0, {})
    rows = tx.raw_after(after, limit, of_erased=of_erased)
    end = tx.last_looked_at()
    kept = [one for one in rows if one is not None]
    people = {who for one in kept for who in one.learners}
    erased, questioned = tx.erased_among(people), tx.questioned(people, at)
    held: Counter[str] = Counter()
    over = []
    for one in kept:
        why = held_back(one, term, at, erased=erased, questioned=questioned)
        if why:
            held[why] += 1
        else:
            over.append(one.key)
    if over and new_id is not None:
        deliveries, documents = tx.empty(over)
        counts = {"deliveries": deliveries, "documents": documents, "days": term.days}
        tx.announce(KIND, new_id(), counts, at)
    return Step(end if len(rows) == limit else _START, len(rows), len(over), held)


@dataclass(slots=True)
class RetentionWorker:
    """Goes through all deliveries once an hour."""

    units: RetentionUnits
    term: Term
    clock: Clock
    new_id: NewId
    limit: int = PIECE
    _after: tuple[str, str] = _START
    _next: datetime | None = None

    async def step(self) -> int:
        """Take one step.

        Returns:
            How many deliveries it looked at; 0 when it is through and the next time has not come.

        Raises:
            Unavailable: the database does not answer.
        """
        at = self.clock()
        if self._next is not None and at < self._next:
            return 0
        done = await self.units.retaining(
            lambda tx: step(tx, self.term, self._after, at, new_id=self.new_id, limit=self.limit), write=True
        )
        self._after = done.after
        self._next = at + EVERY if done.after == _START else None
        return done.looked if self._next is None else 0


@dataclass(frozen=True, slots=True)
class RetentionDesk:
    """Tells an operator what is kept and why, and empties at once what need not be."""

    units: RetentionUnits
    term: Term
    clock: Clock
    new_id: NewId
    limit: int = field(default=PIECE)

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by name."""
        return {"deliveries retention": self.retention}

    async def retention(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Go through all deliveries; only ``apply`` empties anything."""
        apply = arguments.flag(parameters, "apply")
        new_id = self.new_id if apply else None
        at, after = self.clock(), _START
        looked, emptied, held = 0, 0, Counter[str]()
        while True:
            done = await self._step(after, at, new_id)
            looked, emptied = looked + done.looked, emptied + done.emptied
            held.update(done.held)
            after = done.after
            if after == _START:
                break
        bodies, documents = await self.units.retaining(lambda tx: tx.emptied(), write=False)
        return {
            "days": self.term.days,
            "dry_run": not apply,
            "looked_at": looked,
            "emptied" if apply else "would_empty": emptied,
            "kept": dict(sorted(held.items())),
            "no_longer_kept": {"deliveries": bodies, "documents": documents},
        }

    async def _step(self, after: tuple[str, str], at: datetime, new_id: NewId | None) -> Step:
        return await self.units.retaining(
            lambda tx: step(tx, self.term, after, at, new_id=new_id, limit=self.limit),
            write=new_id is not None,
        )
