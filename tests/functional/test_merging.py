"""Two learners are one person, or are not: merges, parting, and what follows from either."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from tests.functional.world import BUREAU, FACTORY, WORKSHOP, World
from verifier import merging, replay, trial
from verifier.claims import Asked
from verifier.cli.simulator import Person, person
from verifier.errors import AccessDenied, Code, Conflict
from verifier.identity import resident_id
from verifier.merging import Finding
from verifier.model.decision import State
from verifier.model.facts import Source
from verifier.model.person import Identifier, LearnerId
from verifier.model.time import beijing_date
from verifier.store.intake import Intake

OLD = person(1, "阿依古丽·买买提")
NEW = person(2, "阿依古丽")
OTHER = person(3, "王小明")


async def finding(world: World, *people: Person) -> Finding:
    first, second = [await world.learner(one) for one in people]
    return Finding(first, second, "同一人换证", "旧证与新证", Source("operator", "赵"))


async def merge(world: World, first: Person, second: Person, **how: bool) -> LearnerId:
    said = await finding(world, first, second)
    canonical = await world.store.merging(
        lambda tx: merging.merge(tx, said, at=world.now, new_id=world.new_id, **how)
    )
    await world.evaluate()
    return canonical


async def part(world: World, first: Person, second: Person) -> None:
    said = await finding(world, first, second)
    await world.store.merging(lambda tx: merging.part(tx, said, at=world.now, new_id=world.new_id))
    await world.evaluate()


async def two_grants(world: World) -> None:
    """One person under two numbers, who got the month at two enterprises: the old number's first."""
    await world.employ(FACTORY, OLD)
    await world.employ(WORKSHOP, NEW)
    await world.complete("N-1", OLD)
    world.now += timedelta(minutes=1)
    await world.complete("N-2", NEW)
    await world.settle()
    assert await world.states(OLD) == await world.states(NEW) == ["granted"]


async def holding(world: World) -> dict[str, str]:
    return {number: state for _, state, number, _ in await world.slots()}


async def test_a_merge_leaves_the_month_that_was_granted_first_and_takes_the_other_back(world: World) -> None:
    await two_grants(world)
    assert await merge(world, NEW, OLD) == await world.learner(OLD)
    assert await world.states(OLD) == ["granted"]
    assert await world.states(NEW) == ["granted", "refused"]
    assert await holding(world) == {"N-1": "granted"}
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted", "granted", "revoked"]
    assert [entry["undone"] for entry in await world.entries("merge")] == [False]
    assert await world.fsck() == []


async def test_parting_gives_each_back_what_was_its_own(world: World) -> None:
    await two_grants(world)
    await merge(world, NEW, OLD)
    await part(world, OLD, NEW)
    assert await world.states(OLD) == ["granted"]
    assert await world.states(NEW) == ["granted", "refused", "granted"]
    assert await holding(world) == {"N-1": "granted", "N-2": "granted"}
    assert await world.fsck() == []


async def test_what_comes_after_a_merge_counts_for_the_person_whichever_number_it_bears(
    world: World,
) -> None:
    await world.employ(FACTORY, OLD)
    world.now += timedelta(minutes=1)
    await world.store.write(Intake, lambda tx: tx.learners({_identifier(world, NEW)}, world.now))
    await merge(world, OLD, NEW)
    await world.complete("N-1", NEW)
    await world.evaluate()
    # The roster names the old number, the certificate the new one.
    assert await world.states(OLD) == ["granted"]
    assert await world.states(NEW) == []
    await world.complete("N-2", OLD)
    assert await holding(world) == {"N-1": "granted"}


def _identifier(world: World, who: Person) -> Identifier:
    return resident_id(who.id_number, today=beijing_date(world.now))


async def test_a_month_paid_twice_to_one_person_is_called_back_once(world: World) -> None:
    await two_grants(world)
    first, second = await world.records()
    for record in (first, second):
        await world.claims.claim(BUREAU, record.record_id, Asked(f"pay-{record.record_id}"))
        await world.claims.step(BUREAU, record.record_id, "paid", f"pay-{record.record_id}", "已支付")
    await merge(world, OLD, NEW)
    assert await holding(world) == {"N-1": "paid", "N-2": "clawback_due"}
    await world.issue()
    [entry] = await world.entries("clawback")
    assert entry["record"] == second.record_id
    await world.claims.step(BUREAU, second.record_id, "returned", f"pay-{second.record_id}", "已退回")
    await world.evaluate()
    assert await holding(world) == {"N-1": "paid"}


