"""Who cannot be found by any rule on one person, told from what stands unsealed in their facts. Pure.

Most people have one certificate or few, of one platform, on days on which one enterprise lists them. To say
that no rule finds them takes no name, and none of the rest of their case. Whoever this does not say it of
is looked at by the rules themselves: it never says so of somebody whom a rule finds (a test holds both
against each other), and need not say so of everybody else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from verifier.model.facts import EmploymentMark
from verifier.model.signals import Course, Row, Sketch
from verifier.model.time import beijing_date, covers
from verifier.signals.counting import MINUTE

if TYPE_CHECKING:
    from verifier.policy.thresholds import Limits, Thresholds

_ODD = frozenset({EmploymentMark.RETIRED, EmploymentMark.STUDENT, EmploymentMark.LEFT})


def may_be_found(one: Sketch, thresholds: Thresholds) -> bool:
    """Whether a rule on one person might find something; the rules have to look."""
    if one.entangled:
        return True
    courses = one.courses
    days = [beijing_date(course.completed_at) for course in courses]
    if len({*days}) < len(days) or len({course.platform for course in courses}) > 1:
        return True  # rules 2 and 3
    known = len(courses) + len(one.rows)
    for course, day in zip(courses, days, strict=True):
        limits = thresholds.on(day)
        if known >= limits.names or any(people >= limits.shared_people for people in one.shared.values()):
            return True  # rules 7 and 8
        if _beyond_clock(course, limits) or _at_odds(
            [row for row in one.rows if covers(row.start, row.end, day)], one.rows
        ):
            return True
    return False


def _beyond_clock(course: Course, limits: Limits) -> bool:
    """Rule 1, as if the day of completion had not begun."""
    if course.started_at is None or course.study_minutes is None:
        return False
    passed = max(0, (course.completed_at - course.started_at) // MINUTE)
    return course.study_minutes - passed > limits.study_tolerance_minutes


def _at_odds(covering: Collection[Row], rows: Collection[Row]) -> bool:
    """Rules 4 to 6 on one day."""
    if not covering:
        return bool(rows)
    return len({row.uscc for row in covering}) > 1 or any(row.mark in _ODD for row in covering)
