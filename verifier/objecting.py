"""Where corrections, objections and appeals are taken in, looked at and answered.

``ObjectionDesk.table`` is what an operator does, for a worker whose id card was seen, or as whoever answers;
``EmployerDesk`` is what an enterprise does over the network: it also gives months up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from verifier import acts, arguments, objections, standing, trial
from verifier.acts import Said
from verifier.arguments import Parameters
from verifier.errors import AccessDenied, Code
from verifier.model.access import Client
from verifier.model.facts import ObjectionFact, ObjectionKind, ObjectionState, Source, Wish
from verifier.model.person import IdentityClaims, LearnerId, Uscc
from verifier.model.time import beijing_date
from verifier.objections import TOPICS, WORKER, Raised
from verifier.people import ActingUnits, Operation, PeopleDesk, entitlement_of, shown
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.acting import ActingTransaction

OVERDUE: Final = "overdue"
PURPOSE: Final = "objection"


@dataclass(frozen=True, slots=True)
class Register:
    """What taking in and answering needs besides the transaction.

    Attributes:
        answer_days: within which an answer is due; 0 where no term is configured.
    """

    units: ActingUnits
    rulebook: Callable[[], Rulebook]
    clock: Clock
    new_id: NewId
    randbytes: RandomBytes
    answer_days: int

    async def carry_out(self, cause: Callable[[ActingTransaction], Any], at: datetime) -> Any:
        """Do it, and decide what follows from it in the same transaction."""
        done = await self.units.acting(trial.carry_out(cause, self.rulebook, at, self.new_id))
        return done.result

    async def take(self, raised: Callable[[ActingTransaction], Raised], at: datetime) -> dict[str, Any]:
        """Take one in; errors as ``objections.raise_one``."""

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            fact = objections.raise_one(
                tx,
                raised(tx),
                answer_days=self.answer_days,
                number=partial(objections.new_number, at, self.randbytes),
                new_id=self.new_id,
            )
            return objections.summary(objections.Objection(fact, fact), at)

        answer: dict[str, Any] = await self.carry_out(cause, at)
        return answer


@dataclass(frozen=True, slots=True)
class ObjectionDesk:
    """What an operator does with them."""

    register: Register

    def table(self) -> Mapping[str, Operation]:
        """Its operations by their names on the command line."""
        return {
            "objection open": self.open,
            "objection list": self.listing,
            "objection show": self.show,
            "objection answer": self.answer,
            "objection withdraw": self.withdraw,
        }

    async def open(self, parameters: Parameters) -> dict[str, Any]:
        """Take in a worker's: ``kind``, ``topic``, ``about``, ``purpose``, ``id_number``, ``text``."""
        at = self.register.clock()
        kind, topic = _kind(parameters), _word(parameters, "topic", TOPICS)
        about, text = arguments.optional(parameters, "about"), arguments.prose(parameters, "text")
        identifier = arguments.identifier(parameters, "id_number", beijing_date(at))
        clerk, purpose = arguments.clerk(parameters), arguments.purpose(parameters)
        source = arguments.source(parameters)

        def raised(tx: ActingTransaction) -> Raised:
            learner = shown(
                tx, identifier=identifier, clerk=clerk, purpose=purpose, what="objection raised", at=at
            )
            return Raised(learner, kind, topic, about, WORKER, text, source, at)

        return await self.register.take(raised, at)

    async def listing(self, parameters: Parameters) -> dict[str, Any]:
        """Every one in a ``state``, ``overdue`` ones, or all; nothing personal."""
        at = self.register.clock()
        wanted = arguments.optional(parameters, "state")
        if wanted:
            _word(parameters, "state", (*ObjectionState, OVERDUE))
        found = await self.register.units.reading_acts(lambda tx: objections.folded(tx.objections()))
        said = [objections.summary(one, at) for one in found]
        return {
            "objections": [
                one for one in said if wanted in {"", one["state"]} or (wanted == OVERDUE and one["overdue"])
            ]
        }

    async def show(self, parameters: Parameters) -> dict[str, Any]:
        """One with what was said and its signed outcome: ``number``; the showing is logged."""
        at, number = self.register.clock(), arguments.text(parameters, "number")
        clerk = arguments.clerk(parameters)

        def work(tx: ActingTransaction) -> dict[str, Any]:
            one = objections.find(tx, number)
            tx.log_disclosures({one.newest.learner_id}, clerk, PURPOSE, "objection shown", at)
            return objections.whole(one, at, tx.signed_outcomes({number}))

        answer: dict[str, Any] = await self.register.units.acting(work)
        return answer

    async def answer(self, parameters: Parameters) -> dict[str, Any]:
        """Answer one: ``number``, ``outcome`` (``upheld`` or ``rejected``), ``text``."""
        at, number = self.register.clock(), arguments.text(parameters, "number")
        outcome = _word(parameters, "outcome", (ObjectionState.UPHELD.value, ObjectionState.REJECTED.value))
        text, source = arguments.prose(parameters, "text"), arguments.source(parameters)
        salt = objections.new_salt(self.register.randbytes)
        return await self._change(
            at,
            partial(
                objections.answer,
                number=number,
                outcome=ObjectionState(outcome),
                text=text,
                salt=salt,
                at=at,
                new_id=self.register.new_id,
                source=source,
            ),
        )

    async def withdraw(self, parameters: Parameters) -> dict[str, Any]:
        """Whoever raised it takes it back: ``number``."""
        at, number = self.register.clock(), arguments.text(parameters, "number")
        source = arguments.source(parameters)
        return await self._change(
            at, partial(objections.withdraw, number=number, at=at, new_id=self.register.new_id, source=source)
        )

    async def _change(
        self, at: datetime, act: Callable[[ActingTransaction], ObjectionFact]
    ) -> dict[str, Any]:
        def cause(tx: ActingTransaction) -> dict[str, Any]:
            return objections.summary(objections.find(tx, act(tx).number), at)

        answer: dict[str, Any] = await self.register.carry_out(cause, at)
        return answer


