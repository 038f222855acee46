"""Step 5 for one learner: what the policy says of the case, and whether that is news. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from verifier import eligibility
from verifier.model.decision import Case, DecisionId, LatestDecision, Pins, State, Verdict
from verifier.policy import Policy
from verifier.ports import NewId
from verifier.ports.intake import NewDecision


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of one learner now.

    Attributes:
        before: the newest recorded decision, if any.
        material: digest of what the verdict says.
        trace: the verdict as it is recorded.
    """

    case: Case
    before: LatestDecision | None
    verdict: Verdict
    material: bytes
    trace: Mapping[str, Any] = field(repr=False)

    @property
    def changed(self) -> bool:
        """Whether a new revision is to be recorded."""
        # A grant whose month was paid and given back says the same again, and takes the free month anew.
        retaken = self.verdict.state is State.GRANTED and self.case.holding is None
        return self.before is None or self.before.material != self.material or retaken


def judge(case: Case, before: LatestDecision | None, policy: Policy, pins: Pins) -> Judgement:
    """Judge a case.

    Args:
        case: with what the register says of it.
        before: the newest recorded decision.
        policy: the adopted one.
        pins: what the decision will be said to stand on.
    """
    verdict = _verdict(case, policy, pins)
    trace = eligibility.trace(verdict)
    return Judgement(case, before, verdict, eligibility.material(trace), trace)


def _verdict(case: Case, policy: Policy, pins: Pins) -> Verdict:
    verdict = eligibility.evaluate(case, policy, pins)
    holding = case.holding
    if holding is None or not holding.owed or _keeps(verdict, case):
        return verdict
    # Money was asked for or paid on the month that would be taken away: it is not free until returned.
    owed = replace(case, holding=replace(holding, blocked=True))
    return eligibility.evaluate(owed, policy, pins)


def _keeps(verdict: Verdict, case: Case) -> bool:
    holding, candidate = case.holding, verdict.candidate
    if holding is None or candidate is None or verdict.state is not State.GRANTED:
        return False
    return any(
        fact.fact_id == candidate.completion
        and (fact.issuer, fact.number_scope, fact.number, candidate.uscc)
        == (holding.issuer, holding.number_scope, holding.number, holding.uscc)
        for fact in case.completions
    )


def decision(judgement: Judgement, at: datetime, new_id: NewId) -> NewDecision:
    """A judgement as the revision to append.

    Args:
        judgement: what was found.
        at: aware UTC, the moment the decision bears.
        new_id: source of random ids.
    """
    verdict, before = judgement.verdict, judgement.before
    candidate = verdict.candidate
    granted = verdict.state is State.GRANTED
    known = judgement.case.completions
    chosen = next((fact for fact in known if candidate and fact.fact_id == candidate.completion), None)
    return NewDecision(
        decision_id=DecisionId(new_id()),
        learner_id=verdict.learner_id,
        entitlement=verdict.entitlement,
        revision=before.revision + 1 if before else 1,
        state=verdict.state,
        decided_at=at,
        material=judgement.material,
        trace=judgement.trace,
        completion=chosen,
        uscc=candidate.uscc if candidate else None,
        dispatched_by=verdict.dispatched_by,
        office=verdict.office,
        month=verdict.month if granted else None,
    )
