"""Law 1 under ``kill -9``: whatever was acknowledged is there afterwards, once, and its effects once."""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.functional.process import (
    CLIENT_JWK,
    SERVE,
    Caller,
    Traffic,
    environment,
    eventually,
    post,
    process,
    settings,
)
from tests.functional.world import FACTORY, Installation, over
from verifier.cli import checking
from verifier.cli.simulator import person

pytestmark = pytest.mark.untraced

PEOPLE = [person(serial, "阿依古丽") for serial in range(30)]

ACKNOWLEDGES_EARLY = """
import asyncio, sys
from verifier.cli import main
from verifier.model.delivery import DeliveryOutcome, DeliveryState
from verifier.store.group import GroupCommit

submit, begun = GroupCommit.submit, set()

async def later(group, item):
    await asyncio.sleep(0.1)
    await submit(group, item)

async def early(group, item):
    begun.add(asyncio.ensure_future(later(group, item)))
    return DeliveryOutcome(item.claim.authenticated.delivery_id, DeliveryState.ACCEPTED)

GroupCommit.submit = early
sys.exit(main(["serve"]))
"""
"""A service that breaks law 1: it answers a tenth of a second before the commit."""


# --- the check, the same for a service that keeps the law and for one that breaks it


@dataclass
class Inspection:
    """Looks at a service that was started again after it had been killed."""

    directory: Path
    installation: Installation
    address: str
    traffic: Traffic

    def rows(self, statement: str) -> list[tuple[str | int, ...]]:
        with closing(sqlite3.connect(f"file:{self.directory / 'verifier.db'}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()

    async def findings(self) -> list[str]:
        """What is not as it should be; the order matters, since sending again heals."""
        lost = [f"lost: {name}" for name in self.traffic.acknowledged if name not in self.stored()]
        async with aiohttp.ClientSession() as session:
            found = lost + await self.sent_again(session)
            await eventually(self.settled, "everything is decided and in the ledger")
            auditor = Caller(session, self.address, "auditor")
            indices = [entry["index"] for entry in await auditor.feed()]
        if indices != list(range(len(indices))):
            found.append("the feed is not dense")
        found += self.effects()
        if await checking.fsck(settings(self.directory, self.installation), argparse.Namespace(json=True)):
            found.append("fsck")
        return found

    def stored(self) -> Counter[str]:
        return Counter(str(name) for (name,) in self.rows("select delivery_id from deliveries"))

    async def sent_again(self, session: aiohttp.ClientSession) -> list[str]:
        known = list(self.traffic.acknowledged.values())
        answers = await asyncio.gather(*(post(session, self.address, sent) for sent, _ in known))
        found = [
            f"answered otherwise than before: {sent.delivery_id}"
            for (sent, before), answer in zip(known, answers, strict=True)
            if answer != (200, before)
        ]
        async with session.get(self.address + "/metrics") as response:
            text = await response.text()
        counted = re.findall(r'deliveries_total\{.*result="(\w+)"\} ([0-9.]+)', text)
        if {result for result, _ in counted} - {"replayed"}:
            found.append("had an effect again")
        if sum(float(times) for _, times in counted) != len(self.traffic.acknowledged):
            found.append("was not counted")
        for name, sent in list(self.traffic.unanswered.items()):
            status, body = await post(session, self.address, sent)
            if status != 200:
                found.append(f"cannot be sent again: {name}")
            self.traffic.note(sent, body)
        return found

    async def settled(self) -> bool:
        waiting = (
            "select (select count(*) from due) + (select count(*) from outbox)"
            " + (select count(*) from evidence where position is null)"
        )
        return self.rows(waiting) == [(0,)]

    def effects(self) -> Iterator[str]:
        """Every delivery, completion and revocation once; a live grant for everyone who is owed one."""
        sent = self.traffic.sent
        if self.stored() != Counter(one.delivery_id for one in sent):
            yield "deliveries are not there exactly once"
        numbers = {number: learner for one in sent for number, learner in one.completes.items()}
        revoked = {one.revokes for one in sent if one.revokes}
        if Counter(number for (number,) in self.rows("select number from completions")) != Counter(
            list(numbers)
        ):
            yield "completions are not there exactly once"
        kinds = Counter(kind for (kind,) in self.rows("select kind from facts"))
        if (kinds["completion"], kinds["revocation"]) != (len(numbers), len(revoked)):
            yield "facts are not there exactly once"
        live = self.rows(
            "select learner_id, count(*) from records where kind = 'granted' and record_id not in"
            " (select supersedes from records where supersedes is not null) group by learner_id"
        )
        owed = {learner.id_number for number, learner in numbers.items() if number not in revoked}
        if [count for _, count in live] != [1] * len(owed):
            yield "somebody's live grants are not one"


@dataclass
class Place:
    """An installed directory, with everybody on a roster and an auditor who may read the feed."""

    directory: Path
    installation: Installation
    traffic: Traffic

    async def kill_and_look(self, arguments: Sequence[str]) -> list[str]:
        """Kill a service in the midst of traffic; start the real one; say what is amiss."""
        variables = environment(self.directory, self.installation)
        with process(self.directory, variables, arguments) as service:
            await self.traffic.until(service.kill, service.address())
        assert self.traffic.unanswered, "it was killed when nobody was sending"
        with process(self.directory, variables) as service:
            inspection = Inspection(self.directory, self.installation, service.address(), self.traffic)
            return await inspection.findings()


@pytest.fixture
def seed() -> int:
    return secrets.randbelow(1 << 32)


@pytest.fixture
async def place(sqlite: str, tmp_path: Path, installation: Installation, seed: int) -> Place:
    world = await over(sqlite, installation)
    await world.employ(FACTORY, *PEOPLE)
    await world.operations.add_client({"client": "auditor", "role": "auditor", "jwk": CLIENT_JWK})
    await world.store.database.close()
    # A seed makes a run like it, as far as clocks and scheduling let it.
    traffic = Traffic(world.cvt, world.xzy, PEOPLE, random.Random(seed))  # noqa: S311 - not for secrecy
    return Place(tmp_path, installation, traffic)


async def test_a_kill_in_the_midst_of_traffic_loses_nothing_acknowledged_and_doubles_nothing(
    place: Place, seed: int
) -> None:
    for kill in range(3):
        assert await place.kill_and_look(SERVE) == [], f"seed {seed}, kill {kill}"


async def test_the_check_finds_a_service_that_acknowledges_before_the_commit(place: Place, seed: int) -> None:
    found = await place.kill_and_look(("-c", ACKNOWLEDGES_EARLY))
    assert [finding for finding in found if finding.startswith("lost: ")], f"seed {seed}"
    assert "had an effect again" in found
