"""Rows of the access log are written together, and stand as if each had been appended by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.functional.world import World
from verifier import ledger
from verifier.ledger import row_digest
from verifier.model.person import LearnerId
from verifier.model.time import iso
from verifier.store import tables
from verifier.store.access import Access
from verifier.store.session import covered

WHAT = {"client_id": "c-1", "purpose": "p", "what": "w"}


async def logged(world: World, learners: Sequence[str], **said: str) -> list[Any]:
    """Log, and give every row of the log with its evidence, by learner."""
    log = {**WHAT, **said}
    people = [LearnerId(one) for one in learners]
    await world.store.operating(
        lambda tx: tx.log_disclosures(people, log["client_id"], log["purpose"], log["what"], world.now)
    )

    def rows(tx: Access) -> list[Any]:
        table, evidence = tables.disclosures, tables.evidence
        proofs = {
            row.source_key: row
            for row in tx.connection.execute(evidence.select())
            if row.source_table == "disclosures"
        }
        found = tx.connection.execute(table.select().order_by(table.c.learner_id)).mappings()
        return [(dict(row), proofs[json.dumps([row["disclosure_id"]])]) for row in found]

    return await world.store.previewing(rows)


@pytest.mark.parametrize(
    ("learners", "what"),
    [
        (["b", "a", "c"], "w"),
        (['"quoted"', "plain"], "w"),
        (["a", "b"], ledger._MARK),
    ],
)
async def test_each_learner_has_a_row_of_the_log_and_its_evidence(
    world: World, learners: Sequence[str], what: str
) -> None:
    found = await logged(world, learners, what=what)
    assert [row["learner_id"] for row, _ in found] == sorted(learners)
    for row, proof in found:
        assert {name: row[name] for name in WHAT} == {**WHAT, "what": what}
        assert iso(row["recorded_at"]) == iso(world.now)
        assert bytes(proof.digest) == row_digest(
            bytes(proof.salt), "disclosures", covered(tables.disclosures, row)
        )
    assert len({bytes(proof.salt) for _, proof in found}) == len(learners)


async def test_nobody_who_is_shown_leaves_nothing_in_the_log(world: World) -> None:
    assert await logged(world, []) == []
