"""SQLite finds several rows by keys of several columns through their index."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import column, select, table, tuple_
from sqlalchemy.dialects import sqlite

from verifier.store.connections import by_index

Key = tuple[int, str]
T = table("t", column("a"), column("b"), column("c"))
keys = st.lists(st.tuples(st.integers(0, 3), st.text(st.characters(codec="ascii"), max_size=2)), min_size=1)


@given(keys, keys)
def test_the_same_rows_are_found_by_the_index(held: list[Key], asked: list[Key]) -> None:
    statement = select(T.c.a, T.c.b).where(tuple_(T.c.a, T.c.b).in_(asked), T.c.c == 1)
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    assert compiled.positiontup is not None
    values = [compiled.params[name] for name in compiled.positiontup]
    written = by_index(str(compiled))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t (a integer, b text, c integer, primary key (a, b))")
        connection.executemany("insert or ignore into t values (?, ?, 1)", held)
        found = set(connection.execute(written, values))
        plan = " ".join(row[3] for row in connection.execute(f"explain query plan {written}", values))
    assert found == set(held) & set(asked)
    assert "SEARCH t" in plan


def test_what_is_no_list_of_rows_stays() -> None:
    for statement in ("select 1", "insert into t values (?, ?)", "select 1 where a IN (VALUES (b))"):
        assert by_index(statement) == statement
