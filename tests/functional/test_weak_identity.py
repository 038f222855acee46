"""Certificates that name nobody for certain: kept, asked about, and attached by a person alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.functional.world import FACTORY, World
from verifier import traits
from verifier.cli.simulator import Person, person
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.delivery import ItemOutcome, ItemState

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明", born="19850505")
PHONE = "13800000000"
UNKNOWN = Person(PHONE, "阿依古丽", "手机号码")
BORN = Person("1990-01-01", "阿依古丽", "birth_date")
"""Named by the birth date of LI, and by the first component of LI's name."""
ANSWER = {"reason": "核实", "evidence": "看过身份证", "operator": "赵"}


async def complete(world: World, number: str, who: Person, **changes: Any) -> ItemOutcome:
    outcome = await world.complete(number, who, **changes)
    [item] = outcome.items
    return item


async def question(world: World) -> dict[str, Any]:
    [review] = await world.store.open_reviews()
    assert review["kind"] == "weak_identity"
    return review


async def ask(world: World, name: str, **parameters: str) -> dict[str, Any]:
    review = parameters.pop("review", "") or (await question(world))["review_id"]
    return await world.operations.run(name, {"review": review, **ANSWER, **parameters})


async def newest(world: World) -> dict[str, str]:
    """Each learner's newest decision."""
    rows = await world.sql("select learner_id, state from decisions order by revision")
    return dict((learner, state) for learner, state in rows)  # noqa: C402 - rows are no pairs to mypy


