"""Law 4: one month is granted once, over all platforms and employers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import permutations
from random import Random
from uuid import uuid4

import pytest

from tests.functional.world import BUREAU, FACTORY, WORKSHOP, World, row
from verifier.claims import Asked
from verifier.cli.simulator import Course, Delivery, Person, person
from verifier.cli.simulator_documents import MohrssTraining
from verifier.cli.simulator_parameters import EmploymentTraining
from verifier.cli.simulator_personnel import NationalPersonnel
from verifier.cli.simulator_statements import SkillMaster
from verifier.errors import Code, Conflict

pytestmark = pytest.mark.untraced

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


async def holding(world: World) -> list[tuple[str, str, str]]:
    """State, number and employer of each month that is held."""
    return [(state, number, uscc) for _, state, number, uscc in await world.slots()]


async def claim_newest(world: World) -> str:
    """A subsidy system claims the newest record."""
    record = (await world.records())[-1].record_id
    await world.claims.claim(BUREAU, record, Asked("pay-1"))
    return record


async def test_a_second_completion_of_the_same_person_does_not_grant_again(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.complete_elsewhere("X-1", LI)
    assert await world.states(LI) == ["granted"]
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted"]


def first_completions(world: World, many: int) -> list[Delivery]:
    """As many certificates of one person, from all platforms in turn, all new."""
    sandbox, at = world.installation.sandbox, world.now
    jc, npt = EmploymentTraining(sandbox), NationalPersonnel(sandbox)
    skm, mpx = SkillMaster(sandbox), MohrssTraining(sandbox)

    def with_file(course: Course, name: str) -> Delivery:
        file = mpx.certificate(course)
        named = [mpx.completed(course, "I1", file)]
        return mpx.delivery({"fileList": [mpx.uploaded(course, file)], "graduationList": named}, name, at)

    senders: list[Callable[[Course, str], Delivery]] = [
        lambda course, name: world.cvt.delivery(world.cvt.completed(course), name, at),
        lambda course, name: world.xzy.delivery([world.xzy.completed(course, "1")], name, at),
        lambda course, name: jc.delivery(jc.completed(course), name, at),
        lambda course, name: npt.delivery([npt.completed(course, "1")], name, at),
        lambda course, _: skm.delivery(skm.completed(course, str(uuid4())), "token"),
        with_file,
    ]
    return [
        senders[number % len(senders)](world.course(f"C{number}", LI), f"d-{number}")
        for number in range(many)
    ]


async def test_64_first_completions_at_once_make_one_learner_and_one_grant(world: World) -> None:
    await world.admit(FACTORY)
    work: list[Callable[[], Awaitable[object]]] = [
        partial(world.post, delivery) for delivery in first_completions(world, 64)
    ]
    # The roster that names the person comes in the middle of it.
    work.insert(32, partial(world.roster, FACTORY, [row(LI)]))
    at_once = asyncio.Semaphore(8)  # as many connections as the pool has

    async def run(one: Callable[[], Awaitable[object]]) -> None:
        async with at_once:
            await one()

    await asyncio.gather(*(run(one) for one in work))
    await world.settle()
    assert len(await world.sql("select 1 from learners")) == 1
    assert len(await world.sql("select 1 from facts where kind = 'completion'")) == 64
    assert len(await world.slots()) == 1
    granted = await world.sql("select revision from decisions where state = 'granted'")
    assert len(granted) == 1
    assert len(await world.sql("select distinct platform from deliveries")) == 6
    assert await world.fsck() == []


async def test_many_people_in_crossing_groups_are_all_granted_once(world: World) -> None:
    people = [person(10 + number, "张三") for number in range(12)]
    await world.employ(FACTORY, *people)
    shuffled, groups = Random(7), []  # noqa: S311 - a fixed shuffle
    for turn in range(4):
        shuffled.shuffle(people)
        courses = [world.course(f"T{turn}-{who.id_number[-8:]}", who) for who in people]
        items = [world.xzy.completed(course, str(place)) for place, course in enumerate(courses)]
        groups.append(world.xzy.delivery(items, f"g-{turn}", world.now))
    await asyncio.gather(*(world.post(group) for group in groups))
    assert len(await world.slots()) == 12
    assert len(await world.sql("select 1 from decisions where state = 'granted'")) == 12


async def test_the_holder_stays_though_an_earlier_completion_comes_later(world: World) -> None:
    await world.employ(FACTORY, LI)
    course = world.course("N-2", LI)
    await world.complete("N-2", LI)
    await world.complete("N-1", LI, completed_at=course.completed_at - timedelta(days=20))
    assert await world.states(LI) == ["granted"]
    assert await holding(world) == [("granted", "N-2", FACTORY)]


async def test_after_a_revocation_the_first_of_those_waiting_takes_the_month(world: World) -> None:
    await world.employ(FACTORY, LI)
    start = world.course("N-1", LI).completed_at
    for days, number in ((0, "N-1"), (9, "N-3"), (5, "N-2")):
        await world.complete(number, LI, completed_at=start + timedelta(days=days))
    await world.revoke("N-1")
    assert await holding(world) == [("granted", "N-2", FACTORY)]
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted", "granted"]


async def test_if_nobody_waits_the_month_is_free_after_a_revocation(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    await world.revoke("N-1")
    assert await world.slots() == []
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted", "revoked"]


async def test_a_revoked_grant_that_was_claimed_blocks_the_month_until_it_is_returned(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.complete_elsewhere("X-1", LI)
    await world.issue()
    record = await claim_newest(world)
    await world.claims.step(BUREAU, record, "paid", "pay-1", "")
    await world.revoke("N-1")
    await world.settle()
    assert await holding(world) == [("clawback_due", "N-1", FACTORY)]
    assert await world.states(LI) == ["granted", "pending"]
    assert [record.kind for record in await world.records()] == ["granted", "revoked"]
    assert len(await world.entries("clawback")) == 1
    await world.claims.step(BUREAU, record, "returned", "pay-1", "已退回")
    await world.settle()
    assert await holding(world) == [("granted", "X-1", FACTORY)]
    assert [record.kind for record in await world.records()] == ["granted", "revoked", "granted"]
    assert await world.fsck() == []


async def test_a_month_given_back_while_the_grant_stands_is_granted_anew(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    record = await claim_newest(world)
    await world.claims.step(BUREAU, record, "paid", "pay-1", "")
    await world.claims.step(BUREAU, record, "returned", "pay-1", "企业自愿退回")
    assert await world.slots() == []
    assert await world.fsck() == []  # a month that is due to be judged again is no finding
    await world.settle()
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    assert await world.states(LI) == ["granted", "granted"]
    await claim_newest(world)
    with pytest.raises(Conflict) as refused:
        await world.claims.claim(BUREAU, record, Asked("pay-2"))
    assert refused.value.code is Code.ALREADY_CLAIMED
    assert await world.fsck() == []


async def test_two_rosters_wait_for_a_reviewer_who_decides(world: World) -> None:
    for code in (FACTORY, WORKSHOP):
        await world.employ(code, LI)
    await world.complete("N-1", LI)
    assert await world.states(LI) == ["pending"]
    assert await world.slots() == []
    await world.close("employer_choice", WORKSHOP)
    assert await holding(world) == [("granted", "N-1", WORKSHOP)]
    assert await world.store.open_reviews() == []


async def test_a_second_roster_after_the_grant_asks_a_reviewer_and_leaves_the_grant(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI)
    assert await world.states(LI) == ["granted"]
    await world.close("second_roster", "keep")
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    await world.evaluate()
    assert await world.store.open_reviews() == []  # what was answered is not asked again


async def test_a_reviewer_may_give_the_month_to_the_second_employer(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI)
    world.now += timedelta(minutes=1)
    await world.close("second_roster", WORKSHOP)
    assert await holding(world) == [("granted", "N-1", WORKSHOP)]


async def test_a_correction_to_another_person_moves_the_month(world: World) -> None:
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.issue()
    right = world.course("N-1", WANG, revision=2)
    await world.post(world.cvt.delivery(world.cvt.completed(right), "c-1", world.now))
    assert await world.states(LI) == ["granted", "refused"]
    assert await world.states(WANG) == ["granted"]
    [(learner, state, number, _)] = await world.slots()
    assert (learner, state, number) == (await world.learner(WANG), "granted", "N-1")
    await world.issue()
    first, *others = [record.kind for record in await world.records()]
    assert (first, sorted(others)) == ("granted", ["granted", "revoked"])


async def test_a_claimed_month_is_owed_when_its_completion_turns_out_to_be_anothers(world: World) -> None:
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.issue()
    await claim_newest(world)
    right = world.course("N-1", WANG, revision=2)
    await world.post(world.cvt.delivery(world.cvt.completed(right), "c-1", world.now))
    assert sorted(state for state, _, _ in await holding(world)) == ["clawback_due", "granted"]


async def test_a_corrected_completion_keeps_its_claimed_month(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    await claim_newest(world)
    better = world.course("N-1", LI, revision=2, title="更正后的课程名称")
    await world.post(world.cvt.delivery(world.cvt.completed(better), "c-1", world.now))
    assert await holding(world) == [("claimed", "N-1", FACTORY)]
    assert await world.states(LI) == ["granted", "granted"]


async def test_the_order_of_arrival_does_not_change_who_is_entitled(small_world: World) -> None:
    """Two people on a roster, a correction from one to the other, a revocation of another number."""
    results = set()
    for turn, order in enumerate(permutations(range(4))):
        people = person(100 + 2 * turn, "甲"), person(101 + 2 * turn, "乙")
        steps = _steps(small_world, f"P-{turn}", *people)
        for step in order:
            await steps[step]()
        if not turn:
            await small_world.admit(FACTORY)
        await small_world.evaluate()
        states = [await small_world.states(who) for who in people]
        results.add(tuple(state[-1] if state else "nothing" for state in states))
    # Who was named first by mistake has a refusal, or nothing if the correction came before.
    assert results == {("refused", "granted"), ("nothing", "granted")}


def _steps(world: World, number: str, first: Person, second: Person) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: world.complete(number, first),
        lambda: world.complete(number, second, revision=2),
        lambda: world.roster(FACTORY, [row(first), row(second)]),
        lambda: world.revoke(f"other-{number}"),
    ]


async def test_two_revisions_of_one_moment_reach_the_ledger_in_their_order(world: World) -> None:
    """Their ids are random; eight times in the right order by chance would be one in 256."""
    people = [person(20 + number, "李四") for number in range(8)]
    await world.employ(FACTORY, *people)
    for number, who in enumerate(people):
        await world.complete(f"N-{number}", who)
    for number in range(8):
        await world.revoke(f"N-{number}")
    await world.issue()
    kinds: dict[str, list[str]] = {}
    for record in await world.records():
        kinds.setdefault(record.learner_id, []).append(record.kind)
    assert list(kinds.values()) == [["granted", "revoked"]] * 8


async def test_a_transaction_that_waited_does_not_put_its_decision_before_an_earlier_one(
    world: World,
) -> None:
    """The second transaction bears an earlier moment: it began first, or its machine's clock is behind."""
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    behind = world.cvt.delivery(world.cvt.revoked("N-1", "误发", world.now), "r-1", world.now)
    world.now -= timedelta(minutes=2)
    await world.post(behind)
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted", "revoked"]
