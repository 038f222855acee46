"""Rotations in the store: ``RotatingTransaction``.

``PEPPERED`` and ``WRAPPED`` name every table that a rotation has to go through; a test holds them against
what the store seals.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    select,
    tuple_,
    update,
)

from verifier.errors import Code, ConfigurationError
from verifier.model.rotation import Progress, Rotated, Turn
from verifier.store import tables
from verifier.store.session import Session
from verifier.store.tables_erasing import erasures
from verifier.store.tables_signals import signal_closings

_VERSION_BYTES: Final = 4
"""A wrapped key begins with its version (``verifier.sealing``)."""


@dataclass(frozen=True, slots=True)
class Peppered:
    """A table with an index under a pepper.

    Attributes:
        key: its primary key without the version, in the order in which it is gone through.
    """

    table: Table
    key: tuple[str, ...]

    @property
    def place(self) -> str:
        """The column that its values are sealed for; the row is the learner's."""
        return f"{self.table.name}.sealed_value"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A table with a column that begins with a wrapped key."""

    table: Table
    column: str

    @property
    def place(self) -> str:
        """The column that it is sealed for."""
        return f"{self.table.name}.{self.column}"


PEPPERED: Final[Mapping[str, Peppered]] = {
    "identifiers": Peppered(tables.identifiers, ("kind", "blind_index")),
    "traits": Peppered(tables.traits, ("kind", "blind_index", "learner_id")),
}
WRAPPED: Final[Mapping[str, Wrapped]] = {
    "learners": Wrapped(tables.learners, "sealed_key"),
    "deliveries": Wrapped(tables.deliveries, "sealed_body"),
    "documents": Wrapped(tables.documents, "sealed_content"),
    "facts": Wrapped(tables.facts, "sealed_key"),
    "signal_closings": Wrapped(signal_closings, "sealed_key"),
    "erasures": Wrapped(erasures, "sealed_key"),
}


class Rotating(Session):
    """One step of a rotation."""

    def begin_step(self, name: Rotated) -> tuple[Turn, Progress]:
        """Lock the row of the work, which steps alone touch, then hold the phase."""
        table = tables.rotations
        self.connection.execute(
            select(table.c.name).where(table.c.name == _work(name)).with_for_update()
        ).one()
        return self.standing(name)

    def standing(self, name: Rotated) -> tuple[Turn, Progress]:
        """Where it stands."""
        table = tables.rotations
        cursor = self.connection.execute(
            select(table.c.cursor).where(table.c.name == _work(name))
        ).scalar_one()
        return self.turns.of(name), _progress(cursor)

    def known(self, name: Rotated) -> Collection[int]:
        """Versions that are configured."""
        keys = self.vault.keys
        return set(keys.peppers if name is Rotated.PEPPER else keys.master_keys)

    def move(self, name: Rotated, turn: Turn, progress: Progress, at: datetime) -> None:
        """Update the row that every transaction shares: PostgreSQL lets nobody past before all have ended."""
        self.note(name, progress, at)
        table = tables.rotations
        self.connection.execute(
            update(table)
            .where(table.c.name == name.value)
            .values(phase=turn.phase.value, from_version=turn.old, to_version=turn.new, changed_at=at)
        )

    def note(self, name: Rotated, progress: Progress, at: datetime) -> None:
        """Remember how far the work has come."""
        table = tables.rotations
        text = json.dumps([progress.part, progress.after, progress.done, progress.total])
        self.connection.execute(
            update(table).where(table.c.name == _work(name)).values(cursor=text, changed_at=at)
        )

    def count(self, name: Rotated) -> int:
        """Rows that the phase's work goes through."""
        if name is Rotated.PEPPER:
            turn = self.turns.pepper
            versions = [(one.table, one.table.c.pepper_version) for one in PEPPERED.values()]
            return sum(self._count(table, version == turn.old) for table, version in versions)
        return sum(self._count(one.table, one.table.c[one.column].is_not(None)) for one in WRAPPED.values())

    def _count(self, table: Table, condition: ColumnElement[bool]) -> int:
        return self._number(select(func.count()).select_from(table).where(condition))

    def _number(self, statement: Select[int]) -> int:
        found: int = self.connection.execute(statement).scalar_one()
        return found

    # --- the pepper

    def fill_in(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Give rows of the old version their twins."""
        one, turn = PEPPERED[part], self.turns.pepper
        rows = self._next_rows(one, turn.old, after, limit)
        self.learner_keys({row["learner_id"] for row in rows})
        twins = [twin for row in rows if (twin := self._twin(one, row, turn)) is not None]
        key = [column.name for column in one.table.primary_key]
        # In the order that everybody inserts and touches them in.
        self.insert_missing(one.table, sorted(twins, key=lambda row: tuple(row[name] for name in key)))
        return len(rows), _key(one, rows[-1]) if rows else ()

    def _next_rows(
        self, one: Peppered, version: int, after: tuple[str, ...], limit: int
    ) -> Sequence[Mapping[Any, Any]]:
        table = one.table
        key = [table.c[name] for name in one.key]
        statement = select(table).where(table.c.pepper_version == version)
        if after:
            last = [_value(name, text) for name, text in zip(one.key, after, strict=True)]
            statement = statement.where(tuple_(*key) > tuple_(*last))
        return self.connection.execute(statement.order_by(*key).limit(limit)).mappings().all()

    def _twin(self, one: Peppered, row: Mapping[Any, Any], turn: Turn) -> dict[str, Any] | None:
        learner, kind = row["learner_id"], row["kind"]
        value = None
        if not self.vault.lacking({learner}):
            value = self.vault.open(learner, one.place, learner, row["sealed_value"])
            if value is None:
                return None  # erased
        if value is None or self.vault.index_again(kind, value, turn.old) != bytes(row["blind_index"]):
            # A twin of it would be found by somebody else's number: nothing is built on it.
            raise ConfigurationError(Code.KEY_REFUSED, "an index does not follow from its value: ledger fsck")
        index = self.vault.index_again(kind, value, turn.new)
        return {**row, "pepper_version": turn.new, "blind_index": index}

    def without_twin(self) -> tuple[int, int]:
        """Rows of the old version without a twin, which is the row with the very same sealed value.

        Grouped and not looked up row by row: for that SQLite would take the primary key, and read all of it
        for every row.
        """
        turn, lacking, erased = self.turns.pepper, 0, 0
        for one in PEPPERED.values():
            table, learners = one.table.c, tables.learners
            alone = (
                select(table.learner_id)
                .where(table.pepper_version.in_(turn.present))
                .group_by(table.learner_id, table.kind, table.sealed_value)
                .having(func.max(table.pepper_version) == turn.old)
                .subquery()
            )
            gone = select(func.count()).select_from(alone).join(learners, _id(learners) == _id(alone))
            without_key = self._number(gone.where(learners.c.sealed_key.is_(None)))
            lacking += self._number(select(func.count()).select_from(alone)) - without_key
            erased += without_key if one.table is tables.identifiers else 0
        return lacking, erased

    def drop(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Delete rows of the old version one after another, as everybody touches them."""
        one, turn = PEPPERED[part], self.turns.pepper
        table = one.table
        rows = self._next_rows(one, turn.old, after, limit)
        if rows:
            mine = and_(*(table.c[name] == bindparam(f"key_{name}") for name in one.key))
            keys = [{f"key_{name}": row[name] for name in one.key} for row in rows]
            # In Python's order, not the database's, which may collate: whoever touches these rows sorts here.
            keys.sort(key=lambda key: tuple(key.values()))
            self.connection.execute(delete(table).where(mine, table.c.pepper_version == turn.old), keys)
        return len(rows), _key(one, rows[-1]) if rows else ()

    # --- the master key

    def rewrap(self, part: str, after: tuple[str, ...], limit: int) -> tuple[int, tuple[str, ...]]:
        """Wrap data keys anew; what was emptied meanwhile stays empty."""
        wrapped = WRAPPED[part]
        table, column = wrapped.table, wrapped.table.c[wrapped.column]
        key = list(table.primary_key)
        # Only what is to be wrapped anew is fetched: a body may have megabytes.
        stale = case((_version(wrapped) != _prefix(self.turns.master.new), column), else_=None)
        statement = select(*key, stale).where(column.is_not(None))
        if after:
            statement = statement.where(tuple_(*key) > tuple_(*after))
        rows = self.connection.execute(statement.order_by(*key).limit(limit)).all()
        anew = [
            {f"key_{part.name}": name for part, name in zip(key, names, strict=True)}
            | {"anew": self.vault.rewrap(wrapped.place, "/".join(names), bytes(sealed))}
            for *names, sealed in rows
            if sealed is not None
        ]
        if anew:
            mine = and_(*(part == bindparam(f"key_{part.name}") for part in key))
            # Erased or past its retention since it was read: then the condition no longer holds.
            still = update(table).where(column.is_not(None), mine).values({column: bindparam("anew")})
            self.connection.execute(still, anew)
        return len(rows), tuple(rows[-1][:-1]) if rows else ()

    def wrapped_otherwise(self) -> int:
        """Data keys that another version than the new one wraps."""
        prefix = _prefix(self.turns.master.new)
        return sum(
            self._count(one.table, and_(one.table.c[one.column].is_not(None), _version(one) != prefix))
            for one in WRAPPED.values()
        )

    def rows(self, name: Rotated) -> Mapping[int, int]:
        """Rows by version."""
        found: dict[int, int] = {}
        if name is Rotated.PEPPER:
            for peppered in PEPPERED.values():
                version = peppered.table.c.pepper_version
                for number, count in self.connection.execute(select(version, func.count()).group_by(version)):
                    found[number] = found.get(number, 0) + count
            return found
        for one in WRAPPED.values():
            wrapped = _version(one)
            present = one.table.c[one.column].is_not(None)
            for prefix, count in self.connection.execute(
                select(wrapped, func.count()).where(present).group_by(wrapped)
            ):
                number = int.from_bytes(bytes(prefix), "big")
                found[number] = found.get(number, 0) + count
        return found


def _version(one: Wrapped) -> ColumnElement[bytes]:
    return func.substr(one.table.c[one.column], 1, _VERSION_BYTES, type_=LargeBinary())


def _id(rows: FromClause) -> ColumnElement[str]:
    return rows.c.learner_id


def _prefix(version: int) -> bytes:
    return version.to_bytes(_VERSION_BYTES, "big")


def _work(name: Rotated) -> str:
    return f"{name.value}-progress"


def _progress(cursor: str) -> Progress:
    if not cursor:
        return Progress()
    part, after, done, total = json.loads(cursor)
    return Progress(part, tuple(after), done, total)


def _key(one: Peppered, row: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(bytes(row[name]).hex() if name == "blind_index" else row[name] for name in one.key)


def _value(column: str, text: str) -> str | bytes:
    return bytes.fromhex(text) if column == "blind_index" else text
