"""One transaction: the connection, the vault, and the evidence of what is appended in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Dialect, Select, Table, func, select, tuple_

from verifier.model.decision import ReviewNeed
from verifier.model.person import LearnerId
from verifier.model.rotation import Turns
from verifier.store import forms, tables, turning
from verifier.store.forms import plain
from verifier.store.keys import KEYS, listing
from verifier.store.tables_erasing import erasures
from verifier.store.vault import Vault

SALT_BYTES = 16
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PIECE = 2_000
"""Rows read at once where all of a table are read."""
CHUNK = 5_000
"""Values in one IN list: below the 32,766 parameters that both engines take."""


_SEALED_KEYS = select(tables.learners.c.learner_id, tables.learners.c.sealed_key).where(
    tables.learners.c.learner_id.in_(KEYS)
)
_ERASED = select(erasures.c.learner_id).where(erasures.c.learner_id.in_(KEYS))
_NEWEST = select(func.max(tables.outbox.c.created_at))


def covered(table: Table, row: Mapping[str, Any]) -> dict[str, str | int | bytes | bool | None]:
    """The columns of a row that its evidence covers."""
    return {name: plain(row.get(name)) for name in forms.covered_columns(table)}


def row_key(table: Table, row: Mapping[str, Any]) -> str:
    """A row's primary key as one text, by which its evidence finds it."""
    return json.dumps([plain(row[column.name]) for column in table.primary_key], ensure_ascii=False)


def chunks(values: Collection[Any]) -> list[list[Any]]:
    """Sorted values in lists short enough for an IN."""
    ordered = sorted(values)
    return [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]


def review_digest(learner: LearnerId, need: ReviewNeed) -> bytes:
    """What makes a question about a learner unique."""
    return sha256(json.dumps([learner, need.kind, *need.about]).encode()).digest()


class Session:
    """Base of the transactions; knows how to append and how to seal, and nothing of their meaning."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        self.connection = connection
        self.vault = vault
        vault.wraps_under = lambda: self.turns.master.new
        self.other_rules: Callable[[], None] = lambda: None
        """Called where another rulebook is in force than the one that is decided by."""
        self.made_due: set[LearnerId] = set()
        """Whom this transaction put on the due list."""
        self._announced: datetime | None = None
        self._turns: Turns | None = None

    @property
    def turns(self) -> Turns:
        """Where rotations stand: read once, and held until this transaction ends (``turning.hold``).

        Whoever reads or touches rows by an index, and whoever wraps a key, asks this first.
        """
        if self._turns is None:
            self._turns = turning.hold(self.connection, self.vault.keys)
        return self._turns

    def among(self, statement: Select[Any], keys: Collection[Any], **values: Any) -> list[Any]:
        """Rows of a statement that was composed once, for all of many keys.

        To compose a statement takes several times as long as to execute it.

        Args:
            statement: with ``KEYS`` as its IN list.
            keys: what goes into that.
            values: its further parameters.
        """
        if not keys:
            return []
        composed, parameters = listing(statement, self.connection.dialect.name)
        return [
            row
            for chunk in chunks(keys)
            for row in self.connection.execute(composed, {**parameters(chunk), **values}).all()
        ]

    def insert_missing(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows whose key is free, in the given order; leave the others alone."""
        if not rows:
            return
        self.connection.execute(forms.insertion(table, self.connection.dialect.name), rows)

    def touch_rows(self, table: Table, keys: Sequence[tuple[Any, ...]]) -> None:
        """Touch rows by primary key, one after another in the given order, in one call to the driver.

        Whoever touches sorted keys takes turns with whoever does the same, and no two deadlock.
        """
        if not keys:
            return
        names = [f"key_{column.name}" for column in table.primary_key]
        self.connection.execute(forms.touch(table), [dict(zip(names, key, strict=True)) for key in keys])

    def append(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of an append-only table together with their evidence."""
        if not rows:
            return
        vault, name = self.vault, str(table.name)
        form, of_evidence = self.form_of(table), self.form_of(tables.evidence)
        written, evidence = [], []
        for row in rows:
            bound, values = form.values(row)
            salt = vault.randbytes(SALT_BYTES)
            written.append(bound)
            evidence.append(
                (vault.new_id(), name, form.key_of(values), salt, form.digest(salt, values), None)
            )
        self.connection.exec_driver_sql(form.insert, written)
        self.connection.exec_driver_sql(of_evidence.insert, evidence)

    def form_of(self, table: Table) -> forms.Form:
        """How rows of a table go to this database."""
        dialect: Callable[[], Dialect] = type(self.connection.dialect)
        return forms.form(table, dialect)

    def announce(self, kind: str, reference: str, body: Mapping[str, Any], at: datetime) -> None:
        """Put something before the issuer: it becomes a ledger entry; see ``announce_all``."""
        self.announce_all([(kind, reference, body)], at)

    def announce_all(self, items: Sequence[tuple[str, str, Mapping[str, Any]]], at: datetime) -> None:
        """Put things before the issuer, which takes them in this order.

        The issuer takes the oldest first, but clocks may stand still, and a transaction may have waited for
        one that began later. So the moment is never before what waits already: whoever holds a learner's rows
        sees what was announced about that learner, and comes behind it.

        Args:
            items: kind, reference and body of each.
            at: aware UTC.
        """
        rows = []
        for kind, reference, body in items:
            at = max(at, self._behind())
            self._announced = at
            rows.append(
                {
                    "outbox_id": self.vault.new_id(),
                    "kind": kind,
                    "reference": reference,
                    "body": json.dumps(body, ensure_ascii=False),
                    "created_at": at,
                }
            )
        if rows:
            self.connection.execute(tables.outbox.insert(), rows)

    def _behind(self) -> datetime:
        """The first moment behind everything that waits for the issuer."""
        last = self._announced
        if last is None:
            last = self.connection.execute(_NEWEST).scalar_one()
        return _BEGINNING if last is None else last + timedelta(microseconds=1)

    def learner_keys(self, learners: Collection[str]) -> None:
        """Load the data keys of learners into the vault, in one statement for all that it lacks."""
        for learner, sealed in self.among(_SEALED_KEYS, self.vault.lacking(learners)):
            self.vault.load(learner, sealed)

    def keyless_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        """Those of the learners whose key was destroyed, lawfully or not."""
        self.learner_keys(learners)
        unknown = self.vault.lacking(learners)
        return {one for one in learners if one not in unknown and self.vault.erased(one)}

    def erased_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        """Those of the learners who were lawfully erased."""
        return {LearnerId(one) for (one,) in self.among(_ERASED, self.keyless_among(learners))}

    def pieces(self, statement: Select[Any], key: list[Any]) -> Iterator[Mapping[Any, Any]]:
        """Rows in key order, a piece at a time, each starting behind the last row of the one before."""
        last: tuple[Any, ...] | None = None
        while True:
            piece = statement.order_by(*key).limit(PIECE)
            if last is not None:
                piece = piece.where(tuple_(*key) > tuple_(*last))
            rows = self.connection.execute(piece).mappings().all()
            yield from rows
            if len(rows) < PIECE:
                return
            last = tuple(rows[-1][column.name] for column in key)
