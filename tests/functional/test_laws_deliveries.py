"""Laws 1 to 3: acknowledged means durable; one delivery has one effect; one completion counts once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.functional.world import FACTORY, Installation, World, over
from verifier.cli.simulator import Course, Delivery, person
from verifier.errors import Code, SignatureRejected
from verifier.model.delivery import DeliveryState, ItemOutcome, ItemState

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


def signed_once(world: World, course: Course, delivery_id: str) -> Delivery:
    return world.cvt.delivery(world.cvt.completed(course), delivery_id, world.now)


async def only(world: World, delivery: Delivery) -> ItemOutcome:
    [outcome] = await world.post(delivery)
    [item] = outcome.items
    return item


# Law 1


async def test_what_was_acknowledged_is_there_after_the_process_ends(
    url: str, installation: Installation
) -> None:
    world = await over(url, installation)
    await world.post(signed_once(world, world.course("N-1", LI), "d-1"))
    await world.store.database.close()
    again = await over(url, installation)
    [kept] = await again.store.deliveries("china_vocational_training", attention=False, limit=10)
    assert kept.delivery_id == "d-1"
    assert await again.states(LI) == ["pending"]
    await again.store.database.close()


async def test_an_authentic_delivery_that_cannot_be_read_is_kept_and_can_be_read_again(world: World) -> None:
    [outcome] = await world.post(world.cvt.delivery({"what": "no event"}, "d-1", world.now))
    assert (outcome.state, outcome.code) == (DeliveryState.QUARANTINED, Code.DELIVERY_UNREADABLE)
    [kept] = await world.store.deliveries("china_vocational_training", attention=True, limit=10)
    assert kept.outcome.code is Code.DELIVERY_UNREADABLE
    assert await world.opened_body("china_vocational_training", "d-1") == b'{"what":"no event"}'


async def test_an_event_nobody_knows_is_recorded(world: World) -> None:
    message = {"type": "completion.celebrated", "timestamp": "2021-03-05T10:00:00+08:00", "data": {}}
    item = await only(world, world.cvt.delivery(message, "d-1", world.now))
    assert (item.state, item.code) == (ItemState.RECORDED, Code.EVENT_UNKNOWN)


async def test_a_bad_item_does_not_sink_the_others(world: World) -> None:
    stranger = replace(LI, id_number="999901199001010000")
    items = [
        world.xzy.completed(world.course("X-1", LI), "1"),
        {"itemId": "2", "eventType": "FINISH"},
        world.xzy.completed(world.course("X-3", stranger), "3"),
        world.xzy.completed(world.course("X-4", WANG), "4", certificate="not.a.certificate"),
        world.xzy.revoked("X-9", "误发", world.now, "5") | {"fzjg": "urn:nobody"},
        world.xzy.revoked("X-9", "误发", world.now, "6") | {"fzjg": world.cvt.issuer},
    ]
    [outcome] = await world.post(world.xzy.delivery(items, "b-1", world.now))
    assert [(item.state, item.code) for item in outcome.items] == [
        (ItemState.ACCEPTED, None),
        (ItemState.REFUSED, Code.FIELD_MISSING),
        (ItemState.REFUSED, Code.IDENTIFIER_INVALID),
        (ItemState.REFUSED, Code.CERTIFICATE_MALFORMED),
        (ItemState.REFUSED, Code.ISSUER_UNKNOWN),
        (ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED),
    ]
    assert await world.states(LI) == ["pending"]


async def test_of_what_is_not_authentic_nothing_is_kept(world: World) -> None:
    real = signed_once(world, world.course("N-1", LI), "d-1")
    forged = replace(real, body=real.body.replace(b"N-1", b"N-2"))
    with pytest.raises(SignatureRejected):
        world.prepared(forged)
    for table in ("deliveries", "facts", "learners", "evidence"):
        assert await world.sql(f"select 1 from {table}") == []  # noqa: S608 - four words of this test


async def test_a_platform_that_nobody_registered_is_never_authentic(world: World) -> None:
    real = signed_once(world, world.course("N-1", LI), "d-1")
    world.register = replace(world.register, platforms={})
    with pytest.raises(SignatureRejected):
        world.prepared(real)


# Law 2


async def test_the_same_delivery_again_gets_the_first_answer_and_has_no_effect(world: World) -> None:
    delivery = signed_once(world, world.course("N-1", LI), "d-1")
    [first] = await world.post(delivery)
    world.now += timedelta(minutes=4)
    [second] = await world.post(delivery)
    assert second == replace(first, replayed=True)
    assert len(await world.sql("select 1 from facts")) == 1


async def test_other_content_under_a_known_delivery_id_is_a_conflict(world: World) -> None:
    await world.post(signed_once(world, world.course("N-1", LI), "d-1"))
    [outcome] = await world.post(signed_once(world, world.course("N-2", WANG), "d-1"))
    assert (outcome.state, outcome.code) == (DeliveryState.CONFLICT, Code.DELIVERY_CONFLICT)
    assert await world.learner(WANG) == ""


async def test_doubles_within_one_group_are_told_apart(world: World) -> None:
    delivery = signed_once(world, world.course("N-1", LI), "d-1")
    other = signed_once(world, world.course("N-2", WANG), "d-1")
    first, second, third = await world.post(delivery, delivery, other)
    assert (first.replayed, second.replayed) == (False, True)
    assert third.state is DeliveryState.CONFLICT
    assert len(await world.sql("select 1 from deliveries where state = 'accepted'")) == 1


async def test_what_conflicts_is_kept_once_under_the_longest_id_too(world: World) -> None:
    longest = "m" * 128
    kept = [world.xzy.completed(world.course(f"X-{number}", LI), "1") for number in range(2)]
    states = []
    for item in (kept[0], kept[1], kept[1]):
        [outcome] = await world.post(world.xzy.delivery([item], longest, world.now))
        states.append(outcome.state)
    assert states == [DeliveryState.ACCEPTED, DeliveryState.CONFLICT, DeliveryState.CONFLICT]
    listed = await world.store.deliveries("new_occupation", attention=True, limit=10)
    assert [delivery.outcome.code for delivery in listed] == [Code.DELIVERY_CONFLICT]
    body = await world.opened_body("new_occupation", listed[0].delivery_id)
    assert body is not None
    assert kept[1]["certificate"].encode() in body


async def test_the_same_id_from_two_platforms_is_two_deliveries(world: World) -> None:
    outcomes = await world.post(
        signed_once(world, world.course("N-1", LI), "d-1"),
        world.xzy.delivery([world.xzy.completed(world.course("X-1", LI), "1")], "d-1", world.now),
    )
    assert [outcome.state for outcome in outcomes] == [DeliveryState.ACCEPTED] * 2
    assert not any(outcome.replayed for outcome in outcomes)


async def test_one_delivery_that_arrives_many_times_at_once_has_one_effect(world: World) -> None:
    delivery = signed_once(world, world.course("N-1", LI), "d-1")
    answers = await asyncio.gather(*(world.post(delivery) for _ in range(12)))
    assert sorted(answer.replayed for [answer] in answers) == [False] + [True] * 11
    assert len(await world.sql("select 1 from facts")) == 1
    assert len(await world.sql("select 1 from deliveries")) == 1


# Law 3


async def test_the_same_certificate_in_another_delivery_changes_nothing(world: World) -> None:
    message = world.cvt.completed(world.course("N-1", LI))
    await world.post(world.cvt.delivery(message, "d-1", world.now))
    item = await only(world, world.cvt.delivery(message, "d-2", world.now))
    assert item.state is ItemState.DUPLICATE
    assert len(await world.sql("select 1 from facts")) == 1


async def test_the_same_content_signed_again_changes_nothing(world: World) -> None:
    await world.post(signed_once(world, world.course("N-1", LI), "d-1"))
    # An ECDSA signature is random: these are other bytes with the same content.
    item = await only(world, signed_once(world, world.course("N-1", LI), "d-2"))
    assert item.state is ItemState.DUPLICATE


async def test_other_content_that_nobody_declared_goes_to_review_once(world: World) -> None:
    course = world.course("N-1", LI)
    await world.post(signed_once(world, course, "d-1"))
    for number in (2, 3):
        item = await only(world, signed_once(world, replace(course, title="另一门课"), f"d-{number}"))
        assert (item.state, item.code) == (ItemState.IN_REVIEW, Code.COMPLETION_CONFLICT)
    [review] = await world.store.open_reviews()
    assert review["kind"] == "completion_conflict"
    listed = await world.store.deliveries("china_vocational_training", attention=True, limit=10)
    assert {delivery.delivery_id for delivery in listed} == {"d-2", "d-3"}


async def test_a_corrected_name_pushed_again_works(world: World) -> None:
    await world.employ(FACTORY, LI)
    wrong = world.course("N-1", replace(LI, name="完全不同"))
    await world.post(signed_once(world, wrong, "d-1"))
    assert await world.states(LI) == ["pending"]
    right = replace(wrong, learner=LI)
    message = world.cvt.completed(right, event="completion.corrected")
    item = await only(world, world.cvt.delivery(message, "d-2", world.now))
    assert item.state is ItemState.ACCEPTED
    assert await world.states(LI) == ["pending", "granted"]


@pytest.mark.parametrize("counts", [True, False])
async def test_an_issuer_may_sign_anew_as_often_as_it_must(world: World, *, counts: bool) -> None:
    course = world.course("N-1", LI)
    await world.post(signed_once(world, course, "d-0"))
    for time in range(1, 4):
        changed = replace(
            course,
            title=f"第{time}次更正",
            issued_at=course.issued_at + timedelta(days=0 if counts else time),
            revision=1 + time if counts else 1,
        )
        item = await only(world, signed_once(world, changed, f"d-{time}"))
        assert item.state is ItemState.ACCEPTED
    assert await world.sql("select revision from completions order by revision") == [(1,), (2,), (3,), (4,)]


async def test_older_content_that_comes_late_changes_nothing(world: World) -> None:
    course = world.course("N-1", LI)
    newer = replace(course, title="更正", revision=2)
    await world.post(signed_once(world, newer, "d-1"))
    item = await only(world, signed_once(world, course, "d-2"))
    assert item.state is ItemState.RECORDED
    assert len(await world.sql("select 1 from facts")) == 1


async def test_a_correction_may_go_back_to_what_was_there_before(world: World) -> None:
    course = world.course("N-1", LI)
    other = replace(course, title="误改")
    await world.post(signed_once(world, course, "d-1"))
    for number, content in ((2, other), (3, course)):
        message = world.cvt.completed(content, event="completion.corrected")
        item = await only(world, world.cvt.delivery(message, f"d-{number}", world.now))
        assert item.state is ItemState.ACCEPTED


async def test_a_revocation_stands_once_and_may_come_first(world: World) -> None:
    await world.employ(FACTORY, LI)
    states = []
    for number in (1, 2):
        message = world.cvt.revoked("N-1", "误发", world.now)
        states.append((await only(world, world.cvt.delivery(message, f"r-{number}", world.now))).state)
    assert states == [ItemState.ACCEPTED, ItemState.DUPLICATE]
    await world.post(signed_once(world, world.course("N-1", LI), "d-1"))
    assert await world.states(LI) == ["refused"]


async def test_a_completion_older_than_any_policy_is_answered_like_any_other(world: World) -> None:
    await world.employ(FACTORY, LI)
    course = world.course("N-1", LI)
    ancient = replace(course, completed_at=course.completed_at.replace(year=1850))
    await only(world, signed_once(world, ancient, "d-1"))
    [kept] = await world.store.deliveries("china_vocational_training", attention=False, limit=1)
    assert kept.delivery_id == "d-1"


async def test_what_is_kept_of_a_delivery_is_sealed(world: World) -> None:
    delivery = signed_once(world, world.course("N-1", LI), "d-1")
    await world.post(delivery)
    [(sealed,)] = await world.sql("select sealed_body from deliveries")
    assert json.loads(delivery.body)["data"]["certificate"].encode() not in bytes(sealed)
    for table in ("facts", "identifiers", "deliveries", "decisions"):
        for stored in await world.sql(f"select * from {table}"):  # noqa: S608 - four words of this test
            assert LI.id_number not in str(stored)
            assert LI.name not in str(stored)


async def test_a_revocation_is_final_for_its_number_and_a_new_number_counts(world: World) -> None:
    who = person(31, "张三")
    await world.employ(FACTORY, who)
    await world.complete("N-1", who)
    await world.revoke("N-1")
    corrected = world.cvt.completed(world.course("N-1", who, revision=2), event="completion.corrected")
    await world.post(world.cvt.delivery(corrected, "again", world.now))
    assert (await world.states(who))[-1] == "refused"
    await world.complete("N-2", who)
    assert (await world.states(who))[-1] == "granted"
