"""Group commit: what arrives together shares one transaction.

While one transaction runs, arrivals wait; the next transaction takes all of them, up to a bound. One alone
never waits for company. When an item makes a group fail in a way that nobody expected, the group is rolled
back and halved until the item stands alone with its own failure. An unreachable database fails the whole
group instead: halving would only ask it again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from verifier.errors import Code, Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Runs ``commit`` over lists of items; ``commit`` is one transaction that answers each, or raises."""

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int = 200,
        waiting: int = 5_000,
    ) -> None:
        """Prepare; nothing runs before the first ``submit``.

        Args:
            commit: the transaction.
            most: items in one group.
            waiting: items that may wait; beyond it ``submit`` refuses.
        """
        self._commit = commit
        self._most = most
        self._bound = waiting
        self._queue: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Commit one item, in company of whatever else waits.

        Raises:
            Unavailable: too many wait already; nothing was done.
            Exception: what ``commit`` raised for this item alone.
        """
        if len(self._queue) >= self._bound:
            raise Unavailable(Code.OVERLOADED, "too many deliveries wait for the database")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return await asyncio.shield(future)

    async def drain(self) -> None:
        """Wait until nothing is queued or running."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
            await self._run(group)

    async def _run(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        commit = self._commit([item for item, _ in group])
        # Whatever fails is given to whom it concerns; this worker goes on.
        [outcome] = await asyncio.gather(commit, return_exceptions=True)
        if not isinstance(outcome, BaseException):
            for (_, future), answer in zip(group, outcome, strict=True):
                if not future.done():
                    future.set_result(answer)
        elif len(group) == 1 or isinstance(outcome, Unavailable):
            _fail(group, outcome)
        else:
            middle = len(group) // 2
            await self._run(group[:middle])
            await self._run(group[middle:])


def _fail(group: Sequence[tuple[Item, asyncio.Future[Answer]]], failure: BaseException) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(failure)
            # The caller may have gone away; an exception nobody fetches must not be logged with its payload.
            future.exception()
