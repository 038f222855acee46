"""Background work: a step is repeated while it finds something, and again when something was written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from verifier.errors import LedgerRefused, Unavailable
from verifier.haste import waited_for
from verifier.loops import LoopThread

log = logging.getLogger("verifier.workers")

IDLE_SECONDS: Final = 1.0
"""How often a worker looks unasked: it finds what another process wrote."""
BACKOFF_SECONDS: Final = 1.0
TOGETHER_SECONDS: Final = 0.25
"""At most from the beginning of one step to that of the next: what is written meanwhile is taken together,
since a step costs much by itself and little for one thing more."""
_SHARE: Final = 4
"""A step that took little is followed sooner: the next begins after this many times what it took."""
PRESSED_SECONDS: Final = 1.0
"""For so long after a request has written something, background work leaves requests the greater part."""


@dataclass(slots=True)
class Worker:
    """One kind of background work.

    Attributes:
        step: does a bounded piece and says how much that was; 0 when nothing is left.
        needed: whether the service cannot do its work without it.
        woken: whether it may have to work on what is written here.
        full: what a step says that did as much as one does at most: more is left, and is done at once, or
            where requests press, after as long again (a worker that is not needed: three times as long).
        every: seconds, at most, from the beginning of a step after which it rests to that of the next,
            however often it is woken; one that takes longer is followed at once.
        pressed: whether requests are writing.
        wake: set by whoever wrote something that this worker may have to work on.
        failed: why the worker stopped for good, if it did.
    """

    name: str
    step: Callable[[], Awaitable[int]]
    needed: bool = True
    woken: bool = True
    full: int = 1
    every: float = TOGETHER_SECONDS
    pressed: Callable[[], bool] = field(default=lambda: False, repr=False)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failed: str = ""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(), name=self.name)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            # Its type only: a message may hold what was worked on.
            self.failed = type(failure).__name__
            log.critical("%s stopped: %s", self.name, self.failed)

    async def stop(self) -> None:
        """Stop after the step that runs: cutting it off would leave its connection in an unknown state."""
        self._stopping.set()
        self.wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            begun = loop.time()
            try:
                done = await self.step()
                if done >= self.full and not self.pressed():
                    continue
                share = 2 if done >= self.full and self.needed else _SHARE
                rest = min(self.every, (loop.time() - begun) * share)
                if done or await _within(self.wake, IDLE_SECONDS):
                    await _within(self._stopping, begun + rest - loop.time())
                    # Cleared before the next step looks: what is written from here on sets it again.
                    self.wake.clear()
            except Unavailable as failure:
                log.warning("%s: %s; trying again", self.name, failure.code)
                await _within(self._stopping, BACKOFF_SECONDS)
            except LedgerRefused as failure:
                # Another issuer took over, or the ledger would fork: going on could only make it worse.
                self.failed = failure.code
                log.critical("%s stopped: %s", self.name, failure)
                return


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; no longer than these seconds, not at all where they are none."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


class Crew:
    """All workers of a process; their steps run on a loop beside the one that answers requests."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self._thread = LoopThread("workers")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pressed_at = -PRESSED_SECONDS

    def add(
        self,
        name: str,
        step: Callable[[], Coroutine[Any, Any, int]],
        *,
        needed: bool = True,
        woken: bool = True,
        full: int = 1,
        every: float = TOGETHER_SECONDS,
    ) -> None:
        """Take in a worker.

        Args:
            name: for the log.
            step: as of ``Worker``.
            needed: one that is not may stop for good without anybody having to wait.
            woken: one that is not looks unasked only, whatever is written.
            full: as of ``Worker``.
            every: as of ``Worker``.
        """
        run = partial(self._run, step)
        self._workers.append(Worker(name, run, needed, woken, full, every, self._pressed))

    async def _run(self, step: Callable[[], Coroutine[Any, Any, int]]) -> int:
        return await self._thread.run(step())

    def _pressed(self) -> bool:
        return time.monotonic() - self._pressed_at < PRESSED_SECONDS

    def wake(self, *, pressed: bool | None = None) -> None:
        """Tell every worker that something was written; from any thread.

        Args:
            pressed: whether a request wrote it; None for what is known of who wrote it here.
        """
        if waited_for() if pressed is None else pressed:
            self._pressed_at = time.monotonic()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for worker in self._workers:
            if worker.woken:
                worker.wake.set()

    def start(self) -> None:
        """Begin to work; called on the loop that answers requests."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.start()

    async def stop(self) -> None:
        """Stop every worker, and the loop of their steps."""
        self._loop = None
        for worker in self._workers:
            await worker.stop()
        await self._thread.stop()

    def failed(self) -> Sequence[str]:
        """Workers that stopped for good, of those that the service needs."""
        return [f"{one.name}: {one.failed}" for one in self._workers if one.failed and one.needed]
