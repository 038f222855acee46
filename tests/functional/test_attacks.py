"""Attacks 1 to 16 of docs/attacks.md that need a real platform profile, over real HTTP on the real service.

Each leaves no trace but counters: no delivery is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.process import running, settings
from tests.functional.world import Installation
from verifier.app import Service
from verifier.cli.simulator import ChinaVocationalTraining, Course, NewOccupation, person

pytestmark = pytest.mark.untraced

Headers = dict[str, str]
Change = Callable[[Headers, bytes], tuple[Headers, bytes]]


@dataclass(frozen=True)
class Target:
    service: Service
    address: str
    cvt: ChinaVocationalTraining
    xzy: NewOccupation

    def message(self) -> dict[str, Any]:
        done = datetime(2021, 3, 5, 2, tzinfo=UTC)
        return self.cvt.completed(Course("A-1", person(90, "张三"), done, done + timedelta(hours=1)))

    async def post(self, path: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
        url = self.address + path
        async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def stored(self) -> int:
        slugs = (self.cvt.slug, self.xzy.slug)
        found = [await self.service.store.deliveries(slug, attention=False, limit=9) for slug in slugs]
        return sum(len(one) for one in found)


@pytest.fixture
async def target(sqlite: str, tmp_path: Path, installation: Installation) -> AsyncIterator[Target]:
    chosen = settings(tmp_path, installation)
    assert chosen.database_url == sqlite
    sandbox = installation.sandbox
    async with running(chosen) as (service, address):
        yield Target(service, address, ChinaVocationalTraining(sandbox), NewOccupation(sandbox))


def without(name: str) -> Change:
    return lambda headers, body: ({key: value for key, value in headers.items() if key != name}, body)


def with_(name: str, value: str) -> Change:
    return lambda headers, body: (headers | {name: value}, body)


CHANGES: list[tuple[str, int, Change]] = [
    ("1-no-signature", 401, without("webhook-signature")),
    ("2-empty-signature", 401, with_("webhook-signature", "")),
    ("2-blank-signature", 401, with_("webhook-signature", "   ")),
    ("4-one-byte-flipped", 401, lambda headers, body: (headers, body[:-1] + bytes([body[-1] ^ 1]))),
    ("4-newline-added", 401, lambda headers, body: (headers, body + b"\n")),
    ("8-NaN", 401, with_("webhook-timestamp", "NaN")),
    ("8-exponent", 401, with_("webhook-timestamp", "1e9")),
    ("8-sign", 401, with_("webhook-timestamp", "+5")),
    ("8-underscore", 401, with_("webhook-timestamp", "1_000")),
    ("8-negative", 401, with_("webhook-timestamp", "-5")),
    ("8-huge", 401, with_("webhook-timestamp", "1" + "0" * 30)),
    ("12-long-id", 400, with_("webhook-id", "a" * 1_000_000)),
    ("12-look-alike-id", 401, with_("webhook-id", "dаta")),
    ("13-ten-thousand-signatures", 400, with_("webhook-signature", " ".join(["v1,AAAA"] * 10_000))),
    ("14-signature-that-is-not-ASCII", 401, with_("webhook-signature", "v1,签名")),
    ("57-plain-text", 415, with_("Content-Type", "text/plain")),
    ("57-utf-16", 415, with_("Content-Type", "application/json; charset=utf-16")),
    ("51-compressed", 415, with_("Content-Encoding", "gzip")),
]


@pytest.mark.parametrize(
    ("status", "change"), [case[1:] for case in CHANGES], ids=[f"attack-{case[0]}" for case in CHANGES]
)
async def test_what_is_not_authentic_leaves_nothing(target: Target, status: int, change: Change) -> None:
    delivery = target.cvt.delivery(target.message(), "attack", datetime.now(UTC))
    headers, body = change(dict(delivery.headers), delivery.body)
    assert (await target.post(delivery.path, headers, body))[0] == status
    assert await target.stored() == 0


async def test_attack_13_more_than_five_signatures_are_not_even_tried(target: Target) -> None:
    delivery = target.cvt.delivery(target.message(), "attack", datetime.now(UTC))
    genuine = delivery.headers["webhook-signature"].split()
    several = dict(delivery.headers) | {"webhook-signature": " ".join([*["v1,AAAA"] * 4, *genuine])}
    assert (await target.post(delivery.path, several, delivery.body))[0] == 401
    assert await target.stored() == 0


async def test_attack_5_one_platforms_key_opens_no_other_platform(target: Target) -> None:
    delivery = target.cvt.delivery(target.message(), "attack", datetime.now(UTC))
    path = f"/v1/callbacks/{target.xzy.slug}"
    assert (await target.post(path, dict(delivery.headers), delivery.body))[0] == 401
    assert await target.stored() == 0


@pytest.mark.parametrize("seconds", [-360, 360])
async def test_attacks_6_7_10_outside_the_window_nothing_is_accepted(target: Target, seconds: int) -> None:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    delivery = target.cvt.delivery(target.message(), "attack", at)
    assert (await target.post(delivery.path, dict(delivery.headers), delivery.body))[0] == 401
    assert await target.stored() == 0


async def test_attacks_9_and_11_a_replay_gets_the_first_answer_and_other_content_a_conflict(
    target: Target,
) -> None:
    now = datetime.now(UTC)
    first = target.cvt.delivery(target.message(), "attack", now)
    answers = [await target.post(first.path, dict(first.headers), first.body) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200
    other = target.cvt.delivery(target.message() | {"more": "1"}, "attack", now)
    assert (await target.post(other.path, dict(other.headers), other.body))[0] == 409


async def test_every_401_has_one_body(target: Target) -> None:
    delivery = target.cvt.delivery(target.message(), "attack", datetime.now(UTC))
    refused = [change for _, status, change in CHANGES if status == 401]
    changed = [change(dict(delivery.headers), delivery.body) for change in refused]
    answers = await asyncio.gather(*(target.post(delivery.path, *one) for one in changed))
    assert len({body for _, body in answers}) == 1
