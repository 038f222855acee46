"""Who is one person, and what a clerk mends on paper: merges, id corrections, written revocations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.functional.test_acts import holding, logged, run, told, worker
from tests.functional.world import FACTORY, WORKSHOP, World, row
from verifier import offline, replay
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, Code, Conflict, IdentityRejected, RequestRejected
from verifier.model.facts import CompletionFact, RevocationFact
from verifier.store import tables
from verifier.store.acting import Acting

OLD = person(1, "阿依古丽·买买提")
NEW = person(2, "阿依古丽")
OTHER = person(3, "王小明")
STRANGER = person(9, "从未听说")
SEEN = {"purpose": "已核验身份证", "reason": "证件换发", "evidence": "新旧身份证"}


async def two_grants(world: World) -> tuple[str, str]:
    await world.employ(FACTORY, OLD)
    await world.employ(WORKSHOP, NEW)
    await world.complete("N-1", OLD)
    world.now += timedelta(minutes=1)
    await world.complete("N-2", NEW)
    await world.settle()
    return await world.learner(OLD), await world.learner(NEW)


# --- who is one person


async def test_a_learner_is_found_by_id_number_and_the_finding_is_logged(world: World) -> None:
    old, new = await two_grants(world)
    found = await run(world, "learner find", id_number=OLD.id_number + "\n", purpose="合并")
    assert found == {
        "id_number": OLD.id_number[:6] + "********" + OLD.id_number[-4:],
        "learner": old,
        "judged_under": old,
        "group": [old],
    }
    assert (await logged(world, OLD))[-1] == ("clerk:赵", "合并", "learner id")
    await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    found = await run(world, "learner find", id_number=NEW.id_number, purpose="合并")
    assert (found["judged_under"], found["group"]) == (old, sorted([old, new]))
    with pytest.raises(AccessDenied):
        await run(world, "learner find", id_number=STRANGER.id_number, purpose="合并")
    for number, error in (("999", IdentityRejected), ("", RequestRejected)):
        with pytest.raises(error):
            await run(world, "learner find", id_number=number, purpose="合并")


async def test_a_merge_by_command_is_a_dry_run_first_and_decides_at_once(world: World) -> None:
    old, new = await two_grants(world)
    dry = await run(world, "learner merge", first=new, second=old, **SEEN)
    assert (dry["judged_under"], dry["dry_run"], dry["would_change"]) == (old, True, 1)
    assert len(await world.slots()) == 2
    done = await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    assert (done["dry_run"], done["changed"]) == (False, 1)
    assert done["decisions"] == dry["decisions"]
    # Without the evaluator: decided in the same transaction.
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    parted = await run(world, "learner part", first=old, second=new, apply="yes", **SEEN)
    assert parted["judged_under"] == sorted([old, new])
    assert len(await world.slots()) == 2
    with pytest.raises(Conflict):
        await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    await run(world, "learner merge", first=new, second=old, apply="yes", despite="yes", **SEEN)
    assert len(await world.slots()) == 1
    await world.settle()
    assert await world.fsck() == []


async def test_two_that_were_told_apart_stay_apart(world: World) -> None:
    old, new = await two_grants(world)
    assert await run(world, "learner apart", first=old, second=new, **SEEN) == {"apart": [old, new]}
    with pytest.raises(Conflict):
        await run(world, "learner merge", first=new, second=old, **SEEN)


async def test_the_ledger_says_of_a_merge_nothing_of_anybody(world: World) -> None:
    old, new = await two_grants(world)
    await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    await world.issue()
    [entry] = await world.entries("merge")
    assert set(entry) == {"v", "kind", "index", "at", "merge", "undone"}
    assert old not in json.dumps(entry)
    stored = json.dumps(
        [list(row) for row in await world.sql("select content from facts where kind='merge'")]
    )
    assert "新旧身份证" not in stored


async def test_a_release_and_a_contest_are_about_the_person_under_whichever_number(world: World) -> None:
    old, new = await two_grants(world)
    await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    # The month stands under OLD; the worker comes with the new card.
    await worker(world, "learner release", NEW, FACTORY)
    assert await holding(world) == []  # both list the person on the day of either: a reviewer says which
    await worker(world, "learner contest", OLD, WORKSHOP)
    assert (await told(world, WORKSHOP, NEW))["state"] == "not_listed"
    [review] = [one for one in await world.store.open_reviews() if one["kind"] == "listing_contest"]
    await run(world, "review close", review=review["review_id"], outcome="upheld", reason="核实")
    await world.evaluate()
    # What was released is one completion at one employer; the other completion counts there.
    assert await holding(world) == [("granted", "N-2", FACTORY)]


# --- id corrections


async def correct(world: World, number: str = "N-1", **parameters: str) -> dict[str, Any]:
    given = {
        "issuer": "cvt-sandbox",
        "number": number,
        "id_number": OTHER.id_number,
        "holder": OLD.id_number,
        "reason": "证书误载他人号码",
        **parameters,
    }
    answer = await run(world, "learner correct-id", **given)
    await world.evaluate()
    return answer


async def issuer_of(world: World, number: str) -> str:
    [(issuer,)] = await world.sql("select issuer from certificates where number = :number", number=number)
    return str(issuer)


async def test_a_certificate_that_bears_a_wrong_number_becomes_its_holders(world: World) -> None:
    await world.employ(FACTORY, OLD)
    await world.complete("N-1", OTHER)
    issuer = await issuer_of(world, "N-1")
    assert await world.states(OTHER) == ["pending"]
    dry = await correct(world, issuer=issuer)
    assert (dry["dry_run"], dry["would_change"]) == (True, 2)
    assert await world.states(OTHER) == ["pending"]
    done = await correct(world, issuer=issuer, apply="yes")
    assert (done["from"], done["to"]) == (await world.learner(OTHER), await world.learner(OLD))
    assert await world.states(OTHER) == ["pending", "refused"]
    assert await world.states(OLD) == ["pending"]  # the names are unlike: a reviewer is asked
    await world.close("name_mismatch", "same")
    assert await holding(world) == [("granted", "N-1", FACTORY)]
    with pytest.raises(AccessDenied):
        await correct(world, issuer=issuer, apply="yes")
    with pytest.raises(Conflict) as caught:
        await correct(world, issuer=issuer, id_number=OLD.id_number, apply="yes")
    assert caught.value.code is Code.STATE_REFUSED


async def test_a_corrected_certificate_pushed_again_changes_nothing_and_its_issuers_correction_counts(
    world: World,
) -> None:
    await world.employ(FACTORY, OLD)
    first = world.course("N-1", OTHER)
    await world.post(world.cvt.delivery(world.cvt.completed(first), world.new_id(), world.now))
    issuer = await issuer_of(world, "N-1")
    received = world.now
    world.now += timedelta(days=1)
    await correct(world, issuer=issuer, apply="yes")
    decided = await world.states(OLD)
    [again] = await world.post(world.cvt.delivery(world.cvt.completed(first), world.new_id(), world.now))
    assert [item.state for item in again.items] == ["duplicate"]
    assert await world.states(OLD) == decided
    [fact] = [fact for fact in await facts(world, "completion") if isinstance(fact, CompletionFact)]
    assert (fact.learner_id, fact.source.kind, fact.received_at) == (
        await world.learner(OLD),
        "operator",
        received,
    )
    # The issuer signs it anew, under the holder's own number.
    await world.complete("N-1", OLD, revision=2)
    [fact] = [fact for fact in await facts(world, "completion") if isinstance(fact, CompletionFact)]
    assert (fact.source.kind, fact.holder.raw) == ("delivery", OLD.name)
    assert await holding(world) == [("granted", "N-1", FACTORY)]


async def facts(world: World, kind: str) -> list[Any]:
    def work(tx: Acting) -> list[Any]:
        return tx.facts_where(tables.facts.c.kind == kind)

    return await world.store.write(Acting, work)


async def test_an_id_correction_has_a_number_and_a_signed_outcome(world: World) -> None:
    await world.complete("N-1", OTHER)
    done = await correct(world, issuer=await issuer_of(world, "N-1"), apply="yes")
    await world.settle()
    shown = await run(world, "objection show", number=done["correction"])
    assert (shown["kind"], shown["topic"], shown["state"]) == ("correction", "identity", "upheld")
    key = world.issuer_keys.record.verification_key
    assert offline.check_outcome(shown["outcome_jws"], [key])["number"] == done["correction"]
    assert await world.fsck() == []


async def test_a_certificate_is_corrected_only_under_the_number_that_it_bears(world: World) -> None:
    await world.employ(FACTORY, OLD)
    await world.complete("N-1", OTHER)
    await world.complete("N-2", OLD)
    issuer = await issuer_of(world, "N-1")
    for changes in ({"number": "N-9"}, {"number": "N-2"}, {"id_number": STRANGER.id_number}, {"scope": "x"}):
        with pytest.raises(AccessDenied):
            await correct(world, **{"issuer": issuer, "apply": "yes", **changes})


async def test_a_number_that_is_known_in_two_scopes_needs_its_scope(world: World) -> None:
    await world.complete("N-1", OTHER)
    issuer = await issuer_of(world, "N-1")
    [(scope,)] = await world.sql("select number_scope from certificates where number = 'N-1'")
    await world.sql(
        "insert into certificates (issuer, number_scope, number, touched)"
        " values (:issuer, 'other', 'N-1', 0)",
        issuer=issuer,
    )
    with pytest.raises(RequestRejected) as caught:
        await correct(world, issuer=issuer)
    assert caught.value.pointer == "scope"
    assert (await correct(world, issuer=issuer, scope=scope))["would_change"] == 2


@pytest.mark.untraced
async def test_what_was_decided_before_and_after_a_correction_is_replayed(world: World) -> None:
    await world.adopt()
    await world.employ(FACTORY, OLD)
    await world.complete("N-1", OTHER)
    await correct(world, issuer=await issuer_of(world, "N-1"), apply="yes")
    await world.close("name_mismatch", "same")
    await worker(world, "learner contest", OLD, FACTORY)
    await world.close("listing_contest", "rejected")
    learner = await world.learner(OLD)
    await run(world, "learner hold", learner=learner, until="2021-07-10", reason="核查", apply="yes")
    await run(world, "learner unhold", learner=learner, reason="查清", apply="yes")
    opened = await run(
        world,
        "objection open",
        kind="objection",
        topic="month",
        id_number=OLD.id_number,
        text="有异议",
        purpose="已核验身份证",
    )
    await worker(world, "learner release", OLD, FACTORY)
    await run(world, "objection answer", number=opened["number"], outcome="upheld", text="属实")
    await worker(world, "learner release", OLD, FACTORY, withdraw="yes")
    for (decision,) in await world.sql("select decision_id from decisions"):
        found = await world.store.replaying(lambda tx, one=decision: replay.replay(tx, one))  # type: ignore[misc] # no type for such a lambda
        assert found.same is True


# --- revocations on paper


async def test_a_written_revocation_is_final_for_its_number(world: World) -> None:
    await world.employ(FACTORY, OLD)
    await world.complete("N-1", OLD)
    issuer = await issuer_of(world, "N-1")
    given: Mapping[str, str] = {"issuer": issuer, "number": "N-1", "reason": "签发方来函"}
    dry = await run(world, "completion revoke", **given)
    assert (dry["would_change"], dry["revoked_before"]) == (1, False)
    done = await run(world, "completion revoke", apply="yes", **given)
    assert [(one["from"], one["to"]) for one in done["decisions"]] == [("granted", "refused")]
    assert await holding(world) == []
    again = await run(world, "completion revoke", apply="yes", **given)
    assert (again["changed"], again["revoked_before"]) == (0, True)
    await world.complete("N-1", OLD, revision=2)
    assert await holding(world) == []
    [fact] = [fact for fact in await facts(world, "revocation") if isinstance(fact, RevocationFact)]
    assert (fact.source.kind, fact.source.reference, fact.reason) == ("operator", "赵", "签发方来函")
    with pytest.raises(AccessDenied):
        await run(world, "completion revoke", **{**given, "number": "N-9"})


# --- what the person is shown


async def test_a_person_is_shown_all_that_was_said_about_them(world: World) -> None:
    old, new = await two_grants(world)
    await run(world, "learner merge", first=new, second=old, apply="yes", **SEEN)
    await run(world, "learner apart", first=old, second=await other(world), **SEEN)
    await worker(world, "learner contest", OLD, FACTORY)
    await run(world, "learner hold", learner=new, until="2021-07-10", reason="核查", apply="yes")
    opened = await run(
        world,
        "objection open",
        kind="objection",
        topic="month",
        id_number=NEW.id_number,
        text="不是我领的",
        purpose="已核验身份证",
    )
    shown = await run(world, "learner show", id_number=NEW.id_number, purpose="本人查询")
    assert (shown["judged_under"], shown["same_person"]) == (old, [old])
    kinds = {fact["kind"] for fact in shown["facts"]}
    assert {"completion", "employment", "merge", "notsame", "contest", "hold", "objection"} <= kinds
    [apart] = [fact for fact in shown["facts"] if fact["kind"] == "notsame"]
    assert not {"reason", "evidence", "other"} & set(apart)
    [merged] = [fact for fact in shown["facts"] if fact["kind"] == "merge"]
    assert merged["evidence"] == SEEN["evidence"]
    assert [one["number"] for one in shown["objections"]] == [opened["number"]]
    assert "listing_contest" in {review["kind"] for review in shown["reviews"]}
    assert len({decision["decision"] for decision in shown["decisions"]}) >= 3
    json.dumps(shown, ensure_ascii=False)


async def other(world: World) -> str:
    await world.roster(FACTORY, [row(OTHER)])
    return await world.learner(OTHER)


async def test_a_question_is_shown_with_both_names_covered_numbers_and_days_and_that_is_logged(
    world: World,
) -> None:
    await world.roster(FACTORY, [row(OLD, name="完全不同")])
    await world.admit(FACTORY)
    await world.complete("N-1", OLD)
    await world.evaluate()
    [review] = await world.store.open_reviews()
    shown = await run(world, "review show", review=review["review_id"])
    names = {one["kind"]: one["name"] for one in shown["about"]}
    assert names == {"completion": OLD.name, "employment": "完全不同"}
    assert {tuple(one["id_number"]) for one in shown["about"]} == {
        (OLD.id_number[:6] + "********" + OLD.id_number[-4:],)
    }
    assert OLD.id_number not in json.dumps(shown)
    assert (await logged(world, OLD))[-1] == ("clerk:赵", "review", "review: name_mismatch")
    with pytest.raises(Conflict):
        await run(world, "review show", review="none")


async def test_a_number_under_which_many_are_named_is_answered_by_a_reviewer(world: World) -> None:
    for number, name in enumerate(("甲乙丙", "丁戊己", "庚辛壬", "子丑寅", "卯辰巳"), 1):
        await world.complete(f"N-{number}", person(1, name))
    await world.employ(FACTORY, person(1, "甲乙丙"))
    kinds = {review["kind"] for review in await world.store.open_reviews()}
    assert kinds == {"shared_number"}
    review = (await world.store.open_reviews())[0]
    for outcome in ("keep", FACTORY):
        answer = {"review": review["review_id"], "outcome": outcome, "reason": "核实", "operator": "赵"}
        with pytest.raises(Conflict):
            await world.operations.close_review(answer)
    answer = {"review": review["review_id"], "outcome": "same", "reason": "核实", "operator": "赵"}
    await world.operations.close_review(answer)
    await world.evaluate()
    assert len(await holding(world)) == 1
    with pytest.raises(Conflict):
        await world.operations.close_review(answer)


async def test_a_kind_of_question_may_have_a_desk_of_its_own(small_world: World) -> None:
    world = small_world
    await world.roster(FACTORY, [row(OLD, name="完全不同")])
    await world.admit(FACTORY)
    await world.complete("N-1", OLD)
    await world.evaluate()
    [review] = await world.store.open_reviews()

    async def desk(parameters: Mapping[str, str]) -> dict[str, Any]:
        return {"answered": parameters["review"]}

    mine = {f"review {word} name_mismatch": desk for word in ("close", "show")}
    operations = replace(world.operations, further=mine)
    for word in ("close", "show"):
        answer = await operations.run(f"review {word}", {"review": review["review_id"]})
        assert answer == {"answered": review["review_id"]}