async def test_a_weak_certificate_is_kept_for_review_and_attached_to_nobody(world: World) -> None:
    await world.employ(FACTORY, LI)
    item = await complete(world, "N-1", UNKNOWN)
    assert (item.state, item.code) == (ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
    [(weak, kind)] = await world.sql(
        "select learner_id, kind from identifiers where kind not in ('resident_id')"
    )
    assert kind == "provisional"
    assert await newest(world) == {weak: "pending"}
    assert await world.slots() == []
    assert (await question(world))["learner_id"] == weak
    await world.settle()
    assert await world.fsck() == []


async def test_the_number_pushed_again_with_an_id_number_settles_it(world: World) -> None:
    await world.employ(FACTORY, LI)
    await complete(world, "N-1", UNKNOWN)
    item = await complete(world, "N-1", LI, revision=2)
    assert (item.state, item.code) == (ItemState.ACCEPTED, None)
    assert (await world.states(LI))[-1] == "granted"
    assert await world.store.open_reviews() == []


@pytest.mark.parametrize("strong_first", [True, False])
async def test_what_names_nobody_takes_a_completion_from_nobody_whichever_comes_first(
    small_world: World, *, strong_first: bool
) -> None:
    world = small_world
    await world.employ(FACTORY, LI)
    strong, weak = (("N-1", LI, 1), ("N-1", UNKNOWN, 2))
    order = (strong, weak) if strong_first else (weak, strong)
    [_, item] = [await complete(world, number, who, revision=revision) for number, who, revision in order]
    assert item.code is (Code.IDENTITY_WEAK if strong_first else None)
    assert (await world.states(LI))[-1] == "granted"
    older = await complete(world, "N-1", replace(UNKNOWN, id_number="13900000000"), revision=1)
    assert older.state is (ItemState.IN_REVIEW)


async def test_weak_and_strong_items_and_one_new_person_twice_share_a_transaction(world: World) -> None:
    await world.employ(FACTORY, LI)
    group = [("N-1", WANG), ("N-2", UNKNOWN), ("N-3", WANG), ("N-4", UNKNOWN), ("N-5", LI), ("N-6", BORN)]
    messages = [(number, world.cvt.completed(world.course(number, who))) for number, who in group]
    outcomes = await world.post(*(world.cvt.delivery(one, number, world.now) for number, one in messages))
    states = [outcome.items[0].state.value for outcome in outcomes]
    assert states == ["accepted", "in_review", "accepted", "in_review", "accepted", "in_review"]
    kinds = await world.sql("select kind, count(*) from identifiers group by kind order by kind")
    assert kinds == [("provisional", 3), ("resident_id", 2)]
    assert len(await world.store.open_reviews()) == 3
    assert len(await world.sql("select 1 from traits")) == 5


async def test_a_reviewer_is_shown_who_it_might_be_and_the_showing_is_logged(world: World) -> None:
    await world.employ(FACTORY, LI, WANG)
    await complete(world, "N-1", BORN)
    shown = await ask(world, "review show")
    assert shown["holder"] == "阿依古丽"
    assert shown["named_by"] == {"kind": "birth_date", "value": "******1-01"}
    assert shown["certificate"]["completed_on"] == "2021-03-05"
    [candidate] = shown["proposed"]
    assert candidate == {
        "learner": await world.learner(LI),
        "because": ["name_birth"],
        "names": ["阿依古丽·买买提"],
        "compared": ["variant"],
        "identifiers": ["999901********" + LI.id_number[-4:]],
    }
    logged = await world.sql("select learner_id, client_id, purpose from disclosures")
    weak = (await question(world))["learner_id"]
    assert sorted(logged) == sorted(
        (who, "clerk:赵", "weak-identity") for who in (weak, candidate["learner"])
    )


async def test_a_dry_run_lists_what_would_change_and_the_answer_changes_it(world: World) -> None:
    await world.employ(FACTORY, LI)
    await complete(world, "N-1", UNKNOWN)
    who = await world.learner(LI)
    tried = await ask(world, "review close", outcome=who)
    weak = (await question(world))["learner_id"]
    changes = {one["learner"]: (one["from"], one["to"]) for one in tried["decisions"]}
    assert changes == {who: (None, "granted"), weak: ("pending", "refused")}
    assert await newest(world) == {weak: "pending"}
    assert len(await world.sql("select 1 from disclosures")) == 2
    done = await ask(world, "review close", outcome=who, apply="yes")
    assert (done["applied"], done["judged_as"]) == (True, who)
    await world.settle()
    assert await newest(world) == {weak: "refused", who: "granted"}
    assert await world.store.open_reviews() == []
    assert await world.fsck() == []


async def test_a_person_not_heard_of_yet_is_made_from_the_number_the_reviewer_saw(world: World) -> None:
    await complete(world, "N-1", UNKNOWN)
    tried = await ask(world, "review close", id_number=WANG.id_number)
    assert tried["dry_run"]
    assert await world.learner(WANG) == ""
    await ask(world, "review close", id_number=WANG.id_number, apply="yes")
    await world.evaluate()
    await world.employ(FACTORY, WANG, name="阿依古丽")
    assert await world.states(WANG) == ["pending", "granted"]


async def test_nobody_known_answers_the_question_until_something_new_comes(world: World) -> None:
    await complete(world, "N-1", UNKNOWN)
    answered = await ask(world, "review close", outcome="none")
    assert answered["outcome"] == "none"
    assert await world.store.open_reviews() == []
    assert set((await newest(world)).values()) == {"pending"}
    await complete(world, "N-1", UNKNOWN, revision=2)
    assert await question(world)


async def test_a_corrected_weak_certificate_is_asked_about_once(world: World) -> None:
    await complete(world, "N-1", UNKNOWN)
    first = await question(world)
    await complete(world, "N-1", UNKNOWN, revision=2)
    second = await question(world)
    assert first["review_id"] != second["review_id"]
    with pytest.raises(Conflict):
        await ask(world, "review show", review=first["review_id"])


async def test_a_merged_certificate_corrected_to_somebody_else_is_asked_about_anew(world: World) -> None:
    """The reviewer said who bears that phone number, not whoever a later certificate of the number names."""
    await world.employ(FACTORY, LI)
    await complete(world, "N-1", UNKNOWN)
    await ask(world, "review close", outcome=await world.learner(LI), apply="yes")
    await world.evaluate()
    assert (await world.states(LI))[-1] == "granted"
    await complete(world, "N-1", replace(UNKNOWN, id_number="13900000000"), revision=2)
    assert (await world.states(LI))[-1] == "refused"
    assert await question(world)


async def test_who_was_told_apart_is_not_proposed_nor_merged(world: World) -> None:
    await world.employ(FACTORY, LI)
    await complete(world, "N-1", BORN)
    who = await world.learner(LI)
    assert (await ask(world, "review apart", learner=who))["not"] == who
    shown = await ask(world, "review show")
    assert (shown["proposed"], shown["told_apart"]) == ([], 1)
    with pytest.raises(Conflict):
        await ask(world, "review close", outcome=who, apply="yes")


async def test_another_certificate_of_a_phone_that_was_identified_proposes_that_person(world: World) -> None:
    await world.employ(FACTORY, LI)
    await complete(world, "N-1", UNKNOWN)
    await ask(world, "review close", outcome=await world.learner(LI), apply="yes")
    await complete(world, "N-2", UNKNOWN)
    shown = await ask(world, "review show")
    assert [one["learner"] for one in shown["proposed"]] == [await world.learner(LI)]
    assert shown["proposed"][0]["because"] == ["phone"]


async def test_a_value_that_too_many_people_bear_proposes_nobody_and_is_flagged(world: World) -> None:
    people = [person(10 + n, "阿依古丽") for n in range(traits.MOST_PEOPLE + 1)]
    await world.employ(FACTORY, *people)
    await complete(world, "N-1", BORN)
    shown = await ask(world, "review show")
    assert shown["proposed"] == []
    [trait] = shown["traits"]
    assert trait == {"kind": "name_birth", "shared": True, "people": len(people), "unidentified": 0}


async def test_an_answer_that_is_none_is_refused(world: World) -> None:
    await complete(world, "N-1", UNKNOWN)
    with pytest.raises(AccessDenied):
        await ask(world, "review close", outcome="nobody-of-this-id", apply="yes")
    with pytest.raises(RequestRejected):
        await ask(world, "review close")
    with pytest.raises(RequestRejected):
        await ask(world, "review close", outcome="none", id_number=WANG.id_number)
    with pytest.raises(RequestRejected):
        await ask(world, "review close", outcome=await world.learner(LI) or "x", evidence="")
    with pytest.raises(Conflict):
        await ask(world, "review show", review="no-such-review")


async def test_passports_of_two_countries_are_two_people_and_one_without_a_country_is_weak(
    world: World,
) -> None:
    kazakh = Person("N1234567", "AYGUL", "护照", "KAZ")
    for number, who in (("N-1", kazakh), ("N-2", replace(kazakh, country="TUR"))):
        assert (await complete(world, number, who)).state is ItemState.ACCEPTED
    item = await complete(world, "N-3", replace(kazakh, country=""))
    assert (item.state, item.code) == (ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
    kinds = await world.sql("select kind, count(*) from identifiers group by kind order by kind")
    assert kinds == [("passport", 2), ("provisional", 1)]


async def test_the_two_cards_of_a_foreigner_are_linked_by_a_clerk_who_saw_both(world: World) -> None:
    old = Person("KAZ652301190001", "AYGUL", "外国人永久居留身份证")
    new = Person("999901199003070025", "AYGUL", "外国人永久居留身份证")
    await complete(world, "N-1", old)
    world.now += timedelta(minutes=1)
    await world.employ(FACTORY, new)
    card = {
        "kind": "foreign_card",
        "old-kind": "foreign_card",
        "purpose": "换证，已核验两证",
        "operator": "赵",
    }
    numbers = {"number": new.id_number, "old_number": old.id_number, "evidence": "新旧两证"}
    tried = await world.operations.run("learner link", {**card, **numbers})
    assert (tried["dry_run"], tried["would_change"]) == (True, 1)
    done = await world.operations.run("learner link", {**card, **numbers, "apply": "yes"})
    await world.settle()
    assert (await newest(world))[done["judged_as"]] == "granted"
    assert await world.fsck() == []
    with pytest.raises(Conflict):
        await world.operations.run("learner link", {**card, **numbers})


async def test_the_links_of_people_not_heard_of_are_made(world: World) -> None:
    said = {"kind": "passport", "country": "KAZ", "old-kind": "passport", "old-country": "KAZ"}
    numbers = {"number": "N7654321", "old_number": "N1234567", "purpose": "换发护照", "evidence": "两本护照"}
    done = await world.operations.run("learner link", {**said, **numbers, "apply": "yes"})
    assert done["learner"] != done["old_learner"]
    assert len(await world.sql("select 1 from merged")) == 2
