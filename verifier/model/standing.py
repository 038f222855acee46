"""What an enterprise is told of people: the answers of ``verifier.standing``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import msgspec

from verifier.errors import Party
from verifier.model.certificate import DocumentKind
from verifier.model.decision import State
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import FactId
from verifier.model.person import Uscc


class Standing(StrEnum):
    """Where a person, or one completion, stands with the enterprise that asks. The word is answered."""

    GRANTED_HERE = "granted_here"
    MONTH_TAKEN = "month_taken"
    PENDING = "pending"
    REFUSED = "refused"
    NOT_RECEIVED = "not_received"
    NOT_LISTED = "not_listed"
    INVALID_ID = "invalid_id"


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completion says beside its number and its holder's name; members as in ``CompletionFact``."""

    fact_id: FactId
    platform: PlatformSlug
    completed_at: datetime
    recorded_at: datetime
    document: DocumentKind
    course_title: str


@dataclass(frozen=True, slots=True)
class Listed:
    """From when to when an enterprise lists somebody."""

    uscc: Uscc
    start: date
    end: date | None


@dataclass(frozen=True, slots=True)
class Outline:
    """What an answer about somebody needs of a case where decisions are recorded: nothing that is sealed.

    Attributes:
        completions: in any order.
        listings: rows that no enterprise took back, in any order.
        contested: enterprises whose listing is contested, or was found not to count.
        refuted: those of them whose listing was found not to count.
    """

    completions: tuple[Completed, ...] = ()
    listings: tuple[Listed, ...] = ()
    contested: frozenset[Uscc] = frozenset()
    refuted: frozenset[Uscc] = frozenset()


@dataclass(frozen=True, slots=True)
class Recorded:
    """The newest decision of a learner.

    Attributes:
        trace: as ``verifier.eligibility.trace`` made it, in JSON.
    """

    state: State
    decided_at: datetime
    trace: str


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One clause's answer; its members are answered in this order, those that do not apply left out.

    A struct, because a long answer has a hundred thousand of them.

    Attributes:
        answer: ``met``, ``not_met`` or ``unknown``.
        why: in Chinese.
        missing: for ``unknown``: a stable word for what is missing, else empty.
        party: for ``unknown``: who can supply it.
    """

    clause: str
    title: str
    citation: str
    answer: str
    why: str
    missing: str = ""
    party: Party | None = None


@dataclass(frozen=True, slots=True)
class Mend:
    """What somebody can do about it, in Chinese."""

    party: Party
    what: str


@dataclass(frozen=True, slots=True)
class CompletionStanding:
    """One received completion, as the enterprise is shown it.

    Attributes:
        course_title: None where no roster covers the day.
        completed_on: in Beijing's calendar.
        received_at: when what stands here now came in, aware UTC.
        month: the subsidy month, first day, where it is granted here.
        decided_at: of the recorded decision that is shown; None where the clauses were asked for this answer.
    """

    platform: PlatformSlug
    platform_name: str
    course_title: str | None
    completed_on: date
    received_at: datetime
    state: Standing
    month: date | None
    decided_at: datetime | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class PersonStanding:
    """The answer about one person.

    Attributes:
        completions: by completion date; none unless the person is on the enterprise's roster.
        mend: who can do what about it.
        evaluating: the person waits to be judged again, so that what is shown may be about to change.
    """

    state: Standing
    completions: tuple[CompletionStanding, ...] = ()
    mend: tuple[Mend, ...] = ()
    evaluating: bool = False


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """The answer to one call.

    Attributes:
        admitted: whether the enterprise is told anything about people.
        as_of: what is recorded up to this moment is considered, aware UTC.
        policy: id and revision of the policy in force.
        first: position, in the call, of the first person answered here; for calls answered in slices.
        people: in the order they were asked for; no number or name is repeated.
    """

    admitted: bool
    as_of: datetime
    policy: str
    first: int
    people: tuple[PersonStanding, ...]
