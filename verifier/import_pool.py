"""Prepares lines of an import in processes of their own, on every core, under limits of time and memory.

Reading a line and verifying its certificates is pure, and takes far more of a processor than writing down
what came of it can spare. What workers are, and how they are ended: ``verifier.confinement``. A group that is
not prepared within the limits is asked line by line, so that a line beyond them costs none of the others.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Final

from verifier.confinement import MEMORY_BYTES, Rules, Target, Workers, answer, limit
from verifier.errors import Code
from verifier.import_file import BadLine, Line
from verifier.importing import REJECTED, Preparer, Problem, Readied
from verifier.loops import collect_seldom
from verifier.model.delivery import Uploaded
from verifier.ports import Clock

SECONDS: Final = 30.0
"""For a group, or for a line alone; an honest group takes a hundredth of it."""


def serve(connection: Connection, preparer: Preparer) -> None:  # pragma: no cover - runs in other processes
    """A worker's whole life.

    Args:
        connection: to the import.
        preparer: of its file.
    """
    # Who interrupts the command interrupts the import, which then ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit(MEMORY_BYTES)
    collect_seldom()

    def reply(lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded], at: datetime) -> None:
        connection.send([preparer.ready(line, documents, at) for line in lines])

    answer(connection, reply)


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers that are asked by threads, one thread a worker."""

    workers: Workers
    threads: ThreadPoolExecutor
    clock: Clock

    async def ready(
        self, lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded]
    ) -> list[Readied]:
        """Steps 2 to 4b for each line, in order."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, self._ready, lines, documents)

    def _ready(self, lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded]) -> list[Readied]:
        try:
            return self._asked(lines, documents)
        except TimeoutError:
            return [self._alone(line, documents) for line in lines]

    def _alone(self, line: Line | BadLine, documents: Mapping[str, Uploaded]) -> Readied:
        try:
            [readied] = self._asked([line], documents)
        except TimeoutError:
            return Readied(line.number, None, (Problem(line.number, Code.TOO_COMPLEX, REJECTED),))
        return readied

    def _asked(self, lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded]) -> list[Readied]:
        with self.workers.free() as worker:
            worker.ask(self.workers.rules(), lines, documents, self.clock())
            readied: list[Readied] = worker.answer()
            return readied


@asynccontextmanager
async def pool(
    target: Target, arguments: tuple[object, ...], *, workers: int, clock: Clock, seconds: float = SECONDS
) -> AsyncIterator[Pool]:
    """Workers for as long as the context lasts.

    Args:
        target: a worker's main function; it ends in ``serve``.
        arguments: for it, besides the pipe; they can be pickled.
        workers: how many processes.
        clock: aware UTC.
        seconds: for each answer.
    """
    rules = Rules("1", arguments)
    found = Workers(target, lambda: rules, workers=workers, seconds=seconds)
    threads = ThreadPoolExecutor(workers, thread_name_prefix="importing")
    try:
        yield Pool(found, threads, clock)
    finally:
        # What is asked still ends first; it holds the loop for no longer than one answer may take.
        await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        found.close()
