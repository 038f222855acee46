"""The rules on one person: a case in, what a reviewer is to look at out.

1. **Study beyond the clock**: a certificate states more minutes of study than passed between start and
   completion, by more than a tolerance.
2. **A day overfull**: several courses completed on one day state more minutes of study than a day has. A
   course that began on an earlier day does not count; where no start is stated, what of it may lie before
   midnight is granted once, for the course that makes most of it.
3. **Sessions overlap**: on two platforms at once. A session goes from start to completion or, where no start
   is stated, back from completion by the minutes of study; one that is longer than a limit is a period of
   enrolment, and no session.
4. **Outside employment**: a completion on a day that no roster's row covers, told for each enterprise that
   lists the person.
5. **Two employers**: one certificate's number falls under several enterprises, also by way of somebody who
   held it before it was corrected. A dispatching company and the enterprise it dispatches to are one here.
6. **Marked by the roster**: on the day of completion the row says that the person is retired or a student,
   or that they left without saying when.
7. **Unrelated names** under one identifier, none a variant of another.
8. **A shared value**: a phone number or account that the certificates of many people bear.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from verifier.candidates import CaseView
from verifier.model.facts import CompletionFact, EmploymentFact, EmploymentMark
from verifier.model.person import Uscc
from verifier.model.signals import Finding, Former, Person, SignalKind
from verifier.model.time import beijing_date, covers
from verifier.policy.thresholds import Limits, Thresholds
from verifier.signals.counting import MINUTE, about, finding, has_clock, in_order, minutes_of_day, scale

MOST_COMPLETIONS: Final = 500
"""Of somebody with more, the last ones in the written order are looked at."""
MOST_ROWS: Final = 10
"""Rows of rosters that one finding names."""
_DAY: Final = timedelta(days=1)


def of_person(person: Person, thresholds: Thresholds) -> list[Finding]:
    """Everything that the rules find about one person."""
    view = _View.of(person, thresholds)
    if not view.completions:
        return []
    rules = (
        _beyond_clock,
        _overfull,
        _overlapping,
        _outside,
        _two_employers,
        _marked,
        _unrelated_names,
        _shared_value,
    )
    return [found for rule in rules for found in rule(view)]


@dataclass(frozen=True, slots=True)
class _View:
    person: Person
    case: CaseView
    completions: Sequence[CompletionFact]
    thresholds: Thresholds

    @classmethod
    def of(cls, person: Person, thresholds: Thresholds) -> _View:
        case = person.case
        standing = in_order(one for one in case.completions if one.fact_id not in case.revoked)
        return cls(person, CaseView.of(case, ""), standing[-MOST_COMPLETIONS:], thresholds)

    def on(self, completion: CompletionFact) -> Limits:
        return self.thresholds.on(beijing_date(completion.completed_at))

    def told(
        self,
        kind: SignalKind,
        completions: Sequence[CompletionFact],
        details: Mapping[str, object],
        *key: str,
        uscc: Uscc | None = None,
        rows: Iterable[EmploymentFact] = (),
    ) -> Finding:
        """A finding about certificates of this person, and an enterprise and rows if it is about them."""
        said = {"certificates": len(completions), **details}
        listed = sorted(rows, key=lambda row: (row.uscc, row.start, row.fact_id))[:MOST_ROWS]
        facts = (*(row.fact_id for row in listed), *about(completions))
        return finding(kind, self.case.case.learner_id, uscc, facts, said, *key, scale(len(completions)))

    def rows(self) -> Mapping[Uscc, Sequence[EmploymentFact]]:
        """What each enterprise lists, but those whose listing the worker refuted."""
        refuted = {contest.uscc for contest in self.case.case.contests if contest.upheld}
        found: dict[Uscc, list[EmploymentFact]] = defaultdict(list)
        for row in self.case.case.employments:
            if row.uscc not in refuted:
                found[row.uscc].append(row)
        return dict(sorted(found.items()))


def _beyond_clock(view: _View) -> Iterator[Finding]:
    """Rule 1."""
    over: list[CompletionFact] = []
    most = 0
    for one in view.completions:
        if one.started_at is None or one.study_minutes is None:
            continue
        # Of a day alone the last moment: never more is said to have been impossible than was.
        end = one.completed_at if has_clock(one.completed_at) else one.completed_at + _DAY
        beyond = one.study_minutes - max(0, (end - one.started_at) // MINUTE)
        if beyond > view.on(one).study_tolerance_minutes:
            over.append(one)
            most = max(most, beyond)
    if over:
        yield view.told(SignalKind.STUDY_BEYOND_CLOCK, over, {"minutes_beyond": most})


def _overfull(view: _View) -> Iterator[Finding]:
    """Rule 2."""
    days: dict[date, list[CompletionFact]] = defaultdict(list)
    for one in view.completions:
        day = beijing_date(one.completed_at)
        if one.study_minutes and (one.started_at is None or beijing_date(one.started_at) == day):
            days[day].append(one)
    for day, courses in sorted(days.items()):
        minutes = sum(one.study_minutes or 0 for one in courses)
        granted = max((_before_midnight(one) for one in courses), default=0)
        if len(courses) > 1 and minutes - granted > view.thresholds.on(day).day_minutes:
            details = {"day": day.isoformat(), "minutes": minutes}
            yield view.told(SignalKind.DAY_OVERFULL, courses, details, day.isoformat())


def _before_midnight(one: CompletionFact) -> int:
    """Minutes of a course without a start that may lie before the day of its completion."""
    if one.started_at is not None or one.study_minutes is None:
        return 0
    known = minutes_of_day(one.completed_at) if has_clock(one.completed_at) else 0
    return max(0, one.study_minutes - known)


def session(one: CompletionFact, limits: Limits) -> tuple[datetime, datetime] | None:
    """When somebody sat learning, as far as the certificate tells."""
    start = one.started_at
    if start is None and one.study_minutes is not None:
        start = one.completed_at - one.study_minutes * MINUTE
    elif start is not None and not has_clock(start):
        return None
    if start is None or not has_clock(one.completed_at):
        return None
    length = one.completed_at - start
    return (start, one.completed_at) if timedelta(0) < length <= limits.session_minutes * MINUTE else None


def _overlapping(view: _View) -> Iterator[Finding]:
    """Rule 3."""
    sat = [(when, one) for one in view.completions if (when := session(one, view.on(one)))]
    sat.sort(key=lambda pair: (pair[0], pair[1].fact_id))
    longest: dict[date, timedelta] = {}
    together: dict[date, dict[str, CompletionFact]] = defaultdict(dict)
    for place, ((_, end), one) in enumerate(sat):
        for (start, until), other in sat[place + 1 :]:
            if start >= end:
                break
            both = min(end, until) - start
            if one.platform == other.platform or both < view.on(one).overlap_minutes * MINUTE:
                continue
            day = beijing_date(min(one.completed_at, other.completed_at))
            together[day] |= {one.fact_id: one, other.fact_id: other}
            longest[day] = max(both, longest.get(day, both))
    for day, involved in sorted(together.items()):
        platforms = sorted({one.platform for one in involved.values()})
        minutes = longest[day] // MINUTE
        details = {"day": day.isoformat(), "platforms": platforms, "minutes_together": minutes}
        yield view.told(SignalKind.SESSIONS_OVERLAP, [*involved.values()], details, day.isoformat())


def _outside(view: _View) -> Iterator[Finding]:
    """Rule 4."""
    rows = view.rows()
    uncovered = [one for one in view.completions if not view.case.covering(one)]
    for uscc, listed in rows.items():
        away = {
            one.fact_id: days
            for one in uncovered
            if abs(days := _days_away(one, listed)) > view.on(one).employment_days
        }
        outside = [one for one in uncovered if one.fact_id in away]
        if outside:
            before = sum(days < 0 for days in away.values())
            details = {
                "before": before,
                "after": len(outside) - before,
                "days_away": max(abs(days) for days in away.values()),
            }
            yield view.told(SignalKind.OUTSIDE_EMPLOYMENT, outside, details, uscc=uscc, rows=listed)


def _days_away(one: CompletionFact, rows: Iterable[EmploymentFact]) -> int:
    """Days to the nearest row's first day (below 0) or from its last one; of two as near, after the last."""
    day = beijing_date(one.completed_at)
    distances = [(day - row.start).days if day < row.start else (day - (row.end or day)).days for row in rows]
    return min(distances, key=lambda days: (abs(days), -days))


