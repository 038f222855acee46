"""Signals at work: a worker looks at what came, and a reviewer sees, follows and closes what it found.

The worker stands beside everything else. It takes facts once an evidence root of the ledger covers them, a
slice at a time, and writes signals and how far it came in one transaction: a crash in between loses nothing
and doubles nothing. Whole rosters are looked at a little later, each at most once in ``EVERY``, page by page.
Nothing waits for it, and no decision reads what it writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from verifier.errors import AccessDenied, Code, RequestRejected
from verifier.identity import uscc as enterprise
from verifier.model.decision import Case
from verifier.model.facts import CompletionFact, EmploymentFact
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import (
    Closing,
    Finding,
    Person,
    Signal,
    SignalId,
    SignalKind,
    SignalOutcome,
    Sketch,
)
from verifier.model.time import iso
from verifier.policy.thresholds import Thresholds
from verifier.ports import Clock
from verifier.ports.signals import Check, FindingTransaction, SignalTransaction, Slice
from verifier.signals import RULES, Roster, may_be_found, of_person, of_roster, told

T = TypeVar("T")
W = TypeVar("W", SignalKind, SignalOutcome)
Parameters = Mapping[str, str]
_Page = tuple[Sequence[LearnerId], Sequence[Sketch], Sequence[Case]]
"""People of a roster: all ids, who is told by a sketch, and the others' cases."""
SLICE: Final = 1000
"""Pieces of evidence looked at in one go."""
PAGE: Final = 500
"""People of a roster read in one transaction."""
EVERY: Final = timedelta(minutes=1)
COUNTED_EVERY: Final = timedelta(minutes=1)
MOST_LISTED: Final = 1_000
MOST_SHARING: Final = 1_000
_REASON_LENGTH: Final = 1_000


