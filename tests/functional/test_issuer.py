"""Laws 7 and 8: one dense order that anyone can check, and an issuer that cannot fork it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

import pytest

from tests.functional.world import FACTORY, ORIGIN, WORKSHOP, World, make_issuer, row
from verifier import issuer as issuing
from verifier import merkle, offline
from verifier.cli.simulator import person
from verifier.errors import Code, LedgerRefused, Unavailable
from verifier.model.person import LearnerId
from verifier.ports.issuing import IssuingTransaction
from verifier.signatures import jws
from verifier.signatures.status_list import Status

T = TypeVar("T")
LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


async def granted(world: World, many: int = 1) -> None:
    people = [person(50 + number, "张三") for number in range(many)]
    await world.employ(FACTORY, *people)
    for number, who in enumerate(people):
        await world.complete(f"G-{number}", who)
    await world.issue()


async def verified(world: World, position: int) -> offline.Checked:
    """Check an entry's record as an outsider does: signature, status and inclusion."""
    entries, size = await world.store.feed(-1, 10_000)
    entry = entries[position]
    assert entry.record is not None
    keys = [world.issuer_keys.record.verification_key, world.issuer_keys.status.verification_key]
    checked = offline.check(
        entry.record.sd_jwt, keys, status_token=await world.store.status_token(0), now=world.now
    )
    leaves = [merkle.leaf_hash(each.body) for each in entries]
    proof = merkle.inclusion_proof(position, size, _reader(leaves))
    note = offline.check_checkpoint(await world.store.checkpoint(), ORIGIN, world.issuer_keys.known)
    offline.check_inclusion(entry.record.sd_jwt, entry.body, proof, note)
    return checked


