"""One transaction of a claim: ``ClaimTransaction``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, select, update

from verifier.claims import CLAIMED, RELEASED, RETURNED, STEPS
from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId
from verifier.model.standards import NOT_CONFIGURED
from verifier.model.time import month_text
from verifier.ports.claims import ClaimableRecord, Freeze, HeldClaim, StepTaken, Terms
from verifier.store import tables
from verifier.store.deciding import Deciding

SEALED_REASON = "claim_terms.sealed_reason"
"""For what a step's reason is sealed."""
NOT_RECORDED = "not_recorded"
"""The payee of a claim of an older version."""


class Claiming(Deciding):
    """Reads a record with its slot, and appends steps of claims."""

    def claimable(self, record_id: str) -> ClaimableRecord | None:
        """The record, after touching its learner's rows; None if there is none."""
        table = tables.records
        row = self.connection.execute(select(table).where(table.c.record_id == record_id)).one_or_none()
        if row is None:
            return None
        learner, entitlement = LearnerId(row.learner_id), Entitlement(row.entitlement)
        self.lock({learner})
        newest = self.connection.execute(
            select(func.max(table.c.position)).where(
                table.c.learner_id == learner, table.c.entitlement == entitlement
            )
        ).scalar_one()
        latest = self.latest({learner}, entitlement)[learner]
        slots = tables.slots
        slot = self.connection.execute(
            select(slots).where(slots.c.learner_id == learner, slots.c.entitlement == entitlement)
        ).one_or_none()
        held: list[HeldClaim] = []
        if slot and slot.claim_id is not None:
            held = self.claims_found(steps_of().where(tables.claims.c.claim_id == slot.claim_id))
        return ClaimableRecord(
            record_id=record_id,
            kind=row.kind,
            learner_id=learner,
            entitlement=entitlement,
            office=row.office,
            month=row.month,
            current=newest == row.position and latest.decision_id == row.decision_id,
            slot_state=slot.state if slot else "",
            claim=held[0] if held else None,
            dispatched=row.dispatched_by is not None,
        )

    def claim_under(
        self, record: ClaimableRecord, client_id: str, payment_reference: str
    ) -> HeldClaim | None:
        """The newest claim of a client on this record under a payment reference, standing or not."""
        table = tables.claims
        found = self.claims_found(
            steps_of().where(
                table.c.record_id == record.record_id,
                table.c.client_id == client_id,
                table.c.payment_reference == payment_reference,
            )
        )
        return max(found, key=lambda claim: (claim.recorded_at, claim.claim_id), default=None)

    def claims_found(self, steps: Select[Any]) -> list[HeldClaim]:
        """Claims put together of their steps."""
        by_claim: dict[str, dict[str, Row[Any]]] = {}
        for row in self.connection.execute(steps):
            by_claim.setdefault(row.claim_id, {})[row.step] = row
        self.learner_keys({row.learner_id for rows in by_claim.values() for row in rows.values()})
        return [self._claim(rows) for rows in by_claim.values()]

    def _claim(self, rows: Mapping[str, Row[Any]]) -> HeldClaim:
        first = rows["claim"]
        return HeldClaim(
            claim_id=first.claim_id,
            record_id=first.record_id,
            client_id=first.client_id,
            payment_reference=first.payment_reference,
            recorded_at=first.recorded_at,
            terms=Terms(
                first.booked_in or first.month,
                first.payee or NOT_RECORDED,
                first.amount_fen,
                first.standard or NOT_CONFIGURED,
            ),
            state=state_of(rows, first.slot_state),
            steps={name: self._taken(rows[name]) for name in STEPS if name in rows},
        )

    def _taken(self, row: Row[Any]) -> StepTaken:
        if row.standard is None:  # of an older version, which kept the reason as it came
            return StepTaken(row.recorded_at, row.reason, row.month)
        opened = None
        if row.sealed_reason is not None:
            place = f"{row.claim_id}/{row.step}"
            opened = self.vault.open(row.learner_id, SEALED_REASON, place, row.sealed_reason)
        return StepTaken(row.recorded_at, None if opened is None else opened.decode(), row.booked_in)

    def frozen(self, office: str, entitlement: str, month: date) -> Freeze | None:
        """The freeze of an account month, which nobody freezes until this transaction ends.

        PostgreSQL: a shared row lock, as in ``turning.hold``. A freeze updates the row, and so comes after
        all who booked in the month and are counted, and before all who see it here. SQLite has one writer.
        """
        table = tables.account_months
        mine = select(table.c.touched).where(table.c.office == office, table.c.month == month)
        if self.connection.execute(mine.with_for_update(read=True)).first() is None:
            self.insert_missing(table, [{"office": office, "month": month, "touched": 0}])
            self.connection.execute(mine.with_for_update(read=True))
        freezes = tables.freezes
        row = self.connection.execute(
            select(freezes).where(
                freezes.c.office == office, freezes.c.month == month, freezes.c.entitlement == entitlement
            )
        ).one_or_none()
        return None if row is None else Freeze(*row)

    def claim_step(
        self,
        record: ClaimableRecord,
        claim: HeldClaim,
        step: str,
        *,
        reason: str,
        slot_state: str | None,
        booked_in: date | None,
        at: datetime,
    ) -> None:
        """Append a step of a claim, move the slot to a state (None frees the month), announce it."""
        self._append_step(record, claim, step, reason, booked_in, at)
        slots = tables.slots
        mine = and_(slots.c.learner_id == record.learner_id, slots.c.entitlement == record.entitlement)
        if slot_state is None:
            self.connection.execute(delete(slots).where(mine))
            # Whoever waited for the month is judged again.
            self.put_due([record.learner_id], "month_returned", at)
        else:
            held = None if slot_state == "granted" else claim.claim_id
            self.connection.execute(update(slots).where(mine).values(state=slot_state, claim_id=held))
        body = {
            "claim": claim.claim_id,
            "step": step,
            "record": claim.record_id,
            "office": record.office,
            "month": month_text(record.month) if record.month else None,
            "entitlement": record.entitlement,
            "booked_in": month_text(booked_in) if booked_in else None,
            "payee": claim.terms.payee,
            "amount_fen": claim.terms.amount_fen,
            "standard": claim.terms.standard,
        }
        self.announce("claim", claim.claim_id, body, at)

    def _append_step(
        self,
        record: ClaimableRecord,
        claim: HeldClaim,
        step: str,
        reason: str,
        booked_in: date | None,
        at: datetime,
    ) -> None:
        row = {
            "claim_id": claim.claim_id,
            "step": step,
            "record_id": claim.record_id,
            "learner_id": record.learner_id,
            "entitlement": record.entitlement,
            "client_id": claim.client_id,
            "payment_reference": claim.payment_reference,
            # What people type is sealed, beside it.
            "reason": "",
            "recorded_at": at,
        }
        self.append(tables.claims, [row])
        terms = {
            "claim_id": claim.claim_id,
            "step": step,
            "booked_in": booked_in,
            "payee": claim.terms.payee,
            "amount_fen": claim.terms.amount_fen,
            "standard": claim.terms.standard,
            "sealed_reason": self._sealed_reason(record.learner_id, f"{claim.claim_id}/{step}", reason),
        }
        self.append(tables.claim_terms, [terms])

    def _sealed_reason(self, learner: LearnerId, place: str, reason: str) -> bytes | None:
        self.learner_keys({learner})
        if not reason or self.vault.erased(learner):
            return None
        return self.vault.seal(learner, SEALED_REASON, place, reason.encode())


def steps_of() -> Select[Any]:
    """Every step of claims with its terms, the month of its record, and the state of the slot it holds."""
    claims, terms, records, slots = tables.claims, tables.claim_terms, tables.records, tables.slots
    return (
        select(
            claims,
            terms.c.booked_in,
            terms.c.payee,
            terms.c.amount_fen,
            terms.c.standard,
            terms.c.sealed_reason,
            records.c.month,
            slots.c.state.label("slot_state"),
        )
        .join(records, records.c.record_id == claims.c.record_id)
        .outerjoin(terms, and_(terms.c.claim_id == claims.c.claim_id, terms.c.step == claims.c.step))
        .outerjoin(
            slots,
            and_(
                slots.c.learner_id == claims.c.learner_id,
                slots.c.entitlement == claims.c.entitlement,
                slots.c.claim_id == claims.c.claim_id,
            ),
        )
    )


def state_of(steps: Iterable[str], slot_state: str | None) -> str:
    """The state of a claim, by the steps that were recorded and the state of the slot that it holds."""
    taken = set(steps)
    if "returned" in taken:
        return RETURNED
    if "release" in taken:
        return RELEASED
    return slot_state or CLAIMED
