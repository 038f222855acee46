"""An adoption reaches everybody, slice by slice: also after a crash, and also whom nobody knew of then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest

from tests.functional.world import FACTORY, World, over
from verifier import evaluator
from verifier.cli.simulator import Person, person
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.ports.sweeping import SweepingTransaction
from verifier.settings import Settings

pytestmark = pytest.mark.untraced

T = TypeVar("T")
MAIN: Final = Settings().policy.read_text(encoding="utf-8")
PEOPLE: Final = [person(serial, "学员甲") for serial in range(20, 27)]


def revised(revision: int, last: str = "2021-12-31") -> str:
    """The policy that comes with the service under another revision, and perhaps another last day."""
    text = re.sub(r"^revision = \d+$", f"revision = {revision}", MAIN, flags=re.MULTILINE)
    return text.replace("last = 2021-12-31", f"last = {last}")


def further() -> str:
    """The main policy about another entitlement, under which nobody was ever decided."""
    return MAIN.replace('"online-training-month"', '"another-subsidy"')


async def adopt(world: World, *texts: str) -> None:
    policies = tuple(load(text.encode()) for text in texts)

    def taken_up() -> None:
        world.rulebook = Rulebook(policies, world.register)

    forms = [
        SourceForm("policy", policy.digest, text, {})
        for policy, text in zip(policies, texts, strict=True)
        if policy.digest not in known(world)
    ]
    assert await world.operations.adopt(forms, taken_up)


def known(world: World) -> set[str]:
    return {policy.digest for policy in world.rulebook.policies} if world.rulebook.policies else set()


async def lived(world: World) -> None:
    """Seven people with a completion each, all granted."""
    await world.employ(FACTORY, *PEOPLE)
    for serial, one in enumerate(PEOPLE):
        await world.complete(f"N-{serial}", one)


async def decided_under(world: World, policy: Policy | str, *people: Person) -> list[int]:
    """How often each of these people was decided under a policy."""
    digest = policy.digest if isinstance(policy, Policy) else load(policy.encode()).digest
    counts = []
    for one in people or PEOPLE:
        rows = await world.sql(
            "select trace from decisions where learner_id = :who", who=await world.learner(one)
        )
        counts.append(sum(digest in trace for (trace,) in rows))
    return counts


async def sweeps(world: World) -> list[tuple[int, int]]:
    return [(sweep.done, sweep.total) for sweep in (await world.store.backlog()).sweeps]


async def step(world: World) -> int:
    return await evaluator.step(world.store, lambda: world.rulebook, clock=world.clock, new_id=world.new_id)


async def test_everybody_is_judged_once_and_the_progress_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SLICE", 3)
    await lived(world)
    await adopt(world, revised(7))
    seen = [await sweeps(world)]
    while await step(world):
        seen.append(await sweeps(world))
    assert seen == [[(0, 7)], [(3, 7)], [(6, 7)], [(7, 7)], []]
    assert await decided_under(world, revised(7)) == [1] * 7
    assert await sweeps(world) == []
    assert (await world.store.backlog()).due == 0
    assert await decided_under(world, revised(7)) == [1] * 7


async def test_a_new_policy_reaches_people_who_were_never_decided_under_it(small_world: World) -> None:
    await lived(small_world)
    roster_only = person(40, "未学员")
    await small_world.employ(FACTORY, *PEOPLE, roster_only)
    await adopt(small_world, MAIN, further())
    await small_world.evaluate()
    assert await decided_under(small_world, further()) == [1] * 7
    assert await decided_under(small_world, further(), roster_only) == [0]
    assert await sweeps(small_world) == []


async def test_a_process_that_is_killed_goes_on_where_it_was(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SLICE", 2)
    await lived(world)
    await adopt(world, revised(7))
    await step(world)
    await step(world)
    # What it had in hand is undone with everything else of its transaction.
    with pytest.raises(Killed):
        await evaluator.step(Dying(world), lambda: world.rulebook, clock=world.clock, new_id=world.new_id)
    assert await sweeps(world) == [(4, 7)]
    assert sum(await decided_under(world, revised(7))) == 4
    rulebook = world.rulebook
    await world.store.database.close()
    again = await over(url, world.installation)
    world.store = again.store  # closed when the test ends
    again.rulebook, again.now = rulebook, world.now
    await again.evaluate()
    assert await decided_under(again, revised(7)) == [1] * 7
    assert await sweeps(again) == []


class Killed(Exception):
    """The process ends in the midst of a transaction."""


@dataclass
class Dying:
    world: World

    async def evaluating(self, work: Callable[[SweepingTransaction], T]) -> T:
        def dies(tx: SweepingTransaction) -> T:
            work(tx)
            raise Killed

        return await self.world.store.evaluating(dies)

    async def anything_due(self) -> bool:
        return await self.world.store.anything_due()


async def test_two_adoptions_one_after_the_other_end_with_the_last_for_everybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SLICE", 3)
    await lived(world)
    await adopt(world, revised(7, "2021-02-28"))
    await step(world)
    world.now += timedelta(seconds=1)
    await adopt(world, revised(8))
    await world.evaluate()
    assert await sweeps(world) == []
    assert await decided_under(world, revised(8)) == [1] * 7
    assert sum(await decided_under(world, revised(7, "2021-02-28"))) == 3
    for one in PEOPLE:
        assert (await world.states(one))[-1] == "granted"


async def test_what_is_due_comes_before_a_sweep(small_world: World) -> None:
    await lived(small_world)
    await adopt(small_world, revised(7))
    late = person(30, "学员乙")
    await small_world.complete("N-30", late)
    await small_world.roster(FACTORY, [row_of(one) for one in (*PEOPLE, late)])
    backlog = await small_world.store.backlog()
    assert (backlog.due, backlog.oldest) == (1, small_world.now)
    assert await step(small_world) == 1
    assert await small_world.states(late) == ["pending", "granted"]
    assert await sweeps(small_world) == [(0, 7)]


def row_of(one: Person) -> dict[str, str]:
    return {"id_number": one.id_number, "name": one.name, "from": "2021-01-01", "category": "留岗"}


async def test_where_nobody_is_known_an_adoption_sweeps_only_while_others_write(small_world: World) -> None:
    form = SourceForm("policy", load(MAIN.encode()).digest, MAIN, {})
    assert await small_world.operations.adopt([form])
    assert await sweeps(small_world) == []
    await adopt(small_world, revised(7))
    assert await sweeps(small_world) == [(0, 0)]
    assert await step(small_world) == 1
    assert await sweeps(small_world) == []


async def test_an_adoption_while_callbacks_arrive_misses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SLICE", 2)
    await lived(world)
    others = [person(serial, "学员丁") for serial in range(50, 62)]

    async def arrive() -> None:
        for serial, one in enumerate(others):
            await world.complete(f"M-{serial}", one)

    async def change() -> None:
        await asyncio.sleep(0.02)
        await adopt(world, revised(7))
        await asyncio.gather(world.evaluate(), world.evaluate())

    await asyncio.gather(arrive(), change())
    assert await sweeps(world) == []
    assert await decided_under(world, revised(7), *PEOPLE, *others) == [1] * 19


async def test_of_two_evaluators_each_takes_another_slice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "SLICE", 1)
    await lived(world)
    await adopt(world, revised(7))
    await asyncio.gather(*(world.evaluate() for _ in range(4)))
    assert await sweeps(world) == []
    assert await decided_under(world, revised(7)) == [1] * 7


async def test_a_sweep_that_another_evaluator_ended_meanwhile_is_passed_over(small_world: World) -> None:
    await lived(small_world)
    await adopt(small_world, revised(7))

    @dataclass
    class Behind:
        """Reads the list of sweeps before the other one ends it."""

        world: World

        async def evaluating(self, work: Callable[[SweepingTransaction], T]) -> T:
            def late(tx: Any) -> T:
                known = tx.sweeps()
                tx.end_sweep(known[0].sweep_id)
                tx.sweeps = lambda: known
                return work(tx)

            return await self.world.store.evaluating(late)

        async def anything_due(self) -> bool:
            return await self.world.store.anything_due()

    assert (
        await evaluator.step(
            Behind(small_world),
            lambda: small_world.rulebook,
            clock=small_world.clock,
            new_id=small_world.new_id,
        )
        == 0
    )
