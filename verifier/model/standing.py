"""What an enterprise is told of people: the answers of ``verifier.standing``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from verifier.errors import Party
from verifier.model.delivery import PlatformSlug


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
class Reason:
    """One clause's answer.

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