async def test_parting_before_the_money_came_back_takes_the_callback_back(world: World) -> None:
    await two_grants(world)
    for record in await world.records():
        await world.claims.claim(BUREAU, record.record_id, Asked(f"pay-{record.record_id}"))
    await merge(world, OLD, NEW)
    assert await holding(world) == {"N-1": "claimed", "N-2": "clawback_due"}
    await part(world, OLD, NEW)
    assert await holding(world) == {"N-1": "claimed", "N-2": "claimed"}
    await world.issue()
    said = [entry.get("withdrawn", False) for entry in await world.entries("clawback")]
    assert said == [False, True]
    assert await world.fsck() == []


async def test_money_paid_under_one_number_keeps_the_month_from_the_other(world: World) -> None:
    await world.employ(FACTORY, OLD)
    await world.employ(WORKSHOP, NEW)
    await world.complete("N-2", NEW)
    await world.settle()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.complete("N-1", OLD)
    await world.evaluate()
    # OLD was heard of and granted as well; the claimed month counts before that.
    assert await merge(world, OLD, NEW) == await world.learner(NEW)
    assert await holding(world) == {"N-2": "claimed"}
    assert await world.states(OLD) == ["granted", "refused"]


async def test_learners_that_were_told_apart_are_merged_only_by_who_says_so(world: World) -> None:
    await two_grants(world)
    said = await finding(world, OLD, NEW)
    await world.store.merging(lambda tx: merging.tell_apart(tx, said, at=world.now, new_id=world.new_id))
    with pytest.raises(Conflict) as caught:
        await merge(world, OLD, NEW)
    assert caught.value.code is Code.REVIEW_STATE_REFUSED
    await merge(world, OLD, NEW, despite=True)
    assert await holding(world) == {"N-1": "granted"}
    with pytest.raises(Conflict):
        await merge(world, OLD, NEW)
    with pytest.raises(Conflict):
        await world.store.merging(lambda tx: merging.tell_apart(tx, said, at=world.now, new_id=world.new_id))


async def test_a_chain_of_merges_is_parted_where_it_was_joined(world: World) -> None:
    await two_grants(world)
    await world.complete("N-3", OTHER)
    await merge(world, OLD, NEW)
    await merge(world, NEW, OTHER)
    assert len(await world.slots()) == 1
    with pytest.raises(Conflict):
        await part(world, OLD, OTHER)  # never merged with each other
    await part(world, OLD, NEW)
    # OTHER stays with NEW, who is judged anew.
    assert await holding(world) == {"N-1": "granted", "N-2": "granted"}
    new = await world.learner(NEW)
    members = await world.store.read(Intake, lambda tx: tx.members({new}))
    assert set(members) == {new, await world.learner(OTHER)}


async def test_a_learner_that_there_is_not_is_merged_with_nobody(world: World) -> None:
    await world.employ(FACTORY, OLD)
    said = Finding(await world.learner(OLD), LearnerId("nobody"), "", "", Source("operator", "赵"))
    for act in (merging.merge, merging.tell_apart, merging.part):
        with pytest.raises(AccessDenied):
            await world.store.merging(partial(act, finding=said, at=world.now, new_id=world.new_id))
    twice = Finding(said.first, said.first, "", "", said.source)
    with pytest.raises(Conflict):
        await world.store.merging(partial(merging.merge, finding=twice, at=world.now, new_id=world.new_id))


async def test_a_rehearsal_says_what_a_merge_would_change_and_leaves_no_trace(world: World) -> None:
    await two_grants(world)
    before = await world.sql("select count(*) from facts")
    said = await finding(world, OLD, NEW)
    tried = await trial.rehearse(
        world.store,
        lambda tx: merging.merge(tx, said, at=world.now, new_id=world.new_id),
        world.rulebook,
        clock=world.clock,
        new_id=world.new_id,
    )
    assert tried.result == await world.learner(OLD)
    assert [(change.before, change.after) for change in tried.changes] == [(State.GRANTED, State.REFUSED)]
    assert tried.members()["would_change"] == 1
    assert await world.sql("select count(*) from facts") == before
    assert await world.sql("select 1 from due") == []
    assert await world.sql("select 1 from merged") == []
    assert await holding(world) == {"N-1": "granted", "N-2": "granted"}


