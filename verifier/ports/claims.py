"""What claims, freezes and totals need of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from verifier.model.access import Client
from verifier.model.decision import Entitlement
from verifier.model.person import LearnerId
from verifier.model.standards import Standards


@dataclass(frozen=True, slots=True)
class ClaimableRecord:
    """A record with the state of the month it grants.

    Attributes:
        current: it is the newest record of its learner's entitlement, and its decision is the newest one.
        dispatched: the worker was sent by a dispatcher (派遣单位).
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
    dispatched: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What a claim pins.

    Attributes:
        settled_in: the account month that it is booked in; None where its record has no month.
        payee: ``employer`` or ``dispatcher``; ``not_recorded`` of claims of older versions.
        amount_fen: None where none was configured.
        standard: digest of the standards, or ``not_configured``.
    """

    settled_in: date | None
    payee: str
    amount_fen: int | None
    standard: str


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One step after a claim, as it was recorded.

    Attributes:
        reason: None where it cannot be read any more.
        booked_in: the account month.
    """

    recorded_at: datetime
    reason: str | None = field(repr=False)
    booked_in: date | None


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """Who claimed a month, for which payment, on which record, on what terms, and what followed.

    Attributes:
        state: ``claimed``, ``paid``, ``clawback_due``, ``released`` or ``returned``.
        steps: what followed, by step.
    """

    claim_id: str
    record_id: str
    client_id: str
    payment_reference: str
    recorded_at: datetime
    terms: Terms
    state: str
    steps: Mapping[str, StepTaken] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Freeze:
    """An account month that takes no more.

    Attributes:
        totals: the canonical JSON whose digest the ledger has.
        granted: live grants of the month when it was frozen.
        unclaimed: those among them that nobody had claimed.
    """

    office: str
    month: date
    entitlement: str
    totals: str
    digest: str
    granted: int
    unclaimed: int
    operator: str
    frozen_at: datetime


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many there are of one month, enterprise, entitlement and state.

    Attributes:
        state: ``granted`` for live grants; else the state of a claim, or the step that was booked.
        amount_fen: the sum of the amounts that are pinned.
        with_amount: how many have one.
    """

    month: date
    uscc: str
    entitlement: str
    state: str
    count: int
    amount_fen: int
    with_amount: int


@dataclass(frozen=True, slots=True)
class ListedClaim:
    """A claim as lists show it."""

    claim: HeldClaim
    entitlement: str
    office: str
    month: date | None
    uscc: str


class ClaimTransaction(Protocol):
    """One transaction of a claim."""

    def claimable(self, record_id: str) -> ClaimableRecord | None:
        """The record, after touching its learner's rows; None if there is none."""
        ...

    def claim_under(
        self, record: ClaimableRecord, client_id: str, payment_reference: str
    ) -> HeldClaim | None:
        """The newest claim of a client on this record under a payment reference, standing or not."""
        ...

    def standards(self) -> Standards | None:
        """The amounts and payees that were adopted last."""
        ...

    def frozen(self, office: str, entitlement: str, month: date) -> Freeze | None:
        """The freeze of an account month, which nobody freezes until this transaction ends.

        Whoever asks for several asks in the order of months.
        """
        ...

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
        ...


class AccountTransaction(ClaimTransaction, Protocol):
    """One transaction of an operator's about account months."""

    def client(self, client_id: str) -> Client | None:
        """The newest version of a client."""
        ...

    def entitlements(self, office: str) -> Collection[str]:
        """Every entitlement of which an office has a record."""
        ...

    def close_month(self, office: str, month: date) -> None:
        """Wait for whoever books in an account month, and let nobody else until this transaction ends."""
        ...

    def freezes(self, office: str, month: date) -> Sequence[Freeze]:
        """Those of an office's account month, by entitlement."""
        ...

    def put_freeze(self, freeze: Freeze) -> None:
        """Append a freeze, and announce it."""
        ...

    def states(self, office: str, month: date) -> Sequence[StateCount]:
        """What stands of a subsidy month: live grants, and claims by their state."""
        ...

    def booked(self, office: str, month: date) -> Sequence[StateCount]:
        """What was booked in an account month: steps, by subsidy month."""
        ...

    def unclaimed(self, office: str, month: date) -> Mapping[str, int]:
        """By entitlement, how many live grants of a subsidy month nobody has claimed."""
        ...

    def claims_of(
        self, office: str, month: date, entitlement: str, after: str, limit: int
    ) -> Sequence[ListedClaim]:
        """Claims of a subsidy month, or booked in it as an account month, by id from one on."""
        ...

    def size(self) -> int:
        """Number of ledger entries."""
        ...

    def announce(self, kind: str, reference: str, body: Mapping[str, Any], at: datetime) -> None:
        """Put something before the issuer: it becomes a ledger entry."""
        ...
