"""Calls that wait until the ledger grows, and calls that last: few at once, and one look for all that wait.

Nobody who waits holds a connection to the database. While there is anybody, one task looks at the ledger's
size: at once when the issuer of this process has appended something, and every ``LOOK_SECONDS`` beside that,
which finds what another process appended. Whoever went away is let go by the same look.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from verifier.errors import Code, Unavailable

LOOK_SECONDS: Final = 1.0

Size = Callable[[], Awaitable[int]]


class Places:
    """How many may do something at once: in all, and of one client."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client_id: str, *, most: int, of_one: int) -> Iterator[None]:
        """Hold a place.

        Raises:
            Unavailable: OVERLOADED, there is none left; nobody is queued.
        """
        if self._taken.total() >= most or self._taken[client_id] >= of_one:
            raise Unavailable(Code.OVERLOADED, "as many such calls as are taken at once are under way")
        self._taken[client_id] += 1
        try:
            yield
        finally:
            self._taken[client_id] -= 1
            if not self._taken[client_id]:
                del self._taken[client_id]

    def __len__(self) -> int:
        return self._taken.total()


@dataclass(eq=False, slots=True)
class _Waiter:
    beyond: int
    gone: Callable[[], bool]
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


class Growth:
    """Tells those who wait that the ledger has grown."""

    def __init__(self) -> None:
        self._waiters: set[_Waiter] = set()
        self._watch: asyncio.Task[None] | None = None
        self._appended: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the service is about to end: what lasts should come to its end."""
        return self._closed

    def appended(self) -> None:
        """Something was appended; from any thread."""
        with self._lock:
            if self._loop is not None and self._appended is not None:
                self._loop.call_soon_threadsafe(self._appended.set)

    def heard(self, step: Callable[[], Awaitable[int]]) -> Callable[[], Coroutine[Any, Any, int]]:
        """A step that appends to the ledger, of which those who wait hear; it may run on another loop."""

        async def stepped() -> int:
            appended = await step()
            if appended:
                self.appended()
            return appended

        return stepped

    def close(self) -> None:
        """Let everybody go, now and from now on."""
        self._closed = True
        for waiter in self._waiters:
            waiter.let_go.set()

    async def beyond(self, size: Size, least: int, seconds: float, gone: Callable[[], bool]) -> None:
        """Come back once the ledger has more than ``least`` entries, time is up, or the caller is gone.

        Args:
            size: asks for the ledger's size.
            least: as many entries as the caller has.
            seconds: how long to wait at most.
            gone: whether whoever asked has gone away.
        """
        if self._closed:
            return
        waiter = _Waiter(least, gone)
        self._waiters.add(waiter)
        if self._watch is None:
            self._begin(size)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter.let_go.wait(), seconds)
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._end()

    def _begin(self, size: Size) -> None:
        with self._lock:
            self._loop, self._appended = asyncio.get_running_loop(), asyncio.Event()
        self._watch = asyncio.create_task(self._look(size, self._appended), name="feed waiters")

    def _end(self) -> None:
        with self._lock:
            self._loop = self._appended = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _look(self, size: Size, appended: asyncio.Event) -> None:
        while True:
            appended.clear()  # before the look: what is appended from here on sets it again
            try:
                entries = await size()
            except Unavailable:
                entries = 0  # those whose time is up look for themselves, and answer what they find
            for waiter in self._waiters:
                if entries > waiter.beyond or waiter.gone():
                    waiter.let_go.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(appended.wait(), LOOK_SECONDS)
