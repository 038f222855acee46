"""A file's way through verification and pipeline: in order, in bounded memory, and resumable at any moment.

1. Groups of lines are prepared by others (``Readies``: processes), a bounded number of groups at once.
2. Groups are written in the order of the file, each in one transaction: the pipeline's effects, what the side
   file says of it, and how far the import has come. So whenever the process dies, the next run begins behind
   the last line whose effects are committed.
3. The side file is written before the commit, at the place that the progress names: of a transaction that
   runs twice, or never commits, the same place is written again. It is no effect that anybody relies on
   before the commit, and after it nothing of it is missing.
4. Where another register or policy was adopted meanwhile, the group's transaction does nothing, the rulebook
   is read anew, and the lines behind the last committed one are prepared again.
5. A group that fails in a way that nobody expected is halved, down to the line that fails by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from verifier import importing, pipeline
from verifier.errors import Code, Unavailable, VerifierError
from verifier.import_file import BadLine, Line, Lines, after, chunks
from verifier.importing import REJECTED, Problem, Readied
from verifier.model.delivery import PlatformSlug, Uploaded
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId
from verifier.ports.importing import ImportSource, ImportTransaction, Progress

log = logging.getLogger("verifier.import_run")

T = TypeVar("T")
BATCH: Final = 500
"""Lines that share a transaction."""
BATCH_BYTES: Final = 1024 * 1024
"""What a group weighs at most, unless it is a single line."""
ROUNDS: Final = 100
"""How often the rulebook may change in one run; more is no adoption but a fault."""

Group = list[Line | BadLine]


class Readies(Protocol):
    """Prepares groups of lines by one rulebook."""

    async def ready(
        self, lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded]
    ) -> list[Readied]:
        """Steps 2 to 4b for each line, in order.

        Args:
            lines: of the file.
            documents: those that they name and that have come.
        """
        ...


class ImportUnits(Protocol):
    """Runs the transactions."""

    async def importing(self, work: Callable[[ImportTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those uploaded documents that have come."""
        ...


class SideFile(Protocol):
    """Where it is said what was not simply taken in."""

    def length(self) -> int:
        """Bytes that are there; 0 if there is no such file."""
        ...

    def put(self, at: int, content: bytes) -> None:
        """Let the file end in this content, from this place on, durably.

        Raises:
            ConfigurationError: IMPORT_FILE_UNREADABLE.
        """
        ...


class BackLog(Protocol):
    """The file."""

    def lines(self) -> Lines:
        """Its lines from the first on; RequestRejected, in the midst too, where it is no such file."""
        ...

    def require_unchanged(self, *, whole: bool) -> None:
        """Make sure that the file is what it was; ``whole``: by reading it again.

        Raises:
            ConfigurationError: IMPORT_FILE_CHANGED.
        """
        ...


