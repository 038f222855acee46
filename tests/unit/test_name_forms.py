"""The report on names: forms are told apart, waits are counted, and nothing points at anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_names import RAW_NAMES
from verifier import review_report
from verifier.identity import person_name
from verifier.model.person import LearnerId
from verifier.name_forms import NameForm, form_of
from verifier.ports.identities import Asked, Named
from verifier.review_report import FEWEST, Tally

NOW: Final = datetime(2021, 7, 1, tzinfo=UTC)
HAN, TWO = "张三", "阿依古丽·买买提"


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ("张三", NameForm.HAN),
        ("张 三", NameForm.HAN),
        ("阿依古丽", NameForm.HAN),
        ("阿依古丽•买买提", NameForm.TWO_COMPONENTS),
        ("阿依古丽·买买提·吐尔逊", NameForm.THREE_COMPONENTS),
        ("甲·乙·丙·丁", NameForm.THREE_COMPONENTS),
        ("王\u2580", NameForm.ILLEGIBLE),
        ("阿依古丽·\ue863", NameForm.ILLEGIBLE),
        ("AYGUL", NameForm.OTHER_LETTERS),
        ("Айгүл Нурлан", NameForm.OTHER_LETTERS),
        ("张A", NameForm.OTHER_LETTERS),
    ],
)
def test_each_form_is_told_apart(raw: str, form: NameForm) -> None:
    assert form_of([person_name(raw)]) is form


@given(st.lists(RAW_NAMES, min_size=1, max_size=4))
def test_of_several_names_the_order_does_not_matter(raw: list[str]) -> None:
    names = [person_name(one) for one in raw]
    assert form_of(names) is form_of(names[::-1])


def people(many: int, name: str, *answered: timedelta) -> list[Named]:
    asked = tuple(Asked(NOW - wait, NOW) for wait in answered)
    return [Named((LearnerId(f"{name}-{n}"),), (person_name(name),), asked[n : n + 1]) for n in range(many)]


def reported(found: Sequence[Named], waiting: dict[LearnerId, list[datetime]]) -> dict[str, dict[str, Any]]:
    tallies = defaultdict[NameForm, Tally](Tally)
    review_report.count(tallies, found, waiting, NOW)
    return {one["form"]: one for one in review_report.members(tallies)}


def test_waiting_times_are_of_answered_and_open_questions() -> None:
    hours = [timedelta(hours=n) for n in (1, 2, 3, 4, 10)]
    waiting = {LearnerId(f"{TWO}-{n}"): [NOW - timedelta(hours=100)] for n in range(6, 11)}
    found = reported([*people(20, TWO, *hours), *people(9, HAN)], waiting)
    assert found["two_components"] == {
        "form": "two_components",
        "people": 20,
        "people_asked_about": 10,
        "open": 5,
        "answered": 5,
        "median_hours": 10.0,
        "p90_hours": 100.0,
    }
    assert (found["han"]["people_asked_about"], found["han"]["median_hours"]) == (0, None)


def test_a_form_of_few_people_says_nothing_but_that() -> None:
    hours = [timedelta(hours=n) for n in range(4)]
    found = reported([*people(FEWEST - 1, TWO, *hours), *people(50, HAN, *hours)], {})
    assert {value for key, value in found["two_components"].items() if key != "form"} == {None}
    assert (found["han"]["people"], found["han"]["answered"], found["han"]["p90_hours"]) == (50, None, None)


@given(st.integers(0, 30), st.lists(st.integers(0, 1000), max_size=30))
def test_no_count_between_one_and_four_is_ever_said(many: int, waits: list[int]) -> None:
    found = reported(people(many, TWO, *(timedelta(hours=wait) for wait in waits)), {})
    for form in found.values():
        counts = (form["people"], form["people_asked_about"], form["open"], form["answered"])
        assert not any(count in range(1, FEWEST) for count in counts if count is not None)
        if form["median_hours"] is not None:
            assert form["median_hours"] <= form["p90_hours"]
            assert form["people_asked_about"] >= FEWEST
