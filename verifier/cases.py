"""A case from facts: the same for a decision that is taken and for one that is replayed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar, cast

from verifier.model.decision import Case, Entitlement, Holding
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ReleaseFact,
    RevocationFact,
    ScopeFact,
)
from verifier.model.person import LearnerId

Kind = TypeVar(
    "Kind",
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ReleaseFact,
)


class _Kinds:
    """A learner's facts by their kind: one look at each."""

    def __init__(self, facts: Sequence[AnyFact]) -> None:
        self._found: dict[type[AnyFact], list[AnyFact]] = {}
        for fact in facts:
            self._found.setdefault(type(fact), []).append(fact)

    def __call__(self, kind: type[Kind]) -> tuple[Kind, ...]:
        return tuple(cast("list[Kind]", self._found.get(kind, ())))


def assemble(
    learner: LearnerId,
    as_of: datetime,
    facts: Sequence[AnyFact],
    organisations: Sequence[AdmissionFact | ScopeFact],
    revoked: Mapping[tuple[str, str, str], RevocationFact],
    holding: Holding | None,
    merged_into: LearnerId | None = None,
    others: frozenset[Entitlement] = frozenset(),
) -> Case:
    """Everything known about one learner, as a decision looks at it.

    Args:
        learner: whose case it is.
        as_of: aware UTC.
        facts: current facts about the learner, and about those merged into it, sorted by id.
        organisations: current admissions and scope declarations, of the learner's employers at least,
            sorted by id.
        revoked: revocations by issuer, number scope and number.
        holding: the live grant.
        merged_into: the learner under whom the person is judged, where that is another one.
        others: other entitlements of which there is one.
    """
    of = _Kinds(facts)
    completions = of(CompletionFact)
    employments = tuple(fact for fact in of(EmploymentFact) if not fact.withdrawn)
    employers = {fact.uscc for fact in employments}
    withdrawn: dict[FactId, FactId] = {}
    for fact in completions:
        revocation = revoked.get((fact.issuer, fact.number_scope, fact.number))
        if revocation is not None:
            # The fact's id, never the platform's free text: that may name the person.
            withdrawn[fact.fact_id] = revocation.fact_id
    return Case(
        learner_id=learner,
        as_of=as_of,
        completions=completions,
        revoked=withdrawn,
        employments=employments,
        admissions=tuple(
            fact for fact in organisations if isinstance(fact, AdmissionFact) and fact.uscc in employers
        ),
        scopes=tuple(
            fact for fact in organisations if isinstance(fact, ScopeFact) and fact.uscc in employers
        ),
        employer_choices=of(EmployerChoiceFact),
        name_decisions=of(NameDecisionFact),
        recognised={},
        holding=holding,
        contests=of(ContestFact),
        releases=of(ReleaseFact),
        holds=of(HoldFact),
        objections=of(ObjectionFact),
        merged_into=merged_into,
        others=others,
    )
