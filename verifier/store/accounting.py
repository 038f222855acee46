"""Account months, what stands of a month and what was booked in it: ``AccountTransaction``.

Counted by the database, in one statement each: a month of an office may have a hundred thousand claims.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select

from verifier.claims import CLAIMED, RELEASED, RETURNED
from verifier.model.access import Client
from verifier.model.time import month_text
from verifier.ports.claims import Freeze, ListedClaim, StateCount
from verifier.record import GRANTED
from verifier.store import tables
from verifier.store.claiming import Claiming, steps_of
from verifier.store.reading import ReadingSession


class Accounting(Claiming):
    """One transaction about account months."""

    def client(self, client_id: str) -> Client | None:
        """The newest version of a client."""
        return ReadingSession(self.connection, self.vault).client(client_id)

    def size(self) -> int:
        """Number of ledger entries."""
        return ReadingSession(self.connection, self.vault).size()

    def entitlements(self, office: str) -> Collection[str]:
        """Every entitlement of which an office has a record."""
        table = tables.records
        found = select(table.c.entitlement).where(table.c.office == office).distinct()
        return set(self.connection.execute(found).scalars())

    def close_month(self, office: str, month: date) -> None:
        """Wait for whoever books in an account month, and let nobody else until this transaction ends."""
        table = tables.account_months
        self.insert_missing(table, [{"office": office, "month": month, "touched": 0}])
        self.touch_rows(table, [(office, month)])

    def freezes(self, office: str, month: date) -> Sequence[Freeze]:
        """Those of an office's account month, by entitlement."""
        table = tables.freezes
        rows = self.connection.execute(
            select(table)
            .where(table.c.office == office, table.c.month == month)
            .order_by(table.c.entitlement)
        )
        return [Freeze(*row) for row in rows]

    def put_freeze(self, freeze: Freeze) -> None:
        """Append a freeze, and announce it."""
        row = {name: getattr(freeze, name) for name in tables.freezes.c.keys()}  # noqa: SIM118 - column names
        self.append(tables.freezes, [row])
        body = {
            "office": freeze.office,
            "month": month_text(freeze.month),
            "entitlement": freeze.entitlement,
            "totals_sha256": freeze.digest,
            "granted": freeze.granted,
            "unclaimed": freeze.unclaimed,
        }
        self.announce("freeze", f"{freeze.office}/{body['month']}", body, freeze.frozen_at)

    def states(self, office: str, month: date) -> Sequence[StateCount]:
        """What stands of a subsidy month: live grants, and claims by their state."""
        records, claims = tables.records, tables.claims
        mine = and_(records.c.office == office, records.c.month == month)
        live = (
            select(records.c.uscc, records.c.entitlement, func.count())
            .where(mine, _live())
            .group_by(records.c.uscc, records.c.entitlement)
        )
        found = [
            StateCount(month, uscc or "", entitlement, GRANTED, count, 0, 0)
            for uscc, entitlement, count in self.connection.execute(live)
        ]
        state = _state()
        held = (
            _with_slots(select(records.c.uscc, records.c.entitlement, state, *_sums()))
            .where(mine, claims.c.step == "claim")
            .group_by(records.c.uscc, records.c.entitlement, state)
        )
        return found + [StateCount(month, *_counted(row)) for row in self.connection.execute(held)]

    def booked(self, office: str, month: date) -> Sequence[StateCount]:
        """What was booked in an account month: steps, by subsidy month."""
        records, claims, terms = tables.records, tables.claims, tables.claim_terms
        keys = (records.c.month, records.c.uscc, records.c.entitlement, claims.c.step)
        rows = self.connection.execute(
            select(*keys, *_sums())
            .join(records, records.c.record_id == claims.c.record_id)
            .outerjoin(terms, and_(terms.c.claim_id == claims.c.claim_id, terms.c.step == claims.c.step))
            .where(records.c.office == office, func.coalesce(terms.c.booked_in, records.c.month) == month)
            .group_by(*keys)
        )
        return [StateCount(row[0], *_counted(row[1:])) for row in rows]

    def unclaimed(self, office: str, month: date) -> Mapping[str, int]:
        """By entitlement, how many live grants of a subsidy month nobody has claimed."""
        records, slots = tables.records, tables.slots
        rows = self.connection.execute(
            select(records.c.entitlement, func.count())
            .join(
                slots,
                and_(
                    slots.c.learner_id == records.c.learner_id,
                    slots.c.entitlement == records.c.entitlement,
                ),
            )
            .where(records.c.office == office, records.c.month == month, slots.c.state == GRANTED, _live())
            .group_by(records.c.entitlement)
        )
        return {entitlement: count for entitlement, count in rows}  # noqa: C416 - rows are not plain tuples

    def claims_of(
        self, office: str, month: date, entitlement: str, after: str, limit: int
    ) -> Sequence[ListedClaim]:
        """Claims of a subsidy month, or booked in it as an account month, by id from one on."""
        records, claims, terms = tables.records, tables.claims, tables.claim_terms
        booked = exists().where(terms.c.claim_id == claims.c.claim_id, terms.c.booked_in == month)
        mine = [records.c.office == office, or_(records.c.month == month, booked), claims.c.step == "claim"]
        if entitlement:
            mine.append(records.c.entitlement == entitlement)
        rows = self.connection.execute(
            select(
                claims.c.claim_id, records.c.entitlement, records.c.office, records.c.month, records.c.uscc
            )
            .join(records, records.c.record_id == claims.c.record_id)
            .where(*mine, claims.c.claim_id > after)
            .order_by(claims.c.claim_id)
            .limit(limit)
        ).all()
        ids = [row.claim_id for row in rows]
        held = {one.claim_id: one for one in self.claims_found(steps_of().where(claims.c.claim_id.in_(ids)))}
        return [
            ListedClaim(held[row.claim_id], row.entitlement, row.office, row.month, row.uscc or "")
            for row in rows
        ]


