"""What an operator does about people: who is one person, what a worker wishes, what a reviewer suspends.

Each operation is a function from named text parameters to a JSON-ready answer, as in ``verifier.operations``.
Whatever changes decisions is a dry run unless ``apply`` is given: it is carried out, everyone concerned is
judged, and everything is rolled back. Applied, the decisions fall in the same transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from verifier import acts, amending, arguments, identity, merging, objections, trial
from verifier.acts import Said
from verifier.amending import Numbered
from verifier.arguments import Parameters
from verifier.errors import AccessDenied, Code
from verifier.identity import uscc
from verifier.merging import Finding
from verifier.model.decision import Entitlement
from verifier.model.facts import ObjectionKind, Wish
from verifier.model.person import Identifier, LearnerId
from verifier.model.time import BEIJING, beijing_date
from verifier.objections import WORKER, Raised
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.acting import ActingTransaction

T = TypeVar("T")
Operation = Callable[[Parameters], Awaitable[dict[str, Any]]]
Cause = Callable[[ActingTransaction], dict[str, Any]]

CORRECTING: Final = "id-correction"


class ActingUnits(Protocol):
    """Runs the transactions of acts about people."""

    async def acting(self, work: Callable[[Any], T]) -> T:
        """Run one writing transaction."""
        ...

    async def reading_acts(self, work: Callable[[Any], T]) -> T:
        """Run one reading transaction."""
        ...

    async def trying(self, work: Callable[[Any], T]) -> T:
        """Run one writing transaction, and roll it back."""
        ...


@dataclass(frozen=True, slots=True)
class PeopleDesk:
    """The operations about people over one store."""

    units: ActingUnits
    rulebook: Callable[[], Rulebook]
    clock: Clock
    new_id: NewId
    randbytes: RandomBytes

    def table(self) -> Mapping[str, Operation]:
        """Its operations by their names on the command line."""
        return {
            "learner find": self.find,
            "learner merge": self.merge,
            "learner part": self.part,
            "learner apart": self.tell_apart,
            "learner correct-id": self.correct_id,
            "learner contest": self.contest,
            "learner release": self.release,
            "learner hold": self.hold,
            "learner unhold": self.unhold,
            "completion revoke": self.revoke,
        }

    async def carry_out(self, parameters: Parameters, at: datetime, cause: Cause) -> dict[str, Any]:
        """Do what ``cause`` does if ``apply`` is given; say in any case what changes by it."""
        if arguments.flag(parameters, "apply"):
            work = trial.carry_out(cause, self.rulebook, at, self.new_id)
            done = await self.units.acting(work)
            return {**done.result, **done.members(applied=True)}
        tried = await trial.rehearse(self.units, cause, self.rulebook(), clock=lambda: at, new_id=self.new_id)
        return {**tried.result, **tried.members()}

    # --- who is one person

    async def find(self, parameters: Parameters) -> dict[str, Any]:
        """Which learner an id number is: ``id_number``, ``purpose``; the showing is logged."""
        at = self.clock()
        identifier = arguments.identifier(parameters, "id_number", beijing_date(at))
        learner = await self._shown(parameters, "learner id", at)

        def work(tx: ActingTransaction) -> dict[str, Any]:
            group = tx.members({*tx.members({learner}).values()})
            return {
                "id_number": identity.masked(identifier),
                "learner": learner,
                "judged_under": group[learner],
                "group": sorted(group),
            }

        return await self.units.reading_acts(work)

    async def merge(self, parameters: Parameters) -> dict[str, Any]:
        """Make two learners one person: ``first``, ``second``, ``reason``, ``evidence``, ``despite``."""
        at, finding = self.clock(), _finding(parameters)
        despite = arguments.flag(parameters, "despite")

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            under = merging.merge(tx, finding, at=at, new_id=self.new_id, despite=despite)
            return {"judged_under": under}

        return await self.carry_out(parameters, at, cause)

    async def part(self, parameters: Parameters) -> dict[str, Any]:
        """Undo a merge: parameters as for ``merge``; the two are told apart from now on."""
        at, finding = self.clock(), _finding(parameters)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            return {"judged_under": list(merging.part(tx, finding, at=at, new_id=self.new_id))}

        return await self.carry_out(parameters, at, cause)

    async def tell_apart(self, parameters: Parameters) -> dict[str, Any]:
        """Record that two learners are not one person; no decision changes by it."""
        at, finding = self.clock(), _finding(parameters)
        await self.units.acting(lambda tx: merging.tell_apart(tx, finding, at=at, new_id=self.new_id))
        return {"apart": [finding.first, finding.second]}

    # --- what a clerk mends on paper

    async def correct_id(self, parameters: Parameters) -> dict[str, Any]:
        """Put a certificate under its holder's number: ``issuer``, ``number``, ``id_number``, ``holder``."""
        at, certificate = self.clock(), _numbered(parameters)
        borne = await self._shown({**parameters, "purpose": CORRECTING}, CORRECTING, at)
        holder = arguments.identifier(
            {
                **parameters,
                "id-kind": arguments.optional(parameters, "holder-kind"),
                "id-country": arguments.optional(parameters, "holder-country"),
            },
            "holder",
            beijing_date(at),
        )
        reason, source = arguments.text(parameters, "reason"), arguments.source(parameters)
        salt = objections.new_salt(self.randbytes)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            fact = amending.reassign(tx, certificate, borne, holder, at=at, new_id=self.new_id, source=source)
            raised = Raised(
                fact.learner_id,
                ObjectionKind.CORRECTION,
                "identity",
                fact.fact_id,
                WORKER,
                reason,
                source,
                at,
            )
            number = partial(objections.new_number, at, self.randbytes)
            noted = objections.settle(tx, raised, number=number, salt=salt, new_id=self.new_id)
            return {"from": borne, "to": fact.learner_id, "correction": noted.number}

        return await self.carry_out(parameters, at, cause)

    async def revoke(self, parameters: Parameters) -> dict[str, Any]:
        """Record a revocation that the issuer gave in writing: ``issuer``, ``number``, ``reason``."""
        at, certificate = self.clock(), _numbered(parameters)
        reason, source = arguments.text(parameters, "reason"), arguments.source(parameters)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            new = amending.revoke(tx, certificate, reason, at=at, new_id=self.new_id, source=source)
            return {"issuer": certificate.issuer, "revoked_before": not new}

        return await self.carry_out(parameters, at, cause)

    # --- what a worker wishes, by a clerk who has seen the id card

    async def contest(self, parameters: Parameters) -> dict[str, Any]:
        """A worker says that an enterprise lists them wrongly: ``uscc``, ``id_number``, ``withdraw``."""
        at, code = self.clock(), uscc(arguments.text(parameters, "uscc"))
        said = await self._said(parameters, "contest", at)
        back = arguments.flag(parameters, "withdraw")

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            if back:
                acts.take_contest_back(tx, said, code, new_id=self.new_id)
            else:
                acts.contest(tx, said, code, new_id=self.new_id)
            return {"enterprise": code, "withdrawn": back}

        return await self.carry_out(parameters, at, cause)

    async def release(self, parameters: Parameters) -> dict[str, Any]:
        """Take a month from an enterprise at the worker's wish: ``uscc``, ``id_number``, ``withdraw``.

        ``entitlement`` names which, where several policies are adopted.
        """
        at, code = self.clock(), uscc(arguments.text(parameters, "uscc"))
        said = await self._said(parameters, "release", at)
        entitlement = entitlement_of(self.rulebook(), arguments.optional(parameters, "entitlement"))
        back = arguments.flag(parameters, "withdraw")
        act = acts.take_release_back if back else acts.release

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            changed = act(tx, said, code, entitlement, Wish.WORKER, new_id=self.new_id)
            return {"enterprise": code, "withdrawn": back, "new": bool(changed)}

        return await self.carry_out(parameters, at, cause)

    # --- what a reviewer suspends

    async def hold(self, parameters: Parameters) -> dict[str, Any]:
        """Suspend a learner's decisions: ``learner``, ``until`` (a day: held until it begins), ``reason``."""
        at, learner = self.clock(), LearnerId(arguments.text(parameters, "learner"))
        day = arguments.day(parameters, "until")
        until = datetime.combine(day, time(), BEIJING)
        said = Said(learner, arguments.text(parameters, "reason"), arguments.source(parameters), at)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            acts.hold(tx, said, until, new_id=self.new_id)
            return {"learner": learner, "until": day.isoformat()}

        return await self.carry_out(parameters, at, cause)

    async def unhold(self, parameters: Parameters) -> dict[str, Any]:
        """End every hold of a learner: ``learner``, ``reason``."""
        at, learner = self.clock(), LearnerId(arguments.text(parameters, "learner"))
        said = Said(learner, arguments.text(parameters, "reason"), arguments.source(parameters), at)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            return {"learner": learner, "lifted": acts.lift_hold(tx, said, new_id=self.new_id)}

        return await self.carry_out(parameters, at, cause)

    async def _said(self, parameters: Parameters, what: str, at: datetime) -> Said:
        reason, source = arguments.text(parameters, "reason"), arguments.source(parameters)
        return Said(await self._shown(parameters, what, at), reason, source, at)

    async def _shown(self, parameters: Parameters, what: str, at: datetime) -> LearnerId:
        """The learner of ``id_number``; that the clerk is told of them is logged first, also in a dry run."""
        identifier = arguments.identifier(parameters, "id_number", beijing_date(at))
        clerk, purpose = arguments.clerk(parameters), arguments.purpose(parameters)
        return await self.units.acting(
            partial(shown, identifier=identifier, clerk=clerk, purpose=purpose, what=what, at=at)
        )


