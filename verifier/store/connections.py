"""How connections are made: pools, what is set on each, and how a dead one is found out.

PostgreSQL: a connection that the server has closed is known to be closed without asking (its socket said so),
so it is looked at when it is taken from the pool; there is no ping, which would cost every transaction a way
there and back. One that dies without a word is found out by TCP within ``DEAD_SECONDS``. Whatever fails ends
with every connection of the pool made anew, which is the recovery.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, ExecutionContext, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPICursor, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from verifier.store import inline
from verifier.store.failing import read_only
from verifier.store.running import KEY, Run

CONNECT_SECONDS: Final = 3
WAIT_SECONDS: Final = 1
"""For a connection, where somebody waits."""
PATIENT_SECONDS: Final = 30
"""For a connection or a lock, where nobody waits."""
DEAD_SECONDS: Final = 30
"""After which a connection whose other end says nothing at all is given up by TCP."""
IDLE_SECONDS: Final = 60
"""For which a transaction that somebody waits for may hold its locks without asking anything."""
STATEMENTS: Final = 500
"""Prepared statements that a connection keeps; of an IN list there is one for each length (``store/keys.py``
has those of the callback path)."""
WARNED: Final = "verifier.warned"
"""In a connection's ``info``: the server warned. While a commit runs, that is a commit that may not last."""


@dataclass(frozen=True, slots=True)
class Pools:
    """How many connections one process may hold, and for how long the database may be silent.

    Attributes:
        requests: connections for what somebody waits for; on SQLite, of readers.
        background: connections for the rest.
        statement_seconds: after which a statement that somebody waits for is cut off.
    """

    requests: int = 8
    background: int = 4
    statement_seconds: int = 5


def postgresql(url: str, pools: Pools, *, hurried: bool, whole: bool = False) -> AsyncEngine:
    """A pool of connections to PostgreSQL.

    Limits are the session's, so that no statement of ours names them; none of them reaches a commit, which
    PostgreSQL does not cut off by ``statement_timeout``.

    Nor is a table read whole where an index will do, unless ``whole``: a plan that was made while a table was
    small is kept while it grows, and read all of it for a few keys (ADR 0022).
    """
    milliseconds = pools.statement_seconds * 1000
    limits = {
        "statement_timeout": milliseconds if hurried else 0,
        # Earlier than the statement's, so that a lock somebody holds is told from a server that is slow.
        "lock_timeout": milliseconds * 4 // 5 if hurried else PATIENT_SECONDS * 1000,
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000 if hurried else 0,
    }
    settings = {name: str(value) for name, value in limits.items()}
    if not whole:
        settings["enable_seqscan"] = "off"
    engine = create_async_engine(
        url,
        pool_size=pools.requests if hurried else pools.background,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS if hurried else PATIENT_SECONDS,
        # The newest first: what it has prepared is there, and idle ones stay idle.
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": settings,
            "prepared_statement_cache_size": STATEMENTS,
        },
    )
    event.listen(engine.sync_engine, "connect", _connected)
    event.listen(engine.sync_engine, "checkout", _taken)
    event.listen(engine.sync_engine, "handle_error", _failed)
    if hurried:
        _watch(engine)
    return engine


def _connected(connection: Any, record: Any) -> None:
    driver = connection.driver_connection

    def said(_driver: object, message: Any) -> None:
        # By the fields that are not translated. PostgreSQL gives no state of its own to "canceling wait for
        # synchronous replication", so every warning counts.
        if getattr(message, "severity_en", "") == "WARNING":
            record.info[WARNED] = True

    driver.add_log_listener(said)
    alive(driver._transport.get_extra_info("socket"))  # noqa: SLF001 - asyncpg has no setting for it


def alive(connected: Any) -> None:
    """Have TCP find out within ``DEAD_SECONDS`` that the other end is gone."""
    if connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    tcp = socket.IPPROTO_TCP
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(tcp, socket.TCP_KEEPIDLE, DEAD_SECONDS // 3)
    connected.setsockopt(tcp, socket.TCP_KEEPINTVL, DEAD_SECONDS // 6)
    connected.setsockopt(tcp, socket.TCP_KEEPCNT, 4)
    connected.setsockopt(tcp, socket.TCP_USER_TIMEOUT, DEAD_SECONDS * 1000)


def _taken(connection: Any, _record: object, _proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _failed(context: ExceptionContext) -> None:
    if read_only(context.original_exception):
        # After a failover: this pool leads to the server that was left. New connections find the new one.
        context.is_disconnect = True


def _watch(engine: AsyncEngine) -> None:
    def telling(tell: Callable[[Run], None]) -> Callable[..., None]:
        def listener(connection: Connection, *_: object) -> None:
            tell(connection.info[KEY])

        return listener

    event.listen(engine.sync_engine, "before_cursor_execute", telling(Run.asks))
    event.listen(engine.sync_engine, "after_cursor_execute", telling(Run.answered))


_SEVERAL: Final = re.compile(r"\bIN \(VALUES ((?:\((?:\?, )*\?\)(?:, )?)+)\)")


def by_index(statement: str) -> str:
    """A statement of SQLite that finds several rows by keys of several columns through their index.

    SQLite 3.40 reads the whole table for ``(a, b) IN (VALUES (…), (…))``, and seeks for the same rows from a
    subquery.
    """
    if "IN (VALUES" not in statement:
        return statement
    return _SEVERAL.sub(r"IN (SELECT * FROM (VALUES \1))", statement)


def _seek(
    _connection: Connection,
    _cursor: DBAPICursor,
    statement: str,
    parameters: Any,
    _context: ExecutionContext | None,
    _many: bool,  # noqa: FBT001 - SQLAlchemy calls it so
) -> tuple[str, Any]:
    return by_index(statement), parameters


def sqlite(url: URL, pools: Pools, *, writing: bool, hurried: bool = False) -> AsyncEngine:
    """The one writing connection of SQLite, or a pool of readers."""
    engine = create_async_engine(
        url,
        # Ten workers look by themselves beside the requests; when a service starts, all of them at once.
        pool_size=1 if writing else pools.requests if hurried else 12,
        max_overflow=0,
        # Here nobody but our own requests holds one, and none of them for long.
        pool_timeout=pools.statement_seconds if hurried else PATIENT_SECONDS,
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
    event.listen(engine.sync_engine, "before_cursor_execute", _seek, retval=True)
    if writing or hurried:
        _watch(engine)
    return engine
