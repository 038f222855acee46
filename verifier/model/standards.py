"""What a granted month is paid with, and to whom, as it is configured; ``policy.standards`` reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

from verifier.model.time import covers

NOT_CONFIGURED: Final = "not_configured"
CURRENCY: Final = "CNY"

R = TypeVar("R", "Standard", "PayeeRule")


class Payee(StrEnum):
    """Whom the money goes to."""

    EMPLOYER = "employer"
    DISPATCHER = "dispatcher"


@dataclass(frozen=True, slots=True)
class Standard:
    """One amount, from a month to a month, both included.

    Attributes:
        office: empty for all offices.
        amount_fen: of one granted month.
        reference: the document that it rests on.
    """

    entitlement: str
    office: str
    start: date
    end: date | None
    amount_fen: int
    reference: str


@dataclass(frozen=True, slots=True)
class PayeeRule:
    """Whom the money of dispatched workers goes to, from a month to a month, both included."""

    office: str
    start: date
    end: date | None
    payee: Payee
    reference: str


@dataclass(frozen=True, slots=True)
class Standards:
    """A table.

    Attributes:
        digest: hex SHA-256 of its source form.
    """

    digest: str
    revision: int
    standards: tuple[Standard, ...]
    payees: tuple[PayeeRule, ...]

    def at(self, entitlement: str, office: str, month: date) -> Standard | None:
        """The amount of a granted month; None where none is configured."""
        return _counts((row for row in self.standards if row.entitlement == entitlement), office, month)

    def payee(self, office: str, month: date) -> Payee | None:
        """Whom a dispatched worker's money goes to; None where it is not configured."""
        found = _counts(self.payees, office, month)
        return found.payee if found else None


def _counts(rows: Iterable[R], office: str, month: date) -> R | None:
    found = {row.office: row for row in rows if covers(row.start, row.end, month)}
    return found.get(office) or found.get("")
