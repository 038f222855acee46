"""Periodic work that watches: writes down who failed to prove itself, notices silence, counts what is due.

It has the database look at its tables, too.

None of it is evidence, and none may cost more than a fixed amount: whoever proves nothing must not be able
to make the service write at will. So failures wait in memory, bounded, and are written a few seconds apart at
the closest; a process that is killed loses those seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from verifier.errors import Unavailable
from verifier.keyring import Register
from verifier.model.delivery import PlatformSlug
from verifier.ports import Clock
from verifier.ports.sweeping import Backlog
from verifier.ports.watching import Failure, FailureStore
from verifier.silence import Silence, judge

WRITTEN_EVERY: Final = timedelta(seconds=5)
LOOKED_EVERY: Final = timedelta(minutes=1)
COUNTED_EVERY: Final = timedelta(seconds=10)
SMALL: Final = 50
"""Entries of a ledger from which on the tables are filled enough for a look to tell something."""
LARGE: Final = 1_000_000

log = logging.getLogger("verifier.watch")


@dataclass(slots=True)
class _Interval:
    """Lets something happen at most once an interval, also by a clock that is set back."""

    length: timedelta
    last: datetime | None = None

    def over(self, now: datetime) -> bool:
        return self.last is None or not timedelta(0) <= now - self.last < self.length

    def begin(self, now: datetime) -> None:
        self.last = now


class FailureBuffer(Protocol):
    """Where failures wait."""

    def waiting(self) -> Mapping[str, Sequence[Failure]]:
        """What is not written yet, by platform."""
        ...

    def written(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        """Let go of what was written."""
        ...


@dataclass(slots=True)
class FailureWriter:
    """Writes waiting failures in batches."""

    units: FailureStore
    buffer: FailureBuffer
    clock: Clock
    _interval: _Interval = field(default_factory=lambda: _Interval(WRITTEN_EVERY))

    async def step(self) -> int:
        """Write what waits, unless that was done a moment ago.

        Returns:
            0: whatever comes next has to wait its turn.

        Raises:
            Unavailable: nothing was written; all of it still waits.
        """
        now = self.clock()
        if self._interval.over(now):
            await self._write(now)
        return 0

    async def finish(self) -> None:
        """Write what waits, before the process ends; without a database there is nothing to be done."""
        try:
            await self._write(self.clock())
        except Unavailable as failure:
            log.warning("failures to authenticate were not written: %s", failure.code)

    async def _write(self, now: datetime) -> None:
        waiting = self.buffer.waiting()
        if waiting:
            self._interval.begin(now)  # also where it fails: trying costs as much as writing
            await self.units.keep_failures(waiting)
            self.buffer.written(waiting)


class BacklogUnits(Protocol):
    """Reads what is still to be judged again."""

    async def backlog(self) -> Backlog:
        """As of now."""
        ...


@dataclass(slots=True)
class BacklogWatch:
    """Looks a few seconds apart at how much is still to be judged again.

    Attributes:
        measured: told how many people are due, and how many the sweeps under way have still to reach.
    """

    units: BacklogUnits
    clock: Clock
    measured: Callable[[int, int], None]
    _interval: _Interval = field(default_factory=lambda: _Interval(COUNTED_EVERY))

    async def step(self) -> int:
        """Look, unless that was done a moment ago.

        Returns:
            0: the next look has to wait its turn.

        Raises:
            Unavailable: the database does not answer.
        """
        now = self.clock()
        if self._interval.over(now):
            self._interval.begin(now)
            found = await self.units.backlog()
            left = sum(max(sweep.total - sweep.done, 0) for sweep in found.sweeps)
            self.measured(found.due, left)
        return 0


class StatisticsUnits(Protocol):
    """Has the database look at how its tables are filled."""

    async def entries(self) -> int:
        """How many entries the ledger has."""
        ...

    async def analyse(self) -> None:
        """Look now."""
        ...


@dataclass(slots=True)
class StatisticsWatch:
    """Has PostgreSQL look at its tables whenever the ledger has doubled, while it is small.

    Of a table at which it never looked PostgreSQL takes one index for as good as another, keeps the plan, and
    reads every delivery of a platform to find one. Its own daemon looks a minute later at the earliest, which
    is late where thousands come in the first one; from ``LARGE`` on, that is often enough.
    """

    units: StatisticsUnits
    _next: int = SMALL

    async def step(self) -> int:
        """Look, if the time has come.

        Returns:
            0: the next look has to wait its turn.

        Raises:
            Unavailable: the database does not answer.
        """
        if self._next < LARGE:
            entries = await self.units.entries()
            if entries >= self._next:
                await self.units.analyse()
                self._next = 2 * entries
        return 0


class ArrivalUnits(Protocol):
    """Reads what came last."""

    async def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        """When each platform's newest authentic delivery was received."""
        ...


@dataclass(slots=True)
class SilenceWatch:
    """Looks at every platform of the register once a minute.

    Attributes:
        measured: told of every platform, every time.
        alarm: told of a platform when its silence is first noticed.
    """

    units: ArrivalUnits
    register: Callable[[], Register]
    clock: Clock
    measured: Callable[[Silence], None]
    alarm: Callable[[Silence], None]
    _silent: set[PlatformSlug] = field(default_factory=set)
    _interval: _Interval = field(default_factory=lambda: _Interval(LOOKED_EVERY))

    async def step(self) -> int:
        """Look, unless that was done a moment ago.

        Returns:
            0: the next look has to wait its turn.

        Raises:
            Unavailable: the database does not answer.
        """
        now = self.clock()
        if self._interval.over(now):
            self._interval.begin(now)
            platforms = self.register().platforms
            last = await self.units.last_deliveries(platforms.keys())
            for slug, platform in platforms.items():
                self._note(judge(platform, last.get(slug), now))
        return 0

    def _note(self, found: Silence) -> None:
        self.measured(found)
        if not found.silent:
            self._silent.discard(found.platform)
        elif found.platform not in self._silent:
            self._silent.add(found.platform)
            self.alarm(found)
