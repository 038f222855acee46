"""Admissions as an operator makes them: at an office of the adopted table, and first tried out.

An act that would change decisions is listed first and written nowhere: it counts once it is given with
``apply``. One that changes none is done at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from verifier import asked, enterprises, trial
from verifier.asked import Parameters
from verifier.errors import Code, RequestRejected
from verifier.identity import uscc
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy.offices import load_offices
from verifier.ports import Clock, NewId
from verifier.ports.operating import OperatingTransaction, PreviewTransaction

T = TypeVar("T")
OFFICES = "offices"
"""The kind of source form."""


class AdmittingUnits(trial.TrialUnits, Protocol):
    """Runs the transactions."""

    async def operating(self, work: Callable[[OperatingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def previewing(self, work: Callable[[PreviewTransaction], T]) -> T:
        """Run one reading transaction."""
        ...


@dataclass(frozen=True, slots=True)
class AdmissionDesk:
    """Who takes part, and at which offices.

    Attributes:
        offices: the configured table; adopted by the first admission that finds none.
        rulebook: in force at the moment, to try an admission out.
    """

    units: AdmittingUnits
    offices: SourceForm
    rulebook: Callable[[], Rulebook]
    clock: Clock
    new_id: NewId

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"enterprises admit": self.admit, "enterprises offices": self.list_offices}

    async def admit(self, parameters: Parameters) -> dict[str, Any]:
        """Admit an enterprise, or change or end what was said of a first day.

        ``uscc``, ``name``, ``office``, ``from``, ``to``; ``apply`` where it would change decisions.
        """
        code = uscc(asked.text(parameters, "uscc"))
        start, end = asked.day(parameters, "from"), asked.optional_day(parameters, "to")
        name, office = asked.text(parameters, "name"), asked.text(parameters, "office")
        at, operator = self.clock(), asked.source(parameters).reference

        def work(tx: OperatingTransaction) -> dict[str, Any]:
            if not any((fact.office, fact.start) == (office, start) for fact in tx.admissions(code)):
                # What stands may be ended also after its office left the table.
                self._require_office(tx, office, start, at)
            changed = enterprises.admit(
                tx, code, name, office, start, end, at=at, new_id=self.new_id, operator=operator
            )
            return {"uscc": code, "office": office, "changed": changed}

        if not asked.flag(parameters, "apply"):
            tried = await trial.rehearse(
                self.units, work, self.rulebook(), clock=self.clock, new_id=self.new_id
            )
            if tried.changes:
                return {**tried.result, "changed": False, **tried.members(), "hint": "--apply"}
        return await self.units.operating(work)

    def _require_office(self, tx: OperatingTransaction, office: str, day: date, at: datetime) -> None:
        """Refuse a code that the adopted table does not list on a day."""
        adopted = tx.newest_adoption(OFFICES)
        if adopted is None:
            form = self.offices
            tx.adopt(form.kind, form.digest, form.content, form.said, at)
        content = adopted[1] if adopted else self.offices.content
        if load_offices(content.encode()).at(office, day) is None:
            raise RequestRejected(Code.OFFICE_UNKNOWN, "not listed on the first day", pointer="office")

    async def list_offices(self, _: Parameters) -> dict[str, Any]:
        """The acceptance offices in force; those that are configured while none was adopted yet."""
        adopted = await self.units.previewing(lambda tx: tx.newest_adoption(OFFICES))
        table = load_offices((adopted[1] if adopted else self.offices.content).encode())
        return {
            "adopted": adopted is not None,
            "revision": table.revision,
            "offices": [
                {
                    "code": row.code,
                    "name": row.name,
                    "from": row.start.isoformat(),
                    "to": row.end.isoformat() if row.end else None,
                    "reading": row.reading,
                    "reference": row.reference,
                }
                for row in table.rows
            ],
        }
