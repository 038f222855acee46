"""Facts: append-only statements about learners and enterprises, each with its source.

A fact is never edited. A later one may name it in ``supersedes``; what was known at a date is what had
been recorded by then and not superseded by anything recorded by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from verifier.model.certificate import DocumentKind, SkillLevel
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
    MERGE = "merge"
    NOT_SAME = "not_same"
    CONTEST = "contest"
    RELEASE = "release"
    HOLD = "hold"
    OBJECTION = "objection"


class Category(StrEnum):
    """The kinds of staff that clause 一(三) of the notice names, in its own words."""

    SHIFTED_REST = "调休不歇班"
    AT_POST = "留岗"
    LOCAL_NEW_YEAR = "就地过年"
    ON_LEAVE = "在企休假"
    TECHNICAL = "技术工人"
    DISPATCHED = "劳务派遣"
    SKILLED_WITHOUT_LEVEL = "技能岗位无证"


class EmploymentMark(StrEnum):
    """What a roster says of somebody's state besides the days; it is no clause, but a reviewer may ask."""

    EMPLOYED = "在职"
    LEFT = "离职"
    RETIRED = "退休"
    STUDENT = "在校学生"


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
        weak: by what the certificate names its holder, where that is weaker than an identifier (a phone
            number, an account); empty otherwise. Such a completion is a provisional learner's, until a
            reviewer merges that one with a person.
        level: of a skill-level certificate, where it states one.
        started_at: when learning began, as the certificate says; no clause looks at it.
        study_minutes: how long was learned, as the certificate says; no clause looks at it.
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
    weak: str = ""
    level: SkillLevel | None = None
    started_at: datetime | None = None
    study_minutes: int | None = None

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
        mark: what the roster says of the person's state.
        withdrawn: the enterprise took the row back; it says what the row said, and nothing of it counts.
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
    mark: EmploymentMark = EmploymentMark.EMPLOYED
    withdrawn: bool = False


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
    supersedes: FactId | None = None


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


@dataclass(frozen=True, slots=True)
class MergeFact:
    """A person decided that two learners are one; one that is undone supersedes it.

    Attributes:
        other: the learner that is the same person as ``learner_id``.
        evidence: what was looked at, in the reviewer's words; personal, as ``reason`` is.
        normaliser: version of the identity rules under which the two were told apart.
        undone: the two turned out not to be one.
    """

    fact_id: FactId
    learner_id: LearnerId
    other: LearnerId
    reason: str = field(repr=False)
    evidence: str = field(repr=False)
    normaliser: str
    recorded_at: datetime
    source: Source
    undone: bool = False
    supersedes: FactId | None = None


@dataclass(frozen=True, slots=True)
class NotSameFact:
    """A person decided that two learners are not one: neither is proposed for the other again."""

    fact_id: FactId
    learner_id: LearnerId
    other: LearnerId
    reason: str = field(repr=False)
    evidence: str = field(repr=False)
    normaliser: str
    recorded_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class ContestFact:
    """A worker says that an enterprise lists them wrongly. A reviewer's answer supersedes it.

    Attributes:
        upheld: None while it is open; then whether the listing does not count.
    """

    fact_id: FactId
    learner_id: LearnerId
    uscc: Uscc
    reason: str = field(repr=False)
    recorded_at: datetime
    source: Source
    upheld: bool | None = None
    supersedes: FactId | None = None


class Wish(StrEnum):
    """At whose wish a month is released."""

    EMPLOYER = "employer"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class ReleaseFact:
    """An enterprise gives a completion up, or the bureau takes it from there at the worker's wish.

    Attributes:
        number: with ``issuer`` and ``number_scope``: which completion, also once it is corrected.
        uscc: under which employer it no longer counts.
        withdrawn: the release no longer holds.
    """

    fact_id: FactId
    learner_id: LearnerId
    entitlement: str
    issuer: str
    number_scope: str
    number: str
    uscc: Uscc
    wish: Wish
    reason: str = field(repr=False)
    recorded_at: datetime
    source: Source
    withdrawn: bool = False
    supersedes: FactId | None = None


@dataclass(frozen=True, slots=True)
class HoldFact:
    """A reviewer suspends a learner's decisions, with a reason and an end.

    Attributes:
        until: the first moment at which it no longer holds.
        lifted: it was ended before.
    """

    fact_id: FactId
    learner_id: LearnerId
    until: datetime
    reason: str = field(repr=False)
    recorded_at: datetime
    source: Source
    lifted: bool = False
    supersedes: FactId | None = None


class ObjectionKind(StrEnum):
    """更正, 异议 and 申诉: to mend what is held, against a decision, against the outcome of another one."""

    CORRECTION = "correction"
    OBJECTION = "objection"
    APPEAL = "appeal"


class ObjectionState(StrEnum):
    """Where it stands: taken in, answered one way or the other, or taken back by who raised it."""

    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ObjectionFact:
    """One state of a correction, objection or appeal; the next state supersedes it.

    Attributes:
        number: under which whoever raised it asks for it; the same in every state.
        topic: ``month`` (already granted), ``decision``, ``listing``, ``identity`` or ``data``.
        about: the decision, fact or earlier objection that it is about; empty where it is about none.
        raised_by: ``worker`` or the code of the enterprise.
        party: who has to answer.
        answer_by: the day until which it is to be answered; None where no term is configured.
        text: what is said of this state: the claim, or the answer; personal.
        salt: of an answer: the salt of its digest in the signed outcome; kept as secret as the text.
    """

    fact_id: FactId
    learner_id: LearnerId
    number: str
    kind: ObjectionKind
    topic: str
    about: str
    raised_by: str
    party: str
    answer_by: date | None
    state: ObjectionState
    text: str = field(repr=False)
    recorded_at: datetime
    source: Source
    supersedes: FactId | None = None
    salt: str = field(default="", repr=False)


AnyFact = (
    CompletionFact
    | RevocationFact
    | EmploymentFact
    | AdmissionFact
    | ScopeFact
    | EmployerChoiceFact
    | NameDecisionFact
    | ReviewClosedFact
    | MergeFact
    | NotSameFact
    | ContestFact
    | ReleaseFact
    | HoldFact
    | ObjectionFact
)
