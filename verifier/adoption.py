"""Takes up a changed trust register while the service runs, and says beforehand whose decisions would change.

1. The source form is read whole, or refused: then what was in force stays in force.
2. One transaction writes the row, the ledger entry, and everyone ever judged onto the due list. In the same
   transaction the rulebook is exchanged for whoever asks next: exchanged later, an evaluator that is quick
   would judge by the old one what is due because of the new one, and nobody would look at it again.
3. Whoever was judged meanwhile by a transaction that had begun before is put on the due list too.

Trying it out writes nothing: everyone is judged in slices, in reading transactions, and what they would be
told is compared with what they were told last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from verifier import pipeline
from verifier.errors import Code, ConfigurationError, VerifierError
from verifier.keyring import Register
from verifier.model.decision import DecisionId, State
from verifier.model.person import LearnerId
from verifier.operations import Operations, SourceForm
from verifier.pipeline import Rulebook
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
class RegisterDesk:
    """What an operator does with the register of a service that runs.

    Attributes:
        read: the source form as it stands now, or ConfigurationError.
    """

    operations: Operations
    rulebooks: Rulebooks
    read: Callable[[], Awaitable[tuple[Register, SourceForm]]]
    clock: Clock

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"register adopt": self.adopt}

    async def adopt(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Adopt the register as its source form stands: ``digest``, of what the operator looked at.

        Raises:
            ConfigurationError: it cannot be read, or is not what the operator looked at.
        """
        register, form = await self.read()
        if form.digest != parameters.get("digest"):
            detail = "the service reads another register than the one that was looked at"
            raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="register")
        before, at = self.rulebooks(), self.clock()
        taken = Rulebook(before.policies, register)
        try:
            changed = await self.operations.adopt([form], lambda: self.rulebooks.take_up(taken))
        except VerifierError:
            self.rulebooks.take_up(before)
            raise
        await self.operations.judge_again("adoption", since=at)
        return {"register": form.digest, "adopted": changed, "before": before.register.digest}


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would be followed by another one."""

    decision_id: DecisionId
    learner_id: LearnerId
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Tried:
    """A slice of people who were judged for trial.

    Attributes:
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


async def preview(units: PreviewUnits, rulebook: Rulebook, clock: Clock) -> AsyncIterator[Tried]:
    """Judge everyone ever judged by a rulebook that is not in force, and write nothing.

    Args:
        units: where to read.
        rulebook: the one to try.
        clock: aware UTC.

    Yields:
        Slice by slice, by learner id, whose decision would change.
    """
    at, after = clock(), LearnerId("")
    while True:
        tried = await units.previewing(partial(_slice, after=after, rulebook=rulebook, at=at))
        if not tried.people:
            return
        yield tried
        after = tried.last


def _slice(tx: PreviewTransaction, *, after: LearnerId, rulebook: Rulebook, at: datetime) -> Tried:
    people = tx.people_after(after, SLICE)
    changes = tuple(
        Change(before.decision_id, judgement.case.learner_id, before.state, judgement.verdict.state)
        for judgement in pipeline.judgements(tx, people, rulebook, at)
        if judgement.changed and (before := judgement.before) is not None
    )
    return Tried(len(people), changes, max(people, default=after))
