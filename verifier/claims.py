"""Claims: a subsidy system takes a granted month for one payment, exclusively. Steps over one transaction.

The month's slot moves like this; everything else is refused::

    granted --claim--> claimed --paid--> paid --returned--> free
                       claimed --release--> granted
    claimed, paid --(the grant falls)--> clawback_due --release (never paid) or returned--> free

A claim names the newest record. Repeating a step with the same payment reference gives the first answer
again; another system, or another payment reference, is refused with ALREADY_CLAIMED. Who claimed is told to
nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from verifier import record as records
from verifier.errors import AccessDenied, Code, Conflict
from verifier.model.access import Client
from verifier.model.time import iso
from verifier.ports.claims import ClaimableRecord, ClaimTransaction, HeldClaim

GRANTED, CLAIMED, PAID, CLAWBACK = "granted", "claimed", "paid", "clawback_due"

_STEPS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "release": {CLAIMED: GRANTED, CLAWBACK: None},
    "paid": {CLAIMED: PAID},
    "returned": {PAID: None, CLAWBACK: None},
}
"""Per step: from which state of the slot to which; None frees the month."""


def claim(
    tx: ClaimTransaction,
    client: Client,
    record_id: str,
    payment_reference: str,
    *,
    at: datetime,
    claim_id: str,
) -> dict[str, Any]:
    """Claim a record's month for a payment.

    Args:
        tx: the transaction.
        client: a subsidy system.
        record_id: the newest record of the grant.
        payment_reference: the payment's name in the client's own books; makes the call idempotent.
        at: aware UTC.
        claim_id: random id for a new claim.

    Raises:
        AccessDenied: NOT_FOUND, no such record for this client.
        Conflict: RECORD_NOT_CURRENT or ALREADY_CLAIMED.
    """
    found = _visible(tx, client, record_id)
    held = found.claim
    if held is not None:
        if held.client_id == client.client_id and held.payment_reference == payment_reference:
            return _answer(found, held, found.slot_state)
        raise Conflict(Code.ALREADY_CLAIMED, "the month is claimed for another payment")
    if not found.current or found.kind != records.GRANTED or found.slot_state != GRANTED:
        raise Conflict(Code.RECORD_NOT_CURRENT, "not the newest record of a live grant")
    new = HeldClaim(claim_id, record_id, client.client_id, payment_reference, at)
    tx.claim_step(found, new, "claim", reason="", slot_state=CLAIMED, at=at)
    return _answer(found, new, CLAIMED)


def step(
    tx: ClaimTransaction, client: Client, record_id: str, name: str, reason: str, *, at: datetime
) -> dict[str, Any]:
    """Record what followed a claim: ``release``, ``paid`` or ``returned``.

    Raises:
        AccessDenied: NOT_FOUND, no such record or step for this client.
        Conflict: CLAIM_STATE_REFUSED, there is no such claim of this client, or its state does not allow it.
    """
    found = _visible(tx, client, record_id)
    if name not in _STEPS:
        raise AccessDenied(Code.NOT_FOUND, "no such step")
    held = found.claim
    if held is None or held.client_id != client.client_id or held.record_id != record_id:
        raise Conflict(Code.CLAIM_STATE_REFUSED, "no claim of this client stands on this record")
    if name == "paid" and found.slot_state == PAID:
        return _answer(found, held, PAID)
    if found.slot_state not in _STEPS[name]:
        raise Conflict(Code.CLAIM_STATE_REFUSED, "the claim's state does not allow this step")
    state = _STEPS[name][found.slot_state]
    tx.claim_step(found, held, name, reason=reason, slot_state=state, at=at)
    return _answer(found, held, state or "free")


def _visible(tx: ClaimTransaction, client: Client, record_id: str) -> ClaimableRecord:
    found = tx.claimable(record_id)
    if found is None or found.office not in client.offices:
        raise AccessDenied(Code.NOT_FOUND, "no such record for this client")
    return found


def _answer(found: ClaimableRecord, held: HeldClaim, state: str) -> dict[str, Any]:
    return {
        "claim": held.claim_id,
        "record": held.record_id,
        "payment_reference": held.payment_reference,
        "state": state,
        "month": found.month.strftime("%Y-%m") if found.month else None,
        # The amount is pinned at the claim; no standard is configured, and none is invented.
        "amount": None,
        "standard": "not_configured",
        "claimed_at": iso(held.recorded_at),
    }
