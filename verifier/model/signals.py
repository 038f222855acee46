"""Signals (疑点): patterns that call for a reviewer. None of them decides, delays or refuses anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NewType

import rfc8785

from verifier.model.decision import Case
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, EmploymentFact, EmploymentMark, FactId
from verifier.model.person import LearnerId, Uscc

SignalId = NewType("SignalId", str)


class SignalKind(StrEnum):
    """The kinds of signals; the word is stored."""

    STUDY_BEYOND_CLOCK = "study_beyond_clock"
    DAY_OVERFULL = "day_overfull"
    SESSIONS_OVERLAP = "sessions_overlap"
    ROSTER_BURST = "roster_burst"
    OUTSIDE_EMPLOYMENT = "outside_employment"
    TWO_EMPLOYERS = "two_employers"
    MARKED_BY_ROSTER = "marked_by_roster"
    UNRELATED_NAMES = "unrelated_names"
    SHARED_VALUE = "shared_value"
    SHARED_CLIENT_KEY = "shared_client_key"
    ROSTER_AFTERWARDS = "roster_afterwards"


class SignalOutcome(StrEnum):
    """What a reviewer made of a signal: taken note of, or followed up (by a hold, a review, an inquiry)."""

    NOTED = "noted"
    FOLLOWED = "followed"


@dataclass(frozen=True, slots=True)
class Former:
    """Somebody else held a certificate's number before it was corrected.

    Attributes:
        completion: what stood there then.
        employments: that person's rows, of any roster.
    """

    completion: CompletionFact
    employments: tuple[EmploymentFact, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One person as the rules look at them.

    Attributes:
        former: who held the numbers of these certificates before.
        shared: by kind of value, how many people bear the most shared one of this person's.
    """

    case: Case
    former: tuple[Former, ...] = ()
    shared: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Course:
    """A completion as far as it stands unsealed and a rule may look at it; attributes as of the fact."""

    fact_id: FactId
    platform: PlatformSlug
    completed_at: datetime
    started_at: datetime | None = None
    study_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a roster, likewise."""

    uscc: Uscc
    start: date
    end: date | None
    mark: EmploymentMark = EmploymentMark.EMPLOYED
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    """One person without their name: what is read of everybody before it is known whom a rule may find.

    Attributes:
        rows: those that were not withdrawn.
        entangled: something is known that only the whole case tells: they were merged, or a number of theirs
            was revoked or was somebody else's, or there are facts of other kinds.
        shared: as of ``Person``.
    """

    learner_id: LearnerId
    courses: tuple[Course, ...]
    rows: tuple[Row, ...]
    entangled: bool = False
    shared: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        learner_id: whom it is about; None where it is about an enterprise as a whole.
        uscc: the enterprise that it is about, if it is about one.
        about: ids of the facts to look at; of many the first ones in their written order.
        details: counts, minutes, days and codes; nothing personal.
        key: what besides kind, person and enterprise tells it from another finding.
    """

    kind: SignalKind
    learner_id: LearnerId | None
    uscc: Uscc | None
    about: tuple[FactId, ...]
    details: Mapping[str, Any]
    key: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """By which the same finding is known: it is said once."""
        told = [self.kind.value, self.learner_id or "", self.uscc or "", *self.key]
        return sha256(rfc8785.dumps(told)).digest()


@dataclass(frozen=True, slots=True)
class Closing:
    """A reviewer closed a signal.

    Attributes:
        reason: in the reviewer's words; personal. Empty where the learner's data were erased.
    """

    outcome: SignalOutcome
    reason: str = field(repr=False)
    operator: str
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """A finding that was written down.

    Attributes:
        rules: version of the rules that found it.
        thresholds: hex SHA-256 of the table of thresholds under which.
        closing: None while it is open.
    """

    signal_id: SignalId
    kind: SignalKind
    learner_id: LearnerId | None
    uscc: Uscc | None
    about: tuple[FactId, ...]
    details: Mapping[str, Any]
    rules: str
    thresholds: str
    found_at: datetime
    closing: Closing | None = None
