"""Moves everything from one database to another, value by value, in bounded pieces.

While a copy is under way its target bears, in place of a schema's revision, a mark of that copy: no service
starts on it. Each piece holds the mark, so that of two copies into one target the first stops. The ledger's
head comes last, in the transaction that recomputes the tree and takes the mark away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Table, column, delete, func, select, table, tuple_, update
from sqlalchemy.exc import DBAPIError

from verifier import audit
from verifier.audit import Trusted
from verifier.errors import Code, ConfigurationError, Conflict
from verifier.store import schema
from verifier.store.auditing import Auditing
from verifier.store.columns import metadata
from verifier.store.forms import plain
from verifier.store.tables_issuing import ledger_head

PIECES: Final[Mapping[str, int]] = {"deliveries": 100, "documents": 10}
PIECE: Final = 1_000
"""Rows of one transaction; a body or a document may have megabytes."""
_SEEDED: Final = frozenset({"rotations"})
"""Tables that have rows from the beginning."""
_version = table("alembic_version", column("version_num"))
_MODULUS: Final = 1 << 256
_DATA: Final = "22"
"""Class of the SQLSTATEs of values that an engine does not take."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What a table holds, in whatever order: how many rows, and the sum of their digests."""

    rows: int = 0
    digest: int = 0

    def plus(self, rows: Sequence[Mapping[Any, Any]]) -> Sum:
        """With further rows."""
        digest = self.digest
        for row in rows:
            values = repr([(name, plain(row[name])) for name in sorted(row)])
            digest += int.from_bytes(sha256(values.encode("utf-8", "surrogatepass")).digest(), "big")
        return Sum(self.rows + len(rows), digest % _MODULUS)


def copied() -> list[Table]:
    """Every table in the order in which it is copied; the head is not among them."""
    return [one for _, one in sorted(metadata.tables.items()) if one is not ledger_head]


class Copying(Auditing):
    """One transaction of a copy, on either side."""

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        return {
            one.name: self.connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in (*copied(), ledger_head)
        }

    def head(self) -> list[dict[str, Any]]:
        """The head's rows."""
        return [dict(row) for row in self.connection.execute(select(ledger_head)).mappings()]

    def piece(self, one: Table, after: tuple[Any, ...] | None, limit: int) -> list[dict[str, Any]]:
        """The next rows of a table by its key."""
        key = list(one.primary_key)
        statement = select(one).order_by(*key).limit(limit)
        if after is not None:
            statement = statement.where(tuple_(*key) > tuple_(*after))
        return [
            {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
            for row in self.connection.execute(statement).mappings()
        ]

    def claim(self, mark: str, *, restart: bool) -> None:
        """Mark the database as the target of a copy.

        Raises:
            Conflict: COPY_REFUSED, it is not empty, or a copy into it was not finished and ``restart`` is not
                given.
            ConfigurationError: its schema is not this version's.
        """
        revision = schema.recorded(self.connection)
        if revision.startswith(schema.COPYING):
            if not restart:
                detail = "a copy into the target was not finished: --restart clears it and begins anew"
                raise Conflict(Code.COPY_REFUSED, detail, pointer="to")
        elif revision != schema.wanted(self.connection):
            detail = "the target's schema is not this version's: run `db upgrade` on it"
            raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="to")
        elif any(count for name, count in self.counts().items() if name not in _SEEDED):
            raise Conflict(Code.COPY_REFUSED, "the target is not empty", pointer="to")
        self._mark(revision, mark)

    def hold(self, mark: str) -> None:
        """Go on only while the target bears this copy's mark.

        Raises:
            Conflict: COPY_REFUSED, another copy took it over.
        """
        self._mark(mark, mark)

    def _mark(self, before: str, after: str) -> None:
        version = _version.c.version_num
        done = self.connection.execute(update(_version).where(version == before).values(version_num=after))
        if done.rowcount != 1:
            raise Conflict(Code.COPY_REFUSED, "another copy took the target over", pointer="to")

    def clear(self, one: Table, mark: str) -> None:
        """Empty a table of the target."""
        self.hold(mark)
        self.connection.execute(delete(one))

    def put(self, one: Table, rows: Sequence[Mapping[str, Any]], mark: str) -> None:
        """Write a piece.

        Raises:
            Conflict: COPY_REFUSED, the target's engine does not take a value.
        """
        self.hold(mark)
        try:
            self.connection.execute(one.insert(), [dict(row) for row in rows])
        except DBAPIError as failure:
            if not str(getattr(failure.orig, "sqlstate", None) or "").startswith(_DATA):
                raise
            detail = f"the target does not take a value of the table {one.name}"
            raise Conflict(Code.COPY_REFUSED, detail, pointer="to") from None

    def finish(
        self, head: Sequence[Mapping[str, Any]], mark: str, trusted: Trusted, expected: tuple[int, bytes]
    ) -> None:
        """Write the head, recompute the tree, and take the mark away; or leave everything as it is.

        Raises:
            Conflict: COPY_REFUSED, the tree is not the source's.
        """
        self.hold(mark)
        self.connection.execute(delete(ledger_head))
        if head:
            self.connection.execute(ledger_head.insert(), [dict(row) for row in head])
        findings, found = audit.check_tree(self, trusted)
        if findings or found != expected:
            raise Conflict(Code.COPY_REFUSED, "the copied ledger is not the source's", pointer="to")
        self._mark(mark, schema.wanted(self.connection))
