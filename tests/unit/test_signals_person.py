"""The rules on one person: what each finds, where it begins, and what honest learning never looks like."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.signal_facts import (
    E1,
    E2,
    E3,
    LEARNER,
    MINUTE,
    NOW,
    P1,
    P2,
    SOURCE,
    THRESHOLDS,
    beijing,
    done,
    employed,
    found,
    kinds,
)
from verifier.identity import person_name
from verifier.model.facts import CompletionFact, ContestFact, EmploymentMark, FactId
from verifier.model.person import LearnerId
from verifier.model.signals import Former, SignalKind
from verifier.signals import TITLES, reason
from verifier.signals.person import MOST_COMPLETIONS, session

LIMITS = THRESHOLDS.on(NOW.date())
ROW = employed()
OTHER = LearnerId("p2")


def test_nobody_without_a_completion_is_told_of() -> None:
    assert found(employed(E1), employed(E2), shared={"phone": 99}) == []


# 1. Study beyond the clock


@pytest.mark.parametrize(("minutes", "told"), [(120, False), (130, False), (131, True), (9_999_999, True)])
def test_1_study_beyond_the_time_that_passed_is_told_from_the_tolerance_on(
    minutes: int, *, told: bool
) -> None:
    one = done(started_at=beijing("2021-03-15 08:00"), study_minutes=minutes)
    assert (kinds(found(one, ROW)) == [SignalKind.STUDY_BEYOND_CLOCK]) is told


def test_1_without_a_start_or_without_minutes_nothing_is_said() -> None:
    assert found(done(study_minutes=9_999), ROW) == []
    assert found(done(started_at=beijing("2021-03-15 09:59")), ROW) == []


def test_1_a_start_after_the_completion_leaves_no_time_at_all() -> None:
    one = done(started_at=beijing("2021-03-16 08:00"), study_minutes=11)
    [finding] = found(one, ROW)
    assert finding.details == {"certificates": 1, "minutes_beyond": 11}


def test_1_of_a_day_alone_the_whole_day_counts() -> None:
    """A certificate that only bears days proves nothing about hours."""
    one = done(at="2021-03-15 00:00", started_at=beijing("2021-03-15 00:00"), study_minutes=1_440)
    assert found(one, ROW) == []
    [finding] = found(replace(one, study_minutes=1_451), ROW)
    assert finding.details["minutes_beyond"] == 11


def test_1_all_of_a_person_are_one_finding_that_comes_again_when_their_number_has_doubled() -> None:
    wrong = [done(f"C{n}", started_at=beijing("2021-03-15 09:00"), study_minutes=100 + n) for n in range(4)]
    seen = [found(*wrong[:count], ROW)[0] for count in (1, 2, 3, 4)]
    assert [one.details["certificates"] for one in seen] == [1, 2, 3, 4]
    assert len({one.digest for one in seen}) == 3
    assert seen[1].digest == seen[2].digest
    assert seen[3].details["minutes_beyond"] == 43
    assert seen[3].about == tuple(one.fact_id for one in wrong)


# 2. A day overfull


def test_2_several_courses_of_one_day_with_more_minutes_than_a_day_has_are_told() -> None:
    """The script's case: ten courses of five hours, finished within twenty minutes after midnight."""
    courses = [done(f"C{n}", f"2021-03-15 00:{10 + n}", study_minutes=300) for n in range(10)]
    [finding] = found(*courses, ROW)
    assert finding.kind is SignalKind.DAY_OVERFULL
    assert finding.details == {"certificates": 10, "day": "2021-03-15", "minutes": 3_000}


def test_2_what_fits_into_the_day_or_began_before_it_is_not() -> None:
    day = [
        done("C1", "2021-03-15 12:00", study_minutes=720),
        done("C2", "2021-03-15 23:59", study_minutes=719),
    ]
    assert found(*day, ROW) == []
    through_midnight = done("C0", "2021-03-15 01:00", study_minutes=120)
    rest = done("C1", "2021-03-15 23:59", study_minutes=1_379)
    assert found(through_midnight, rest, ROW) == []
    begun = [
        done(f"C{n}", "2021-03-15 20:00", study_minutes=1_000, started_at=beijing("2021-03-01 08:00"))
        for n in range(5)
    ]
    assert found(*begun, ROW) == []


def test_2_one_course_alone_says_nothing_and_two_days_are_two() -> None:
    assert found(done(study_minutes=5_000), ROW) == []
    days = [done(f"C{n}", f"2021-03-1{n} 23:00", study_minutes=1_300) for n in range(1, 6)]
    assert found(*days, ROW) == []