@dataclass(slots=True)
class ImportRun:
    """One run over one file.

    Attributes:
        rulebook: what is in force, read anew.
        readies: those who prepare lines by a rulebook; they end with the context.
        ahead: groups that are prepared at once, besides the one that is being written.
        told: hears how far the import has come, after every commit.
    """

    units: ImportUnits
    source: ImportSource
    file: BackLog
    errors: SideFile
    rulebook: Callable[[], Awaitable[Rulebook]]
    readies: Callable[[Rulebook], AbstractAsyncContextManager[Readies]]
    clock: Clock
    new_id: NewId
    told: Callable[[Progress], None] = lambda _: None
    ahead: int = 4
    batch: int = BATCH
    progress: Progress = field(default_factory=Progress)

    async def run(self) -> Progress:
        """Take the file in, from where an earlier run has come.

        Raises:
            RequestRejected: it is no such file.
            ConfigurationError: IMPORT_FILE_CHANGED or IMPORT_FILE_UNREADABLE.
            Conflict: STATE_REFUSED, another process takes the same file in.
            Unavailable: the database does not answer; what is committed stays.
        """
        lines = self.file.lines()
        self.progress = await self._begin()
        self.told(self.progress)
        for _ in range(ROUNDS):
            rulebook = await self.rulebook()
            async with self.readies(rulebook) as readies:
                if await self._through(after(lines, self.progress.position), readies, rulebook):
                    break
            log.info("another rulebook was adopted; the lines behind are prepared again")
            lines = self.file.lines()
        else:
            raise Unavailable(Code.OVERLOADED, "the rulebook in force kept changing")
        self.file.require_unchanged(whole=True)
        self.errors.put(self.progress.errors_bytes, b"")
        at, import_id = self.clock(), self.new_id()
        await self.units.importing(lambda tx: tx.finish_import(self.source, self.progress, import_id, at))
        return self.progress

    async def _begin(self) -> Progress:
        there = self.errors.length()

        def work(tx: ImportTransaction) -> Progress:
            found = tx.import_progress(self.source)
            # Without its side file nobody knows what was wrong; taking lines in again changes nothing.
            if found is not None and found.errors_bytes <= there:
                return found
            tx.begin_import(self.source)
            return Progress()

        return await self.units.importing(work)

    async def _through(self, lines: Lines, readies: Readies, rulebook: Rulebook) -> bool:
        """Take lines in by one rulebook; whether it was in force to their end."""
        waiting: deque[tuple[Group, asyncio.Task[list[Readied]]]] = deque()
        try:
            for group in chunks(lines, self.batch, BATCH_BYTES):
                waiting.append((group, asyncio.ensure_future(readies.ready(group, {}))))
                if len(waiting) > self.ahead and not await self._next(*waiting.popleft(), readies, rulebook):
                    return False
            while waiting:
                if not await self._next(*waiting.popleft(), readies, rulebook):
                    return False
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        return True

    async def _next(
        self, group: Group, task: asyncio.Task[list[Readied]], readies: Readies, rulebook: Rulebook
    ) -> bool:
        readied = await self._with_documents(group, await task, readies)
        self.file.require_unchanged(whole=False)
        return await self._write(readied, rulebook)

    async def _with_documents(self, group: Group, readied: list[Readied], readies: Readies) -> list[Readied]:
        """The same, prepared again where the store has a document that a line names.

        Asked now, when all that stands before in the file is committed; what stands there counts before what
        a line brings. What comes later is read when it comes, as for callbacks.
        """
        wanted = {name for one in readied for name in one.wanted}
        found = await self.units.documents(self.source.platform, wanted) if wanted else {}
        if not found:
            return readied
        again = [n for n, one in enumerate(readied) if not one.wanted.isdisjoint(found)]
        renewed = await readies.ready([group[n] for n in again], found)
        for n, one in zip(again, renewed, strict=True):
            readied[n] = one
        return readied

    async def _write(self, readied: Sequence[Readied], rulebook: Rulebook) -> bool:
        """Write a group; whether the rulebook was in force."""
        [outcome] = await asyncio.gather(self._record(readied, rulebook), return_exceptions=True)
        if outcome is None:
            return False
        if isinstance(outcome, Progress):
            self.progress = outcome
            self.told(outcome)
            return True
        if isinstance(outcome, VerifierError) or not isinstance(outcome, Exception):
            raise outcome
        if len(readied) > 1:
            middle = len(readied) // 2
            first = await self._write(readied[:middle], rulebook)
            return first and await self._write(readied[middle:], rulebook)
        if readied[0].prepared is None:
            raise outcome  # nothing of a line was written: it is not the line
        line = readied[0].line
        log.error("line %d cannot be recorded: %s", line, type(outcome).__name__)
        return await self._write([Readied(line, None, (Problem(line, Code.INTERNAL, REJECTED),))], rulebook)

    async def _record(self, readied: Sequence[Readied], rulebook: Rulebook) -> Progress | None:
        prepared = [(one.line, one.prepared) for one in readied if one.prepared is not None]
        before, at = self.progress, self.clock()

        def work(tx: ImportTransaction) -> Progress | None:
            if not tx.hold_adopted(rulebook.digests):
                return None
            answers = pipeline.record(tx, [one for _, one in prepared], rulebook, at, self.new_id)
            outcomes = {line: answer for (line, _), answer in zip(prepared, answers, strict=True)}
            said = b"".join(_lines(importing.problems(readied, outcomes)))
            self.errors.put(before.errors_bytes, said)
            reached = Progress(
                readied[-1].last,
                before.errors_bytes + len(said),
                importing.counted(before.counts, readied, outcomes),
            )
            tx.advance_import(self.source, before, reached)
            return reached

        return await self.units.importing(work)


def _lines(problems: Iterator[Problem]) -> Iterator[bytes]:
    for problem in problems:
        yield json.dumps(problem.members(), ensure_ascii=False).encode() + b"\n"
