"""``ledger fsck`` finds every kind of tampering with the database, and nothing where there was none."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.functional.world import BUREAU, FACTORY, Installation, World, over
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.erasing import Terms
from verifier.operations import SourceForm

pytestmark = pytest.mark.untraced

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


async def history(world: World) -> None:
    """Grants, a refusal, a revocation, a claim, a roster, an adoption: everything that leaves a row."""
    await world.operations.adopt([SourceForm("policy", "ab" * 32, "content", {})])
    await world.operations.add_client(world.client_parameters("bureau", "subsidy", offices="652301"))
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.issue()
    await world.claims.claim(BUREAU, (await world.records())[0].record_id, Asked("pay-1"))
    await world.store.disclose([await world.learner(LI)], "bureau", "feed", "record")
    await world.revoke("N-2")
    await world.complete("N-3", LI, title="另一门课")
    await world.complete("N-3", LI, title="又一门课")
    await world.settle()


async def test_an_untouched_database_has_no_findings(world: World) -> None:
    await history(world)
    assert await world.fsck(world.kept.note) == []


async def test_an_empty_database_has_no_findings(world: World) -> None:
    assert await world.fsck() == []


async def test_a_body_emptied_when_its_retention_ended_is_no_finding(world: World) -> None:
    world.terms = Terms(0, 30)
    await world.complete("N-1", LI)
    await world.issue()
    world.now += timedelta(days=30)
    await world.operations.run("deliveries retention", {"apply": "yes"})
    assert await world.sql("select sealed_body from deliveries") == [(None,)]
    assert await world.fsck() == []


async def test_what_is_not_yet_covered_by_a_root_is_no_finding(world: World) -> None:
    await history(world)
    await world.complete("N-9", person(3, "张三"))
    assert await world.fsck() == []


TAMPERING = {
    "a fact edited": (
        "update facts set content = replace(content, '2021-03-05', '2021-02-05') where kind = 'completion'",
        {"row_altered"},
    ),
    "a fact's sealed name exchanged": (
        "update facts set sealed = :noise where kind = 'completion'",
        {"row_altered"},
    ),
    "a fact given to somebody else": (
        "update facts set learner_id = (select max(learner_id) from learners) where kind = 'employment'",
        {"row_altered"},
    ),
    "a delivery deleted": ("delete from deliveries", {"row_removed"}),
    "a delivery's kept body exchanged": (
        "update deliveries set sealed_body = :noise",
        {"delivery_body_altered"},
    ),
    "a delivery's digest edited": (
        "update deliveries set body_digest = :hash",
        {"row_altered", "delivery_body_altered"},
    ),
    "a decision dated back": ("update decisions set decided_at = decided_at - 86400000000", {"row_altered"}),
    "a decision removed": ("delete from decisions where state = 'refused'", {"row_removed"}),
    "a roster removed": ("delete from rosters", {"row_removed"}),
    "a claim edited": ("update claims set payment_reference = 'pay-2'", {"row_altered"}),
    "a review removed": ("delete from reviews", {"row_removed"}),
    "an adoption edited": ("update adoptions set content = 'other'", {"row_altered"}),
    "a client's scope widened": (
        "update clients set scope = replace(scope, '652301', '652302')",
        {"row_altered"},
    ),
    "an access log emptied": ("delete from disclosures", {"row_removed"}),
    "a learner's key destroyed": ("update learners set sealed_key = null", {"emptied_unlawfully"}),
    "a delivery's body emptied": ("update deliveries set sealed_body = null", {"emptied_unlawfully"}),
    "a learner removed": ("delete from learners", {"row_removed"}),
    "evidence removed": (
        "delete from evidence where source_table = 'facts'",
        {"row_without_evidence", "evidence_altered"},
    ),
    "evidence moved under another root": (
        "update evidence set position = 999999 where source_table = 'facts'",
        {"evidence_altered"},
    ),
    "evidence for an altered row": (
        "update evidence set digest = :hash",
        {"evidence_altered", "row_altered"},
    ),
    "a row without evidence": (
        (
            "insert into reviews (review_id, kind, learner_id, about, subject_digest, opened_at)"
            " values ('x', 'name_mismatch', 'y', '[]', :hash, 0)"
        ),
        {"row_without_evidence"},
    ),
    "an entry edited": (
        "update entries set body = :body where position = 1",
        {"entry_altered", "record_altered"},
    ),
    "an entry that is no JSON": ("update entries set body = :noise where position = 0", {"entry_altered"}),
    "an entry's hash edited": ("update entries set leaf_hash = :hash where position = 1", {"entry_altered"}),
    "an entry's kind edited": (
        "update entries set kind = 'claim' where kind = 'evidence'",
        {"entry_altered"},
    ),
    "an entry's record exchanged": (
        "update entries set record_id = 'x' where kind = 'record'",
        {"entry_altered"},
    ),
    "an entry removed from the middle": ("delete from entries where position = 1", {"entry_missing"}),
    "the last entry removed": (
        "delete from entries where position = (select max(position) from entries)",
        {"entry_missing"},
    ),
    "a node edited": ("update nodes set hash = :hash where level = 1 and position = 0", {"node_altered"}),
    "a node removed": ("delete from nodes where level = 0 and position = 0", {"node_altered"}),
    "the checkpoint removed": ("update ledger_head set checkpoint = :empty", {"checkpoint_invalid"}),
    "the head's size lowered": ("update ledger_head set size = size - 1", {"entry_missing"}),
    "a record's JWS exchanged": (
        "update records set jws = (select min(jws) from records)",
        {"record_altered"},
    ),
    "a record's signature edited": (
        "update records set jws = substr(jws, 1, length(jws) - 10) || 'AAAAAAAAAA'",
        {"record_signature_invalid"},
    ),
    "a record's disclosures exchanged": (
        "update records set sealed_disclosures = :noise",
        {"record_signature_invalid"},
    ),
    "a revoked record made valid again": ("update status_entries set status = 0", {"record_status_altered"}),
    "a valid record made invalid": ("update status_entries set status = 1", {"record_status_altered"}),
    "a status removed": ("delete from status_entries", {"record_status_altered"}),
    "a slot removed": ("delete from slots", {"slot_without_grant"}),
    "a slot added": (
        (
            "insert into slots select learner_id, entitlement, 'granted', decision_id, 'i', 's', 'n', 'u',"
            " null from decisions where state = 'refused'"
        ),
        {"slot_without_grant"},
    ),
}


@pytest.fixture(scope="module")
def written(
    sqlite_pattern: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A database with a history, written once for all that is done to it."""
    path = tmp_path_factory.mktemp("fsck") / "history.db"
    shutil.copyfile(sqlite_pattern, path)

    async def write() -> None:
        world = await over(f"sqlite+aiosqlite:///{path}", installation)
        await history(world)
        await world.store.database.close()

    asyncio.run(write())
    return path


