"""Background work: repeated while there is some, woken when something was written, stopped by a fork."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from verifier import workers
from verifier.errors import Code, LedgerRefused, Unavailable
from verifier.haste import somebody_waits
from verifier.workers import Crew, Worker


class Steps:
    """Answers one after another; then nothing is left to do."""

    def __init__(self, *answers: int | Exception, takes: float = 0) -> None:
        self.answers = list(answers)
        self.takes = takes
        self.runs = 0
        self.idle = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        await asyncio.sleep(self.takes)
        if not self.answers:
            self.idle.set()
            return 0
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def soon(condition: Callable[[], bool]) -> None:
    """Give way until it holds; fails by the clock of the loop."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BACKOFF_SECONDS", 0)


async def test_a_step_is_repeated_while_it_finds_something() -> None:
    steps = Steps(3, 2, 1)
    worker = Worker("test", steps)
    worker.start()
    await steps.idle.wait()
    assert steps.runs == 4
    await worker.stop()


async def test_a_wake_makes_it_look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 60)
    steps = Steps()
    worker = Worker("test", steps)
    worker.start()
    await steps.idle.wait()
    worker.wake.set()
    await soon(lambda: steps.runs == 2)
    assert not worker.wake.is_set()
    await worker.stop()


async def test_a_full_step_is_followed_at_once_and_another_one_waits_for_more() -> None:
    steps = Steps(10, 12, 9, takes=0.1)
    worker = Worker("test", steps, full=10, every=3600)
    worker.start()
    await soon(lambda: not steps.answers)
    worker.wake.set()
    await asyncio.sleep(0.2)
    assert steps.runs == 3
    await asyncio.wait_for(worker.stop(), 5)


async def test_while_requests_write_a_full_step_is_followed_only_after_as_long_again() -> None:
    pressed = True
    steps = Steps(10, 10, 10, takes=0.1)
    worker = Worker("test", steps, full=10, every=3600, pressed=lambda: pressed)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    worker.start()
    await soon(lambda: steps.runs == 2)
    assert loop.time() - begun >= 0.2
    pressed = False
    await steps.idle.wait()
    await worker.stop()


async def test_what_a_request_writes_presses_and_what_nobody_waits_for_does_not() -> None:
    crew, steps = Crew(), Steps(1)
    crew.add("test", steps)
    (worker,) = crew._workers
    crew.wake()
    assert not worker.pressed()
    with somebody_waits():
        crew.wake()
    assert worker.pressed()
    other = Crew()
    other.add("test", steps)
    other.wake(pressed=True)
    assert other._workers[0].pressed()


async def test_a_step_that_took_little_is_followed_soon() -> None:
    steps = Steps(9, 9, 9)
    worker = Worker("test", steps, full=10, every=3600)
    worker.start()
    await steps.idle.wait()
    assert steps.runs == 4
    await worker.stop()


async def test_whoever_is_woken_often_begins_no_sooner_than_its_time_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 60)
    steps = Steps(takes=0.02)
    worker = Worker("test", steps, every=0.05)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    worker.start()
    await steps.idle.wait()
    for _ in range(5):
        worker.wake.set()
        await asyncio.sleep(0)
    await soon(lambda: steps.runs == 2)
    assert loop.time() - begun >= 0.05
    await asyncio.sleep(0)
    assert not worker.wake.is_set()
    await worker.stop()
    assert steps.runs == 2


async def test_it_looks_unasked_for_what_another_process_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.001)
    steps = Steps()
    worker = Worker("test", steps)
    worker.start()
    await soon(lambda: steps.runs >= 3)
    await worker.stop()


async def test_an_unreachable_database_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(Unavailable(Code.STORE_UNAVAILABLE, "detail"), 1)
    worker = Worker("test", steps)
    with caplog.at_level(logging.WARNING):
        worker.start()
        await steps.idle.wait()
    assert worker.failed == ""
    assert caplog.messages == ["test: store_unavailable; trying again"]
    await worker.stop()


async def test_a_refused_ledger_stops_it_for_good(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(LedgerRefused(Code.LEDGER_HEAD_MOVED, "another issuer took over"), 1)
    worker = Worker("test", steps)
    worker.start()
    await soon(lambda: worker.failed != "")
    assert (worker.failed, steps.runs) == (Code.LEDGER_HEAD_MOVED, 1)
    assert "another issuer took over" in caplog.text
    await worker.stop()


async def test_a_mistake_of_ours_stops_it_and_says_only_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker("test", Steps(RuntimeError("999901199001010014")))
    worker.start()
    await soon(lambda: worker.failed != "")
    assert worker.failed == "RuntimeError"
    assert "999901199001010014" not in caplog.text
    await worker.stop()


async def test_one_that_never_started_can_be_stopped() -> None:
    await Worker("test", Steps()).stop()


async def test_a_crew_says_who_stopped_for_good() -> None:
    async def step() -> int:
        raise LedgerRefused(Code.LEDGER_HEAD_MOVED)

    crew = Crew()
    crew.add("issuer", step)
    crew.start()
    await soon(lambda: bool(crew.failed()))
    assert crew.failed() == ["issuer: ledger_head_moved"]
    await crew.stop()


async def test_a_crew_does_not_call_for_help_where_one_stopped_that_is_not_needed() -> None:
    ran = asyncio.Event()
    here = asyncio.get_running_loop()

    async def step() -> int:
        here.call_soon_threadsafe(ran.set)
        raise RuntimeError

    crew = Crew()
    crew.add("signals", step, needed=False)
    crew.start()
    await ran.wait()
    await soon(lambda: crew._workers[0].failed == "RuntimeError")
    assert crew.failed() == []
    await crew.stop()


async def test_a_crew_runs_every_step_beside_the_loop_that_answers() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    ran = asyncio.Event()
    here = asyncio.get_running_loop()

    async def step() -> int:
        loops.append(asyncio.get_running_loop())
        here.call_soon_threadsafe(ran.set)
        return 0

    crew = Crew()
    crew.add("one", step)
    crew.wake()  # before the start nobody needs to hear it
    crew.start()
    await ran.wait()
    ran.clear()
    crew.wake()
    await ran.wait()
    await crew.stop()
    assert crew.failed() == []
    assert here not in loops
    assert len(loops) >= 2