def test_2_days_are_beijing_s() -> None:
    late = done("C1", "2021-03-15 23:30", study_minutes=1_400)
    early = done("C2", "2021-03-16 00:30", study_minutes=1_400)
    assert found(late, early, ROW) == []
    assert kinds(found(late, replace(early, completed_at=beijing("2021-03-15 23:45")), ROW)) == [
        SignalKind.DAY_OVERFULL
    ]


def test_2_a_course_that_began_on_that_day_has_nothing_before_midnight() -> None:
    begun = {"started_at": beijing("2021-03-15 00:30"), "study_minutes": 1_000}
    both = [done(f"C{n}", "2021-03-15 20:00", **begun) for n in range(2)]
    assert kinds(found(*both, ROW)) == [SignalKind.DAY_OVERFULL]


# 3. Sessions overlap


def two(minutes: int, other: str = "2021-03-15 11:00", **changes: Any) -> list[CompletionFact]:
    """On one platform until ten o'clock, on another one for some minutes until later."""
    return [
        done("C1", "2021-03-15 10:00", started_at=beijing("2021-03-15 08:00")),
        done("C2", other, **{"platform": P2, "study_minutes": minutes, **changes}),
    ]


@pytest.mark.parametrize(("minutes", "told"), [(60, False), (64, False), (65, True), (180, True)])
def test_3_two_platforms_at_once_are_told_from_the_tolerance_on(minutes: int, *, told: bool) -> None:
    assert (kinds(found(*two(minutes), ROW)) == [SignalKind.SESSIONS_OVERLAP]) is told


def test_3_it_says_how_long_and_on_which_platforms() -> None:
    [finding] = found(*two(90), ROW)
    assert finding.details == {
        "certificates": 2,
        "day": "2021-03-15",
        "platforms": ["p1", "p2"],
        "minutes_together": 30,
    }


def test_3_on_one_platform_two_courses_may_run_at_once() -> None:
    assert found(*two(90, platform=P1), ROW) == []


def test_3_a_period_of_enrolment_is_no_session() -> None:
    weeks = [
        done(f"C{n}", f"2021-03-15 1{n}:00", platform=platform, started_at=beijing("2021-03-01 08:00"))
        for n, platform in enumerate((P1, P2))
    ]
    assert found(*weeks, ROW) == []
    assert found(*two(800), ROW) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"completed_at": beijing("2021-03-15 00:00")},
        {"started_at": beijing("2021-03-15 00:00"), "study_minutes": None},
        {"study_minutes": None},
        {"study_minutes": 0},
        {"started_at": beijing("2021-03-15 12:00")},
    ],
    ids=["day alone", "start of a day alone", "nothing said", "no minutes", "backwards"],
)
def test_3_where_no_time_of_day_is_known_there_is_no_session(changes: dict[str, Any]) -> None:
    assert session(replace(two(90)[1], **changes), LIMITS) is None


def test_3_all_of_a_day_are_one_finding() -> None:
    many = [
        done(f"C{n}", f"2021-03-15 10:0{n}", platform=(P1, P2)[n % 2], study_minutes=30) for n in range(8)
    ]
    [finding] = found(*many, ROW)
    assert (finding.kind, finding.details["certificates"]) == (SignalKind.SESSIONS_OVERLAP, 8)


# 4. Outside employment


def test_4_a_completion_that_no_row_covers_is_told_for_each_enterprise_that_lists_the_person() -> None:
    early, late = done("C1", "2021-03-15 10:00"), done("C2", "2021-09-03 10:00")
    rows = [employed(E1, "2021-04-01", "2021-08-31"), employed(E2, "2021-05-01", "2021-08-01")]
    first, second = found(early, late, *rows)
    assert {first.kind, second.kind} == {SignalKind.OUTSIDE_EMPLOYMENT}
    assert (first.uscc, second.uscc) == (E1, E2)
    assert first.details == {"certificates": 2, "before": 1, "after": 1, "days_away": 17}
    assert second.details == {"certificates": 2, "before": 1, "after": 1, "days_away": 47}
    assert first.about == (rows[0].fact_id, early.fact_id, late.fact_id)


