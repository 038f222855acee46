"""What the ports promise, on each database: reading, single use, versions, the access log, sealing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.functional.world import BUREAU, FACTORY, WORKSHOP, Installation, World, over, row
from verifier import enterprises, keyfiles
from verifier.cli.simulator import enterprise_code, person
from verifier.errors import AccessDenied, Code, ConfigurationError, Conflict, RequestRejected
from verifier.identity import resident_id
from verifier.model.access import Role
from verifier.model.facts import Category
from verifier.model.person import Uscc
from verifier.ports.reading import FeedEntry
from verifier.signatures import sdjwt
from verifier.signatures.sdjwt import parse_disclosure, split
from verifier.store import session
from verifier.store.access import Access
from verifier.store.intake import Intake, Roster
from verifier.store.store import Store
from verifier.store.vault import Vault

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
CVT = "china_vocational_training"


# Reading


async def test_a_new_ledger_is_empty(url: str, installation: Installation) -> None:
    world = await over(url, installation)
    assert await world.store.feed(-1, 10) == ([], 0)
    assert await world.store.checkpoint() == b""
    assert await world.store.status_token(0) is None
    assert await world.store.record("x") is None
    assert await world.store.client("x") is None
    assert await world.store.explain("x") is None
    assert await world.store.ready()
    await world.store.database.close()


@pytest.fixture
async def issued(world: World) -> World:
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.issue()
    return world


async def test_the_feed_goes_on_behind_the_last_index(issued: World) -> None:
    everything, size = await issued.store.feed(-1, 100)
    seen: list[FeedEntry] = []
    after = -1
    while True:
        page, total = await issued.store.feed(after, 1)
        assert total == size
        if not page:
            break
        seen += page
        after = page[-1].position
    assert seen == everything
    assert [entry.position for entry in seen] == list(range(size))
    # Of what is not shown, no record is opened; where nothing is disclosed, no disclosure is.
    hidden, _ = await issued.store.feed(-1, 100, lambda kind, _: kind != "record")
    assert [(one.leaf_hash, one.record) for one in hidden] == [(one.leaf_hash, None) for one in everything]
    bare, _ = await issued.store.feed(-1, 100, disclosed=False)
    records = [one.record for one in bare if one.record is not None]
    assert [one.sd_jwt for one in records] == [
        sdjwt.redact(one.record.sd_jwt, ()) for one in everything if one.record is not None
    ]
    assert len(records) == 2
    assert await issued.store.bodies(1, 2) == [entry.body for entry in everything[1:3]]
    nodes = await issued.store.nodes([(0, 0), (1, 0), (9, 9)])
    assert nodes[0, 0] == everything[0].leaf_hash
    assert set(nodes) == {(0, 0), (1, 0)}


async def test_a_record_is_current_until_there_is_a_newer_one(issued: World) -> None:
    [first, other] = await issued.records()
    await issued.revoke("N-1" if first.learner_id == await issued.learner(LI) else "N-2")
    await issued.issue()
    found = await issued.store.record(first.record_id)
    assert found is not None
    assert not found.current
    found = await issued.store.record(other.record_id)
    assert found is not None
    assert (found.current, found.month, found.office) == (True, date(2021, 3, 1), "652301")


async def test_a_platform_sees_its_own_deliveries_newest_first(world: World) -> None:
    for number in range(4):
        await world.complete(f"N-{number}", LI, title="x" if number % 2 else "y")
        await world.complete("N-0", LI, title=f"Konflikt {number}")
        world.now += timedelta(minutes=1)
    listed = await world.store.deliveries(CVT, attention=False, limit=100)
    moments = [delivery.received_at for delivery in listed]
    assert moments == sorted(moments, reverse=True)
    assert len(listed) == 8
    wrong = await world.store.deliveries(CVT, attention=True, limit=100)
    assert len(wrong) == 4
    assert all(item.code for delivery in wrong for item in delivery.outcome.items)
    older = await world.store.deliveries(CVT, attention=False, limit=3, before=moments[2])
    assert all(delivery.received_at < moments[2] for delivery in older)
    assert await world.store.deliveries("new_occupation", attention=False, limit=100) == []


# Single use


async def test_an_assertion_is_used_once_also_by_many_at_once(world: World) -> None:
    later = world.now + timedelta(minutes=5)
    uses = await asyncio.gather(*(world.store.use_assertion("client", "jti-1", later) for _ in range(8)))
    assert sorted(uses) == [False] * 7 + [True]
    assert await world.store.use_assertion("other", "jti-1", later)


async def test_an_expired_assertion_is_forgotten(world: World) -> None:
    await world.store.use_assertion("client", "jti-1", world.now + timedelta(minutes=5))
    world.now += timedelta(minutes=6)
    await world.store.use_assertion("client", "jti-2", world.now + timedelta(minutes=5))
    assert await world.sql("select jti from assertions") == [("jti-2",)]


# Access


async def test_every_showing_is_logged(issued: World) -> None:
    learners = [await issued.learner(LI), await issued.learner(WANG)]
    await issued.store.disclose(learners, "bureau", "feed", "record")
    rows = await issued.sql(
        "select learner_id, client_id, purpose, what from disclosures order by learner_id"
    )
    assert rows == [(learner, "bureau", "feed", "record") for learner in sorted(learners)]
    await issued.store.disclose([], "bureau", "feed", "record")
    assert len(await issued.sql("select 1 from disclosures")) == 2


async def test_an_adopted_source_form_can_be_read_again(world: World) -> None:
    adopt = {"kind": "policy", "digest": "ab", "content": "words"}
    for _ in range(2):
        await world.store.write(Access, lambda tx: tx.adopt(**adopt, body={}, at=world.now))
    read = await world.store.read(Access, lambda tx: (tx.adopted("policy", "ab"), tx.adopted("policy", "cd")))
    assert read == ("words", None)
    assert len(await world.sql("select 1 from adoptions")) == 1


async def test_a_commit_wakes_whoever_waits_and_a_failure_does_not(
    sqlite: str, installation: Installation
) -> None:
    world, woken = await over(sqlite, installation), []
    store = Store(
        world.store.database,
        world.keys,
        clock=world.clock,
        randbytes=bytes,
        new_id=world.new_id,
        on_commit=lambda: woken.append(1),
    )
    await store.rosters(lambda tx: tx.put_due([], "test", world.now))
    assert woken == [1]
    with pytest.raises(ZeroDivisionError):
        await store.rosters(lambda _: 1 // 0)
    await store.ready()
    assert woken == [1]
    await world.store.database.close()


# People


async def test_one_person_is_one_learner_however_often_and_from_wherever(world: World) -> None:
    who = resident_id(LI.id_number, today=date(2021, 7, 1))
    found = await asyncio.gather(
        *(world.store.write(Intake, lambda tx: tx.learners({who}, world.now)) for _ in range(6))
    )
    assert len({learners[who] for learners in found}) == 1
    assert len(await world.sql("select 1 from learners")) == 1
    assert len(await world.sql("select 1 from identifiers")) == 1


async def test_asking_for_somebody_unknown_creates_nobody(world: World) -> None:
    assert await world.learner(LI) == ""
    assert await world.sql("select 1 from learners") == []


async def test_lists_longer_than_a_statement_takes_are_read_in_pieces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CHUNK", 3)
    monkeypatch.setattr(session, "PIECE", 4)
    people = [person(number, "张三") for number in range(10)]
    await world.employ(FACTORY, *people)
    items = [
        world.xzy.completed(world.course(f"X-{place}", who), str(place)) for place, who in enumerate(people)
    ]
    await world.post(world.xzy.delivery(items, "b-1", world.now))
    await world.issue()
    assert len(await world.slots()) == 10
    assert len(await world.records()) == 10
    assert await world.fsck(world.kept.note) == []


async def test_a_roster_knows_its_enterprise_alone(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.roster(WORKSHOP, [row(WANG)])
    factory, workshop = await world.learner(LI), await world.learner(WANG)
    listed = await world.store.write(Roster, lambda tx: (tx.listed(FACTORY), tx.listed(WORKSHOP)))
    assert listed == ({factory}, {workshop})
    both = {factory, workshop}
    rows = await world.store.read(Roster, lambda tx: tx.employments(FACTORY, both))
    assert [fact.learner_id for fact in rows] == [factory]


# Sealing


async def test_a_sealed_value_opens_nowhere_else(installation: Installation) -> None:
    keys = keyfiles.load_fields(installation.secrets_dir)
    vault = Vault(keys, lambda count: bytes(range(count)), lambda: "id")
    vault.create_key("l-1")
    sealed = vault.seal("l-1", "facts.sealed", "f-1", b"secret")
    assert vault.open("l-1", "facts.sealed", "f-1", sealed) == b"secret"
    with pytest.raises(ConfigurationError):
        vault.open("l-1", "facts.sealed", "f-2", sealed)
    with pytest.raises(ConfigurationError):
        vault.open("l-1", "records.sealed_disclosures", "f-1", sealed)


async def test_with_a_learners_key_destroyed_nothing_opens_and_nothing_more_is_sealed(
    installation: Installation,
) -> None:
    vault = Vault(keyfiles.load_fields(installation.secrets_dir), bytes, lambda: "id")
    vault.load("l-1", None)
    assert vault.erased("l-1")
    assert vault.open("l-1", "facts.sealed", "f-1", b"anything") is None
    with pytest.raises(Conflict) as caught:
        vault.seal("l-1", "facts.sealed", "f-1", b"secret")
    assert caught.value.code is Code.LEARNER_ERASED
    with pytest.raises(AccessDenied):
        vault.seal("l-2", "facts.sealed", "f-1", b"secret")


async def test_a_judgement_waits_for_whoever_touched_the_learner_first(
    postgresql: str, installation: Installation
) -> None:
    """Two transactions about one person take turns, so that READ COMMITTED is enough."""
    world = await over(postgresql, installation)
    await world.employ(FACTORY, LI)
    learner = await world.learner(LI)
    order: list[str] = []

    def first(tx: Roster) -> None:
        tx.lock({learner})
        order.append("first")
        tx.put_due({learner}, "test", world.now)

    def second(tx: Roster) -> int:
        tx.lock({learner})
        order.append("second")
        return len(tx.take_due(10, world.now))

    results = await asyncio.gather(world.store.write(Roster, first), world.store.write(Roster, second))
    assert sorted(order) == ["first", "second"]
    assert results[1] == (1 if order[0] == "first" else 0)
    await world.store.database.close()


# The enterprise's desk


async def test_a_roster_with_a_wrong_row_is_taken_only_without_that_row_and_on_demand(world: World) -> None:
    desk = world.enterprises()
    enterprise = replace(BUREAU, role=Role.ENTERPRISE, enterprises=frozenset({FACTORY}))
    body = json.dumps({"rows": [row(LI), row(WANG, id_number="1")]}).encode()
    whole = await desk.upload_roster(enterprise, FACTORY, body, "application/json", partial=False)
    assert (whole["taken"], whole["rows"], len(whole["problems"])) == (False, 2, 1)
    assert await world.sql("select 1 from facts") == []
    partly = await desk.upload_roster(enterprise, FACTORY, body, "application/json", partial=True)
    assert (partly["taken"], partly["new"], len(partly["problems"])) == (True, 1, 1)
    with pytest.raises(RequestRejected) as refused:
        await desk.upload_roster(enterprise, FACTORY, body, "text/html", partial=False)
    assert refused.value.code is Code.CONTENT_TYPE_UNSUPPORTED


async def test_region_employer_and_dispatching_company_stand_in_columns_of_their_own(world: World) -> None:
    who, agency = person(71, "陈志远"), Uscc(enterprise_code(7))
    await world.employ(FACTORY, who, category=Category.DISPATCHED.value, dispatched_by=agency)
    await world.store.rosters(
        lambda tx: enterprises.declare_scope(
            tx, FACTORY, date(2021, 1, 1), None, at=world.now, new_id=world.new_id, client_id="enterprise"
        )
    )
    await world.complete("D-1", who)
    await world.settle()
    for table in ("decisions", "records"):
        rows = await world.sql(f"select office, uscc, dispatched_by from {table}")  # noqa: S608 - two names
        assert rows == [("652301", FACTORY, agency)]
    [record] = await world.records()
    disclosed = {
        parse_disclosure(part).name: parse_disclosure(part).value for part in split(record.sd_jwt)[1]
    }
    assert disclosed["dispatched_by"] == agency


async def test_a_case_knows_of_the_learners_own_employers_alone(world: World) -> None:
    one, other, nobody = (person(serial, "张三") for serial in range(3))
    await world.employ(FACTORY, one)
    await world.employ(WORKSHOP, other)
    await world.complete("N-1", nobody)
    who = [await world.learner(somebody) for somebody in (one, other, nobody)]
    cases = await world.store.write(
        Intake, lambda tx: tx.cases(who, world.rulebook.policy.entitlement, world.now)
    )
    assert [[fact.uscc for fact in cases[learner].admissions] for learner in who] == [
        [FACTORY],
        [WORKSHOP],
        [],
    ]
