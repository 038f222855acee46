"""Watching: failures are written in batches that no caller can make more frequent, silence is told once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import pytest

from verifier.errors import Code, Unavailable
from verifier.keyring import Platform, Register
from verifier.model.delivery import PlatformSlug
from verifier.model.person import LearnerId
from verifier.model.trust import Recognition
from verifier.ports.sweeping import Backlog, Sweep
from verifier.ports.watching import KEPT_FAILURES, Failure
from verifier.silence import Silence
from verifier.watch import LARGE, SMALL, BacklogWatch, FailureWriter, SilenceWatch, StatisticsWatch
from verifier.web.metrics import Metrics
from verifier.web.services import Failures

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
LOUD, QUIET = PlatformSlug("loud"), PlatformSlug("quiet")


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class Written:
    """A store of failures that may be out of reach."""

    batches: list[Mapping[str, Sequence[Failure]]] = field(default_factory=list)
    down: bool = False
    tries: int = 0

    async def keep_failures(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        self.tries += 1
        if self.down:
            raise Unavailable(Code.STORE_UNAVAILABLE)
        self.batches.append(failures)


def failure(serial: int, at: datetime = NOW) -> Failure:
    return Failure(at, f"request-{serial}", "signature")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def buffer() -> Failures:
    return Failures()


@pytest.fixture
def writer(written: Written, buffer: Failures, clock: Clock) -> FailureWriter:
    return FailureWriter(written, buffer, clock)


async def test_what_waits_is_written_in_one_batch_and_let_go(
    writer: FailureWriter, written: Written, buffer: Failures
) -> None:
    for serial in range(3):
        buffer.note("loud", failure(serial))
    buffer.note("quiet", failure(9))
    assert await writer.step() == 0
    assert written.batches == [{"loud": tuple(map(failure, range(3))), "quiet": (failure(9),)}]
    assert (buffer.waiting(), buffer.of("loud")) == ({}, ())


async def test_nothing_is_written_while_nothing_waits(writer: FailureWriter, written: Written) -> None:
    assert await writer.step() == 0
    await writer.finish()
    assert written.tries == 0


async def test_however_often_it_is_woken_it_writes_once_in_five_seconds(
    writer: FailureWriter, written: Written, buffer: Failures, clock: Clock
) -> None:
    for serial in range(1000):
        buffer.note("loud", failure(serial))
        await writer.step()
        clock.passes(milliseconds=10)
    assert written.tries == 2
    assert len(buffer.of("loud")) == KEPT_FAILURES
    clock.passes(seconds=5)
    await writer.step()
    assert [len(batch["loud"]) for batch in written.batches] == [1, KEPT_FAILURES, KEPT_FAILURES]
    assert written.batches[-1]["loud"][-1] == failure(999)


async def test_what_could_not_be_written_waits_for_its_next_turn(
    writer: FailureWriter, written: Written, buffer: Failures, clock: Clock
) -> None:
    written.down = True
    buffer.note("loud", failure(1))
    with pytest.raises(Unavailable):
        await writer.step()
    assert await writer.step() == 0
    assert (written.tries, buffer.of("loud")) == (1, (failure(1),))
    written.down = False
    clock.passes(seconds=5)
    await writer.step()
    assert written.batches == [{"loud": (failure(1),)}]


async def test_a_clock_that_is_set_back_does_not_stop_it(
    writer: FailureWriter, written: Written, buffer: Failures, clock: Clock
) -> None:
    buffer.note("loud", failure(1))
    await writer.step()
    clock.passes(days=-30)
    buffer.note("loud", failure(2))
    await writer.step()
    assert len(written.batches) == 2


async def test_what_is_noted_while_it_is_written_is_not_lost(buffer: Failures) -> None:
    for serial in range(KEPT_FAILURES):
        buffer.note("loud", failure(serial))
    batch = buffer.waiting()
    for serial in range(KEPT_FAILURES, KEPT_FAILURES + 30):
        buffer.note("loud", failure(serial))
    buffer.written(batch)
    assert buffer.of("loud") == tuple(failure(serial) for serial in range(KEPT_FAILURES, KEPT_FAILURES + 30))


async def test_at_the_end_the_rest_is_written_without_waiting_for_its_turn(
    writer: FailureWriter, written: Written, buffer: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    for serial in range(2):
        buffer.note("loud", failure(serial))
        await writer.finish()
    assert len(written.batches) == 2
    written.down = True
    buffer.note("loud", failure(3))
    with caplog.at_level(logging.WARNING):
        await writer.finish()
    assert "store_unavailable" in caplog.text
    assert "request-3" not in caplog.text


@dataclass
class Arrivals:
    """When each platform was last heard of."""

    last: dict[PlatformSlug, datetime] = field(default_factory=dict)
    looks: int = 0
    down: bool = False

    async def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        self.looks += 1
        if self.down:
            raise Unavailable(Code.STORE_UNAVAILABLE)
        return {slug: moment for slug, moment in self.last.items() if slug in platforms}


@dataclass
class Watched:
    """A register of two platforms, one of which must send within a day, and what was said of them."""

    clock: Clock
    arrivals: Arrivals = field(default_factory=Arrivals)
    measured: list[Silence] = field(default_factory=list)
    alarms: list[Silence] = field(default_factory=list)
    recognised: tuple[Recognition, ...] = (Recognition(date(2021, 1, 1), None, "名单"),)

    def register(self) -> Register:
        platforms = {
            LOUD: Platform(LOUD, "甲", self.recognised, (), silence_hours=24),
            QUIET: Platform(QUIET, "乙", self.recognised, ()),
        }
        return Register("0" * 64, MappingProxyType(platforms), MappingProxyType({}))

    @property
    def watch(self) -> SilenceWatch:
        return SilenceWatch(
            self.arrivals, self.register, self.clock, self.measured.append, self.alarms.append
        )


@pytest.fixture
def watched(clock: Clock) -> Watched:
    return Watched(clock)


async def test_every_platform_is_measured_once_a_minute(watched: Watched, clock: Clock) -> None:
    watch = watched.watch
    for _ in range(120):
        assert await watch.step() == 0
        clock.passes(seconds=1)
    assert watched.arrivals.looks == 2
    assert [found.platform for found in watched.measured] == [LOUD, QUIET] * 2


async def test_a_silence_is_told_once_and_again_after_a_delivery(watched: Watched, clock: Clock) -> None:
    watch = watched.watch
    watched.arrivals.last = {LOUD: NOW, QUIET: NOW}
    for _ in range(72):
        await watch.step()
        clock.passes(hours=1)
    assert [(found.platform, found.seconds) for found in watched.alarms] == [(LOUD, 24 * 3600.0)]
    assert not any(found.silent for found in watched.measured if found.platform == QUIET)
    watched.arrivals.last[LOUD] = clock.now
    for _ in range(30):
        await watch.step()
        clock.passes(hours=1)
    assert len(watched.alarms) == 2


async def test_a_platform_dropped_from_the_register_is_no_alarm(watched: Watched, clock: Clock) -> None:
    watch = watched.watch
    watched.recognised = (Recognition(date(2021, 1, 1), date(2021, 7, 1), "名单"),)
    watched.arrivals.last = {LOUD: NOW}
    for _ in range(72):
        await watch.step()
        clock.passes(hours=1)
    assert watched.alarms == []


async def test_a_database_that_does_not_answer_is_asked_again_a_minute_later(
    watched: Watched, clock: Clock
) -> None:
    watch = watched.watch
    watched.arrivals.down = True
    with pytest.raises(Unavailable):
        await watch.step()
    watched.arrivals.down = False
    assert (await watch.step(), watched.measured) == (0, [])
    clock.passes(minutes=1)
    await watch.step()
    assert len(watched.measured) == 2


@dataclass
class Behind:
    """A store with something to be judged again."""

    found: Backlog
    asked: int = 0

    async def backlog(self) -> Backlog:
        self.asked += 1
        return self.found


async def test_what_is_due_is_counted_every_ten_seconds_and_can_be_scraped(clock: Clock) -> None:
    sweeps = (
        Sweep("s-1", "adoption", LearnerId("x"), 100, 40, NOW),
        # Others came meanwhile: nobody is left of the first ones.
        Sweep("s-2", "adoption", LearnerId("x"), 5, 7, NOW),
    )
    store, metrics = Behind(Backlog(3, NOW, 1, sweeps)), Metrics()
    watch = BacklogWatch(store, clock, metrics.behind)
    for _ in range(25):
        assert await watch.step() == 0
        clock.passes(seconds=1)
    assert store.asked == 3
    assert b"due_people 3.0" in metrics.text()
    assert b"sweep_people_left 60.0" in metrics.text()


@dataclass
class Growing:
    """A ledger that grows, and how often somebody looked at the tables."""

    size: int = 0
    analysed: list[int] = field(default_factory=list)

    async def entries(self) -> int:
        return self.size

    async def analyse(self) -> None:
        self.analysed.append(self.size)


async def test_the_tables_are_looked_at_whenever_a_small_ledger_has_doubled() -> None:
    store = Growing()
    watch = StatisticsWatch(store)
    for size in (0, SMALL - 1, SMALL, SMALL + 1, 2 * SMALL - 1, 2 * SMALL, 9 * SMALL, 17 * SMALL, 18 * SMALL):
        store.size = size
        assert await watch.step() == 0
    assert store.analysed == [SMALL, 2 * SMALL, 9 * SMALL, 18 * SMALL]


async def test_a_large_ledger_is_looked_at_once_after_a_start_and_then_left_to_the_database() -> None:
    store = Growing(LARGE)
    watch = StatisticsWatch(store)
    for _ in range(3):
        await watch.step()
        store.size *= 2
    assert store.analysed == [LARGE]


def test_what_was_seen_of_a_platform_can_be_scraped() -> None:
    metrics = Metrics()
    metrics.watched("loud", None, silent=True)
    assert b'platform_silent{platform="loud"} 1.0' in metrics.text()
    assert b"platform_seconds_since_delivery{" not in metrics.text()
    metrics.watched("loud", 90.5, silent=False)
    assert b'platform_silent{platform="loud"} 0.0' in metrics.text()
    assert b'platform_seconds_since_delivery{platform="loud"} 90.5' in metrics.text()
