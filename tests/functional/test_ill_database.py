"""A database that is slow, full, stopped or left by its standby: told within seconds; nothing is doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
import psutil  # type: ignore[import-untyped] # comes with the server; its types are not installed
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.functional import world as worlds
from tests.functional.conftest import PostgreSQL
from tests.functional.process import running, settings
from tests.functional.world import World
from verifier.cli.simulator import ChinaVocationalTraining, Course, person
from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.haste import somebody_waits
from verifier.model.delivery import DeliveryState
from verifier.store import connections, engine
from verifier.store.engine import Database, Pools
from verifier.store.schema import require_current, require_same, upgrade, wanted

INSERT = text("insert into enterprises (uscc, touched) values (:uscc, 0)")
SHORT = Pools(requests=2, background=2, statement_seconds=1)


class OwnServer(PostgreSQL):
    """A server that a test may stop."""

    def halt(self) -> None:
        self._server._stop()

    def resume(self) -> None:
        self._server.ensure_postgres_running()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server stands still."""
        postmaster = psutil.Process(self._server.get_pid())
        everyone = [postmaster, *postmaster.children(recursive=True)]
        for one in everyone:
            one.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGCONT)

    async def connect(self, name: str) -> asyncpg.Connection:
        return await asyncpg.connect(host=self._socket, user="postgres", database=name)

    async def standby(self, name: str) -> None:
        """Name the standby that every commit waits for; empty for none."""
        admin = await self.connect("postgres")
        await admin.execute(f"alter system set synchronous_standby_names = '{name}'")
        await admin.execute("select pg_reload_conf()")
        # Commits wait from when the checkpointer has read it, whatever a session of its own shows.
        while await self._a_commit_waits(admin) is not bool(name):
            pass
        await admin.close()

    async def _a_commit_waits(self, admin: asyncpg.Connection) -> bool:
        probe = await self.connect("postgres")
        pid = probe.get_server_pid()
        committing = asyncio.ensure_future(
            probe.execute("select pg_logical_emit_message(true, 'probe', 'made up')")
        )
        found = False
        while not committing.done() and not found:
            await asyncio.sleep(0.01)
            event = await admin.fetchval("select wait_event from pg_stat_activity where pid = $1", pid)
            found = event == "SyncRep"
        if found:
            await admin.execute("select pg_cancel_backend($1)", pid)
        await committing
        await probe.close()
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    one = OwnServer(directory)
    one.prepare()
    yield one
    one.stop()
    shutil.rmtree(directory)


@pytest.fixture
def own(server: OwnServer) -> Iterator[str]:
    """Name of a fresh database on that server."""
    name = server.lend()
    yield name
    server.give_back(name)


@pytest.fixture
async def database(server: OwnServer, own: str) -> AsyncIterator[Database]:
    opened = Database(server.url(own), pools=SHORT)
    yield opened
    await opened.close()


def insert(uscc: str) -> object:
    return lambda connection: connection.execute(INSERT, {"uscc": uscc})


async def add(database: Database, uscc: str) -> None:
    await database.write(lambda connection: connection.execute(INSERT, {"uscc": uscc}))


async def held(database: Database) -> list[str]:
    rows = await database.read(
        lambda c: c.execute(text("select uscc from enterprises order by uscc")).scalars().all()
    )
    return list(rows)


def slow(connection: Connection) -> None:
    connection.execute(text("select 1 from pg_sleep(30)"))


@contextlib.contextmanager
def refused(code: Code, *, within: float) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(Unavailable) as failed:
        yield
    assert failed.value.code is code
    assert time.monotonic() - began < within


# --- a commit that may not last


async def end_a_wait(server: OwnServer, how: str) -> None:
    """End the wait for the standby of the one commit that waits, as an operator does."""
    admin = await server.connect("postgres")
    waiting = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
    for _ in range(1_000):
        if (pid := await admin.fetchval(waiting)) is not None:
            await admin.fetchval(f"select {how}($1::int)", pid)
            break
        await asyncio.sleep(0.01)
    await admin.close()