def test_4_both_boundary_days_are_inside_and_whoever_worked_elsewhere_then_is_not_told_of() -> None:
    row = employed(E1, "2021-03-15", "2021-03-20")
    assert found(done("C1", "2021-03-15 00:00"), done("C2", "2021-03-20 23:59"), row) == []
    assert found(done("C1", "2021-03-14 23:59"), row) != []
    assert found(done("C1", "2021-03-21 00:00"), row) != []
    assert found(done("C1", "2021-02-01 10:00"), row, employed(E2, "2021-01-01", "2021-02-28")) == []


def test_4_somebody_nobody_lists_is_not_told_of_and_a_refuted_listing_is_none() -> None:
    assert found(done()) == []
    refuted = ContestFact(FactId("x"), LEARNER, E1, "不是本单位职工", NOW, SOURCE, upheld=True)
    assert found(done(), employed(E1, "2021-04-01"), contests=(refuted,)) == []
    open_ = replace(refuted, upheld=None)
    assert kinds(found(done(), employed(E1, "2021-04-01"), contests=(open_,))) == [
        SignalKind.OUTSIDE_EMPLOYMENT
    ]


def test_a_revoked_certificate_counts_for_nothing() -> None:
    one = done("C1", "2021-03-15 10:00")
    assert found(one, employed(E1, "2021-04-01"), revoked={one.fact_id: FactId("r")}) == []


# 5. Two employers


def test_5_one_certificate_under_two_employers_is_told_whatever_else_they_list() -> None:
    one = done()
    [finding] = found(one, employed(E1), employed(E2))
    assert (finding.kind, finding.details) == (
        SignalKind.TWO_EMPLOYERS,
        {"certificates": 1, "enterprises": ["E1", "E2"]},
    )
    assert finding.about == ("row-E1-2021-01-01", "row-E2-2021-01-01", one.fact_id)
    three = found(one, employed(E1), employed(E2), employed(E3))
    assert three[0].digest != finding.digest


def test_5_a_dispatching_company_and_its_client_are_one_employer() -> None:
    assert found(done(), employed(E1, dispatched_by=E2), employed(E2)) == []
    assert kinds(found(done(), employed(E1, dispatched_by=E3), employed(E2))) == [SignalKind.TWO_EMPLOYERS]
    assert kinds(found(done(), employed(E1, dispatched_by=E1), employed(E2))) == [SignalKind.TWO_EMPLOYERS]


def test_5_a_number_that_was_somebody_else_s_before_counts_with_that_person_s_employer() -> None:
    now = done("C1")
    before = Former(
        replace(now, fact_id=FactId("before"), learner_id=OTHER),
        (replace(employed(E2), learner_id=OTHER), replace(employed(E3, "2022-01-01"), learner_id=OTHER)),
    )
    [finding] = found(now, ROW, former=[before])
    assert finding.details["enterprises"] == ["E1", "E2"]
    assert found(now, employed(E2), former=[before]) == []
    assert found(done("C9"), ROW, former=[before]) == []


# 6. Marked by the roster


@pytest.mark.parametrize(
    ("mark", "end", "told"),
    [
        (EmploymentMark.EMPLOYED, "", False),
        (EmploymentMark.RETIRED, "", True),
        (EmploymentMark.RETIRED, "2021-12-31", True),
        (EmploymentMark.STUDENT, "", True),
        (EmploymentMark.LEFT, "", True),
        (EmploymentMark.LEFT, "2021-06-30", False),
    ],
)
def test_6_a_mark_at_odds_with_employment_on_that_day_is_told(
    mark: EmploymentMark, end: str, *, told: bool
) -> None:
    findings = found(done(), employed(E1, end=end, mark=mark))
    assert (kinds(findings) == [SignalKind.MARKED_BY_ROSTER]) is told
    if told:
        assert (findings[0].uscc, findings[0].details) == (E1, {"certificates": 1, "mark": mark.value})
        assert mark.value in reason(findings[0].kind, findings[0].details)


def test_6_a_mark_on_other_days_says_nothing_and_each_mark_is_one_finding() -> None:
    retired = employed(E1, "2021-05-01", mark=EmploymentMark.RETIRED)
    assert kinds(found(done(), employed(E2), retired)) == []
    student = employed(E1, "2021-01-01", "2021-04-30", mark=EmploymentMark.STUDENT)
    both = found(done("C1"), done("C2", "2021-06-01 10:00"), done("C3"), student, retired)
    assert [(one.details["mark"], one.details["certificates"]) for one in both] == [
        ("在校学生", 2),
        ("退休", 1),
    ]


# 7 and 8. Names, values


