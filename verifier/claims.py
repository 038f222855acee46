"""Claims: a subsidy system takes a granted month for one payment, exclusively. Steps over one transaction.

The month's slot moves like this; everything else is refused::

    granted --claim--> claimed --paid--> paid --returned--> free
                       claimed --release--> granted
    claimed, paid --(the grant falls)--> clawback_due --release (never paid) or returned--> free

1. A claim names the newest record and a payment reference, and every step names both. The same step again
   gives the first answer again, whatever came after it; the same with other content is a conflict. A claim
   again answers with the state that its claim is in by now, so that nobody pays twice; once it is released or
   returned its reference is used up.
2. A claim pins the amount and whom the money goes to. For a dispatched worker that is configured, or the
   claim says it; there is no default.
3. Every step is booked in an account month: the subsidy month, while that is open. Once it is frozen, a claim
   must say that it is settled in the next open month; what follows a claim falls into that by itself.
4. Who claimed, and for what, is told to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from verifier import record as records
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.access import Client
from verifier.model.standards import NOT_CONFIGURED, Payee, Standards
from verifier.model.time import iso, month_text, next_month
from verifier.ports.claims import ClaimableRecord, ClaimTransaction, HeldClaim, StepTaken, Terms

GRANTED, CLAIMED, PAID, CLAWBACK = "granted", "claimed", "paid", "clawback_due"
RELEASED, RETURNED = "released", "returned"
OVER: Final = frozenset({RELEASED, RETURNED})

_STEPS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "release": {CLAIMED: GRANTED, CLAWBACK: None},
    "paid": {CLAIMED: PAID},
    "returned": {PAID: None, CLAWBACK: None},
}
"""Per step: from which state of the claim to which of the slot; None frees the month."""
STEPS: Final = tuple(_STEPS)
_BECOMES: Final[Mapping[str, str]] = {"release": RELEASED, "paid": PAID, "returned": RETURNED}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a claim asks for.

    Attributes:
        payment_reference: the payment's name in the client's own books.
        payee: whom the money goes to, where the client has to say it.
        settled_in: the account month, where it is not the subsidy month.
    """

    payment_reference: str
    payee: Payee | None = None
    settled_in: date | None = None


def claim(
    tx: ClaimTransaction, client: Client, record_id: str, asked: Asked, *, at: datetime, claim_id: str
) -> dict[str, Any]:
    """Claim a record's month for a payment.

    Args:
        tx: the transaction.
        client: a subsidy system.
        record_id: the newest record of the grant.
        asked: the payment, and what else the client says of it.
        at: aware UTC.
        claim_id: random id for a new claim.

    Raises:
        AccessDenied: NOT_FOUND, no such record for this client.
        Conflict: RECORD_NOT_CURRENT, ALREADY_CLAIMED, CLAIM_STATE_REFUSED (the reference is used up),
            CLAIM_DIFFERS, PAYEE_NOT_CONFIGURED, PAYEE_REFUSED or MONTH_FROZEN.
        RequestRejected: SCHEMA_INVALID, the account month is not the one that is open next.
    """
    found = _visible(tx, client, record_id)
    mine = _mine(tx, found, client, asked.payment_reference)
    if mine is not None:
        return _claimed_before(found, mine, asked)
    if found.claim is not None:
        raise Conflict(
            Code.ALREADY_CLAIMED,
            "the month is claimed for another payment",
            recorded=_told(found, found.claim, client),
        )
    if not found.current or found.kind != records.GRANTED or found.slot_state != GRANTED:
        raise Conflict(Code.RECORD_NOT_CURRENT, "not the newest record of a live grant")
    terms = _terms(tx, found, asked)
    new = HeldClaim(claim_id, record_id, client.client_id, asked.payment_reference, at, terms, CLAIMED)
    tx.claim_step(found, new, "claim", reason="", slot_state=CLAIMED, booked_in=terms.settled_in, at=at)
    return answer(found, new)


def _claimed_before(found: ClaimableRecord, mine: HeldClaim, asked: Asked) -> dict[str, Any]:
    recorded = answer(found, mine)
    if mine.state in OVER:
        detail = "the claim under this payment reference is over: claim under another one"
        raise Conflict(Code.CLAIM_STATE_REFUSED, detail, recorded=recorded)
    for said, stands, name in (
        (asked.payee, mine.terms.payee, "payee"),
        (asked.settled_in, mine.terms.settled_in, "settled_in"),
    ):
        if said is not None and said != stands:
            detail = "the claim under this payment reference says something else"
            raise Conflict(Code.CLAIM_DIFFERS, detail, pointer=f"/{name}", recorded=recorded)
    return recorded


