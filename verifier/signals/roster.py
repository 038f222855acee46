"""The rules on one enterprise. What they need of each of its people is small, so that 20,000 fit in memory.

9. **A roster's burst**: many people of one enterprise, listed on that day, completed within minutes of each
   other, the same course or not; all bursts of one Beijing day are one finding.
10. **A shared client key**: the rosters of several enterprises came through clients that hold one public key.
11. **A roster afterwards**: the first of an enterprise's rosters was recorded long after the last completion
    of those it lists; that they worked there nobody had said before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from verifier.candidates import CaseView
from verifier.model.decision import Case
from verifier.model.facts import FactId
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Finding, SignalKind, Sketch
from verifier.model.time import beijing_date, covers, iso
from verifier.policy.thresholds import Limits, Thresholds
from verifier.signals.counting import MINUTE, MOST_ABOUT, finding, has_clock, scale

MOST_NAMED: Final = 20
"""Bursts and enterprises that one finding names."""


@dataclass(frozen=True, slots=True, order=True)
class Finish:
    """Somebody completed something while this enterprise listed them."""

    completed_at: datetime
    fact_id: FactId
    learner_id: LearnerId


@dataclass(slots=True)
class Roster:
    """What is known of an enterprise, gathered person by person.

    Attributes:
        first_recorded_at: when the first row of any of its rosters was recorded; None without one.
        sharing: other enterprises whose rosters came through the same key.
    """

    uscc: Uscc
    first_recorded_at: datetime | None = None
    sharing: Collection[Uscc] = ()
    _finishes: dict[FactId, Finish] = field(default_factory=dict)

    def add(self, case: Case) -> None:
        """Take in one person. Names are not looked at; the same person again changes nothing."""
        view = CaseView(case, "", 0)
        for one in case.completions:
            if one.fact_id not in case.revoked and any(row.uscc == self.uscc for row in view.covering(one)):
                self._finishes[one.fact_id] = Finish(one.completed_at, one.fact_id, case.learner_id)

    def add_sketch(self, one: Sketch) -> None:
        """Take in one person of whom a sketch tells everything; the entangled are taken in by their cases."""
        for course in one.courses:
            day = beijing_date(course.completed_at)
            if any(row.uscc == self.uscc and covers(row.start, row.end, day) for row in one.rows):
                self._finishes[course.fact_id] = Finish(course.completed_at, course.fact_id, one.learner_id)

    @property
    def finishes(self) -> Sequence[Finish]:
        """In order of time."""
        return sorted(self._finishes.values())


def of_roster(roster: Roster, thresholds: Thresholds, at: datetime) -> list[Finding]:
    """Everything that the rules find about one enterprise.

    Args:
        roster: what was gathered.
        thresholds: the table.
        at: aware UTC; the day of what has no completion.
    """
    finishes = roster.finishes
    return [
        *_bursts(roster.uscc, finishes, thresholds),
        *_shared_key(roster, thresholds.on(beijing_date(at))),
        *_afterwards(roster, finishes, thresholds),
    ]


def _bursts(uscc: Uscc, finishes: Sequence[Finish], thresholds: Thresholds) -> Iterator[Finding]:
    """Rule 9."""
    days: dict[date, list[Finish]] = defaultdict(list)
    for one in finishes:
        if has_clock(one.completed_at):
            days[beijing_date(one.completed_at)].append(one)
    for day, that_day in sorted(days.items()):
        bursts = list(bursts_of(that_day, thresholds.on(day)))
        if not bursts:
            continue
        involved = [one for burst in bursts for one in burst]
        people = len({one.learner_id for one in involved})
        details: dict[str, Any] = {
            "day": day.isoformat(),
            "people": people,
            "bursts": [
                {
                    "first": iso(burst[0].completed_at),
                    "last": iso(burst[-1].completed_at),
                    "people": len({one.learner_id for one in burst}),
                }
                for burst in bursts[:MOST_NAMED]
            ],
        }
        facts = tuple(one.fact_id for one in involved[:MOST_ABOUT])
        yield finding(SignalKind.ROSTER_BURST, None, uscc, facts, details, day.isoformat(), scale(people))


def bursts_of(finishes: Sequence[Finish], limits: Limits) -> Iterator[Sequence[Finish]]:
    """The stretches in which enough people finish within minutes; those that touch are one.

    Args:
        finishes: in order of time.
        limits: of that day.
    """
    length = limits.burst_minutes * MINUTE
    inside: Counter[LearnerId] = Counter()
    first, until, after = 0, 0, 0
    for place, one in enumerate(finishes):
        while after < len(finishes) and finishes[after].completed_at - one.completed_at <= length:
            inside[finishes[after].learner_id] += 1
            after += 1
        if len(inside) >= limits.burst_people:
            if place >= until:
                if until > first:
                    yield finishes[first:until]
                first = place
            until = after
        inside[one.learner_id] -= 1
        if not inside[one.learner_id]:
            del inside[one.learner_id]
    if until > first:
        yield finishes[first:until]


def _shared_key(roster: Roster, limits: Limits) -> Iterator[Finding]:
    """Rule 10."""
    enterprises = len(roster.sharing) + 1
    if enterprises >= limits.key_enterprises:
        named = sorted(roster.sharing)[:MOST_NAMED]
        details = {"enterprises": enterprises, "others": named}
        yield finding(SignalKind.SHARED_CLIENT_KEY, None, roster.uscc, (), details, scale(enterprises))


def _afterwards(roster: Roster, finishes: Sequence[Finish], thresholds: Thresholds) -> Iterator[Finding]:
    """Rule 11."""
    if not finishes or roster.first_recorded_at is None:
        return
    last, people = finishes[-1], len({one.learner_id for one in finishes})
    limits = thresholds.on(beijing_date(last.completed_at))
    later = roster.first_recorded_at - last.completed_at
    if people >= limits.afterwards_people and later > timedelta(days=limits.afterwards_days):
        facts = tuple(one.fact_id for one in finishes[:MOST_ABOUT])
        details = {"people": people, "days_later": later.days}
        yield finding(SignalKind.ROSTER_AFTERWARDS, None, roster.uscc, facts, details, scale(people))
