"""Claims: a month is taken for one payment, exclusively, and every step is in the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.functional.world import BUREAU, FACTORY, World
from verifier import claims
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected, Unavailable
from verifier.model.access import Client
from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId
from verifier.model.standards import Payee, Standards
from verifier.policy.standards import standards_of
from verifier.ports.claims import ClaimableRecord, Freeze, HeldClaim, StepTaken

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
OTHER = replace(BUREAU, client_id="other")
ELSEWHERE = replace(BUREAU, offices=frozenset({"659999"}))
STEPS = ("release", "paid", "returned")


TABLE = """
revision = 1
[[standard]]
entitlement = "online-training-month"
from = "2021-01"
to = "2021-06"
amount_fen = 51000
currency = "CNY"
reference = "测试文号"
[[payee]]
from = "2021-01"
payee = "dispatcher"
reference = "测试文号"
"""
"""Made up for tests, as every amount here is."""


class FakeClaims:
    """One granted record and its month."""

    def __init__(self, slot_state: str = "granted", *, dispatched: bool = False, table: str = "") -> None:
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
            dispatched=dispatched,
        )
        self.table = table
        self.steps: list[str] = []
        self.made: dict[str, HeldClaim] = {}
        self.closed: set[date] = set()

    def claimable(self, record_id: str) -> ClaimableRecord | None:
        return self.record if record_id == "r-1" else None

    def claim_under(
        self, record: ClaimableRecord, client_id: str, payment_reference: str
    ) -> HeldClaim | None:
        assert record.record_id == "r-1"
        mine = [
            one
            for one in self.made.values()
            if (one.record_id, one.client_id, one.payment_reference) == ("r-1", client_id, payment_reference)
        ]
        return mine[-1] if mine else None

    def standards(self) -> Standards | None:
        return standards_of(self.table) if self.table else None

    def frozen(self, office: str, entitlement: str, month: date) -> Freeze | None:
        if month not in self.closed:
            return None
        return Freeze(office, month, entitlement, "{}", "", 0, 0, "o", NOW)

    def claim_step(
        self,
        record: ClaimableRecord,
        claim: HeldClaim,
        step: str,
        *,
        reason: str,
        slot_state: str | None,
        booked_in: date | None,
        at: datetime,
    ) -> None:
        assert (record, at.tzinfo) == (self.record, UTC)
        self.steps.append(step)
        if step != "claim":
            state = {"release": "released", "paid": "paid", "returned": "returned"}[step]
            steps = {**claim.steps, step: StepTaken(at, reason, booked_in)}
            claim = replace(claim, state=state, steps=steps)
        self.hold(claim)
        held = None if slot_state in {None, "granted"} else claim
        self.record = replace(record, slot_state=slot_state or "", claim=held)

    def hold(self, claim: HeldClaim) -> None:
        self.made[claim.claim_id] = claim

    def claim(self, client: Client = BUREAU, payment: str = "pay-1", **asked: Any) -> dict[str, Any]:
        claim_id = f"c-{len(self.steps)}"
        return claims.claim(self, client, "r-1", Asked(payment, **asked), at=NOW, claim_id=claim_id)

    def step(
        self, name: str, client: Client = BUREAU, payment: str = "pay-1", reason: str = "why"
    ) -> dict[str, Any]:
        return claims.step(self, client, "r-1", name, payment, reason, at=NOW)

    def falls(self) -> None:
        """The grant falls, as the store moves the month."""
        after = {"granted": "", "claimed": "clawback_due", "paid": "clawback_due"}
        before, held = self.record.slot_state, self.record.claim
        if held is not None:
            held = replace(held, state="clawback_due")
            self.hold(held)
        self.record = replace(self.record, slot_state=after.get(before, before), claim=held)


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
        "settled_in": "2021-03",
        "payee": "employer",
        "amount_fen": None,
        "standard": "not_configured",
        "claimed_at": "2021-07-01T04:00:00Z",
    }


def test_a_claim_pins_the_amount_that_is_adopted_and_no_later_one() -> None:
    store = FakeClaims(table=TABLE)
    first = store.claim()
    assert (first["amount_fen"], first["standard"]) == (51000, standards_of(TABLE).digest)
    store.table = TABLE.replace("51000", "99900").replace("revision = 1", "revision = 2")
    assert store.claim() == first
    assert store.step("paid")["amount_fen"] == 51000


def test_a_month_that_no_row_covers_is_not_configured() -> None:
    store = FakeClaims(table=TABLE)
    store.record = replace(store.record, month=date(2021, 7, 1))
    assert (store.claim()["amount_fen"], store.made["c-0"].terms.standard) == (None, "not_configured")


def test_the_same_claim_again_gives_the_first_answer() -> None:
    store = FakeClaims()
    assert store.claim() == store.claim()
    assert store.steps == ["claim"]


@pytest.mark.parametrize(("client", "payment"), [(OTHER, "pay-1"), (BUREAU, "pay-2")])
def test_another_claim_is_refused_and_only_its_holder_hears_what_is_recorded(
    client: Client, payment: str
) -> None:
    store = FakeClaims()
    first = store.claim()
    with pytest.raises(Conflict) as refused:
        store.claim(client, payment)
    assert code_of(refused) is Code.ALREADY_CLAIMED
    assert refused.value.recorded == (first if client is BUREAU else None)
    assert "pay-1" not in str(refused.value)


def test_the_same_reference_with_another_payee_or_month_is_a_conflict() -> None:
    store = FakeClaims(dispatched=True)
    first = store.claim(payee=Payee.DISPATCHER)
    assert store.claim(payee=Payee.DISPATCHER, settled_in=date(2021, 3, 1)) == first
    for other in ({"payee": Payee.EMPLOYER}, {"settled_in": date(2021, 4, 1)}):
        with pytest.raises(Conflict) as refused:
            store.claim(**other)
        assert code_of(refused) is Code.CLAIM_DIFFERS
        assert refused.value.recorded == first


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
        claims.step(store, BUREAU, "r-2", "paid", "pay-1", "", at=NOW)


def test_a_step_that_is_none_does_not_exist() -> None:
    store = FakeClaims()
    store.claim()
    with pytest.raises(AccessDenied) as refused:
        store.step("burn")
    assert code_of(refused) is Code.NOT_FOUND


def test_nobody_else_may_move_a_claim_or_hears_of_it() -> None:
    store = FakeClaims()
    store.claim()
    for wrong in (OTHER, replace(BUREAU, client_id="third")):
        with pytest.raises(Conflict) as refused:
            store.step("paid", wrong)
        assert code_of(refused) is Code.CLAIM_STATE_REFUSED
        assert refused.value.recorded is None


def test_a_step_under_another_reference_is_refused_and_says_which_claim_stands() -> None:
    store = FakeClaims()
    first = store.claim()
    with pytest.raises(Conflict) as refused:
        store.step("paid", payment="pay-9")
    assert (code_of(refused), refused.value.recorded) == (Code.CLAIM_STATE_REFUSED, first)


def test_a_step_where_nothing_is_claimed_is_refused() -> None:
    with pytest.raises(Conflict) as refused:
        FakeClaims().step("paid")
    assert (code_of(refused), refused.value.recorded) == (Code.CLAIM_STATE_REFUSED, None)


def test_a_claim_on_an_older_record_is_moved_by_that_records_id() -> None:
    store = FakeClaims()
    store.claim()
    held = store.record.claim
    assert held is not None
    older = replace(held, record_id="r-0")
    store.hold(older)
    store.record = replace(store.record, claim=older)
    assert store.claim()["record"] == "r-0"
    with pytest.raises(Conflict):
        store.step("paid")


@pytest.mark.parametrize("steps", [["release"], ["paid"], ["paid", "returned"]])
def test_every_step_again_gives_the_first_answer_whatever_came_after(steps: list[str]) -> None:
    store = FakeClaims()
    store.claim()
    first = [store.step(name) for name in steps]
    if steps == ["release"]:
        store.claim(OTHER, "b-1")
    assert [store.step(name) for name in steps] == first
    assert store.steps.count(steps[0]) == 1


def test_the_same_step_with_another_reason_is_a_conflict_that_says_what_is_recorded() -> None:
    store = FakeClaims()
    store.claim()
    first = store.step("paid")
    with pytest.raises(Conflict) as refused:
        store.step("paid", reason="another")
    assert (code_of(refused), refused.value.recorded) == (Code.CLAIM_DIFFERS, first)


def test_a_reason_that_can_no_longer_be_read_is_not_compared() -> None:
    store = FakeClaims()
    store.claim()
    first = store.step("paid")
    held = store.made["c-0"]
    held = replace(held, steps={"paid": replace(held.steps["paid"], reason=None)})
    store.hold(held)
    store.record = replace(store.record, claim=held)
    assert store.step("paid", reason="another") == first


def test_a_reference_whose_claim_is_over_is_used_up() -> None:
    store = FakeClaims()
    store.claim()
    store.step("release")
    with pytest.raises(Conflict) as refused:
        store.claim()
    assert code_of(refused) is Code.CLAIM_STATE_REFUSED
    assert refused.value.recorded is not None
    assert refused.value.recorded["state"] == "released"
    assert store.claim(payment="pay-2")["state"] == "claimed"


def test_what_was_paid_is_returned_and_never_released() -> None:
    store = FakeClaims()
    store.claim()
    store.step("paid")
    store.falls()
    with pytest.raises(Conflict):
        store.step("release")
    assert store.step("returned")["state"] == "returned"


def test_a_record_without_month_answers_without_month() -> None:
    store = FakeClaims(table=TABLE)
    store.record = replace(store.record, month=None)
    answer = store.claim()
    assert (answer["month"], answer["settled_in"], answer["standard"]) == (None, None, "not_configured")
    assert store.step("paid")["booked_in"] is None


# Whom the money goes to


@pytest.mark.parametrize("table", ["", TABLE.split("[[payee]]", maxsplit=1)[0]])
def test_a_dispatched_workers_payee_has_no_default(table: str) -> None:
    store = FakeClaims(dispatched=True, table=table)
    with pytest.raises(Conflict) as refused:
        store.claim()
    assert code_of(refused) is Code.PAYEE_NOT_CONFIGURED
    assert store.claim(payee=Payee.EMPLOYER)["payee"] == "employer"


def test_a_dispatched_workers_payee_is_the_configured_one_and_no_other() -> None:
    store = FakeClaims(dispatched=True, table=TABLE)
    with pytest.raises(Conflict) as refused:
        store.claim(payee=Payee.EMPLOYER)
    assert code_of(refused) is Code.PAYEE_REFUSED
    assert store.claim()["payee"] == "dispatcher"


def test_whom_nobody_dispatched_the_employer_is_paid_for() -> None:
    store = FakeClaims(table=TABLE)
    with pytest.raises(Conflict) as refused:
        store.claim(payee=Payee.DISPATCHER)
    assert code_of(refused) is Code.PAYEE_REFUSED
    assert store.claim(payee=Payee.EMPLOYER)["payee"] == "employer"


def test_without_a_month_no_payee_is_configured() -> None:
    store = FakeClaims(dispatched=True, table=TABLE)
    store.record = replace(store.record, month=None)
    with pytest.raises(Conflict) as refused:
        store.claim()
    assert code_of(refused) is Code.PAYEE_NOT_CONFIGURED


# Frozen account months

MARCH, APRIL, MAY = date(2021, 3, 1), date(2021, 4, 1), date(2021, 5, 1)


def test_a_frozen_month_takes_a_claim_only_in_the_next_open_one_and_only_if_it_says_so() -> None:
    store = FakeClaims()
    store.closed = {MARCH, APRIL}
    for said in (None, MARCH, APRIL):
        with pytest.raises(Conflict) as refused:
            store.claim(settled_in=said)
        assert code_of(refused) is Code.MONTH_FROZEN
        assert refused.value.recorded == {"frozen": (said or MARCH).strftime("%Y-%m"), "open": "2021-05"}
    for said in (date(2021, 2, 1), date(2021, 6, 1)):
        with pytest.raises(RequestRejected):
            store.claim(settled_in=said)
    answer = store.claim(settled_in=MAY)
    assert (answer["month"], answer["settled_in"]) == ("2021-03", "2021-05")
    assert store.claim() == answer


def test_an_open_month_takes_no_claim_into_another_one() -> None:
    with pytest.raises(RequestRejected):
        FakeClaims().claim(settled_in=APRIL)
    assert FakeClaims().claim(settled_in=MARCH)["settled_in"] == "2021-03"


def test_what_follows_a_claim_goes_on_and_falls_into_the_next_open_month() -> None:
    store = FakeClaims()
    store.claim()
    store.closed = {MARCH, APRIL}
    paid = store.step("paid")
    assert (paid["settled_in"], paid["booked_in"]) == ("2021-03", "2021-05")
    store.closed = {MARCH, APRIL, MAY}
    assert store.step("paid") == paid
    assert store.step("returned")["booked_in"] == "2021-06"


ALLOWED = {
    ("granted", "claim"): "claimed",
    ("claimed", "paid"): "paid",
    ("claimed", "release"): "granted",
    ("paid", "returned"): "",
    ("clawback_due", "release"): "",
    ("clawback_due", "returned"): "",
}
"""Every move of a month that one client can make; all else is refused, or answered as the first time."""


@given(st.lists(st.sampled_from(["claim", "falls", *STEPS]), max_size=12))
def test_a_month_moves_only_along_its_table(moves: list[str]) -> None:
    store, payment = FakeClaims(), 0
    for move in moves:
        before, held = store.record.slot_state, store.record.claim
        if move == "falls":
            store.falls()
            continue
        if move == "claim" and held is None:
            payment += 1  # a reference is for one claim
        mine = (
            store.made.get(held.claim_id) if held else store.claim_under(store.record, "bureau", f"{payment}")
        )
        again = mine is not None and (move in mine.steps or (move == "claim" and held is not None))
        expected = ALLOWED.get((before, move))
        if (before, move) == ("clawback_due", "release") and mine is not None and "paid" in mine.steps:
            expected = None
        done = len(store.steps)
        try:
            answer = (
                store.claim(payment=f"{payment}")
                if move == "claim"
                else store.step(move, payment=f"{payment}")
            )
        except Conflict:
            assert not again
            assert expected is None
            assert store.record.slot_state == before
        else:
            assert again or store.record.slot_state == expected
            assert len(store.steps) == done + (not again)
            assert answer["payment_reference"] == f"{payment}"


# Over the store


async def granted(world: World) -> str:
    who = person(1, "张三")
    await world.employ(FACTORY, who)
    await world.complete("N-1", who)
    await world.issue()
    return (await world.records())[0].record_id


async def test_every_step_of_a_claim_becomes_a_ledger_entry(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, Asked("pay-1"))
    await world.claims.step(BUREAU, record, "release", "pay-1", "填错")
    await world.claims.claim(BUREAU, record, Asked("pay-2"))
    await world.claims.step(BUREAU, record, "paid", "pay-2", "")
    await world.issue()
    entries = await world.entries("claim")
    assert [entry["step"] for entry in entries] == ["claim", "release", "claim", "paid"]
    assert {(entry["record"], entry["office"], entry["month"]) for entry in entries} == {
        (record, "652301", "2021-03")
    }
    assert "pay-1" not in str(entries)
    assert await world.sql("select state from slots") == [("paid",)]


async def test_of_64_claims_of_two_systems_at_once_one_system_gets_the_month_for_one_payment(
    world: World,
) -> None:
    record = await granted(world)
    tries = [(BUREAU if number % 2 else OTHER, f"pay-{number % 4}") for number in range(64)]

    async def claimed(system: Client, payment: str) -> dict[str, Any] | Code:
        while True:
            try:
                return await world.claims.claim(system, record, Asked(payment))
            except Conflict as refused:
                return refused.code
            except Unavailable:
                await asyncio.sleep(0.01)  # busy: the client comes again

    answers = await asyncio.gather(*(claimed(*one) for one in tries))
    got = [answer for answer in answers if isinstance(answer, dict)]
    assert len(got) == 16
    assert all(answer == got[0] for answer in got)
    assert {answer for answer in answers if not isinstance(answer, dict)} == {Code.ALREADY_CLAIMED}
    assert await world.sql("select step from claims") == [("claim",)]


async def test_a_repeated_step_over_the_store_gives_the_first_answer(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, Asked("pay-1"))
    released = await world.claims.step(BUREAU, record, "release", "pay-1", "填错")
    await world.claims.claim(OTHER, record, Asked("pay-1"))
    assert await world.claims.step(BUREAU, record, "release", "pay-1", "填错") == released
    with pytest.raises(Conflict) as refused:
        await world.claims.step(BUREAU, record, "release", "pay-1", "别的原因")
    assert refused.value.code is Code.CLAIM_DIFFERS
    with pytest.raises(Conflict) as refused:
        await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert refused.value.code is Code.CLAIM_STATE_REFUSED
    assert await world.sql("select distinct reason from claims") == [("",)]


async def test_of_somebody_who_was_erased_steps_go_on_and_no_reason_is_kept(small_world: World) -> None:
    record = await granted(small_world)
    await small_world.claims.claim(BUREAU, record, Asked("pay-1"))
    paid = await small_world.claims.step(BUREAU, record, "paid", "pay-1", "已支付")
    await small_world.sql("update learners set sealed_key = null")
    assert await small_world.claims.step(BUREAU, record, "paid", "pay-1", "别的") == paid
    await small_world.claims.step(BUREAU, record, "returned", "pay-1", "已退回")
    rows = await small_world.sql("select step from claim_terms where sealed_reason is not null")
    assert rows == [("paid",)]


async def test_a_claim_of_an_older_version_is_read_and_moved_on(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, Asked("pay-1"))
    await world.claims.step(BUREAU, record, "paid", "pay-1", "x")
    await world.sql("delete from claim_terms")
    await world.sql("update claims set reason = '旧版明文' where step = 'paid'")
    answer = await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert (answer["payee"], answer["settled_in"], answer["standard"], answer["state"]) == (
        "not_recorded",
        "2021-03",
        "not_configured",
        "paid",
    )
    await world.claims.step(BUREAU, record, "paid", "pay-1", "旧版明文")
    assert (await world.claims.step(BUREAU, record, "returned", "pay-1", "退回"))["booked_in"] == "2021-03"


async def test_a_record_that_does_not_exist_cannot_be_claimed(world: World) -> None:
    with pytest.raises(AccessDenied):
        await world.claims.claim(BUREAU, "no such record", Asked("pay-1"))


async def test_an_older_record_cannot_be_claimed(world: World) -> None:
    record = await granted(world)
    better = world.course("N-1", person(1, "张三"), revision=2, title="更正")
    await world.post(world.cvt.delivery(world.cvt.completed(better), "c-1", world.now))
    with pytest.raises(Conflict) as refused:  # the newer decision has no record yet
        await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert refused.value.code is Code.RECORD_NOT_CURRENT
    await world.issue()
    with pytest.raises(Conflict):
        await world.claims.claim(BUREAU, record, Asked("pay-1"))
    newest = (await world.records())[-1].record_id
    assert (await world.claims.claim(BUREAU, newest, Asked("pay-1")))["state"] == "claimed"


async def test_a_revoked_record_cannot_be_claimed(world: World) -> None:
    record = await granted(world)
    await world.revoke("N-1")
    await world.issue()
    for one in (record, (await world.records())[-1].record_id):
        with pytest.raises(Conflict) as refused:
            await world.claims.claim(BUREAU, one, Asked("pay-1"))
        assert refused.value.code is Code.RECORD_NOT_CURRENT


async def test_a_claim_that_was_never_paid_is_released_after_a_revocation(world: World) -> None:
    record = await granted(world)
    await world.claims.claim(BUREAU, record, Asked("pay-1"))
    await world.revoke("N-1")
    answer = await world.claims.step(BUREAU, record, "release", "pay-1", "未支付")
    assert answer["state"] == "released"
    assert await world.slots() == []
