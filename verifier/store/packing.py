"""Reads what goes into an audit pack, in bounded pieces: ``PackTransaction``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, tuple_

from verifier.errors import Code, Unavailable
from verifier.model.facts import AnyFact, FactKind
from verifier.ports.auditing import Evidence, StoredEntry
from verifier.ports.packing import PackedClaim, PackedRecord
from verifier.store import tables
from verifier.store.appending import sealed_disclosures
from verifier.store.auditing import stored_entry
from verifier.store.replaying import Replaying
from verifier.store.session import chunks, covered, row_key

TRIES = 50
"""How often the issuer may be faster than whoever reads its newest checkpoint and status lists."""


class Packing(Replaying):
    """One reading transaction of a pack."""

    def published(self) -> tuple[bytes, Sequence[str]]:
        """The newest checkpoint and the status lists that were signed with it."""
        lists = select(tables.status_lists.c.token).order_by(tables.status_lists.c.list_id)
        for _ in range(TRIES):
            before = self._checkpoint()
            tokens = list(self.connection.execute(lists).scalars())
            if self._checkpoint() == before:
                return before, tokens
        raise Unavailable(Code.OVERLOADED, "the ledger kept growing while it was read")

    def _checkpoint(self) -> bytes:
        found = self.connection.execute(select(tables.ledger_head.c.checkpoint)).scalar_one_or_none()
        return bytes(found or b"")

    def recorded_between(self, start: datetime, end: datetime, size: int) -> tuple[int, int] | None:
        """First and last index of the entries recorded from ``start`` to before ``end``, if there are any."""
        table = tables.entries
        within = (table.c.recorded_at >= start, table.c.recorded_at < end, table.c.position < size)
        first, last = self.connection.execute(
            select(func.min(table.c.position), func.max(table.c.position)).where(*within)
        ).one()
        return None if first is None else (first, last)

    def leaf_hashes(self, size: int) -> Iterator[bytes]:
        """The leaf hashes of the first ``size`` entries, by index."""
        table = tables.entries
        wanted = select(table.c.position, table.c.leaf_hash).where(table.c.position < size)
        for row in self.pieces(wanted, [table.c.position]):
            yield bytes(row["leaf_hash"])

    def entries_between(self, first: int, last: int) -> Iterator[StoredEntry]:
        """Entries from one index to another, both included."""
        table = tables.entries
        return self._entries(select(table).where(table.c.position >= first, table.c.position <= last))

    def entries_at(self, positions: Collection[int]) -> Iterator[StoredEntry]:
        """Entries by index."""
        for chunk in chunks(positions):
            yield from self._entries(select(tables.entries).where(tables.entries.c.position.in_(chunk)))

    def entries_of(self, kinds: Collection[str], size: int) -> Iterator[StoredEntry]:
        """Entries of some kinds among the first ``size``."""
        table = tables.entries
        return self._entries(select(table).where(table.c.kind.in_(sorted(kinds)), table.c.position < size))

    def _entries(self, wanted: Select[Any]) -> Iterator[StoredEntry]:
        for row in self.pieces(wanted, [tables.entries.c.position]):
            yield stored_entry(row)

    def packed_records(self, record_ids: Collection[str]) -> Iterator[PackedRecord]:
        """Records, by id."""
        table = tables.records
        for chunk in chunks(record_ids):
            wanted = select(table).where(table.c.record_id.in_(chunk)).order_by(table.c.record_id)
            rows = self.connection.execute(wanted).all()
            self.learner_keys({row.learner_id for row in rows})
            yield from map(self._packed, rows)

    def _packed(self, row: Row[Any]) -> PackedRecord:
        place, sealed = sealed_disclosures(row.record_id), bytes(row.sealed_disclosures)
        opened = self.vault.open(row.learner_id, *place, sealed) if sealed else None
        return PackedRecord(
            row.record_id,
            row.decision_id,
            row.learner_id,
            row.kind,
            row.position,
            row.office,
            row.month.strftime("%Y-%m") if row.month else None,
            row.uscc,
            row.dispatched_by,
            row.jws,
            None if opened is None else tuple(json.loads(opened)),
        )

    def superseding(self, size: int) -> Iterator[tuple[str, str, int]]:
        """Every record that supersedes one, by index: itself, the superseded one, the index."""
        table = tables.records
        wanted = select(table.c.record_id, table.c.supersedes, table.c.position).where(
            table.c.supersedes.is_not(None), table.c.position < size
        )
        for row in self.pieces(wanted, [table.c.position]):
            yield row["record_id"], row["supersedes"], row["position"]

    def claims_of(self, learners: Collection[str]) -> Iterator[PackedClaim]:
        """Every step of every claim on these learners' months."""
        table = tables.claims
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table)
                .where(table.c.learner_id.in_(chunk))
                .order_by(table.c.claim_id, table.c.recorded_at, table.c.step)
            )
            for row in rows:
                yield PackedClaim(
                    row.claim_id, row.step, row.record_id, row.learner_id, row.payment_reference
                )

    def traces(self, decisions: Collection[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Decisions' traces."""
        table = tables.decisions
        for chunk in chunks(decisions):
            rows = self.connection.execute(
                select(table.c.decision_id, table.c.trace).where(table.c.decision_id.in_(chunk))
            )
            for decision, trace in rows:
                yield decision, json.loads(trace)

    def histories(self, learners: Collection[str]) -> Iterator[AnyFact]:
        """Every roster row and every contest of these learners, superseded ones too."""
        table = tables.facts
        kinds = (FactKind.EMPLOYMENT.value, FactKind.CONTEST.value)
        for chunk in chunks(learners):
            wanted = select(table).where(table.c.learner_id.in_(chunk), table.c.kind.in_(kinds))
            rows = self.connection.execute(wanted.order_by(table.c.fact_id)).mappings().all()
            self.learner_keys({row["learner_id"] for row in rows})
            yield from map(self.opened, rows)

    def adoptions_stored(self) -> Iterator[tuple[str, str, str, str]]:
        """Every adoption, oldest first: its id, and kind, digest and content of what was adopted."""
        table = tables.adoptions
        for row in self.connection.execute(select(table).order_by(table.c.adopted_at, table.c.adoption_id)):
            yield row.adoption_id, row.kind, row.digest, row.content

    def covering(self, size: int) -> Iterator[tuple[str, str, int]]:
        """Every row that one of the first ``size`` entries covers: table, key, that entry's index."""
        table = tables.evidence
        wanted = select(
            table.c.evidence_id, table.c.source_table, table.c.source_key, table.c.position
        ).where(table.c.position < size)
        for row in self.pieces(wanted, [table.c.evidence_id]):
            yield row["source_table"], row["source_key"], row["position"]

    def evidence_under(self, position: int) -> Iterator[Evidence]:
        """The evidence that one entry covers, by digest, with the rows."""
        table = tables.evidence
        found = self.connection.execute(
            select(table).where(table.c.position == position).order_by(table.c.digest, table.c.evidence_id)
        ).all()
        wanted: dict[str, list[str]] = defaultdict(list)
        for one in found:
            wanted[one.source_table].append(one.source_key)
        rows = {name: self._rows(name, keys) for name, keys in wanted.items()}
        for one in found:
            yield Evidence(
                one.source_table,
                one.source_key,
                bytes(one.salt),
                bytes(one.digest),
                position,
                rows[one.source_table].get(one.source_key),
            )

    def _rows(
        self, name: str, keys: Sequence[str]
    ) -> Mapping[str, Mapping[str, str | int | bytes | bool | None]]:
        """Rows of an append-only table by their keys, as their evidence covers them."""
        table = tables.APPEND_ONLY.get(name)
        if table is None:
            return {}
        columns = list(table.primary_key)
        found: dict[str, Mapping[str, str | int | bytes | bool | None]] = {}
        for chunk in chunks([tuple(json.loads(key)) for key in keys]):
            mine = (
                columns[0].in_([key for (key,) in chunk])
                if len(columns) == 1
                else tuple_(*columns).in_(chunk)
            )
            for row in self.connection.execute(select(table).where(mine)).mappings():
                members: Mapping[Any, Any] = row
                found[row_key(table, members)] = covered(table, members)
        return found

    def outcomes_at(self, positions: Iterable[int]) -> Iterator[str]:
        """Signed outcomes by the index of their entries."""
        table = tables.statements
        for chunk in chunks(list(positions)):
            wanted = select(table.c.jws).where(table.c.position.in_(chunk)).order_by(table.c.position)
            yield from self.connection.execute(wanted).scalars()
