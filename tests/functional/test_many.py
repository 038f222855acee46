"""One service in several processes: they share a port and a database, and any of them may die."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.conftest import PostgreSQL
from tests.functional.process import (
    CLIENT_JWK,
    PATIENCE_SECONDS,
    SERVE,
    Caller,
    Process,
    Sent,
    Traffic,
    environment,
    eventually,
    post,
    process,
)
from tests.functional.test_adoption import compromise
from tests.functional.world import Installation, install
from verifier.cli import checking
from verifier.cli.operating import ask_service
from verifier.cli.simulator import ChinaVocationalTraining, NewOccupation, person
from verifier.keyring.editing import Source
from verifier.settings import Settings, from_environment
from verifier.sources import read_register

pytestmark = pytest.mark.untraced

PEOPLE = [person(serial, "阿依古丽") for serial in range(10)]

NEVER_LOOKS_UNASKED = """
import sys
from verifier import workers
from verifier.cli import main
from verifier.web import waiting

workers.IDLE_SECONDS = waiting.LOOK_SECONDS = 3600.0
sys.exit(main(["serve", "--workers", "2"]))
"""
"""Whatever happens here soon, happens because one process told another."""


def children(pid: int) -> dict[int, str]:
    """A process's children, and what lists of processes call them."""
    found = {}
    for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        try:
            found[int(one)] = Path(f"/proc/{one}/comm").read_text(encoding="ascii").strip()
        except OSError:
            continue
    return found


