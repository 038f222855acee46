"""The life of each process of a service of several, here as tasks of one: what one does, the others see."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.process import SERVE, environment, eventually, process, settings
from tests.functional.test_adoption import compromise
from tests.functional.world import Installation as Keys
from tests.functional.world import install
from verifier import key_rotation, many, workers
from verifier.cli import main
from verifier.cli.operating import ask_service
from verifier.errors import Code, ConfigurationError, Unavailable, VerifierError
from verifier.ground import ground, read_files
from verifier.keyring.editing import Source
from verifier.many import Installation
from verifier.parts import now, web_keys
from verifier.published import Purpose
from verifier.settings import Settings
from verifier.sources import read_register
from verifier.supervising import LATER, WANTING
from verifier.wires import State, Wires, listen


@dataclass
class Running:
    """Both sides of one service."""

    chosen: Settings
    wires: Wires
    address: str
    session: aiohttp.ClientSession

    async def operate(self, name: str, **parameters: str) -> dict[str, Any]:
        status, answer = await ask_service(self.chosen, name, parameters)
        assert status == 0, answer
        return answer

    async def got(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.address + path) as response:
            return response.status, await response.json()

    async def kids(self) -> set[str]:
        status, found = await self.got("/.well-known/jwks.json")
        assert status == 200
        return {key["kid"] for key in found["keys"]}


@asynccontextmanager
async def both(chosen: Settings) -> AsyncIterator[Running]:
    wires, places = Wires(1), many.reserve(chosen.host, 0)
    made = Installation(chosen, read_files(chosen), web_keys(), wires, places)
    ready: asyncio.Queue[int] = asyncio.Queue()

    def begun(slots: bytes) -> None:
        for slot in slots:
            ready.put_nowait(slot)

    listen(wires.told, begun)
    lives: list[asyncio.Task[None]] = []
    try:
        for life in (made.background, partial(made.web, 1)):
            lives.append(asyncio.create_task(life()))
            starting = asyncio.create_task(ready.get())
            await asyncio.wait([lives[-1], starting], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                await lives[-1]
        address = f"http://{chosen.host}:{places[0].getsockname()[1]}"
        async with aiohttp.ClientSession() as session:
            yield Running(chosen, wires, address, session)
    finally:
        asyncio.get_running_loop().remove_reader(wires.told.reading)
        for one in lives:  # on one loop only one of them can hear that the parent is gone
            one.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for place in places:
            place.close()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return install(tmp_path / "own")


@pytest.fixture
def chosen(postgresql: str, tmp_path: Path, keys: Keys) -> Settings:
    made = replace(settings(tmp_path, keys), database_url=postgresql, workers=1)
    made.counters.mkdir()
    return made


async def test_what_an_operator_changes_in_the_background_the_web_takes_up(
    chosen: Settings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 3600.0)  # so that it is told, or nothing happens
    async with both(chosen) as running:
        assert (await running.got("/readyz"))[0] == 200
        before = await running.kids()
        key_rotation.prepare(chosen.secrets_dir, Purpose.RECORD, datetime.now(UTC))
        await running.operate("secrets take-up")

        async def published() -> bool:
            return len(await running.kids()) == len(before) + 1

        await eventually(published, "the web gives out the key that is to come")
        source = Source(keys.sandbox.register.read_bytes())
        compromise(source)
        keys.sandbox.register.write_bytes(source.written())
        register, _ = read_register(chosen)
        assert (await running.operate("register adopt", digest=register.digest))["adopted"]

        async def heard() -> bool:
            return running.wires.news[0].received() is None

        await eventually(heard, "the web hears of it")
    assert not any(b"PRIVATE" in path.read_bytes() for path in [chosen.given_out])


async def test_a_background_that_stopped_shows_at_the_web(chosen: Settings) -> None:
    async with both(chosen) as running:
        other = ground(chosen, read_files(chosen))
        await other.store.issuing(lambda tx: tx.take_over(), write=True)
        await other.store.operating(lambda tx: tx.announce("adoption", "x", {}, now()))
        await other.stack.aclose()

        async def stopped() -> bool:
            return running.wires.background is State.STOPPED

        await eventually(stopped, "the issuer sees that another one issues")
        status, said = await running.got("/readyz")
        assert (status, "background" in said["reason"]) == (503, True)


async def test_a_web_reads_what_is_adopted_anew_once_the_database_answers_again() -> None:
    seen = []

    class Step:
        uptake: Any
        store = None

        async def step(self, _: object, *, anew: bool) -> int:
            seen.append(anew)
            if len(seen) == 1:
                raise Unavailable(Code.STORE_UNAVAILABLE)
            return 0

    class File:
        def read(self) -> bytes:
            return b""

    base: Any = Step()
    base.uptake = base
    news = many.News(base, File(), None, anew=True)  # type: ignore[arg-type] # only what a step looks at
    with pytest.raises(Unavailable):
        await news.step()
    await news.step()
    await news.step()
    assert seen == [True, True, False]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ConfigurationError(Code.CONFIGURATION_INVALID, "mend it"), WANTING),
        (Unavailable(Code.STORE_UNAVAILABLE), LATER),
        (None, 0),
    ],
)
def test_a_child_says_whether_it_may_be_tried_again(failure: VerifierError | None, status: int) -> None:
    said: list[VerifierError] = []

    async def life(_: int) -> None:
        if failure is not None:
            raise failure

    assert many.run(life, 1, complain=said.append) == status
    assert said == ([failure] if failure else [])


async def test_an_admin_socket_that_cannot_be_is_an_operators_to_mend(chosen: Settings) -> None:
    deep = replace(chosen, data_dir=chosen.data_dir / ("d" * 100))
    deep.counters.mkdir(parents=True)
    with pytest.raises(ConfigurationError) as refused:
        async with both(deep):
            pass
    assert "admin socket" in refused.value.detail


def told(chosen: Settings, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for name in ("data_dir", "secrets_dir", "register", "database_url"):
        monkeypatch.setenv(f"VERIFIER_{name.upper()}", str(getattr(chosen, name)))
    monkeypatch.setenv("VERIFIER_WORKERS", str(count))


def test_the_doctor_counts_the_connections_of_all_processes(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for count in (0, 2, 256):
        told(chosen, monkeypatch, count)
        main(["doctor", "--json"])
        said[count] = json.loads(capsys.readouterr().out)
    assert "embedded" in said[0]["mode"]
    assert "at most 12 of" in said[0]["connections"]
    assert "2 web processes" in said[2]["mode"]
    assert "at most 36 of" in said[2]["connections"]
    assert "too few" in said[256]["connections"]


@pytest.mark.untraced
def test_the_doctor_says_that_sqlite_has_one_process(
    sqlite: str, chosen: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(replace(chosen, database_url=sqlite), monkeypatch, 2)
    assert main(["doctor", "--json"]) == 1
    assert "SQLite has one process" in json.loads(capsys.readouterr().out)["connections"]


# --- what cannot start


@pytest.mark.untraced
def test_what_an_operator_has_to_mend_ends_all_with_its_message(
    tmp_path: Path, postgresql: str, keys: Keys
) -> None:
    secrets = tmp_path / "secrets"
    shutil.copytree(keys.secrets_dir, secrets)
    (secrets / "record.pem").unlink()
    with process(
        tmp_path,
        {
            **environment(tmp_path, keys),
            "VERIFIER_DATABASE_URL": postgresql,
            "VERIFIER_SECRETS_DIR": str(secrets),
        },
        (*SERVE, "--workers", "2"),
    ) as started:
        assert started.wait() == 2
        assert "key_refused [record.pem]" in started.said
        assert "listening" not in started.said
        assert "Traceback" not in started.said


def test_a_port_that_another_service_shares_is_refused(
    tmp_path: Path, installation: Keys, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "postgresql+asyncpg://postgres@/nowhere"  # the port comes first
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        for name, value in {
            **environment(tmp_path, installation),
            "VERIFIER_DATABASE_URL": nowhere,
            "VERIFIER_PORT": str(other.getsockname()[1]),
        }.items():
            monkeypatch.setenv(name, value)
        assert main(["serve", "--workers", "2"]) == 2
    assert "host and port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("workers", "url", "said"),
    [("2", "", "SQLite"), ("-1", "", "from 0 on"), ("1", "no address", "not a database address")],
)
def test_what_cannot_be_many_is_refused(
    tmp_path: Path,
    installation: Keys,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
    url: str,
    said: str,
) -> None:
    for name, value in {**environment(tmp_path, installation), "VERIFIER_DATABASE_URL": url}.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", "--workers", workers]) == 2
    assert said in capsys.readouterr().err
