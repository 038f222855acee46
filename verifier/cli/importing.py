"""``import``: years of a platform's back-log from a file, under the same laws as its callbacks."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text
from typing_extensions import override

from adapters import ADAPTERS, named
from verifier import import_pool, import_source, keyfiles
from verifier.app import new_id, now, open_database, profiles
from verifier.errors import AccessDenied, Code, ConfigurationError, RequestRejected
from verifier.import_file import CHARSETS
from verifier.import_run import ImportRun
from verifier.importing import Preparer
from verifier.keyring import load_packed
from verifier.loops import collect_seldom
from verifier.operations import DECIDED_BY
from verifier.pipeline import Rulebook
from verifier.ports import Adapter
from verifier.ports.importing import Importable, ImportForm, ImportSource
from verifier.ports.importing import Progress as Reached
from verifier.settings import Settings
from verifier.sources import rulebook, standing
from verifier.store.schema import require_current, upgrade
from verifier.store.store import Store

_SAID: Final[Mapping[str, str]] = {
    "taken": "已收录 · taken in",
    "unchanged": "早已收录，无变化 · known already",
    "review": "已保留，待复核 · before a reviewer",
    "waiting": "已保留，待所引文件 · waiting for a document",
    "refused": "已保留，未生效 · kept without effect",
    "rejected": "未收录 · not kept",
}
_QUIET_SECONDS: Final = 10.0
"""Between two lines that say how far it is, where nobody looks at a terminal."""
_MOST_WORKERS: Final = 64


def declare(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("platform", metavar="PLATFORM", help="平台标识 · its slug")
    command.add_argument("file", metavar="FILE", type=Path, help="存量文件 · .ndjson, .csv or .xlsx")
    command.add_argument(
        "--charset", choices=CHARSETS, default=CHARSETS[0], help="CSV 的字符集 · the charset of a CSV file"
    )
    command.add_argument(
        "--errors",
        type=Path,
        help=f"未收录清单，缺省为 FILE{import_source.SUFFIX} · where it is said what was not taken in",
    )
    command.add_argument(
        "--workers",
        type=_workers,
        default=0,
        metavar="N",
        help="验签进程数，缺省为核数 · processes that verify",
    )
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=take_in)


def _workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_WORKERS:
        raise ValueError
    return number


async def take_in(settings: Settings, arguments: argparse.Namespace) -> int:
    """Take a file in; 1 if any of it was refused.

    Raises:
        VerifierError: it could not be taken in, or not to its end; what is committed stays.
    """
    declared, _ = profiles(settings)
    adapter, form = _importable(named((*ADAPTERS, *declared)), arguments.platform)
    path: Path = arguments.file
    with import_source.opened(path, form, adapter.accepts.body_bytes, arguments.charset) as file:
        file.lines()  # of a file that is none, before anything is opened
        errors = import_source.ErrorsFile(
            arguments.errors or path.with_name(path.name + import_source.SUFFIX)
        )
        try:
            source = ImportSource(adapter.slug, file.digest, getpass.getuser())
            async with _store(settings) as store:
                run = ImportRun(
                    store,
                    source,
                    file,
                    errors,
                    partial(in_force, settings, store),
                    partial(
                        _pool,
                        settings,
                        (*ADAPTERS, *declared),
                        source,
                        arguments.workers or os.cpu_count() or 1,
                    ),
                    now,
                    new_id,
                )
                collect_seldom()
                with _progress(file.total, quiet=arguments.json) as run.told:
                    reached = await run.run()
        finally:
            kept = errors.close()
    _tell(source, reached, errors.path if kept else None, as_json=arguments.json)
    return 0 if reached.counts.clean else 1


def _importable(adapters: Mapping[str, Adapter], slug: str) -> tuple[Adapter, ImportForm]:
    adapter = adapters.get(slug)
    if adapter is None:
        raise AccessDenied(Code.NOT_FOUND, "no such platform", pointer="platform")
    form = adapter.importing if isinstance(adapter, Importable) else None
    if form is None:
        detail = "this platform's protocol has no form of one item that could stand in a file"
        raise RequestRejected(Code.IMPORT_REFUSED, detail, pointer="platform")
    return adapter, form


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """The store to write to; on SQLite no service may run meanwhile.

    Raises:
        ConfigurationError: STORE_LOCKED, a service holds it; or the schema is not this version's.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keys = keyfiles.load_fields(settings.secrets_dir)
    database = open_database(settings)
    store = Store(database, keys, clock=now, randbytes=os.urandom, new_id=new_id)
    store.read_keys = partial(keyfiles.load_fields, settings.secrets_dir)
    try:
        await database.write(upgrade if database.dialect == "sqlite" else require_current)
        yield store
    finally:
        await database.close()