def _two_employers(view: _View) -> Iterator[Finding]:
    """Rule 5."""
    before: dict[tuple[str, str, str], list[Former]] = defaultdict(list)
    for one in view.person.former:
        before[_number(one.completion)].append(one)
    found: dict[tuple[Uscc, ...], tuple[list[CompletionFact], dict[str, EmploymentFact]]] = {}
    for completion in view.completions:
        rows = [*view.case.covering(completion)]
        for one in before[_number(completion)]:
            day = beijing_date(one.completion.completed_at)
            rows += [row for row in one.employments if covers(row.start, row.end, day)]
        employers = _employers(rows)
        if len(employers) > 1:
            certificates, listed = found.setdefault(employers, ([], {}))
            certificates.append(completion)
            listed |= {row.fact_id: row for row in rows}
    for employers, (certificates, listed) in sorted(found.items(), key=lambda item: item[0]):
        details = {"enterprises": list(employers)}
        yield view.told(SignalKind.TWO_EMPLOYERS, certificates, details, *employers, rows=listed.values())


def _number(completion: CompletionFact) -> tuple[str, str, str]:
    return (completion.issuer, completion.number_scope, completion.number)


def _employers(rows: Iterable[EmploymentFact]) -> tuple[Uscc, ...]:
    """The enterprises, less those that dispatch to another of them."""
    rows = list(rows)
    dispatching = {row.dispatched_by for row in rows if row.dispatched_by != row.uscc}
    return tuple(sorted({row.uscc for row in rows} - dispatching))


