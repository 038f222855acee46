"""The writing connection of SQLite, whose calls are made on the thread that runs the transaction.

aiosqlite has a thread for each connection, and goes to it and back for each cursor, statement, fetch and
close: some 120 times in a transaction that takes callbacks in, which cost more CPU time than SQLite itself.
Transactions have a loop and a thread of their own already (``verifier.loops``), and only one can write at a
time, so nothing is kept waiting by calling SQLite right there (ADR 0018). Readers keep their threads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, ParamSpec, TypeVar

import aiosqlite
from typing_extensions import override

P = ParamSpec("P")
T = TypeVar("T")
_ROWS = 64
"""Rows that iterating over a cursor fetches at once; SQLAlchemy fetches all instead."""


class InlineConnection(aiosqlite.Connection):
    """aiosqlite's connection without its thread; whoever opens it is the only one to use it."""

    @override
    async def _execute(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return fn(*args, **kwargs)

    @override
    async def _connect(self) -> InlineConnection:
        self._connection = self._connector()
        return self

    @override
    def __await__(self) -> Generator[Any, None, InlineConnection]:
        return self._connect().__await__()

    @override
    def stop(self) -> None:
        self._running = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(database: str, **options: Any) -> InlineConnection:
    """A connection to be awaited, as from ``aiosqlite.connect``; options as of ``sqlite3.connect``."""
    return InlineConnection(partial(sqlite3.connect, database, **options), _ROWS)