@pytest.mark.parametrize("what", TAMPERING)
async def test_tampering_is_found(
    written: Path, installation: Installation, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "copy.db"
    shutil.copyfile(written, path)
    world = await over(f"sqlite+aiosqlite:///{path}", installation)
    await _found(world, what)
    await world.store.database.close()


@pytest.mark.parametrize("what", ["a fact edited", "an entry edited", "a status removed", "a slot added"])
async def test_tampering_is_found_on_each_database(world: World, what: str) -> None:
    await history(world)
    await _found(world, what)


async def _found(world: World, what: str) -> None:
    statement, expected = TAMPERING[what]
    body = json.dumps({"v": 1, "kind": "record", "index": 1, "record": "x"}).encode()
    values = {"hash": os.urandom(32), "noise": os.urandom(120), "body": body, "empty": b""}
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    await world.sql(statement, **used)
    findings = await world.fsck()
    assert expected <= {finding.kind for finding in findings}
    for finding in findings:
        assert LI.id_number not in finding.where


async def test_a_database_exchanged_as_a_whole_does_not_agree_with_the_kept_checkpoint(world: World) -> None:
    await world.complete("N-1", LI)
    await world.issue()
    for table in (
        "entries",
        "nodes",
        "ledger_head",
        "evidence",
        "deliveries",
        "facts",
        "decisions",
        "learners",
    ):
        await world.sql(f"delete from {table}")  # noqa: S608 - words of this test
    findings = await world.fsck(world.kept.note)
    assert "kept_checkpoint_disagrees" in {finding.kind for finding in findings}


async def test_a_kept_checkpoint_of_somebody_else_disagrees(world: World) -> None:
    await world.complete("N-1", LI)
    await world.issue()
    findings = await world.fsck(b"something else\n")
    assert [finding.kind for finding in findings] == ["kept_checkpoint_disagrees"]


async def test_a_checkpoint_of_another_tree_is_found(world: World) -> None:
    await world.complete("N-1", LI)
    await world.issue()
    older = world.kept.note
    await world.complete("N-2", WANG)
    await world.issue()
    await world.sql("update ledger_head set checkpoint = :note", note=older)
    assert "checkpoint_disagrees" in {finding.kind for finding in await world.fsck()}
