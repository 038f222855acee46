"""``db copy``: moves the database to another engine, and keeps the ledger: same size, same root.

A password does not belong into an argument, which stands in process lists: leave it out of the address, and
put it into ``PGPASSWORD`` or a password file, which the driver reads.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text
from typing_extensions import override

from verifier import keyfiles
from verifier.app import new_id, now
from verifier.audit import Trusted
from verifier.cli.operating import ask_service
from verifier.errors import Code, ConfigurationError
from verifier.kept import CheckpointFile
from verifier.settings import Settings
from verifier.store.engine import Database
from verifier.store.moving import Move, Told
from verifier.store.schema import COPYING
from verifier.store.store import Store

_SAID: Final = {"copy": "复制 · copying", "check": "复核 · reading again"}


def declare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = actions.add_parser(
        "copy",
        help="搬到另一种数据库，账本不变；请先停止服务 · move to another engine; stop the service first",
    )
    command.add_argument(
        "--from", dest="source", default="", help="来源地址，缺省为设置中的 · the configured one"
    )
    command.add_argument("--to", dest="target", required=True, help="目标地址，须为空库 · an empty database")
    command.add_argument(
        "--restart", action="store_true", help="清空未搬完的目标，重新开始 · clear an unfinished target"
    )
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=copy)


async def copy(settings: Settings, arguments: argparse.Namespace) -> int:
    """Copy one database into another one.

    Raises:
        ConfigurationError: an address, a key or a schema is wrong, or the source is in use.
        Conflict: COPY_REFUSED; the target cannot be used.
    """
    source = arguments.source or settings.database_url
    if source == arguments.target:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "source and target are the same", pointer="to")
    await _refuse_running(settings, source, arguments.target)
    mark = COPYING + secrets.token_hex(8)
    async with _opened(settings, source, "from") as one, _opened(settings, arguments.target, "to") as other:
        with _progress(quiet=arguments.json) as told:
            move = Move(one, other, _trusted(settings), mark, told)
            answer = await move.run(restart=arguments.restart)
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(
            f"已搬完，账本不变：{answer['size']} 条，根 {answer['root']}；共 {answer['rows']} 行 · "
            "done, the ledger is the same. 下一步：设 VERIFIER_DATABASE_URL 为新地址，保留原数据目录与密钥，"
            "再启动服务；不要再用旧库 · next: VERIFIER_DATABASE_URL, with the same data and secrets "
            "directories; never start on the old database again"
        )
    return 0


async def _refuse_running(settings: Settings, *addresses: str) -> None:
    """On PostgreSQL no lock tells that a service works on the database; its admin socket does."""
    try:
        await ask_service(settings, "secrets status", {})
    except aiohttp.ClientConnectionError:
        return
    if settings.database_url in addresses:
        raise ConfigurationError(Code.STORE_LOCKED, "a service works on it: stop it first", pointer="from")


def _trusted(settings: Settings) -> Trusted:
    return Trusted(
        settings.origin,
        keyfiles.checkpoint_keys(settings.secrets_dir),
        {key.kid: key for key in keyfiles.published_keys(settings.secrets_dir)},
        CheckpointFile(settings.kept_checkpoint).read(),
    )


@asynccontextmanager
async def _opened(settings: Settings, url: str, pointer: str) -> AsyncIterator[Store]:
    """A store over a database that exists; on SQLite nobody else works on it meanwhile."""
    looked = Database(url, read_only=True)
    file = looked.file
    await looked.close()
    if file is not None and not file.is_file():
        detail = "there is no database: `db upgrade` makes an empty one"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=pointer)
    keys = keyfiles.load_fields(settings.secrets_dir)
    store = Store(Database(url), keys, clock=now, randbytes=os.urandom, new_id=new_id)
    try:
        yield store
    finally:
        await store.database.close()


class _Rate(ProgressColumn):
    """Rows in a second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} 行/s")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), Remaining())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as shown:
        tasks = {what: shown.add_task(said, total=None) for what, said in _SAID.items()}

        def told(what: str, table: str, done: int, total: int) -> None:
            shown.update(tasks[what], description=f"{_SAID[what]} {table}", completed=done, total=total)

        yield told