@pytest.fixture
async def standing(server: OwnServer, own: str, installation: worlds.Installation) -> AsyncIterator[World]:
    built = await worlds.over(server.url(own), installation)
    yield built
    await built.store.database.close()


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_whose_wait_for_the_standby_was_ended_is_not_acknowledged(
    standing: World, server: OwnServer, how: str
) -> None:
    await standing.sql("select 1")
    delivery = standing.cvt.delivery(
        standing.cvt.completed(standing.course("N-1", person(1, "张三"))), "d-1", standing.now
    )
    await server.standby("nobody")
    try:
        for _ in range(2):
            # The second time it is kept already, and still only here: the answer has to wait like the first.
            sent = asyncio.ensure_future(standing.group_commit().submit(standing.prepared(delivery)))
            await end_a_wait(server, how)
            with pytest.raises(Unavailable) as unknown:
                await sent
            assert unknown.value.code is Code.OUTCOME_UNKNOWN
    finally:
        await server.standby("")
    outcome = await standing.group_commit().submit(standing.prepared(delivery))
    assert outcome.state is DeliveryState.ACCEPTED
    assert len(await standing.sql("select 1 from deliveries")) == 1
    assert len(await standing.sql("select 1 from completions")) == 1


async def test_whoever_waits_for_a_commit_that_hangs_is_told_that_nobody_knows(
    server: OwnServer, database: Database
) -> None:
    await held(database)
    await server.standby("nobody")
    try:
        with somebody_waits(), refused(Code.OUTCOME_UNKNOWN, within=9):
            await add(database, "a")
    finally:
        await server.standby("")
    await add(database, "b")
    assert await held(database) == ["a", "b"]


# --- stopped, and there again


async def test_a_server_that_was_stopped_is_found_again_by_the_next_transaction(
    server: OwnServer, database: Database
) -> None:
    await add(database, "a")
    running = asyncio.ensure_future(database.write(slow))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(server.halt)
    try:
        with pytest.raises(Unavailable) as cut:
            await running
        assert cut.value.code is Code.STORE_UNAVAILABLE
        with somebody_waits(), refused(Code.STORE_UNAVAILABLE, within=3):
            await add(database, "b")
    finally:
        await asyncio.to_thread(server.resume)
    await add(database, "c")
    with somebody_waits():
        assert await held(database) == ["a", "c"]


async def test_a_server_that_stands_still_is_told_of_and_what_was_given_up_is_not_done(
    server: OwnServer, database: Database
) -> None:
    with somebody_waits():
        await add(database, "a")
        await held(database)
        with server.frozen():
            with refused(Code.STORE_UNAVAILABLE, within=9):
                await add(database, "b")
            with refused(Code.STORE_UNAVAILABLE, within=9):
                await held(database)
        await add(database, "c")
    await database._thread.settle()
    assert await held(database) == ["a", "c"]


async def test_attack_85_without_its_database_the_service_says_503_and_comes_back_by_itself(
    server: OwnServer, own: str, installation: worlds.Installation, tmp_path: Path
) -> None:
    chosen = replace(settings(tmp_path, installation), database_url=server.url(own))
    sender = ChinaVocationalTraining(installation.sandbox)
    done = datetime(2021, 3, 5, 2, tzinfo=UTC)
    message = sender.completed(Course("N-1", person(1, "张三"), done, done + timedelta(hours=1)))
    async with running(chosen) as (_, address), aiohttp.ClientSession(address) as session:

        async def post() -> tuple[int, str, float]:
            delivery, began = sender.delivery(message, "d-1", datetime.now(UTC)), time.monotonic()
            path, headers = delivery.path, dict(delivery.headers)
            async with session.post(path, data=delivery.body, headers=headers) as answer:
                await answer.read()
                return answer.status, answer.headers.get("Retry-After", ""), time.monotonic() - began

        async def status(path: str) -> int:
            async with session.get(path) as answer:
                return answer.status

        await asyncio.to_thread(server.halt)
        try:
            answers = await asyncio.gather(*(post() for _ in range(20)))
            assert {(code, retry) for code, retry, _ in answers} == {(503, "1")}
            assert max(seconds for _, _, seconds in answers) < 5
            assert (await status("/healthz"), await status("/readyz")) == (200, 503)
        finally:
            await asyncio.to_thread(server.resume)
        assert (await post())[0] == 200
        assert (await post())[0] == 200
        assert await status("/readyz") == 200
    database = Database(server.url(own))
    kept = text("select count(*) from deliveries")
    assert await database.read(lambda connection: connection.execute(kept).scalar_one()) == 1
    await database.close()


