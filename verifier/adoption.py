"""Takes up a changed trust register or policy while the service runs, and says beforehand what would change.

1. The source form is read whole, or refused: then what was in force stays in force.
2. One transaction writes the row, the ledger entry, and a sweep over everybody. In the same transaction the
   rulebook is exchanged for whoever asks next.
3. Whoever decides holds what is in force against change until the end, and starts again where it is not what
   they decide by (``hold_rules``). So nobody who was judged by the old one is missed by the sweep.

Trying it out writes nothing: everybody is judged in slices, in reading transactions, and what they would be
told is compared with what they were told last, or with what another rulebook would tell them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from verifier import adopted, pipeline
from verifier.eligibility import trace
from verifier.errors import Code, ConfigurationError, VerifierError
from verifier.judging import Judgement
from verifier.keyring import Register
from verifier.model.decision import DecisionId, Entitlement, State, Verdict
from verifier.model.person import LearnerId
from verifier.operations import Operations, SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import load
from verifier.ports import Clock
from verifier.ports.operating import PreviewTransaction

T = TypeVar("T")
SLICE: Final = 100
"""People judged in one transaction: together they take less than a tenth of a second."""


class Rulebooks:
    """The rulebook in force, for all who decide: asked anew each time, never kept.

    Attributes:
        exchanged: how often it was; whoever has to keep something of a rulebook sees by it that it is old.
    """

    def __init__(self, rulebook: Rulebook) -> None:
        self._in_force = rulebook
        self.exchanged = 0

    def __call__(self) -> Rulebook:
        """What is in force now."""
        return self._in_force

    def take_up(self, rulebook: Rulebook) -> None:
        """Exchange it; reading and exchanging are each one step, whatever the thread."""
        self._in_force = rulebook
        self.exchanged += 1


@dataclass(frozen=True, slots=True)
class AdoptionDesk:
    """What an operator does with the rulebook of a service that runs.

    Attributes:
        read: the register's source form as it stands now, or ConfigurationError.
    """

    operations: Operations
    rulebooks: Rulebooks
    read: Callable[[], Awaitable[tuple[Register, SourceForm]]]

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"register adopt": self.adopt_register, "policy adopt": self.adopt_policy}

    async def adopt_register(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Adopt the register as its source form stands: ``digest``, of what the operator looked at.

        Raises:
            ConfigurationError: it cannot be read, or is not what the operator looked at.
        """
        register, form = await self.read()
        _require_looked_at(form, parameters)
        before = self.rulebooks().register
        changed = await self._take_up(
            form,
            lambda rulebook: Rulebook(rulebook.policies, register),
            lambda rulebook: Rulebook(rulebook.policies, before),
        )
        return {"register": form.digest, "adopted": changed, "before": before.digest}

    async def adopt_policy(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Adopt a policy in place of the one about the same: ``content`` of its file, and ``digest``.

        Raises:
            ConfigurationError: it cannot be read, no policy about the same is switched on, or other content
                was adopted under its revision.
        """
        content = parameters.get("content", "")
        policy = load(content.encode())
        form = adopted.policy_form(policy, content)
        _require_looked_at(form, parameters)
        before = adopted.stands_about(self.rulebooks(), policy.entitlement)
        known = await self.operations.units.operating(lambda tx: tx.adoptions("policy"))
        adopted.require_own_revision(policy, known)
        changed = await self._take_up(
            form,
            lambda rulebook: adopted.replaced(rulebook, policy),
            lambda rulebook: adopted.replaced(rulebook, before),
        )
        return {
            "policy": policy.pin,
            "entitlement": policy.entitlement,
            "digest": form.digest,
            "adopted": changed,
            "before": before.digest,
        }

    async def _take_up(
        self,
        form: SourceForm,
        change: Callable[[Rulebook], Rulebook],
        undo: Callable[[Rulebook], Rulebook],
    ) -> bool:
        """Adopt a form; of what others take up at the same time nothing is lost, also where this fails."""

        def taken_up() -> None:
            self.rulebooks.take_up(change(self.rulebooks()))

        try:
            done = await self.operations.adopt([form], taken_up)
        except VerifierError:
            self.rulebooks.take_up(undo(self.rulebooks()))
            raise
        # Whoever looked at what is adopted before this was committed may have taken up the old one meanwhile.
        if change(self.rulebooks()).digests != self.rulebooks().digests:
            taken_up()
        return done


def _require_looked_at(form: SourceForm, parameters: Mapping[str, str]) -> None:
    if form.digest != parameters.get("digest"):
        detail = f"the service reads another {form.kind} than the one that was looked at"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=form.kind)


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would be followed by another one.

    Attributes:
        decision_id: the one that stands; None where there is none yet.
        before: what that one says.
        same: whether the other one would come to the same, and only be taken anew.
    """

    decision_id: DecisionId | None
    learner_id: LearnerId
    before: State | None
    after: State
    entitlement: Entitlement
    same: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """A slice of people who were judged for trial.

    Attributes:
        people: those about whom there is anything to be said.
        last: from whose id on the next slice goes.
    """

    people: int
    changes: tuple[Change, ...]
    last: LearnerId


class PreviewUnits(Protocol):
    """Runs reading transactions."""

    async def previewing(self, work: Callable[[PreviewTransaction], T]) -> T:
        """Run one reading transaction."""
        ...


async def preview(
    units: PreviewUnits, rulebook: Rulebook, clock: Clock, against: Rulebook | None = None
) -> AsyncIterator[Tried]:
    """Judge everybody by a rulebook that is not in force, and write nothing.

    What one decision would free or take of another entitlement is not carried further: each is judged by the
    grants that stand.

    Args:
        units: where to read.
        rulebook: the one to try.
        clock: aware UTC.
        against: what it is compared with, in place of the recorded decisions; with the same entitlements.

    Yields:
        Slice by slice, by learner id, whose decision would change.
    """
    at, after = clock(), LearnerId("")
    while True:
        part = partial(_slice, after=after, rulebook=rulebook, against=against, at=at)
        tried = await units.previewing(part)
        if tried is None:
            return
        yield tried
        after = tried.last


def _slice(
    tx: PreviewTransaction, *, after: LearnerId, rulebook: Rulebook, against: Rulebook | None, at: datetime
) -> Tried | None:
    people = tx.people_after(after, SLICE)
    if not people:
        return None
    judged = list(pipeline.judgements(tx, people, rulebook, at))
    before = [] if against is None else list(pipeline.judgements(tx, people, against, at))
    said = {_key(one): one.verdict for one in before}
    changes = _against(judged, said) if against is not None else _recorded(tx, judged)
    return Tried(len({one.case.learner_id for one in judged}), tuple(changes), max(people))


def _key(judgement: Judgement) -> tuple[LearnerId, Entitlement]:
    return judgement.case.learner_id, judgement.verdict.entitlement


def _gist(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a decision comes to: not its words, its revisions, or what it stands on."""
    gist = {key: said[key] for key in ("state", "candidate", "month", "office", "dispatched_by")}
    outcomes = ((clause["clause"], clause["outcome"]) for clause in said["clauses"])
    gist["open"] = sorted(
        (name, said["answer"], said.get("missing", "")) for name, said in outcomes if said["answer"] != "met"
    )
    return gist


def _against(
    judged: Sequence[Judgement], said: Mapping[tuple[LearnerId, Entitlement], Verdict]
) -> Iterator[Change]:
    for one in judged:
        verdict, other = one.verdict, said.get(_key(one))
        if other is None or _gist(trace(verdict)) != _gist(trace(other)):
            last = one.before.decision_id if one.before else None
            state = other.state if other else None
            yield Change(last, one.case.learner_id, state, verdict.state, verdict.entitlement)


def _recorded(tx: PreviewTransaction, judged: Sequence[Judgement]) -> Iterator[Change]:
    changed = [one for one in judged if one.changed]
    traces: dict[tuple[LearnerId, Entitlement], Mapping[str, Any]] = {}
    for entitlement in {one.verdict.entitlement for one in changed}:
        learners = {one.case.learner_id for one in changed if one.verdict.entitlement == entitlement}
        for who, latest in tx.latest_traces(learners, entitlement).items():
            traces[who, entitlement] = latest.trace
    for one in changed:
        verdict, before, recorded = one.verdict, one.before, traces.get(_key(one))
        same = recorded is not None and _gist(recorded) == _gist(trace(verdict))
        yield Change(
            before.decision_id if before else None,
            one.case.learner_id,
            before.state if before else None,
            verdict.state,
            verdict.entitlement,
            same,
        )
