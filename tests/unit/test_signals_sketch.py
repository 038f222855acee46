"""Whom a sketch lets pass, no rule finds: the short way against the long one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
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
    THRESHOLDS,
    beijing,
    case,
    done,
    employed,
    found,
)
from verifier.identity import person_name
from verifier.model.facts import CompletionFact, EmploymentFact, EmploymentMark
from verifier.model.signals import Course, Former, Row, Sketch
from verifier.signals import Roster, may_be_found, of_roster
from verifier.store import codec

NAMES = ["张三", "李四", "王五", "赵六", "测试员甲"]


def sketch(*facts: CompletionFact | EmploymentFact, **changes: Any) -> Sketch:
    """What the store reads of facts: from the very columns in which they stand."""
    content = {fact.fact_id: codec.columns(fact)[0]["content"] for fact in facts}
    courses = [one for one in facts if isinstance(one, CompletionFact)]
    rows = [one for one in facts if isinstance(one, EmploymentFact) and not one.withdrawn]
    return Sketch(
        LEARNER,
        tuple(msgspec.json.decode(content[one.fact_id], type=Course) for one in courses),
        tuple(msgspec.json.decode(content[one.fact_id], type=Row) for one in rows),
        **changes,
    )


@st.composite
def completions(draw: st.DrawFn) -> list[CompletionFact]:
    """Few, mostly on different days and of one platform: most are let pass."""
    days = draw(st.lists(st.integers(1, 28), max_size=4))
    found = []
    for n, day in enumerate(days):
        clock = draw(st.sampled_from(["00:00", "00:10", "10:00", "23:50"]))
        at, ago = beijing(f"2021-03-{day:02} {clock}"), draw(st.none() | st.integers(-100, 5_000))
        found.append(
            done(
                f"C{n}",
                at,
                platform=draw(st.sampled_from([P1, P1, P1, P2])),
                study_minutes=draw(st.none() | st.integers(0, 200) | st.integers(0, 3_000)),
                started_at=None if ago is None else at - ago * MINUTE,
                holder=person_name(draw(st.sampled_from(NAMES))),
                weak=draw(st.sampled_from(["", "", "phone"])),
            )
        )
    return found


@st.composite
def rows(draw: st.DrawFn) -> list[EmploymentFact]:
    found = {}
    for uscc in draw(st.lists(st.sampled_from([E1, E1, E1, E2, E3]), max_size=3)):
        one = employed(
            uscc,
            draw(st.sampled_from(["2021-01-01", "2021-03-10", "2021-03-16"])),
            draw(st.sampled_from(["", "2021-03-20", "2021-12-31"])),
            mark=draw(st.sampled_from([*[EmploymentMark.EMPLOYED] * 6, *EmploymentMark])),
            name=person_name(draw(st.sampled_from(NAMES))),
            dispatched_by=draw(st.sampled_from([None, None, E2])),
        )
        found[one.fact_id] = one
    return [*found.values()]


@given(
    completions(),
    rows(),
    st.dictionaries(st.sampled_from(["phone", "account"]), st.integers(1, 40), max_size=2),
    st.data(),
)
def test_whom_a_sketch_lets_pass_no_rule_finds_whatever_was_revoked(
    courses: list[CompletionFact], listed: list[EmploymentFact], shared: dict[str, int], data: st.DataObject
) -> None:
    one = sketch(*courses, *listed, shared=shared)
    passed = not may_be_found(one, THRESHOLDS)
    # A revocation makes a sketch entangled; it would hold without that too.
    gone = data.draw(
        st.sets(st.sampled_from([one.fact_id for one in courses])) if courses else st.just(set())
    )
    findings = found(*courses, *listed, shared=shared, revoked={fact: fact for fact in gone})
    event(f"{len(courses)} courses, passed: {passed}")
    assert not (passed and findings)
    assert may_be_found(replace(one, entangled=True), THRESHOLDS)


@pytest.mark.parametrize(
    ("facts", "shared"),
    [
        ((), {}),
        ((employed(),), {"phone": 1_000}),
        ((done(),), {}),
        ((done(), employed()), {"phone": 2}),
        ((done(), done("C2", "2021-03-16 10:00")), {}),
        ((done(started_at=beijing("2021-03-15 09:00"), study_minutes=60), employed()), {}),
        ((done(), employed(E1, "2021-01-01", "2021-03-15"), employed(E2, "2021-03-16", withdrawn=True)), {}),
    ],
)
def test_the_usual_person_is_let_pass(facts: Any, shared: dict[str, int]) -> None:
    assert not may_be_found(sketch(*facts, shared=shared), THRESHOLDS)
    assert found(*(one for one in facts if not getattr(one, "withdrawn", False)), shared=shared) == []


def test_somebody_who_held_the_number_before_is_no_matter_of_a_sketch() -> None:
    former = Former(done(learner_id="other"), (employed(E2),))
    assert found(done(), employed(E1), former=[former])
    assert may_be_found(sketch(done(), employed(E1), entangled=True), THRESHOLDS)


@given(completions(), rows())
def test_a_roster_takes_in_the_same_from_a_sketch_as_from_a_case(
    courses: list[CompletionFact], listed: list[EmploymentFact]
) -> None:
    short, long = Roster(E1, NOW), Roster(E1, NOW)
    short.add_sketch(sketch(*courses, *listed))
    long.add(case(courses, listed))
    assert short.finishes == long.finishes
    assert of_roster(short, THRESHOLDS, NOW) == of_roster(long, THRESHOLDS, NOW)
