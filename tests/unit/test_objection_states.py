"""Objections without a database: states folded in any order, numbers, digests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from verifier import objections
from verifier.model.facts import FactId, ObjectionFact, ObjectionKind, ObjectionState, Source
from verifier.model.person import LearnerId

AT = datetime(2021, 7, 1, 4, tzinfo=UTC)


def state(number: str, fact: str, supersedes: str | None, word: ObjectionState) -> ObjectionFact:
    return ObjectionFact(
        fact_id=FactId(fact),
        learner_id=LearnerId("learner"),
        number=number,
        kind=ObjectionKind.OBJECTION,
        topic="month",
        about="",
        raised_by="worker",
        party="reviewer",
        answer_by=date(2021, 7, 16),
        state=word,
        text="",
        recorded_at=AT,  # a clock may stand still: the order is that of what supersedes what
        source=Source("operator", "赵"),
        supersedes=FactId(supersedes) if supersedes else None,
    )


STATES = [
    state("21-A", "f3", None, ObjectionState.OPEN),
    state("21-A", "f1", "f3", ObjectionState.REJECTED),
    state("21-B", "f2", None, ObjectionState.OPEN),
    state("21-B", "f0", "f2", ObjectionState.WITHDRAWN),
    state("21-C", "f9", None, ObjectionState.OPEN),
]


@given(st.permutations(STATES))
def test_whatever_order_states_come_in_the_newest_is_what_nothing_supersedes(
    states: list[ObjectionFact],
) -> None:
    found = {one.newest.number: (one.opened.state, one.newest.state) for one in objections.folded(states)}
    assert found == {
        "21-A": (ObjectionState.OPEN, ObjectionState.REJECTED),
        "21-B": (ObjectionState.OPEN, ObjectionState.WITHDRAWN),
        "21-C": (ObjectionState.OPEN, ObjectionState.OPEN),
    }


def test_only_what_is_open_is_late_and_only_after_its_day_in_beijing() -> None:
    late = datetime(2021, 7, 16, 16, tzinfo=UTC)  # the 17th begins in Beijing
    found = {one.newest.number: one for one in objections.folded(STATES)}
    assert found["21-C"].overdue(late)
    assert not found["21-C"].overdue(late - timedelta(seconds=1))
    assert not found["21-A"].overdue(late)


@given(st.binary(min_size=8, max_size=8))
def test_every_number_has_the_year_in_beijing_and_eight_plain_characters(drawn: bytes) -> None:
    number = objections.new_number(datetime(2021, 12, 31, 16, tzinfo=UTC), lambda count: drawn[:count])
    assert number.startswith("22-")
    assert len(number) == 11
    assert set(number[3:]) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@given(st.text(), st.text())
def test_two_answers_never_share_a_digest_under_one_salt(first: str, second: str) -> None:
    salt = objections.new_salt(lambda count: b"s" * count)
    same = objections.text_digest(salt, first) == objections.text_digest(salt, second)
    assert same == (first == second)
