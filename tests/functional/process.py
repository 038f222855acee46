"""The service as a process of its own, to be killed; and callers that come over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.client import _RequestContextManager
from cryptography.hazmat.primitives.asymmetric import ec

from tests.functional.world import BASE_URL, ORIGIN, Installation
from verifier.app import Service, compose
from verifier.cli.simulator import ChinaVocationalTraining, Course, Delivery, NewOccupation, Person
from verifier.settings import PREFIX, Settings, from_environment
from verifier.signatures import jws, keys, strict_json
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.signatures.strict_json import JsonValue

ROOT: Final = Path(__file__).parents[2]
SERVE: Final = ("-m", "verifier", "serve")
READY: Final = "listening on "
SENDERS: Final = 8
COMPLETED: Final = datetime(2021, 3, 5, 2, tzinfo=UTC)
PATIENCE_SECONDS: Final = 30.0
"""Far longer than anything here takes, also where two test processes share one core."""

CLIENT_KEY: Final = SigningKey("client-key", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
"""Whatever client a test registers holds this key."""
CLIENT_JWK: Final = json.dumps(dict(keys.public_jwk(CLIENT_KEY.verification_key)))


def environment(directory: Path, installation: Installation) -> dict[str, str]:
    """Settings of a service in a directory, with the keys and the register of a sandbox."""
    chosen = {
        "DATA_DIR": directory,
        "SECRETS_DIR": installation.secrets_dir,
        "REGISTER": installation.sandbox.register,
        "PORT": 0,
        "BASE_URL": BASE_URL,
        "ORIGIN": ORIGIN,
    }
    return {PREFIX + name: str(value) for name, value in chosen.items()}


def settings(directory: Path, installation: Installation) -> Settings:
    """The same for a service in this process."""
    return from_environment(environment(directory, installation))


@asynccontextmanager
async def running(chosen: Settings) -> AsyncIterator[tuple[Service, str]]:
    """The real service in this process, and its address."""
    service = compose(chosen)
    try:
        yield service, await service.start()
    finally:
        await service.close()


class Process:
    """``python -m verifier`` with one command; killed when the ``with`` block ends, however it ends."""

    def __init__(
        self, directory: Path, variables: Mapping[str, str], arguments: Sequence[str] = SERVE
    ) -> None:
        self.log = directory / f"process-{time.monotonic_ns()}.log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=directory,
                env={**inherited, "PYTHONPATH": str(ROOT), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def said(self) -> str:
        """Everything it printed so far."""
        return self.log.read_text(encoding="utf-8")

    def address(self) -> str:
        """Wait until it listens, and say where."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for line in self.said.splitlines(keepends=True):
                if line.startswith(READY) and line.endswith("\n"):
                    return line.removeprefix(READY).strip()
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"it does not listen; it said:\n{self.said}")

    def kill(self) -> None:
        """``kill -9``: nothing of the program runs any more; again, it does nothing."""
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def terminate(self) -> int:
        """What a service manager does; returns the exit status."""
        return self.told(signal.SIGTERM)

    def told(self, number: signal.Signals) -> int:
        """Its exit status after a signal."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(PATIENCE_SECONDS)


@contextmanager
def process(
    directory: Path, variables: Mapping[str, str], arguments: Sequence[str] = SERVE
) -> Iterator[Process]:
    """Start a process, and leave none behind."""
    started = Process(directory, variables, arguments)
    try:
        yield started
    finally:
        started.kill()


@dataclass
class Caller:
    """A registered system that calls over HTTP."""

    session: aiohttp.ClientSession
    address: str
    client_id: str
    serial: Iterator[int] = field(default_factory=itertools.count)

    def assertion(self, jti: str) -> str:
        """Who the client is, said once."""
        now = int(time.time())
        claims: dict[str, JsonValue] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": BASE_URL,
            "iat": now,
            "exp": now + 60,
            "jti": jti,
        }
        return jws.sign_compact(strict_json.canonical(claims), CLIENT_KEY, typ="JWT")

    def exchange(self, assertion: str) -> _RequestContextManager:
        """The request for an access token."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return self.session.post(f"{self.address}/oauth/token", data=form)

    async def token(self) -> str:
        """A fresh access token for a fresh assertion."""
        async with self.exchange(self.assertion(f"{next(self.serial)}-{os.urandom(8).hex()}")) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["access_token"])

    async def get(self, path: str) -> Any:
        """One answer."""
        headers = {"Authorization": f"Bearer {await self.token()}"}
        async with self.session.get(self.address + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def feed(self) -> list[dict[str, Any]]:
        """Every entry of the feed."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["index"] if found else -1
            piece = await self.get(f"/v1/feed?after={after}&limit=1000")
            found += piece["entries"]
            if len(found) >= piece["size"] or not piece["entries"]:
                return found


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until an asynchronous condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Sent:
    """A signed request, and what comes of it."""

    delivery_id: str
    delivery: Delivery
    completes: Mapping[str, Person] = field(default_factory=dict)
    revokes: str = ""


@dataclass
class Traffic:
    """Both platforms at work, and their books: what was acknowledged is known outside the service."""

    cvt: ChinaVocationalTraining
    xzy: NewOccupation
    people: Sequence[Person]
    chance: random.Random
    acknowledged: dict[str, tuple[Sent, bytes]] = field(default_factory=dict)
    unanswered: dict[str, Sent] = field(default_factory=dict)
    revocable: list[str] = field(default_factory=list)
    serial: int = 0

    def new(self) -> Sent:
        self.serial += 1
        name, now, kind = f"d-{self.serial}", datetime.now(UTC), self.chance.random()
        if kind < 0.1 and self.revocable:
            number = self.revocable.pop(self.chance.randrange(len(self.revocable)))
            message = self.cvt.revoked(number, "误发", now)
            return Sent(name, self.cvt.delivery(message, name, now), revokes=number)
        courses = [self.course(place) for place in range(2 if kind < 0.3 else 1)]
        completes = {course.number: course.learner for course in courses}
        if len(courses) == 1:
            return Sent(name, self.cvt.delivery(self.cvt.completed(courses[0]), name, now), completes)
        items = [self.xzy.completed(course, str(place)) for place, course in enumerate(courses)]
        return Sent(name, self.xzy.delivery(items, name, now), completes)

    def course(self, place: int) -> Course:
        learner = self.chance.choice(self.people)
        return Course(f"N-{self.serial}-{place}", learner, COMPLETED, COMPLETED + timedelta(hours=1))

    def note(self, sent: Sent, body: bytes) -> None:
        self.acknowledged[sent.delivery_id] = sent, body
        self.unanswered.pop(sent.delivery_id, None)
        if sent.delivery.platform == self.cvt.slug:
            self.revocable += sent.completes

    async def send(self, session: aiohttp.ClientSession, address: str) -> None:
        """One connection: the next delivery as soon as the one before is answered, until nobody answers."""
        while True:
            sent = self.new()
            self.unanswered[sent.delivery_id] = sent
            try:
                status, body = await post(session, address, sent)
            except aiohttp.ClientError:
                return
            assert status == 200, body
            self.note(sent, body)

    async def until(self, end: Callable[[], object], address: str) -> None:
        """Many connections at once; at a random moment in the midst of it the service is made to end."""
        wanted = len(self.acknowledged) + self.chance.randint(20, 120)

        async def enough() -> bool:
            return len(self.acknowledged) >= wanted

        async with aiohttp.ClientSession() as session:
            senders = [asyncio.create_task(self.send(session, address)) for _ in range(SENDERS)]
            await eventually(enough, "enough acknowledgments")
            await asyncio.sleep(self.chance.uniform(0, 0.02))
            await asyncio.to_thread(end)
            await asyncio.gather(*senders)

    @property
    def sent(self) -> list[Sent]:
        return [sent for sent, _ in self.acknowledged.values()]


async def post(session: aiohttp.ClientSession, address: str, sent: Sent) -> tuple[int, bytes]:
    delivery = sent.delivery
    async with session.post(
        address + delivery.target, data=delivery.body, headers=delivery.headers
    ) as answer:
        return answer.status, await answer.read()
