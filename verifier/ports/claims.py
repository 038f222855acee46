"""What claims need of a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId


@dataclass(frozen=True, slots=True)
class ClaimableRecord:
    """A record with the state of the month it grants.

    Attributes:
        current: it is the newest record of its learner's entitlement, and its decision is the newest one.
        slot_state: ``granted``, ``claimed``, ``paid`` or ``clawback_due``; empty when nobody holds the month.
        claim: the claim that holds the slot, if any.
    """

    record_id: str
    kind: str
    learner_id: LearnerId
    entitlement: Entitlement
    office: str
    month: date | None
    current: bool
    slot_state: str
    claim: HeldClaim | None


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """Who claimed a month, for which payment, on which record."""

    claim_id: str
    record_id: str
    client_id: str
    payment_reference: str
    recorded_at: datetime


class ClaimTransaction(Protocol):
    """One transaction of a claim."""

    def claimable(self, record_id: str) -> ClaimableRecord | None:
        """The record, after touching its learner's rows; None if there is none."""
        ...

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
        ...

    def announce(self, kind: str, reference: str, body: Mapping[str, Any], at: datetime) -> None:
        """Put something before the issuer: it becomes a ledger entry."""
        ...