def _live() -> ColumnElement[bool]:
    """A record that grants, and that no later one of its learner's entitlement stands before."""
    records, later = tables.records, tables.records.alias("later")
    newer = exists().where(
        later.c.learner_id == records.c.learner_id,
        later.c.entitlement == records.c.entitlement,
        later.c.position > records.c.position,
    )
    return and_(records.c.kind == GRANTED, ~newer)


def _state() -> ColumnElement[str]:
    """The state of a claim; see ``claiming.state_of``."""
    claims, slots, ended = tables.claims, tables.slots, tables.claims.alias("ended")
    has = [
        exists().where(ended.c.claim_id == claims.c.claim_id, ended.c.step == step)
        for step in ("returned", "release")
    ]
    return case((has[0], RETURNED), (has[1], RELEASED), else_=func.coalesce(slots.c.state, CLAIMED))


def _with_slots(statement: Select[Any]) -> Select[Any]:
    claims, records, terms, slots = tables.claims, tables.records, tables.claim_terms, tables.slots
    holds = and_(
        slots.c.learner_id == claims.c.learner_id,
        slots.c.entitlement == claims.c.entitlement,
        slots.c.claim_id == claims.c.claim_id,
    )
    return (
        statement.select_from(claims)
        .join(records, records.c.record_id == claims.c.record_id)
        .outerjoin(terms, and_(terms.c.claim_id == claims.c.claim_id, terms.c.step == claims.c.step))
        .outerjoin(slots, holds)
    )


def _sums() -> tuple[ColumnElement[int], ColumnElement[Any], ColumnElement[int]]:
    amount = tables.claim_terms.c.amount_fen
    return func.count(), func.sum(amount), func.count(amount)


def _counted(row: Any) -> tuple[str, str, str, int, int, int]:
    uscc, entitlement, state, count, amount, with_amount = row
    return uscc or "", entitlement, state, count, int(amount or 0), with_amount