async def test_decisions_before_within_and_after_a_merge_are_replayed_byte_for_byte(world: World) -> None:
    await world.adopt()
    await two_grants(world)
    for record in await world.records():
        await world.claims.claim(BUREAU, record.record_id, Asked(f"pay-{record.record_id}"))
    await merge(world, OLD, NEW)
    await world.complete("N-3", NEW)
    await part(world, OLD, NEW)
    decisions = [row[0] for row in await world.sql("select decision_id from decisions")]
    assert len(decisions) >= 4
    for decision in decisions:
        found = await world.store.replaying(partial(_replayed, decision=decision))
        assert found.same is True


def _replayed(tx: object, *, decision: str) -> replay.Replayed:
    return replay.replay(tx, decision)  # type: ignore[arg-type]  # the store's transaction


async def test_a_decision_on_an_erased_persons_facts_says_so_also_where_they_were_merged(
    small_world: World,
) -> None:
    world = small_world
    await world.adopt()
    await world.employ(FACTORY, OLD, NEW)
    await world.complete("N-1", OLD)
    world.now += timedelta(minutes=1)
    await world.complete("N-2", NEW)
    await merge(world, OLD, NEW)
    await world.revoke("N-1")
    await world.evaluate()
    old, new = await world.learner(OLD), await world.learner(NEW)
    assert await world.sql("select learner_id, number from slots") == [(old, "N-2")]
    before, newest = [
        row[0]
        for row in await world.sql(
            "select decision_id from decisions where learner_id = :old order by revision", old=old
        )
    ]
    # Only the newer one stands on what came under the other number.
    await world.sql("update learners set sealed_key = null where learner_id = :new", new=new)
    assert (await world.store.replaying(partial(_replayed, decision=before))).same is True
    found = await world.store.replaying(partial(_replayed, decision=newest))
    assert (found.same, found.why_not) == (None, "the evidence was lawfully erased")


async def test_while_money_paid_under_one_number_is_not_returned_the_month_is_free_under_none(
    world: World,
) -> None:
    await world.adopt()
    await world.employ(FACTORY, OLD, NEW)
    await world.complete("N-1", OLD)
    world.now += timedelta(minutes=1)
    await world.complete("N-2", NEW)
    await world.settle()
    first, second = await world.records()
    for record in (first, second):
        await world.claims.claim(BUREAU, record.record_id, Asked(f"pay-{record.record_id}"))
        await world.claims.step(BUREAU, record.record_id, "paid", f"pay-{record.record_id}", "已支付")
    await merge(world, OLD, NEW)
    # The subsidy system takes the first payment back, and the second is still out.
    await world.claims.step(BUREAU, first.record_id, "returned", f"pay-{first.record_id}", "已退回")
    await world.evaluate()
    assert await holding(world) == {"N-2": "clawback_due"}
    assert (await world.states(OLD))[-1] == "pending"
    [(newest,)] = await world.sql(
        "select decision_id from decisions where learner_id = :who order by revision desc limit 1",
        who=await world.learner(OLD),
    )
    assert (await world.store.replaying(partial(_replayed, decision=newest))).same is True
    await world.claims.step(BUREAU, second.record_id, "returned", f"pay-{second.record_id}", "已退回")
    await world.evaluate()
    assert list((await holding(world)).values()) == ["granted"]
    assert await world.fsck() == []


async def test_two_who_are_known_by_no_identifier_are_not_merged(small_world: World) -> None:
    world = small_world
    await world.employ(FACTORY, OLD, NEW)
    await world.sql("update identifiers set kind = 'provisional'")
    with pytest.raises(Conflict) as refused:
        await merge(world, OLD, NEW)
    assert refused.value.code is Code.REVIEW_STATE_REFUSED
    assert await world.sql("select 1 from merged") == []
