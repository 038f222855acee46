"""Further tables that hold something of a person, as the person is shown them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, RowMapping, Table, and_, select

from verifier.model.person import Identifier, IdentifierKind, LearnerId
from verifier.model.time import iso
from verifier.signatures.sdjwt import parse_disclosure
from verifier.signatures.status_list import Status
from verifier.store import tables
from verifier.store.appending import sealed_disclosures
from verifier.store.claiming import SEALED_REASON
from verifier.store.session import Session
from verifier.store.tables_erasing import mentions

SHOWN: Final[Mapping[str, str]] = {
    "learners": "learner",
    "identifiers": "identifiers",
    "traits": "traits",
    "merged": "judged_under",
    "mentions": "deliveries",
    "completions": "facts",
    "facts": "facts",
    "decisions": "decisions",
    "records": "records",
    "slots": "months",
    "claims": "claims",
    "due": "to_be_judged",
    "reviews": "reviews",
    "statements": "objections",
    "signals": "signals",
    "disclosures": "shown_to",
}
"""Every table with a learner's id, and the member of the view in which it shows; a test finds what lacks."""
NOT_SHOWN: Final[Mapping[str, str]] = {
    "erasures": "of whoever was erased nothing is left to be shown, and nobody is found by their number",
}


class Held(Session):
    """What further tables hold on a person."""

    def identifiers_held(self, learners: Collection[LearnerId]) -> Sequence[Identifier]:
        """By which numbers the person is known."""
        table = tables.identifiers
        self.learner_keys(learners)
        found = set()
        for row in self._rows_held(table, learners):
            value = self.vault.open(
                row.learner_id, "identifiers.sealed_value", row.learner_id, row.sealed_value
            )
            if value is not None and row.kind != IdentifierKind.PROVISIONAL.value:
                found.add(Identifier(IdentifierKind(row.kind), value.decode()))
        return sorted(found, key=lambda one: (one.kind, one.value))

    def deliveries_held(self, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """What was received that names the person, and whether its raw body is still kept."""
        table = tables.deliveries
        rows = self.connection.execute(
            select(
                table.c.platform,
                table.c.delivery_id,
                table.c.received_at,
                table.c.sealed_body.is_not(None).label("kept"),
            )
            .join(
                mentions,
                (mentions.c.platform == table.c.platform) & (mentions.c.delivery_id == table.c.delivery_id),
            )
            .where(mentions.c.learner_id.in_(sorted(learners)))
            .distinct()
            .order_by(table.c.received_at, table.c.platform, table.c.delivery_id)
        )
        return [
            {
                "platform": row.platform,
                "delivery": row.delivery_id,
                "received_at": iso(row.received_at),
                "raw_body": "kept" if row.kept else "emptied",
            }
            for row in rows
        ]

    def records_held(self, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """Every record that was issued, its status, and what of the person it discloses to its office."""
        table, status = tables.records, tables.status_entries
        self.learner_keys(learners)
        rows = self.connection.execute(
            select(table, status.c.status)
            .outerjoin(status, status.c.record_id == table.c.record_id)
            .where(table.c.learner_id.in_(sorted(learners)))
            .order_by(table.c.position)
        )
        return [self._record(row) for row in rows]

    def _record(self, row: Row[Any]) -> dict[str, Any]:
        opened = self.vault.open(row.learner_id, *sealed_disclosures(row.record_id), row.sealed_disclosures)
        encoded = json.loads(opened) if opened is not None else []
        return {
            "record": row.record_id,
            "decision": row.decision_id,
            "kind": row.kind,
            "status": None if row.status is None else Status(row.status).name.lower(),
            "entitlement": row.entitlement,
            "month": row.month.strftime("%Y-%m") if row.month else None,
            "office": row.office,
            "ledger_index": row.position,
            "issued_at": iso(row.issued_at),
            "discloses": sorted(parse_disclosure(one).name for one in encoded),
        }

    def months_held(self, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """The months that are taken, by whom and how far."""
        return self._plain(tables.slots, learners)

    def claims_held(self, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """Every step of every claim on the person's months, with its terms and its reason."""
        claims, terms = tables.claims, tables.claim_terms
        self.learner_keys(learners)
        rows = self.connection.execute(
            select(claims, terms.c.booked_in, terms.c.payee, terms.c.amount_fen, terms.c.standard)
            .add_columns(terms.c.sealed_reason)
            .outerjoin(terms, and_(terms.c.claim_id == claims.c.claim_id, terms.c.step == claims.c.step))
            .where(claims.c.learner_id.in_(sorted(learners)))
            .order_by(claims.c.recorded_at, claims.c.claim_id, claims.c.step)
        ).mappings()
        return [self._claim(row) for row in rows]

    def _claim(self, row: RowMapping) -> dict[str, Any]:
        said = {
            name: _said(value) for name, value in row.items() if name not in {"learner_id", "sealed_reason"}
        }
        if row["sealed_reason"] is not None:
            place = f"{row['claim_id']}/{row['step']}"
            opened = self.vault.open(row["learner_id"], SEALED_REASON, place, row["sealed_reason"])
            said["reason"] = opened.decode() if opened is not None else None
        return said

    def due_held(self, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """What waits to be judged again."""
        return self._plain(tables.due, learners)

    def _plain(self, table: Table, learners: Collection[LearnerId]) -> list[dict[str, Any]]:
        """Rows as they stand: also a column that is added one day is shown."""
        return [
            {
                name: _said(value)
                for name, value in row._mapping.items()  # noqa: SLF001 - SQLAlchemy's public name
                if name != "learner_id"
            }
            for row in self._rows_held(table, learners)
        ]

    def _rows_held(self, table: Table, learners: Collection[LearnerId]) -> Sequence[Row[Any]]:
        mine = table.c.learner_id.in_(sorted(learners))
        return self.connection.execute(select(table).where(mine).order_by(*table.primary_key)).all()


def _said(value: object) -> object:
    match value:
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return value
