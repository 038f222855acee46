"""A person's own data, at a clerk's desk: a copy to take along, and erasing it.

Each operation is a function from named text parameters to a JSON-ready answer, as in ``verifier.operations``.
The clerk has seen the id card; that they asked is in the access log, of a dry run too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from verifier import arguments, erasing, identity, subject
from verifier.arguments import Parameters
from verifier.erasing import Terms
from verifier.errors import AccessDenied, Code
from verifier.model.time import beijing_date
from verifier.ports import Clock, NewId
from verifier.ports.erasing import ErasingTransaction, Erasure
from verifier.ports.subject import SubjectTransaction

T = TypeVar("T")
ERASED: Final = "erasure"
FORMAT: Final = "training-verifier/own-data/1"
TRIED: Final = "erasure, dry run"


class OwnDataUnits(Protocol):
    """Runs the transactions."""

    async def erasing(self, work: Callable[[ErasingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def showing(self, work: Callable[[SubjectTransaction], T]) -> T:
        """Run one transaction that shows a person their own data."""
        ...


@dataclass(frozen=True, slots=True)
class OwnDataDesk:
    """The operations over one store."""

    units: OwnDataUnits
    terms: Terms
    clock: Clock
    new_id: NewId

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"learner erase": self.erase, "learner export": self.export}

    async def export(self, parameters: Parameters) -> dict[str, Any]:
        """A copy of everything held on a person: ``id_number``, ``purpose``; logged as ``export``.

        Raises:
            AccessDenied: NOT_FOUND, nothing is held under the number.
        """
        at = self.clock()
        who = arguments.identifier(parameters, "id_number", beijing_date(at))
        clerk, purpose = arguments.clerk(parameters), arguments.purpose(parameters)
        found = await self.units.showing(
            lambda tx: subject.show(tx, who, clerk=clerk, purpose=purpose, at=at, export=True)
        )
        return {"format": FORMAT, "purpose": purpose, **found}

    async def erase(self, parameters: Parameters) -> dict[str, Any]:
        """Erase a person: ``id_number``, ``purpose``, ``reason``; a dry run unless ``apply`` is given.

        Raises:
            AccessDenied: NOT_FOUND, nothing is held under the number.
            Conflict: DUTY_TO_KEEP; ConfigurationError: KEEP_TERM_NOT_CONFIGURED (``erasing.erase``).
        """
        at = self.clock()
        who = arguments.identifier(parameters, "id_number", beijing_date(at))
        clerk, purpose = arguments.clerk(parameters), arguments.purpose(parameters)
        reason, apply = arguments.text(parameters, "reason"), arguments.flag(parameters, "apply")

        def work(tx: ErasingTransaction) -> dict[str, Any]:
            learner = tx.known_learners({who}).get(who)
            if learner is None:
                raise AccessDenied(Code.NOT_FOUND, "nothing is held under this number", pointer="id_number")
            group = sorted(tx.members(set(tx.members({learner}).values())))
            tx.log_disclosures(group, clerk, purpose, ERASED if apply else TRIED, at)
            if apply:
                found = erasing.erase(tx, Erasure(self.new_id(), group, clerk, reason, at), self.terms)
            else:
                found = erasing.look(tx, group, self.terms, at)
            return {"id_number": identity.masked(who), "dry_run": not apply, **found}

        return await self.units.erasing(work)
