"""An enterprise's answer about many people: from a few columns and in slices, the same as from cases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.answers import said as shown
from tests.functional.test_merging import merge
from tests.functional.world import FACTORY, WORKSHOP, World, row
from verifier import standing
from verifier.candidates import CaseView
from verifier.cli.simulator import Person, person
from verifier.errors import Code, Unavailable
from verifier.model.access import Client, ClientState, Role
from verifier.model.person import IdentityClaims, LearnerId
from verifier.ports.intake import StatusTransaction
from verifier.standing import outline_of
from verifier.standing_recorded import said
from verifier.store.access import Access

pytestmark = pytest.mark.untraced

T = TypeVar("T")

CLIENT = Client("acme", 1, Role.ENTERPRISE, ClientState.ACTIVE, jwk={}, enterprises=frozenset({FACTORY}))
PEOPLE = [person(serial, "张三") for serial in range(8)]
STRANGER = person(900, "李四")


async def peopled(world: World) -> None:
    """Granted, refused, pending, listed by two, withdrawn, merged, without completion, completed twice."""
    await world.employ(FACTORY, *PEOPLE)
    await world.employ(WORKSHOP, PEOPLE[1], STRANGER)
    for number, who in enumerate((*PEOPLE[:6], STRANGER)):
        await world.complete(f"N-{number}", who)
    await world.complete("N-20", PEOPLE[0])
    await world.complete("N-21", PEOPLE[2], document="其他")
    await world.revoke("N-3")
    await world.roster(FACTORY, [{**row(PEOPLE[4]), "withdrawn": True}])  # type: ignore[dict-item] # JSON
    await merge(world, PEOPLE[5], PEOPLE[6])
    await world.settle()


def question(*people: Person) -> bytes:
    return json.dumps({"people": [{"id_number": one.id_number, "name": one.name} for one in people]}).encode()


async def test_outlines_are_those_of_the_cases_and_decisions_those_of_the_traces(world: World) -> None:
    await peopled(world)
    entitlement = world.rulebook.policy.entitlement
    learners = {await world.learner(one) for one in (*PEOPLE, STRANGER)}

    def compared(tx: Access) -> int:
        members = tx.members(learners)
        judged = {*members.values()}
        outlines, cases = tx.outlines(members), tx.cases(judged, entitlement, world.now)
        for who in judged:
            mine, other = outlines[who], outline_of(cases[who])
            assert set(mine.completions) == set(other.completions)
            assert sorted(mine.listings, key=str) == sorted(other.listings, key=str)
            assert (mine.contested, mine.refuted) == (other.contested, other.refuted)
        recorded, traces = tx.recorded(judged, entitlement), tx.latest_traces(judged, entitlement)
        for who, latest in traces.items():
            one = recorded[who]
            assert (one.state, one.decided_at, json.loads(one.trace)) == (
                latest.state,
                latest.decided_at,
                latest.trace,
            )
            clauses = [(reason.clause, reason.answer) for reason in said(one).found.reasons]
            assert clauses == [(c["clause"], c["outcome"]["answer"]) for c in latest.trace["clauses"]]
        assert recorded.keys() == traces.keys()
        return len(traces)

    assert await world.store.previewing(compared) == len(learners) - 2


async def test_whoever_is_told_by_columns_would_be_told_the_same_from_the_case(
    world: World,
) -> None:
    await peopled(world)
    policy, learners = world.rulebook.policy, {await world.learner(one) for one in PEOPLE}

    def compared(tx: Access) -> tuple[int, int]:
        desk = standing._Desk(FACTORY, policy, world.register)
        judged = {*tx.members(learners).values()}
        outlines, cases = tx.outlines(tx.members(judged)), tx.cases(judged, policy.entitlement, world.now)
        recorded = tx.recorded(judged, policy.entitlement)
        quick = slow = 0
        for who in judged:
            view = CaseView.of(world.register.applied_to(cases[who]), policy.entitlement)
            whole = desk.person(outline_of(cases[who]), recorded.get(who), view)
            alone = desk.person(outlines[who], recorded.get(who), None)
            assert alone in (None, whole)
            quick, slow = quick + (alone is not None), slow + (alone is None)
        return quick, slow

    quick, slow = await world.store.previewing(compared)
    assert quick
    assert slow


async def test_no_case_is_read_where_decisions_are_recorded(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await small_world.employ(FACTORY, *PEOPLE[:2])
    await small_world.complete("N-1", PEOPLE[0])
    await small_world.settle()
    asked = []

    def cases(_: Access, learners: set[LearnerId], *__: object) -> dict[LearnerId, object]:
        asked.append(learners)
        return {}

    monkeypatch.setattr(Access, "cases", cases)
    body = json.loads(
        b"".join(await small_world.enterprises().status(CLIENT, FACTORY, question(*PEOPLE[:2])))
    )
    assert [one["state"] for one in body["people"]] == ["granted_here", "not_received"]
    assert asked == []


async def test_a_long_question_is_answered_in_transactions_between_which_others_get_their_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peopled(world)
    body = question(*PEOPLE, STRANGER, PEOPLE[0])
    whole = await world.store.standings(
        lambda tx: standing.status(
            tx,
            FACTORY,
            [
                IdentityClaims("resident_id", one.id_number, one.name)
                for one in (*PEOPLE, STRANGER, PEOPLE[0])
            ],
            at=world.now,
            policy=world.rulebook.policy,
            register=world.register,
            client_id="acme",
        )
    )
    monkeypatch.setattr(standing, "SLICE", 3)
    begun, turns = 0, 0
    standings = world.store.standings

    async def counted(work: Callable[[StatusTransaction], T]) -> T:
        nonlocal begun
        begun += 1
        # Somebody else who writes, and was there first, is let in before the next slice.
        await asyncio.sleep(0)
        return await standings(work)

    async def another() -> None:
        nonlocal turns
        while begun < 4:
            await world.store.disclose({LearnerId("somebody")}, "other", "p", "w")
            turns += 1

    monkeypatch.setattr(world.store, "standings", counted)
    pieces, _ = await asyncio.gather(world.enterprises().status(CLIENT, FACTORY, body), another())
    assert json.loads(b"".join(pieces)) == shown(whole)
    assert begun == 4
    assert turns >= 3
    logged = await world.sql(
        "select count(*), count(distinct learner_id) from disclosures where client_id = 'acme'"
    )
    told = sum(one["state"] not in {"not_listed", "invalid_id"} for one in shown(whole)["people"])
    # Once in the whole answer above, and once for each slice that somebody stands in.
    assert logged == [(2 * told - 1, told - 1)]


async def test_a_slice_that_fails_leaves_none_at_work_behind_it(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world
    await world.employ(FACTORY, *PEOPLE)
    monkeypatch.setattr(standing, "SLICE", 3)
    begun, ended = list[asyncio.Task[object] | None](), 0

    async def failing(_: Callable[[StatusTransaction], T]) -> T:
        nonlocal ended
        begun.append(asyncio.current_task())
        try:
            await asyncio.sleep(0 if len(begun) == 1 else 60)
            raise Unavailable(Code.STORE_UNAVAILABLE)
        finally:
            ended += 1

    monkeypatch.setattr(world.store, "standings", failing)
    body = json.dumps({"people": [{"id_number": who.id_number} for who in PEOPLE]}).encode()
    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await world.enterprises().status(CLIENT, FACTORY, body)
    assert (len(begun), ended) == (2, 2)