async def in_force(settings: Settings, store: Store) -> Rulebook:
    """The rulebook that was adopted, whatever the files say by now.

    Raises:
        ConfigurationError: nothing was adopted yet, or it cannot be read.
    """
    files, forms = rulebook(settings)
    found = await standing(settings, store, files, forms)
    if any(form.kind in DECIDED_BY for form in found.fresh):
        detail = "nothing was adopted yet: start the service once, which adopts register and policy"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="register")
    return found.rulebook


@asynccontextmanager
async def _pool(
    settings: Settings, adapters: tuple[Adapter, ...], source: ImportSource, workers: int, rules: Rulebook
) -> AsyncIterator[import_pool.Pool]:
    arguments = (adapters, rules.register.packed, settings.secrets_dir, source)
    async with import_pool.pool(prepare_apart, arguments, workers=workers, clock=now) as found:
        yield found


def prepare_apart(
    connection: Connection,
    adapters: tuple[Adapter, ...],
    packed: str,
    secrets_dir: Path,
    source: ImportSource,
) -> None:  # pragma: no cover - runs in other processes; tests/functional/test_import_command.py
    """The main function of a process that prepares lines.

    Args:
        connection: to the import.
        adapters: all of them.
        packed: the register in force.
        secrets_dir: of its transport secrets, and of the key for digests.
        source: the file.
    """
    register = load_packed(packed, lambda name: keyfiles.read_secret(secrets_dir / name))
    adapter, form = _importable(named(adapters), source.platform)
    digest = keyfiles.load_fields(secrets_dir).digest
    import_pool.serve(connection, Preparer(adapter, form, register, digest, source))


class _Rate(ProgressColumn):
    """Lines in a second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} 行/s")


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[Reached], None]]:
    """Hears how far it is: a bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield (lambda _: None) if quiet else _Lines(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), Remaining())
    with Progress(*columns, console=console) as shown:
        task = shown.add_task("导入 · importing", total=total or None)

        def told(reached: Reached) -> None:
            shown.update(task, completed=reached.position)

        yield told


class _Lines:
    """Says in lines how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._from: int | None = None
        self._began = self._said = 0.0

    def __call__(self, reached: Reached) -> None:
        at = monotonic()
        if self._from is None:
            # What an earlier run did is no work of this one.
            self._from, self._began, self._said = reached.position, at, at
        if at - self._said < _QUIET_SECONDS:
            return
        self._said = at
        rate = (reached.position - self._from) / (at - self._began)
        of = f"/{self._total}" if self._total else ""
        left = f"，约剩 {(self._total - reached.position) / rate:.0f} s" if self._total and rate else ""
        print(f"第 {reached.position}{of} 行，{rate:,.0f} 行/s{left}", file=sys.stderr)


def _tell(source: ImportSource, reached: Reached, errors: Path | None, *, as_json: bool) -> None:
    counts: dict[str, int] = asdict(reached.counts)
    if as_json:
        answer: dict[str, Any] = {
            "platform": source.platform,
            "file_digest": source.file_digest,
            "lines": reached.position,
            **counts,
            "errors": str(errors) if errors else None,
        }
        print(json.dumps(answer, ensure_ascii=False))
        return
    print(f"文件 {source.file_digest} 已导入至第 {reached.position} 行 · imported up to this line")
    for name, said in _SAID.items():
        print(f"  {said}: {counts[name]}")
    if errors:
        print(f"原因逐行见 · the reasons, line by line: {errors}")
