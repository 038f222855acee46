"""Connections and transactions: who may write, what is tried again, and what a commit survives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.util import await_only

from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.settings import Settings
from verifier.store import engine
from verifier.store.engine import Database, Pools
from verifier.store.schema import differences, require_current


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url)
    yield opened
    await opened.close()


def insert(position: int) -> str:
    return f"insert into nodes (level, position, hash) values (0, {position}, 'x')"  # noqa: S608 - a number


async def nodes(database: Database) -> list[int]:
    rows = await database.read(
        lambda c: c.execute(text("select position from nodes order by position")).all()
    )
    return [position for (position,) in rows]


# Opening


def test_a_second_opener_of_a_sqlite_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'verifier.db'}"
    first = Database(url)
    with pytest.raises(ConfigurationError) as refused:
        Database(url)
    assert refused.value.code is Code.STORE_LOCKED
    asyncio.run(first.close())
    asyncio.run(Database(url).close())


async def test_somebody_who_only_looks_needs_no_lock_and_cannot_write(sqlite: str) -> None:
    holder, looker = Database(sqlite), Database(sqlite, read_only=True)
    await holder.write(lambda c: c.execute(text(insert(1).replace("'x'", "x'00'"))))
    assert await nodes(looker) == [1]
    with pytest.raises(Unavailable):
        await looker.read(lambda c: c.execute(text("delete from nodes")))
    assert await nodes(holder) == [1]
    await looker.close()
    await holder.close()


@pytest.mark.parametrize(
    "address", ["nonsense", "sqlite+aiosqlite://", "sqlite:///x.db", "mysql://h/d", "postgresql://h/d"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Database(address)
    assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, "database_url")


async def test_sqlite_is_durable_has_one_writer_and_readers_that_cannot_write(sqlite: str) -> None:
    database = Database(sqlite)

    def pragmas(connection: Connection) -> dict[str, object]:
        names = ("synchronous", "journal_mode", "query_only", "wal_autocheckpoint")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}

    full = 2
    writer, reader = await database.write(pragmas), await database.read(pragmas)
    assert (writer["synchronous"], writer["journal_mode"], writer["query_only"]) == (full, "wal", 0)
    assert (reader["synchronous"], reader["query_only"], reader["wal_autocheckpoint"]) == (full, 1, 0)
    await database.close()


async def test_writers_of_sqlite_take_turns(sqlite: str) -> None:
    database, inside, most = Database(sqlite), 0, 0

    def work(connection: Connection) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        connection.execute(text("update nodes set level = level"))
        inside -= 1

    await asyncio.gather(*(database.write(work) for _ in range(10)))
    assert most == 1
    await database.close()


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    await database.read(require_current)
    assert await database.write(differences) == []


async def test_a_database_of_another_version_is_refused(database: Database) -> None:
    await database.write(lambda c: c.execute(text("update alembic_version set version_num = '0000'")))
    with pytest.raises(ConfigurationError):
        await database.read(require_current)


# Trying again


class Flaky:
    """Work that fails some times before it succeeds."""

    def __init__(self, statement: str, times: int) -> None:
        self.statement = statement
        self.times = times
        self.runs = 0

    def __call__(self, connection: Connection) -> int:
        self.runs += 1
        if self.runs <= self.times:
            connection.execute(text(self.statement))
        return self.runs


BROKEN_KEY = "insert into nodes (level, position, hash) values (0, 0, :x), (0, 0, :x)".replace(":x", "null")
RAISE = "do $$ begin raise exception using errcode = '%s'; end $$"


async def test_a_broken_key_is_tried_again(database: Database) -> None:
    assert await database.write(Flaky(BROKEN_KEY, 2)) == 3


async def test_a_key_that_stays_broken_is_told_as_such(database: Database) -> None:
    work = Flaky(BROKEN_KEY, 99)
    with pytest.raises(IntegrityError):
        await database.write(work)
    assert work.runs == engine.ATTEMPTS


@pytest.mark.parametrize("state", sorted(engine.RETRIED_STATES))
async def test_serialization_failures_and_deadlocks_are_tried_again(postgresql: str, state: str) -> None:
    database = Database(postgresql)
    assert await database.write(Flaky(RAISE % state, 2)) == 3
    assert await database.read(Flaky(RAISE % state, 1)) == 2
    with pytest.raises(Unavailable) as gone:
        await database.write(Flaky(RAISE % state, 99))
    assert gone.value.code is Code.OVERLOADED
    await database.close()


async def test_a_real_deadlock_ends_with_both_done(postgresql: str) -> None:
    database = Database(postgresql)
    await database.write(lambda c: c.execute(text("insert into enterprises values ('a', 0), ('b', 0)")))
    both_hold_one = asyncio.Barrier(2)
    turns = {"a": 0, "b": 0}

    async def cross(first: str, second: str) -> None:
        await database.write(lambda c: _cross(c, first, second))

    def _cross(connection: Connection, first: str, second: str) -> None:
        turns[first] += 1
        touch = text("update enterprises set touched = touched + 1 where uscc = :uscc")
        connection.execute(touch, {"uscc": first})
        if turns[first] == 1:
            await_only(both_hold_one.wait())
        connection.execute(touch, {"uscc": second})

    await asyncio.gather(cross("a", "b"), cross("b", "a"))
    # One of them was sent back; when it comes again it may meet the other once more.
    assert 3 <= sum(turns.values()) <= 2 * engine.ATTEMPTS
    rows = await database.read(lambda c: c.execute(text("select touched from enterprises")).scalars().all())
    assert list(rows) == [2, 2]
    await database.close()


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("delete from alembic_version"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(work)
    await database.read(require_current)


# What is told


@pytest.mark.parametrize(("read_only", "said"), [(False, "off"), (True, "on")])
async def test_only_who_checks_or_exports_reads_tables_whole_where_an_index_will_do(
    postgresql: str, said: str, *, read_only: bool
) -> None:
    database = Database(postgresql, read_only=read_only)
    assert await database.read(lambda c: c.execute(text("show enable_seqscan")).scalar_one()) == said
    await database.close()


async def test_a_wrong_statement_is_our_own_mistake_and_not_unavailability(postgresql: str) -> None:
    database = Database(postgresql)
    with pytest.raises(ProgrammingError):
        await database.write(lambda c: c.execute(text("select * from nowhere")))
    await database.close()


async def test_a_failure_does_not_show_what_was_written(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("select :secret from nowhere"), {"secret": "999901199001010014"})

    with pytest.raises((DBAPIError, Unavailable)) as failed:
        await database.write(work)
    shown = f"{failed.value} {failed.value.__cause__}"
    assert "999901199001010014" not in shown


async def test_a_lost_connection_is_unavailability_and_the_next_one_works(postgresql: str) -> None:
    database = Database(postgresql)
    with pytest.raises(Unavailable) as gone:
        await database.write(lambda c: c.execute(text("select pg_terminate_backend(pg_backend_pid())")))
    assert gone.value.code is Code.STORE_UNAVAILABLE
    assert await nodes(database) == []
    await database.close()


async def test_a_database_that_is_not_there_is_unavailability(tmp_path: Path) -> None:
    for address in (f"postgresql+asyncpg://u:@/d?host={tmp_path}", f"sqlite+aiosqlite:///{tmp_path}/no/x.db"):
        database = Database(address, read_only=True)
        with pytest.raises(Unavailable) as gone:
            await nodes(database)
        assert gone.value.code is Code.STORE_UNAVAILABLE
        await database.close()


async def test_no_free_connection_is_told_as_overload(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgresql)
    monkeypatch.setattr(database._reader.sync_engine.pool, "_timeout", 0.05)
    work = [
        asyncio.ensure_future(
            database.read(lambda c: c.execute(text("select 1 from pg_sleep(0.2)")).scalar())
        )
        for _ in range(Pools().background + 1)
    ]
    answers = await asyncio.gather(*work, return_exceptions=True)
    [refused] = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert refused.code is Code.OVERLOADED
    await database.close()


# Cancellation


async def test_a_caller_that_goes_away_does_not_stop_the_commit(database: Database) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(text("update alembic_version set version_num = 'done'"))
        started.set()
        go_on.wait(5)

    caller = asyncio.ensure_future(database.write(work))
    await asyncio.to_thread(started.wait, 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    read = text("select version_num from alembic_version")
    found = ""
    for _ in range(50):
        found = await database.write(lambda c: c.execute(read).scalar_one())
        if found == "done":
            break
    assert found == "done"


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.glob("new.db*")}


async def test_nobody_but_its_owner_may_read_a_new_sqlite_file(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    await database.write(lambda connection: connection.exec_driver_sql("create table t (x)"))
    found = modes(tmp_path)
    await database.close()
    assert found
    assert set(found.values()) == {0o600}, found


async def test_a_path_with_special_characters_is_one_file(tmp_path: Path) -> None:
    directory = tmp_path / "a b#%20?x"
    directory.mkdir()
    url = Settings(data_dir=directory).database_url
    database = Database(url)
    await database.write(lambda connection: connection.exec_driver_sql("create table t (x)"))
    beside = Database(url, read_only=True)
    counted = "select count(*) from t"
    assert await beside.read(lambda connection: connection.exec_driver_sql(counted).scalar_one()) == 0
    await beside.close()
    await database.close()
    assert (directory / "verifier.db").is_file()


async def test_a_read_that_nobody_waits_for_any_more_ends_and_leaves_nothing_unmerged(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    await database.write(lambda connection: connection.exec_driver_sql("create table t (x)"))
    started, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(text("select count(*) from t"))
        started.set()
        go_on.wait(5)
        connection.execute(text("select count(*) from t"))

    caller = asyncio.ensure_future(database.read(work))
    await asyncio.to_thread(started.wait, 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await database.close()
    assert set(modes(tmp_path)) == {"new.db", "new.db.lock"}
