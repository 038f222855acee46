"""What an operator looks up about an enterprise: its roster as it was known at a moment.

A roster names people: who asks states the purpose, numbers are shown masked, and everyone shown stands in the
access log, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from verifier import identity
from verifier.asked import Parameters
from verifier.errors import Code, RequestRejected
from verifier.model.facts import EmploymentFact
from verifier.model.time import TimeFormat, iso, parse_moment
from verifier.ports import Clock
from verifier.ports.listing import ListingTransaction

T = TypeVar("T")
SHOWN: Final = "roster"
_PURPOSE_LENGTH: Final = 64


class ListingUnits(Protocol):
    """Runs the transactions."""

    async def listing(self, work: Callable[[ListingTransaction], T], *, write: bool) -> T:
        """Run one transaction about an enterprise's people."""
        ...


@dataclass(frozen=True, slots=True)
class ListingDesk:
    """Lists for an operator."""

    units: ListingUnits
    clock: Clock

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"enterprises roster": self.roster}

    async def roster(self, parameters: Parameters) -> dict[str, Any]:
        """An enterprise's roster as it was known at a moment: ``uscc``, ``known-at``, ``purpose``."""
        code = identity.uscc(parameters.get("uscc", ""))
        at = self.clock()
        known_at = _moment(parameters) or at
        purpose = parameters.get("purpose", "").strip()[:_PURPOSE_LENGTH]
        if not purpose or not purpose.isprintable():
            raise RequestRejected(Code.SCHEMA_INVALID, "a purpose is needed", pointer="purpose")
        operator = f"operator:{parameters.get('operator') or 'unnamed'}"

        def work(tx: ListingTransaction) -> dict[str, Any]:
            rows = sorted(tx.known_rows(code, known_at), key=lambda row: (row.start, row.fact_id))
            learners = {row.learner_id for row in rows}
            numbers = tx.identifiers_of(learners)
            tx.log_disclosures(learners, operator, purpose, SHOWN, at)
            return {
                "uscc": code,
                "known_at": iso(known_at),
                "rows": [
                    _shown(row, [identity.masked(one) for one in numbers.get(row.learner_id, ())])
                    for row in rows
                ],
            }

        return await self.units.listing(work, write=True)


def _moment(parameters: Parameters) -> datetime | None:
    text = parameters.get("known-at")
    if not text:
        return None
    try:
        return parse_moment(text, TimeFormat.RFC3339)
    except ValueError:
        detail = "a time as 2021-07-01T00:00:00+08:00 is needed"
        raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer="known-at") from None


def _shown(row: EmploymentFact, numbers: list[str]) -> dict[str, Any]:
    said = {
        "name": row.name.raw,
        "id_number": numbers,
        "from": row.start.isoformat(),
        "to": row.end.isoformat() if row.end else None,
        "category": row.category.value if row.category else None,
        "post": row.post or None,
        "dispatched_by": row.dispatched_by,
        "status": row.mark.value,
        "recorded_at": iso(row.recorded_at),
        "roster": row.source.reference,
    }
    return {name: value for name, value in said.items() if value is not None}
