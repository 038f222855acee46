"""Transactions: on which connections they run, when they are tried again, and when a commit counts.

SQLite: one writing connection, which alone writes and checkpoints (before SQLite 3.51.3 two connections
that write or checkpoint at once can lose a committed write), ``synchronous=FULL``, ``BEGIN IMMEDIATE``;
readers are ``query_only`` and never checkpoint. One process holds the file, by a lock beside it.

PostgreSQL: READ COMMITTED. Serialization failures and deadlocks are retried with a bound. A commit of which
the server says, or cannot say, that it may not last is not acknowledged.

A transaction is a plain function over a ``Connection``: it may run twice, and has no outside effect. It runs
on a loop of its own, so that a long one leaves requests their turn. What somebody waits for (``haste``) has
connections of its own and is answered within seconds, whatever the database does.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.haste import waited_for
from verifier.loops import LoopThread
from verifier.store import connections
from verifier.store.connections import WARNED, Pools
from verifier.store.failing import RETRIED_STATES, Abandoned, Restart, meaning, uncertain
from verifier.store.running import KEY, Run

__all__ = ["ATTEMPTS", "RETRIED_STATES", "Database", "FileLock", "Pools", "Restart"]

T = TypeVar("T")

ATTEMPTS: Final = 5
GRACE_SECONDS: Final = 2
"""How much longer than the server's own limit a caller waits for an answer."""
TURN_SECONDS: Final = 20
"""For which a request waits for SQLite's one writer: a large roster or a sweep may go before it."""
_TOUCH: Final = text("update alembic_version set version_num = version_num")


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


def is_sqlite(url: str) -> bool:
    """Whether an address is that of a database that admits one process.

    Raises:
        ConfigurationError: it is no address.
    """
    try:
        return make_url(url).get_backend_name() == "sqlite"
    except ArgumentError:
        raise _refused("not a database address") from None


