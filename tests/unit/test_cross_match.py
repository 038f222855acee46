"""What the rosters say by now of the day for which money was asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from verifier import cross_match
from verifier.model.facts import ContestFact, EmploymentFact, EmploymentMark, FactId, Source
from verifier.model.person import LearnerId, Uscc
from verifier.names import person_name

HERE, ELSEWHERE = Uscc("91650000MA0000000K"), Uscc("91650100MA0000001U")
DAY = date(2021, 3, 5)
AT = datetime(2021, 4, 1, tzinfo=UTC)


def listed(fact: str, **changes: Any) -> EmploymentFact:
    members: dict[str, Any] = {
        "fact_id": FactId(fact),
        "learner_id": LearnerId("l"),
        "uscc": HERE,
        "start": date(2021, 1, 1),
        "end": None,
        "category": None,
        "post": "",
        "dispatched_by": None,
        "name": person_name("李四"),
        "recorded_at": AT,
        "source": Source("roster", "r"),
    }
    return EmploymentFact(**members | changes)


def contest(fact: str, *, upheld: bool | None, supersedes: str | None = None) -> ContestFact:
    return ContestFact(
        FactId(fact),
        LearnerId("l"),
        HERE,
        "否认",
        AT,
        Source("client", "c"),
        upheld,
        FactId(supersedes) if supersedes else None,
    )


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([], ["never_listed"]),
        ([listed("1", uscc=ELSEWHERE)], ["never_listed"]),
        ([listed("1")], ["listed"]),
        ([listed("1", mark=EmploymentMark.LEFT)], ["listed", "marked_left"]),
        ([listed("1", end=date(2021, 3, 4))], ["left_before"]),
        ([listed("1", end=DAY)], ["listed"]),
        ([listed("1", start=date(2021, 3, 6))], []),
        ([listed("1"), listed("2", supersedes="1", withdrawn=True)], ["withdrawn"]),
        ([listed("1"), listed("2", supersedes="1", end=date(2021, 2, 1))], ["left_before", "withdrawn"]),
        ([listed("1"), contest("c", upheld=None)], ["contested", "listed"]),
        ([listed("1"), contest("c", upheld=None), contest("d", upheld=False, supersedes="c")], ["listed"]),
        (
            [listed("1"), contest("c", upheld=None), contest("d", upheld=True, supersedes="c")],
            ["contest_upheld", "listed"],
        ),
    ],
)
def test_each_word_says_what_the_rosters_say(history: list[Any], words: list[str]) -> None:
    assert cross_match.words(history, HERE, DAY) == words
