"""Step 5: facts, a written policy and a date become a verdict, clause by clause. Pure.

1. Candidates are completions x roster rows that cover the completion date (Beijing), in the written order of
   ``verifier.candidates``; a completion that no roster covers is a candidate without employer, one whose kind
   of document is none of the policy's business is no candidate.
2. Every clause answers for every candidate; none stops the others. Any NotMet refuses, else any Unknown
   keeps pending, else the candidate can be granted.
3. The holder of the month stays as long as its clauses are all Met. If they are not, its month counts as
   free, unless it is blocked. Then the first candidate in the written order that can be granted is taken;
   else the first pending one; else the first refused one, and of these first those whose certificate stands.
4. Questions for a person are asked only where the answer can change something now.

No completion at all (say, a correction moved the only one to somebody else) is a refusal without candidate
and clauses: nothing is waited for, and a grant that stood on it must fall.

What the caller owes: a grant that was claimed or paid is not simply free when it falls. When the verdict
takes the month from a holding that is claimed or paid, evaluate again with ``blocked`` set and record that.

Whoever was merged into another learner is judged there: here it is a refusal that says so, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from verifier.candidates import CaseView
from verifier.errors import Code, ConfigurationError
from verifier.model.decision import (
    Candidate,
    Case,
    ClauseResult,
    Holding,
    Met,
    NotMet,
    Outcome,
    Pins,
    ReviewNeed,
    State,
    Unknown,
    Verdict,
)
from verifier.model.facts import (
    Category,
    EmployerChoiceFact,
    FactId,
    NameDecisionFact,
)
from verifier.model.time import beijing_date, covers, iso
from verifier.policy import PROOFS, ClauseFacts, Policy
from verifier.policy.wording import explain
from verifier.signatures import strict_json

__all__ = ["evaluate", "explain", "material", "trace"]

Decided = TypeVar("Decided", EmployerChoiceFact, NameDecisionFact)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A candidate with every clause's answer."""

    facts: ClauseFacts
    clauses: tuple[ClauseResult, ...]
    state: State

    @property
    def candidate(self) -> Candidate:
        row = self.facts.employment
        return Candidate(
            self.facts.completion.fact_id, row.fact_id if row else None, row.uscc if row else None
        )

    @property
    def proven(self) -> bool:
        """Whether the clause on the proof, in the policy's revision of it, lets the certificate stand."""
        return not any(c.clause in PROOFS and isinstance(c.outcome, NotMet) for c in self.clauses)

    def awaits(self, missing: str) -> bool:
        return any(isinstance(c.outcome, Unknown) and c.outcome.missing == missing for c in self.clauses)


def evaluate(case: Case, policy: Policy, pins: Pins) -> Verdict:
    """What a policy says of a case.

    Args:
        case: everything known about one learner, as of one moment; the order of its facts does not matter.
        policy: as ``verifier.policy.load`` read it.
        pins: what the decision will be said to stand on; see ``Policy.pins``.

    Raises:
        ConfigurationError: POLICY_INVALID, the pins name another policy or parameter file, or a parameter
            has no value on a completion date.
    """
    if (pins.policy, pins.parameters) != (policy.pin, policy.digest):
        raise ConfigurationError(Code.POLICY_INVALID, "the pins are not this policy's", pointer="pins")
    everything = CaseView.of(case, policy.entitlement).candidates()
    candidates = [facts for facts in everything if policy.about(facts.completion.document)]
    if not candidates:
        return _without_completion(case, policy, pins)
    judged, chosen = _choose(candidates, policy, case.holding)
    granted = chosen.state is State.GRANTED
    row = chosen.facts.employment
    return Verdict(
        state=chosen.state,
        entitlement=policy.entitlement,
        learner_id=case.learner_id,
        as_of=case.as_of,
        candidate=chosen.candidate,
        holding=case.holding,
        clauses=chosen.clauses,
        # subsidy_month has one value so far: the completion's month.
        month=chosen.facts.day.replace(day=1) if granted else None,
        office=_office(chosen.facts),
        dispatched_by=row.dispatched_by if row and row.category is Category.DISPATCHED else None,
        waiting=_waiting(candidates, policy, chosen),
        not_evaluated=policy.not_evaluated_at(chosen.facts.day, chosen.facts.completion.level),
        facts=_all_ids(case),
        pins=pins,
        reviews=_second_roster(chosen) if granted else _questions(judged),
        others=case.others if policy.exclusive else None,
    )


