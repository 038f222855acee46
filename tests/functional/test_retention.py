"""Raw bodies are emptied when their time is over, and only where nothing about them is open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.functional.test_acts import run
from tests.functional.test_rereading import CVT, Apart, ask, rereading, send
from tests.functional.world import FACTORY, World
from verifier.cli.simulator import Person, person
from verifier.erasing import Terms
from verifier.errors import AccessDenied, Code
from verifier.raw_bodies import Term
from verifier.retention import RetentionDesk, RetentionWorker

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
DAYS = 30


async def retention(world: World, *, apply: bool = False) -> dict[str, Any]:
    return await run(world, "deliveries retention", **({"apply": "yes"} if apply else {}))


async def kept(world: World) -> list[bool]:
    rows = await world.sql("select sealed_body is not null from deliveries order by received_at, request_id")
    return [bool(one) for (one,) in rows]


@pytest.fixture
async def thirty(world: World) -> World:
    world.terms = Terms(0, DAYS)
    return world


@pytest.fixture
async def small(small_world: World) -> World:
    small_world.terms = Terms(0, DAYS)
    return small_world


async def test_a_body_is_emptied_when_its_days_are_over_and_the_ledger_counts_it(thirty: World) -> None:
    world = thirty
    await world.complete("N-1", LI)
    world.now += timedelta(days=1)
    await world.complete("N-2", WANG)
    world.now += timedelta(days=DAYS - 1, seconds=-1)
    assert (await retention(world))["kept"] == {"time": 2}
    world.now += timedelta(seconds=1)
    dry = await retention(world)
    assert (dry["dry_run"], dry["looked_at"], dry["would_empty"], dry["kept"]) == (True, 2, 1, {"time": 1})
    assert await kept(world) == [True, True]
    done = await retention(world, apply=True)
    assert (done["emptied"], done["no_longer_kept"]) == (1, {"deliveries": 1, "documents": 0})
    assert await kept(world) == [False, True]
    await world.settle()
    [entry] = await world.entries("retention")
    assert {name: entry[name] for name in ("deliveries", "documents", "days")} == {
        "deliveries": 1,
        "documents": 0,
        "days": DAYS,
    }
    assert await world.fsck(world.kept.note) == []
    assert (await retention(world, apply=True))["emptied"] == 0


async def test_without_a_term_everything_is_kept(small_world: World) -> None:
    await small_world.complete("N-1", LI)
    small_world.now += timedelta(days=10_000)
    assert (await retention(small_world, apply=True))["looked_at"] == 0
    assert await kept(small_world) == [True]


async def test_what_is_not_settled_is_never_emptied(small: World) -> None:
    refused = small.cvt.completed(small.course("N-1", Person("99990", "x", "y")))
    await small.post(small.cvt.delivery(refused, small.new_id(), small.now))
    delivery = small.cvt.delivery(small.cvt.completed(small.course("N-2", LI)), "d-2", small.now)
    await small.post(delivery)
    other = small.cvt.delivery(small.cvt.completed(small.course("N-3", LI)), "d-2", small.now)
    [conflict] = await small.post(other)
    assert conflict.state == "conflict"
    small.now += timedelta(days=1_000)
    assert (await retention(small, apply=True))["kept"] == {"unsettled": 2}
    assert sorted(await kept(small)) == [False, True, True]


async def test_what_a_reviewer_is_asked_about_is_kept_until_it_is_answered(small: World) -> None:
    await small.complete("N-1", LI)
    await small.complete("N-1", LI, title="另一门课")
    small.now += timedelta(days=1_000)
    assert (await retention(small, apply=True))["kept"] == {"question": 2}
    await small.close("completion_conflict", "keep")
    assert (await retention(small, apply=True))["emptied"] == 2


async def test_an_objection_or_a_hold_of_whoever_is_the_same_person_keeps_too(small: World) -> None:
    await small.complete("N-1", LI)
    await small.complete("N-2", WANG)
    one, other = await small.learner(LI), await small.learner(WANG)
    seen = {"reason": "换证", "evidence": "两证", "apply": "yes"}
    await run(small, "learner merge", first=one, second=other, **seen)
    small.now += timedelta(days=1_000)
    given = {"kind": "objection", "topic": "data", "text": "有误", "purpose": "已核验身份证"}
    opened = await run(small, "objection open", id_number=LI.id_number, **given)
    assert (await retention(small))["kept"] == {"question": 2}
    await run(small, "objection withdraw", number=opened["number"])
    hold = {"learner": other, "reason": "核查", "apply": "yes"}
    await run(small, "learner hold", until="2024-04-10", **hold)
    assert (await retention(small))["kept"] == {"question": 2}
    await run(small, "learner unhold", learner=other, reason="查清", apply="yes")
    assert (await retention(small, apply=True))["emptied"] == 2


async def test_an_uploaded_document_is_emptied_once_it_was_used_and_nobody_waits(thirty: World) -> None:
    world, adapter = thirty, Apart()
    await send(world, adapter, "d-1", {"name": "F1", "file": world.cvt.certificate(world.course("N-1", LI))})
    await send(world, adapter, "d-2", {"name": "F2"})
    world.now += timedelta(days=1_000)
    # Nothing has used the one yet, and the other one has not come.
    assert (await retention(world, apply=True))["kept"] == {"unsettled": 1, "waiting": 1}
    await send(world, adapter, "d-3", {"name": "F1"})
    done = await retention(world, apply=True)
    assert (done["emptied"], done["no_longer_kept"]) == (1, {"deliveries": 1, "documents": 1})
    assert await world.store.documents(CVT, ["F1"]) == {}
    await world.settle()
    assert await world.fsck() == []


async def test_with_a_person_goes_the_document_in_which_their_certificate_was(small_world: World) -> None:
    world, adapter = small_world, Apart()
    await send(world, adapter, "d-1", {"name": "F1"})
    await send(world, adapter, "d-2", {"name": "F1", "file": world.cvt.certificate(world.course("N-1", LI))})
    assert await rereading(world, adapter).step() == 1
    given = {"purpose": "已核验身份证", "reason": "本人要求", "apply": "yes"}
    done = await run(world, "learner erase", id_number=LI.id_number, **given)
    # The first delivery was read again, and what it waited for has come.
    assert (done["destroys"]["raw_deliveries"], done["documents"]) == (2, 1)
    await world.settle()
    assert await world.fsck() == []


async def test_a_body_that_is_no_longer_kept_cannot_be_read_again_and_says_so(small: World) -> None:
    delivery = small.cvt.delivery(small.cvt.completed(small.course("N-1", LI)), "d-1", small.now)
    await small.post(delivery)
    small.now += timedelta(days=DAYS)
    await retention(small, apply=True)
    for name, code in (("d-1", Code.BODY_NOT_KEPT), ("d-9", Code.NOT_FOUND)):
        with pytest.raises(AccessDenied) as caught:
            await rereading(small).read_again(ask(delivery=name))
        assert caught.value.code is code


@pytest.mark.untraced
async def test_the_worker_goes_through_in_bounded_steps_and_begins_again_an_hour_later(thirty: World) -> None:
    world = thirty
    for number in range(5):
        await world.complete(f"N-{number}", LI)
    worker = RetentionWorker(world.store, Term(DAYS), world.clock, world.new_id, limit=2)
    world.now += timedelta(days=DAYS)
    assert [await worker.step() for _ in range(4)] == [2, 2, 0, 0]
    assert await kept(world) == [False] * 5
    await world.complete("N-9", LI)
    world.now += timedelta(days=DAYS)
    assert await worker.step() == 2
    while await worker.step():
        pass
    assert await kept(world) == [False] * 6
    await world.settle()
    assert sum(entry["deliveries"] for entry in await world.entries("retention")) == 6
    assert await world.fsck() == []


async def test_a_desk_counts_over_all_its_pieces(small: World) -> None:
    for number in range(5):
        await small.complete(f"N-{number}", LI)
    small.now += timedelta(days=DAYS)
    desk = RetentionDesk(small.store, Term(DAYS), small.clock, small.new_id, limit=2)
    dry = await desk.retention({})
    assert (dry["looked_at"], dry["would_empty"]) == (5, 5)
    assert (await desk.retention({"apply": "yes"}))["emptied"] == 5


async def test_what_was_decided_on_an_emptied_delivery_stands(small: World) -> None:
    await small.employ(FACTORY, LI)
    await small.complete("N-1", LI)
    small.now += timedelta(days=DAYS)
    await retention(small, apply=True)
    await small.revoke("N-1")
    assert (await small.states(LI))[-1] == "refused"
