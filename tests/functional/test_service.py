"""The service as a whole: how it starts, stops, refuses to start, and says so when a part stops."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from tests.functional.process import (
    CLIENT_JWK,
    SERVE,
    Sent,
    Traffic,
    environment,
    eventually,
    post,
    process,
    running,
    settings,
)
from tests.functional.world import FACTORY, WORKSHOP, Installation, over
from verifier import workers
from verifier.cli import main
from verifier.cli.simulator import ChinaVocationalTraining, NewOccupation, person
from verifier.errors import Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.kept import CheckpointFile
from verifier.loops import LoopThread
from verifier.settings import Settings
from verifier.store.engine import FileLock
from verifier.workers import Crew, Worker

pytestmark = pytest.mark.untraced

PEOPLE = [person(serial, "阿依古丽") for serial in range(10)]


@pytest.fixture
def chosen(
    sqlite: str, tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a directory with a database of this version, also for commands run in this process."""
    made = settings(tmp_path, installation)
    assert made.database_url == sqlite
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def traffic(installation: Installation) -> Traffic:
    sandbox = installation.sandbox
    chance = random.Random(1)  # noqa: S311 - not for secrecy
    return Traffic(ChinaVocationalTraining(sandbox), NewOccupation(sandbox), PEOPLE, chance)