def _without_completion(case: Case, policy: Policy, pins: Pins) -> Verdict:
    return Verdict(
        state=State.REFUSED,
        entitlement=policy.entitlement,
        learner_id=case.learner_id,
        as_of=case.as_of,
        candidate=None,
        holding=case.holding,
        clauses=(),
        month=None,
        office="",
        dispatched_by=None,
        waiting=(),
        not_evaluated=policy.not_evaluated_at(beijing_date(case.as_of)),
        facts=_all_ids(case),
        pins=pins,
        merged_into=case.merged_into,
        others=case.others if policy.exclusive else None,
    )


# --- judging and choosing -----------------------------------------------------------------------------------


def _judge(facts: ClauseFacts, policy: Policy, holding: Holding | None) -> _Judged:
    if holding is not None:
        facts = replace(facts, holding=holding)  # candidates are made as if the month were free
    parameters = policy.parameters_at(facts.day)
    results = tuple(
        ClauseResult(
            clause=clause.id,
            revision=clause.revision,
            title=clause.title,
            citation=clause.citation,
            outcome=clause.judge(facts, parameters),
            facts=facts.ids(clause.reads),
        )
        for clause in policy.clauses
    )
    return _Judged(facts, results, _combined([result.outcome for result in results]))


def _combined(outcomes: Sequence[Outcome]) -> State:
    if any(isinstance(outcome, NotMet) for outcome in outcomes):
        return State.REFUSED
    if any(isinstance(outcome, Unknown) for outcome in outcomes):
        return State.PENDING
    return State.GRANTED


def _choose(
    candidates: Sequence[ClauseFacts], policy: Policy, holding: Holding | None
) -> tuple[Sequence[_Judged], _Judged]:
    judged = [_judge(facts, policy, holding) for facts in candidates]
    for one in judged:
        if one.facts.is_holder and one.state is State.GRANTED:
            return judged, one
    if holding is not None and not holding.blocked:
        judged = [_judge(facts, policy, None) for facts in candidates]
    return judged, min(judged, key=_rank)  # min keeps the first of equals: the written order


def _rank(judged: _Judged) -> tuple[int, bool]:
    order = (State.GRANTED, State.PENDING, State.REFUSED)
    return order.index(judged.state), judged.facts.revoked or not judged.proven


def _waiting(candidates: Sequence[ClauseFacts], policy: Policy, chosen: _Judged) -> tuple[Candidate, ...]:
    """Other completions that would be granted were the month free; each once, in the written order."""
    first: dict[tuple[str, str, str], Candidate] = {}
    for facts in candidates:
        if facts.number != chosen.facts.number and facts.number not in first:
            judged = _judge(facts, policy, None)
            if judged.state is State.GRANTED:
                first[facts.number] = judged.candidate
    return tuple(first.values())


def _office(facts: ClauseFacts) -> str:
    current = [a for a in facts.admissions if covers(a.start, a.end, facts.day)]
    newest = max(current, key=lambda admission: (admission.recorded_at, admission.fact_id), default=None)
    return newest.office if newest else ""


# --- questions for a person ---------------------------------------------------------------------------------


def _questions(judged: Iterable[_Judged]) -> tuple[ReviewNeed, ...]:
    """What keeps pending candidates waiting for a reviewer; a refused one has nothing to ask."""
    needs: set[ReviewNeed] = set()
    for one in judged:
        if one.state is not State.PENDING:
            continue
        if one.awaits("employer_choice"):
            needs.add(ReviewNeed("employer_choice", one.facts.ids(("completion", "covering"))))
        if one.awaits("name_review"):
            needs.add(ReviewNeed("name_mismatch", one.facts.ids(("completion", "employment"))))
        if one.awaits("shared_number"):
            needs.add(ReviewNeed("shared_number", one.facts.ids(("completion", "employment"))))
        if one.awaits("identity"):
            needs.add(ReviewNeed("weak_identity", one.facts.ids(("completion",))))
    return tuple(sorted(needs, key=lambda need: (need.kind, need.about)))