def desks(register: Register) -> tuple[PeopleDesk, ObjectionDesk]:
    """Everything that an operator does about people."""
    people = PeopleDesk(
        register.units, register.rulebook, register.clock, register.new_id, register.randbytes
    )
    return people, ObjectionDesk(register)


@dataclass(frozen=True, slots=True)
class EmployerDesk:
    """What an enterprise says about its own people, besides its roster.

    Whether the client may act for the enterprise is the web's to check. Anybody who is not its own does not
    exist for it: the answer is that of a person nobody ever heard of.
    """

    register: Register

    async def release(
        self, client: Client, uscc: Uscc, who: IdentityClaims, reason: str, entitlement: str = ""
    ) -> dict[str, Any]:
        """Give up the month that the enterprise holds for somebody; errors as ``acts.release``."""
        at = self.register.clock()
        wanted = entitlement_of(self.register.rulebook(), entitlement)

        def cause(tx: ActingTransaction) -> dict[str, Any]:
            learner = _own(tx, client, uscc, who, "release", at)
            said = Said(learner, reason, Source("client", client.client_id), at)
            new = acts.release(tx, said, uscc, wanted, Wish.EMPLOYER, new_id=self.register.new_id)
            return {"released": True, "new": new}

        answer: dict[str, Any] = await self.register.carry_out(cause, at)
        return answer

    async def object(
        self,
        client: Client,
        uscc: Uscc,
        who: IdentityClaims,
        kind: str,
        topic: str,
        about: str,
        text: str,
    ) -> dict[str, Any]:
        """Raise a correction, objection or appeal about somebody; errors as ``objections.raise_one``."""
        at = self.register.clock()
        said = {"kind": kind, "topic": topic, "text": text, "about": about}
        of_kind, on = _kind(said), _word(said, "topic", TOPICS)
        about, text = arguments.optional(said, "about"), arguments.prose(said, "text")

        def raised(tx: ActingTransaction) -> Raised:
            learner = _own(tx, client, uscc, who, "objection raised", at)
            return Raised(learner, of_kind, on, about, uscc, text, Source("client", client.client_id), at)

        return await self.register.take(raised, at)

    async def objections(self, uscc: Uscc) -> dict[str, Any]:
        """Those that the enterprise raised, without what was said."""
        at = self.register.clock()
        found = await self.register.units.reading_acts(lambda tx: objections.folded(tx.objections(uscc)))
        return {"objections": [objections.summary(one, at) for one in found]}

    async def objection(self, client: Client, uscc: Uscc, number: str) -> dict[str, Any]:
        """One that the enterprise raised; any other does not exist for it."""
        at = self.register.clock()

        def work(tx: ActingTransaction) -> dict[str, Any]:
            one = objections.find(tx, number)
            if one.newest.raised_by != uscc:
                raise AccessDenied(Code.NOT_FOUND, "no such number", pointer="number")
            tx.log_disclosures({one.newest.learner_id}, client.client_id, PURPOSE, "objection shown", at)
            return objections.whole(one, at, tx.signed_outcomes({number}))

        answer: dict[str, Any] = await self.register.units.acting(work)
        return answer


def _own(
    tx: ActingTransaction, client: Client, uscc: Uscc, who: IdentityClaims, what: str, at: datetime
) -> LearnerId:
    found = standing.employee(tx, uscc, who, at)
    if found is None:
        raise AccessDenied(Code.NOT_FOUND)
    tx.log_disclosures({found}, client.client_id, "enterprise", what, at)
    return found


def _kind(parameters: Parameters) -> ObjectionKind:
    return ObjectionKind(_word(parameters, "kind", [kind.value for kind in ObjectionKind]))


def _word(parameters: Parameters, name: str, words: Any) -> str:
    word = arguments.text(parameters, name)
    if word not in words:
        raise arguments.malformed(name)
    return word
