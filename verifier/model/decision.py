"""Decisions: what a written policy says about one learner's entitlement, clause by clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

from verifier.errors import Party
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ReleaseFact,
    ScopeFact,
)
from verifier.model.person import LearnerId, Uscc
from verifier.model.trust import Recognition

DecisionId = NewType("DecisionId", str)
Entitlement = NewType("Entitlement", str)
"""A stable key that a policy declares, such as ``online-training-month``; never a version or a digest."""


@dataclass(frozen=True, slots=True)
class Met:
    """The clause is fulfilled."""

    why: str


@dataclass(frozen=True, slots=True)
class NotMet:
    """The clause is not fulfilled, and no missing fact could change that."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact is missing. Unknown is not no: the decision waits for it.

    Attributes:
        why: in Chinese, for the reader of the trace.
        missing: a stable word for what is missing.
        party: who can supply it.
    """

    why: str
    missing: str
    party: Party


Outcome = Met | NotMet | Unknown


class State(StrEnum):
    """What a decision says."""

    GRANTED = "granted"
    REFUSED = "refused"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One clause's answer for the chosen candidate.

    Attributes:
        clause: the clause's stable id.
        revision: the released revision of its function.
        title: in Chinese.
        citation: where it is written, or that it is our reading.
        facts: ids of the facts it looked at.
    """

    clause: str
    revision: int
    title: str
    citation: str
    outcome: Outcome
    facts: tuple[FactId, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """The live grant, if any: which completion and employer hold the month.

    Attributes:
        blocked: a revoked grant's month was claimed or paid and has not been given back yet.
        owed: the month is claimed or paid, so that it is not simply free when its grant falls.
    """

    issuer: str
    number_scope: str
    number: str
    uscc: Uscc
    blocked: bool = False
    owed: bool = False

    @classmethod
    def elsewhere(cls) -> Holding:
        """The month is claimed or paid under another learner of the same person, and not returned yet."""
        return cls("", "", "", Uscc(""), blocked=True)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything known about one learner that a decision may look at, as of one moment.

    Attributes:
        completions: current ones (not superseded); the revoked among them are named in ``revoked``.
        revoked: completion fact id -> the fact that revokes its number.
        employments: current rows of every roster that lists the learner.
        recognised: per platform, the intervals in which it is recognised; an absent platform is unlisted.
        doubtful: completions whose key the register calls compromised since before they were first received.
        contests: listings that the worker contests, open or answered.
        releases: completions that were given up under an employer.
        holds: a reviewer's suspensions, also ended ones.
        objections: corrections, objections and appeals, in their newest state.
        merged_into: the learner whose case this person's facts are, where that is another one; then
            there are no facts here.
        others: other entitlements of which the learner holds a grant that was not given back.
    """

    learner_id: LearnerId
    as_of: datetime
    completions: tuple[CompletionFact, ...]
    revoked: Mapping[FactId, FactId]
    employments: tuple[EmploymentFact, ...]
    admissions: tuple[AdmissionFact, ...]
    scopes: tuple[ScopeFact, ...]
    employer_choices: tuple[EmployerChoiceFact, ...]
    name_decisions: tuple[NameDecisionFact, ...]
    recognised: Mapping[PlatformSlug, tuple[Recognition, ...]]
    holding: Holding | None = None
    doubtful: frozenset[FactId] = frozenset()
    contests: tuple[ContestFact, ...] = ()
    releases: tuple[ReleaseFact, ...] = ()
    holds: tuple[HoldFact, ...] = ()
    objections: tuple[ObjectionFact, ...] = ()
    merged_into: LearnerId | None = None
    others: frozenset[Entitlement] = frozenset()


@dataclass(frozen=True, slots=True)
class Pins:
    """What a decision stands on, so that it can be replayed bit for bit.

    Attributes:
        policy: policy id and revision, as ``online-training-month@1``.
        parameters: hex SHA-256 of the parameter file.
        register: hex SHA-256 of the trust register.
        normaliser: version of the identity rules.
    """

    policy: str
    parameters: str
    register: str
    normaliser: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion with the employer under whom it could count."""

    completion: FactId
    employment: FactId | None
    uscc: Uscc | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says of a case; becomes a decision's revision when it is recorded.

    Attributes:
        candidate: the chosen completion and employer; None when there is no completion left.
        clauses: the answers for the chosen candidate, in the policy's order.
        month: the subsidy month, first day; None unless granted.
        office: acceptance office of the claiming employer at the completion date; empty if unknown.
        dispatched_by: the dispatching company where the worker is a dispatched one.
        waiting: candidates that would be granted were the month free, in the written order.
        not_evaluated: what the notice points to but whose text or amount is not configured.
        facts: ids of every fact in the case, sorted.
        merged_into: the learner under whom the person is judged, where that is another one.
        others: what the case says of other entitlements; None where the policy is not exclusive, so that
            it does not stand on them.
    """

    state: State
    entitlement: Entitlement
    learner_id: LearnerId
    as_of: datetime
    candidate: Candidate | None
    holding: Holding | None
    clauses: tuple[ClauseResult, ...]
    month: date | None
    office: str
    dispatched_by: Uscc | None
    waiting: tuple[Candidate, ...]
    not_evaluated: tuple[str, ...]
    facts: tuple[FactId, ...]
    pins: Pins
    reviews: tuple[ReviewNeed, ...] = ()
    merged_into: LearnerId | None = None
    others: frozenset[Entitlement] | None = None


@dataclass(frozen=True, slots=True)
class ReviewNeed:
    """A question that only a person may answer.

    Attributes:
        kind: ``employer_choice``, ``name_mismatch``, ``shared_number``, ``weak_identity``,
            ``listing_contest``, ``second_roster`` or ``completion_conflict``.
        about: fact ids the question is about, sorted; with the kind they make the question unique.
    """

    kind: str
    about: tuple[FactId, ...]


@dataclass(frozen=True, slots=True)
class LatestDecision:
    """The newest decision of a learner, as far as the next one depends on it.

    Attributes:
        material: digest of what the decision says, without the moment it was taken.
    """

    decision_id: DecisionId
    revision: int
    state: State
    material: bytes
