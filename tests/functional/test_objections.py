"""Corrections, objections and appeals: numbers, states, terms, and outcomes that anybody can check."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.functional.test_acts import ACME, holding, logged, run, told
from tests.functional.world import FACTORY, ORIGIN, WORKSHOP, World, make_issuer
from verifier import objections, offline
from verifier.cli import main
from verifier.cli.simulator import Person, person
from verifier.errors import AccessDenied, Code, Conflict, LedgerRefused, RequestRejected
from verifier.model.access import Client, ClientState, Role
from verifier.model.facts import ObjectionKind
from verifier.model.person import IdentityClaims, Uscc
from verifier.objecting import ObjectionDesk
from verifier.signatures.keys import public_jwk

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
STRANGER = person(9, "从未听说")
WORKS = Client("works", 1, Role.ENTERPRISE, ClientState.ACTIVE, jwk={}, enterprises=frozenset({WORKSHOP}))


async def raised(world: World, who: Person = LI, **changes: str) -> dict[str, Any]:
    given = {"kind": "objection", "topic": "month", "text": "不是我领的\n我没有在那里上过班", **changes}
    return await run(world, "objection open", id_number=who.id_number, purpose="已核验身份证", **given)


async def answered(world: World, number: str, outcome: str = "rejected") -> dict[str, Any]:
    return await run(world, "objection answer", number=number, outcome=outcome, text="经核实，答复如下")


async def by_enterprise(
    world: World, who: Person, uscc: Uscc = FACTORY, client: Client = ACME, **changes: str
) -> dict[str, Any]:
    given = {"kind": "correction", "topic": "data", "about": "", "text": "请更正", **changes}
    claims = IdentityClaims("resident_id", who.id_number, "")
    return await world.employers.object(client, uscc, claims, **given)


async def test_a_number_says_nothing_and_cannot_be_guessed(world: World) -> None:
    await world.employ(FACTORY, LI)
    opened = await raised(world)
    assert re.fullmatch(r"21-[0-9A-HJKMNP-TV-Z]{8}", opened["number"])
    assert opened == {
        "number": opened["number"],
        "kind": "objection",
        "topic": "month",
        "about": None,
        "raised_by": "worker",
        "state": "open",
        "party": "reviewer",
        "answer_by": None,
        "answer_term": "not_configured",
        "overdue": False,
        "opened_at": "2021-07-01T04:00:00Z",
        "closed_at": None,
    }
    assert await logged(world, LI) == [("clerk:赵", "已核验身份证", "objection raised")]
    stored = json.dumps([list(row) for row in await world.sql("select content from facts")])
    assert "上过班" not in stored


async def test_a_taken_number_is_not_given_twice(world: World) -> None:
    await world.employ(FACTORY, LI)
    drawn = iter([b"a" * 8, b"a" * 8, b"b" * 8])
    register = world.objections

    def draw(count: int) -> bytes:
        assert count == 8
        return next(drawn)

    desk = ObjectionDesk(replace(register, randbytes=draw))
    given = {"id_number": LI.id_number, "purpose": "p", "kind": "objection", "text": "不符"}
    first = await desk.open({**given, "topic": "month"})
    second = await desk.open({**given, "topic": "data"})
    assert first["number"] != second["number"]


async def test_while_a_worker_disputes_that_the_month_is_taken_nobody_else_is_refused(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI, from_="2021-04-01")
    await world.complete("N-2", LI, completed_at=world.now - timedelta(days=30))
    assert (await told(world, WORKSHOP, LI))["state"] == "month_taken"
    opened = await raised(world)
    waiting = await told(world, WORKSHOP, LI)
    assert waiting["state"] == "pending"
    missing = [reason.get("missing") for one in waiting["completions"] for reason in one["reasons"]]
    assert "month_dispute" in missing
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    await answered(world, opened["number"])
    assert (await told(world, WORKSHOP, LI))["state"] == "month_taken"


@pytest.mark.parametrize("end", ["withdraw", "answer"])
async def test_what_is_closed_is_not_closed_again(world: World, end: str) -> None:
    await world.employ(FACTORY, LI)
    number = (await raised(world))["number"]
    if end == "withdraw":
        assert (await run(world, "objection withdraw", number=number))["state"] == "withdrawn"
    else:
        assert (await answered(world, number, "upheld"))["state"] == "upheld"
    for act in (answered(world, number), run(world, "objection withdraw", number=number)):
        with pytest.raises(Conflict) as caught:
            await act
        assert caught.value.code is Code.STATE_REFUSED
    await raised(world)  # and may be raised anew


async def test_a_term_is_told_where_one_is_configured_and_what_is_late_is_shown_as_late(world: World) -> None:
    await world.employ(FACTORY, LI)
    world.answer_days = 15
    opened = await raised(world)
    assert (opened["answer_by"], opened["answer_term"]) == ("2021-07-16", "configured")
    world.now += timedelta(days=15)
    assert (await run(world, "objection list", state="overdue"))["objections"] == []
    world.now += timedelta(days=1)
    [late] = (await run(world, "objection list", state="overdue"))["objections"]
    assert (late["number"], late["overdue"]) == (opened["number"], True)
    await answered(world, opened["number"])
    assert (await run(world, "objection list", state="overdue"))["objections"] == []
    assert len((await run(world, "objection list"))["objections"]) == 1
    assert len((await run(world, "objection list", state="rejected"))["objections"]) == 1
    with pytest.raises(RequestRejected):
        await run(world, "objection list", state="lost")


async def test_the_same_is_not_raised_twice_while_it_is_open(world: World) -> None:
    await world.employ(FACTORY, LI)
    await raised(world)
    with pytest.raises(Conflict):
        await raised(world)
    await raised(world, topic="data")


async def test_an_appeal_is_about_the_number_of_one_that_was_answered(world: World) -> None:
    await world.employ(FACTORY, LI, WANG)
    number = (await raised(world))["number"]
    for about in (number, "21-00000000", ""):
        with pytest.raises(AccessDenied):
            await raised(world, kind="appeal", about=about)
    await answered(world, number)
    with pytest.raises(AccessDenied):
        await raised(world, WANG, kind="appeal", about=number)
    with pytest.raises(AccessDenied):
        await by_enterprise(world, LI, kind="appeal", about=number)
    appeal = await raised(world, kind="appeal", about=number)
    assert (appeal["about"], appeal["party"]) == (number, "bureau")
    await answered(world, appeal["number"])
    with pytest.raises(Conflict):
        await raised(world, kind="appeal", about=number)
    second = await raised(world, kind="appeal", about=appeal["number"])
    assert second["about"] == appeal["number"]


async def test_one_objects_to_what_concerns_oneself(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.employ(WORKSHOP, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.settle()
    mine, theirs = await world.learner(LI), await world.learner(WANG)
    decisions = {row[0]: row[1] for row in await world.sql("select learner_id, decision_id from decisions")}
    [(fact,)] = await world.sql(
        "select fact_id from facts where kind = 'completion' and learner_id = :who", who=mine
    )
    assert (await raised(world, about=decisions[mine]))["about"] == decisions[mine]
    assert (await raised(world, about=fact))["about"] == fact
    for about in (decisions[theirs], "nothing"):
        with pytest.raises(AccessDenied):
            await raised(world, about=about)
    assert (await by_enterprise(world, LI, topic="decision", about=decisions[mine]))["state"] == "open"
    with pytest.raises(AccessDenied):
        await by_enterprise(world, LI, topic="data", about=fact)  # a completion is no enterprise's
    earlier = (await raised(world, topic="data"))["number"]
    assert (await raised(world, topic="identity", about=earlier))["about"] == earlier


@pytest.mark.parametrize(
    "changes", [{"kind": "wish"}, {"topic": "weather"}, {"text": ""}, {"text": "\x00"}, {"text": "长" * 9000}]
)
async def test_what_is_malformed_is_refused_by_name(small_world: World, changes: dict[str, str]) -> None:
    await small_world.employ(FACTORY, LI)
    with pytest.raises(RequestRejected) as caught:
        await raised(small_world, LI, **changes)
    assert [caught.value.pointer] == list(changes)


async def test_there_is_no_answer_to_a_number_that_was_never_given(small_world: World) -> None:
    for name in ("show", "withdraw"):
        with pytest.raises(AccessDenied):
            await run(small_world, f"objection {name}", number="21-00000000")
    with pytest.raises(AccessDenied):
        await answered(small_world, "21-00000000")
    with pytest.raises(RequestRejected):
        await answered(small_world, "21-00000000", "open")


# --- the signed outcome


async def test_an_outcome_is_signed_entered_and_checked_offline(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    number = (await raised(world))["number"]
    await answered(world, number)
    before = await run(world, "objection show", number=number)
    assert before["outcome_jws"] is None  # the issuer has not come to it yet
    await world.issue()
    shown = await run(world, "objection show", number=number)
    assert shown["text"].startswith("不是我领的")
    assert (await logged(world, LI))[-1] == ("clerk:赵", "objection", "objection shown")
    key = world.issuer_keys.record.verification_key
    claims = offline.check_outcome(shown["outcome_jws"], [key])
    [entry] = await world.entries("objection")
    assert claims["log"] == {"origin": ORIGIN, "index": entry["index"]}
    assert (claims["number"], claims["outcome"], claims["kind"]) == (number, "rejected", "objection")
    assert claims["text_sha256"] == objections.text_digest(shown["answer"]["salt"], "经核实，答复如下")
    assert (entry["number"], entry["outcome"], entry["office"]) == (number, "rejected", "652301")
    learner = await world.learner(LI)
    for text in (json.dumps(entry), json.dumps(claims)):
        assert learner not in text
        assert "核实" not in text
    assert await world.fsck() == []
    _on_the_command_line(shown["outcome_jws"], world, tmp_path)
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (said["verdict"], said["says"]["number"]) == ("valid", number)


def _on_the_command_line(token: str, world: World, directory: Path) -> None:
    jwks = {"keys": [dict(public_jwk(world.issuer_keys.record.verification_key))]}
    (directory / "jwks.json").write_text(json.dumps(jwks))
    (directory / "outcome.txt").write_text(token + "\n")
    other = {"keys": [dict(public_jwk(world.issuer_keys.status.verification_key))]}
    (directory / "other.json").write_text(json.dumps(other))
    results: list[int] = []

    def check() -> None:
        for keys in ("jwks.json", "other.json"):
            file = str(directory / "outcome.txt")
            results.append(main(["verify", file, "--jwks", str(directory / keys), "--json"]))

    thread = threading.Thread(target=check)  # a loop of its own
    thread.start()
    thread.join()
    assert results == [0, 1]


async def test_an_outcome_is_never_taken_for_a_record_nor_a_record_for_an_outcome(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    number = (await raised(world))["number"]
    await answered(world, number)
    await world.settle()
    token = (await run(world, "objection show", number=number))["outcome_jws"]
    keys = [world.issuer_keys.record.verification_key]
    assert offline.is_outcome(token)
    for text in (token, token + "~"):
        with pytest.raises(LedgerRefused):
            offline.check(text, keys, status_token=None, now=world.now)
    [record] = await world.records()
    assert not offline.is_outcome(record.sd_jwt)
    assert not offline.is_outcome(record.sd_jwt.split("~")[0])
    with pytest.raises(LedgerRefused):
        offline.check_outcome(record.sd_jwt.split("~")[0], keys)


async def test_fsck_finds_an_outcome_that_was_altered_or_lost(world: World) -> None:
    await world.employ(FACTORY, LI)
    await answered(world, (await raised(world))["number"])
    await world.settle()
    [(token,)] = await world.sql("select jws from statements")
    await world.sql("update statements set jws = :token", token=token[:-8] + "AAAAAAAA")
    assert {finding.kind for finding in await world.fsck()} == {"statement_signature_invalid"}
    await world.sql("update statements set jws = :token, reference = 'x'", token=token)
    assert {finding.kind for finding in await world.fsck()} == {"statement_altered"}
    await world.sql("delete from statements")
    assert {finding.kind for finding in await world.fsck()} == {"statement_missing"}


async def test_an_outcome_that_another_issuer_was_faster_with_is_thrown_away(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.settle()
    await answered(world, (await raised(world))["number"])
    twin = make_issuer(world.store, world.issuer_keys, world.kept, world.clock, world.new_id)
    await twin.start()
    with pytest.raises(LedgerRefused):
        await world.issuer.step()
    assert await world.sql("select 1 from statements") == []
    while await twin.step():
        pass
    assert len(await world.sql("select 1 from statements")) == 1
    assert len(await world.entries("objection")) == 1


async def test_an_outcome_about_nobody_with_an_office_is_the_auditors_alone(world: World) -> None:
    await world.roster(FACTORY, [{"id_number": LI.id_number, "name": LI.name, "from": "2021-01-01"}])
    await answered(world, (await raised(world, topic="data"))["number"])
    await world.settle()
    [entry] = await world.entries("objection")
    assert entry["office"] is None


# --- enterprises


async def test_an_enterprise_sees_what_it_raised_and_nothing_else(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.employ(WORKSHOP, WANG)
    mine = await by_enterprise(world, LI)
    other = await by_enterprise(world, WANG, WORKSHOP, WORKS)
    workers = await raised(world)
    listed = (await world.employers.objections(FACTORY))["objections"]
    assert [one["number"] for one in listed] == [mine["number"]]
    assert mine["raised_by"] == FACTORY
    assert mine["party"] == "bureau"
    await answered(world, mine["number"], "upheld")
    await world.settle()
    shown = await world.employers.objection(ACME, FACTORY, mine["number"])
    assert (shown["text"], shown["answer"]["text"]) == ("请更正", "经核实，答复如下")
    assert offline.is_outcome(shown["outcome_jws"])
    assert ("acme", "objection", "objection shown") in await logged(world, LI)
    errors = []
    for number in (other["number"], workers["number"], "21-00000000"):
        with pytest.raises(AccessDenied) as caught:
            await world.employers.objection(ACME, FACTORY, number)
        errors.append((caught.value.code, caught.value.detail, caught.value.pointer))
    assert len(set(errors)) == 1


async def test_an_enterprise_speaks_of_its_own_people_only(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.employ(WORKSHOP, WANG)
    for who in (WANG, STRANGER):
        with pytest.raises(AccessDenied) as caught:
            await by_enterprise(world, who)
        assert (caught.value.detail, caught.value.pointer) == ("", "")
    assert await logged(world, WANG) == []


async def test_an_enterprise_does_not_dispute_the_month_in_the_workers_place(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI, from_="2021-04-01")
    await world.complete("N-2", LI, completed_at=world.now - timedelta(days=30))
    await by_enterprise(world, LI, WORKSHOP, WORKS, kind="objection", topic="month")
    assert (await told(world, WORKSHOP, LI))["state"] == "month_taken"


def test_who_answers_follows_from_what_it_is_about() -> None:
    kinds = [objections.party(ObjectionKind.OBJECTION, topic) for topic in objections.TOPICS]
    assert [str(party) for party in kinds] == ["reviewer"] * 4 + ["bureau"]
    assert objections.party(ObjectionKind.APPEAL, "month") == "bureau"
    assert date(2021, 1, 1).year % 100 == 21