def _reader(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    _, nodes = merkle.Frontier().append(leaves)
    known = {(node.level, node.index): node.hash for node in nodes}
    return lambda level, index: known[level, index]


# Law 7


async def test_the_ledger_has_one_dense_order_from_0_over_many_steps(world: World) -> None:
    for number in range(5):
        await world.complete(f"N-{number}", person(60 + number, "张三"))
        await world.issue()
    await granted(world, 3)
    entries = await world.entries()
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert len(entries) == 5 + 3 + 1
    assert await world.issuer.step() == 0


async def test_every_record_proves_its_place_and_says_what_was_decided(world: World) -> None:
    await granted(world, 3)
    for position in range(3):
        checked = await verified(world, position)
        assert checked.status == "valid"
        assert checked.claims["log"] == {"origin": ORIGIN, "index": position}
        assert checked.claims["name"] == "张三"
        assert checked.claims["employer"] == f"{FACTORY} 沙箱企业"
        assert checked.claims["decision"]["month"] == "2021-03"


async def test_no_entry_and_no_visible_claim_holds_personal_data(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    [record] = await world.records()
    visible = record.sd_jwt.partition("~")[0]
    texts = [json.dumps(entry, ensure_ascii=False) for entry in await world.entries()]
    texts.append(jws.parse_compact(visible, max_bytes=1 << 16).payload.decode())
    for text in texts:
        assert LI.id_number not in text
        assert LI.name not in text


async def test_each_batch_covers_everything_else_with_one_evidence_root(world: World) -> None:
    await granted(world, 2)
    [root] = await world.entries("evidence")
    [(covered,)] = await world.sql("select count(*) from evidence where position = :at", at=root["index"])
    assert covered == root["count"]
    assert await world.sql("select 1 from evidence where position is null") == []


async def test_a_refusal_is_signed_like_a_grant(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI, document="职业技能等级证书")
    await world.issue()
    checked = await verified(world, 0)
    assert checked.claims["decision"]["result"] == "refused"
    assert checked.status == "valid"


async def test_the_records_of_one_learner_in_one_batch_name_each_other(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.revoke("N-1")
    await world.complete_elsewhere("X-1", LI)
    await world.issue()
    records = await world.records()
    assert [record.kind for record in records] == ["granted", "revoked", "granted"]
    links = await world.sql("select supersedes from records order by position")
    assert [link for (link,) in links] == [None, records[0].record_id, records[1].record_id]
    assert [record.current for record in records] == [False, False, True]
    assert [(await verified(world, place)).status for place in range(3)] == ["invalid", "superseded", "valid"]


async def test_a_revoked_record_is_invalid_and_a_replaced_one_superseded(world: World) -> None:
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.issue()
    await world.revoke("N-1")
    better = world.course("N-2", WANG, revision=2, title="更正")
    await world.post(world.cvt.delivery(world.cvt.completed(better), "c-1", world.now))
    await world.issue()
    statuses = dict(await world.sql("select record_id, status from status_entries"))
    kinds: dict[LearnerId, list[tuple[str, int]]] = {}
    for record in await world.records():
        kinds.setdefault(record.learner_id, []).append((record.kind, statuses[record.record_id]))
    assert kinds[await world.learner(LI)] == [("granted", Status.INVALID), ("revoked", Status.VALID)]
    assert kinds[await world.learner(WANG)] == [("granted", Status.SUPERSEDED), ("granted", Status.VALID)]


async def test_a_status_list_is_signed_again_before_it_is_stale(world: World) -> None:
    await granted(world)
    first = await world.store.status_token(0)
    size = len(await world.entries())
    world.now += issuing.STATUS_TTL + timedelta(seconds=1)
    assert await world.issuer.step() == 0
    assert await world.store.status_token(0) != first
    assert len(await world.entries()) == size
    assert (await verified(world, 0)).status == "valid"


async def test_a_full_status_list_is_followed_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "LIST_SIZE", 8)
    for number in range(6):
        await world.complete(f"N-{number}", person(70 + number, "张三"), document="其他")
        await world.issue()
    await world.employ(FACTORY, *(person(70 + number, "张三") for number in range(6)))
    await world.issue()
    lists = await world.sql("select list_id, count(*) from status_entries group by list_id order by list_id")
    assert [list_id for list_id, _ in lists] == [0, 1, 2]
    assert all([await world.store.status_token(list_id) for list_id in (0, 1, 2)])


# Law 8


async def test_the_record_commits_to_the_index_and_the_entry_to_the_record(world: World) -> None:
    await granted(world)
    [record] = await world.records()
    [entry] = await world.entries("record")
    signing_input = record.sd_jwt.partition("~")[0].rpartition(".")[0]
    assert entry["signing_input_sha256"] == sha256(signing_input.encode()).hexdigest()
    assert entry["index"] == record.position == 0


class Interfering:
    """Runs something just before the transaction that stores a batch."""

    def __init__(self, world: World, before: Callable[[], Any]) -> None:
        self._world = world
        self._before = before

    async def issuing(self, work: Callable[[IssuingTransaction], T], *, write: bool) -> T:
        if write:
            await self._before()
        return await self._world.store.issuing(work, write=write)


def twin(world: World) -> issuing.Issuer:
    return make_issuer(world.store, world.issuer_keys, world.kept, world.clock, world.new_id)


async def test_a_head_that_another_issuer_moved_meanwhile_stores_nothing(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    other = twin(world)

    async def other_is_faster() -> None:
        await other.start()
        await other.step()

    world.issuer._units = Interfering(world, other_is_faster)
    with pytest.raises(LedgerRefused) as refused:
        await world.issuer.step()
    assert refused.value.code is Code.LEDGER_HEAD_MOVED
    assert [record.kind for record in await world.records()] == ["granted"]
    assert await world.fsck() == []


async def test_an_issuer_that_was_taken_over_from_can_do_nothing_more(world: World) -> None:
    await twin(world).start()
    await world.complete("N-1", LI)
    with pytest.raises(LedgerRefused) as refused:
        await world.issuer.step()
    assert refused.value.code is Code.LEDGER_HEAD_MOVED
    assert await world.entries() == []


async def test_a_crash_between_signing_and_storing_leaves_nothing(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)

    async def crash() -> None:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    real, world.issuer._units = world.issuer._units, Interfering(world, crash)
    with pytest.raises(Unavailable):
        await world.issuer.step()
    assert (await world.entries(), await world.records()) == ([], [])
    assert world.kept.note.startswith(f"{ORIGIN}\n0\n".encode())
    world.issuer._units = real
    await world.issue()
    assert len(await world.records()) == 1
    assert await world.fsck(world.kept.note) == []


async def test_a_crash_before_the_checkpoint_is_kept_outside_does_no_harm(world: World) -> None:
    await granted(world)
    older = world.kept.note
    await world.complete("N-2", LI)
    await world.issue()
    world.kept.note = older
    head = await twin(world).start()
    assert head.size == len(await world.entries())


async def test_a_restored_older_database_is_refused(world: World) -> None:
    await granted(world)
    size, checkpoint = (await world.sql("select size, checkpoint from ledger_head"))[0]
    await world.complete("N-2", LI)
    await world.issue()
    await _restore(world, size, checkpoint)
    with pytest.raises(LedgerRefused) as refused:
        await twin(world).start()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED


async def test_a_database_restored_under_a_running_issuer_is_refused(world: World) -> None:
    await granted(world)
    size, checkpoint = (await world.sql("select size, checkpoint from ledger_head"))[0]
    await world.complete("N-2", LI)
    await world.issue()
    await _restore(world, size, checkpoint)
    await world.complete("N-3", WANG)
    with pytest.raises(LedgerRefused) as refused:
        await world.issuer.step()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED


async def _restore(world: World, size: int, checkpoint: bytes) -> None:
    """What was written since is gone, as in a backup; the epoch is the running issuer's."""
    await world.sql("update ledger_head set size = :size, checkpoint = :note", size=size, note=checkpoint)
    await world.sql("delete from entries where position >= :size", size=size)
    await world.sql("delete from nodes where level = 0 and position >= :size", size=size)


async def test_a_ledger_of_the_same_size_with_another_content_is_refused(world: World) -> None:
    await granted(world)
    await world.sql("update nodes set hash = :hash where level = 0 and position = 0", hash=os.urandom(32))
    await world.sql("update nodes set hash = :hash where level = 1 and position = 0", hash=os.urandom(32))
    with pytest.raises(LedgerRefused) as refused:
        await twin(world).start()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED


async def test_a_ledger_with_a_missing_node_is_refused(world: World) -> None:
    await granted(world)
    await world.sql("delete from nodes")
    with pytest.raises(LedgerRefused) as refused:
        await twin(world).start()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED


async def test_a_kept_checkpoint_that_somebody_altered_is_not_believed(world: World) -> None:
    await granted(world)
    world.kept.note = world.kept.note.replace(b"\n2\n", b"\n1\n", 1)
    with pytest.raises(LedgerRefused):
        await twin(world).start()


async def test_two_draws_of_one_place_in_a_list_are_drawn_again(small_world: World) -> None:
    await granted(small_world, 2)
    places = await small_world.sql("select position from status_entries")
    taken = places[0][0]
    draws = iter([taken, taken, 5, 5, 7, 7, 9])

    def randbytes(count: int) -> bytes:
        return next(draws).to_bytes(4, "big") if count == 4 else os.urandom(count)

    await small_world.employ(FACTORY, LI, WANG)
    for number, who in enumerate((LI, WANG)):
        await small_world.complete(f"N-{number}", who)
    small_world.issuer._randbytes = randbytes
    await small_world.issuer.step()
    rows = await small_world.sql("select position from status_entries")
    assert {position for (position,) in rows} == {position for (position,) in places} | {5, 7}


async def test_what_was_erased_is_disclosed_no_more(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    await world.sql("update learners set sealed_key = null")
    [record] = await world.records()
    assert record.sd_jwt.count("~") == 1
    assert [one.kind for one in await world.fsck()] == ["emptied_unlawfully"]
    await world.revoke("N-1")
    await world.issue()
    assert [one.kind for one in await world.records()] == ["granted", "revoked"]


def test_an_issuers_keys_are_not_shown(small_world: World) -> None:
    assert repr(replace(small_world.issuer_keys)) == "IssuerKeys()"


# --- whoever got a grant hears what becomes of it, though the next decision is another office's


ELSEWHERE = "652302"


async def employed_here_then_elsewhere(world: World, **later: str) -> None:
    """Until March in the factory, from April in the workshop, which another office admitted."""
    await world.roster(FACTORY, [row(LI, to="2021-03-31")])
    await world.roster(WORKSHOP, [row(LI, from_="2021-04-01", **later)])
    await world.admit(FACTORY)
    await world.admit(WORKSHOP, office=ELSEWHERE)
    await world.evaluate()
    await world.complete("N-1", LI)
    await world.complete("N-2", LI, completed_at=datetime(2021, 5, 5, 2, tzinfo=UTC))
    await world.issue()


async def test_a_revocation_goes_to_the_office_whose_grant_it_revokes(world: World) -> None:
    await employed_here_then_elsewhere(world, category="技术工人")
    await world.revoke("N-1")
    await world.issue()
    granted_, revoked = await world.records()
    assert [(one.kind, one.office, one.month) for one in (granted_, revoked)] == [
        ("granted", "652301", date(2021, 3, 1)),
        ("revoked", "652301", date(2021, 3, 1)),
    ]
    disclosed = (await verified(world, revoked.position)).claims
    assert disclosed["decision"]["office"] == "652301"
    assert "employer" not in disclosed
    assert WORKSHOP not in revoked.sd_jwt
    assert await world.fsck() == []


async def test_a_revocation_by_a_correction_to_another_person_reaches_the_office_too(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    corrected = world.cvt.completed(world.course("N-1", WANG, revision=2), event="completion.corrected")
    await world.post(world.cvt.delivery(corrected, "c-1", world.now))
    await world.issue()
    assert [(one.kind, one.office) for one in await world.records()] == [
        ("granted", "652301"),
        ("revoked", "652301"),
    ]


async def test_an_office_is_told_that_its_grant_now_counts_at_another_one(world: World) -> None:
    await employed_here_then_elsewhere(world)
    await world.revoke("N-1")
    await world.issue()
    before, after = await world.records()
    assert [(one.kind, one.office) for one in (before, after)] == [
        ("granted", "652301"),
        ("granted", ELSEWHERE),
    ]
    entries, _ = await world.store.feed(-1, 100)
    [told] = [entry for entry in entries if entry.kind == "superseded"]
    assert told.office == "652301"
    body = json.loads(told.body)
    assert (body["supersedes"], body["by"]) == (before.record_id, after.record_id)
    assert await world.fsck() == []