def step(
    tx: ClaimTransaction,
    client: Client,
    record_id: str,
    name: str,
    payment_reference: str,
    reason: str,
    *,
    at: datetime,
) -> dict[str, Any]:
    """Record what followed a claim: ``release``, ``paid`` or ``returned``.

    Raises:
        AccessDenied: NOT_FOUND, no such record or step for this client.
        Conflict: CLAIM_STATE_REFUSED, there is no such claim of this client, or its state does not allow it;
            CLAIM_DIFFERS, the step was recorded with another reason.
    """
    found = _visible(tx, client, record_id)
    if name not in _STEPS:
        raise AccessDenied(Code.NOT_FOUND, "no such step")
    mine = _mine(tx, found, client, payment_reference)
    if mine is None or mine.record_id != record_id:
        detail = "no claim of this client under this payment reference stands on this record"
        told = _told(found, found.claim, client) if found.claim else None
        raise Conflict(Code.CLAIM_STATE_REFUSED, detail, recorded=told)
    done = mine.steps.get(name)
    if done is not None:
        recorded = stepped(found, mine, name, done)
        if done.reason is not None and done.reason != reason:
            detail = "this step was recorded with another reason"
            raise Conflict(Code.CLAIM_DIFFERS, detail, pointer="/reason", recorded=recorded)
        return recorded
    moves = _STEPS[name]
    paid_back = name == "release" and PAID in mine.steps
    if mine.state not in moves or paid_back:
        detail = "the claim's state does not allow this step"
        raise Conflict(Code.CLAIM_STATE_REFUSED, detail, recorded=answer(found, mine))
    booked_in = _open_month(tx, found, mine.terms.settled_in)
    slot_state = moves[mine.state]
    tx.claim_step(found, mine, name, reason=reason, slot_state=slot_state, booked_in=booked_in, at=at)
    return stepped(found, mine, name, StepTaken(at, reason, booked_in))


def _visible(tx: ClaimTransaction, client: Client, record_id: str) -> ClaimableRecord:
    found = tx.claimable(record_id)
    if found is None or found.office not in client.offices:
        raise AccessDenied(Code.NOT_FOUND, "no such record for this client")
    return found


def _mine(
    tx: ClaimTransaction, found: ClaimableRecord, client: Client, payment_reference: str
) -> HeldClaim | None:
    """The client's claim under a reference: the one that holds the month, or one on this very record."""
    held = found.claim
    if held is not None and (held.client_id, held.payment_reference) == (client.client_id, payment_reference):
        return held
    return tx.claim_under(found, client.client_id, payment_reference)


def _told(found: ClaimableRecord, held: HeldClaim, client: Client) -> dict[str, Any] | None:
    """What is recorded, to whom it belongs; to anybody else nothing."""
    return answer(found, held) if held.client_id == client.client_id else None


# What a claim pins


def _terms(tx: ClaimTransaction, found: ClaimableRecord, asked: Asked) -> Terms:
    standards = tx.standards()
    payee = _payee(standards, found, asked.payee)
    settled_in = _settled_in(tx, found, asked.settled_in)
    standard = None
    if standards is not None and found.month is not None:
        standard = standards.at(found.entitlement, found.office, found.month)
    if standards is None or standard is None:
        return Terms(settled_in, payee, None, NOT_CONFIGURED)
    return Terms(settled_in, payee, standard.amount_fen, standards.digest)


def _payee(standards: Standards | None, found: ClaimableRecord, said: Payee | None) -> Payee:
    """Whom the money goes to: the employer, unless the worker was dispatched."""
    configured: Payee | None = Payee.EMPLOYER
    if found.dispatched:
        configured = standards.payee(found.office, found.month) if standards and found.month else None
    if configured is None and said is None:
        detail = "the worker is dispatched: who is paid is not configured, and the claim does not say it"
        raise Conflict(Code.PAYEE_NOT_CONFIGURED, detail, pointer="/payee")
    if configured is not None and said is not None and said is not configured:
        raise Conflict(Code.PAYEE_REFUSED, "the money goes to the other one", pointer="/payee")
    payee = configured or said
    assert payee is not None
    return payee


def _settled_in(tx: ClaimTransaction, found: ClaimableRecord, said: date | None) -> date | None:
    """The account month of a new claim: the subsidy month, or the next open one if the claim says it."""
    month = found.month
    if month is None:
        return None
    freeze = tx.frozen(found.office, found.entitlement, month)
    is_open = month if freeze is None else _open_month(tx, found, next_month(month))
    assert is_open is not None
    if said == is_open or (said is None and freeze is None):
        return is_open
    if said is not None and (said < month or said > is_open):
        detail = "a claim is settled in its own month or, once that is frozen, in the next open one"
        raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer="/settled_in")
    raise Conflict(
        Code.MONTH_FROZEN,
        "the account month is frozen: the claim has to say that it is settled in the next open one",
        pointer="/settled_in",
        recorded={"frozen": month_text(said or month), "open": month_text(is_open)},
    )


def _open_month(tx: ClaimTransaction, found: ClaimableRecord, month: date | None) -> date | None:
    """The first account month from one on that is not frozen."""
    while month is not None and tx.frozen(found.office, found.entitlement, month) is not None:
        month = next_month(month)
    return month


# Answers


def answer(found: ClaimableRecord, held: HeldClaim) -> dict[str, Any]:
    """A claim as its client is told: all but ``state`` as it was recorded."""
    return {
        "claim": held.claim_id,
        "record": held.record_id,
        "payment_reference": held.payment_reference,
        "state": held.state,
        "month": month_text(found.month) if found.month else None,
        "settled_in": month_text(held.terms.settled_in) if held.terms.settled_in else None,
        "payee": held.terms.payee,
        "amount_fen": held.terms.amount_fen,
        "standard": held.terms.standard,
        "claimed_at": iso(held.recorded_at),
    }


def stepped(found: ClaimableRecord, held: HeldClaim, name: str, done: StepTaken) -> dict[str, Any]:
    """A step as its client is told: always as it was recorded."""
    return {
        **answer(found, held),
        "state": _BECOMES[name],
        "step": name,
        "recorded_at": iso(done.recorded_at),
        "booked_in": month_text(done.booked_in) if done.booked_in else None,
    }
