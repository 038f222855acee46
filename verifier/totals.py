"""Totals of a month at an office, with a digest that both sides compute from their own books. Pure.

Two documents, never mixed:

``subsidy``
    what stands of a **subsidy month**: live grants, and claims by the state they are in. It changes with
    every step and every revocation.
``account``
    what was booked in an **account month**: each step once, by the subsidy month of its record. Once the
    month is frozen it never changes again, and the freeze's ledger entry holds its digest.

Rows are by enterprise and entitlement. Sums are of the amounts that were pinned at the claims, in fen; how
many had none is said beside. The digest is SHA-256 over the document's canonical JSON (RFC 8785).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from verifier.claims import CLAIMED, CLAWBACK, GRANTED, PAID, RETURNED
from verifier.model.time import iso, month_text
from verifier.ports.claims import AccountTransaction, Freeze, StateCount
from verifier.signatures.strict_json import canonical

_STANDING: Final = (CLAIMED, PAID, CLAWBACK, RETURNED)
_BOOKED: Final[Mapping[str, str]] = {
    "claim": "claimed",
    "paid": "paid",
    "release": "released",
    "returned": "returned",
}


class By(StrEnum):
    """What a month means: of the subsidy, or of the accounts."""

    SUBSIDY = "subsidy"
    ACCOUNT = "account"


def document(
    office: str, month: date, by: By, entitlement: str, counts: Iterable[StateCount]
) -> dict[str, Any]:
    """What is counted, as it is digested.

    Args:
        office: the acceptance office.
        month: its first day.
        by: which document.
        entitlement: only this one; empty for all.
        counts: from ``AccountTransaction.states`` or ``booked``.
    """
    names = {one: one for one in (GRANTED, *_STANDING)} if by is By.SUBSIDY else _BOOKED
    summed = [name for name in names.values() if name != GRANTED]
    rows: dict[tuple[date, str, str], dict[str, Any]] = {}
    for one in counts:
        name = names.get(one.state)
        if name is None or (entitlement and one.entitlement != entitlement):
            continue
        key = (one.month, one.uscc, one.entitlement)
        row = rows.setdefault(key, _empty(key, by, names.values(), summed))
        row[name] = one.count
        if name in summed:
            row["amounts_fen"][name] = one.amount_fen
            row["without_amount"] += one.count - one.with_amount
    ordered = [rows[key] for key in sorted(rows)]
    scope = {"by": by.value, "month": month_text(month), "office": office}
    return {**scope, "entitlement": entitlement or None, "rows": ordered}


def _empty(key: tuple[date, str, str], by: By, names: Iterable[str], summed: Sequence[str]) -> dict[str, Any]:
    month, uscc, entitlement = key
    about = {"uscc": uscc, "entitlement": entitlement}
    if by is By.ACCOUNT:
        about["subsidy_month"] = month_text(month)
    return {
        **about,
        **dict.fromkeys(names, 0),
        "amounts_fen": dict.fromkeys(summed, 0),
        "without_amount": 0,
    }


def digest(counted: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a document's canonical JSON."""
    return sha256(canonical(dict(counted))).hexdigest()


def totals(
    tx: AccountTransaction, office: str, month: date, by: By, entitlement: str, *, at: datetime
) -> dict[str, Any]:
    """A document with its digest, how far the ledger was, and what of the account month is frozen."""
    found = tx.states(office, month) if by is By.SUBSIDY else tx.booked(office, month)
    counted = document(office, month, by, entitlement, found)
    return {
        "totals": counted,
        "totals_sha256": digest(counted),
        "as_of": iso(at),
        "size": tx.size(),
        "frozen": [frozen(one) for one in tx.freezes(office, month)],
    }


def frozen(freeze: Freeze) -> dict[str, Any]:
    """A freeze as it is told."""
    return {
        "entitlement": freeze.entitlement,
        "frozen_at": iso(freeze.frozen_at),
        "totals_sha256": freeze.digest,
        "granted": freeze.granted,
        "unclaimed": freeze.unclaimed,
    }
