"""Claims: a month is taken for one payment, exclusively, and every step is in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.functional.world import BUREAU, FACTORY, World
from verifier import claims
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, Code, Conflict
from verifier.model.access import Client
from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId
from verifier.ports.claims import ClaimableRecord, HeldClaim

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
OTHER = replace(BUREAU, client_id="other")
ELSEWHERE = replace(BUREAU, offices=frozenset({"659999"}))
STEPS = ("release", "paid", "returned")


class FakeClaims:
    """One granted record and its month."""

    def __init__(self, slot_state: str = "granted") -> None:
        self.record = ClaimableRecord(
            record_id="r-1",
            kind="granted",
            learner_id=LearnerId("l-1"),
            entitlement=Entitlement("online-training-month"),
            office="652301",
            month=date(2021, 3, 1),
            current=True,
            slot_state=slot_state,
            claim=None,
        )
        self.steps: list[str] = []

    def claimable(self, record_id: str) -> ClaimableRecord | None:
        return self.record if record_id == "r-1" else None

    def claim_step(
        self,
        record: ClaimableRecord,
        claim: HeldClaim,
        step: str,
        *,
        reason: str,
        slot_state: str | None,
        at: datetime,
    ) -> None:
        assert (record, at.tzinfo, reason) == (self.record, UTC, reason)
        self.steps.append(step)
        held = None if slot_state in {None, "granted"} else claim
        self.record = replace(record, slot_state=slot_state or "", claim=held)

    def announce(self, kind: str, reference: str, body: Mapping[str, Any], at: datetime) -> None:
        raise NotImplementedError

    def claim(self, client: Client = BUREAU, payment: str = "pay-1") -> dict[str, Any]:
        return claims.claim(self, client, "r-1", payment, at=NOW, claim_id=f"c-{len(self.steps)}")

    def step(self, name: str, client: Client = BUREAU) -> dict[str, Any]:
        return claims.step(self, client, "r-1", name, "why", at=NOW)

    def falls(self) -> None:
        """The grant falls, as the store moves the month."""
        after = {"granted": "", "claimed": "clawback_due", "paid": "clawback_due"}
        self.record = replace(
            self.record, slot_state=after.get(self.record.slot_state, self.record.slot_state)
        )


def code_of(refused: pytest.ExceptionInfo[AccessDenied | Conflict]) -> Code:
    return refused.value.code


def test_a_claim_says_what_it_holds_and_invents_no_amount() -> None:
    answer = FakeClaims().claim()
    assert answer == {
        "claim": "c-0",
        "record": "r-1",
        "payment_reference": "pay-1",
        "state": "claimed",
        "month": "2021-03",
        "amount": None,
        "standard": "not_configured",
        "claimed_at": "2021-07-01T04:00:00Z",
    }


def test_the_same_claim_again_gives_the_first_answer() -> None:
    store = FakeClaims()
    assert store.claim() == store.claim()
    assert store.steps == ["claim"]


@pytest.mark.parametrize(("client", "payment"), [(OTHER, "pay-1"), (BUREAU, "pay-2")])
def test_another_claim_is_refused(client: Client, payment: str) -> None:
    store = FakeClaims()
    store.claim()
    with pytest.raises(Conflict) as refused:
        store.claim(client, payment)
    assert code_of(refused) is Code.ALREADY_CLAIMED


@pytest.mark.parametrize("change", [{"current": False}, {"kind": "refused"}, {"slot_state": ""}])
def test_only_the_newest_record_of_a_live_grant_can_be_claimed(change: dict[str, Any]) -> None:
    store = FakeClaims()
    store.record = replace(store.record, **change)
    with pytest.raises(Conflict) as refused:
        store.claim()
    assert code_of(refused) is Code.RECORD_NOT_CURRENT


def test_a_record_of_another_office_does_not_exist() -> None:
    store = FakeClaims()
    with pytest.raises(AccessDenied) as refused:
        store.claim(ELSEWHERE)
    assert code_of(refused) is Code.NOT_FOUND
    with pytest.raises(AccessDenied):
        claims.step(store, BUREAU, "r-2", "paid", "", at=NOW)


def test_a_step_that_is_none_does_not_exist() -> None:
    store = FakeClaims()
    store.claim()
    with pytest.raises(AccessDenied) as refused:
        store.step("burn")
    assert code_of(refused) is Code.NOT_FOUND


def test_nobody_else_may_move_a_claim() -> None:
    store = FakeClaims()
    store.claim()
    for wrong in (OTHER, replace(BUREAU, client_id="third")):
        with pytest.raises(Conflict) as refused:
            store.step("paid", wrong)
        assert code_of(refused) is Code.CLAIM_STATE_REFUSED


def test_a_claim_on_an_older_record_is_moved_by_that_records_id() -> None:
    store = FakeClaims()
    store.claim()
    held = store.record.claim
    assert held is not None
    store.record = replace(store.record, claim=replace(held, record_id="r-0"))
    with pytest.raises(Conflict):
        store.step("paid")


def test_paid_twice_is_paid_once() -> None:
    store = FakeClaims()
    store.claim()
    assert store.step("paid") == store.step("paid")
    assert store.steps == ["claim", "paid"]


def test_a_record_without_month_answers_without_month() -> None:
    store = FakeClaims()
    store.record = replace(store.record, month=None)
    assert store.claim()["month"] is None


ALLOWED = {
    ("granted", "claim"): "claimed",
    ("claimed", "claim"): "claimed",
    ("paid", "claim"): "paid",
    ("clawback_due", "claim"): "clawback_due",
    ("claimed", "paid"): "paid",
    ("paid", "paid"): "paid",
    ("claimed", "release"): "granted",
    ("paid", "returned"): "",
    ("clawback_due", "release"): "",
    ("clawback_due", "returned"): "",
}
"""Every move of a month that one client with one payment can make; all else is refused."""


@given(st.lists(st.sampled_from(["claim", "falls", *STEPS]), max_size=12))
def test_a_month_moves_only_along_its_table(moves: list[str]) -> None:
    store = FakeClaims()
    for move in moves:
        before = store.record.slot_state
        if move == "falls":
            store.falls()
            continue
        expected = ALLOWED.get((before, move))
        if expected is None:
            with pytest.raises(Conflict):
                store.claim() if move == "claim" else store.step(move)
            assert store.record.slot_state == before
        else:
            answer = store.claim() if move == "claim" else store.step(move)
            assert store.record.slot_state == expected
            assert answer["state"] == (expected or "free")


# Over the store


async def granted(world: World) -> str:
    who = person(1, "张三")
    await world.employ(FACTORY, who)
    await world.complete("N-1", who)
    await world.issue()
    return (await world.records())[0].record_id


async def test_every_step_of_a_claim_becomes_a_ledger_entry(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, "pay-1")
    await world.claims.step(BUREAU, record, "release", "填错")
    await world.claims.claim(BUREAU, record, "pay-2")
    await world.claims.step(BUREAU, record, "paid", "")
    await world.issue()
    entries = await world.entries("claim")
    assert [entry["step"] for entry in entries] == ["claim", "release", "claim", "paid"]
    assert {(entry["record"], entry["office"], entry["month"]) for entry in entries} == {
        (record, "652301", "2021-03")
    }
    assert "pay-1" not in str(entries)
    assert await world.sql("select state from slots") == [("paid",)]


async def test_of_many_systems_at_once_one_gets_the_month(world: World) -> None:
    record = await granted(world)
    systems = [replace(BUREAU, client_id=f"system-{number}") for number in range(8)]
    answers = await asyncio.gather(
        *(world.claims.claim(system, record, "pay-1") for system in systems), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert {conflict.code for conflict in refused} == {Code.ALREADY_CLAIMED}
    assert len(refused) == 7


async def test_a_record_that_does_not_exist_cannot_be_claimed(world: World) -> None:
    with pytest.raises(AccessDenied):
        await world.claims.claim(BUREAU, "no such record", "pay-1")


async def test_an_older_record_cannot_be_claimed(world: World) -> None:
    record = await granted(world)
    better = world.course("N-1", person(1, "张三"), revision=2, title="更正")
    await world.post(world.cvt.delivery(world.cvt.completed(better), "c-1", world.now))
    with pytest.raises(Conflict) as refused:  # the newer decision has no record yet
        await world.claims.claim(BUREAU, record, "pay-1")
    assert refused.value.code is Code.RECORD_NOT_CURRENT
    await world.issue()
    with pytest.raises(Conflict):
        await world.claims.claim(BUREAU, record, "pay-1")
    newest = (await world.records())[-1].record_id
    assert (await world.claims.claim(BUREAU, newest, "pay-1"))["state"] == "claimed"


async def test_a_revoked_record_cannot_be_claimed(world: World) -> None:
    record = await granted(world)
    await world.revoke("N-1")
    await world.issue()
    for one in (record, (await world.records())[-1].record_id):
        with pytest.raises(Conflict) as refused:
            await world.claims.claim(BUREAU, one, "pay-1")
        assert refused.value.code is Code.RECORD_NOT_CURRENT


async def test_a_claim_that_was_never_paid_is_released_after_a_revocation(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, "pay-1")
    await world.revoke("N-1")
    answer = await world.claims.step(BUREAU, record, "release", "未支付")
    assert answer["state"] == "free"
    assert await world.slots() == []
