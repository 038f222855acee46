"""Months given up and objections over HTTP: what the handlers pass on, and what the real desk answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.functional.web_fakes import USCC, Web, assert_problem, client, serving
from tests.functional.world import FACTORY, World
from verifier.cli.simulator import person
from verifier.errors import Code
from verifier.model.access import Role
from verifier.model.person import IdentityClaims

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
RELEASES = f"/v1/enterprises/{USCC}/releases"
OBJECTIONS = f"/v1/enterprises/{USCC}/objections"
OBJECTION = {"id_number": LI.id_number, "kind": "correction", "topic": "data", "text": "请更正"}


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


async def test_each_call_reaches_the_desk_as_it_came(served: Web) -> None:
    release = {"id_number": LI.id_number, "reason": "不再申领", "id_kind": "passport"}
    calls = [
        ("POST", RELEASES, release),
        ("POST", OBJECTIONS, OBJECTION),
        ("GET", OBJECTIONS, None),
        ("GET", f"{OBJECTIONS}/21-00000000", None),
    ]
    for method, path, body in calls:
        status, _, _ = await served.call(method, path, client="ent", **({"json": body} if body else {}))
        assert status == 200
    who = IdentityClaims("resident_id", LI.id_number, "")
    assert served.employers.calls == [
        ("release", "ent", USCC, IdentityClaims("passport", LI.id_number, ""), "不再申领", ""),
        ("object", "ent", USCC, who, "correction", "data", "", "请更正"),
        ("objections", USCC),
        ("objection", "ent", USCC, "21-00000000"),
    ]


@pytest.mark.parametrize("uscc", ["91650200MA0000000X", "none"])
async def test_another_enterprise_does_not_exist(served: Web, uscc: str) -> None:
    for method, call in (("POST", "releases"), ("POST", "objections"), ("GET", "objections")):
        options = {"json": OBJECTION} if method == "POST" else {}
        path = f"/v1/enterprises/{uscc}/{call}"
        status, headers, body = await served.call(method, path, client="ent", **options)
        assert status == 404
        assert_problem(status, headers, body, Code.NOT_FOUND)
    assert served.employers.calls == []


@pytest.mark.parametrize(
    "changes", [{"reason": ""}, {"id_number": ""}, {"extra": "x"}, {"reason": "长" * 2001}]
)
async def test_a_body_of_another_shape_is_refused(served: Web, changes: dict[str, str]) -> None:
    body = {"id_number": LI.id_number, "reason": "不再申领", **changes}
    status, headers, answer = await served.call("POST", RELEASES, client="ent", json=body)
    assert status == 422
    assert_problem(status, headers, answer, Code.SCHEMA_INVALID)


async def test_who_is_not_its_own_and_who_is_nobody_get_the_same_bytes(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", WANG)
    async with serving(employers=world.employers) as served:
        served.reading.clients["ent"] = client("ent", Role.ENTERPRISE, enterprises=frozenset({FACTORY}))
        answers = []
        for who in (WANG, person(9, "从未听说")):
            for call, body in (("releases", {"reason": "x"}), ("objections", {**OBJECTION})):
                body["id_number"] = who.id_number
                status, _, raw = await served.call(
                    "POST", f"/v1/enterprises/{FACTORY}/{call}", client="ent", json=body
                )
                said = json.loads(raw)
                del said["request_id"]
                answers.append((status, json.dumps(said)))
        assert len(set(answers)) == 1
        assert answers[0][0] == 404
        status, _, raw = await served.call(
            "POST", f"/v1/enterprises/{FACTORY}/objections", client="ent", json=OBJECTION
        )
        number = json.loads(raw)["number"]
        status, _, raw = await served.call(
            "GET", f"/v1/enterprises/{FACTORY}/objections/{number}", client="ent"
        )
        assert (status, json.loads(raw)["text"]) == (200, "请更正")
