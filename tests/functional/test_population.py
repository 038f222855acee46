"""The made-up population of ``make population`` at a small size, and that its comparison can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.functional.world import World
from tests.population import Form, compared, made_up, run, seeded, shown, sound

pytestmark = pytest.mark.untraced


async def test_of_2000_people_nobody_is_merged_missed_or_granted_twice(small_world: World) -> None:
    random = seeded(7)
    population = made_up(2000, random)
    await run(small_world, population, random)
    figures = await compared(small_world, population)
    assert figures.wrong == ()
    assert (figures.false_merges, figures.missed_duplicates, figures.double_grants) == (0, 0, 0)
    assert sound(figures)
    # The shares are there, so that there was something to find.
    minority = sum(one.form is not Form.HAN for one in population.people)
    assert 500 < minority < 700
    assert 60 < figures.duplicates < 140
    assert 8 < figures.faults < 40
    assert figures.corrected > 0
    assert "false merges: 0" in shown(figures, 1.0, 7)
    assert not sound(replace(figures, double_grants=1))


async def test_the_comparison_finds_a_false_merge_a_missed_duplicate_and_a_wrong_grant(
    small_world: World,
) -> None:
    random = seeded(8)
    population = made_up(40, random)
    await run(small_world, population, random)
    assert sound(await compared(small_world, population))
    first, second = population.people[:2]
    rows = await small_world.sql("select learner_id, content from facts where kind = 'employment'")
    mine = next(learner for learner, content in rows if first.number in content)
    theirs = next(learner for learner, content in rows if second.number in content)
    await small_world.sql(
        "update facts set learner_id = :mine where learner_id = :theirs and kind = 'completion'",
        mine=mine,
        theirs=theirs,
    )
    found = await compared(small_world, population)
    assert found.false_merges == 1
    assert found.missed_duplicates == 1
    # The month of one stands on the other's certificate.
    await small_world.sql(
        "update slots set number = :other where learner_id = :mine", other=next(iter(second.own)), mine=mine
    )
    assert (await compared(small_world, population)).double_grants >= 1
    assert not sound(await compared(small_world, population))