# --- slow, contended, full


async def test_only_who_is_waited_for_is_cut_off(database: Database) -> None:
    with somebody_waits(), refused(Code.STORE_UNAVAILABLE, within=2.9):
        await database.read(slow)
    await database.read(lambda c: c.execute(text("select 1 from pg_sleep(1.2)")).all())


async def test_a_lock_that_somebody_holds_is_told_as_busy(
    server: OwnServer, own: str, database: Database
) -> None:
    await add(database, "a")
    other = await server.connect(own)
    async with other.transaction():
        await other.execute("update enterprises set touched = 1")
        with somebody_waits(), refused(Code.OVERLOADED, within=2.9):
            await database.write(lambda c: c.execute(text("update enterprises set touched = 2")))
    await other.close()


async def test_a_rush_of_requests_is_refused_within_a_second_and_background_work_goes_on(
    server: OwnServer, own: str
) -> None:
    database = Database(server.url(own), pools=Pools(requests=2, background=2, statement_seconds=3))
    with somebody_waits():
        rush = [asyncio.ensure_future(database.read(slow)) for _ in range(2)]
        await asyncio.sleep(0.1)
        asked = asyncio.ensure_future(held(database))
    await add(database, "a")
    with refused(Code.OVERLOADED, within=2.5):
        await asked
    assert await held(database) == ["a"]
    await asyncio.gather(*rush, return_exceptions=True)
    await database.close()


async def test_a_server_without_a_free_connection_is_told_as_busy(server: OwnServer, own: str) -> None:
    admin = await server.connect(own)
    await admin.execute("create role few login connection limit 1; grant all on enterprises to few")
    address = server.url(own).replace("postgres:@", "few:@")
    first, second = Database(address), Database(address)
    assert await held(first) == []
    with refused(Code.OVERLOADED, within=5):
        await held(second)
    await first.close()
    for _ in range(100):
        if not await admin.fetchval("select count(*) from pg_stat_activity where usename = 'few'"):
            break
        await asyncio.sleep(0.01)
    assert await held(second) == []
    await second.close()
    await admin.execute("drop owned by few; drop role few")
    await admin.close()


async def test_a_database_that_is_not_there_or_lets_nobody_in_is_unavailable(
    server: OwnServer, own: str
) -> None:
    for address in (server.url("nowhere"), server.url(own).replace("postgres:@", "nobody:@")):
        database = Database(address)
        with refused(Code.STORE_UNAVAILABLE, within=5):
            await held(database)
        await database.close()


async def test_after_a_failover_connections_are_made_anew(
    server: OwnServer, own: str, database: Database
) -> None:
    await add(database, "a")
    admin = await server.connect("postgres")
    await admin.execute(f"alter database {own} set default_transaction_read_only = on")
    # As when the server comes up again as a standby.
    await admin.fetchval("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", own)
    await asyncio.sleep(0.1)
    with pytest.raises(Unavailable) as standby:
        await add(database, "b")
    assert standby.value.code is Code.STORE_UNAVAILABLE
    await admin.execute(f"alter database {own} reset default_transaction_read_only")
    await admin.close()
    await add(database, "c")
    assert await held(database) == ["a", "c"]


RAISE = "do $$ begin raise exception using errcode = '%s'; end $$"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", Code.STORE_UNAVAILABLE),
        ("53200", Code.STORE_UNAVAILABLE),
        ("58030", Code.STORE_UNAVAILABLE),
        ("57P03", Code.STORE_UNAVAILABLE),
        ("57014", Code.STORE_UNAVAILABLE),
        ("25006", Code.STORE_UNAVAILABLE),
        ("55P03", Code.OVERLOADED),
        ("53300", Code.OVERLOADED),
        ("XX001", Code.CONFIGURATION_INVALID),
    ],
)
async def test_each_state_has_its_meaning_and_the_next_transaction_works(
    database: Database, state: str, code: Code
) -> None:
    with pytest.raises(Exception) as failed:  # noqa: PT011 - its code is looked at
        await database.write(lambda c: c.execute(text(RAISE % state)))
    assert getattr(failed.value, "code", None) is code
    await add(database, "a")