def named(*names: str) -> list[CompletionFact]:
    return [done(f"C{n}", holder=person_name(name)) for n, name in enumerate(names)]


def test_7_unrelated_names_are_told_and_variants_of_one_are_not() -> None:
    assert found(*named("张三", "李四"), ROW) != []  # with the row's own name they are three
    assert found(*named("测试员甲", "李四"), ROW) == []
    assert found(*named("阿依古丽·买买提", "阿依古丽", "阿依古丽·买买提·艾山", "阿依古丽.买买提")) == []
    [finding] = found(*named("张三", "李四", "王五", "赵六"))
    assert (finding.kind, finding.details) == (
        SignalKind.UNRELATED_NAMES,
        {"certificates": 4, "names": 4},
    )


@pytest.mark.parametrize(("people", "told"), [(4, False), (5, True), (500, True)])
def test_8_a_value_shared_by_many_is_told_by_its_kind(people: int, *, told: bool) -> None:
    findings = found(done(), ROW, shared={"phone": people, "account": 1})
    assert (kinds(findings) == [SignalKind.SHARED_VALUE]) is told
    if told:
        assert findings[0].details == {"certificates": 1, "value": "phone", "people": people}


# For all


def test_of_very_many_completions_the_last_ones_are_looked_at() -> None:
    many = [done(f"{n:04}", beijing("2021-03-15 10:00") + n * MINUTE) for n in range(MOST_COMPLETIONS + 1)]
    [finding] = found(*many, employed(E1, "2022-01-01"))
    assert finding.details["certificates"] == MOST_COMPLETIONS
    assert "fact-0000" not in finding.about


@st.composite
def facts(draw: st.DrawFn) -> list[Any]:
    completions = [
        done(
            f"C{n}",
            beijing("2021-03-14 20:00") + draw(st.integers(0, 3_000)) * MINUTE,
            platform=draw(st.sampled_from([P1, P2])),
            study_minutes=draw(st.none() | st.integers(0, 2_000)),
            started_at=draw(st.none() | st.just(beijing("2021-03-14 08:00") + n * MINUTE)),
            holder=person_name(draw(st.sampled_from(["张三", "李四", "王五", "测试员甲"]))),
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    rows = [
        employed(
            uscc,
            draw(st.sampled_from(["2021-01-01", "2021-03-15", "2021-03-16"])),
            mark=draw(st.sampled_from(EmploymentMark)),
        )
        for uscc in draw(st.lists(st.sampled_from([E1, E2, E3]), max_size=3))
    ]
    return [*completions, *{row.fact_id: row for row in rows}.values()]


@given(facts(), st.randoms(use_true_random=False))
def test_the_order_of_facts_never_matters(known: list[Any], shuffling: Any) -> None:
    shuffled = [*known]
    shuffling.shuffle(shuffled)
    findings = found(*known)
    assert found(*shuffled) == findings
    assert [one.digest for one in found(*shuffled)] == [one.digest for one in findings]
    for finding in findings:
        said = reason(finding.kind, finding.details)
        assert "{" not in said
        assert TITLES[finding.kind]
        assert "张三" not in said + json.dumps(finding.details)


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(1, 700), st.booleans(), st.booleans()), max_size=12),
    st.integers(0, 1_439),
)
def test_honest_disjoint_sessions_are_never_told_of(
    plan: list[tuple[int, int, bool, bool]], begin: int
) -> None:
    """Whoever learns one thing after another, and is credited no more than that, gives no cause."""
    now = beijing("2021-03-10 00:00") + begin * MINUTE
    sessions: list[tuple[datetime, datetime]] = []
    completions = []
    for n, (pause, length, stated, second) in enumerate(plan):
        start, now = now + pause * MINUTE, now + (pause + length) * MINUTE
        sessions.append((start, now))
        said = {"started_at": start} if stated else {}
        completions.append(done(f"C{n}", now, platform=P2 if second else P1, study_minutes=length, **said))
    assert all(end <= following for (_, end), (following, _) in pairwise(sessions))
    assert found(*completions, ROW) == []


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_1_never_tells_of_less_than_what_passed(passed: int, studied: int) -> None:
    end = beijing("2021-03-15 10:00")
    one = done("C1", end, started_at=end - passed * MINUTE, study_minutes=studied)
    told = SignalKind.STUDY_BEYOND_CLOCK in kinds(found(one, ROW))
    assert told is (studied > passed + LIMITS.study_tolerance_minutes)
    assert timedelta(0) <= passed * MINUTE
