"""Rows written the short way: the same as the long way, byte for byte, on both databases."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Date, Integer, LargeBinary, String, select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from tests.functional.world import World
from verifier.ledger import row_digest
from verifier.store import forms, tables
from verifier.store.columns import Moment
from verifier.store.keys import KEYS
from verifier.store.session import Session, covered, row_key

pytestmark = pytest.mark.untraced

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2255, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
ROW: dict[str, Any] = {
    "decision_id": "d",
    "learner_id": "l",
    "entitlement": "online-training-month",
    "revision": 1,
    "state": "granted",
    "decided_at": datetime(2021, 7, 1, 4, 5, 6, 789, tzinfo=UTC),
    "material": bytes(range(32)),
    "trace": '{"名":"\\"\\\\"}',
    "completion_fact": None,
    "uscc": "91650000MA0000000K",
    "dispatched_by": None,
    "office": "652301",
    "month": date(2021, 3, 1),
    "another": "which no column has",
}


def _drawn(column: Column[Any], data: st.DataObject) -> Any:
    kinds: dict[type, st.SearchStrategy[Any]] = {
        Moment: MOMENTS,
        Date: st.dates(),
        LargeBinary: st.binary(max_size=9),
        String: st.text(max_size=9),
        Integer: st.integers(-(2**53) + 1, 2**53 - 1),
    }
    wanted = next(values for kind, values in kinds.items() if isinstance(column.type, kind))
    return data.draw(st.none() | wanted if column.nullable else wanted)


@pytest.mark.parametrize("dialect", [PGDialect_asyncpg, SQLiteDialect_aiosqlite])
@given(data=st.data())
def test_every_table_of_evidence_is_covered_alike_both_ways(dialect: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(tables.APPEND_ONLY)))
    table = tables.APPEND_ONLY[name]
    row = {column.name: _drawn(column, data) for column in table.columns}
    form, salt = forms.form(table, dialect), bytes(16)
    _, values = form.values(row)
    assert form.digest(salt, values) == row_digest(salt, name, covered(table, row))
    assert form.key_of(values) == row_key(table, row)


async def test_a_row_is_read_as_it_was_given_whichever_way_it_was_written(world: World) -> None:
    table = tables.decisions

    def write(tx: Session) -> list[Any]:
        tx.append(table, [ROW])
        long_way = {name: value for name, value in ROW.items() if name != "another"}
        tx.connection.execute(table.insert(), [{**long_way, "decision_id": "e", "revision": 2}])
        return list(tx.connection.execute(select(table).order_by(table.c.revision)).mappings())

    short, long = await world.store.write(Session, write)
    changed = {"decision_id": "e", "revision": 2}
    assert {**short, **changed} == dict(long) == {**{c.name: ROW[c.name] for c in table.columns}, **changed}
    [(kept,)] = await world.sql("select count(*) from evidence where source_key = :key", key='["d"]')
    assert kept == 1


@given(st.lists(st.text() | st.integers(), max_size=4))
def test_a_list_is_written_as_the_standard_library_writes_it(values: list[str | int]) -> None:
    assert forms.text_list(values) == json.dumps(values, ensure_ascii=False)


async def test_many_keys_are_asked_for_in_lists_and_found_once_each(world: World) -> None:
    table = tables.enterprises
    codes = [os.urandom(9).hex() for _ in range(700)]

    def work(tx: Session) -> list[str]:
        tx.insert_missing(table, [{"uscc": code, "touched": 0} for code in sorted(codes)])
        return [row.uscc for row in tx.among(select(table).where(table.c.uscc.in_(KEYS)), codes)]

    assert sorted(await world.store.write(Session, work)) == sorted(codes)
