"""What an enterprise and a subsidy system ask of the running service, and how long it takes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from sqlalchemy import Connection, text

from benchmarks.founding import OFFICE
from benchmarks.load import PATIENCE_SECONDS, Outcome
from benchmarks.places import Place
from benchmarks.sending import somebody
from verifier.cli.operating import ask_service
from verifier.settings import Settings
from verifier.signatures import jws, keys, strict_json
from verifier.store.engine import Database

ENTERPRISE, SUBSIDY, AUDITOR = "bench-factory", "bench-bureau", "bench-auditor"
NDJSON: Final = "application/x-ndjson"
_MOST_ENTRIES: Final = 100_000
_PIECE: Final = 1 << 20
_LAST_BYTES: Final = 64 * 1024
"""Of an answer in lines; its last line says where it ended, and is shorter than this."""
_PAUSE_SECONDS: Final = 0.05


async def register(settings: Settings, made: Place, enterprises: Sequence[str]) -> None:
    """Let the three clients in."""
    jwk = json.dumps(dict(keys.public_jwk(made.client.verification_key)))
    for client, scope in (
        (ENTERPRISE, {"role": "enterprise", "enterprises": ",".join(enterprises)}),
        (SUBSIDY, {"role": "subsidy", "offices": OFFICE}),
        (AUDITOR, {"role": "auditor"}),
    ):
        said = {"operator": "bench", "client": client, "jwk": jwk, **scope}
        status, answer = await ask_service(settings, "clients add", said)
        if status != 0:
            raise RuntimeError(f"clients add: {answer}")


@dataclass(slots=True)
class Caller:
    """One client with an access token (RFC 7523)."""

    session: aiohttp.ClientSession
    made: Place
    base_url: str
    client: str
    _token: str = ""
    _until: float = 0.0

    async def headers(self) -> dict[str, str]:
        """Whom the service is told that we are."""
        if time.monotonic() > self._until:
            self._token, self._until = await self._fresh(), time.monotonic() + 60
        return {"Authorization": f"Bearer {self._token}"}

    async def _fresh(self) -> str:
        now = int(time.time())
        claims: dict[str, strict_json.JsonValue] = {
            "iss": self.client,
            "sub": self.client,
            "aud": self.base_url,
            "iat": now,
            "exp": now + 60,
            "jti": os.urandom(16).hex(),
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jws.sign_compact(strict_json.canonical(claims), self.made.client, typ="JWT"),
        }
        async with self.session.post(f"{self.base_url}/oauth/token", data=form) as response:
            response.raise_for_status()
            return str((await response.json())["access_token"])

    async def status(self, uscc: str, serials: Sequence[int]) -> tuple[float, dict[str, int]]:
        """Ask about people of an enterprise: seconds to the last byte of the answer, and the states in it."""
        people = [
            {"id_number": who.id_number, "name": who.name} for who in (somebody(serial) for serial in serials)
        ]
        body = json.dumps({"people": people}).encode()
        headers = {**await self.headers(), "Content-Type": "application/json"}
        path = f"{self.base_url}/v1/enterprises/{uscc}/status"
        begun = time.perf_counter()
        async with self.session.post(path, data=body, headers=headers) as response:
            answer = await response.read()
            seconds = time.perf_counter() - begun
            if not response.ok:
                raise RuntimeError(f"status: {response.status} {answer[:300]!r}")
        states: dict[str, int] = {}
        for person in json.loads(answer)["people"]:
            states[person["state"]] = states.get(person["state"], 0) + 1
        return seconds, states

    async def page(self, after: int, limit: int = 1) -> dict[str, Any]:
        """One short answer of the feed."""
        path = f"{self.base_url}/v1/feed?after={after}&limit={limit}"
        async with self.session.get(path, headers=await self.headers()) as response:
            response.raise_for_status()
            found: dict[str, Any] = await response.json()
            return found

    async def pull(self, after: int) -> tuple[float, int, int]:
        """Pull everything behind a cursor as NDJSON, and keep nothing.

        Returns:
            Seconds, entries, and how many of them came with a record.
        """
        begun, entries, records = time.perf_counter(), 0, 0
        while True:
            path = f"{self.base_url}/v1/feed?after={after}&limit={_MOST_ENTRIES}"
            headers = {**await self.headers(), "Accept": NDJSON}
            async with self.session.get(path, headers=headers) as response:
                response.raise_for_status()
                lines, last, with_record = 0, b"", 0
                async for piece in response.content.iter_chunked(_PIECE):
                    lines += piece.count(b"\n")
                    # Cut between two pieces, a word is counted with the second.
                    with_record += (last[-len(_RECORD) + 1 :] + piece).count(_RECORD)
                    last = (last + piece)[-_LAST_BYTES:]
            end = json.loads(last.rstrip(b"\n").rpartition(b"\n")[2])
            entries, records = entries + lines - 1, records + with_record
            if end["next"] >= end["size"] - 1 or end["next"] == after:
                return time.perf_counter() - begun, entries, records
            after = end["next"]


_RECORD: Final = b'"sd_jwt":'


async def head(caller: Caller) -> int:
    """Entries of the ledger."""
    return int((await caller.page(-1))["size"])


def outcome_of(seconds: Sequence[float]) -> Outcome:
    """Calls one after another, as a run."""
    return Outcome(sum(seconds), list(seconds))


async def drained(url: str) -> tuple[int, float]:
    """Wait until nobody is to be judged again and nothing waits for the issuer: how much did, and seconds.

    Raises:
        TimeoutError: it does not come to an end.
    """
    database = Database(url, read_only=True)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            begun = time.perf_counter()
            waiting, due = await database.read(_waiting)
            left = waiting + due
            while left:
                await asyncio.sleep(_PAUSE_SECONDS)
                left = sum(await database.read(_waiting))
        return waiting, time.perf_counter() - begun
    finally:
        await database.close()


def _waiting(connection: Connection) -> tuple[int, int]:
    """What waits for the issuer, and who is to be judged now."""
    waiting = connection.execute(text("select count(*) from outbox")).scalar_one()
    due = connection.execute(text("select count(*) from due where not_before is null")).scalar_one()
    sweeping = connection.execute(text("select count(*) from sweeps")).scalar_one()
    return int(waiting), int(due) + int(sweeping)