def gone(pids: Sequence[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def holder(port: int, pids: Sequence[int]) -> int:
    """Which process has the other end of a connection from a port of ours."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        remote, inode = line.split()[2], line.split()[9]
        if int(remote.rpartition(":")[2], 16) != port:
            continue
        for pid in pids:
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                if fd.is_symlink() and str(fd.readlink()) == f"socket:[{inode}]":
                    return pid
    return 0


@dataclass
class Many:
    """A service of several processes."""

    started: Process
    directory: Path
    installation: Installation
    variables: Mapping[str, str]
    address: str

    @property
    def webs(self) -> list[int]:
        return [pid for pid, name in children(self.started.pid).items() if name.startswith("verifier web")]

    @property
    def background(self) -> int:
        [found] = [
            pid for pid, name in children(self.started.pid).items() if name.startswith("verifier backgr")
        ]
        return found

    @property
    def settings(self) -> Settings:
        return from_environment(self.variables)

    async def operate(self, name: str, **parameters: str) -> dict[str, Any]:
        status, answer = await ask_service(self.settings, name, parameters)
        assert status == 0, answer
        return answer

    @asynccontextmanager
    async def each(self) -> AsyncIterator[dict[int, aiohttp.ClientSession]]:
        """A session with one connection for each web."""
        found: dict[int, aiohttp.ClientSession] = {}
        every: list[aiohttp.ClientSession] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while len(found) < 2:
                assert time.monotonic() < deadline, "one of the webs takes no connection"
                connector = aiohttp.TCPConnector(limit=1)
                session = aiohttp.ClientSession(connector=connector)
                every.append(session)
                try:
                    async with session.get(f"{self.address}/healthz") as answer:
                        assert answer.status == 200
                    [[(kept, _)]] = connector._conns.values()
                    assert kept.transport is not None
                    port = kept.transport.get_extra_info("sockname")[1]
                    found.setdefault(holder(port, self.webs), session)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)  # one was killed a moment ago
                found.pop(0, None)
            yield found
        finally:
            for session in every:
                await session.close()

    async def settled(self) -> None:
        """Wait until everything is in the ledger, and see that it is as it was signed."""

        async def issued() -> bool:
            async with aiohttp.ClientSession() as session:
                entries = await Caller(session, self.address, "auditor").feed()
            assert [one["index"] for one in entries] == list(range(len(entries)))
            return not await checking.findings_of(self.settings)

        await eventually(issued, "everything is in the ledger")

    async def ready(self) -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"{self.address}/readyz") as answer:
            return answer.status == 200

    async def whole(self) -> bool:
        """Whether every process is there and works."""
        try:
            return len(self.webs) == 2 and await self.ready()
        except aiohttp.ClientError:
            return False


def traffic(many: Many, seed: int) -> Traffic:
    sandbox = many.installation.sandbox
    chance = random.Random(seed)  # noqa: S311 - not for secrecy
    made = Traffic(ChinaVocationalTraining(sandbox), NewOccupation(sandbox), PEOPLE, chance)
    made.serial = seed * 10_000
    return made


def chosen(directory: Path, installation: Installation, url: str) -> dict[str, str]:
    return {**environment(directory, installation), "VERIFIER_DATABASE_URL": url}


@pytest.fixture(scope="module")
def many(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    """Two webs and a background that hear of each other by being told, or not at all."""
    directory, database = tmp_path_factory.mktemp("many"), postgresql_server.lend()
    installation = install(tmp_path_factory.mktemp("own"))
    variables = chosen(directory, installation, postgresql_server.url(database))
    with process(directory, variables, ("-c", NEVER_LOOKS_UNASKED)) as started:
        made = Many(started, directory, installation, variables, started.address())
        asyncio.run(made.operate("clients add", client="auditor", role="auditor", jwk=CLIENT_JWK))
        pids = [started.pid, *children(started.pid)]
        yield made
        assert started.terminate() == 0, started.said
        assert "Traceback" not in started.said
        assert gone(pids)
    postgresql_server.give_back(database)


async def test_a_doubled_delivery_that_reaches_both_at_once_has_one_effect(many: Many) -> None:
    made = traffic(many, 1)
    async with many.each() as sessions:
        first, second = sessions.values()
        for _ in range(5):
            sent = made.new()
            answers = await asyncio.gather(*(post(one, many.address, sent) for one in (first, second)))
            assert answers[0] == answers[1]
            assert answers[0][0] == 200
            made.note(sent, answers[0][1])
        async with first.get(f"{many.address}/metrics") as response:
            text = await response.text()
        async with second.get(f"{many.address}/metrics") as response:
            assert set(re.findall(r"deliveries_total\{.*", await response.text())) == set(
                re.findall(r"deliveries_total\{.*", text)
            )
    counted = re.findall(r'deliveries_total\{.*result="replayed"\} ([0-9.]+)', text)
    assert sum(float(times) for times in counted) >= 5


async def test_a_token_and_an_assertion_of_one_are_known_to_the_other(many: Many) -> None:
    async with many.each() as sessions:
        first, second = sessions.values()
        one, other = (Caller(session, many.address, "auditor") for session in (first, second))
        token = await one.token()
        headers = {"Authorization": f"Bearer {token}"}
        async with second.get(f"{many.address}/v1/feed", headers=headers) as response:
            assert response.status == 200
        keys = []
        for session in (first, second):
            async with session.get(f"{many.address}/.well-known/jwks.json") as response:
                keys.append(await response.json())
        assert keys[0] == keys[1]
        assert len(keys[0]["keys"]) == 3  # of records, of status lists, of status answers
        assertion = one.assertion("once")
        statuses = []
        for caller in (one, other):
            async with caller.exchange(assertion) as response:
                statuses.append(response.status)
        assert statuses == [200, 401]


async def test_who_waits_for_an_entry_hears_of_what_came_through_any_web(many: Many) -> None:
    made = traffic(many, 2)
    async with many.each() as sessions:
        for session in sessions.values():
            caller = Caller(session, many.address, "auditor")
            after = (await caller.get("/v1/feed?after=-1&limit=1"))["size"] - 1
            async with aiohttp.ClientSession() as another:
                waiting = asyncio.create_task(caller.get(f"/v1/feed?after={after}&limit=1000&wait=20"))
                await asyncio.sleep(0.1)
                began = time.monotonic()
                status, _ = await post(another, many.address, made.new())
                assert status == 200
                found = await waiting
            assert found["entries"]
            assert (
                time.monotonic() - began < 15
            )  # seconds on a busy machine; unasked, nobody looks for an hour


async def adopted(many: Many) -> str:
    """Adopt the register as its file stands."""
    register = (await asyncio.to_thread(read_register, many.settings))[0]
    answer = await many.operate("register adopt", digest=register.digest)
    assert answer["adopted"] is True
    return register.digest


async def test_what_is_adopted_counts_in_every_web_at_once(many: Many) -> None:
    made, path = traffic(many, 3), many.installation.sandbox.register
    before = path.read_bytes()
    source = Source(before)
    compromise(source)

    async def refused(session: aiohttp.ClientSession) -> bool:
        sent = made.new()
        while sent.revokes or sent.delivery.platform != made.cvt.slug:
            sent = made.new()
        status, body = await post(session, many.address, sent)
        assert status in {200, 422}, body
        return b"key_compromised" in body

    async with many.each() as sessions:
        assert [await refused(one) for one in sessions.values()] == [False, False]
        path.write_bytes(source.written())
        try:
            await adopted(many)
            found = [await refused(one) for one in sessions.values()]
        finally:
            path.write_bytes(before)
            await adopted(many)
        assert found == [True, True]
        assert [await refused(one) for one in sessions.values()] == [False, False]


async def sent_until_answered(session: aiohttp.ClientSession, many: Many, sent: Sent) -> bytes:
    """As platforms do: a delivery that was not answered is sent again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            status, body = await post(session, many.address, sent)
        except aiohttp.ClientError:
            status, body = 0, b""
        if status == 200:
            return body
        assert time.monotonic() < deadline, body
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("whom", ["web", "background"])
async def test_a_process_that_is_killed_in_the_midst_comes_again_and_nothing_is_lost(
    many: Many, whom: str
) -> None:
    await eventually(many.whole, "every process works")
    made, before = traffic(many, 4 if whom == "web" else 5), many.webs
    killed = before[0] if whom == "web" else many.background
    secrets = many.installation.secrets_dir
    hidden = sorted(secrets.glob("*.pem"))
    if whom == "web":  # law 8: a web needs no key of the issuer, also where it starts
        for path in hidden:
            path.rename(path.with_suffix(".away"))
    try:
        async with aiohttp.ClientSession() as session:
            every = [made.new() for _ in range(40)]
            sending = [asyncio.create_task(sent_until_answered(session, many, one)) for one in every]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            os.kill(killed, signal.SIGKILL)
            answers = await asyncio.gather(*sending)

            async def there_again() -> bool:
                return gone([killed]) and await many.whole()

            await eventually(there_again, "another one in its place")
            again = [await sent_until_answered(session, many, one) for one in every]
    finally:
        for path in hidden:
            if whom == "web":
                path.with_suffix(".away").rename(path)
    assert again == answers
    assert (many.webs != before) is (whom == "web")
    await many.settled()


async def test_it_says_that_the_background_is_down_and_takes_deliveries_all_the_same(many: Many) -> None:
    await eventually(many.whole, "every process works")
    made, stopped = traffic(many, 6), many.background
    async with aiohttp.ClientSession() as session:
        os.kill(stopped, signal.SIGKILL)
        said = b""
        while not said:  # until another one works, which takes longer than these requests
            async with session.get(f"{many.address}/readyz") as answer:
                if answer.status == 503:
                    said = await answer.read()
        assert b"background" in said
        assert await sent_until_answered(session, many, made.new())
    await eventually(many.whole, "another one in its place")


# --- services of their own


@pytest.fixture
def variables(postgresql: str, tmp_path: Path, installation: Installation) -> dict[str, str]:
    return chosen(tmp_path, installation, postgresql)


TWO = (*SERVE, "--workers", "2")


def test_all_of_them_end_with_their_parent_however_that_ends(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    with process(tmp_path, variables, TWO) as started:
        started.address()
        pids = list(children(started.pid))
        assert len(pids) == 3
        started.kill()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not gone(pids):
            assert time.monotonic() < deadline, "somebody stayed behind"
            time.sleep(0.02)
        assert "Traceback" not in started.said


async def test_told_to_end_in_the_midst_of_traffic_they_answer_what_they_have_begun(
    tmp_path: Path, variables: dict[str, str], installation: Installation
) -> None:
    with process(tmp_path, variables, TWO) as started:
        made = Many(started, tmp_path, installation, variables, await asyncio.to_thread(started.address))
        sending, pids = traffic(made, 9), list(children(started.pid))
        await sending.until(lambda: started.told(signal.SIGTERM), made.address)
        assert (started.wait(), gone(pids), "Traceback" in started.said) == (0, True, False)
        async with checking.stored(made.settings) as store:
            kept = {
                one.delivery_id
                for slug in (sending.cvt.slug, sending.xzy.slug)
                for one in await store.deliveries(slug, attention=False, limit=10_000)
            }
    assert set(sending.acknowledged) <= kept <= set(sending.acknowledged) | set(sending.unanswered)
    assert await checking.findings_of(made.settings) == []
