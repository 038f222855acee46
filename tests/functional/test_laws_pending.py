"""Law 5: unknown is not no. What waits is decided by itself when the missing fact comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.functional.world import FACTORY, WORKSHOP, Installation, World, over, row
from verifier import enterprises
from verifier.cli.simulator import person
from verifier.errors import Code, Conflict
from verifier.model.facts import Category
from verifier.operations import SourceForm
from verifier.roster import read_json
from verifier.store.intake import Roster

pytestmark = pytest.mark.untraced

LI = person(1, "阿依古丽·买买提")


async def declare(world: World) -> bool:
    """The factory widens the scope to its technical workers."""
    return await world.store.rosters(
        lambda tx: enterprises.declare_scope(
            tx, FACTORY, date(2021, 1, 1), None, at=world.now, new_id=world.new_id, client_id="factory"
        )
    )


async def missing(world: World) -> list[str]:
    """What the newest decision waits for."""
    [(decision,)] = await world.sql("select decision_id from decisions order by revision desc limit 1")
    found = await world.store.explain(decision)
    assert found is not None
    outcomes = [clause["outcome"] for clause in found.trace["clauses"]]
    return sorted({outcome["missing"] for outcome in outcomes if outcome["answer"] == "unknown"})


async def test_a_completion_without_roster_waits_and_issues_nothing(world: World) -> None:
    await world.complete("N-1", LI)
    await world.settle()
    assert await missing(world) == ["roster"]
    assert await world.records() == []
    assert [entry["kind"] for entry in await world.entries()] == ["evidence"]


async def test_the_roster_and_the_admission_grant_by_themselves(world: World) -> None:
    await world.complete("N-1", LI)
    await world.roster(FACTORY, [row(LI)])
    await world.settle()
    assert await missing(world) == ["admission"]
    await world.admit(FACTORY)
    await world.settle()
    assert await world.states(LI) == ["pending", "pending", "granted"]
    [record] = await world.records()
    assert (record.kind, record.office, record.month) == ("granted", "652301", date(2021, 3, 1))


async def test_a_declared_scope_grants_by_itself(world: World) -> None:
    await world.employ(FACTORY, LI, category=Category.TECHNICAL.value)
    await world.complete("N-1", LI)
    assert await missing(world) == ["scope_declaration"]
    assert await declare(world)
    assert not await declare(world)
    await world.evaluate()
    assert await world.states(LI) == ["pending", "granted"]


async def test_a_category_filled_in_later_grants_by_itself(world: World) -> None:
    await world.employ(FACTORY, LI, category="")
    await world.complete("N-1", LI)
    assert await missing(world) == ["category"]
    result = await world.roster(FACTORY, [row(LI)])
    assert (result.new, result.changed) == (0, 1)
    await world.evaluate()
    assert await world.states(LI) == ["pending", "granted"]


@pytest.mark.parametrize(("answer", "state"), [("same", "granted"), ("different", "refused")])
async def test_a_reviewer_decides_whether_two_names_are_one_person(
    world: World, answer: str, state: str
) -> None:
    await world.roster(FACTORY, [row(LI, name="完全不同")])
    await world.admit(FACTORY)
    await world.complete("N-1", LI)
    assert await missing(world) == ["name_review"]
    await world.close("name_mismatch", answer)
    assert await world.states(LI) == ["pending", state]


async def test_the_identical_roster_changes_nothing(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    before = await world.sql("select count(*) from facts")
    world.now += timedelta(days=1)
    result = await world.roster(FACTORY, [row(LI)])
    assert result.unchanged
    assert await world.sql("select count(*) from facts") == before
    assert await world.sql("select 1 from due") == []
    assert len(await world.sql("select 1 from rosters")) == 1


async def test_somebody_who_left_before_the_completion_is_not_listed(world: World) -> None:
    await world.employ(FACTORY, LI, to="2021-03-04")
    await world.complete("N-1", LI)
    assert await missing(world) == ["roster"]


async def test_a_roster_that_ends_the_employment_takes_the_grant_back(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    await world.roster(FACTORY, [row(LI, to="2021-03-04")])
    await world.settle()
    assert await world.states(LI) == ["granted", "pending"]
    assert [record.kind for record in await world.records()] == ["granted", "revoked"]
    assert await world.slots() == []


async def test_evaluating_again_changes_nothing(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    world.now += timedelta(days=30)
    learner = await world.learner(LI)
    await world.store.rosters(lambda tx: tx.put_due([learner, learner], "test", world.now))
    assert len(await world.sql("select 1 from due")) == 1
    await world.evaluate()
    assert await world.states(LI) == ["granted"]
    assert await world.sql("select 1 from due") == []


async def test_an_adoption_begins_one_sweep_over_everybody(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    sources = [SourceForm("policy", "ab" * 32, "content", {"policy": "p@2"})]
    assert await world.operations.adopt(sources)
    assert not await world.operations.adopt(sources)
    assert await world.sql("select cause, total, done from sweeps") == [("adoption", 1, 0)]
    await world.settle()
    [entry] = await world.entries("adoption")
    assert (entry["adopts"], entry["digest"], entry["policy"]) == ("policy", "ab" * 32, "p@2")


async def test_an_admission_and_a_roster_at_once_leave_nobody_behind(world: World) -> None:
    """Whichever is second knows of the first: otherwise nobody would judge these people again."""
    people = [person(40 + number, "赵六") for number in range(8)]
    for number, who in enumerate(people):
        await world.complete(f"N-{number}", who)

    async def evaluate_meanwhile() -> None:
        for _ in range(6):
            await world.evaluate()

    await asyncio.gather(
        *(world.roster(FACTORY, [row(who)]) for who in people[:4]),
        world.admit(FACTORY),
        evaluate_meanwhile(),
        *(world.roster(FACTORY, [row(who)]) for who in people[4:]),
    )
    await world.evaluate()
    assert [(await world.states(who))[-1] for who in people] == ["granted"] * 8


async def test_an_admission_waits_for_a_roster_that_is_being_taken_in(
    postgresql: str, installation: Installation
) -> None:
    world = await over(postgresql, installation)
    await world.complete("N-1", LI)
    rows = read_json(json.dumps({"rows": [row(LI)]}).encode(), today=date(2021, 7, 1)).rows
    inside = asyncio.Event()
    loop = asyncio.get_running_loop()

    def upload(tx: Roster) -> None:
        enterprises.upload(
            tx, FACTORY, rows, at=world.now, new_id=world.new_id, digest=world.keys.digest, client_id="f"
        )
        loop.call_soon_threadsafe(inside.set)
        waiting = text("select count(*) from pg_locks where not granted")
        waits = (tx.connection.execute(waiting).scalar_one() for _ in range(10_000))
        assert any(count or admission.done() for count in waits)
        assert not admission.done(), "the admission did not see this roster, and did not wait for it"

    uploading = asyncio.ensure_future(world.store.write(Roster, upload))
    admission = asyncio.ensure_future(_after(inside, world.admit(FACTORY)))
    await asyncio.gather(uploading, admission)
    await world.evaluate()
    assert (await world.states(LI))[-1] == "granted"
    await world.store.database.close()


async def _after(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    await event.wait()
    await work


async def test_a_review_is_answered_once(world: World) -> None:
    for code in (FACTORY, WORKSHOP):
        await world.employ(code, LI)
    await world.complete("N-1", LI)
    [review] = await world.store.open_reviews()
    answer = {"review": review["review_id"], "reason": "核实", "operator": "赵"}
    answers: list[object] = await asyncio.gather(
        *(world.operations.close_review(answer | {"outcome": code}) for code in (FACTORY, WORKSHOP)),
        return_exceptions=True,
    )
    [refused] = [one for one in answers if isinstance(one, Conflict)]
    assert refused.code is Code.REVIEW_STATE_REFUSED
    assert len(await world.sql("select 1 from facts where kind = 'employer_choice'")) == 1