class Database:
    """Engines of one database, and the ways to run a transaction on it."""

    def __init__(self, url: str, *, read_only: bool = False, pools: Pools | None = None) -> None:
        """Open nothing yet but, on SQLite, the lock.

        Args:
            url: ``sqlite+aiosqlite:///path`` or ``postgresql+asyncpg://…``.
            read_only: only ``read`` will be used; on SQLite beside whoever holds the lock.
            pools: how many connections, and how long they may be silent.

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
        self._pools = pools or Pools()
        # PostgreSQL only: something may be committed here and not on its standby. It is taken for so at the
        # start: the server may have come up with what nobody ever acknowledged.
        self._unconfirmed = self.dialect == "postgresql"
        if parsed.drivername == "sqlite+aiosqlite":
            self._open_sqlite(parsed, read_only=read_only)
        elif parsed.drivername == "postgresql+asyncpg":
            # Checks and exports read tables whole, and should.
            connect = partial(connections.postgresql, url, self._pools, whole=read_only)
            self._writer = self._reader = connect(hurried=False)
            self._hurried_writer = self._hurried_reader = connect(hurried=True)
        else:
            raise _refused("neither sqlite+aiosqlite nor postgresql+asyncpg")

    def _open_sqlite(self, parsed: URL, *, read_only: bool) -> None:
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
        looked_at = alone if read_only else parsed
        # Its calls are made right on its loop's thread, and would keep readers waiting there.
        self._writing = LoopThread("writer")
        self._writer = self._hurried_writer = connections.sqlite(parsed, self._pools, writing=True)
        self._reader = connections.sqlite(looked_at, self._pools, writing=False)
        self._hurried_reader = connections.sqlite(looked_at, self._pools, writing=False, hurried=True)

    @property
    def statement_seconds(self) -> int:
        """For how long the database may be silent while somebody waits."""
        return self._pools.statement_seconds

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a writing transaction; returns after the commit is durable.

        The commit is never cancelled half-way: a caller that goes away leaves it to finish.

        Raises:
            Unavailable: the database cannot be reached or stays contended, and nothing was done; or, with
                OUTCOME_UNKNOWN, it did not say that the commit will last.
            IntegrityError: a key or rule of the schema stays broken however often it is tried.
        """
        engine = self._hurried_writer if waited_for() else self._writer
        return await self._shielded(engine, work, keeps=True)

    async def try_out(self, work: Callable[[Connection], T]) -> T:
        """Run a writing transaction and roll it back: nothing of it stays. Errors as for ``write``."""

        def undone(connection: Connection) -> T:
            result = work(connection)
            connection.rollback()
            return result

        engine = self._hurried_writer if waited_for() else self._writer
        return await self._shielded(engine, undone, keeps=False)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a reading transaction on one snapshot of SQLite, or READ COMMITTED on PostgreSQL."""
        engine = self._hurried_reader if waited_for() else self._reader
        return await self._shielded(engine, work, keeps=False)

    async def _shielded(self, engine: AsyncEngine, work: Callable[[Connection], T], *, keeps: bool) -> T:
        # A read too comes to its end: one that is cut off keeps its connection open, and the log unmerged.
        run = Run(TURN_SECONDS if self.dialect == "sqlite" else None)
        thread = self._writing if engine is self._writer else self._thread
        task = asyncio.ensure_future(thread.run(self._attempts(engine, work, run, keeps=keeps)))
        # Where nobody waits for it any more, nobody hears how it failed; with what, must not be logged.
        task.add_done_callback(_heard)
        if waited_for():
            return await run.within(task, self._pools.statement_seconds + GRACE_SECONDS)
        return await asyncio.shield(task)

    async def _attempts(
        self, engine: AsyncEngine, work: Callable[[Connection], T], run: Run, *, keeps: bool
    ) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._translated(engine, work, run, keeps=keeps)
            except Restart as race:
                if attempt == ATTEMPTS:
                    if race.failure is not None and isinstance(race.failure, IntegrityError):
                        # No race lasts this long: the work itself breaks a key; its caller must hear which.
                        raise race.failure from None
                    raise Unavailable(Code.OVERLOADED, "the transaction kept losing races") from None
            # Jitter keeps two that collided from colliding again.
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - not for secrecy

    async def _translated(
        self, engine: AsyncEngine, work: Callable[[Connection], T], run: Run, *, keeps: bool
    ) -> T:
        try:
            return await self._once(engine, work, run, keeps=keeps)
        except PoolTimeout:
            raise Unavailable(Code.OVERLOADED, "no free database connection") from None
        except Abandoned:
            raise run.give_up() from None
        except DBAPIError as failure:
            if failure.connection_invalidated:
                self._unconfirmed = self.dialect == "postgresql"
            said = meaning(failure)
            if said is failure:
                raise
            raise said from failure
        except OSError as failure:
            raise Unavailable(Code.STORE_UNAVAILABLE, type(failure).__name__) from failure

    async def _once(
        self, engine: AsyncEngine, work: Callable[[Connection], T], run: Run, *, keeps: bool
    ) -> T:
        run.begins()
        async with engine.connect() as connection:
            run.connected()
            connection.info[KEY] = run
            transaction = await connection.begin()
            result = await connection.run_sync(work)
            if keeps:
                await self._commit(connection, run)
            elif transaction.is_active:
                await transaction.commit()
            return result

    async def _commit(self, connection: AsyncConnection, run: Run) -> None:
        confirming = self._unconfirmed and connection.in_transaction()
        if confirming:
            # What commits after this row lasts, as does all that was committed before: only a transaction
            # that writes waits for the standby, and the next one here might only answer what it finds.
            await connection.execute(_TOUCH)
        connection.info.pop(WARNED, None)
        run.commits()
        try:
            await connection.commit()
        except (DBAPIError, OSError) as failure:
            if isinstance(failure, DBAPIError) and not uncertain(failure):
                raise
            self._unconfirmed = self.dialect == "postgresql"
            raise Unavailable(Code.OUTCOME_UNKNOWN, "the connection was lost in the commit") from failure
        if WARNED in connection.info:
            self._unconfirmed = True
            raise Unavailable(Code.OUTCOME_UNKNOWN, "the server warned that the commit may not last")
        if confirming:
            self._unconfirmed = False

    async def close(self) -> None:
        """Close readers first: the last SQLite connection to close checkpoints; it must be the writer."""
        # A connection that is still in use would be closed whenever it comes back, in whatever order.
        await self._thread.settle()
        await self._writing.settle()
        for engine in dict.fromkeys((self._hurried_reader, self._reader, self._hurried_writer, self._writer)):
            await (self._writing if engine is self._writer else self._thread).run(engine.dispose())
        await self._writing.stop()
        await self._thread.stop()
        if self._lock is not None:
            # Once: by then the number of its handle may be another file's.
            self._lock.close()
            self._lock = None


def _refused(detail: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="database_url")


def _heard(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()