def shown(
    tx: ActingTransaction,
    *,
    identifier: Identifier,
    clerk: str,
    purpose: str,
    what: str,
    at: datetime,
) -> LearnerId:
    """The learner of an identifier, once it is logged who asks and what for.

    Raises:
        AccessDenied: NOT_FOUND, nothing is held under it.
    """
    learner = tx.known_learners({identifier}).get(identifier)
    if learner is None:
        raise AccessDenied(Code.NOT_FOUND, "nothing is held under this number", pointer="id_number")
    tx.log_disclosures({learner}, clerk, purpose, what, at)
    return learner


def entitlement_of(rulebook: Rulebook, named: str) -> Entitlement:
    """The entitlement that is meant: the one named, or the main policy's.

    Raises:
        RequestRejected: SCHEMA_INVALID, no adopted policy is about it.
    """
    policy = rulebook.about(named)
    if policy is None:
        raise arguments.malformed("entitlement")
    return policy.entitlement


def _finding(parameters: Parameters) -> Finding:
    return Finding(
        LearnerId(arguments.text(parameters, "first")),
        LearnerId(arguments.text(parameters, "second")),
        arguments.text(parameters, "reason"),
        arguments.text(parameters, "evidence"),
        arguments.source(parameters),
    )


def _numbered(parameters: Parameters) -> Numbered:
    scope = arguments.optional(parameters, "scope") or None
    return Numbered(arguments.text(parameters, "issuer"), arguments.text(parameters, "number"), scope)
