"""Reads everything for ``verifier.audit``, in bounded pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, and_, exists, func, select, tuple_

from verifier.errors import ConfigurationError
from verifier.ports.auditing import AuditedRecord, AuditedStatement, Evidence, StoredEntry
from verifier.store import tables
from verifier.store.erased import gone_without_word
from verifier.store.issuing import sealed_disclosures
from verifier.store.reading import ReadingSession
from verifier.store.session import covered, row_key

PIECE = 2_000
_ALTERED = b'["altered"]'


class Auditing(ReadingSession):
    """One reading transaction of the check."""

    def entries(self) -> Iterator[StoredEntry]:
        """Every entry, by index."""
        table = tables.entries
        for row in self._pieces(select(table), [table.c.position]):
            yield StoredEntry(
                row["position"], row["kind"], bytes(row["body"]), bytes(row["leaf_hash"]), row["record_id"]
            )

    def nodes_stored(self) -> Mapping[tuple[int, int], bytes]:
        """Every stored complete subtree."""
        rows = self.connection.execute(select(tables.nodes))
        return {(row.level, row.position): bytes(row.hash) for row in rows}

    def _pieces(self, statement: Select[Any], key: list[Any]) -> Iterator[Mapping[Any, Any]]:
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

    def evidence(self) -> Iterator[Evidence]:
        """Every row's evidence, with the row."""
        evidence = tables.evidence
        for name, table in tables.APPEND_ONLY.items():
            key = list(table.primary_key)
            rows = {row_key(table, row): covered(table, row) for row in self._pieces(select(table), key)}
            statement = select(evidence).where(evidence.c.source_table == name)
            for found in self._pieces(statement, [evidence.c.evidence_id]):
                yield Evidence(
                    name,
                    found["source_key"],
                    bytes(found["salt"]),
                    bytes(found["digest"]),
                    found["position"],
                    rows.get(found["source_key"]),
                )

    def uncovered(self) -> Iterator[tuple[str, str]]:
        """Rows of append-only tables without evidence: table and key."""
        evidence = tables.evidence
        for name, table in tables.APPEND_ONLY.items():
            known = set(
                self.connection.execute(
                    select(evidence.c.source_key).where(evidence.c.source_table == name)
                ).scalars()
            )
            for row in self._pieces(select(table), list(table.primary_key)):
                if row_key(table, row) not in known:
                    yield name, row_key(table, row)

    def records_stored(self) -> Iterator[AuditedRecord]:
        """Every record."""
        table, status = tables.records, tables.status_entries
        later = table.alias("later")
        statement = (
            select(table, status.c.status, later.c.kind.label("superseded_by"))
            .outerjoin(status, status.c.record_id == table.c.record_id)
            .outerjoin(later, later.c.supersedes == table.c.record_id)
        )
        for row in self._pieces(statement, [table.c.record_id]):
            self.learner_keys({row["learner_id"]})
            place = sealed_disclosures(row["record_id"])
            opened = self._opens(row["learner_id"], place, row["sealed_disclosures"])
            yield AuditedRecord(
                record_id=row["record_id"],
                kind=row["kind"],
                position=row["position"],
                jws=row["jws"],
                disclosures=tuple(json.loads(opened or b"[]")),
                status=row["status"],
                superseded_by=row["superseded_by"],
            )

    def statements_stored(self) -> Iterator[AuditedStatement]:
        """Every statement."""
        table = tables.statements
        for row in self._pieces(select(table), [table.c.statement_id]):
            yield AuditedStatement(
                row["statement_id"], row["kind"], row["reference"], row["position"], row["jws"]
            )

    def _opens(self, learner: str | None, place: tuple[str, str], sealed: bytes) -> bytes | None:
        """A sealed value; one that was altered opens to something that no digest matches."""
        if learner is not None and self.vault.lacking({learner}):
            return _ALTERED  # the learner's row is gone
        try:
            return self.vault.open(learner, *place, sealed)
        except ConfigurationError:
            return _ALTERED

    def altered_bodies(self) -> Iterator[str]:
        """Deliveries whose kept body does not have the digest that was recorded."""
        table = tables.deliveries
        for row in self._pieces(select(table), list(table.primary_key)):
            if row["sealed_body"] is None:
                continue
            key = f"{row['platform']}/{row['delivery_id']}"
            body = self._opens(None, ("deliveries.sealed_body", key), row["sealed_body"])
            if body is None or self.vault.digest("delivery", body) != bytes(row["body_digest"]):
                yield key

    def altered_documents(self) -> Iterator[str]:
        """Uploaded documents whose kept content does not have the digest that was recorded."""
        table = tables.documents
        for row in self._pieces(select(table), list(table.primary_key)):
            if row["sealed_content"] is None:
                continue
            key = f"{row['platform']}/{row['document_id']}"
            content = self._opens(None, ("documents.sealed_content", key), row["sealed_content"])
            if content is None or self.vault.digest("document", content) != bytes(row["digest"]):
                yield key

    def altered_identifiers(self) -> Iterator[str]:
        """Learners of whom an index is not that of the sealed identifier, or of no version in force."""
        table, learners, present = tables.identifiers, tables.learners, self.turns.pepper.present
        statement = select(table, learners.c.learner_id.label("known"), learners.c.sealed_key).outerjoin(
            learners, learners.c.learner_id == table.c.learner_id
        )
        for row in self._pieces(statement, list(table.primary_key)):
            if row["known"] is None or not self._index_follows(row, present):
                yield row["learner_id"]

    def _index_follows(self, row: Mapping[Any, Any], present: tuple[int, ...]) -> bool:
        learner = row["learner_id"]
        try:
            if self.vault.lacking({learner}):
                self.vault.load(learner, row["sealed_key"])
            value = self.vault.open(learner, "identifiers.sealed_value", learner, row["sealed_value"])
        except ConfigurationError:
            return False
        if value is None:
            return True  # erased: nobody can tell any more
        version = row["pepper_version"]
        return version in present and self.vault.index_again(row["kind"], value, version) == bytes(
            row["blind_index"]
        )

    def lost_learners(self) -> Iterator[str]:
        """Learners who cannot be found by any identifier, erased ones aside."""
        table, learners = tables.identifiers, tables.learners
        mine = and_(
            table.c.learner_id == learners.c.learner_id, table.c.pepper_version == self.turns.pepper.lookup
        )
        lost = select(learners.c.learner_id).where(learners.c.sealed_key.is_not(None), ~exists().where(mine))
        yield from self.connection.execute(lost).scalars()

    def emptied_unlawfully(self) -> Iterator[str]:
        """Keys and bodies that are gone and of which no entry of the ledger says so: table and key."""
        return gone_without_word(self.connection)

    def slots_without_grant(self) -> Iterator[str]:
        """Learners whose month's slot does not agree with their newest decision."""
        decisions, slots = tables.decisions, tables.slots
        newest = (
            select(decisions.c.learner_id, decisions.c.entitlement, func.max(decisions.c.revision))
            .group_by(decisions.c.learner_id, decisions.c.entitlement)
            .subquery()
        )
        granted = select(decisions.c.learner_id).where(
            tuple_(decisions.c.learner_id, decisions.c.entitlement, decisions.c.revision).in_(select(newest)),
            decisions.c.state == "granted",
        )
        missing = granted.where(
            # A month just given back is judged again in a moment; a hold that ends some day excuses nothing.
            decisions.c.learner_id.not_in(
                select(tables.due.c.learner_id).where(tables.due.c.not_before.is_(None))
            ),
            # Nothing is decided about whoever was erased, also when their month is given back.
            decisions.c.learner_id.not_in(
                select(tables.learners.c.learner_id).where(tables.learners.c.sealed_key.is_(None))
            ),
            ~exists().where(
                and_(
                    slots.c.learner_id == decisions.c.learner_id,
                    slots.c.entitlement == decisions.c.entitlement,
                    slots.c.decision_id == decisions.c.decision_id,
                )
            ),
        )
        yield from self.connection.execute(missing).scalars()
        surplus = select(slots.c.learner_id).where(
            slots.c.state != "clawback_due", slots.c.learner_id.not_in(granted)
        )
        yield from self.connection.execute(surplus).scalars()
