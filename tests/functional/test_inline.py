"""The writing connection of SQLite makes its calls where the transaction runs; else it is aiosqlite's."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from tests.functional.world import World
from verifier.store import inline
from verifier.store.engine import Database


async def test_sqlite_is_called_on_the_thread_of_the_transaction(small_world: World) -> None:
    called: list[int] = []

    def work(connection: Connection) -> int:
        driver = connection.connection.driver_connection
        assert isinstance(driver, inline.InlineConnection)
        driver._conn.create_function("here", 0, lambda: called.append(threading.get_ident()))
        connection.execute(text("select here()"))
        return threading.get_ident()

    assert called == [await small_world.store.database.write(work)]


async def test_a_reader_is_not_kept_waiting_by_a_writer_that_is_busy(small_world: World) -> None:
    database, entered, go_on = small_world.store.database, threading.Event(), threading.Event()

    def write(_connection: Connection) -> bool:
        entered.set()
        return go_on.wait(20)

    def read(connection: Connection) -> object:
        return connection.execute(text("select count(*) from in_force")).scalar_one()

    writing = asyncio.ensure_future(database.write(write))
    await asyncio.to_thread(entered.wait, 20)
    assert await asyncio.wait_for(database.read(read), 20) == 0
    go_on.set()
    assert await writing


async def test_a_failure_of_sqlite_comes_out_as_itself_and_leaves_the_connection_usable(
    tmp_path: Path,
) -> None:
    connection = await inline.connect(str(tmp_path / "a.db"), isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        await connection.execute("select nothing")
    async with connection.execute("select 1") as cursor:
        assert [tuple(row) for row in await cursor.fetchall()] == [(1,)]
    await connection.close()
    connection.stop()  # twice is no error
    with pytest.raises(ValueError, match="no active connection"):
        await connection.commit()


async def test_a_database_closes_although_nothing_was_ever_asked_of_it(tmp_path: Path) -> None:
    await Database(f"sqlite+aiosqlite:///{tmp_path}/b.db").close()
