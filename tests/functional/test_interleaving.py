"""Whatever happens at once, nobody's decision is left as it was: causes in pairs, on both databases.

When all that is due has been worked off, judging everybody anew must find nothing to change. That is the
whole promise: a cause that was lost between two others would leave a decision that no longer agrees with
what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations_with_replacement
from typing import Final

import pytest

from tests.functional.test_adoption import SINCE, stolen, take_up
from tests.functional.world import BUREAU, FACTORY, WORKSHOP, Installation, World, over, row
from tests.population import seeded
from verifier import merging, pipeline
from verifier.claims import Asked
from verifier.cli.simulator import Person, person
from verifier.errors import Conflict
from verifier.merging import Finding
from verifier.model.facts import Source
from verifier.model.person import LearnerId

pytestmark = pytest.mark.untraced

OLD, NEW = person(1, "阿依古丽·买买提"), person(2, "阿依古丽")
Cause = Callable[[World], Awaitable[object]]


async def unsettled(world: World) -> list[str]:
    """Whose newest decision is not what judging them now would say."""
    rows = await world.sql("select learner_id from learners")
    everybody = {LearnerId(learner) for (learner,) in rows}
    return await world.store.previewing(
        lambda tx: [
            judgement.case.learner_id
            for judgement in pipeline.judgements(tx, everybody, world.rulebook, world.now)
            if judgement.changed
        ]
    )


async def finding(world: World) -> Finding:
    return Finding(
        await world.learner(OLD), await world.learner(NEW), "换证", "新旧证件", Source("operator", "赵")
    )


async def roster(world: World) -> None:
    await world.roster(WORKSHOP, [row(NEW)])


async def listing_twice(world: World) -> None:
    await world.roster(WORKSHOP, [row(OLD)])


async def callback(world: World) -> None:
    await world.complete_elsewhere("X-1", NEW)


async def correction(world: World) -> None:
    await world.complete("N-1", NEW, revision=2, issued_at=datetime(2021, 3, 9, tzinfo=UTC))


async def revocation(world: World) -> None:
    await world.revoke("N-1")


async def admission(world: World) -> None:
    await world.admit(WORKSHOP)


async def merge(world: World) -> None:
    said = await finding(world)
    work = partial(merging.merge, finding=said, at=world.now, new_id=world.new_id, despite=True)
    with suppress(Conflict):  # they are one already
        await world.store.merging(work)


async def part(world: World) -> None:
    said = await finding(world)
    with suppress(Conflict):  # they are not one yet, or not any more
        await world.store.merging(partial(merging.part, finding=said, at=world.now, new_id=world.new_id))


async def adoption(world: World) -> None:
    register, form = stolen(world)
    await world.operations.adopt([form], lambda: take_up(world, register))


CAUSES: Final[Mapping[str, Cause]] = {
    cause.__name__: cause
    for cause in (
        roster, listing_twice, callback, correction, revocation, admission, merge, part, adoption,
    )
}  # fmt: skip


async def begun(world: World) -> None:
    """OLD holds the month at the factory; NEW is known; the workshop is not admitted yet."""
    await world.adopt()
    world.now = SINCE + timedelta(days=1)
    await world.employ(FACTORY, OLD)
    await world.complete("N-1", OLD)
    await world.complete("N-2", NEW)
    await world.evaluate()
    assert await world.states(OLD) == ["granted"]
    assert await unsettled(world) == []


async def at_once(world: World, *causes: Cause) -> None:
    """The causes, with somebody working off what is due in between."""
    done = asyncio.Event()

    async def deciding() -> None:
        while not done.is_set():
            await world.evaluate()
            await asyncio.sleep(0)

    worker = asyncio.create_task(deciding())
    await asyncio.gather(*(cause(world) for cause in causes))
    done.set()
    await worker
    await world.evaluate()


async def together(world: World, one: str, other: str) -> None:
    await begun(world)
    if "part" in {one, other}:
        await merge(world)
    await at_once(world, CAUSES[one], CAUSES[other])
    assert await unsettled(world) == []
    assert await world.sql("select 1 from due") == []
    assert await world.fsck() == []


@pytest.mark.parametrize(("one", "other"), list(combinations_with_replacement(CAUSES, 2)))
async def test_two_causes_at_once_lose_no_re_evaluation(
    postgresql: str, installation: Installation, one: str, other: str
) -> None:
    world = await over(postgresql, installation)
    await together(world, one, other)
    await world.store.database.close()


@pytest.mark.parametrize("one", CAUSES)
async def test_nor_do_they_where_one_writes_at_a_time(small_world: World, one: str) -> None:
    await together(small_world, one, "merge")


async def test_a_cause_that_tells_nobody_is_found_by_this_check(world: World) -> None:
    """The negative control: a fact that comes without anybody being put on the due list."""
    await begun(world)
    await world.sql("delete from due")
    await world.admit(WORKSHOP)
    await world.roster(WORKSHOP, [row(NEW)])
    await world.sql("delete from due")
    await world.evaluate()
    assert await unsettled(world) == [await world.learner(NEW)]


# --- merging and parting ------------------------------------------------------------------------------------


async def standing(world: World, *people: Person) -> list[object]:
    """What holds of people, ids of records and entries aside."""
    found: list[object] = []
    for one in people:
        learner = await world.learner(one)
        found.append(
            await world.sql("select state, number, uscc from slots where learner_id = :l", l=learner)
        )
        found.append(
            await world.sql(
                "select state, material, completion_fact, uscc, month from decisions where learner_id = :l"
                " order by revision desc limit 1",
                l=learner,
            )
        )
    return found


@pytest.mark.parametrize("seed", range(12))
async def test_merging_and_parting_restores_what_was(small_world: World, seed: int) -> None:
    """Whatever two learners have: completions, employers, claims, payments, a third one merged before."""
    world, random = small_world, seeded(seed)
    people = [person(10 * seed + place, f"学员{sign}") for place, sign in enumerate("甲乙丙")]
    for place, one in enumerate(people):
        world.now += timedelta(minutes=1)
        if random.random() < 0.8:
            await world.employ(random.choice([FACTORY, WORKSHOP]), one)
        for number in range(random.randrange(3)):
            await world.complete(f"N-{seed}-{place}-{number}", one)
        await world.settle()
        newest = (await world.records())[-1:]
        if newest and newest[0].current and newest[0].kind == "granted" and random.random() < 0.5:
            await _claimed(world, newest[0].record_id, paid=random.random() < 0.5)
    learners = [await world.learner(one) for one in people]
    pairs = [(a, b) for place, a in enumerate(learners) for b in learners[place + 1 :] if a and b]
    for first, second in pairs[:1]:
        said = Finding(first, second, "同一人", "证件", Source("operator", "赵"))
        before = await standing(world, *people)
        for act in (merging.merge, merging.part):
            work = partial(act, finding=said, at=world.now, new_id=world.new_id)
            await world.store.merging(work)
            await world.settle()
            assert await unsettled(world) == []
        assert await standing(world, *people) == before
    assert await world.fsck() == []


async def _claimed(world: World, record: str, *, paid: bool) -> None:
    await world.claims.claim(BUREAU, record, Asked(f"pay-{record}"))
    if paid:
        await world.claims.step(BUREAU, record, "paid", f"pay-{record}", "已支付")