def _second_roster(granted: _Judged) -> tuple[ReviewNeed, ...]:
    """The grant stays, but a roster of another enterprise covers it that no reviewer could have seen."""
    facts = granted.facts
    seen = facts.choice.recorded_at if facts.choice else None
    unseen = any(
        row.uscc != granted.candidate.uscc and (seen is None or row.recorded_at > seen)
        for row in facts.covering
    )
    return (ReviewNeed("second_roster", facts.ids(("completion", "covering"))),) if unseen else ()


def _all_ids(case: Case) -> tuple[FactId, ...]:
    every = (
        case.completions,
        case.employments,
        case.admissions,
        case.scopes,
        case.employer_choices,
        case.name_decisions,
        case.contests,
        case.releases,
        case.holds,
        case.objections,
    )
    named = {fact.fact_id for facts in every for fact in facts}
    return tuple(sorted(named | set(case.revoked.values())))


# --- what is kept and shown ---------------------------------------------------------------------------------


def trace(verdict: Verdict) -> dict[str, Any]:
    """A verdict as canonical JSON members: enums and dates as text, facts by id, nothing personal.

    The holding's certificate number is left out: some issuers build it from the id number.
    """
    others = {} if verdict.others is None else {"others": sorted(verdict.others)}
    said = {
        "state": verdict.state.value,
        "entitlement": verdict.entitlement,
        "learner_id": verdict.learner_id,
        "as_of": iso(verdict.as_of),
        "candidate": _said_candidate(verdict.candidate) if verdict.candidate else None,
        "holding": _said_holding(verdict.holding) if verdict.holding else None,
        "clauses": [
            {
                "clause": result.clause,
                "revision": result.revision,
                "title": result.title,
                "citation": result.citation,
                "outcome": _said_outcome(result.outcome),
                "facts": list(result.facts),
            }
            for result in verdict.clauses
        ],
        "month": verdict.month.isoformat() if verdict.month else None,
        "office": verdict.office,
        "dispatched_by": verdict.dispatched_by,
        "waiting": [_said_candidate(candidate) for candidate in verdict.waiting],
        "not_evaluated": list(verdict.not_evaluated),
        "facts": list(verdict.facts),
        "pins": {
            "policy": verdict.pins.policy,
            "parameters": verdict.pins.parameters,
            "register": verdict.pins.register,
            "normaliser": verdict.pins.normaliser,
        },
        "reviews": [{"kind": need.kind, "about": list(need.about)} for need in verdict.reviews],
        **others,
    }
    # Said only where it applies: what was recorded before there was such a thing must read the same again.
    if verdict.merged_into is not None:
        said["merged_into"] = verdict.merged_into
    return said


def _said_holding(holding: Holding) -> dict[str, Any]:
    said: dict[str, Any] = {"uscc": holding.uscc, "blocked": holding.blocked}
    return said | {"owed": True} if holding.owed else said


def _said_candidate(candidate: Candidate) -> dict[str, str | None]:
    return {
        "completion": candidate.completion,
        "employment": candidate.employment,
        "uscc": candidate.uscc,
    }


def _said_outcome(outcome: Outcome) -> dict[str, str]:
    if isinstance(outcome, Unknown):
        return {
            "answer": "unknown",
            "why": outcome.why,
            "missing": outcome.missing,
            "party": outcome.party.value,
        }
    return {"answer": "met" if isinstance(outcome, Met) else "not_met", "why": outcome.why}


def material(said: Mapping[str, Any]) -> bytes:
    """Digest of what a decision says: a new revision is recorded only when it changes.

    Left out are the moment, the lists of facts, who waits, and the register's digest: they may change
    without the answer changing.

    Args:
        said: the verdict's trace.

    Returns:
        SHA-256 (32 bytes) over canonical JSON (RFC 8785).
    """
    kept = {key: said[key] for key in ("state", "candidate", "month", "office", "dispatched_by")}
    kept["clauses"] = [
        {key: clause[key] for key in ("clause", "revision", "outcome")} for clause in said["clauses"]
    ]
    kept["pins"] = {key: said["pins"][key] for key in ("policy", "parameters")}
    kept |= {key: said[key] for key in ("merged_into",) if key in said}
    return hashlib.sha256(strict_json.plain(kept)).digest()
