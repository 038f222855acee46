"""Signals on both databases: found from what came, said once, shown, closed, and never part of a decision."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.answers import said
from tests.functional.world import FACTORY, WORKSHOP, World, row
from verifier import merging, standing
from verifier.cli.simulator import Course, Person, enterprise_code, person
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.facts import Source
from verifier.model.person import IdentityClaims, Uscc
from verifier.model.signals import SignalKind
from verifier.policy.thresholds import Thresholds, load_thresholds
from verifier.preparing import ProvenItem
from verifier.settings import Settings
from verifier.signalling import EVERY, SLICE, SignalDesk, SignalWorker

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
ZHAO = person(3, "赵大海")
NOON = datetime(2021, 3, 5, 4, tzinfo=UTC)
DECIDED = ("facts", "decisions", "slots", "due", "reviews", "records", "outbox", "claims", "status_entries")


@dataclass
class Desk:
    """The worker and the reviewer's desk over a world."""

    world: World
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def thresholds(self) -> Thresholds:
        return load_thresholds(Settings().signals.read_bytes())

    def worker(self) -> SignalWorker:
        return SignalWorker(self.world.store, self.thresholds, self.world.clock, self)

    def counted(self, signals: Mapping[tuple[str, str], int]) -> None:
        self.counts.update(signals)

    async def look(self) -> int:
        """Everything that is covered, and every roster that waits; says how many steps that took."""
        await self.world.settle()
        worker, steps = self.worker(), 0
        for _ in range(2):
            while await worker.step():
                steps += 1
            self.world.now += EVERY
        await worker.step()
        return steps

    @property
    def table(self) -> Mapping[str, Any]:
        return SignalDesk(self.world.store, self.world.clock).table()

    async def do(self, action: str, **parameters: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self.table[f"signals {action}"]({"operator": "周", **parameters})
        return answer

    async def listed(self, **parameters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.do("list", **parameters))["signals"]
        return found

    async def kinds(self, **parameters: str) -> list[str]:
        return sorted(one["kind"] for one in await self.listed(**parameters))


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def small_desk(small_world: World) -> Desk:
    return Desk(small_world)


async def learned(
    world: World,
    number: str,
    who: Person,
    until: datetime,
    *,
    minutes: int | None = None,
    start: datetime | None = None,
    elsewhere: bool = False,
) -> None:
    """A completion whose certificate also says how long was learned."""
    course: Course = world.course(number, who, until)
    if elsewhere:
        delivery = world.xzy.delivery([world.xzy.completed(course, "1")], world.new_id(), world.now)
    else:
        delivery = world.cvt.delivery(world.cvt.completed(course), world.new_id(), world.now)
    prepared = world.prepared(delivery)
    [item] = prepared.items
    assert isinstance(item, ProvenItem)
    said = replace(item.proven.certificate, started_at=start, study_minutes=minutes)
    item = replace(item, proven=replace(item.proven, certificate=said))
    await world.commit([replace(prepared, items=(item,))])


async def snapshot(world: World) -> dict[str, list[Any]]:
    """Everything that decides, is decided or is answered."""
    return {name: sorted(map(repr, await world.sql(f"select * from {name}"))) for name in DECIDED}  # noqa: S608 - our own tables


async def suspicious(world: World) -> None:
    """Somebody learned more than the clock allows, on two platforms, listed by two; one came too late."""
    await world.employ(FACTORY, LI, WANG)
    await world.employ(WORKSHOP, LI)
    await learned(world, "N-1", LI, NOON, minutes=400, start=NOON - timedelta(hours=1))
    await learned(world, "N-2", LI, NOON + timedelta(minutes=20), minutes=90, elsewhere=True)
    await world.roster(WORKSHOP, [row(ZHAO, from_="2021-05-01")])
    await world.complete("N-3", ZHAO)


EXPECTED = ["outside_employment", "sessions_overlap", "study_beyond_clock", "two_employers"]


async def test_signals_are_found_from_what_came_and_said_once(desk: Desk) -> None:
    await suspicious(desk.world)
    assert await desk.look() >= 1
    assert await desk.kinds() == EXPECTED
    before = await desk.listed()
    assert await desk.look() >= 1  # the signals' own evidence is passed over
    assert await desk.look() == 0
    await desk.world.roster(FACTORY, [row(LI, post="新岗位")])
    await desk.look()
    assert await desk.listed() == before
    assert await desk.world.fsck() == []
    assert desk.counts["study_beyond_clock", "open"] == 1
    assert desk.counts["roster_burst", "open"] == desk.counts["two_employers", "closed"] == 0


async def test_a_signal_says_why_and_whom_to_ask_and_names_nobody(desk: Desk) -> None:
    await suspicious(desk.world)
    await desk.look()
    listed = await desk.listed()
    said = json.dumps(listed, ensure_ascii=False)
    for who in (LI, WANG, ZHAO):
        assert who.name not in said
        assert who.id_number not in said
    [beyond] = [one for one in listed if one["kind"] == "study_beyond_clock"]
    assert beyond["title"] == "学时超过实际经过的时间"
    assert beyond["reason"] == "1张证书所载学时超过开始至结业经过的时间，最多超出340分钟"
    assert beyond["learner"] == await desk.world.learner(LI)
    assert await desk.kinds(kind="two_employers") == ["two_employers"]
    assert await desk.kinds(uscc=WORKSHOP) == ["outside_employment", "two_employers"]
    assert await desk.kinds(uscc=FACTORY) == ["two_employers"]


async def test_showing_one_names_people_and_is_in_their_access_log(desk: Desk) -> None:
    await suspicious(desk.world)
    await desk.look()
    [one] = await desk.listed(kind="two_employers")
    count = await desk.world.sql("select count(*) from disclosures")
    shown = await desk.do("show", id=one["signal"])
    assert {fact["kind"] for fact in shown["facts"]} == {"completion", "employment"}
    assert {fact["name"] for fact in shown["facts"]} == {LI.name}
    assert {fact["learner"] for fact in shown["facts"]} == {await desk.world.learner(LI)}
    assert (shown["rules"], shown["thresholds"]) == ("signals@1", desk.thresholds.digest)
    logged = await desk.world.sql("select client_id, purpose, what, learner_id from disclosures")
    assert ("operator:周", "two_employers", "signal", await desk.world.learner(LI)) in logged
    assert len(logged) == count[0][0] + 1


async def test_closing_one_keeps_it_with_its_reason_sealed(desk: Desk) -> None:
    await suspicious(desk.world)
    await desk.look()
    [one] = await desk.listed(kind="two_employers")
    reason = f"已电话核实{LI.name}在工厂上班"
    assert await desk.do("close", id=one["signal"], outcome="followed", reason=reason) == {
        "signal": one["signal"],
        "outcome": "followed",
    }
    assert "two_employers" not in await desk.kinds()
    [closed] = [one for one in await desk.listed(all="yes") if one["kind"] == "two_employers"]
    assert (closed["outcome"], closed["closed_by"]) == ("followed", "周")
    assert (await desk.do("show", id=one["signal"]))["closing_reason"] == reason
    kept = repr(await desk.world.sql("select * from signal_closings"))
    assert LI.name not in kept
    with pytest.raises(Conflict) as refused:
        await desk.do("close", id=one["signal"], outcome="noted", reason="再次")
    assert refused.value.code is Code.REVIEW_STATE_REFUSED
    await desk.look()
    assert "two_employers" not in await desk.kinds()
    assert desk.counts["two_employers", "closed"] == 1
    assert await desk.world.fsck() == []
    await desk.world.sql("update signals set details = '{}' where kind = 'study_beyond_clock'")
    assert await desk.world.fsck() != []


async def test_a_person_is_shown_the_signals_on_them(desk: Desk) -> None:
    world = desk.world
    await suspicious(world)
    await desk.look()
    [one] = await desk.listed(kind="two_employers")
    await desk.do("close", id=one["signal"], outcome="followed", reason="已核实")
    asked = {"id_number": LI.id_number, "purpose": "本人查询", "operator": "周"}
    shown = (await world.operations.show_learner(asked))["signals"]
    assert {said["kind"] for said in shown} == {*EXPECTED} - {"outside_employment"}
    [closed] = [said for said in shown if "outcome" in said]
    assert (closed["title"], closed["outcome"]) == ("同一证书对应多家单位", "followed")
    assert "周" not in json.dumps(shown, ensure_ascii=False)
    asked["id_number"] = WANG.id_number
    assert (await world.operations.show_learner(asked))["signals"] == []


@pytest.mark.untraced
async def test_after_an_erasure_a_signal_names_nobody_and_keeps_no_reason(desk: Desk) -> None:
    await suspicious(desk.world)
    await desk.look()
    first, second = await desk.listed(kind="two_employers"), await desk.listed(kind="sessions_overlap")
    await desk.do("close", id=first[0]["signal"], outcome="noted", reason=f"已问{LI.name}")
    learner = await desk.world.learner(LI)
    await desk.world.sql("update learners set sealed_key = null where learner_id = :who", who=learner)
    await desk.do("close", id=second[0]["signal"], outcome="noted", reason="已删除")
    for one in (*first, *second):
        shown = await desk.do("show", id=one["signal"])
        assert (shown["closing_reason"], {fact["name"] for fact in shown["facts"]}) == ("", {""})
    assert [one.kind for one in await desk.world.fsck()] == ["emptied_unlawfully"]


async def test_a_list_that_is_too_long_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await suspicious(desk.world)
    await desk.look()
    assert "more" not in await desk.do("list")
    monkeypatch.setattr("verifier.signalling.MOST_LISTED", 2)
    answer = await desk.do("list")
    assert len(answer["signals"]) == 2
    assert "more" in answer


@pytest.mark.parametrize(
    ("action", "parameters", "pointer"),
    [
        ("list", {"kind": "nothing"}, "kind"),
        ("show", {}, "id"),
        ("show", {"id": "x" * 1_001}, "id"),
        ("close", {"id": "a", "outcome": "refused", "reason": "b"}, "outcome"),
        ("close", {"id": "a", "outcome": "noted"}, "reason"),
        ("close", {"id": "a", "outcome": "noted", "reason": "b\nc"}, "reason"),
    ],
)
async def test_what_is_malformed_is_refused_by_name(
    small_desk: Desk, action: str, parameters: dict[str, str], pointer: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await small_desk.do(action, **parameters)
    assert refused.value.pointer == pointer


async def test_a_signal_that_does_not_exist_is_not_found(small_desk: Desk) -> None:
    for action, more in (("show", {}), ("close", {"outcome": "noted", "reason": "b"})):
        with pytest.raises(AccessDenied):
            await small_desk.do(action, id="nothing", **more)


# Nothing hangs on it


async def test_no_signal_changes_a_decision_a_record_or_an_answer(desk: Desk) -> None:
    world = desk.world
    await suspicious(world)
    await world.settle()
    before, records = await snapshot(world), await world.records()
    entries = [one for one in await world.entries() if one["kind"] != "evidence"]
    answers = [await answer(world, code) for code in (FACTORY, WORKSHOP)]
    await desk.look()
    assert len(await desk.listed()) == len(EXPECTED)
    await world.evaluate()
    assert await snapshot(world) == before
    await world.settle()
    assert await world.records() == records
    assert [one for one in await world.entries() if one["kind"] != "evidence"] == entries
    assert [await answer(world, code) for code in (FACTORY, WORKSHOP)] == answers
    for one in await desk.listed():
        await desk.do("close", id=one["signal"], outcome="followed", reason="已核实")
    await world.evaluate()
    assert await snapshot(world) == before


async def answer(world: World, code: Uscc) -> Any:
    """What an enterprise is told of its people, but for the moment at which it is told."""
    people = [IdentityClaims("resident_id", who.id_number, who.name) for who in (LI, WANG, ZHAO)]
    policy, register = world.rulebook.policy, world.rulebook.register
    found = await world.store.standings(
        lambda tx: standing.status(
            tx, code, people, at=world.now, policy=policy, register=register, client_id="enterprise"
        )
    )
    return {name: value for name, value in said(found).items() if name != "as_of"}


async def test_nothing_waits_for_the_worker(desk: Desk) -> None:
    """It never ran here: decisions and records come all the same, and it finds everything afterwards."""
    world = desk.world
    await suspicious(world)
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-9", WANG)
    await world.settle()
    assert await world.states(WANG) == ["granted"]
    assert len(await world.records()) >= 1
    assert await world.sql("select count(*) from signals") == [(0,)]
    assert await world.sql("select count(*) from signal_checks") == [(0,)]
    await desk.look()
    assert set(EXPECTED) <= {*await desk.kinds()}


# Whole rosters


def crowd(count: int) -> list[Person]:
    return [person(100 + n, f"测试员{n}") for n in range(count)]


async def finish_together(
    world: World, people: list[Person], apart: timedelta = timedelta(seconds=3)
) -> None:
    deliveries = [
        world.cvt.delivery(
            world.cvt.completed(world.course(f"B-{n}", who, NOON + n * apart)), world.new_id(), world.now
        )
        for n, who in enumerate(people)
    ]
    await world.post(*deliveries)


async def test_a_roster_that_finishes_within_minutes_is_told_once(desk: Desk) -> None:
    people = crowd(12)
    await desk.world.employ(FACTORY, *people)
    await finish_together(desk.world, people)
    await desk.look()
    # The roster was also uploaded months after everybody had finished.
    assert await desk.kinds() == ["roster_afterwards", "roster_burst"]
    [burst] = await desk.listed(kind="roster_burst")
    assert (burst["enterprise"], burst["details"]["people"]) == (FACTORY, 12)
    assert "learner" not in burst
    shown = await desk.do("show", id=burst["signal"])
    assert {fact["name"] for fact in shown["facts"]} == {who.name for who in people}
    logged = await desk.world.sql("select count(*) from disclosures where what = 'signal'")
    assert logged == [(12,)]
    await desk.do("close", id=burst["signal"], outcome="noted", reason="集中培训")
    assert (await desk.do("show", id=burst["signal"]))["closing_reason"] == "集中培训"
    await desk.look()
    assert await desk.kinds() == ["roster_afterwards"]


@pytest.mark.untraced
async def test_people_are_read_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier.signalling.PAGE", 5)
    monkeypatch.setattr("verifier.signalling.SLICE", 7)
    people = crowd(11)
    await desk.world.employ(FACTORY, *people)
    await finish_together(desk.world, people)
    assert await desk.look() > 4
    assert "roster_burst" in await desk.kinds()
    assert await desk.world.sql("select count(*) from signal_checks") == [(0,)]


async def test_a_roster_is_looked_at_a_little_later_and_only_once(desk: Desk) -> None:
    people = crowd(11)
    await desk.world.employ(FACTORY, *people)
    await finish_together(desk.world, people)
    await desk.world.settle()
    worker = desk.worker()
    while await worker.step():
        pass
    assert await desk.kinds() == []
    assert await desk.world.sql("select count(distinct uscc) from signal_checks") == [(1,)]
    desk.world.now += EVERY
    assert [await worker.step(), await worker.step()] == [SLICE, 0]
    assert "roster_burst" in await desk.kinds()


async def test_several_enterprises_through_one_key_are_told(desk: Desk) -> None:
    world = desk.world
    codes = [Uscc(enterprise_code(n)) for n in range(6)]
    for number, code in enumerate(codes):
        client = "enterprise" if number < 3 else f"other-{number}"
        await world.roster(code, [row(person(200 + number, f"测试员{number}"))])
        await world.sql(
            "update rosters set uploaded_by = :client where uscc = :code", client=client, code=code
        )
    for client in ("enterprise", "other-3", "other-4"):
        await world.operations.add_client(
            world.client_parameters(client, "enterprise", enterprises=",".join(codes))
        )
    await desk.look()
    found = await desk.listed(kind="shared_client_key")
    assert {one["enterprise"] for one in found} == set(codes[:5])
    assert {one["details"]["enterprises"] for one in found} == {5}


async def test_a_shared_value_is_told_by_its_kind_alone(desk: Desk) -> None:
    world = desk.world
    people = [person(300 + n, f"测试员{n}") for n in range(5)]
    for number, who in enumerate(people):
        await world.complete(f"V-{number}", who)
    for who in people:
        await world.sql(
            "insert into traits (kind, pepper_version, blind_index, learner_id, sealed_value)"
            " values ('phone', :version, :index, :who, :sealed)",
            version=1,
            index=b"\0" * 32,
            who=await world.learner(who),
            sealed=b"-",
        )
    await desk.look()
    found = await desk.listed(kind="shared_value")
    assert {one["learner"] for one in found} == {await world.learner(who) for who in people}
    assert {json.dumps(one["details"], sort_keys=True) for one in found} == {
        '{"certificates": 1, "people": 5, "value": "phone"}'
    }


async def test_a_roster_that_marks_somebody_retired_is_told_and_the_month_is_granted(desk: Desk) -> None:
    world = desk.world
    await world.employ(FACTORY, LI, WANG, status="退休")
    await world.complete("N-1", LI)
    await desk.look()
    [one] = await desk.listed(kind="marked_by_roster")
    assert one["reason"] == "1张证书结业之日，该单位花名册标注为退休"
    assert await world.states(LI) == ["granted"]
    shown = await desk.do("show", id=one["signal"])
    assert {fact.get("mark") for fact in shown["facts"]} == {"退休", None}


# Corrections, merges, and several workers


async def test_a_number_corrected_to_somebody_else_is_told_with_both_employers(desk: Desk) -> None:
    world = desk.world
    await world.employ(FACTORY, LI)
    await world.employ(WORKSHOP, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-1", WANG, revision=2)
    await desk.look()
    [one] = await desk.listed(kind="two_employers")
    assert one["learner"] == await world.learner(WANG)
    assert one["details"]["enterprises"] == sorted([FACTORY, WORKSHOP])


async def test_what_two_learners_did_is_one_person_s_once_they_are_merged(desk: Desk) -> None:
    world = desk.world
    await learned(world, "N-1", LI, NOON, minutes=60)
    await learned(world, "N-2", WANG, NOON + timedelta(minutes=20), minutes=60, elsewhere=True)
    await desk.look()
    assert await desk.kinds() == []
    first, second = await world.learner(LI), await world.learner(WANG)
    finding = merging.Finding(first, second, "同一人", "护照", Source("operator", "周"))
    canonical = await world.store.merging(
        lambda tx: merging.merge(tx, finding, at=world.now, new_id=world.new_id)
    )
    await desk.look()
    [one] = await desk.listed(kind="sessions_overlap")
    assert one["learner"] == canonical


async def test_two_workers_at_once_say_everything_once(desk: Desk) -> None:
    await suspicious(desk.world)
    await desk.world.settle()
    workers = [desk.worker() for _ in range(3)]

    async def work(worker: SignalWorker) -> None:
        while await worker.step():
            pass

    await asyncio.gather(*(work(worker) for worker in workers))
    desk.world.now += EVERY
    await asyncio.gather(*(work(worker) for worker in workers))
    assert await desk.kinds() == EXPECTED
    assert await desk.world.fsck() == []


async def test_what_comes_while_a_roster_is_looked_at_is_looked_at_again(desk: Desk) -> None:
    """A note that waits already may belong to a look that began before."""
    world, people = desk.world, crowd(11)
    await world.employ(FACTORY, *people)
    await finish_together(world, people[:9])
    await world.settle()
    worker = desk.worker()
    while await worker.step():
        pass
    world.now += EVERY
    check = await world.store.looking(lambda tx: tx.next_check(world.now))
    assert check is not None
    await finish_together(world, people)
    await world.settle()
    while await worker._look_at_people(world.now):
        pass
    await world.store.finding(lambda tx: tx.done(check))
    world.now += EVERY
    while await worker.step():
        pass
    assert "roster_burst" in await desk.kinds()


async def test_counting_goes_on_by_itself(small_desk: Desk) -> None:
    worker = small_desk.worker()
    await worker.step()
    assert set(small_desk.counts) == {
        (kind.value, state) for kind in SignalKind for state in ("open", "closed")
    }
    small_desk.counts.clear()
    await worker.step()
    assert small_desk.counts == {}
    small_desk.world.now += timedelta(minutes=1)
    await worker.step()
    assert small_desk.counts
