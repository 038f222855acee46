"""Facts: append-only statements about learners and enterprises, each with its source.

A fact is never edited. A later one may name it in ``supersedes``; what was known at a date is what had
been recorded by then and not superseded by anything recorded by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from verifier.model.certificate import DocumentKind
from verifier.model.delivery import PlatformSlug
from verifier.model.person import LearnerId, PersonName, Uscc

FactId = NewType("FactId", str)


class FactKind(StrEnum):
    """The kinds of facts; the word is stored."""

    COMPLETION = "completion"
    REVOCATION = "revocation"
    EMPLOYMENT = "employment"
    ADMISSION = "admission"
    SCOPE = "scope"
    EMPLOYER_CHOICE = "employer_choice"
    NAME_DECISION = "name_decision"
    REVIEW_CLOSED = "review_closed"


class Category(StrEnum):
    """The kinds of staff that clause 一(三) of the notice names, in its own words."""

    SHIFTED_REST = "调休不歇班"
    AT_POST = "留岗"
    LOCAL_NEW_YEAR = "就地过年"
    ON_LEAVE = "在企休假"
    TECHNICAL = "技术工人"
    DISPATCHED = "劳务派遣"
    SKILLED_WITHOUT_LEVEL = "技能岗位无证"


WIDENED = frozenset({Category.TECHNICAL, Category.DISPATCHED, Category.SKILLED_WITHOUT_LEVEL})
"""Categories that count only where the enterprise widened the scope (企业可根据实际需要将范围扩大)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact came from: a delivery, a roster upload, an operator's act."""

    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class CompletionFact:
    """A learner completed a course and holds its verified certificate.

    Attributes:
        content_digest: keyed digest of the certificate's canonical content.
        holder: the name in the certificate; personal.
        first_received_at: when the signed content first reached this service; None where
            that is not known to be earlier than ``recorded_at``.
    """

    fact_id: FactId
    learner_id: LearnerId
    platform: PlatformSlug
    issuer: str
    number_scope: str
    number: str
    revision: int
    completed_at: datetime
    issued_at: datetime
    document: DocumentKind
    course_code: str
    course_title: str
    organisation: str
    key_id: str
    content_digest: bytes = field(repr=False)
    holder: PersonName
    recorded_at: datetime
    source: Source
    supersedes: FactId | None = None
    first_received_at: datetime | None = None

    @property
    def received_at(self) -> datetime:
        """When the signed content first reached this service."""
        return self.first_received_at or self.recorded_at


@dataclass(frozen=True, slots=True)
class RevocationFact:
    """An issuer withdrew a certificate number. It may be recorded before the completion is."""

    fact_id: FactId
    platform: PlatformSlug
    issuer: str
    number_scope: str
    number: str
    reason: str
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class EmploymentFact:
    """A roster's row: this enterprise lists this person from a day to a day, both inclusive.

    Attributes:
        category: None where the roster leaves it empty.
        dispatched_by: the dispatching company (派遣单位) of a dispatched worker.
        name: as the roster writes it; personal.
    """

    fact_id: FactId
    learner_id: LearnerId
    uscc: Uscc
    start: date
    end: date | None
    category: Category | None
    post: str
    dispatched_by: Uscc | None
    name: PersonName
    recorded_at: datetime
    source: Source
    supersedes: FactId | None = None


@dataclass(frozen=True, slots=True)
class AdmissionFact:
    """A bureau operator admitted an enterprise at an acceptance office, from a day to a day."""

    fact_id: FactId
    uscc: Uscc
    name: str
    office: str
    start: date
    end: date | None
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class ScopeFact:
    """An enterprise declared that it widens the scope to all its technical workers (clause 一(三))."""

    fact_id: FactId
    uscc: Uscc
    start: date
    end: date | None
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class EmployerChoiceFact:
    """A reviewer decided which of several listed enterprises is a learner's employer for a completion."""

    fact_id: FactId
    learner_id: LearnerId
    completion: FactId
    uscc: Uscc
    reason: str
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class NameDecisionFact:
    """A reviewer decided whether two unlike names under one id number are the same person's."""

    fact_id: FactId
    learner_id: LearnerId
    completion: FactId
    same_person: bool
    reason: str
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class ReviewClosedFact:
    """A reviewer closed a question; the answer is the fact that was recorded with it."""

    fact_id: FactId
    learner_id: LearnerId
    review_id: str
    outcome: str
    reason: str
    recorded_at: datetime
    source: Source


AnyFact = (
    CompletionFact
    | RevocationFact
    | EmploymentFact
    | AdmissionFact
    | ScopeFact
    | EmployerChoiceFact
    | NameDecisionFact
    | ReviewClosedFact
)
