"""The rules on one enterprise: bursts, shared keys, rosters that came afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.signal_facts import E1, E2, MINUTE, NOW, THRESHOLDS, beijing, case, done, employed
from verifier.model.decision import Case
from verifier.model.facts import FactId
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Finding, SignalKind
from verifier.signals import Roster, of_roster
from verifier.signals.roster import Finish, bursts_of

LIMITS = THRESHOLDS.on(date(2021, 3, 15))
NOON = beijing("2021-03-15 12:00")
EARLIER = beijing("2020-12-01 00:00")


def worker(serial: int, *moments: datetime, row: Any = None) -> Case:
    who = LearnerId(f"p{serial}")
    completions = [done(f"C{serial}-{n}", moment, learner_id=who) for n, moment in enumerate(moments)]
    return replace(case(completions, [replace(row or employed(), learner_id=who)]), learner_id=who)


def roster(cases: list[Case], first: datetime | None = EARLIER, sharing: Any = ()) -> Roster:
    gathered = Roster(E1, first, sharing)
    for one in cases:
        gathered.add(one)
    return gathered


def findings(cases: list[Case], **changes: Any) -> list[Finding]:
    return of_roster(roster(cases, **changes), THRESHOLDS, NOW)


# 9. A burst


@pytest.mark.parametrize(("people", "told"), [(9, False), (10, True), (40, True)])
def test_9_many_people_who_finish_within_minutes_are_told(people: int, *, told: bool) -> None:
    cases = [worker(n, NOON + timedelta(seconds=300 * n / people)) for n in range(people)]
    found = findings(cases)
    assert ([one.kind for one in found] == [SignalKind.ROSTER_BURST]) is told
    if told:
        assert (found[0].uscc, found[0].learner_id) == (E1, None)
        assert found[0].details["people"] == people
        assert found[0].details["bursts"][0]["first"] == "2021-03-15T04:00:00Z"


def test_9_one_person_who_finishes_much_is_no_burst() -> None:
    assert findings([worker(1, *(NOON + timedelta(seconds=n) for n in range(50)))]) == []


def test_9_people_spread_over_the_day_are_no_burst() -> None:
    assert findings([worker(n, NOON + n * MINUTE) for n in range(60)]) == []


def test_9_completions_of_a_day_alone_say_nothing_about_minutes() -> None:
    assert findings([worker(n, beijing("2021-03-15 00:00")) for n in range(60)]) == []


def test_9_only_those_count_whom_this_roster_lists_on_that_day() -> None:
    later, elsewhere = employed(E1, "2021-04-01"), employed(E2)
    assert findings([worker(n, NOON, row=later) for n in range(20)]) == []
    assert findings([worker(n, NOON, row=elsewhere) for n in range(20)]) == []


def test_9_a_revoked_one_does_not_count() -> None:
    cases = [worker(n, NOON) for n in range(10)]
    revoked = {cases[0].completions[0].fact_id: FactId("r")}
    assert findings([replace(cases[0], revoked=revoked), *cases[1:]]) == []


def test_9_all_bursts_of_a_day_are_one_finding_and_it_comes_again_when_it_has_doubled() -> None:
    def at(hours: int, serial: int) -> Case:
        return worker(serial, NOON + timedelta(hours=hours))

    morning = [at(0, n) for n in range(10)]
    evening = [at(5, n) for n in range(10, 20)]
    [first], [both] = findings(morning), findings(morning + evening)
    assert (both.details["people"], len(both.details["bursts"])) == (20, 2)
    assert first.digest != both.digest
    assert findings([*morning, at(0, 30)])[0].digest == first.digest
    next_day = [at(24, n) for n in range(40, 50)]
    assert [one.details["day"] for one in findings(morning + next_day)] == ["2021-03-15", "2021-03-16"]


def test_9_the_same_person_again_changes_nothing() -> None:
    cases = [worker(n, NOON) for n in range(10)]
    assert findings(cases + cases) == findings(cases)


@st.composite
def finishes(draw: st.DrawFn) -> list[Finish]:
    many = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 14)), max_size=60))
    return sorted(
        Finish(NOON + moment * MINUTE, FactId(f"f{n}"), LearnerId(f"p{who}"))
        for n, (moment, who) in enumerate(many)
    )


@given(finishes())
def test_9_bursts_are_exactly_the_windows_with_enough_people(all_of_them: list[Finish]) -> None:
    length = LIMITS.burst_minutes * MINUTE
    inside = set()
    for one in all_of_them:
        window = [
            other
            for other in all_of_them
            if timedelta(0) <= other.completed_at - one.completed_at <= length and other >= one
        ]
        if len({other.learner_id for other in window}) >= LIMITS.burst_people:
            inside |= {other.fact_id for other in window}
    bursts = list(bursts_of(all_of_them, LIMITS))
    assert {one.fact_id for burst in bursts for one in burst} == inside
    assert sum(len(burst) for burst in bursts) == len(inside)


# 10 and 11


@pytest.mark.parametrize(("others", "told"), [(3, False), (4, True), (30, True)])
def test_10_several_enterprises_behind_one_key_are_told(others: int, *, told: bool) -> None:
    found = findings([], sharing={Uscc(f"X{n}") for n in range(others)})
    assert ([one.kind for one in found] == [SignalKind.SHARED_CLIENT_KEY]) is told
    if told:
        assert found[0].details["enterprises"] == others + 1
        assert len(found[0].details["others"]) == min(others, 20)


@pytest.mark.parametrize(
    ("people", "days", "told"), [(10, 31, True), (10, 30, False), (9, 31, False), (50, 90, True)]
)
def test_11_a_roster_that_came_long_after_everything_is_told(people: int, days: int, *, told: bool) -> None:
    cases = [worker(n, NOON - timedelta(hours=n)) for n in range(people)]
    found = findings(cases, first=NOON + timedelta(days=days, hours=1 if told else 0))
    assert ([one.kind for one in found] == [SignalKind.ROSTER_AFTERWARDS]) is told


def test_11_one_completion_after_it_is_enough_to_say_nothing() -> None:
    cases = [worker(n, NOON - timedelta(hours=n)) for n in range(20)]
    late = worker(99, NOON + timedelta(days=40))
    assert findings([*cases, late], first=NOON + timedelta(days=40)) == []


def test_without_anybody_nothing_is_said() -> None:
    assert findings([], first=None) == []
    assert findings([worker(n, NOON - timedelta(hours=n)) for n in range(20)], first=None) == []


def test_an_enterprise_of_20_000_is_gathered_and_judged_in_seconds() -> None:
    cases = [worker(n, NOON + timedelta(seconds=n % 86_000)) for n in range(200)]
    gathered = roster(cases)
    for n in range(20_000):
        one = Finish(NOON + timedelta(seconds=n % 40_000), FactId(f"f{n}"), LearnerId(f"q{n}"))
        gathered._finishes[one.fact_id] = one
    found = of_roster(gathered, THRESHOLDS, NOW)
    assert {one.kind for one in found} == {SignalKind.ROSTER_BURST}
    assert all(len(one.about) <= 50 for one in found)
