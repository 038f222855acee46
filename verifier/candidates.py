"""The candidates of a case: each completion with each row of a roster that covers its day. Pure.

1. A row counts from its first to its last day, both included, unless its worker contested the enterprise's
   listing and a reviewer upheld that. A completion that no row covers is a candidate without employer.
2. The written order is: completed_at, issuer, number scope, number, employer's code; what is left alike is
   told apart by the row's days, by whether it bears the completion's own id number, and by the facts' ids.
3. What a reviewer decided on a completion is about exactly that fact: a corrected one is asked about anew. A
   word on a name is about rows that were there to be seen, not about later uploads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from verifier.identity import compare_names
from verifier.model.decision import Case
from verifier.model.facts import (
    CompletionFact,
    EmployerChoiceFact,
    EmploymentFact,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ObjectionState,
    ReleaseFact,
)
from verifier.model.person import NameRelation, PersonName
from verifier.model.time import beijing_date, covers
from verifier.policy import ClauseFacts
from verifier.policy.parameters import MOST_NAMES

Decided = TypeVar("Decided", EmployerChoiceFact, NameDecisionFact)


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the clauses of one entitlement look at it.

    Attributes:
        entitlement: what the policy gives; releases are of one entitlement.
        names: how many unrelated names stand under the person, as ``unrelated_names`` counts them.
    """

    case: Case
    entitlement: str
    names: int

    @classmethod
    def of(cls, case: Case, entitlement: str) -> CaseView:
        """Look at a case; what depends on the case alone is computed once."""
        return cls(case, entitlement, unrelated_names(case))

    def candidates(self) -> list[ClauseFacts]:
        """Every candidate in the written order, as if the month were free."""
        found: list[ClauseFacts] = []
        for completion in self.case.completions:
            covering = self.covering(completion)
            found.extend(self.facts(completion, row, covering) for row in covering or (None,))
        return sorted(found, key=_written_order)

    def covering(self, completion: CompletionFact) -> tuple[EmploymentFact, ...]:
        """The rows, of any enterprise, that count on the day of a completion."""
        day = beijing_date(completion.completed_at)
        refuted = {contest.uscc for contest in self.case.contests if contest.upheld}
        return tuple(
            row
            for row in self.case.employments
            if row.uscc not in refuted and covers(row.start, row.end, day)
        )

    def facts(
        self, completion: CompletionFact, row: EmploymentFact | None, covering: tuple[EmploymentFact, ...]
    ) -> ClauseFacts:
        """What a clause may look at of one candidate, as if the month were free.

        Args:
            completion: one of the case's.
            row: one of ``covering``; None where no roster covers the day.
            covering: as the method of that name says.
        """
        case, uscc = self.case, row.uscc if row else None
        seen = (d for d in case.name_decisions if row is not None and row.recorded_at <= d.recorded_at)
        return ClauseFacts(
            completion=completion,
            employment=row,
            covering=covering,
            revoked=completion.fact_id in case.revoked,
            doubtful=completion.fact_id in case.doubtful,
            recognised=case.recognised.get(completion.platform, ()),
            admissions=tuple(admission for admission in case.admissions if admission.uscc == uscc),
            scopes=tuple(scope for scope in case.scopes if scope.uscc == uscc),
            choice=_newest(case.employer_choices, completion),
            name_decision=_newest(seen, completion),
            # A provisional learner's own completion; merged with a person it is that person's.
            identified=not completion.weak or completion.learner_id != case.learner_id,
            unrelated_names=self.names,
            contest=next((c for c in case.contests if c.uscc == uscc and c.upheld is None), None),
            release=self._release(completion, row),
            hold=hold_in_force(case.holds, case.as_of),
            dispute=next((one for one in case.objections if _is_dispute(one)), None),
            others=case.others,
        )

    def _release(self, completion: CompletionFact, row: EmploymentFact | None) -> ReleaseFact | None:
        number = (completion.issuer, completion.number_scope, completion.number)
        for release in self.case.releases:
            said = (release.issuer, release.number_scope, release.number)
            mine = row is not None and release.uscc == row.uscc and release.entitlement == self.entitlement
            if mine and said == number and not release.withdrawn:
                return release
        return None


def hold_in_force(holds: Iterable[HoldFact], at: datetime) -> HoldFact | None:
    """The hold that ends last of those in force at a moment."""
    standing = [hold for hold in holds if not hold.lifted and at < hold.until]
    return max(standing, key=lambda hold: (hold.until, hold.fact_id), default=None)


def unrelated_names(case: Case) -> int:
    """How many names stand under a person's identifiers of which none is a variant of another.

    Counting ends at ``MOST_NAMES``: a number that everybody writes must not cost more with each of them.
    """
    names = {fact.holder.folded: fact.holder for fact in case.completions if not fact.weak}
    names |= {row.name.folded: row.name for row in case.employments}
    apart: list[PersonName] = []
    for _, name in sorted(names.items()):
        if all(compare_names(name, other) is NameRelation.DIFFERENT for other in apart):
            apart.append(name)
        if len(apart) == MOST_NAMES:
            break
    return len(apart)


def _newest(decisions: Iterable[Decided], completion: CompletionFact) -> Decided | None:
    mine = [decision for decision in decisions if decision.completion == completion.fact_id]
    return max(mine, key=lambda decision: (decision.recorded_at, decision.fact_id), default=None)


def _is_dispute(objection: ObjectionFact) -> bool:
    by_worker = objection.topic == "month" and objection.raised_by == "worker"
    return by_worker and objection.state is ObjectionState.OPEN


def _written_order(
    facts: ClauseFacts,
) -> tuple[datetime, tuple[str, str, str], str, date, date, bool, str, str]:
    row = facts.employment
    return (
        facts.completion.completed_at,
        facts.number,
        row.uscc if row else "",
        row.start if row else date.min,
        (row.end if row else None) or date.max,
        # Of a person who was merged: first the row that bears the completion's own number.
        row is not None and row.learner_id != facts.completion.learner_id,
        facts.completion.fact_id,
        row.fact_id if row else "",
    )
