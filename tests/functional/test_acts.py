"""Contests, releases and holds: what is said, what follows from it, and what a stranger learns of it."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.answers import said
from tests.functional.world import BUREAU, FACTORY, WORKSHOP, World
from verifier import acts, standing
from verifier.claims import Asked
from verifier.cli.simulator import Person, person
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected, VerifierError
from verifier.model.access import Client, ClientState, Role
from verifier.model.facts import Source, Wish
from verifier.model.person import IdentityClaims, LearnerId, Uscc

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
STRANGER = person(9, "从未听说")
ACME = Client("acme", 1, Role.ENTERPRISE, ClientState.ACTIVE, jwk={}, enterprises=frozenset({FACTORY}))


async def run(world: World, name: str, **parameters: str) -> dict[str, Any]:
    """An operation as the command line asks for it; ``_`` stands for ``-``."""
    given = {key.rstrip("_"): value for key, value in parameters.items()}
    return await world.operations.run(name, {"operator": "赵", **given})


async def worker(world: World, name: str, who: Person, uscc: Uscc, **parameters: str) -> dict[str, Any]:
    wish = {"reason": "本人陈述", "purpose": "已核验身份证", "apply": "yes", **parameters}
    answer = await run(world, name, uscc=uscc, id_number=who.id_number, **wish)
    await world.evaluate()
    return answer


async def told(world: World, uscc: Uscc, who: Person) -> dict[str, Any]:
    answer = await world.store.standings(
        lambda tx: standing.status(
            tx,
            uscc,
            [IdentityClaims("resident_id", who.id_number, "")],
            at=world.now,
            policy=world.rulebook.policy,
            register=world.register,
            client_id="enterprise",
        )
    )
    [shown] = said(answer)["people"]
    return dict(shown)


async def holding(world: World) -> list[tuple[str, str, str]]:
    return [(state, number, uscc) for _, state, number, uscc in await world.slots()]


async def logged(world: World, who: Person) -> list[tuple[str, str, str]]:
    rows = await world.sql(
        "select client_id, purpose, what from disclosures where learner_id = :who order by recorded_at",
        who=await world.learner(who),
    )
    return [tuple(row) for row in rows]


# --- contests


async def test_a_contested_listing_waits_for_a_reviewer_and_its_enterprise_is_told_what_of_a_stranger(
    world: World,
) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    stranger = await told(world, FACTORY, STRANGER)
    before = await logged(world, LI)
    answer = await worker(world, "learner contest", LI, FACTORY)
    assert answer["dry_run"] is False
    assert [(one["from"], one["to"]) for one in answer["decisions"]] == [("granted", "pending")]
    assert await world.states(LI) == ["granted", "pending"]
    assert await told(world, FACTORY, LI) == stranger
    assert await logged(world, LI) == [*before, ("clerk:赵", "已核验身份证", "contest")]
    await world.close("listing_contest", "rejected")
    assert await world.states(LI) == ["granted", "pending", "granted"]
    assert (await told(world, FACTORY, LI))["state"] == "granted_here"
    assert await world.store.open_reviews() == []
    await world.issue()
    assert await world.fsck() == []


async def test_an_upheld_contest_closes_the_listing_and_another_employer_takes_the_month(
    world: World,
) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI)
    await worker(world, "learner contest", LI, FACTORY)
    [review] = [one for one in await world.store.open_reviews() if one["kind"] == "listing_contest"]
    shown = await run(world, "review show", review=review["review_id"])
    assert [(one["kind"], one["enterprise"]) for one in shown["about"]] == [
        ("contest", FACTORY),
        ("employment", FACTORY),
    ]
    assert shown["about"][1]["name"] == LI.name
    answer = {"review": review["review_id"], "outcome": "upheld", "reason": "核实", "operator": "赵"}
    await world.operations.close_review(answer)
    await world.evaluate()
    assert await holding(world) == [("granted", "N-1", WORKSHOP)]
    assert (await told(world, FACTORY, LI))["state"] == "not_listed"
    assert (await told(world, WORKSHOP, LI))["state"] == "granted_here"
    with pytest.raises(Conflict) as caught:
        await worker(world, "learner contest", LI, FACTORY)
    assert caught.value.code is Code.STATE_REFUSED


async def test_an_open_contest_is_never_moot(world: World) -> None:
    await world.employ(FACTORY, LI)
    await worker(world, "learner contest", LI, FACTORY)
    # There is no completion and no decision yet.
    assert [review["kind"] for review in await world.store.open_reviews()] == ["listing_contest"]
    with pytest.raises(Conflict):
        await world.close("listing_contest", "keep")


@pytest.mark.parametrize("answered", ["", "upheld"])
async def test_a_worker_may_take_a_contest_back(world: World, answered: str) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    with pytest.raises(Conflict):
        await worker(world, "learner contest", LI, FACTORY, withdraw="yes")
    await worker(world, "learner contest", LI, FACTORY)
    if answered:
        await world.close("listing_contest", answered)
    await worker(world, "learner contest", LI, FACTORY, withdraw="yes")
    assert (await world.states(LI))[-1] == "granted"
    assert await world.store.open_reviews() == []
    await worker(world, "learner contest", LI, FACTORY)
    assert (await world.states(LI))[-1] == "pending"
    assert [review["kind"] for review in await world.store.open_reviews()] == ["listing_contest"]


async def test_a_month_that_was_claimed_is_not_taken_back_while_its_listing_is_contested(
    world: World,
) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    desk, march = world.enterprises(), date(2021, 3, 1)
    assert len((await desk.claim_list(ACME, FACTORY, march))["people"]) == 1
    await worker(world, "learner contest", LI, FACTORY)
    assert await holding(world) == [("claimed", "N-1", FACTORY)]
    # The list tells its enterprise no more of a stranger than its status does.
    assert (await desk.claim_list(ACME, FACTORY, march))["people"] == []
    await world.close("listing_contest", "upheld")
    assert await holding(world) == [("clawback_due", "N-1", FACTORY)]


async def test_only_who_lists_somebody_can_be_contested(world: World) -> None:
    await world.employ(FACTORY, LI)
    for uscc, who in ((WORKSHOP, LI), (FACTORY, STRANGER)):
        with pytest.raises(AccessDenied) as caught:
            await worker(world, "learner contest", who, uscc)
        assert caught.value.code is Code.NOT_FOUND


async def test_a_dry_run_leaves_nothing_but_the_log_of_who_looked(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    facts = await world.sql("select count(*) from facts")
    [decision] = await world.sql("select decision_id from decisions")
    answer = await worker(world, "learner contest", LI, FACTORY, apply="")
    assert list(answer)[:5] == ["enterprise", "withdrawn", "dry_run", "judged", "would_change"]
    assert (answer["dry_run"], answer["judged"], answer["would_change"]) == (True, 1, 1)
    [change] = answer["decisions"]
    assert (change["decision"], change["from"], change["to"]) == (decision[0], "granted", "pending")
    assert await world.sql("select count(*) from facts") == facts
    assert await world.sql("select 1 from reviews") == []
    assert (await logged(world, LI))[-1] == ("clerk:赵", "已核验身份证", "contest")


# --- releases


async def test_an_enterprise_gives_a_month_up_and_may_take_its_word_back(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    assert await give_up(world, LI) == {"released": True, "new": True}
    assert await holding(world) == []
    await world.issue()
    assert [record.kind for record in await world.records()] == ["granted", "revoked"]
    with pytest.raises(Conflict) as caught:
        await give_up(world, LI)
    assert caught.value.code is Code.MONTH_NOT_HELD
    # What the enterprise said, the bureau does not undo as if the worker had said it.
    with pytest.raises(Conflict):
        await worker(world, "learner release", LI, FACTORY, withdraw="yes")
    assert await world.fsck() == []


async def give_up(world: World, who: Person, uscc: Uscc = FACTORY) -> dict[str, Any]:
    claims = IdentityClaims("resident_id", who.id_number, "")
    return await world.employers.release(ACME, uscc, claims, "本企业不再申领")


NUMBERS = ("N-1", "N-2", "N-3")
DAYS = {"N-1": 9, "N-2": 7, "N-3": 8}
"""Days of March: the order in time is N-2, N-3, N-1."""


@pytest.mark.untraced
@pytest.mark.parametrize("order", list(itertools.permutations(NUMBERS)))
async def test_whatever_came_first_the_next_in_the_written_order_takes_a_released_month(
    world: World, order: tuple[str, ...]
) -> None:
    await world.employ(FACTORY, LI)
    for number in order:
        await world.complete(number, LI, completed_at=datetime(2021, 3, DAYS[number], 2, tzinfo=UTC))
    first = order[0]  # who committed first holds the month
    assert await holding(world) == [("granted", first, FACTORY)]
    await give_up(world, LI)
    waiting = sorted((number for number in NUMBERS if number != first), key=DAYS.__getitem__)
    assert await holding(world) == [("granted", waiting[0], FACTORY)]
    await give_up(world, LI)
    assert await holding(world) == [("granted", waiting[1], FACTORY)]


async def test_at_the_workers_wish_the_same_completion_counts_at_another_employer(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.employ(WORKSHOP, LI)
    # The incumbent stays although a second roster came; a reviewer is told.
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    assert [review["kind"] for review in await world.store.open_reviews()] == ["second_roster"]
    dry = await worker(world, "learner release", LI, FACTORY, apply="")
    assert (dry["new"], dry["would_change"]) == (True, 1)
    await worker(world, "learner release", LI, FACTORY)
    assert (await world.states(LI))[-1] == "pending"  # two employers: a reviewer says which
    await world.close("employer_choice", WORKSHOP)
    assert await holding(world) == [("granted", "N-1", WORKSHOP)]
    await worker(world, "learner release", LI, FACTORY, withdraw="yes")
    assert await holding(world) == [("granted", "N-1", WORKSHOP)]
    with pytest.raises(Conflict):
        await worker(world, "learner release", LI, FACTORY, withdraw="yes")


async def test_a_release_that_is_taken_back_brings_the_month_back_and_may_be_said_again(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    for _ in range(2):
        await worker(world, "learner release", LI, FACTORY)
        assert await holding(world) == []
        await worker(world, "learner release", LI, FACTORY, withdraw="yes")
        assert await holding(world) == [("granted", "N-1", FACTORY)]
    current = await world.sql(
        "select count(*) from facts f where kind = 'release' and not exists"
        " (select 1 from facts later where later.supersedes = f.fact_id)"
    )
    assert current[0][0] == 1


@pytest.mark.parametrize("step", ["claim", "paid", "returned"])
async def test_a_claimed_month_is_the_subsidy_systems_to_give_back(world: World, step: str) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    if step != "claim":
        await world.claims.step(BUREAU, record.record_id, "paid", "pay-1", "已支付")
    if step == "returned":
        await world.revoke("N-1")
    for act in (give_up(world, LI), worker(world, "learner release", LI, FACTORY)):
        with pytest.raises(Conflict) as caught:
            await act
        assert caught.value.code is Code.MONTH_CLAIMED


async def test_people_who_are_not_its_own_are_to_an_enterprise_as_people_nobody_heard_of(
    world: World,
) -> None:
    await world.employ(FACTORY, LI)
    await world.employ(WORKSHOP, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await worker(world, "learner contest", LI, FACTORY)
    errors: list[VerifierError] = []
    unadmitted = Uscc("91999901MA0000001P")
    await world.roster(unadmitted, [{"id_number": WANG.id_number, "name": WANG.name, "from": "2021-01-01"}])
    for who, uscc in ((STRANGER, FACTORY), (WANG, FACTORY), (LI, FACTORY), (WANG, unadmitted)):
        with pytest.raises(AccessDenied) as caught:
            await give_up(world, who, uscc)
        errors.append(caught.value)
    assert {(error.code, error.detail, error.pointer) for error in errors} == {(Code.NOT_FOUND, "", "")}
    assert await holding(world) == [("granted", "N-2", WORKSHOP)]


async def test_its_own_people_whose_month_another_holds_have_nothing_to_be_given_up(world: World) -> None:
    await world.employ(WORKSHOP, LI)
    await world.complete("N-1", LI)
    await world.employ(FACTORY, LI)
    with pytest.raises(Conflict) as caught:
        await give_up(world, LI)
    assert caught.value.code is Code.MONTH_NOT_HELD


async def test_a_release_that_nobody_decided_on_yet_is_not_said_twice(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await worker(world, "learner release", LI, FACTORY, apply="")
    said = acts.Said(await world.learner(LI), "", Source("operator", "赵"), world.now)
    entitlement = world.rulebook.policy.entitlement
    for new in (True, False):
        assert new is await world.store.acting(
            lambda tx: acts.release(tx, said, FACTORY, entitlement, Wish.WORKER, new_id=world.new_id)
        )


async def test_what_no_policy_gives_cannot_be_released(small_world: World) -> None:
    await small_world.employ(FACTORY, LI)
    await small_world.complete("N-1", LI)
    with pytest.raises(RequestRejected) as caught:
        await worker(small_world, "learner release", LI, FACTORY, entitlement="none")
    assert caught.value.pointer == "entitlement"
    named = small_world.rulebook.policy.entitlement
    assert (await worker(small_world, "learner release", LI, FACTORY, entitlement=named))["new"] is True


# --- holds


async def test_a_hold_ends_by_itself(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    learner = await world.learner(LI)
    answer = await run(world, "learner hold", learner=learner, until="2021-07-10", reason="核查", apply="yes")
    assert [(one["from"], one["to"]) for one in answer["decisions"]] == [("granted", "pending")]
    await world.evaluate()
    world.now = datetime(2021, 7, 9, 15, 59, 59, tzinfo=UTC)  # a second before the day begins in Beijing
    await world.evaluate()
    assert await world.states(LI) == ["granted", "pending"]
    world.now += timedelta(seconds=1)
    await world.evaluate()
    assert await world.states(LI) == ["granted", "pending", "granted"]
    assert await world.sql("select 1 from due") == []


async def test_a_hold_is_lifted_before_its_end(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    learner = await world.learner(LI)
    with pytest.raises(Conflict):
        await run(world, "learner unhold", learner=learner, reason="无", apply="yes")
    await run(world, "learner hold", learner=learner, until="2021-07-10", reason="核查", apply="yes")
    await run(world, "learner hold", learner=learner, until="2021-07-20", reason="再查", apply="yes")
    answer = await run(world, "learner unhold", learner=learner, reason="查清", apply="yes")
    assert answer["lifted"] == 2
    assert (await world.states(LI))[-1] == "granted"


async def test_what_money_was_asked_for_on_is_not_taken_back_by_a_hold(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    learner = await world.learner(LI)
    answer = await run(world, "learner hold", learner=learner, until="2021-07-10", reason="核查", apply="yes")
    assert answer["changed"] == 0
    assert await holding(world) == [("claimed", "N-1", FACTORY)]


@pytest.mark.parametrize("until", ["2021-07-01", "2021-12-29", "never", ""])
async def test_there_is_no_hold_without_an_end_in_sight(world: World, until: str) -> None:
    await world.employ(FACTORY, LI)
    with pytest.raises(RequestRejected) as caught:
        await run(world, "learner hold", learner=await world.learner(LI), until=until, reason="核查")
    assert caught.value.pointer == "until"


async def test_nobody_is_held_who_is_not_known(world: World) -> None:
    with pytest.raises(AccessDenied):
        await run(world, "learner hold", learner=LearnerId("nobody"), until="2021-07-10", reason="核查")


# --- at the same time


async def test_a_release_and_a_claim_at_once_never_call_money_back(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    [record] = await world.records()
    outcomes = await asyncio.gather(
        give_up(world, LI),
        world.claims.claim(BUREAU, record.record_id, Asked("pay-1")),
        worker(world, "learner release", LI, FACTORY),
        return_exceptions=True,
    )
    await world.evaluate()
    done = [answer for answer in outcomes if not isinstance(answer, BaseException)]
    codes = [error.code for error in outcomes if isinstance(error, VerifierError)]
    assert len(done) + len(codes) == 3
    assert len(done) == 1
    assert set(codes) <= {Code.MONTH_NOT_HELD, Code.MONTH_CLAIMED, Code.RECORD_NOT_CURRENT}
    assert await holding(world) in ([], [("claimed", "N-1", FACTORY)])
    await world.issue()
    assert await world.entries("clawback") == []
    assert await world.fsck() == []


async def test_of_many_who_contest_or_answer_at_once_each_is_heard_once(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    said = [worker(world, "learner contest", LI, FACTORY) for _ in range(6)]
    outcomes = await asyncio.gather(*said, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in outcomes) == 1
    [review] = await world.store.open_reviews()
    answers = [
        run(world, "review close", review=review["review_id"], outcome=outcome, reason="核实")
        for outcome in ("upheld", "rejected", "upheld", "rejected")
    ]
    closed = await asyncio.gather(*answers, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in closed) == 1
    current = await world.sql(
        "select count(*) from facts f where kind = 'contest' and not exists"
        " (select 1 from facts later where later.supersedes = f.fact_id)"
    )
    assert current[0][0] == 1
