"""Reads everything for ``verifier.audit``, in bounded pieces."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from typing_extensions import override

from verifier.ports.auditing import (
    AboutBefore,
    AboutDecision,
    AuditedDecision,
    AuditedRecord,
    AuditedStatement,
    AuditedStatusList,
    Evidence,
    StoredEntry,
)
from verifier.ports.witnessing import Cosigned
from verifier.store import tables
from verifier.store.appending import HEAD, sealed_disclosures
from verifier.store.auditing_derived import Row
from verifier.store.auditing_sealed import Sealed
from verifier.store.session import covered, row_key
from verifier.store.witnessed import cosigned

_ALTERED = b'["altered"]'


class Auditing(Sealed):
    """One reading transaction of the check."""

    @override
    def size(self) -> int:
        """Number of entries that the head names."""
        head = tables.ledger_head
        found = self.connection.execute(select(head.c.size).where(head.c.name == HEAD)).scalar_one_or_none()
        return found or 0

    @override
    def checkpoint(self) -> bytes:
        """The newest signed checkpoint."""
        head = tables.ledger_head
        statement = select(head.c.checkpoint).where(head.c.name == HEAD)
        return bytes(self.connection.execute(statement).scalar_one_or_none() or b"")

    def stray_heads(self) -> Iterator[str]:
        """Heads of ledgers that there are not."""
        name = tables.ledger_head.c.name
        yield from self.connection.execute(select(name).where(name != HEAD)).scalars()

    def entries(self) -> Iterator[StoredEntry]:
        """Every entry, by index."""
        table = tables.entries
        for row in self.pieces(select(table), [table.c.position]):
            yield stored_entry(row)

    def nodes_stored(self) -> Mapping[tuple[int, int], bytes]:
        """Every stored complete subtree."""
        rows = self.connection.execute(select(tables.nodes))
        return {(row.level, row.position): bytes(row.hash) for row in rows}

    def cosignatures(self) -> Sequence[Cosigned]:
        """The newest cosignature of each witness."""
        rows = self.connection.execute(select(tables.cosignatures).order_by(tables.cosignatures.c.witness))
        return [cosigned(row) for row in rows]

    def evidence(self) -> Iterator[Evidence]:
        """Every row's evidence with the row, rows without evidence, and evidence whose row is gone.

        Of a table the evidence is held while its rows pass, because they are far larger.
        """
        evidence = tables.evidence
        for name, table in tables.APPEND_ONLY.items():
            known: dict[str, list[Row]] = defaultdict(list)
            of_table = select(evidence).where(evidence.c.source_table == name)
            for found in self.pieces(of_table, [evidence.c.evidence_id]):
                known[found["source_key"]].append(found)
            for row in self.pieces(select(table), list(table.primary_key)):
                key, columns = row_key(table, row), covered(table, row)
                mine = known.pop(key, [])
                yield from (_evidence(found, columns) for found in mine)
                if not mine:
                    yield Evidence(name, key, b"", None, None, columns)
            for several in known.values():
                yield from (_evidence(found, None) for found in several)

    def stray_evidence(self) -> Iterator[str]:
        """Evidence of what is no evidence, or of a row that has some already: its ids."""
        table = tables.evidence
        twice = (
            select(table.c.source_table, table.c.source_key)
            .group_by(table.c.source_table, table.c.source_key)
            .having(func.count() > 1)
            .subquery()
        )
        stray = (
            select(table.c.evidence_id)
            .outerjoin(
                twice,
                and_(twice.c.source_table == table.c.source_table, twice.c.source_key == table.c.source_key),
            )
            .where(
                or_(table.c.source_table.not_in(sorted(tables.APPEND_ONLY)), twice.c.source_key.is_not(None))
            )
        )
        yield from self.connection.execute(stray).scalars()

    def records_stored(self) -> Iterator[AuditedRecord]:
        """Every record."""
        table, status, decisions = tables.records, tables.status_entries, tables.decisions
        later, before = table.alias("later"), table.alias("before")
        statement = (
            select(
                table,
                status.c.status,
                status.c.list_id,
                status.c.position.label("place"),
                later.c.kind.label("superseded_by"),
                before.c.office.label("before_office"),
                before.c.uscc.label("before_uscc"),
                before.c.record_id.label("before_id"),
                decisions.c.learner_id.label("decided_about"),
                decisions.c.uscc.label("decided_uscc"),
                decisions.c.dispatched_by.label("decided_dispatched_by"),
            )
            .outerjoin(status, status.c.record_id == table.c.record_id)
            .outerjoin(later, later.c.supersedes == table.c.record_id)
            .outerjoin(before, before.c.record_id == table.c.supersedes)
            .outerjoin(decisions, decisions.c.decision_id == table.c.decision_id)
        )
        for row in self.pieces(statement, [table.c.record_id]):
            yield self._audited(row)

    def _audited(self, row: Row) -> AuditedRecord:
        learner = row["learner_id"]
        place = sealed_disclosures(row["record_id"])
        opened = self.opens(learner, place, row["sealed_disclosures"], _ALTERED)
        before = AboutBefore(row["before_office"], row["before_uscc"]) if row["before_id"] else None
        about = row["decided_about"]
        decision = AboutDecision(about, row["decided_uscc"], row["decided_dispatched_by"])
        names = (
            "record_id", "decision_id", "learner_id", "entitlement", "kind", "position", "office", "month",
            "uscc", "dispatched_by", "supersedes", "issued_at", "jws", "status", "superseded_by",
        )  # fmt: skip
        return AuditedRecord(
            **{name: row[name] for name in names},
            disclosures=tuple(json.loads(opened or b"[]")),
            erased=opened is None,
            place=None if row["status"] is None else (row["list_id"], row["place"]),
            decision=None if about is None else decision,
            before=before,
        )

    def decisions_stored(self) -> Iterator[AuditedDecision]:
        """Every decision, by learner, entitlement and revision."""
        table, records, outbox = tables.decisions, tables.records, tables.outbox
        statement = (
            select(
                table.c.decision_id,
                table.c.learner_id,
                table.c.entitlement,
                table.c.revision,
                table.c.state,
                records.c.kind,
                outbox.c.outbox_id,
            )
            .outerjoin(records, records.c.decision_id == table.c.decision_id)
            .outerjoin(outbox, and_(outbox.c.reference == table.c.decision_id, outbox.c.kind == "decision"))
        )
        key = [table.c.learner_id, table.c.entitlement, table.c.revision]
        for row in self.pieces(statement, key):
            yield AuditedDecision(
                row["decision_id"],
                row["learner_id"],
                row["entitlement"],
                row["state"],
                row["outbox_id"] is not None,
                row["kind"],
            )

    def stray_statuses(self) -> Iterator[str]:
        """Places of status lists that belong to no record."""
        status, records = tables.status_entries, tables.records
        stray = select(status.c.list_id, status.c.position).where(
            ~exists().where(records.c.record_id == status.c.record_id)
        )
        for list_id, place in self.connection.execute(stray):
            yield f"{list_id}/{place}"

    def status_lists_stored(self) -> Iterator[AuditedStatusList]:
        """Every status list that is signed or that has records."""
        signed, status = tables.status_lists, tables.status_entries
        tokens = {row.list_id: row for row in self.connection.execute(select(signed))}
        numbers = set(self.connection.execute(select(status.c.list_id).distinct()).scalars())
        for list_id in sorted(tokens.keys() | numbers):
            mine = select(status.c.position, status.c.status).where(status.c.list_id == list_id)
            statuses = {row.position: row.status for row in self.connection.execute(mine)}
            row = tokens.get(list_id)
            if row is None:
                yield AuditedStatusList(list_id, None, None, None, statuses)
            else:
                yield AuditedStatusList(list_id, row.token, row.signed_at, row.taken, statuses)

    def statements_stored(self) -> Iterator[AuditedStatement]:
        """Every statement."""
        table, facts = tables.statements, tables.facts
        for row in self.pieces(select(table), [table.c.statement_id]):
            about = select(facts.c.learner_id).where(
                facts.c.reference == row["reference"], facts.c.kind == row["kind"]
            )
            yield AuditedStatement(
                row["statement_id"],
                row["kind"],
                row["reference"],
                row["position"],
                row["jws"],
                row["learner_id"],
                row["issued_at"],
                frozenset(self.connection.execute(about).scalars()),
            )


def stored_entry(row: Row) -> StoredEntry:
    """An entry from its row."""
    return StoredEntry(
        row["position"],
        row["kind"],
        bytes(row["body"]),
        bytes(row["leaf_hash"]),
        row["record_id"],
        row["office"],
        row["recorded_at"],
    )


def _evidence(found: Row, row: Mapping[str, Any] | None) -> Evidence:
    return Evidence(
        found["source_table"],
        found["source_key"],
        bytes(found["salt"]),
        bytes(found["digest"]),
        found["position"],
        row,
    )
