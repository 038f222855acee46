"""What witnesses cosigned: the newest of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, select

from verifier.ports.witnessing import Cosigned
from verifier.store import tables
from verifier.store.session import Session


def cosigned(row: Row[Any]) -> Cosigned:
    """A stored cosignature."""
    return Cosigned(row.witness, row.size, bytes(row.checkpoint), bytes(row.line), row.cosigned_at)


class Witnessed(Session):
    """One transaction about cosignatures."""

    def cosignatures(self) -> Sequence[Cosigned]:
        """The newest of each witness, by the witness's name."""
        table = tables.cosignatures
        rows = self.connection.execute(select(table).order_by(table.c.witness))
        return [cosigned(row) for row in rows]

    def keep(self, one: Cosigned) -> None:
        """Keep one in place of an older one; another process may have kept a newer one meanwhile."""
        table = tables.cosignatures
        older = (table.c.witness == one.witness, table.c.size <= one.size)
        self.connection.execute(delete(table).where(*older))
        row = {"witness": one.witness, "size": one.size, "checkpoint": one.checkpoint}
        self.insert_missing(table, [{**row, "line": one.line, "cosigned_at": one.at}])
