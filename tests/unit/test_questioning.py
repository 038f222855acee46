from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verifier import questioning
from verifier.errors import Code, RequestRejected
from verifier.model.person import Uscc
from verifier.model.standing import PersonStanding, Standing, StatusAnswer
from verifier.questioning import ENUMERATION_ALARM, QUOTA_ALARM, UNLISTED, Questions

OURS, THEIRS = Uscc("91652300MA77555511"), Uscc("91652300MA77666622")
NOON = datetime(2021, 7, 1, 4, tzinfo=UTC)


class Alarms:
    def __init__(self) -> None:
        self.given: list[tuple[str, str, str]] = []

    def __call__(self, code: str, *, enterprise: str, client: str) -> None:
        self.given.append((code, enterprise, client))


def answer(listed: int, unlisted: int, *, admitted: bool = True) -> StatusAnswer:
    people = [PersonStanding(Standing.PENDING)] * listed + [PersonStanding(Standing.NOT_LISTED)] * unlisted
    return StatusAnswer(admitted, NOON, "p@1", 0, tuple(people))


def asked(questions: Questions, *answers: StatusAnswer) -> None:
    for one in answers:
        questions.ask(OURS, "client-1", len(one.people), NOON)
        questions.answered(OURS, "client-1", [one], NOON)


def test_attack_79_the_day_s_number_is_exact_and_the_alarm_is_given_once() -> None:
    alarms = Alarms()
    questions = Questions(100, alarms)
    questions.ask(OURS, "client-1", 99, NOON)
    questions.ask(OURS, "client-1", 1, NOON)
    for _ in range(2):
        with pytest.raises(RequestRejected) as refused:
            questions.ask(OURS, "client-2", 1, NOON)
        assert refused.value.code is Code.QUOTA_EXCEEDED
    assert alarms.given == [(QUOTA_ALARM, OURS, "client-2")]


def test_a_refused_question_counts_for_nothing_and_another_enterprise_has_its_own_number() -> None:
    questions = Questions(100, Alarms())
    with pytest.raises(RequestRejected):
        questions.ask(OURS, "client-1", 101, NOON)
    questions.ask(OURS, "client-1", 100, NOON)
    questions.ask(THEIRS, "client-1", 100, NOON)


def test_a_new_day_begins_at_midnight_in_beijing() -> None:
    alarms = Alarms()
    questions = Questions(10, alarms)
    questions.ask(OURS, "client-1", 10, NOON)
    before = datetime(2021, 7, 1, 15, 59, 59, tzinfo=UTC)
    with pytest.raises(RequestRejected):
        questions.ask(OURS, "client-1", 1, before)
    questions.ask(OURS, "client-1", 10, before + timedelta(seconds=1))
    with pytest.raises(RequestRejected):
        questions.ask(OURS, "client-1", 1, before + timedelta(seconds=1))
    assert len(alarms.given) == 2


def test_no_number_is_no_limit() -> None:
    Questions(0, Alarms()).ask(OURS, "client-1", 10**9, NOON)


@pytest.mark.parametrize(
    ("answers", "alarmed"),
    [
        ([answer(0, UNLISTED)], True),
        ([answer(0, UNLISTED - 1)], False),
        ([answer(UNLISTED, UNLISTED)], False),
        ([answer(UNLISTED - 1, UNLISTED)], True),
        ([answer(0, 1)] * UNLISTED, True),
        ([answer(0, UNLISTED, admitted=False)], False),
    ],
    ids=["all", "few", "half", "most", "one by one", "not admitted"],
)
def test_attack_77_asking_mostly_about_unlisted_people_is_alarmed(
    answers: list[StatusAnswer], *, alarmed: bool
) -> None:
    alarms = Alarms()
    questions = Questions(0, alarms)
    asked(questions, *answers)
    assert alarms.given == [(ENUMERATION_ALARM, OURS, "client-1")] * alarmed
    asked(questions, *answers)
    assert len(alarms.given) <= 1


def test_attack_77_counts_are_bounded_and_the_one_that_rests_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(questioning, "ENTERPRISES", 2)
    questions = Questions(10, Alarms())
    questions.ask(OURS, "c", 10, NOON)
    questions.ask(THEIRS, "c", 1, NOON)
    with pytest.raises(RequestRejected):
        questions.ask(OURS, "c", 1, NOON)
    questions.ask(Uscc("third"), "c", 1, NOON)
    with pytest.raises(RequestRejected):
        questions.ask(OURS, "c", 1, NOON)
    questions.ask(THEIRS, "c", 10, NOON)
