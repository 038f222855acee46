"""A list of keys as one parameter of a statement: its text is the same however long the list is.

SQLAlchemy writes an IN list anew for every length, key by key, and PostgreSQL prepares each such text anew.
So a statement that is composed once, with ``KEYS`` as its list, is composed a second time for the database
that it goes to (ADR 0019):

==========================  ==========================================  ======================================
composed                    PostgreSQL                                  SQLite
==========================  ==========================================  ======================================
``a IN (KEYS)``             ``a = ANY (keys)``                          ``a IN (SELECT value FROM json_each)``
``(a, b) IN (KEYS)``        ``(a, b) IN (SELECT * FROM unnest (…))``    ``(a, b) IN (SELECT … json_each)``
==========================  ==========================================  ======================================

JSON has no bytes: on SQLite a list of them stays an IN list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Delete,
    Executable,
    LargeBinary,
    Select,
    String,
    Text,
    Update,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import BinaryExpression, Tuple
from sqlalchemy.sql.operators import in_op
from sqlalchemy.sql.type_api import TypeEngine
from sqlalchemy.sql.visitors import replacement_traverse

KEYS: Final[BindParameter[Any]] = bindparam("keys", expanding=True)
"""In a statement that is composed once: the values of its IN list (``Session.among``)."""
Parameters = Mapping[str, Any]


@lru_cache(256)
def listing(
    statement: Select[Any] | Update | Delete, dialect: str
) -> tuple[Executable, Callable[[Sequence[Any]], Parameters]]:
    """A statement for one kind of database, and what makes its parameters of a list of keys.

    Args:
        statement: with ``KEYS`` as the list of one column, or of the same columns throughout.
        dialect: ``postgresql`` or ``sqlite``.
    """
    found: list[list[ColumnElement[Any]]] = []

    def replaced(element: ClauseElement, **_: Any) -> ClauseElement | None:
        if not isinstance(element, BinaryExpression) or element.operator is not in_op:
            return None
        if not isinstance(element.right, BindParameter) or element.right.key != KEYS.key:
            return None
        columns = list(element.left.clauses) if isinstance(element.left, Tuple) else [element.left]
        found.append(columns)
        return _array(element, columns) if dialect == "postgresql" else _document(element, columns)

    composed = cast("Executable", replacement_traverse(statement, {}, replaced))
    width = len(found[0])
    if dialect != "postgresql":
        return composed, _as_list if _has_bytes(found[0]) else _as_document
    return composed, _as_list if width == 1 else _as_columns


def _array(element: BinaryExpression[Any], columns: Sequence[ColumnElement[Any]]) -> ClauseElement:
    if len(columns) == 1:
        return columns[0] == any_(bindparam(KEYS.key, type_=ARRAY(_unbounded(columns[0]))))
    names = [f"{KEYS.key}_{n}" for n in range(len(columns))]
    arrays = [
        bindparam(name, type_=ARRAY(_unbounded(column))) for name, column in zip(names, columns, strict=True)
    ]
    return element.left.in_(select(*func.unnest(*arrays).table_valued(*names).render_derived().c))


def _unbounded(column: ColumnElement[Any]) -> TypeEngine[Any]:
    """A column's type for a key: a text that is too long must be found nowhere, and not be cut to fit."""
    return String() if isinstance(column.type, String) else column.type


def _document(element: BinaryExpression[Any], columns: Sequence[ColumnElement[Any]]) -> ClauseElement:
    if _has_bytes(columns):
        return element
    value = func.json_each(bindparam(KEYS.key, type_=Text)).table_valued("value").c.value
    if len(columns) == 1:
        return columns[0].in_(select(value))
    return element.left.in_(select(*(func.json_extract(value, f"$[{n}]") for n in range(len(columns)))))


def _has_bytes(columns: Sequence[ColumnElement[Any]]) -> bool:
    return any(isinstance(column.type, LargeBinary) for column in columns)


def _as_list(keys: Sequence[Any]) -> Parameters:
    return {KEYS.key: keys}


def _as_document(keys: Sequence[Any]) -> Parameters:
    return {KEYS.key: json.dumps(keys, ensure_ascii=False)}


def _as_columns(keys: Sequence[Any]) -> Parameters:
    return {f"{KEYS.key}_{n}": list(values) for n, values in enumerate(zip(*keys, strict=True))}
