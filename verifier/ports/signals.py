"""What finding, showing and closing signals needs of transactions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from verifier.model.decision import Case
from verifier.model.facts import CompletionFact, EmploymentFact, FactId
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Closing, Finding, Person, Signal, SignalId, SignalKind, Sketch


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far facts were looked at: the ledger index of their evidence root, and the last one under it."""

    position: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Facts that are to be looked at next.

    Attributes:
        before: where the cursor stood.
        after: where it stands once these were looked at.
        learners: under whom those they are about are judged.
        pieces: of evidence between the two.
    """

    before: Cursor
    after: Cursor
    learners: Collection[LearnerId]
    pieces: int


@dataclass(frozen=True, slots=True)
class Check:
    """An enterprise that is to be looked at, and the rows that ask for it."""

    uscc: Uscc
    rows: Sequence[str]


class FindingTransaction(Protocol):
    """Looks at what came, and writes down what was found."""

    def next_slice(self, limit: int) -> Slice | None:
        """The next facts under an evidence root; None where all were looked at."""
        ...

    def sketches(self, learners: Collection[LearnerId], *, shared: bool = True) -> Sequence[Sketch]:
        """These people without their names; ``shared`` only if it is asked for."""
        ...

    def persons(self, learners: Collection[LearnerId], at: datetime) -> Sequence[Person]:
        """These people, with their names."""
        ...

    def next_check(self, at: datetime) -> Check | None:
        """The enterprise that waits longest, where one is ripe."""
        ...

    def listed_after(self, uscc: Uscc, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners that any row of an enterprise's roster names, by id."""
        ...

    def nameless(self, learners: Collection[LearnerId], at: datetime) -> Sequence[Case]:
        """The cases under which these are judged; no name in them is opened."""
        ...

    def first_recorded(self, uscc: Uscc) -> datetime | None:
        """When the first row of an enterprise's rosters was recorded."""
        ...

    def sharing(self, uscc: Uscc, limit: int) -> Collection[Uscc]:
        """Other enterprises whose rosters came through a client that holds the same public key."""
        ...

    def advance(self, found: Slice) -> bool:
        """Move the cursor; False if somebody else moved it meanwhile."""
        ...

    def ask(self, enterprises: Collection[Uscc], at: datetime, not_before: datetime) -> None:
        """Note that these enterprises are to be looked at, from a moment on."""
        ...

    def done(self, check: Check) -> None:
        """An enterprise was looked at; what asks for it since then stays."""
        ...

    def keep(self, findings: Collection[Finding], rules: str, thresholds: str, at: datetime) -> int:
        """Write down what was not found before.

        Returns:
            How many are new.
        """
        ...

    def counts(self) -> Mapping[tuple[SignalKind, bool], int]:
        """How many signals there are, by kind and whether they are open."""
        ...


class SignalTransaction(Protocol):
    """Shows and closes signals."""

    def signals(
        self, kind: SignalKind | None, uscc: Uscc | None, *, closed: bool, limit: int
    ) -> Sequence[Signal]:
        """Signals, oldest first; reasons of closed ones are not opened."""
        ...

    def signal(self, signal_id: SignalId) -> Signal | None:
        """One signal, with the reason for which it was closed."""
        ...

    def facts_ever(self, facts: Collection[FactId]) -> Sequence[CompletionFact | EmploymentFact]:
        """Those of these facts a rule may be about, with their names; the superseded ones too, by id."""
        ...

    def close_signal(self, signal: Signal, closing: Closing) -> None:
        """Close a signal."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Record that somebody was shown something of these learners."""
        ...
