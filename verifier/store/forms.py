"""How a table's rows are written and covered by evidence: what all of them have in common, worked out once.

SQLAlchemy composes the statement; the values are handed to the driver as it wants them, without being looked
up by name and converted one by one: that took as long as the database itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import Date, Dialect, Table, Update, and_, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgreSQLInsert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert

from verifier.ledger import RowForm
from verifier.store import tables
from verifier.store.columns import Moment, microseconds

Plain = str | int | bytes | bool | None
_quoted = json.encoder.encode_basestring


def plain(value: Any) -> Plain:
    """A column's value in the form that digests cover: moments in microseconds, days in ISO 8601."""
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, date):
        return value.isoformat()
    result: Plain = value
    return result


def text_list(values: Sequence[Plain]) -> str:
    """A list of texts and integers as ``json.dumps`` writes it, with characters beyond ASCII as they are."""
    if all(type(value) is str for value in values):
        return f"[{', '.join(map(_quoted, values))}]"  # type: ignore[arg-type] # they are texts
    return json.dumps(values, ensure_ascii=False)


@cache
def covered_columns(table: Table) -> tuple[str, ...]:
    """The columns that evidence covers."""
    # SQLAlchemy's names are a kind of text of their own, which canonical JSON would be slow to write.
    return tuple(str(column.name) for column in table.columns if column.name not in tables.NOT_EVIDENCE)


@dataclass(frozen=True, slots=True)
class Form:
    """How rows of one table go to one kind of database.

    Attributes:
        insert: SQL text of an INSERT of one row, values in the order of ``names``.
        moments: places of moments.
        days: places of days.
        days_as_text: whether the driver takes days in ISO 8601.
        key: places of the primary key's columns.
        covered: places of the columns that evidence covers.
    """

    insert: str
    names: tuple[str, ...]
    moments: tuple[int, ...]
    days: tuple[int, ...]
    days_as_text: bool
    key: tuple[int, ...]
    covered: tuple[int, ...]
    digests: RowForm

    def values(self, row: Mapping[str, Any]) -> tuple[tuple[Any, ...], list[Plain]]:
        """A row's values: for the driver, and in the form that digests cover."""
        found = [row.get(name) for name in self.names]
        for place in self.moments:
            if (moment := found[place]) is not None:
                found[place] = microseconds(moment)
        bound = None if self.days_as_text or not self.days else tuple(found)
        for place in self.days:
            if (day := found[place]) is not None:
                found[place] = day.isoformat()
        return bound or tuple(found), found

    def key_of(self, values: Sequence[Plain]) -> str:
        """The primary key as one text, by which the row's evidence finds it."""
        return text_list([values[place] for place in self.key])

    def digest(self, salt: bytes, values: Sequence[Plain]) -> bytes:
        """What the row's evidence holds: ``ledger.row_digest`` of the columns that it covers."""
        return self.digests.digest(salt, [values[place] for place in self.covered])


@cache
def form(table: Table, dialect: Callable[[], Dialect]) -> Form:
    """The form of a table on a kind of database."""
    names = [str(column.name) for column in table.columns]
    compiled = table.insert().compile(dialect=dialect(), column_keys=names)
    columns = list(table.columns)
    covered = tuple(names.index(name) for name in covered_columns(table))
    return Form(
        insert=str(compiled),
        names=tuple(names),
        moments=tuple(n for n, column in enumerate(columns) if isinstance(column.type, Moment)),
        days=tuple(n for n, column in enumerate(columns) if isinstance(column.type, Date)),
        days_as_text=compiled.dialect.name == "sqlite",
        key=tuple(names.index(str(column.name)) for column in table.primary_key),
        covered=covered,
        digests=RowForm(str(table.name), [names[place] for place in covered]),
    )


@cache
def insertion(table: Table, dialect: str) -> SQLiteInsert | PostgreSQLInsert:
    """Insert the rows whose key is free."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def touch(table: Table) -> Update:
    """Count up ``touched`` of a row, by its primary key: parameters ``key_`` and the column's name."""
    columns = list(table.primary_key)
    mine = and_(*(column == bindparam(f"key_{column.name}") for column in columns))
    return update(table).where(mine).values(touched=table.c.touched + 1)
