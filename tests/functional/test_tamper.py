"""A sample of ``make tamper``, that its comparison can fail, and that every table has its place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select

from tests import tamper
from tests.functional.world import Installation
from tests.tamper import Campaign, Edit
from verifier.store import coverage
from verifier.store.columns import metadata
from verifier.store.tables import APPEND_ONLY, NOT_EVIDENCE

pytestmark = pytest.mark.untraced

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "auditor.md"


@pytest.fixture
async def campaign(sqlite: str, installation: Installation) -> AsyncIterator[Campaign]:
    path = Path(sqlite.partition("///")[2])
    made = await tamper.prepared(path, installation, Random(5))  # noqa: S311 - the same edits every time
    yield made
    made.connection.close()
    made.connection.engine.dispose()


def test_150_random_edits_are_all_found(campaign: Campaign) -> None:
    assert campaign.findings() == []
    campaign.run(150)
    assert [f"{edit.kind} {edit.table}.{edit.column}" for edit in campaign.missed] == []
    assert len({table for table, _ in campaign.tried}) > 20
    # Every edit was taken back.
    assert campaign.findings() == []


def test_every_covered_table_has_rows_to_edit(campaign: Campaign) -> None:
    for table in tamper.COVERED:
        count = campaign.connection.execute(select(func.count()).select_from(table)).scalar_one()
        assert count > 0, table.name


def test_an_edit_of_what_is_not_covered_is_counted_as_missed(campaign: Campaign) -> None:
    campaign._try(Edit("set", "rotations", "cursor", "update rotations set cursor = 'x'", ()))
    assert [edit.table for edit in campaign.missed] == ["rotations"]
    assert "missed: 1" in "\n".join(tamper.shown(campaign))


def test_garbage_in_a_column_is_a_finding_and_no_crash(campaign: Campaign) -> None:
    for statement in (
        "update decisions set decided_at = 4611686018427387904",
        "update decisions set decided_at = 'tomorrow'",
        "update records set month = 'May'",
        "update facts set sealed = 'text'",
        "update evidence set salt = ''",
    ):
        campaign._try(Edit("set", "x", "y", statement, ()))
    assert campaign.missed == []


def test_every_table_is_covered_or_is_said_not_to_be() -> None:
    assert coverage.COVERED_BY.keys() == metadata.tables.keys()
    assert set(APPEND_ONLY) == {name for name, how in coverage.COVERED_BY.items() if how == coverage.EVIDENCE}
    for name, columns in {**coverage.FREE, **coverage.EMPTIED}.items():
        assert columns <= set(metadata.tables[name].columns.keys())
    for name, columns in coverage.EMPTIED.items():
        assert columns == NOT_EVIDENCE & set(metadata.tables[name].columns.keys())


def test_the_auditors_guide_names_every_table_and_what_is_not_covered() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", GUIDE.read_text("utf-8"), re.MULTILINE))
    assert rows.keys() >= metadata.tables.keys()
    words = {
        coverage.EVIDENCE: "证据根 · evidence root",
        coverage.LEAF: "条目 · ledger entry",
        coverage.SIGNED: "签名 · signature",
        coverage.DERIVED: "重新推导 · derived again",
        coverage.NOTHING: "不覆盖 · not covered",
    }
    for name, how in coverage.COVERED_BY.items():
        assert rows[name].strip() == words[how], name
    for name, columns in coverage.FREE.items():
        [line] = re.findall(rf"^\| `{name}` \|.*$", GUIDE.read_text("utf-8"), re.MULTILINE)
        assert all(f"`{column}`" in line for column in columns), name
