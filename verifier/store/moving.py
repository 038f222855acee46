"""The order of a copy's steps, over two stores; each step is transactions of its own.

1. the source's tree is recomputed from its entries, and must agree with its checkpoint and the kept one;
2. every table is copied by its key, in bounded pieces;
3. the source is counted again: nothing may have come meanwhile;
4. the target is read again, table by table, and must hold the same values;
5. the head is written, and the tree recomputed from the copied entries, in the transaction that frees the
   target to be used. Until then it bears the mark of an unfinished copy, and no service starts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from verifier import audit
from verifier.audit import Trusted
from verifier.errors import Code, Conflict
from verifier.store.copying import PIECE, PIECES, Copying, Sum, copied
from verifier.store.schema import require_same
from verifier.store.store import Store

Told = Callable[[str, str, int, int], None]
"""Told of every piece: what is done, of which table, how many rows so far, of how many."""


@dataclass(frozen=True, slots=True)
class Move:
    """One copy.

    Attributes:
        mark: which copy this is, as the target bears it: at most 32 characters.
        told: told of every piece.
    """

    source: Store
    target: Store
    trusted: Trusted
    mark: str
    told: Told

    async def run(self, *, restart: bool) -> dict[str, Any]:
        """Copy everything.

        Raises:
            Conflict: COPY_REFUSED, the source's ledger is not as it was signed, the source is in use, the
                target is not empty, or it does not hold what was copied; then it cannot be used.
            ConfigurationError: a schema is not this version's.
            Unavailable: a database does not answer.
        """
        await self.source.database.read(require_same)
        findings, expected = await self.source.read(Copying, lambda tx: audit.check_tree(tx, self.trusted))
        if findings:
            kinds = ", ".join(sorted({finding.kind for finding in findings}))
            raise Conflict(Code.COPY_REFUSED, f"the source's ledger: {kinds}", pointer="from")
        before = await self.source.read(Copying, lambda tx: (tx.counts(), tx.head()))
        await self.target.write(Copying, lambda tx: tx.claim(self.mark, restart=restart))
        for table in copied():
            await self._clear(table)
        sums = await self._through("copy", before[0], self._copy)
        if await self.source.read(Copying, lambda tx: (tx.counts(), tx.head())) != before:
            raise Conflict(Code.COPY_REFUSED, "something was written to the source meanwhile", pointer="from")
        if await self._through("check", before[0], self._sum) != sums:
            raise Conflict(Code.COPY_REFUSED, "the target does not hold what was copied", pointer="to")
        await self.target.write(Copying, lambda tx: tx.finish(before[1], self.mark, self.trusted, expected))
        size, root = expected
        return {"rows": sum(one.rows for one in sums.values()), "size": size, "root": root.hex()}

    async def _clear(self, table: Table) -> None:
        await self.target.write(Copying, lambda tx: tx.clear(table, self.mark))

    async def _through(
        self, what: str, counts: dict[str, int], step: Callable[[Table, Callable[[int], None]], Any]
    ) -> dict[str, Sum]:
        total, done, found = sum(counts[one.name] for one in copied()), 0, dict[str, Sum]()
        for table in copied():

            def so_far(rows: int, name: str = table.name, before: int = done) -> None:
                self.told(what, name, before + rows, total)

            so_far(0)
            found[table.name] = await step(table, so_far)
            done += found[table.name].rows
        return found

    async def _copy(self, table: Table, so_far: Callable[[int], None]) -> Sum:
        total, after = Sum(), None
        while rows := await self._piece(self.source, table, after):
            await self._put(table, rows)
            total, after = total.plus(rows), _key(table, rows[-1])
            so_far(total.rows)
        return total

    async def _sum(self, table: Table, so_far: Callable[[int], None]) -> Sum:
        total, after = Sum(), None
        while rows := await self._piece(self.target, table, after):
            total, after = total.plus(rows), _key(table, rows[-1])
            so_far(total.rows)
        return total

    async def _piece(self, store: Store, table: Table, after: tuple[Any, ...] | None) -> list[dict[str, Any]]:
        limit = PIECES.get(table.name, PIECE)
        return await store.read(Copying, lambda tx: tx.piece(table, after, limit))

    async def _put(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        piece = list(rows)
        await self.target.write(Copying, lambda tx: tx.put(table, piece, self.mark))


def _key(table: Table, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key)
