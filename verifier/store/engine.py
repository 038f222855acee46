"""Connections and transactions.

SQLite: one writing connection, which alone writes and checkpoints (before SQLite 3.51.3 two connections
that write or checkpoint at once can lose a committed write), ``synchronous=FULL``, ``BEGIN IMMEDIATE``;
readers are ``query_only`` and never checkpoint. One process holds the file, by a lock beside it.

PostgreSQL: READ COMMITTED. Serialization failures and deadlocks are retried with a bound.

A transaction is a plain function over a ``Connection``: it may run twice, and has no outside effect. It runs
on a loop of its own, so that a long one leaves requests their turn.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.loops import LoopThread
from verifier.store import inline

T = TypeVar("T")

RETRIED_STATES = frozenset({"40001", "40P01"})
"""SQLSTATEs after which the same transaction may simply be run again."""
ATTEMPTS = 5
NO_DATABASE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


class Restart(Exception):
    """A transaction lost a race that it can win by running again from the start; never seen outside.

    Attributes:
        failure: what the database said; None where the transaction itself found that it came too late. A
            broken key or rule that is still broken at the last attempt was no race, and is the caller's to
            see.
    """

    def __init__(self, failure: DBAPIError | None = None) -> None:
        super().__init__()
        self.failure = failure


class FileLock:
    """One process per SQLite file. Freed by the kernel when the process dies."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            ConfigurationError: another process holds it (STORE_LOCKED).
        """
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise ConfigurationError(Code.STORE_LOCKED, "another process holds the database") from None

    def close(self) -> None:
        """Free the lock."""
        os.close(self._handle)


class Database:
    """Engines of one database, and the two ways to run a transaction on it."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Open nothing yet but, on SQLite, the lock.

        Args:
            url: ``sqlite+aiosqlite:///path`` or ``postgresql+asyncpg://…``.
            read_only: only ``read`` will be used; on SQLite beside whoever holds the lock.

        Raises:
            ConfigurationError: the address is not one of these, or another process holds the lock.
        """
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise _refused("not a database address") from None
        self.dialect = parsed.get_backend_name()
        self.file = Path(parsed.database or "") if self.dialect == "sqlite" else None
        self._lock: FileLock | None = None
        self._thread = self._writing = LoopThread("database")
        if parsed.drivername == "sqlite+aiosqlite":
            if not parsed.database:
                raise _refused("the SQLite address names no file")
            if not read_only:
                self._lock = FileLock(Path(parsed.database + ".lock"))
                # SQLite gives its log beside it the same mode.
                os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # mode=ro: a second process must not even checkpoint when it closes.
            alone = URL.create(
                parsed.drivername,
                database=f"file:{quote(parsed.database)}",
                query={"mode": "ro", "uri": "true"},
            )
            # Its calls are made right on its loop's thread, and would keep readers waiting there.
            self._writing = LoopThread("writer")
            self._writer = _sqlite(parsed, writing=True)
            self._reader = _sqlite(alone if read_only else parsed, writing=False)
        elif parsed.drivername == "postgresql+asyncpg":
            self._writer = create_async_engine(
                url, pool_size=8, max_overflow=0, pool_timeout=1, hide_parameters=True
            )
            self._reader = self._writer
        else:
            raise _refused("neither sqlite+aiosqlite nor postgresql+asyncpg")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a writing transaction; returns after the commit is durable.

        The commit is never cancelled half-way: a caller that goes away leaves it to finish.

        Raises:
            Unavailable: the database cannot be reached or stays contended; nothing was done.
            IntegrityError: a key or rule of the schema stays broken however often it is tried.
        """
        return await self._shielded(self._writer, work)

    async def try_out(self, work: Callable[[Connection], T]) -> T:
        """Run a writing transaction and roll it back: nothing of it stays. Errors as for ``write``."""

        def undone(connection: Connection) -> T:
            result = work(connection)
            connection.rollback()
            return result

        return await self._shielded(self._writer, undone)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a reading transaction on one snapshot of SQLite, or READ COMMITTED on PostgreSQL."""
        return await self._shielded(self._reader, work)

    async def _shielded(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        # A read too comes to its end: one that is cut off keeps its connection open, and the log unmerged.
        thread = self._writing if engine is self._writer else self._thread
        return await asyncio.shield(asyncio.ensure_future(thread.run(_attempts(engine, work))))

    async def close(self) -> None:
        """Close readers first: the last SQLite connection to close checkpoints; it must be the writer."""
        # A connection that is still in use would be closed whenever it comes back, in whatever order.
        await self._thread.settle()
        await self._writing.settle()
        if self._reader is not self._writer:
            await self._thread.run(self._reader.dispose())
        await self._writing.run(self._writer.dispose())
        await self._writing.stop()
        await self._thread.stop()
        if self._lock is not None:
            # Once: by then the number of its handle may be another file's.
            self._lock.close()
            self._lock = None


def _refused(detail: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="database_url")


def _state(failure: DBAPIError) -> object:
    return getattr(failure.orig, "sqlstate", None)


async def _attempts(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    attempt = 0
    while True:
        attempt += 1
        try:
            return await _translated(_once(engine, work))
        except Restart as race:
            if attempt == ATTEMPTS:
                if isinstance(race.failure, IntegrityError):
                    # No race lasts this long: the work itself breaks a key, and its caller must hear which.
                    raise race.failure from None
                raise Unavailable(Code.OVERLOADED, "the transaction kept losing races") from None
        # Jitter keeps two that collided from colliding again.
        await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - not for secrecy


async def _once(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    async with engine.begin() as connection:
        return await connection.run_sync(work)


async def _translated(running: Awaitable[T]) -> T:
    try:
        return await running
    except PoolTimeout:
        raise Unavailable(Code.OVERLOADED, "no free database connection") from None
    except DBAPIError as failure:
        if getattr(failure.orig, "sqlite_errorcode", None) in NO_DATABASE:
            raise _refused("the database is damaged, or is none") from None
        if isinstance(failure, IntegrityError) or _state(failure) in RETRIED_STATES:
            # A key that was free when it was looked for was taken meanwhile: the second try sees it.
            raise Restart(failure) from failure
        if failure.connection_invalidated or isinstance(failure, OperationalError | InterfaceError):
            raise Unavailable(Code.STORE_UNAVAILABLE, type(failure.orig).__name__) from failure
        raise
    except OSError as failure:
        raise Unavailable(Code.STORE_UNAVAILABLE, type(failure).__name__) from failure


def _sqlite(url: URL, *, writing: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        # Ten workers look by themselves beside the requests; when a service starts, all of them at once.
        pool_size=1 if writing else 12,
        max_overflow=0,
        pool_timeout=30 if writing else 1,
        # What a failure says goes into logs, and parameters hold personal data.
        hide_parameters=True,
        # The driver must not begin transactions by itself: ours begin below, as writers or as readers.
        connect_args={"isolation_level": None, **({"async_creator_fn": inline.connect} if writing else {})},
    )

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL" if writing else "PRAGMA query_only=ON")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA busy_timeout=5000")
        # A destroyed key must not stay behind in the free space of its page.
        cursor.execute("PRAGMA secure_delete=ON")
        if not writing:
            cursor.execute("PRAGMA wal_autocheckpoint=0")
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    return engine
