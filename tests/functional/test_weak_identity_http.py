"""A weak certificate over HTTP: the platform reads in its own answer and list what to mend."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.process import CLIENT_JWK, Caller, running, settings
from tests.functional.world import Installation
from verifier.app import now
from verifier.cli.simulator import ChinaVocationalTraining, Course, Person, person
from verifier.errors import CATALOGUE, Code

LI = person(1, "阿依古丽·买买提")
UNKNOWN = Person("13800000000", "阿依古丽", "手机号码")
SLUG = "china_vocational_training"


@pytest.mark.usefixtures("sqlite")
async def test_a_platform_reads_that_its_certificate_waits_and_mends_it(
    tmp_path: Path, installation: Installation
) -> None:
    sender = ChinaVocationalTraining(installation.sandbox)

    def course(who: Person, revision: int) -> Course:
        at = now() - timedelta(days=1)
        return Course("N-1", who, at, at, revision=revision)

    async with (
        running(settings(tmp_path, installation)) as (service, address),
        aiohttp.ClientSession() as session,
    ):

        async def send(who: Person, revision: int) -> tuple[int, dict[str, Any]]:
            made = sender.delivery(sender.completed(course(who, revision)), f"d-{revision}", now())
            async with session.post(address + made.path, data=made.body, headers=made.headers) as response:
                answer = json.loads(await response.read())
                return response.status, answer["data"]["items"][0]

        status, item = await send(UNKNOWN, 1)
        said = CATALOGUE[Code.IDENTITY_WEAK]
        assert (status, item["state"], item["code"]) == (200, "in_review", "identity_weak")
        assert (item["message"], item["party"]) == (said.zh, "platform")
        wanted = {"client": "cvt", "role": "platform", "platform": SLUG, "jwk": CLIENT_JWK}
        await service.operations.run("clients add", wanted)
        caller = Caller(session, address, "cvt")
        listed = json.dumps(await caller.get(f"/v1/platforms/{SLUG}/deliveries?state=attention"))
        assert "identity_weak" in listed
        assert UNKNOWN.id_number not in listed
        status, item = await send(LI, 2)
        assert (status, item["state"], item["code"]) == (200, "accepted", 0)
        reviews = await service.operations.run("review list", {})
        assert reviews["reviews"] == []