def rows(chosen: Settings, statement: str) -> list[tuple[str | int | bytes, ...]]:
    with closing(sqlite3.connect(f"file:{chosen.data_dir / 'verifier.db'}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def admit(uscc: str) -> list[str]:
    scope = ["--name", "沙箱企业", "--office", "652301", "--from", "2021-01-01"]
    return ["enterprises", "admit", uscc, *scope, "--json"]


# --- a process of its own


def test_a_service_manager_can_end_it_in_the_midst_of_traffic_and_nothing_is_half_done(
    chosen: Settings, traffic: Traffic, tmp_path: Path, installation: Installation
) -> None:
    with process(tmp_path, environment(tmp_path, installation)) as service:
        asyncio.run(traffic.until(service.terminate, service.address()))
        assert (service.wait(), "Traceback" in service.said) == (0, False)
    assert not (tmp_path / "verifier.db-wal").exists()  # closed, not left
    stored = {str(name) for (name,) in rows(chosen, "select delivery_id from deliveries")}
    assert set(traffic.acknowledged) <= stored <= set(traffic.acknowledged) | set(traffic.unanswered)
    assert main(["ledger", "fsck"]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_may_be_told_to_end_as_soon_as_it_listens(
    chosen: Settings, tmp_path: Path, installation: Installation, number: signal.Signals
) -> None:
    del chosen
    with process(tmp_path, environment(tmp_path, installation)) as service:
        service.address()
        assert service.told(number) == 0
        assert "Traceback" not in service.said


def test_operators_work_beside_a_running_service_and_without_one(
    chosen: Settings, tmp_path: Path, installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(uscc: str) -> bool:
        assert main(admit(uscc)) == 0
        return bool(json.loads(capsys.readouterr().out)["changed"])

    def refused() -> str:
        assert main(["clients", "revoke", "nobody", "--json"]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        return shown.err

    with process(tmp_path, environment(tmp_path, installation)) as service:
        service.address()
        assert stat.S_IMODE(chosen.admin_socket.stat().st_mode) == 0o600
        assert changed(FACTORY)
        said = refused()
        assert main(["serve"]) == 2  # one process a database, which is why the socket was needed
        assert "store_locked" in capsys.readouterr().err
        assert service.terminate() == 0
    assert not changed(FACTORY)
    assert changed(WORKSHOP)
    assert refused() == said
    assert json.loads(said)["code"] == "not_found"


def test_a_second_process_is_refused_while_the_first_goes_on(
    chosen: Settings, tmp_path: Path, installation: Installation
) -> None:
    held = FileLock(tmp_path / "verifier.db.lock")
    try:
        with process(tmp_path, environment(tmp_path, installation), SERVE) as second:
            assert second.wait() == 2
            assert "store_locked" in second.said
            assert "Traceback" not in second.said
    finally:
        held.close()
    assert rows(chosen, "select * from adoptions") == []


# --- refusing to start


async def grown(chosen: Settings, client: str = "") -> int:
    """Run the service until everything is in the ledger, and return the ledger's size."""
    async with running(chosen) as (service, _):
        if client:
            await service.operations.add_client({"client": client, "role": "auditor", "jwk": CLIENT_JWK})

        async def settled() -> bool:
            waiting = "select count(*) from evidence where position is null"
            return rows(chosen, waiting) == [(0,)]

        await eventually(settled, "all evidence is in the ledger")
        return len((await service.store.feed(-1, 1000))[0])


def back_up(source: Path, target: Path) -> None:
    """A backup as an operator makes it: whole, whatever still stands in the write-ahead log."""
    for leftover in ("", "-wal", "-shm"):
        target.with_name(target.name + leftover).unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def test_a_database_that_was_replaced_by_an_older_copy_is_not_continued(
    chosen: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, older = tmp_path / "verifier.db", tmp_path / "older.db"
    size = asyncio.run(grown(chosen))
    back_up(database, older)
    assert asyncio.run(grown(chosen, "auditor")) > size
    kept = chosen.kept_checkpoint.read_bytes()
    back_up(older, database)
    assert main(["serve"]) == 2
    assert "ledger_fork_refused" in capsys.readouterr().err
    assert rows(chosen, "select count(*) from entries") == [(size,)]
    assert chosen.kept_checkpoint.read_bytes() == kept
    assert main(["ledger", "fsck"]) == 1
    assert "kept_checkpoint_disagrees" in capsys.readouterr().out


SECRETS = ["record.pem", "status.pem", "checkpoint.pem", "fields.json", "cvt-hmac", "xzy-gateway"]


@pytest.fixture
def own_secrets(
    chosen: Settings, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of the keys, to be spoilt."""
    assert chosen.secrets_dir == installation.secrets_dir
    copied = tmp_path / "secrets"
    shutil.copytree(installation.secrets_dir, copied)
    monkeypatch.setenv("VERIFIER_SECRETS_DIR", str(copied))
    return copied


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_keeps_it_from_starting(
    own_secrets: Path, name: str, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_secrets / name).chmod(mode)
    assert main(["serve"]) == 2
    assert f"key_refused [{name}]" in capsys.readouterr().err


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_key_keeps_it_from_starting(
    own_secrets: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_secrets / name).unlink()
    assert main(["serve"]) == 2
    assert f"key_refused [{name}]" in capsys.readouterr().err


GARBLED = [b"", b"{}", b"[]", b'{"master_version": 1}', b"\xff", b"-----BEGIN X-----"]


@pytest.mark.parametrize("content", GARBLED)
@pytest.mark.parametrize("name", SECRETS[:4])
def test_a_garbled_key_keeps_it_from_starting(
    own_secrets: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_secrets / name).write_bytes(content)
    assert main(["serve"]) == 2
    assert "key_refused" in capsys.readouterr().err


def test_a_key_of_another_type_signs_no_checkpoints(
    own_secrets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_secrets / "checkpoint.pem").write_bytes((own_secrets / "record.pem").read_bytes())
    assert main(["serve"]) == 2
    assert "key_refused [checkpoint.pem]" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["REGISTER", "POLICY"])
def test_a_missing_register_or_policy_keeps_it_from_starting(
    chosen: Settings, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"VERIFIER_{missing}", str(chosen.data_dir / "nothing.toml"))
    assert main(["serve"]) == 2
    assert "configuration_invalid [nothing.toml]" in capsys.readouterr().err


def test_an_address_in_use_keeps_it_from_starting(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def beside() -> int:
        async with running(chosen) as (_, address):
            return int(address.rpartition(":")[2])

    async def taken(port: int) -> asyncio.Server:
        return await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)

    async def refused() -> None:
        server = await taken(0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConfigurationError) as error:
                async with running(replace(chosen, port=port)):
                    pass
        assert error.value.code is Code.CONFIGURATION_INVALID

    asyncio.run(refused())
    assert asyncio.run(beside()) > 0  # nothing was left locked
    monkeypatch.setenv("VERIFIER_HOST", "no such address")
    assert main(["serve"]) == 2
    assert "configuration_invalid" in capsys.readouterr().err


async def test_on_postgresql_the_schema_is_an_operators_to_change(
    chosen: Settings, postgresql: str, installation: Installation
) -> None:
    on_server = replace(chosen, database_url=postgresql)
    async with (
        running(on_server) as (_, address),
        aiohttp.ClientSession() as session,
        session.get(f"{address}/readyz") as response,
    ):
        assert response.status == 200
    world = await over(postgresql, installation)
    await world.sql("update alembic_version set version_num = 'older'")
    await world.store.database.close()
    with pytest.raises(ConfigurationError) as refused:
        async with running(on_server):
            pass
    assert "db upgrade" in refused.value.detail


# --- a part that stopped


async def test_a_stopped_issuer_shows_and_deliveries_are_still_taken(
    chosen: Settings, traffic: Traffic
) -> None:
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:

        async def ready() -> int:
            async with session.get(f"{address}/readyz") as response:
                assert b"issuer" not in await response.read()
                return response.status

        async def unready() -> bool:
            return await ready() == 503

        assert await ready() == 200
        other = await service.store.issuing(lambda tx: tx.take_over(), write=True)
        await eventually(unready, "the service says that it is not ready")
        assert service.crew.failed() == ["issuer: ledger_head_moved"]
        sent = traffic.new()
        assert (await post(session, address, sent))[0] == 200
        async with session.get(f"{address}/healthz") as response:
            assert response.status == 200
    assert rows(chosen, "select epoch, size from ledger_head") == [(other.epoch, other.size)]
    assert rows(chosen, "select delivery_id from deliveries") == [(sent.delivery_id,)]


async def test_a_large_batch_is_verified_beside_the_loop_and_taken_like_any_other(
    chosen: Settings, traffic: Traffic
) -> None:
    courses = [replace(traffic.course(0), number=f"N-{serial}") for serial in range(60)]
    items = [traffic.xzy.completed(course, course.number) for course in courses]
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:
        delivery = traffic.xzy.delivery(items, "large", service.services.clock())
        assert len(delivery.body) > 16_384
        status, body = await post(session, address, Sent("large", delivery))
        assert status == 200
        assert {item["state"] for item in json.loads(body)["data"]["items"]} == {"accepted"}


async def test_it_may_be_stopped_at_any_moment_after_its_start(
    tmp_path: Path, installation: Installation
) -> None:
    for moment in range(12):
        chosen = settings(tmp_path / str(moment), installation)
        chosen.data_dir.mkdir()
        async with asyncio.timeout(20), running(chosen):
            await asyncio.sleep(moment * 0.003)
        # A log that is left over is a connection that was.
        assert not (chosen.data_dir / "verifier.db-wal").exists(), moment


# --- workers and loops


async def test_a_worker_tries_again_after_an_outage_and_stops_for_good_at_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "BACKOFF_SECONDS", 0.01)
    outcomes: list[int | Exception] = [1, 1, Unavailable(Code.STORE_UNAVAILABLE), 0, LedgerRefused()]

    async def step() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    crew = Crew()
    crew.add("worker", step)
    crew.wake()  # before the start: nobody is there to be woken
    crew.start()

    async def stopped() -> bool:
        crew.wake()
        return bool(crew.failed())

    await eventually(stopped, "the worker stops")
    assert (crew.failed(), outcomes) == (["worker: ledger_fork_refused"], [])
    await crew.stop()


async def test_a_step_that_runs_is_finished_and_no_other_begun_when_a_worker_stops() -> None:
    begun, ended, go_on = asyncio.Event(), 0, asyncio.Event()

    async def step() -> int:
        nonlocal ended
        begun.set()
        await go_on.wait()
        ended += 1
        return 1

    worker = Worker("worker", step)
    worker.start()
    await begun.wait()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    go_on.set()
    await stopping
    assert (ended, worker.failed) == (1, "")


async def test_a_worker_that_waits_for_the_database_to_come_back_stops_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "BACKOFF_SECONDS", 3600.0)
    asked = asyncio.Event()

    async def step() -> int:
        asked.set()
        raise Unavailable(Code.STORE_UNAVAILABLE)

    worker = Worker("worker", step)
    worker.start()
    await asked.wait()
    await asyncio.wait_for(worker.stop(), 5)


async def test_of_an_unforeseen_failure_only_its_type_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def step() -> int:
        raise ValueError("999901199003070017")

    worker = Worker("worker", step)
    worker.start()

    async def stopped() -> bool:
        return bool(worker.failed)

    await eventually(stopped, "the worker stops")
    assert worker.failed == "ValueError"
    assert "worker stopped: ValueError" in caplog.text
    assert "999901" not in caplog.text
    await worker.stop()


async def test_a_worker_looks_unasked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.01)
    steps = 0

    async def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    async def thrice() -> bool:
        return steps >= 3

    await Worker("worker", step).stop()  # before its start: nothing to stop
    worker = Worker("worker", step)
    worker.start()
    await eventually(thrice, "three steps that nobody asked for")
    await worker.stop()
    assert worker.failed == ""


async def test_a_stopping_loop_lets_what_runs_there_come_to_its_end() -> None:
    ended, begun = asyncio.Event(), list[asyncio.Task[None]]()
    thread = LoopThread("test")
    await thread.stop()  # before its first use: nothing to stop

    async def slow() -> None:
        await asyncio.sleep(0.05)
        ended.set()

    async def begin() -> None:
        begun.append(asyncio.create_task(slow()))

    await thread.run(begin())
    await thread.stop()
    assert ended.is_set()


def test_a_kept_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    kept = CheckpointFile(tmp_path / "checkpoint.txt")
    assert kept.read() == b""
    kept.write(b"first")
    kept.write(b"second")
    assert kept.read() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.txt"]
