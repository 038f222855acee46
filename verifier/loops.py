"""An event loop in a thread of its own: long work there leaves the loop that answers requests its turns.

And how the process takes memory, and collects garbage, which halts every loop of it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")
_M_ARENA_MAX: Final = -8
"""From ``malloc.h``."""
_HEAPS: Final = 2


class LoopThread:
    """Runs coroutines on another loop; connections belong to the loop on which they were made."""

    def __init__(self, name: str) -> None:
        """Nothing runs before the first ``run``.

        Args:
            name: the thread's, for those who look at it from outside.
        """
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it here."""
        with self._starting:  # requests and workers may both be the first
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def settle(self) -> None:
        """Let what runs there come to its end."""
        if self._loop is not None:
            await self.run(_others())

    async def stop(self) -> None:
        """Let what runs there come to its end, then stop the loop and its thread."""
        if self._loop is None or self._thread is None:
            return
        await self.settle()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


async def _others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


def share_heaps() -> None:
    """Let all threads of this process, and of its children, take memory from two heaps; called first of all.

    The C library gives threads heaps of their own, sixteen here, and each keeps what it once needed. Where
    long answers are made in turn by this and that thread, that came to 25 MB; what Python allocates waits
    for its one lock anyway. Another C library than glibc does as it does.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)


def collect_seldom() -> None:
    """Look for garbage in cycles seldom; called once, when the process has been put together.

    A transaction makes many thousands of objects, which end with it by themselves. Looked at after every 700
    of them, as by default, they cost a third to a half of the time of issuing and of intake.
    """
    gc.collect()
    gc.freeze()  # what is there by now stays to the end
    gc.set_threshold(50_000, 20, 50)
