"""One transaction of a claim: ``ClaimTransaction``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, delete, func, select, update

from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId
from verifier.ports.claims import ClaimableRecord, HeldClaim
from verifier.store import tables
from verifier.store.deciding import Deciding


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
        return ClaimableRecord(
            record_id=record_id,
            kind=row.kind,
            learner_id=learner,
            entitlement=entitlement,
            office=row.office,
            month=row.month,
            current=newest == row.position and latest.decision_id == row.decision_id,
            slot_state=slot.state if slot else "",
            claim=self._held(slot.claim_id) if slot and slot.claim_id else None,
        )

    def _held(self, claim_id: str) -> HeldClaim:
        table = tables.claims
        row = self.connection.execute(
            select(table).where(table.c.claim_id == claim_id, table.c.step == "claim")
        ).one()
        return HeldClaim(row.claim_id, row.record_id, row.client_id, row.payment_reference, row.recorded_at)

    def claim_step(
        self,
        record: ClaimableRecord,
        claim: HeldClaim,
        step: str,
        *,
        reason: str,
        slot_state: str | None,
        at: datetime,
    ) -> None:
        """Append a step of a claim, move the slot to a state (None frees the month), announce it."""
        row = {
            "claim_id": claim.claim_id,
            "step": step,
            "record_id": claim.record_id,
            "learner_id": record.learner_id,
            "entitlement": record.entitlement,
            "client_id": claim.client_id,
            "payment_reference": claim.payment_reference,
            "reason": reason,
            "recorded_at": at,
        }
        self.append(tables.claims, [row])
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
            "month": record.month.strftime("%Y-%m") if record.month else None,
        }
        self.announce("claim", claim.claim_id, body, at)
