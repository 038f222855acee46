"""xAPI over HTTP, on the real service: real tokens, an LRS's answers, and clients that are not ours."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import pytest

from tests.functional.process import CLIENT_JWK, Caller, running, settings
from tests.functional.world import Installation
from verifier.app import Service
from verifier.cli.simulator import Course, Delivery, person
from verifier.cli.simulator_statements import CORRECTED, SkillMaster, Statement

LI = person(1, "阿依古丽·买买提")
SLUG: Final = "skill_master"
PATH: Final = f"/v1/callbacks/{SLUG}/statements"
DONE: Final = datetime(2021, 3, 5, 2, tzinfo=UTC)
IDS: Final = [str(UUID(int=number, version=4)) for number in range(9)]


def course(number: str = "N-1", **changes: Any) -> Course:
    members: dict[str, Any] = {"issued_at": DONE + timedelta(hours=1), "code": "032"} | changes
    return Course(number, LI, DONE, **members)


@dataclass
class Learning:
    """The platform with its client secret, and the service that it sends to."""

    service: Service
    address: str
    session: aiohttp.ClientSession
    platform: SkillMaster
    secret: str
    database: Path

    async def token(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": "skm", "client_secret": self.secret}
        async with self.session.post(f"{self.address}/oauth/token", data=form) as response:
            answer = await response.json()
        assert (answer["scope"], answer["token_type"]) == ("callback", "Bearer")
        return str(answer["access_token"])

    async def send(self, *statements: Statement, token: str | None = None) -> tuple[int, Any]:
        batch = statements[0] if len(statements) == 1 else statements
        token = await self.token() if token is None else token
        status, _, answer = await self.post(self.platform.delivery(batch, token))
        return status, answer

    async def post(
        self, delivery: Delivery, method: str = "POST", query: str = ""
    ) -> tuple[int, Mapping[str, str], Any]:
        url = f"{self.address}{delivery.path}{query}"
        async with self.session.request(
            method, url, data=delivery.body, headers=delivery.headers
        ) as response:
            assert response.headers["X-Experience-API-Version"] == "1.0.3"
            body = await response.read()
            return response.status, response.headers, json.loads(body) if body else None

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return int(database.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - a test's own


@pytest.fixture
async def learning(sqlite: str, tmp_path: Path, installation: Installation) -> AsyncIterator[Learning]:
    chosen = settings(tmp_path, installation)
    assert chosen.database_url == sqlite
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:
        wanted = {"client": "skm", "role": "platform", "platform": SLUG, "secret": "yes"}
        made = await service.operations.run("clients add", wanted)
        platform = SkillMaster(installation.sandbox)
        database = chosen.data_dir / "verifier.db"
        yield Learning(service, address, session, platform, str(made["client_secret"]), database)


def states(answer: Any) -> list[tuple[str, str, Any]]:
    return [(item["item"], item["state"], item["code"]) for item in answer["data"]["items"]]


async def test_a_signed_statement_and_a_badge_are_completions(learning: Learning) -> None:
    signed = learning.platform.completed(course(), IDS[1])
    assert await learning.send(signed) == (200, [IDS[1]])
    badged = learning.platform.badged(course("urn:skm:badge:1"), IDS[2])
    assert await learning.send(badged) == (200, [IDS[2]])
    assert learning.count("completions") == 2


async def test_a_client_with_a_key_of_its_own_sends_too(learning: Learning) -> None:
    wanted = {"client": "skm-key", "role": "platform", "platform": SLUG, "jwk": CLIENT_JWK}
    await learning.service.operations.run("clients add", wanted)
    token = await Caller(learning.session, learning.address, "skm-key").token()
    signed = learning.platform.completed(course(), IDS[1])
    assert await learning.send(signed, token=token) == (200, [IDS[1]])


async def test_without_a_good_token_there_is_one_answer_and_nothing_is_kept(learning: Learning) -> None:
    other = {"client": "cvt", "role": "platform", "platform": "china_vocational_training", "jwk": CLIENT_JWK}
    await learning.service.operations.run("clients add", other)
    anothers = await Caller(learning.session, learning.address, "cvt").token()
    delivery = learning.platform.delivery(learning.platform.completed(course(), IDS[1]), "")
    bodies = []
    for authorization in ("", "Bearer x.y.z", f"Bearer {anothers}", f"Basic {await learning.token()}"):
        sent = replace(delivery, headers={**delivery.headers, "Authorization": authorization})
        status, headers, body = await learning.post(sent)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        bodies.append(body)
    assert bodies == [bodies[0]] * 4
    assert bodies[0]["code"] == "signature_rejected"
    assert learning.count("deliveries") == 0


async def test_the_same_statement_again_is_accepted_and_other_content_is_a_conflict(
    learning: Learning,
) -> None:
    signed = learning.platform.completed(course(), IDS[1])
    assert await learning.send(signed) == (200, [IDS[1]])
    assert await learning.send(signed) == (200, [IDS[1]])
    assert learning.count("deliveries") == 1
    # The same, written in another way: other bytes are another delivery.
    renamed = dict(signed.members, verb={**signed.members["verb"], "display": {"zh-CN": "完成"}})
    assert await learning.send(replace(signed, members=renamed)) == (200, [IDS[1]])
    assert (learning.count("deliveries"), learning.count("completions")) == (2, 1)
    other = learning.platform.completed(course("N-2"), IDS[1])
    status, answer = await learning.send(other)
    assert (status, answer["code"]) == (409, "delivery_conflict")
    assert states(answer) == [(IDS[1], "refused", "delivery_conflict")]
    assert learning.count("completions") == 1


async def test_one_known_id_never_sinks_a_batch(learning: Learning) -> None:
    first, second = (learning.platform.completed(course(f"N-{n}"), IDS[n]) for n in (1, 2))
    assert await learning.send(first) == (200, [IDS[1]])
    assert await learning.send(first, second) == (200, [IDS[1], IDS[2]])
    changed = learning.platform.completed(course("N-9"), IDS[1])
    third = learning.platform.completed(course("N-3"), IDS[3])
    status, answer = await learning.send(changed, third)
    assert status == 409
    assert states(answer) == [(IDS[1], "refused", "delivery_conflict"), (IDS[3], "accepted", 0)]
    assert learning.count("completions") == 3


async def test_a_refused_statement_says_why_leaves_the_others_and_may_be_mended(learning: Learning) -> None:
    good, bad = (learning.platform.completed(course(f"N-{n}"), IDS[n]) for n in (1, 2))
    unlike = replace(bad, signature=good.signature)
    status, answer = await learning.send(good, replace(unlike, members={**bad.members, "attachments": []}))
    assert (status, answer["code"]) == (400, "field_missing")
    assert states(answer) == [(IDS[1], "accepted", 0), (IDS[2], "refused", "field_missing")]
    assert await learning.send(bad) == (200, [IDS[2]])


async def test_a_put_is_answered_with_nothing_and_again_with_nothing(learning: Learning) -> None:
    signed = learning.platform.completed(course(), IDS[1])
    delivery = learning.platform.delivery(signed, await learning.token())
    for _ in range(2):
        status, headers, body = await learning.post(delivery, "PUT", f"?statementId={IDS[1]}")
        assert (status, body, headers.get("Content-Type")) == (204, None, None)
    # POSTed, the same bytes are the same statement in another delivery.
    assert (await learning.post(delivery))[0] == 200
    assert (learning.count("deliveries"), learning.count("completions")) == (2, 1)
    status, _, answer = await learning.post(delivery, "PUT", f"?statementId={IDS[2]}")
    assert (status, answer["code"]) == (400, "delivery_unreadable")


async def test_what_speaks_no_version_is_kept_and_not_taken_for_its_like_that_does(
    learning: Learning,
) -> None:
    delivery = learning.platform.delivery(
        learning.platform.completed(course(), IDS[1]), await learning.token()
    )
    for version, code in (("", "field_invalid"), ("0.95", "field_invalid"), (None, "field_missing")):
        headers = {name: value for name, value in delivery.headers.items() if not name.startswith("X-")}
        headers |= {} if version is None else {"X-Experience-API-Version": version}
        status, _, answer = await learning.post(replace(delivery, headers=headers))
        assert (status, answer["code"], answer["data"]["items"]) == (400, code, [])
    assert (learning.count("deliveries"), learning.count("completions")) == (2, 0)
    assert (await learning.post(delivery))[0] == 200
    assert learning.count("completions") == 1


async def test_a_correction_and_a_voided_statement_reach_the_certificate(learning: Learning) -> None:
    completed = learning.platform.completed(course(), IDS[1])
    later = course(issued_at=DONE + timedelta(hours=2), revision=2, title="电工安全操作")
    corrected = learning.platform.completed(later, IDS[2], verb=CORRECTED)
    voided = learning.platform.voided("N-1", "误发", DONE + timedelta(days=1), IDS[3], IDS[1])
    assert await learning.send(completed, corrected, voided) == (200, IDS[1:4])
    assert learning.count("facts where kind = 'revocation'") == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_it_is_no_store_to_read_from(learning: Learning, method: str) -> None:
    async with learning.session.request(method, learning.address + PATH) as response:
        assert response.status == 405


async def test_another_resource_is_not_there(learning: Learning) -> None:
    delivery = learning.platform.delivery(
        learning.platform.completed(course(), IDS[1]), await learning.token()
    )
    status, _, answer = await learning.post(replace(delivery, rest="/activities"))
    assert (status, answer["code"]) == (405, "method_not_allowed")


# Clients that are not ours

NEEDS_TINCAN: Final = pytest.mark.skipif(
    importlib.util.find_spec("tincan") is None, reason="the Python package tincan is not installed"
)


@NEEDS_TINCAN
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a package of 2020
async def test_the_tincan_package_saves_statements_and_is_told_of_a_conflict(learning: Learning) -> None:
    tincan = importlib.import_module("tincan")
    token = await learning.token()
    lrs = tincan.RemoteLRS(
        endpoint=f"{learning.address}/v1/callbacks/{SLUG}/", version="1.0.3", auth=f"Bearer {token}"
    )
    statements = [
        tincan.Statement(dict(learning.platform.badged(course(f"urn:skm:badge:{n}"), IDS[n]).members))
        for n in (1, 2)
    ]
    saved = await asyncio.to_thread(lrs.save_statement, statements[0])  # has an id: by PUT
    assert (saved.success, saved.response.status) == (True, 204)
    batch = await asyncio.to_thread(lrs.save_statements, statements)
    assert batch.success
    assert [str(one.id) for one in batch.content] == IDS[1:3]
    other = tincan.Statement(dict(learning.platform.badged(course("urn:skm:badge:3"), IDS[1]).members))
    refused = await asyncio.to_thread(lrs.save_statement, other)
    assert (refused.success, refused.response.status) == (False, 409)
    assert learning.count("completions") == 2


def installed(package: str) -> bool:
    """Whether node is there, and NODE_PATH leads to a package of its registry."""
    places = os.environ.get("NODE_PATH", "").split(os.pathsep)
    found = any((Path(place) / package / "package.json").is_file() for place in places if place)
    return found and shutil.which("node") is not None


SENDING: Final = """
const XAPI = require("@xapi/xapi").default ?? require("@xapi/xapi");
const { endpoint, auth, signed, signature, badged } = JSON.parse(process.argv[1]);
const client = (adapter) => new XAPI({ endpoint, auth, version: "1.0.3", adapter });
const said = [];
const note = (sent) => sent.then(
  (answer) => said.push(answer.data),
  (error) => said.push((error.response?.data ?? JSON.parse(error.message)).code),
);
(async () => {
  const attachments = [new TextEncoder().encode(signature).buffer];
  const other = { ...signed, timestamp: "2021-03-05T12:00:00+08:00" };
  // With attachments by fetch alone: in node, axios replaces the package's Content-Type by the blob's.
  await note(client("fetch").sendStatement({ statement: signed, attachments }));
  await note(client("fetch").sendStatement({ statement: other, attachments }));
  for (const adapter of ["fetch", "axios"]) {
    await note(client(adapter).sendStatements({ statements: badged }));
    await note(client(adapter).sendStatement({ statement: { ...badged[0], id: signed.id } }));
  }
  console.log(JSON.stringify(said));
})();
"""


@pytest.mark.needs_system("node")
@pytest.mark.skipif(not installed("@xapi/xapi"), reason="node with @xapi/xapi on NODE_PATH is not there")
async def test_the_xapi_package_of_node_sends_statements_and_signatures(learning: Learning) -> None:
    signed = learning.platform.completed(course(), IDS[1])
    badged = [learning.platform.badged(course(f"urn:skm:badge:{n}"), IDS[n]) for n in (2, 3)]
    task = {
        "endpoint": f"{learning.address}/v1/callbacks/{SLUG}/",
        "auth": f"Bearer {await learning.token()}",
        "signed": dict(signed.members),
        "signature": signed.signature,
        "badged": [dict(one.members) for one in badged],
    }
    done = await asyncio.to_thread(
        subprocess.run,
        ["node", "-e", SENDING, json.dumps(task)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    conflict = "delivery_conflict"
    expected = [[IDS[1]], conflict, IDS[2:4], conflict, IDS[2:4], conflict]
    assert json.loads(done.stdout) == expected
    assert learning.count("completions") == 3
