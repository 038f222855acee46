"""How much an enterprise may ask, counted by several processes over one database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.functional.world import World
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


async def asked(questions: Questions, *answers: StatusAnswer) -> None:
    for one in answers:
        await questions.ask(OURS, "client-1", len(one.people), NOON)
        await questions.answered(OURS, "client-1", [one], NOON)


async def refused(questions: Questions, people: int, at: datetime = NOON) -> None:
    with pytest.raises(RequestRejected) as error:
        await questions.ask(OURS, "client-2", people, at)
    assert error.value.code is Code.QUOTA_EXCEEDED


async def test_attack_79_the_day_s_number_is_exact_over_processes_and_the_alarm_is_given_once(
    world: World,
) -> None:
    alarms = Alarms()
    one, other = (Questions(world.store, 100, alarms) for _ in range(2))
    await one.ask(OURS, "client-1", 99, NOON)
    await other.ask(OURS, "client-1", 1, NOON)
    await refused(one, 1)
    await refused(other, 1)
    assert alarms.given == [(QUOTA_ALARM, OURS, "client-2")]


async def test_attack_79_of_questions_at_once_no_more_is_answered_than_the_number(world: World) -> None:
    questions = [Questions(world.store, 10, Alarms()) for _ in range(4)]
    every = (one.ask(OURS, "client-1", 3, NOON) for one in questions for _ in range(2))
    found = await asyncio.gather(*every, return_exceptions=True)
    assert [one for one in found if one is None] == [None] * 3


async def test_a_refused_question_counts_for_nothing_and_another_enterprise_has_its_own_number(
    world: World,
) -> None:
    questions = Questions(world.store, 100, Alarms())
    await refused(questions, 101)
    await questions.ask(OURS, "client-1", 100, NOON)
    await questions.ask(THEIRS, "client-1", 100, NOON)


async def test_a_new_day_begins_at_midnight_in_beijing_and_forgets_the_one_before(small_world: World) -> None:
    alarms = Alarms()
    questions = Questions(small_world.store, 10, alarms)
    await questions.ask(OURS, "client-1", 10, NOON)
    before = datetime(2021, 7, 1, 15, 59, 59, tzinfo=UTC)
    await refused(questions, 1, before)
    await questions.ask(OURS, "client-1", 10, before + timedelta(seconds=1))
    await refused(questions, 1, before + timedelta(seconds=1))
    assert len(alarms.given) == 2
    assert await small_world.sql("select day, asked from questions") == [("2021-07-02", 10)]


async def test_no_number_is_no_limit(small_world: World) -> None:
    await Questions(small_world.store, 0, Alarms()).ask(OURS, "client-1", 10**9, NOON)


@pytest.mark.parametrize(
    ("answers", "alarmed"),
    [
        ([answer(0, UNLISTED)], True),
        ([answer(0, UNLISTED - 1)], False),
        ([answer(UNLISTED, UNLISTED)], False),
        ([answer(UNLISTED - 1, UNLISTED)], True),
        ([answer(0, UNLISTED // 2)] * 2, True),
        ([answer(0, UNLISTED, admitted=False)], False),
        ([answer(UNLISTED, 0)], False),
    ],
    ids=["all", "few", "half", "most", "piece by piece", "not admitted", "none"],
)
async def test_attack_77_asking_mostly_about_unlisted_people_is_alarmed(
    small_world: World, answers: list[StatusAnswer], *, alarmed: bool
) -> None:
    alarms = Alarms()
    questions = Questions(small_world.store, 0, alarms)
    await asked(questions, *answers)
    assert alarms.given == [(ENUMERATION_ALARM, OURS, "client-1")] * alarmed
    await asked(Questions(small_world.store, 0, alarms), *answers)
    assert len(alarms.given) <= 1


async def test_an_answer_to_a_question_of_which_no_count_is_left_alarms_nobody(world: World) -> None:
    alarms = Alarms()
    await Questions(world.store, 0, alarms).answered(OURS, "client-1", [answer(0, UNLISTED - 1)], NOON)
    assert alarms.given == []
