"""Group commit: what arrives together shares one transaction.

While one transaction runs, arrivals wait; the next transaction takes all of them, up to a bound. One alone
never waits for company. Right after a group, the next one is given a little time, in proportion to what the
last one took, for those to come again who were answered just now: senders who wait for their answers would
otherwise fall into two halves that take turns, each group half as large as it could be. The bound adapts: a
group that took longer than it should makes the next ones smaller, full groups that were quick make them
larger again. There is one group in flight: two were measured to be slower, since each is then smaller and
what a group costs by itself is paid more often (ADR 0016).

When an item makes a group fail in a way that nobody expected, the group is rolled back and halved until the
item stands alone with its own failure. A database that is not there, or too busy, fails the whole group
instead, since halving would only ask it again; and where it is not there, whoever waits is told at once
rather than one group after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, NamedTuple, TypeVar

from verifier.errors import Code, Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

LEAST: Final = 8
"""Items in a group however slow the database: below it, the commit costs more than the items."""
FEW: Final = 4
"""Items in a group after which the next one does not wait for more."""
_OF_LAST: Final = 0.5
"""Of what the last group took, how much the next one may wait."""
_DOWN: Final = frozenset({Code.STORE_UNAVAILABLE, Code.OUTCOME_UNKNOWN})


class _Waiting(NamedTuple, Generic[Item, Answer]):
    item: Item
    future: asyncio.Future[Answer]
    since: float


class GroupCommit(Generic[Item, Answer]):
    """Runs ``commit`` over lists of items; ``commit`` is one transaction that answers each, or raises."""

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int = 200,
        waiting: int = 5_000,
        patience: float = 10.0,
        aim: float = 0.25,
        company: float = 0.03,
    ) -> None:
        """Prepare; nothing runs before the first ``submit``.

        Args:
            commit: the transaction.
            most: items in one group.
            waiting: items that may wait; beyond it ``submit`` refuses.
            patience: seconds; while the first in line has waited longer, ``submit`` refuses.
            aim: seconds that a group should take at most.
            company: seconds that a group may wait, after the one before it, for those who come again.
        """
        self._commit = commit
        self._most = self._size = most
        self._bound = waiting
        self._patience = patience
        self._aim = aim
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._company = company
        self._last = self._behind = self._wanted = 0
        self._ended = self._took = 0.0
        self._there = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Commit one item, in company of whatever else waits.

        Raises:
            Unavailable: too many wait already, or for too long; nothing was done.
            Exception: what ``commit`` raised for this item alone.
        """
        loop = asyncio.get_running_loop()
        late = bool(self._queue) and loop.time() - self._queue[0].since > self._patience
        if late or len(self._queue) >= self._bound:
            raise Unavailable(Code.OVERLOADED, "too many deliveries wait for the database")
        waiting = _Waiting[Item, Answer](item, loop.create_future(), loop.time())
        self._queue.append(waiting)
        if self._wanted and len(self._queue) >= self._wanted:
            self._there.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return await asyncio.shield(waiting.future)

    async def drain(self) -> None:
        """Wait until nothing is queued or running."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._queue:
            await self._gather()
            group = [self._queue.popleft() for _ in range(min(self._size, len(self._queue)))]
            await self._run(group)

    async def _gather(self) -> None:
        """Wait for as many as the last group had, beside those who waited while it ran; not for long."""
        if self._last < FEW:
            return
        until = self._ended + min(self._took * _OF_LAST, self._company)
        self._wanted = min(self._size, self._last + self._behind)
        self._there.clear()
        loop = asyncio.get_running_loop()
        if len(self._queue) < self._wanted and (left := until - loop.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._there.wait(), left)
        self._wanted = 0

    async def _run(self, group: list[_Waiting[Item, Answer]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Whatever fails is given to whom it concerns; this worker goes on.
        [outcome] = await asyncio.gather(self._commit([one.item for one in group]), return_exceptions=True)
        self._ended = loop.time()
        self._last, self._took, self._behind = len(group), self._ended - began, len(self._queue)
        if not isinstance(outcome, BaseException):
            self._adapt(len(group), self._took)
            for one, answer in zip(group, outcome, strict=True):
                if not one.future.done():
                    one.future.set_result(answer)
        elif isinstance(outcome, Unavailable):
            if outcome.code in _DOWN:
                waiting, self._queue = self._queue, deque()
                _fail(waiting, Unavailable(Code.STORE_UNAVAILABLE, outcome.detail))
            _fail(group, outcome)
        elif len(group) == 1:
            _fail(group, outcome)
        else:
            middle = len(group) // 2
            await self._run(group[:middle])
            await self._run(group[middle:])

    def _adapt(self, items: int, took: float) -> None:
        if took > self._aim:
            self._size = max(LEAST, min(self._size, int(items * self._aim / took)))
        elif items >= self._size and took < self._aim / 2:
            self._size = min(self._most, self._size * 2)


def _fail(group: Sequence[_Waiting[Item, Answer]], failure: BaseException) -> None:
    for one in group:
        if not one.future.done():
            one.future.set_exception(failure)
            # The caller may have gone away; an exception nobody fetches must not be logged with its payload.
            one.future.exception()