async def test_what_a_statement_of_ours_breaks_is_no_unavailability(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await database.write(lambda c: c.execute(text(RAISE % "22012")))


async def test_a_full_disk_under_sqlite_is_told_and_recovered_from(sqlite: str) -> None:
    database = Database(sqlite)

    def bound(connection: Connection, pages: int) -> None:
        used = connection.exec_driver_sql("pragma page_count").scalar_one()
        connection.exec_driver_sql(f"pragma max_page_count = {used + pages}")

    def fill(connection: Connection) -> None:
        for number in range(2_000):
            connection.execute(INSERT, {"uscc": f"{number:018}"})

    await add(database, "a")
    await database.write(lambda connection: bound(connection, 2))
    with refused(Code.STORE_UNAVAILABLE, within=30):
        await database.write(fill)
    await database.write(lambda connection: bound(connection, 1_000_000))
    await add(database, "b")
    assert await held(database) == ["a", "b"]
    await database.close()


async def test_a_wrong_statement_is_our_own_mistake_on_sqlite_too(sqlite: str) -> None:
    database = Database(sqlite)
    with pytest.raises(OperationalError):
        await database.write(lambda c: c.execute(text("select * from nowhere")))
    await database.close()


async def test_on_sqlite_nobody_waits_for_the_writer_without_end(
    sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN_SECONDS", 0.5)
    database, go_on = Database(sqlite), threading.Event()
    blocking = asyncio.ensure_future(database.write(lambda _: go_on.wait(30)))
    await asyncio.sleep(0.1)
    with somebody_waits(), refused(Code.OVERLOADED, within=5):
        await add(database, "a")
    go_on.set()
    await blocking
    await add(database, "b")
    assert await held(database) == ["b"]
    await database.close()


# --- connections


def test_a_connection_over_tcp_is_watched() -> None:
    with socket.socket() as connected:
        connections.alive(connected)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


async def test_a_statement_from_before_a_migration_is_prepared_anew(
    server: OwnServer, own: str, database: Database
) -> None:
    everything = text("select * from enterprises")
    await database.read(lambda c: c.execute(everything).all())
    other = await server.connect(own)
    await other.execute("alter table enterprises add column note text")
    await other.close()
    assert await database.read(lambda c: c.execute(everything).all()) == []


# --- the schema


@pytest.mark.untraced
async def test_two_who_bring_an_empty_database_up_to_date_at_once_both_succeed(server: OwnServer) -> None:
    await asyncio.to_thread(server.run, "create database empty")
    environment = {**os.environ, "VERIFIER_DATABASE_URL": server.url("empty")}
    with tempfile.TemporaryDirectory() as directory:
        both = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "verifier", "db", "upgrade"),
                env={**environment, "VERIFIER_DATA_DIR": directory},
            )
            for _ in range(2)
        ]
        assert [await one.wait() for one in both] == [0, 0]
    await asyncio.to_thread(server.run, "drop database empty")


async def test_whoever_comes_second_to_bring_a_database_up_to_date_waits(
    server: OwnServer, own: str, database: Database
) -> None:
    other = await server.connect(own)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("update alembic_version set version_num = version_num")
    second = asyncio.ensure_future(database.write(upgrade))
    await asyncio.sleep(0.3)
    assert not second.done()
    await transaction.commit()
    await second
    await other.close()


async def test_a_schema_that_was_only_expanded_bears_this_code_and_any_later_one_does_not(
    server: OwnServer, own: str, database: Database
) -> None:
    other = await server.connect(own)
    name = "update alembic_version set version_num = $1"
    head = await database.read(wanted)
    await other.execute(name, f"9999_since_{head[:4]}")
    await database.read(require_current)
    await database.write(upgrade)
    with pytest.raises(ConfigurationError):
        await database.read(require_same)
    for later in ("9999", "9999_since_9998"):
        await other.execute(name, later)
        with pytest.raises(ConfigurationError):
            await database.read(require_current)
        with pytest.raises(ConfigurationError):
            await database.write(upgrade)
    await other.execute(name, head)
    await other.close()