def _marked(view: _View) -> Iterator[Finding]:
    """Rule 6."""
    for uscc, listed in view.rows().items():
        found: dict[EmploymentMark, tuple[list[CompletionFact], dict[str, EmploymentFact]]] = {}
        for completion in view.completions:
            day = beijing_date(completion.completed_at)
            covering = (row for row in listed if covers(row.start, row.end, day) and _is_odd(row))
            for row in sorted(covering, key=lambda row: (row.start, row.fact_id))[:1]:
                certificates, rows = found.setdefault(row.mark, ([], {}))
                certificates.append(completion)
                rows[row.fact_id] = row
        for mark, (certificates, rows) in sorted(found.items()):
            details = {"mark": mark.value}
            yield view.told(
                SignalKind.MARKED_BY_ROSTER, certificates, details, mark, uscc=uscc, rows=rows.values()
            )


def _is_odd(row: EmploymentFact) -> bool:
    """Whether a row's mark is at odds with employment on the days that the row covers."""
    left = row.mark is EmploymentMark.LEFT and row.end is None
    return left or row.mark in {EmploymentMark.RETIRED, EmploymentMark.STUDENT}


def _unrelated_names(view: _View) -> Iterator[Finding]:
    """Rule 7."""
    names = view.case.names
    if names >= view.on(view.completions[-1]).names:
        details = {"certificates": len(view.completions), "names": names}
        learner, facts = view.case.case.learner_id, about(view.completions)
        yield finding(SignalKind.UNRELATED_NAMES, learner, None, facts, details, scale(names))


def _shared_value(view: _View) -> Iterator[Finding]:
    """Rule 8."""
    least = view.on(view.completions[-1]).shared_people
    for kind, people in sorted(view.person.shared.items()):
        if people >= least:
            details = {"certificates": len(view.completions), "value": kind, "people": people}
            learner, facts = view.case.case.learner_id, about(view.completions)
            yield finding(SignalKind.SHARED_VALUE, learner, None, facts, details, kind, scale(people))
