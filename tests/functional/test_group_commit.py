"""Group commit: what arrives together shares a transaction, and a poisonous item harms only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from tests.functional.world import World
from verifier.cli.simulator import person
from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.model.delivery import DeliveryOutcome, DeliveryState
from verifier.preparing import Prepared
from verifier.store.group import FEW, GroupCommit


class Ledger:
    """Counts transactions; poisonous items make theirs fail."""

    def __init__(self, poison: dict[int, Exception] | None = None) -> None:
        self.groups: list[list[int]] = []
        self.poison = poison or {}
        self.running = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def commit(self, items: Sequence[int]) -> Sequence[str]:
        self.running.set()
        await self.go.wait()
        self.groups.append(list(items))
        for item in items:
            if item in self.poison:
                raise self.poison[item]
        return [f"done {item}" for item in items]


async def submit_while_busy(ledger: Ledger, group: GroupCommit[int, str], items: range) -> list[object]:
    """Item 0 occupies the worker; the others wait, and share what comes next."""
    ledger.go.clear()
    first = asyncio.ensure_future(group.submit(0))
    await ledger.running.wait()
    others = [asyncio.ensure_future(group.submit(item)) for item in items]
    await asyncio.sleep(0)
    ledger.go.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


async def test_one_alone_does_not_wait_and_a_group_shares_one_transaction() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    answers = await submit_while_busy(ledger, group, range(1, 6))
    assert answers == [f"done {item}" for item in range(6)]
    assert ledger.groups == [[0], [1, 2, 3, 4, 5]]


async def in_turn(group: GroupCommit[int, str], sender: int, rounds: int) -> None:
    """Send the next item when the one before was answered."""
    for turn in range(rounds):
        await group.submit(sender * 100 + turn)


class Slow(Ledger):
    """A transaction takes a while."""

    @override
    async def commit(self, items: Sequence[int]) -> Sequence[str]:
        await asyncio.sleep(0.1)
        return await super().commit(items)


async def test_senders_who_wait_for_their_answers_share_one_group_and_do_not_fall_into_halves() -> None:
    ledger = Slow()
    group = GroupCommit(ledger.commit)
    first = asyncio.ensure_future(in_turn(group, 0, 6))
    await asyncio.sleep(0.01)
    await asyncio.gather(first, *(in_turn(group, sender, 6) for sender in range(1, 8)))
    # The first comes alone, and the others behind it; then all of them together.
    assert [len(one) for one in ledger.groups[:2]] == [1, 7]
    assert len(ledger.groups) <= 8
    assert sum(map(len, ledger.groups)) == 48


async def test_a_few_who_send_in_turn_are_not_kept_waiting_for_company() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, company=3600)
    async with asyncio.timeout(60):
        await submit_while_busy(ledger, group, range(1, FEW))
        for sender in range(FEW):
            await in_turn(group, sender, 3)
    assert [len(one) for one in ledger.groups] == [1, FEW - 1] + [1] * 3 * FEW


async def test_whoever_does_not_come_again_is_not_waited_for_long() -> None:
    ledger = Slow()
    group = GroupCommit(ledger.commit)
    first = asyncio.ensure_future(group.submit(0))
    await asyncio.sleep(0.01)
    others = [asyncio.ensure_future(group.submit(item)) for item in range(1, 9)]
    await asyncio.gather(first, *others)
    async with asyncio.timeout(60):
        assert await group.submit(9) == "done 9"
    assert ledger.groups == [[0], list(range(1, 9)), [9]]


async def test_a_group_has_a_bound() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, most=2)
    await submit_while_busy(ledger, group, range(1, 6))
    assert ledger.groups == [[0], [1, 2], [3, 4], [5]]


async def test_too_many_waiting_are_refused_and_nothing_is_done_for_them() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, waiting=2)
    answers = await submit_while_busy(ledger, group, range(1, 4))
    refused = answers[-1]
    assert isinstance(refused, Unavailable)
    assert refused.code is Code.OVERLOADED
    assert ledger.groups == [[0], [1, 2]]


@pytest.mark.parametrize("poison", [RuntimeError("poison"), ConfigurationError(Code.POLICY_INVALID)])
async def test_a_poisonous_item_is_isolated_by_halving(poison: Exception) -> None:
    ledger = Ledger({3: poison})
    group = GroupCommit(ledger.commit)
    answers = await submit_while_busy(ledger, group, range(1, 9))
    assert answers.pop(3) is poison
    assert answers == [f"done {item}" for item in range(9) if item != 3]


async def test_an_unreachable_database_fails_the_group_without_halving() -> None:
    away = Unavailable(Code.STORE_UNAVAILABLE)
    ledger = Ledger({3: away})
    group = GroupCommit(ledger.commit)
    answers = await submit_while_busy(ledger, group, range(1, 9))
    assert answers == ["done 0", *[away] * 8]
    assert ledger.groups == [[0], [1, 2, 3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize("poison", [{}, {1: RuntimeError("nobody hears it")}])
async def test_a_caller_that_goes_away_leaves_its_item_to_be_committed(poison: dict[int, Exception]) -> None:
    ledger = Ledger(poison)
    group = GroupCommit(ledger.commit)
    ledger.go.clear()
    caller = asyncio.ensure_future(group.submit(1))
    await ledger.running.wait()
    caller.cancel()
    ledger.go.set()
    await group.drain()
    assert caller.cancelled()
    assert ledger.groups == [[1]]


@pytest.mark.parametrize("poison", [{}, {2: RuntimeError("poison")}])
async def test_a_shutdown_that_cancelled_the_waiting_does_not_stop_the_others(
    poison: dict[int, Exception],
) -> None:
    ledger = Ledger(poison)
    group = GroupCommit(ledger.commit)
    ledger.go.clear()
    first = asyncio.ensure_future(group.submit(0))
    await ledger.running.wait()
    others = [asyncio.ensure_future(group.submit(item)) for item in (1, 2)]
    await asyncio.sleep(0)
    for one in group._queue:
        one.future.cancel()
    ledger.go.set()
    await group.drain()
    assert await first == "done 0"
    answers = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)


async def test_draining_an_idle_group_returns_at_once() -> None:
    await GroupCommit(Ledger().commit).drain()


async def test_deliveries_that_arrive_together_share_one_transaction_in_the_store(world: World) -> None:
    transactions: list[int] = []

    async def commit(items: Sequence[Prepared]) -> Sequence[DeliveryOutcome]:
        transactions.append(len(items))
        return await world.commit(items)

    group = GroupCommit(commit)
    deliveries = [
        world.cvt.delivery(
            world.cvt.completed(world.course(f"N-{number}", person(number, "张三"))), f"d-{number}", world.now
        )
        for number in range(40)
    ]
    outcomes = await asyncio.gather(*(group.submit(world.prepared(delivery)) for delivery in deliveries))
    assert {outcome.state for outcome in outcomes} == {DeliveryState.ACCEPTED}
    assert sum(transactions) == 40
    assert len(transactions) <= 2
    assert len(await world.sql("select 1 from deliveries")) == 40


async def test_a_delivery_that_always_breaks_a_key_harms_no_other(world: World) -> None:
    """A broken key is tried again, and told as what it is: only so can the group isolate it."""

    async def commit(items: Sequence[Prepared]) -> Sequence[DeliveryOutcome]:
        if any(item.claim.authenticated.delivery_id == "d-3" for item in items):
            twice = "insert into nodes (level, position, hash) values (0, 0, :hash), (0, 0, :hash)"
            await world.sql(twice, hash=bytes(32))
        return await world.commit(items)

    group = GroupCommit(commit)
    deliveries = [
        world.cvt.delivery(
            world.cvt.completed(world.course(f"N-{number}", person(number, "张三"))), f"d-{number}", world.now
        )
        for number in range(6)
    ]
    answers = await asyncio.gather(
        *(group.submit(world.prepared(delivery)) for delivery in deliveries), return_exceptions=True
    )
    assert isinstance(answers.pop(3), IntegrityError)
    assert all(isinstance(answer, DeliveryOutcome) for answer in answers)
    kept = await world.sql("select delivery_id from deliveries order by delivery_id")
    assert [delivery_id for (delivery_id,) in kept] == ["d-0", "d-1", "d-2", "d-4", "d-5"]


async def test_a_database_that_is_away_fails_whoever_waits_at_once_and_the_next_is_tried_anew() -> None:
    away = Unavailable(Code.OUTCOME_UNKNOWN)
    ledger = Ledger({0: away})
    group = GroupCommit(ledger.commit, most=2)
    answers = await submit_while_busy(ledger, group, range(1, 6))
    assert answers[0] is away
    assert {answer.code for answer in answers[1:] if isinstance(answer, Unavailable)} == {
        Code.STORE_UNAVAILABLE
    }
    assert ledger.groups == [[0]]
    assert await group.submit(7) == "done 7"


async def test_contention_fails_its_group_alone() -> None:
    busy = Unavailable(Code.OVERLOADED)
    ledger = Ledger({0: busy})
    group = GroupCommit(ledger.commit)
    assert await submit_while_busy(ledger, group, range(1, 3)) == [busy, "done 1", "done 2"]


async def test_while_the_first_in_line_has_waited_long_nobody_is_taken_any_more() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, patience=-1)
    ledger.go.clear()
    first = asyncio.ensure_future(group.submit(0))
    await ledger.running.wait()
    second = asyncio.ensure_future(group.submit(1))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await group.submit(2)
    assert refused.value.code is Code.OVERLOADED
    ledger.go.set()
    assert [await first, await second] == ["done 0", "done 1"]


async def test_groups_shrink_while_they_take_long_and_grow_again() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, most=100, aim=1.0)
    group._adapt(100, 4.0)
    assert group._size == 25
    group._adapt(25, 100.0)
    assert group._size == 8
    group._adapt(8, 0.7)
    group._adapt(3, 0.1)
    assert group._size == 8
    for _ in range(5):
        group._adapt(group._size, 0.1)
    assert group._size == 100
    group._adapt(1, 2.0)
    assert group._size == 8