class FindingUnits(Protocol):
    """Runs the worker's transactions."""

    async def looking(self, work: Callable[[FindingTransaction], T]) -> T:
        """Run one reading transaction."""
        ...

    async def finding(self, work: Callable[[FindingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...


class Counts(Protocol):
    """Where it is said how many signals there are."""

    def counted(self, signals: Mapping[tuple[str, str], int]) -> None:
        """Take over how many there are, by kind and state."""
        ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """A slice, everybody in a sketch, and whom a rule may find."""

    slice: Slice
    sketches: Sequence[Sketch]
    people: Sequence[Person]


@dataclass(slots=True)
class SignalWorker:
    """Looks for signals.

    Attributes:
        thresholds: the configured table.
        metrics: told how many there are, by kind and ``open`` or ``closed``.
    """

    units: FindingUnits
    thresholds: Thresholds
    clock: Clock
    metrics: Counts
    _counted_at: datetime | None = field(default=None)

    async def step(self) -> int:
        """Look at the next facts, or at the next roster.

        Returns:
            How many pieces of evidence it looked at; a roster counts for as many as one step takes. 0 when
            nothing is left.

        Raises:
            Unavailable: the database does not answer.
        """
        at = self.clock()
        await self._count(at)
        return await self._look_at_people(at) or await self._look_at_a_roster(at)

    async def _count(self, at: datetime) -> None:
        if self._counted_at is None or not timedelta(0) <= at - self._counted_at < COUNTED_EVERY:
            self._counted_at = at
            counts = await self.units.looking(lambda tx: tx.counts())
            states = (("open", True), ("closed", False))
            self.metrics.counted(
                {
                    (kind.value, word): counts.get((kind, still), 0)
                    for kind in SignalKind
                    for word, still in states
                }
            )

    async def _look_at_people(self, at: datetime) -> int:
        seen = await self.units.looking(lambda tx: self._see(tx, at))
        if seen is None:
            return 0
        found = [one for person in seen.people for one in of_person(person, self.thresholds)]
        listing = {row.uscc for one in seen.sketches for row in one.rows}
        listing |= {row.uscc for person in seen.people for row in person.case.employments}
        await self.units.finding(lambda tx: self._advance(tx, seen.slice, found, listing, at))
        return seen.slice.pieces

    def _see(self, tx: FindingTransaction, at: datetime) -> _Seen | None:
        next_one = tx.next_slice(SLICE)
        if next_one is None:
            return None
        sketches = tx.sketches(next_one.learners)
        opened = {one.learner_id for one in sketches if may_be_found(one, self.thresholds)}
        return _Seen(next_one, sketches, tx.persons(opened, at) if opened else ())

    def _advance(
        self, tx: FindingTransaction, done: Slice, found: list[Finding], listing: set[Uscc], at: datetime
    ) -> int:
        if not tx.advance(done):
            return 0  # another process looked at the same
        tx.ask(listing, at, at + EVERY)
        return self._keep(tx, found, at)

    async def _look_at_a_roster(self, at: datetime) -> int:
        check = await self.units.looking(lambda tx: tx.next_check(at))
        if check is None:
            return 0
        found = of_roster(await self._gather(check.uscc, at), self.thresholds, at)
        await self.units.finding(lambda tx: self._close_check(tx, check, found, at))
        return SLICE

    async def _gather(self, uscc: Uscc, at: datetime) -> Roster:
        first = await self.units.looking(lambda tx: tx.first_recorded(uscc))
        sharing = await self.units.looking(lambda tx: tx.sharing(uscc, MOST_SHARING))
        roster, behind = Roster(uscc, first, sharing), LearnerId("")
        while page := await self._page(uscc, behind, at):
            listed, sketches, cases = page
            for one in sketches:
                roster.add_sketch(one)
            for case in cases:
                roster.add(case)
            behind = listed[-1]
        return roster

    async def _page(self, uscc: Uscc, behind: LearnerId, at: datetime) -> _Page | None:
        def work(tx: FindingTransaction) -> _Page | None:
            listed = tx.listed_after(uscc, behind, PAGE)
            if not listed:
                return None
            sketches = tx.sketches(listed, shared=False)
            entangled = [one.learner_id for one in sketches if one.entangled]
            cases = tx.nameless(entangled, at) if entangled else ()
            return listed, [one for one in sketches if not one.entangled], cases

        return await self.units.looking(work)

    def _close_check(self, tx: FindingTransaction, check: Check, found: list[Finding], at: datetime) -> int:
        tx.done(check)
        return self._keep(tx, found, at)

    def _keep(self, tx: FindingTransaction, found: list[Finding], at: datetime) -> int:
        kept = tx.keep(found, RULES, self.thresholds.digest, at)
        if kept:
            self._counted_at = None  # the next step counts
        return kept


class SignalUnits(Protocol):
    """Runs a reviewer's transactions."""

    async def signalling(self, work: Callable[[SignalTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class SignalDesk:
    """What a reviewer does with signals."""

    units: SignalUnits
    clock: Clock

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations, by their names on the command line."""
        return {"signals list": self.list, "signals show": self.show, "signals close": self.close}

    async def list(self, parameters: Parameters) -> dict[str, Any]:
        """Signals, oldest first, without names: ``kind``, ``uscc``, ``all`` for the closed ones too.

        Raises:
            RequestRejected: SCHEMA_INVALID, there is no such kind; USCC_INVALID.
        """
        kind = _word(parameters, "kind", SignalKind) if parameters.get("kind") else None
        code = enterprise(parameters["uscc"]) if parameters.get("uscc") else None
        closed = bool(parameters.get("all"))
        found = await self.units.signalling(
            lambda tx: tx.signals(kind, code, closed=closed, limit=MOST_LISTED + 1), write=False
        )
        answer: dict[str, Any] = {"signals": [told(one) for one in found[:MOST_LISTED]]}
        if len(found) > MOST_LISTED:
            answer["more"] = "narrow it by kind or uscc, or close what was looked at"
        return answer

    async def show(self, parameters: Parameters) -> dict[str, Any]:
        """One signal with the facts it is about, people by name; everyone shown is in the access log.

        Raises:
            AccessDenied: NOT_FOUND.
        """
        signal_id, at = _given(parameters, "id"), self.clock()

        def work(tx: SignalTransaction) -> dict[str, Any]:
            found = _found(tx, signal_id)
            facts = [shown(fact) for fact in tx.facts_ever(found.about)]
            people = {LearnerId(fact["learner"]) for fact in facts}
            people |= {found.learner_id} if found.learner_id else set()
            operator = f"operator:{_operator(parameters)}"
            tx.log_disclosures(people, operator, found.kind.value, "signal", at)
            reason = {"closing_reason": found.closing.reason} if found.closing else {}
            pins = {"rules": found.rules, "thresholds": found.thresholds}
            return {**told(found), **reason, **pins, "facts": facts}

        return await self.units.signalling(work, write=True)

    async def close(self, parameters: Parameters) -> dict[str, Any]:
        """Close a signal: ``id``, ``outcome`` (noted or followed), ``reason``. It changes nothing else.

        Raises:
            AccessDenied: NOT_FOUND.
            Conflict: REVIEW_STATE_REFUSED, it is closed.
            RequestRejected: SCHEMA_INVALID.
        """
        signal_id, reason = _given(parameters, "id"), _given(parameters, "reason")
        outcome = _word(parameters, "outcome", SignalOutcome)
        closing = Closing(outcome, reason, _operator(parameters), self.clock())

        def work(tx: SignalTransaction) -> dict[str, Any]:
            tx.close_signal(_found(tx, signal_id), closing)
            return {"signal": signal_id, "outcome": outcome.value}

        return await self.units.signalling(work, write=True)


def shown(fact: CompletionFact | EmploymentFact) -> dict[str, Any]:
    """A fact that a signal is about, with the person's name."""
    if isinstance(fact, CompletionFact):
        said = {
            "kind": "completion",
            "name": fact.holder.raw,
            "platform": fact.platform,
            "number": fact.number,
            "course": fact.course_title,
            "completed_at": iso(fact.completed_at),
            "started_at": None if fact.started_at is None else iso(fact.started_at),
            "study_minutes": fact.study_minutes,
        }
    else:
        said = {
            "kind": "employment",
            "name": fact.name.raw,
            "enterprise": fact.uscc,
            "from": fact.start.isoformat(),
            "to": None if fact.end is None else fact.end.isoformat(),
            "post": fact.post,
            "mark": fact.mark.value,
        }
    same = {"fact": fact.fact_id, "learner": fact.learner_id, "recorded_at": iso(fact.recorded_at)}
    return {name: value for name, value in {**same, **said}.items() if value is not None}


def _found(tx: SignalTransaction, signal_id: str) -> Signal:
    found = tx.signal(SignalId(signal_id))
    if found is None:
        raise AccessDenied(Code.NOT_FOUND, "no such signal", pointer="id")
    return found


def _operator(parameters: Parameters) -> str:
    return parameters.get("operator", "") or "unnamed"


def _given(parameters: Parameters, name: str) -> str:
    value = parameters.get(name, "").strip()
    if not value or len(value) > _REASON_LENGTH or not value.isprintable():
        raise _malformed(name)
    return value


def _word(parameters: Parameters, name: str, words: type[W]) -> W:
    try:
        return words(_given(parameters, name))
    except ValueError:
        raise _malformed(name) from None


def _malformed(name: str) -> RequestRejected:
    return RequestRejected(Code.SCHEMA_INVALID, "the parameter is missing or malformed", pointer=name)
