"""Callbacks of every platform on their way into one group commit; the steps themselves are elsewhere.

What a callback needs besides the pipeline is decided here: whether it is read on the loop that answers
requests (short ones), on a thread (long ones), or by a process under limits (documents); and which uploaded
documents it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from verifier import preparing
from verifier.errors import Code, Unavailable
from verifier.model.delivery import Callback, DeliveryOutcome, PlatformSlug, Uploaded
from verifier.pipeline import Rulebook
from verifier.ports import Adapter, Clock, Digest
from verifier.preparing import HERE, Prepared, Read, Reader

T = TypeVar("T")
SHORT_BYTES: Final = 16_384
"""A body up to this length holds few enough certificates to be verified at once."""
WAITING: Final = 64
"""Callbacks that may wait for a thread; more are asked to come again."""


Documents = Callable[[PlatformSlug, Collection[str]], Awaitable[Mapping[str, Uploaded]]]
"""Those uploaded documents that have come, by id."""
Commit = Callable[[Prepared], Awaitable[DeliveryOutcome | None]]
"""Record a prepared delivery; returns once it is durable, or None where another register is in force now."""
ATTEMPTS: Final = 5
"""How often a callback is read, should a register be adopted each time before it is recorded."""


class Threads:
    """A few threads, and a bound on who waits for them."""

    def __init__(self, threads: int = 4, waiting: int = WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="reading")
        self._bound = threads + waiting
        self._busy = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function that blocks.

        Raises:
            Unavailable: too many wait.
        """
        if self._busy >= self._bound:
            raise Unavailable(Code.OVERLOADED, "too many documents wait to be read")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown()


def takes_long(adapter: Adapter, callback: Callback) -> bool:
    """Whether reading a callback may hold up the loop that answers requests."""
    return adapter.accepts.confined or len(callback.body) > SHORT_BYTES


@dataclass(frozen=True, slots=True)
class Receiving:
    """Steps 2 to 5 for a callback, and its commit.

    Attributes:
        rulebook: in force at the moment.
        confined: reads for the platforms that ask for it.
    """

    documents: Documents
    commit: Commit
    rulebook: Callable[[], Rulebook]
    digest: Digest
    clock: Clock
    confined: Reader
    threads: Threads

    async def submit(self, adapter: Adapter, callback: Callback) -> DeliveryOutcome:
        """Take a callback in; returns once it is durable.

        What was read by a register that is replaced before it is recorded is read again by the new one: who
        sent it, and each certificate. So nothing is recorded that the register in force would not let in.

        Raises:
            SignatureRejected: not authentic; nothing was kept.
            Unavailable: nothing was done.
        """
        for _ in range(ATTEMPTS):
            outcome = await self.commit(await self._prepared(adapter, callback))
            if outcome is not None:
                return outcome
        raise Unavailable(Code.OVERLOADED, "the register in force keeps changing")

    async def _prepared(self, adapter: Adapter, callback: Callback) -> Prepared:
        register, now = self.rulebook().register, self.clock()
        reader = self.confined if adapter.accepts.confined else HERE
        apart = takes_long(adapter, callback)

        def read() -> Read:
            return reader.open(adapter, callback, register, now)

        opened = await self.threads.run(read) if apart else read()
        wanted = preparing.documents_wanted(opened)
        documents = await self.documents(adapter.slug, wanted) if wanted else {}

        def verify() -> Prepared:
            return preparing.verify(opened, register, self.digest, documents, reader)

        return await self.threads.run(verify) if apart else verify()
