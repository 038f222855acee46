"""就业创业和职业培训在线 over HTTP, on the real service: it sends again until ``SUCCESS`` comes back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.functional.process import running, settings
from tests.functional.world import Installation
from verifier.cli.simulator import Course, Delivery, person
from verifier.cli.simulator_parameters import EmploymentTraining
from verifier.errors import CATALOGUE, Code

LI = person(1, "阿依古丽·买买提")
DONE: Final = datetime(2021, 3, 5, 2, tzinfo=UTC)


def course(number: str = "JC-1", **changes: Any) -> Course:
    return Course(number, LI, DONE, **({"issued_at": DONE + timedelta(hours=1)} | changes))


@dataclass
class Sending:
    """The platform, and the service that it sends to."""

    address: str
    session: aiohttp.ClientSession
    platform: EmploymentTraining
    database: Path

    def signed(self, message: dict[str, str], delivery_id: str, *, later: int = 0) -> Delivery:
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=later)
        return self.platform.delivery(message, delivery_id, at)

    async def post(self, delivery: Delivery) -> tuple[int, str]:
        url = self.address + delivery.target
        async with self.session.post(url, data=delivery.body, headers=delivery.headers) as response:
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
            return response.status, await response.text()

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return int(database.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - a test's own


@pytest.fixture
async def sending(sqlite: str, tmp_path: Path, installation: Installation) -> AsyncIterator[Sending]:
    chosen = settings(tmp_path, installation)
    assert chosen.database_url == sqlite
    async with running(chosen) as (_, address), aiohttp.ClientSession() as session:
        platform = EmploymentTraining(installation.sandbox)
        yield Sending(address, session, platform, chosen.data_dir / "verifier.db")


def failed(code: Code) -> str:
    return f"FAIL:{code.value} {CATALOGUE[code].zh}"


async def test_what_is_kept_is_answered_with_success_and_sent_again_signed_anew_it_is_kept_once(
    sending: Sending,
) -> None:
    message = sending.platform.completed(course())
    first, again = sending.signed(message, "n-1"), sending.signed(message, "n-1", later=60)
    assert first.query != again.query
    for delivery in (first, again, first):
        assert await sending.post(delivery) == (200, "SUCCESS")
    assert (sending.count("deliveries"), sending.count("completions")) == (1, 1)


async def test_a_correction_and_a_revocation_are_taken(sending: Sending) -> None:
    platform = sending.platform
    corrected = course(revision=2, issued_at=DONE + timedelta(days=1))
    for number, message in enumerate(
        (
            platform.completed(course()),
            platform.completed(corrected, event="TRAINING_CORRECTED"),
            platform.revoked("JC-1", "误发", DONE + timedelta(days=2)),
        )
    ):
        assert await sending.post(sending.signed(message, f"n-{number}")) == (200, "SUCCESS")
    assert (sending.count("completions"), sending.count("facts")) == (2, 3)


async def test_a_refused_certificate_is_a_failure_that_is_kept_and_said_again(sending: Sending) -> None:
    genuine = sending.platform.certificate(course())
    altered = {**sending.platform.certificate(course("JC-2")), "cert_sign": genuine["cert_sign"]}
    message = sending.platform.completed(course("JC-2"), certificate=altered)
    for later in (0, 30):
        answer = await sending.post(sending.signed(message, "n-1", later=later))
        assert answer == (422, failed(Code.CERTIFICATE_SIGNATURE_INVALID))
    assert (sending.count("deliveries"), sending.count("completions")) == (1, 0)


async def test_other_content_under_a_known_id_is_a_conflict(sending: Sending) -> None:
    for number, answer in (("JC-1", (200, "SUCCESS")), ("JC-2", (409, failed(Code.DELIVERY_CONFLICT)))):
        message = sending.platform.completed(course(number))
        assert await sending.post(sending.signed(message, "n-1")) == answer


async def test_of_what_is_not_authentic_nothing_is_kept(sending: Sending) -> None:
    genuine = sending.signed(sending.platform.completed(course()), "n-1")
    refused = (401, failed(Code.SIGNATURE_REJECTED))
    assert await sending.post(replace(genuine, body=genuine.body.replace(b"JC-1", b"JC-2"))) == refused
    assert await sending.post(replace(genuine, query="")) == refused
    assert (
        await sending.post(sending.signed(sending.platform.completed(course()), "n-1", later=400)) == refused
    )
    assert sending.count("deliveries") == 0


async def test_json_is_refused_in_the_platforms_own_words(sending: Sending) -> None:
    genuine = sending.signed(sending.platform.completed(course()), "n-1")
    answer = await sending.post(replace(genuine, headers={"Content-Type": "application/json"}))
    assert answer == (415, failed(Code.CONTENT_TYPE_UNSUPPORTED))
