"""Lists about an enterprise's people: uploads, history, claim lists; and admissions at listed offices."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import openpyxl
import pytest

from tests.functional.world import FACTORY, WORKSHOP, World, row
from tests.unit.test_roster_table import filled
from tests.unit.test_roster_table import row as cells
from verifier import claim_list, roster_template
from verifier.cli.simulator import person
from verifier.desks import EnterpriseDesk
from verifier.errors import AccessDenied, Code, IdentityRejected, RequestRejected
from verifier.identity import masked, resident_id
from verifier.model.access import Client, ClientState, Role
from verifier.model.facts import Category
from verifier.roster_rows import NOT_STANDING
from verifier.web.enterprises import XLSX

ENTERPRISE = Client(
    "acme", 1, Role.ENTERPRISE, ClientState.ACTIVE, jwk={}, enterprises=frozenset({FACTORY, WORKSHOP})
)
ANNA, BORIS, CLARA = (person(serial, name) for serial, name in enumerate(["阿依古丽", "示例乙", "示例丙"]))
MARCH = date(2021, 3, 1)
ADMIT = {"uscc": FACTORY, "name": "沙箱企业", "office": "652301", "from": "2021-01-01", "operator": "赵"}


async def upload(world: World, *rows: dict[str, Any], partial: bool = False) -> dict[str, Any]:
    body = json.dumps({"rows": rows}, ensure_ascii=False).encode()
    desk = world.enterprises()
    return await desk.upload_roster(ENTERPRISE, FACTORY, body, "application/json", partial=partial)


async def shown_to(world: World) -> list[tuple[str, str, str]]:
    """Who was shown what for which purpose, person by person."""
    found = await world.sql("select client_id, purpose, what from disclosures order by disclosure_id")
    return sorted(tuple(one) for one in found)


# --- uploads


async def test_a_workbook_is_taken_like_any_roster(world: World) -> None:
    desk = world.enterprises()
    raw = filled(cells(), cells(证件号码="=A1"))
    answer = await desk.upload_roster(ENTERPRISE, FACTORY, raw, XLSX, partial=False)
    assert (answer["taken"], answer["problems_in_all"]) == (False, 1)
    answer = await desk.upload_roster(ENTERPRISE, FACTORY, raw, XLSX, partial=True)
    assert (answer["taken"], answer["new"], answer["problems"][0]["column"]) == (True, 1, "证件号码")
    again = await desk.upload_roster(ENTERPRISE, FACTORY, raw, XLSX, partial=True)
    assert (again["unchanged"], again["new"]) == (True, 0)


async def test_a_workbook_that_is_none_is_refused_as_a_whole(small_world: World) -> None:
    desk = small_world.enterprises()
    for raw, media_type, code in (
        (b"nonsense", XLSX, Code.SCHEMA_INVALID),
        (roster_template.workbook(), XLSX, Code.SCHEMA_INVALID),
        (b"", "text/plain", Code.CONTENT_TYPE_UNSUPPORTED),
    ):
        with pytest.raises(RequestRejected) as refused:
            await desk.upload_roster(ENTERPRISE, FACTORY, raw, media_type, partial=False)
        assert refused.value.code is code


async def test_withdrawing_what_was_never_listed_takes_nothing_or_the_others(world: World) -> None:
    rows: list[dict[str, Any]] = [row(ANNA), {**row(BORIS), "withdrawn": True}]
    answer = await upload(world, *rows)
    assert (answer["taken"], answer["rows"]) == (False, 2)
    assert [(one["row"], one["column"], one["zh"]) for one in answer["problems"]] == [
        (2, "withdrawn", NOT_STANDING.zh)
    ]
    assert await world.sql("select * from facts") == []
    answer = await upload(world, *rows, partial=True)
    assert (answer["taken"], answer["new"], answer["withdrawn"], answer["problems_in_all"]) == (True, 1, 0, 1)


async def test_a_withdrawn_row_takes_the_grant_with_it_and_a_right_one_brings_it_back(world: World) -> None:
    await world.employ(FACTORY, ANNA)
    await world.complete("1", ANNA)
    await upload(world, {**row(ANNA), "withdrawn": True})
    await world.settle()
    assert await world.states(ANNA) == ["granted", "pending"]
    await upload(world, row(ANNA, from_="2021-03-05"))
    await world.settle()
    assert await world.states(ANNA) == ["granted", "pending", "granted"]
    assert await world.fsck() == []


async def test_uploads_are_listed_newest_first_without_people(world: World) -> None:
    desk = world.enterprises()
    for serial in range(3):
        await upload(world, row(ANNA, post=str(serial)))
        world.now += timedelta(hours=1)
    await upload(world, row(ANNA, post="2"))  # the same again is no upload
    answer = await desk.uploads(FACTORY, 2)
    assert [set(one) for one in answer["rosters"]] == [{"roster", "recorded_at", "rows", "client"}] * 2
    assert [one["recorded_at"] for one in answer["rosters"]] == [
        "2021-07-01T06:00:00Z",
        "2021-07-01T05:00:00Z",
    ]
    assert (answer["more"], (await desk.uploads(FACTORY, 3))["more"]) == (True, False)
    assert (await desk.uploads(WORKSHOP, 3))["rosters"] == []


# --- what was known at a moment


async def test_a_roster_is_shown_as_it_was_known_at_a_moment_and_logged(world: World) -> None:
    await upload(world, row(ANNA, post="甲岗"), row(BORIS))
    world.now += timedelta(days=1)
    between = world.now
    world.now += timedelta(days=1)
    await upload(world, row(ANNA, post="乙岗", status="退休"), {**row(BORIS), "withdrawn": True})

    async def known(at: str) -> list[dict[str, Any]]:
        asked = {"uscc": FACTORY, "known-at": at, "purpose": "复核", "operator": "赵"}
        answer = await world.operations.run("enterprises roster", asked)
        rows: list[dict[str, Any]] = answer["rows"]
        return sorted(rows, key=lambda one: str(one["name"]))

    assert await known("2021-06-01T00:00:00+08:00") == []
    earlier = await known(between.isoformat())
    assert [(one["name"], one.get("post"), one["status"]) for one in earlier] == [
        ("示例乙", None, "在职"),
        ("阿依古丽", "甲岗", "在职"),
    ]
    number = resident_id(ANNA.id_number, today=date(2021, 7, 1))
    assert earlier[1]["id_number"] == [masked(number)]
    [now] = await known("")
    assert (now["post"], now["status"]) == ("乙岗", "退休")
    assert await shown_to(world) == [("operator:赵", "复核", "roster")] * 3


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"known-at": "yesterday"}, "known-at"),
        ({"purpose": " "}, "purpose"),
        ({"purpose": "a\x1b"}, "purpose"),
    ],
)
async def test_a_history_needs_a_moment_and_a_purpose(
    small_world: World, changes: dict[str, str], pointer: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await small_world.operations.run("enterprises roster", {"uscc": FACTORY, "purpose": "x", **changes})
    assert refused.value.pointer == pointer
    with pytest.raises(IdentityRejected):
        await small_world.operations.run("enterprises roster", {"purpose": "x"})


# --- offices


async def test_only_listed_offices_admit_and_the_first_admission_adopts_the_table(world: World) -> None:
    listed = await world.operations.run("enterprises offices", {})
    assert listed["adopted"] is False
    with pytest.raises(RequestRejected) as refused:
        await world.operations.run("enterprises admit", {**ADMIT, "office": "650100"})
    assert (refused.value.code, refused.value.pointer) == (Code.OFFICE_UNKNOWN, "office")
    assert await world.sql("select * from adoptions") == []
    await world.operations.run("enterprises admit", ADMIT)
    assert await world.sql("select kind from adoptions") == [("offices",)]
    listed = await world.operations.run("enterprises offices", {})
    assert listed["adopted"] is True
    assert {"code": "652300-gaoxin", "name": "昌吉高新技术产业开发区"}.items() <= listed["offices"][8].items()
    await world.issue()
    assert [entry["adopts"] for entry in await world.entries("adoption")] == ["offices"]


async def test_the_adopted_table_counts_and_what_stands_may_be_ended_after_its_office_left(
    small_world: World,
) -> None:
    operations = small_world.operations
    await operations.run("enterprises admit", ADMIT)
    content = small_world.admissions.offices.content.replace(
        'name = "昌吉市"\nfrom = 1900-01-01', 'name = "昌吉市"\nfrom = 2022-01-01'
    )
    small_world.now += timedelta(hours=1)
    await operations.adopt([replace(small_world.admissions.offices, digest="1" * 64, content=content)])
    with pytest.raises(RequestRejected):
        await operations.run("enterprises admit", {**ADMIT, "from": "2021-06-01"})
    ended = await operations.run("enterprises admit", {**ADMIT, "to": "2021-06-30"})
    assert ended["changed"] is True


async def test_an_ended_admission_takes_the_grants_of_later_days_with_it(world: World) -> None:
    await world.employ(FACTORY, ANNA, BORIS)
    await world.complete("1", ANNA)
    await world.complete("2", BORIS, completed_at=datetime(2021, 2, 5, tzinfo=UTC))
    ending = {**ADMIT, "to": "2021-02-28"}
    facts = await world.sql("select count(*) from facts")
    tried = await world.operations.run("enterprises admit", ending)
    assert (tried["dry_run"], tried["changed"], tried["judged"], tried["would_change"]) == (True, False, 2, 1)
    [change] = tried["decisions"]
    assert (change["learner"], change["from"], change["to"]) == (
        await world.learner(ANNA),
        "granted",
        "pending",
    )
    await world.settle()
    assert await world.states(ANNA) == ["granted"]
    assert await world.sql("select count(*) from facts") == facts
    done = await world.operations.run("enterprises admit", {**ending, "apply": "yes"})
    assert done == {"uscc": FACTORY, "office": "652301", "changed": True}
    await world.settle()
    assert await world.states(ANNA) == ["granted", "pending"]
    assert await world.states(BORIS) == ["granted"]
    assert await world.fsck() == []


# --- claim lists


async def claimable(world: World) -> None:
    """Three grants: two of March at the factory, one of them dispatched, and one elsewhere."""
    await world.employ(FACTORY, ANNA)
    scope = json.dumps({"from": "2021-01-01"}).encode()
    await world.enterprises().declare_scope(ENTERPRISE, FACTORY, scope)
    await world.employ(FACTORY, BORIS, category=Category.DISPATCHED.value, dispatched_by=WORKSHOP)
    await world.employ(WORKSHOP, CLARA)
    for number, learner in enumerate([ANNA, BORIS, CLARA]):
        await world.complete(str(number), learner)
    await world.settle()


async def test_a_claim_list_has_the_month_s_live_grants_of_the_enterprise_alone(world: World) -> None:
    await claimable(world)
    answer = await world.enterprises().claim_list(ENTERPRISE, FACTORY, MARCH)
    records = {record.learner_id: record.record_id for record in await world.records()}
    mine = sorted([ANNA, BORIS], key=lambda one: one.id_number)
    assert [one["id_number"] for one in answer["people"]] == [one.id_number for one in mine]
    [boris] = [one for one in answer["people"] if one["name"] == BORIS.name]
    course = world.course("1", BORIS)
    assert boris == {
        "position": mine.index(BORIS) + 1,
        "name": BORIS.name,
        "id_number": BORIS.id_number,
        "month": "2021-03",
        "course": course.title,
        "completed_on": "2021-03-05",
        "platform": "中国职业培训在线",
        "category": "劳务派遣",
        "dispatched": True,
        "dispatched_by": WORKSHOP,
        "record": records[await world.learner(BORIS)],
        "office": "652301",
        "office_name": "",  # nothing is adopted here
    }
    assert answer["summary"] == [
        {"dispatched": False, "dispatched_by": "", "people": 1},
        {"dispatched": True, "dispatched_by": WORKSHOP, "people": 1},
    ]
    assert await shown_to(world) == [("acme", claim_list.PURPOSE, claim_list.SHOWN)] * 2
    april = await world.enterprises().claim_list(ENTERPRISE, FACTORY, date(2021, 4, 1))
    assert (april["people"], april["summary"]) == ([], [])
    await world.revoke("0")
    await world.settle()
    left = await world.enterprises().claim_list(ENTERPRISE, FACTORY, MARCH)
    assert [one["name"] for one in left["people"]] == [BORIS.name]


async def test_a_claim_sheet_leaves_empty_what_is_not_known_and_says_so(small_world: World) -> None:
    await small_world.operations.adopt([small_world.admissions.offices])
    await claimable(small_world)
    raw = await small_world.enterprises().claim_sheet(ENTERPRISE, FACTORY, MARCH)
    people, summary = openpyxl.load_workbook(io.BytesIO(raw)).worksheets
    assert [cell.value for cell in people[1]] == list(claim_list.PEOPLE.values())
    assert (people.max_row, people["C2"].data_type) == (3, "s")
    assert (people["L2"].value, people["M2"].value) == ("652301", "昌吉市")
    header, own, dispatched, _, note = list(summary.iter_rows(values_only=True))
    assert header == claim_list.SUMMARY
    for line in (own, dispatched):
        said = dict(zip(claim_list.SUMMARY, line, strict=True))
        assert {said[column] for column in claim_list.NOT_KNOWN} == {None}
        assert (said["统一信用代码"], said["人次"], said["补贴年月"]) == (FACTORY, 1, "2021-03")
    assert (own[8], dispatched[8], dispatched[10]) == ("否", "是", WORKSHOP)
    assert all(column in str(note[0]) for column in claim_list.NOT_KNOWN)


@pytest.mark.parametrize("title", ['=HYPERLINK("http://x")', "+1", "@SUM(A1)", "#N/A", "a\x01b"])
def test_attack_66_no_cell_of_a_claim_sheet_is_a_formula(title: str) -> None:
    found = claim_list.ClaimList(
        FACTORY,
        title,
        MARCH,
        datetime(2021, 7, 1, tzinfo=UTC),
        ({**dict.fromkeys(claim_list.PEOPLE, ""), "position": 1, "course": title, "name": title},),
        ((None, 1),),
    )
    people, summary = openpyxl.load_workbook(io.BytesIO(claim_list.workbook(found))).worksheets
    shown = title.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    for cell in (people["B2"], people["E2"], summary["A2"]):
        assert (cell.value, cell.data_type, cell.quotePrefix) == (shown, "s", True)


async def test_an_enterprise_that_is_not_admitted_gets_no_claim_list(world: World) -> None:
    with pytest.raises(AccessDenied) as refused:
        await world.enterprises().claim_list(ENTERPRISE, FACTORY, MARCH)
    assert refused.value.code is Code.SCOPE_INSUFFICIENT
    assert await shown_to(world) == []


async def test_after_an_erasure_a_claim_list_shows_no_person(small_world: World) -> None:
    await claimable(small_world)
    who = await small_world.learner(ANNA)
    await small_world.sql("update learners set sealed_key = null where learner_id = :who", who=who)
    answer = await small_world.enterprises().claim_list(ENTERPRISE, FACTORY, MARCH)
    assert {"name": "", "id_number": ""}.items() <= answer["people"][0].items()


# --- asking within limits


async def asked(desk: EnterpriseDesk, body: bytes) -> Any:
    return json.loads(b"".join(await desk.status(ENTERPRISE, FACTORY, body)))


async def test_attack_79_more_people_than_a_day_allows_are_refused_with_an_alarm(small_world: World) -> None:
    desk = small_world.enterprises(people_per_day=3)
    body = json.dumps({"people": [{"id_number": one.id_number} for one in (ANNA, BORIS)]}).encode()
    assert len((await asked(desk, body))["people"]) == 2
    with pytest.raises(RequestRejected) as refused:
        await desk.status(ENTERPRISE, FACTORY, body)
    assert refused.value.code is Code.QUOTA_EXCEEDED
    assert small_world.alarms == [("status_quota", FACTORY, "acme")]


async def test_attack_77_trying_out_numbers_is_alarmed(small_world: World) -> None:
    await small_world.employ(FACTORY, ANNA)
    people = [{"id_number": person(serial, "甲").id_number} for serial in range(300)]
    body = json.dumps({"people": people}).encode()
    await small_world.enterprises().status(ENTERPRISE, FACTORY, body)
    assert small_world.alarms == [("status_enumeration", FACTORY, "acme")]


async def test_a_status_says_who_waits_to_be_judged_again(world: World) -> None:
    await world.employ(FACTORY, ANNA)
    body = json.dumps({"people": [{"id_number": one.id_number} for one in (ANNA, BORIS)]}).encode()

    async def evaluating() -> list[bool | None]:
        answer = await asked(world.enterprises(), body)
        return [one.get("evaluating") for one in answer["people"]]

    assert await evaluating() == [None, None]
    await upload(world, row(ANNA, post="别的"))
    assert await evaluating() == [True, None]
    await world.evaluate()
    assert await evaluating() == [None, None]
    who, later = await world.learner(ANNA), world.now + timedelta(hours=1)
    await world.store.operating(lambda tx: tx.put_due([who], "later", world.now, later))
    assert await evaluating() == [None, None]
    world.now = later
    assert await evaluating() == [True, None]
