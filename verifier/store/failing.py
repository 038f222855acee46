"""What a database's failure means: try the transaction again, come again later, or our own mistake.

PostgreSQL is understood by its SQLSTATE (documentation, appendix A), SQLite by its result code: the classes
that SQLAlchemy sorts failures into are too coarse (a full disk is a plain ``DBAPIError`` on PostgreSQL, and a
wrong statement an ``OperationalError`` on SQLite).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, NotSupportedError

from verifier.errors import Code, ConfigurationError, Unavailable

RETRIED_STATES: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs after which the same transaction may simply be run again."""
_MADE_MEANWHILE: Final = frozenset({"42P07"})
"""A table that was not there when it was looked for: somebody else brings the schema up to date as well."""
_BUSY: Final = frozenset({"55P03", "53300"})
"""Somebody holds the lock; all of the server's connections are taken."""
_DOWN: Final = frozenset({"08", "53", "57", "58", "28", "3D"})
"""Classes: connection, resources (a full disk), shutdown or cancel, system; and being refused at the door."""
_READ_ONLY: Final = "25006"
"""The server that was connected to is a standby by now."""
_IDLE: Final = "25P03"
_DAMAGED: Final = frozenset({"XX001", "XX002"})
_UNKNOWN: Final = frozenset({"40003"})

_PRIMARY: Final = 0xFF
_SQLITE_DAMAGED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_SQLITE_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_DOWN: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)


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


class Abandoned(Exception):
    """Nobody waits for this transaction any more, and its commit has not begun; never seen outside."""


def state(failure: DBAPIError) -> str:
    """PostgreSQL's SQLSTATE; empty where there is none."""
    return getattr(failure.orig, "sqlstate", None) or ""


def read_only(failure: BaseException | None) -> bool:
    """Whether the server takes no writes any more: after a failover, the one that was left."""
    return getattr(failure, "sqlstate", None) == _READ_ONLY


def meaning(failure: DBAPIError) -> Exception:
    """What to raise instead of a failure; the failure itself where it is our own mistake."""
    code = getattr(failure.orig, "sqlite_errorcode", None)
    if code is not None:
        return _of_sqlite(failure, code & _PRIMARY)
    said = state(failure)
    if isinstance(failure, IntegrityError) or said in RETRIED_STATES | _MADE_MEANWHILE:
        # A key that was free when it was looked for was taken meanwhile: the second try sees it.
        return Restart(failure)
    if isinstance(failure, NotSupportedError):
        # A prepared statement from before a migration; the driver prepares it anew from here on.
        return Restart(failure)
    if said in _DAMAGED:
        return _damaged()
    return _passing(failure, said)


def _passing(failure: DBAPIError, said: str) -> Exception:
    if said in _BUSY:
        return Unavailable(Code.OVERLOADED, _named(failure))
    lost = failure.connection_invalidated or isinstance(failure, InterfaceError)
    if lost or said[:2] in _DOWN or said in {_READ_ONLY, _IDLE}:
        return Unavailable(Code.STORE_UNAVAILABLE, _named(failure))
    return failure


def uncertain(failure: DBAPIError) -> bool:
    """Whether a commit that failed so may stand nevertheless."""
    code: int | None = getattr(failure.orig, "sqlite_errorcode", None)
    if code is not None:
        # Whatever else SQLite says about a commit, the transaction is still open, and rolled back next.
        return code & _PRIMARY == sqlite3.SQLITE_IOERR
    # An open connection on which the server said why has not committed.
    return failure.connection_invalidated or not state(failure) or state(failure) in _UNKNOWN


def _of_sqlite(failure: DBAPIError, code: int) -> Exception:
    if code in _SQLITE_DAMAGED:
        return _damaged()
    if isinstance(failure, IntegrityError):
        return Restart(failure)
    if code in _SQLITE_BUSY:
        return Unavailable(Code.OVERLOADED, _named(failure))
    if code in _SQLITE_DOWN:
        return Unavailable(Code.STORE_UNAVAILABLE, _named(failure))
    return failure


def _named(failure: DBAPIError) -> str:
    # The driver's name of it only: a message may hold what was written.
    cause = failure.orig.__cause__ if failure.orig is not None else None
    name = getattr(failure.orig, "sqlite_errorname", None)
    return str(name) if name else type(cause or failure.orig).__name__


def _damaged() -> ConfigurationError:
    return ConfigurationError(
        Code.CONFIGURATION_INVALID, "the database is damaged, or is none", pointer="database_url"
    )
