"""A file's way into a small world, without other processes: what an import test needs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.functional.world import BY_SLUG, World
from verifier import import_source
from verifier.cli.sandbox import CVT
from verifier.import_file import BadLine, Line
from verifier.import_run import ImportRun
from verifier.import_source import ErrorsFile
from verifier.importing import Preparer, Readied
from verifier.model.delivery import PlatformSlug, Uploaded
from verifier.pipeline import Rulebook
from verifier.ports.importing import Counts, Importable, ImportSource, ImportTransaction, Progress
from verifier.store.store import Store

T = TypeVar("T")


class Killed(BaseException):
    """What a test throws where a process would die."""


@dataclass
class Units:
    """The store, until it is told to die.

    Attributes:
        before: how many transactions may still begin their commit; the next one is rolled back.
        after: how many commits come back; behind the last one nobody hears of it.
        heard: what else happens, behind a commit.
    """

    store: Store
    before: int = 1_000_000
    after: int = 1_000_000
    heard: Callable[[object], Awaitable[None]] | None = None

    async def importing(self, work: Callable[[ImportTransaction], T]) -> T:
        self.before -= 1
        self.after -= 1

        def watched(tx: ImportTransaction) -> T:
            result = work(tx)
            if self.before < 0:
                raise Killed
            return result

        done = await self.store.importing(watched)
        if self.after < 0:
            raise Killed
        if self.heard is not None:
            await self.heard(done)
        return done

    async def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        return await self.store.documents(platform, ids)


@dataclass
class Here:
    """Prepares lines in this process."""

    preparer: Preparer
    world: World
    seen: list[int] = field(default_factory=list)

    async def ready(
        self, lines: Sequence[Line | BadLine], documents: Mapping[str, Uploaded]
    ) -> list[Readied]:
        self.seen += [line.number for line in lines]
        return [self.preparer.ready(line, documents, self.world.now) for line in lines]


@dataclass
class Importer:
    """Imports files into a world."""

    world: World
    directory: Path
    slug: str = CVT
    batch: int = 3
    rulebook: Callable[[], Rulebook] | None = None
    seen: list[int] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)

    def write(self, lines: Sequence[bytes | Mapping[str, Any]], name: str = "backlog.ndjson") -> Path:
        """A file of lines, each as it is or as JSON."""
        path = self.directory / name
        encoded = [
            one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() for one in lines
        ]
        path.write_bytes(b"".join(one + b"\n" for one in encoded))
        return path

    async def take(self, path: Path, units: Units | None = None) -> Counts:
        """Import a file, or as much of it as the units let pass."""
        adapter = BY_SLUG[self.slug]
        assert isinstance(adapter, Importable)
        form = adapter.importing
        assert form is not None
        with ExitStack() as stack:
            limit = adapter.accepts.body_bytes
            file = stack.enter_context(import_source.opened(path, form, limit, "utf-8"))
            errors = ErrorsFile(self.errors_of(path))
            stack.callback(errors.close)
            source = ImportSource(adapter.slug, file.digest, "clerk")
            world = self.world

            async def in_force() -> Rulebook:
                return self.rulebook() if self.rulebook else world.rulebook

            @asynccontextmanager
            async def readies(rules: Rulebook) -> AsyncIterator[Here]:
                yield Here(
                    Preparer(adapter, form, rules.register, world.keys.digest, source), world, self.seen
                )

            run = ImportRun(
                units or Units(world.store),
                source,
                file,
                errors,
                in_force,
                readies,
                world.clock,
                world.new_id,
                self.told.append,
                batch=self.batch,
            )
            return (await run.run()).counts

    @staticmethod
    def errors_of(path: Path) -> Path:
        return path.with_name(path.name + import_source.SUFFIX)

    def errors(self, path: Path) -> list[dict[str, Any]]:
        """What the side file says."""
        side = self.errors_of(path)
        return [json.loads(line) for line in side.read_bytes().splitlines()] if side.exists() else []
