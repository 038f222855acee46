"""A person is erased: only where no duty to keep remains, for good, and without anything else breaking."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.functional.test_acts import run
from tests.functional.world import BUREAU, FACTORY, WORKSHOP, Installation, World, over
from verifier import erasing, replay
from verifier.claims import Asked
from verifier.cli.simulator import Person, person
from verifier.erasing import Terms
from verifier.errors import AccessDenied, Code, ConfigurationError, Conflict
from verifier.model.delivery import DeliveryOutcome
from verifier.model.facts import Source
from verifier.operations import SourceForm
from verifier.ports.erasing import Erasure
from verifier.store.acting import Acting

LI = person(1, "阿依古丽·买买提")
NEW = person(2, "阿依古丽")
WANG = person(3, "王小明")
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
GIVEN = {"purpose": "本人到场，已核验身份证", "reason": "本人要求删除"}


async def erase(world: World, who: Person, **parameters: str) -> dict[str, Any]:
    return await run(world, "learner erase", id_number=who.id_number, **{**GIVEN, **parameters})


async def erased(world: World, who: Person) -> str:
    """Erase somebody, and say which learner that was."""
    learner = await world.learner(who)
    await erase(world, who, apply="yes")
    return learner


async def kinds(world: World, who: Person) -> list[str]:
    return [one["kind"] for one in (await erase(world, who))["kept_by"]]


async def refused(world: World) -> None:
    """LI has a completion, a refusal and everything else that is held on somebody without a month."""
    await world.adopt()
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    await world.revoke("N-1")
    await world.settle()
    assert (await world.states(LI))[-1] == "refused"


@ON_SQLITE
async def test_a_dry_run_says_what_would_be_destroyed_and_destroys_nothing(world: World) -> None:
    await refused(world)
    learner = await world.learner(LI)
    found = await erase(world, LI)
    assert (found["dry_run"], found["learners"], found["kept_by"]) == (True, [learner], [])
    assert found["destroys"] == {
        "keys": 1,
        "identifiers": 1,
        "traits": 1,
        "facts": 2,
        "records": 2,
        "raw_deliveries": 2,
    }
    assert await world.sql("select count(*) from learners where sealed_key is null") == [(0,)]
    assert await world.learner(LI) == learner
    [(client, what)] = await world.sql("select client_id, what from disclosures")
    assert (client, what) == ("clerk:赵", "erasure, dry run")


async def test_after_an_erasure_nothing_leads_to_the_person_and_all_else_verifies(
    world: World,
) -> None:
    await refused(world)
    await world.complete("N-2", WANG)
    await world.issue()
    kept = world.kept.note
    learner = await erased(world, LI)
    await world.settle()
    assert await world.fsck(kept) == []
    assert await world.learner(LI) == ""
    with pytest.raises(AccessDenied):
        await run(world, "learner show", id_number=LI.id_number, purpose="本人查询")
    with pytest.raises(AccessDenied):
        await erase(world, LI, apply="yes")
    assert await world.sql("select sealed_key from learners where learner_id = :who", who=learner) == [
        (None,)
    ]
    for table in ("identifiers", "traits", "due"):
        rows = await world.sql(f"select * from {table} where learner_id = :who", who=learner)  # noqa: S608 - words of this test
        assert rows == []
    [entry] = await world.entries("erasure")
    assert {name: entry[name] for name in ("learners", "deliveries", "documents")} == {
        "learners": 1,
        "deliveries": 2,
        "documents": 0,
    }
    assert learner not in json.dumps(entry)
    for record in await world.records():
        # The other person's record keeps its disclosures, the erased one's has none left.
        assert (record.sd_jwt.count("~") > 1) == (record.learner_id != learner)
    for (decision,) in await world.sql("select decision_id from decisions where learner_id = :w", w=learner):
        found = await world.store.replaying(lambda tx, one=decision: replay.replay(tx, one))  # type: ignore[misc] # no type for such a lambda
        assert (found.same, found.why_not) == (None, "the evidence was lawfully erased")
    assert (await world.sql("select count(*) from deliveries where sealed_body is null"))[0][0] == 2
    [(reason,)] = await world.sql("select sealed_reason from erasures")
    assert "本人要求".encode() not in bytes(reason)


@ON_SQLITE
async def test_the_words_of_a_revocation_and_of_a_closed_signal_go_with_the_person(world: World) -> None:
    await refused(world)
    assert await revocation_reasons(world) == ["误发"]
    await world.sql(
        "insert into signals (signal_id, kind, learner_id, about, details, subject_digest, rules, thresholds,"
        " found_at) values ('s', 'day_overfull', :who, '[]', '{}', :digest, 'r', 't', 0)",
        who=await world.learner(LI),
        digest=b"d" * 32,
    )
    await world.sql(
        "insert into signal_closings (signal_id, outcome, sealed_reason, sealed_key, operator, closed_at)"
        " values ('s', 'noted', :sealed, :sealed, 'o', 0)",
        sealed=b"x",
    )
    await erased(world, LI)
    assert await revocation_reasons(world) == [""]
    assert await world.sql("select sealed_key from signal_closings") == [(None,)]


async def revocation_reasons(world: World) -> list[str]:
    def work(tx: Acting) -> list[str]:
        references = tx.connection.exec_driver_sql("select issuer, number_scope, number from certificates")
        numbers = {(issuer, scope, number) for issuer, scope, number in references}
        return [fact.reason for fact in tx.revocations(numbers)]

    return await world.store.write(Acting, work)


# --- the duty to keep


@ON_SQLITE
async def test_a_live_month_keeps_everything_whatever_the_time(world: World) -> None:
    world.terms = Terms(1, 0)
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    world.now += timedelta(days=10_000)
    assert await kinds(world, LI) == ["month"]
    with pytest.raises(Conflict) as caught:
        await erase(world, LI, apply="yes")
    assert caught.value.code is Code.DUTY_TO_KEEP
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    assert await kinds(world, LI) == ["month", "payment"]
    await world.revoke("N-1")
    assert (await erase(world, LI))["kept_by"][0]["state"] == "clawback_due"


async def paid(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    [record] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.claims.step(BUREAU, record.record_id, "paid", "pay-1", "")
    await world.settle()


async def test_a_paid_month_keeps_until_the_configured_years_are_over_and_nobody_invents_them(
    world: World,
) -> None:
    await paid(world)
    with pytest.raises(ConfigurationError) as caught:
        await erase(world, LI, apply="yes")
    assert caught.value.code is Code.KEEP_TERM_NOT_CONFIGURED
    [kept] = (await erase(world, LI))["kept_by"]
    assert kept == {"kind": "payment", "last": "2021-07-01", "until": "keep_term_not_configured"}
    world.terms = Terms(5, 0)
    assert (await erase(world, LI))["kept_by"][0]["until"] == "2026-07-01"
    world.now = datetime(2026, 7, 1, 15, 59, tzinfo=UTC)
    with pytest.raises(Conflict) as refused:
        await erase(world, LI, apply="yes")
    assert refused.value.code is Code.DUTY_TO_KEEP
    world.now = datetime(2026, 7, 1, 16, tzinfo=UTC)  # the next day has begun in Beijing
    await erased(world, LI)
    await world.settle()
    # The month stays paid, under a learner of whom nobody knows any more who it was.
    assert [state for _, state, *_ in await world.slots()] == ["paid"]
    assert await world.fsck() == []


@ON_SQLITE
async def test_what_is_returned_after_an_erasure_frees_the_month_and_decides_nothing(world: World) -> None:
    world.terms = Terms(1, 0)
    await paid(world)
    world.now += timedelta(days=800)
    await erased(world, LI)
    [record] = await world.records()
    await world.claims.step(BUREAU, record.record_id, "returned", "pay-1", "退回")
    before = await world.sql("select count(*) from decisions")
    await world.settle()
    assert await world.slots() == []
    assert await world.sql("select count(*) from decisions") == before
    assert await world.fsck() == []


@ON_SQLITE
async def test_open_matters_keep(world: World) -> None:
    await world.complete("N-1", LI)
    learner = await world.learner(LI)
    hold = {"learner": learner, "reason": "核查", "apply": "yes"}
    await run(world, "learner hold", until="2021-07-10", **hold)
    given = {"kind": "objection", "topic": "data", "text": "有误", "purpose": "已核验身份证"}
    opened = await run(world, "objection open", id_number=LI.id_number, **given)
    await world.complete("N-1", LI, title="另一门课")
    assert sorted(await kinds(world, LI)) == ["hold", "objection", "review"]
    with pytest.raises(Conflict):
        await erase(world, LI, apply="yes")
    await run(world, "objection withdraw", number=opened["number"])
    await world.close("completion_conflict", "keep")
    assert await kinds(world, LI) == ["hold"]
    world.now += timedelta(days=30)
    assert await kinds(world, LI) == []
    await erased(world, LI)
    await world.settle()
    assert await world.fsck() == []


def test_years_later_is_the_same_day_or_the_last_of_february() -> None:
    assert erasing.years_after(datetime(2024, 2, 29, tzinfo=UTC).date(), 4).isoformat() == "2028-02-29"
    assert erasing.years_after(datetime(2024, 2, 29, tzinfo=UTC).date(), 1).isoformat() == "2025-02-28"


# --- one person, several people


async def test_whoever_is_one_person_is_erased_as_one(world: World) -> None:
    await world.complete("N-1", LI)
    await world.complete("N-2", NEW)
    both = sorted([await world.learner(LI), await world.learner(NEW)])
    seen = {"reason": "换证", "evidence": "两证", "apply": "yes"}
    await run(world, "learner merge", first=both[0], second=both[1], **seen)
    assert (await erase(world, NEW))["learners"] == both
    await erase(world, NEW, apply="yes")
    await world.settle()
    assert (await world.learner(LI), await world.learner(NEW)) == ("", "")
    assert await world.sql("select count(*) from learners where sealed_key is null") == [(2,)]
    assert (await world.entries("erasure"))[0]["learners"] == 2
    assert await world.fsck() == []


async def batch(world: World, *courses: tuple[str, Person]) -> DeliveryOutcome:
    items = [world.xzy.completed(world.course(number, who), number) for number, who in courses]
    [outcome] = await world.post(world.xzy.delivery(items, world.new_id(), world.now))
    return outcome


async def test_a_batch_keeps_its_body_until_the_last_person_in_it_is_erased(world: World) -> None:
    world.terms = Terms(0, 30)
    await batch(world, ("N-1", LI), ("N-2", WANG))
    found = await erase(world, LI)
    assert found["destroys"]["raw_deliveries"] == 0
    [kept] = found["raw_kept"]
    assert (kept["because"], kept["until"]) == ("others", "2021-07-31T04:00:00Z")
    await erased(world, LI)
    assert await bodies(world) == [True]
    await erased(world, WANG)
    assert await bodies(world) == [False]
    await world.settle()
    assert [entry["deliveries"] for entry in await world.entries("erasure")] == [0, 1]
    assert await world.fsck() == []


async def bodies(world: World) -> list[bool]:
    rows = await world.sql("select sealed_body is not null from deliveries order by received_at, delivery_id")
    return [bool(kept) for (kept,) in rows]


@ON_SQLITE
async def test_a_body_with_an_item_that_names_nobody_knows_whom_stays(world: World) -> None:
    other = world.xzy.completed(world.course("N-9", Person("99990", "x", "y")), "9")
    items = [world.xzy.completed(world.course("N-1", LI), "1"), other]
    await world.post(world.xzy.delivery(items, world.new_id(), world.now))
    found = await erase(world, LI)
    assert [one["because"] for one in found["raw_kept"]] == ["unsettled"]
    await erased(world, LI)
    assert await bodies(world) == [True]


@pytest.mark.untraced
@ON_SQLITE
async def test_a_repetition_is_found_by_the_person_in_it(world: World) -> None:
    await batch(world, ("N-1", LI))
    [outcome] = [await batch(world, ("N-1", LI))]
    assert outcome.items[0].state == "duplicate"
    await erased(world, LI)
    assert await bodies(world) == [False, False]


# --- what comes afterwards


@ON_SQLITE
async def test_whoever_comes_again_is_a_new_learner_and_nothing_of_the_old_one_is_known(world: World) -> None:
    await refused(world)
    old = await erased(world, LI)
    await world.complete("N-2", LI)
    new = await world.learner(LI)
    assert new not in {"", old}
    # The roster's row was the erased one's; the enterprise has to list the person again.
    assert await world.states(LI) == ["pending"]
    await world.employ(WORKSHOP, LI)
    assert (await world.states(LI))[-1] == "granted"
    await world.settle()
    assert await world.fsck() == []


async def test_an_old_certificate_makes_nobody_a_learner_again(world: World) -> None:
    await world.adopt()
    await world.employ(FACTORY, LI)
    first = world.course("N-1", LI)
    [sent] = await world.post(world.cvt.delivery(world.cvt.completed(first), world.new_id(), world.now))
    assert sent.items[0].state == "accepted"
    await world.settle()
    await world.revoke("N-1")
    old = await erased(world, LI)
    facts = await world.sql("select count(*) from facts")
    [again] = await world.post(world.cvt.delivery(world.cvt.completed(first), world.new_id(), world.now))
    assert [(item.state, item.code) for item in again.items] == [("duplicate", None)]
    corrected = await world.complete("N-1", LI, revision=2)
    assert [(one.state, one.code) for one in corrected.items] == [("recorded", Code.LEARNER_ERASED)]
    assert await world.learner(LI) == ""
    assert await world.sql("select count(*) from facts") == facts
    await world.settle()
    # What came since holds the person's data: the body goes by the next round of retention.
    assert (await run(world, "deliveries retention", apply="yes"))["emptied"] == 2
    assert set(await bodies(world)) == {False}
    assert await world.sql("select count(*) from decisions where learner_id = :who", who=old) == [(2,)]
    await world.settle()
    assert await world.fsck() == []


@ON_SQLITE
async def test_a_revocation_of_an_erased_persons_certificate_stands_without_its_words(world: World) -> None:
    await world.complete("N-1", LI)
    old = await erased(world, LI)
    outcome = await world.revoke("N-1")
    assert [(item.state, item.code) for item in outcome.items] == [("accepted", None)]
    assert await revocation_reasons(world) == [""]
    await world.settle()
    assert await world.sql("select count(*) from decisions where learner_id = :who", who=old) == [(1,)]
    assert await world.fsck() == []


@ON_SQLITE
async def test_a_sweep_passes_over_whoever_was_erased(world: World) -> None:
    await refused(world)
    old = await erased(world, LI)
    before = await world.sql("select count(*) from decisions")
    await world.operations.adopt(
        [SourceForm("policy", "cd" * 32, "[policy]\nentitlement = 'online-training-month'\n", {})]
    )
    while await world.sql("select 1 from sweeps"):
        await world.evaluate()
    assert await world.sql("select count(*) from decisions") == before
    rule = {"learner": old, "until": "2021-07-10", "reason": "核查", "apply": "yes"}
    with pytest.raises(Conflict) as caught:
        await run(world, "learner hold", **rule)
    assert caught.value.code is Code.LEARNER_ERASED


async def test_a_delivery_that_waited_for_an_erasure_makes_a_new_learner(world: World) -> None:
    """Both begin at once; whichever is first, no completion is sealed with a key that is gone."""
    await world.complete("N-1", LI)
    old = await world.learner(LI)
    arriving = [world.complete(f"N-{n}", LI) for n in range(2, 8)]
    await asyncio.gather(erase(world, LI, apply="yes"), *arriving)
    lost = await world.sql(
        "select count(*) from facts where learner_id = :who and kind = 'completion'", who=old
    )
    new = await world.learner(LI)
    if new != old:
        rows = await world.sql("select count(*) from facts where learner_id = :who", who=new)
        assert rows[0][0] + lost[0][0] == 7
    await world.settle()
    assert await world.fsck() == []


async def test_no_destroyed_key_stays_behind_in_the_file(sqlite: str, installation: Installation) -> None:
    world = await over(sqlite, installation)
    for number in range(20):
        await world.complete(f"N-{number}", person(100 + number, "王小明"))
    await world.complete("N-20", LI)
    [(key,)] = await world.sql(
        "select sealed_key from learners where learner_id = :who", who=await world.learner(LI)
    )
    file = world.store.database.file
    assert file is not None
    assert await world.sql("pragma secure_delete") == [(1,)]
    await erased(world, LI)
    await world.store.database.close()  # which merges the log into the file
    assert bytes(key) not in file.read_bytes()


# --- what is not lawful


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("update learners set sealed_key = null where learner_id = :who", "learners {who}"),
        ("update deliveries set sealed_body = null", "deliveries: 4 emptied, 2 in the ledger"),
        ("update erasures set erasure_id = 'x'", "learners {old}"),
        ("delete from erasures", "learners {old}"),
    ],
)
async def test_what_nobody_erased_is_found(small_world: World, statement: str, where: str) -> None:
    world = small_world
    await refused(world)
    await batch(world, ("N-2", WANG))
    await batch(world, ("N-3", WANG))
    who, old = await world.learner(WANG), await erased(world, LI)
    await world.settle()
    assert await world.fsck() == []
    await world.sql(statement, **({"who": who} if ":who" in statement else {}))
    found = [one.where for one in await world.fsck() if one.kind == "emptied_unlawfully"]
    assert found == [where.format(who=who, old=old)]


async def test_a_key_destroyed_by_hand_is_not_made_lawful_afterwards(small_world: World) -> None:
    await small_world.complete("N-1", LI)
    who = await small_world.learner(LI)
    await small_world.sql("update learners set sealed_key = null")
    with pytest.raises(Conflict) as caught:
        await erase(small_world, LI, apply="yes")
    assert caught.value.code is Code.LEARNER_ERASED
    # A new certificate of theirs neither crashes nor disappears: it is refused, and kept to be read again.
    outcome = await small_world.complete("N-2", LI)
    assert [(one.state, one.code) for one in outcome.items] == [("refused", Code.LEARNER_ERASED)]
    assert await small_world.learner(LI) == who
    # Nor does anything follow for the raw bodies: they are evidence of what happened.
    await run(small_world, "deliveries retention", apply="yes")
    assert await bodies(small_world) == [True, True]
    with pytest.raises(Conflict):
        await run(small_world, "learner hold", learner=who, until="2021-07-10", reason="核查", apply="yes")


async def test_a_grant_whose_key_was_destroyed_by_hand_is_still_revoked(small_world: World) -> None:
    await small_world.employ(FACTORY, LI)
    await small_world.complete("N-1", LI)
    await small_world.sql("update learners set sealed_key = null")
    await small_world.revoke("N-1")
    assert await small_world.slots() == []


def test_a_reason_is_in_no_representation() -> None:
    one = Erasure("e", [], "clerk:x", "本人要求", datetime(2021, 7, 1, tzinfo=UTC))
    assert "本人要求" not in repr(one)
    assert Source("operator", "x") == Source("operator", "x")
