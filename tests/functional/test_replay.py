"""Law 6: every decision can be replayed bit for bit while its evidence exists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.functional.world import BUREAU, FACTORY, World, row
from verifier import replay as replays
from verifier.claims import Asked
from verifier.cli.simulator import Person, enterprise_code, person
from verifier.errors import AccessDenied
from verifier.model.person import Uscc
from verifier.replay import Replayed

pytestmark = pytest.mark.untraced

WORKER = person(7, "阿依古丽·买买提")
EMPLOYER = Uscc(enterprise_code(1))


async def lived(world: World) -> list[str]:
    """Pending, granted, corrected, a second month that waits, revoked, its successor granted."""
    await world.adopt()
    await world.complete("N-1", WORKER)
    world.now += timedelta(hours=1)
    await world.employ(EMPLOYER, WORKER)
    world.now += timedelta(hours=1)
    later = datetime(2021, 4, 1, 2, tzinfo=UTC)
    corrected = world.course("N-1", WORKER, later, revision=2)
    message = world.cvt.completed(corrected, event="completion.corrected")
    await world.post(world.cvt.delivery(message, "d-2", world.now))
    await world.complete("N-2", WORKER)
    world.now += timedelta(hours=1)
    await world.revoke("N-1")
    assert await world.states(WORKER) == ["pending", "granted", "granted", "granted"]
    return [one for (one,) in await world.sql("select decision_id from decisions order by revision")]


async def replayed(world: World, reference: str) -> Replayed:
    return await world.store.replaying(lambda tx: replays.replay(tx, reference))


async def test_every_decision_of_a_life_is_replayed_byte_for_byte(world: World) -> None:
    for decision in await lived(world):
        result = await replayed(world, decision)
        assert (result.same, result.computed) == (True, result.stored), result


async def test_a_decision_is_found_by_its_record_too(small_world: World) -> None:
    decisions = await lived(small_world)
    await small_world.issue()
    [*_, record] = await small_world.records()
    assert (await replayed(small_world, record.record_id)).decision_id == decisions[-1]


async def test_facts_that_came_later_change_no_replay(small_world: World) -> None:
    decisions = await lived(small_world)
    before = [await replayed(small_world, decision) for decision in decisions]
    await small_world.employ(Uscc(enterprise_code(2)), WORKER)
    await small_world.complete("N-3", WORKER)
    assert [await replayed(small_world, decision) for decision in decisions] == before


async def test_an_altered_decision_is_not_what_a_replay_gives(small_world: World) -> None:
    [*_, last] = await lived(small_world)
    await small_world.sql(
        "update decisions set trace = replace(trace, '652301', '652302') where decision_id = :id", id=last
    )
    assert (await replayed(small_world, last)).same is False


async def test_a_holding_whose_grant_is_gone_makes_another_trace(small_world: World) -> None:
    [_, granted, _, last] = await lived(small_world)
    await small_world.sql("delete from decisions where state = 'granted' and decision_id <> :id", id=last)
    assert (await replayed(small_world, last)).same is False
    with pytest.raises(AccessDenied):
        await replayed(small_world, granted)


async def test_after_an_erasure_the_replay_says_so(world: World) -> None:
    [first, *_] = await lived(world)
    await world.sql("update learners set sealed_key = null")
    result = await replayed(world, first)
    assert (result.same, result.why_not) == (None, "the evidence was lawfully erased")


@pytest.mark.parametrize("kind", ["policy", "register"])
async def test_without_what_was_adopted_the_replay_says_so(small_world: World, kind: str) -> None:
    [first, *_] = await lived(small_world)
    await small_world.sql("delete from adoptions where kind = :kind", kind=kind)
    result = await replayed(small_world, first)
    assert (result.same, result.why_not) == (None, "what was adopted then is not there")


async def test_another_normaliser_is_not_passed_off_as_this_one(small_world: World) -> None:
    [first, *_] = await lived(small_world)
    await small_world.sql("update decisions set trace = replace(trace, 'identity-1', 'identity-0')")
    assert (await replayed(small_world, first)).why_not == "another normaliser was in use"


async def test_a_normaliser_that_compares_names_by_the_same_rules_is_replayed(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = await lived(small_world)
    await small_world.sql("update decisions set trace = replace(trace, 'identity-1', 'identity-0')")
    monkeypatch.setattr(replays, "COMPARED_ALIKE", frozenset({"identity-0", "identity-1"}))
    for decision in decisions:
        assert (await replayed(small_world, decision)).same is True


async def test_a_decision_on_a_certificate_that_names_nobody_is_replayed(small_world: World) -> None:
    await small_world.adopt()
    await small_world.complete("N-1", Person("13800000000", "阿依古丽", "手机号码"))
    await small_world.complete("N-1", WORKER, revision=2)
    decisions = [one for (one,) in await small_world.sql("select decision_id from decisions")]
    assert len(decisions) == 3
    for decision in decisions:
        assert (await replayed(small_world, decision)).same is True


async def test_a_register_that_cannot_be_read_is_an_error_of_ours(small_world: World) -> None:
    [first, *_] = await lived(small_world)
    await small_world.sql("update adoptions set content = '[' where kind = 'register'")
    with pytest.raises(Exception, match="configuration_invalid"):
        await replayed(small_world, first)


async def test_a_clerks_row_is_part_of_what_is_replayed(small_world: World) -> None:
    await small_world.adopt()
    await small_world.complete("N-1", person(7, "王强"))
    await small_world.roster(EMPLOYER, [row(WORKER)])
    await small_world.admit(EMPLOYER)
    await small_world.evaluate()
    await small_world.close("name_mismatch", "same")
    decisions = await small_world.sql("select decision_id from decisions")
    for (decision,) in decisions:
        assert (await replayed(small_world, decision)).same is True


async def test_a_decision_under_a_claimed_month_is_replayed_too(world: World) -> None:
    await world.adopt()
    await world.employ(FACTORY, WORKER)
    await world.complete("N-1", WORKER)
    await world.complete("N-2", WORKER)
    await world.issue()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.revoke("N-1")
    assert await world.states(WORKER) == ["granted", "pending"]
    await world.issue()
    await world.claims.step(BUREAU, record.record_id, "release", "pay-1", "撤销")
    await world.evaluate()
    assert await world.states(WORKER) == ["granted", "pending", "granted"]
    for (decision,) in await world.sql("select decision_id from decisions"):
        assert (await replayed(world, decision)).same is True
