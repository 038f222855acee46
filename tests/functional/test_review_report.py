"""``review report`` over a store: who is counted, and by which question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.functional.world import FACTORY, World, row
from verifier import identities
from verifier.cli.simulator import person


async def by_form(world: World) -> dict[str, dict[str, Any]]:
    report = await world.operations.run("review report", {})
    return {one["form"]: one for one in report["forms"]}


async def test_questions_about_names_are_reported_by_the_form_of_the_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "_SLICE", 3)
    plain = [person(n, "张三") for n in range(6)]
    named = [person(10 + n, "阿依古丽·买买提") for n in range(6)]
    await world.roster(FACTORY, [row(one) for one in plain])
    await world.roster(FACTORY, [row(one, name="吐尔逊·艾力") for one in named])
    await world.admit(FACTORY)
    for n, one in enumerate([*plain, *named]):
        await world.complete(f"N-{n}", one)
    await world.evaluate()
    world.now += timedelta(hours=8)
    for review in (await world.store.open_reviews())[:5]:
        answer = {"review": review["review_id"], "outcome": "same", "reason": "核实", "operator": "赵"}
        await world.operations.close_review(answer)
    world.now += timedelta(hours=4)
    found = await by_form(world)
    assert found["han"] | {"form": "han"} == {
        "form": "han",
        "people": 6,
        "people_asked_about": 0,
        "open": 0,
        "answered": 0,
        "median_hours": None,
        "p90_hours": None,
    }
    assert found["two_components"] == {
        "form": "two_components",
        "people": 6,
        "people_asked_about": 6,
        "open": None,  # one
        "answered": 5,
        "median_hours": 8.0,
        "p90_hours": 12.0,
    }


async def test_a_person_under_two_numbers_is_counted_once(world: World) -> None:
    people = [person(n, "张三") for n in range(6)]
    await world.employ(FACTORY, *people)
    said = {"purpose": "换证", "evidence": "两证", "apply": "yes"}
    numbers = {"number": people[0].id_number, "old_number": people[1].id_number}
    await world.operations.run("learner link", {**said, **numbers})
    assert (await by_form(world))["han"]["people"] == 5
