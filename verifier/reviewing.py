"""Questions for a reviewer, by kind: which outcomes answer one, what they record, and what one is about.

A kind is one entry of ``ANSWERS``. An answer is a function over the transaction that closes the question; it
returns the facts to record with it, and may act further. What it touches, it puts on the due list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from verifier import acts, identity
from verifier.acts import Said
from verifier.errors import AccessDenied, Code, Conflict
from verifier.model.facts import (
    AnyFact,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    NameDecisionFact,
    ReviewClosedFact,
    Source,
)
from verifier.model.person import Identifier, LearnerId
from verifier.model.time import beijing_date, iso
from verifier.ports import NewId
from verifier.ports.acting import ActingTransaction, Review

PURPOSE: Final = "review"


@dataclass(frozen=True, slots=True)
class Closing:
    """A reviewer's answer to a question."""

    review: Review
    outcome: str
    reason: str = field(repr=False)
    source: Source
    at: datetime
    new_id: NewId

    def refuse(self) -> Conflict:
        """The error for an outcome that does not answer the question."""
        return Conflict(
            Code.REVIEW_STATE_REFUSED, "this review does not take that outcome", pointer="outcome"
        )


Answer = Callable[[ActingTransaction, Closing], list[AnyFact]]


def close(tx: ActingTransaction, review_id: str, closing: Callable[[Review], Closing]) -> dict[str, Any]:
    """Answer a question.

    Args:
        tx: the transaction.
        review_id: which.
        closing: the answer, once the question is known.

    Raises:
        Conflict: REVIEW_STATE_REFUSED, there is no such open question, it does not take that outcome, or what
            it was about has changed.
    """
    found = tx.review(review_id)
    if found is None or found.outcome is not None:
        raise Conflict(Code.REVIEW_STATE_REFUSED, "no such open review", pointer="review")
    said = closing(found)
    group = acts.person(tx, found.learner_id)
    answer = ANSWERS.get(found.kind)
    if answer is None:
        raise said.refuse()
    facts = answer(tx, said)
    closed = ReviewClosedFact(
        FactId(said.new_id()), found.learner_id, review_id, said.outcome, said.reason, said.at, said.source
    )
    tx.add_facts([*facts, closed])
    tx.put_due(group, "review", said.at)
    return {"review": review_id, "outcome": said.outcome}


def _completion(tx: ActingTransaction, said: Closing) -> FactId:
    about = tx.facts_by_id(said.review.about)
    completion = next((fact.fact_id for fact in about if isinstance(fact, CompletionFact)), None)
    if completion is None:
        raise _changed()
    return completion


def _changed() -> Conflict:
    return Conflict(Code.REVIEW_STATE_REFUSED, "what the review was about has changed", pointer="review")


def _keep(_: ActingTransaction, said: Closing) -> list[AnyFact]:
    if said.outcome != "keep":
        raise said.refuse()
    return []


def _employer(tx: ActingTransaction, said: Closing) -> list[AnyFact]:
    completion = _completion(tx, said)
    code = identity.uscc(said.outcome)
    return [
        EmployerChoiceFact(
            FactId(said.new_id()), said.review.learner_id, completion, code, said.reason, said.at, said.source
        )
    ]


def _second_roster(tx: ActingTransaction, said: Closing) -> list[AnyFact]:
    return [] if said.outcome == "keep" else _employer(tx, said)


def _name(tx: ActingTransaction, said: Closing) -> list[AnyFact]:
    if said.outcome not in {"same", "different"}:
        raise said.refuse()
    same, completion = said.outcome == "same", _completion(tx, said)
    return [
        NameDecisionFact(
            FactId(said.new_id()), said.review.learner_id, completion, same, said.reason, said.at, said.source
        )
    ]


def _contest(tx: ActingTransaction, said: Closing) -> list[AnyFact]:
    if said.outcome not in {"upheld", "rejected"}:
        raise said.refuse()
    contest = next((f for f in tx.facts_by_id(said.review.about) if isinstance(f, ContestFact)), None)
    if contest is None:
        raise _changed()
    word = Said(contest.learner_id, said.reason, said.source, said.at)
    return [acts.answered(contest, word, upheld=said.outcome == "upheld", new_id=said.new_id)]


ANSWERS: Final[Mapping[str, Answer]] = {
    "employer_choice": _employer,
    "second_roster": _second_roster,
    "name_mismatch": _name,
    "shared_number": _name,
    "completion_conflict": _keep,
    acts.CONTEST: _contest,
}
"""By kind of question."""


# --- what a question is about -------------------------------------------------------------------------------


def show(tx: ActingTransaction, review_id: str, *, clerk: str, at: datetime) -> dict[str, Any]:
    """What a question is about: names, covered id numbers, platforms, enterprises, days. It is logged.

    Args:
        tx: the transaction.
        review_id: which, open or answered.
        clerk: who asks.
        at: aware UTC.

    Raises:
        AccessDenied: NOT_FOUND, no such question.
    """
    found = tx.review(review_id)
    if found is None:
        raise AccessDenied(Code.NOT_FOUND, "no such review", pointer="review")
    facts = [*tx.facts_named(found.about)]
    facts += _contested_rows(tx, facts)
    people = {found.learner_id, *(who for fact in facts if (who := _whose(fact)) is not None)}
    numbers = tx.identifiers_of(people)
    tx.log_disclosures(people, clerk, PURPOSE, f"review: {found.kind}", at)
    return {
        "review": review_id,
        "kind": found.kind,
        "learner": found.learner_id,
        "opened_at": iso(found.opened_at),
        "outcome": found.outcome,
        "about": [
            {"fact": fact.fact_id, "id_number": _masked(fact, numbers), **_said(fact)} for fact in facts
        ],
    }


def _contested_rows(tx: ActingTransaction, facts: Sequence[AnyFact]) -> list[AnyFact]:
    """The rows by which an enterprise lists whoever contests it."""
    rows: list[AnyFact] = []
    for fact in facts:
        if isinstance(fact, ContestFact):
            person = tx.members({*tx.members({fact.learner_id}).values()})
            rows += tx.employments(fact.uscc, person)
    return rows


def _whose(fact: AnyFact) -> LearnerId | None:
    found: LearnerId | None = getattr(fact, "learner_id", None)
    return found


def _masked(fact: AnyFact, numbers: Mapping[LearnerId, Sequence[Identifier]]) -> list[str]:
    who = _whose(fact)
    return [identity.masked(number) for number in numbers.get(who, ())] if who is not None else []


def _said(fact: AnyFact) -> dict[str, Any]:
    match fact:
        case CompletionFact():
            return {
                "kind": "completion",
                "name": fact.holder.raw,
                "platform": fact.platform,
                "issuer": fact.issuer,
                "course_title": fact.course_title,
                "completed_on": beijing_date(fact.completed_at).isoformat(),
            }
        case EmploymentFact():
            return {
                "kind": "employment",
                "name": fact.name.raw,
                "enterprise": fact.uscc,
                "from": fact.start.isoformat(),
                "to": fact.end.isoformat() if fact.end else None,
            }
        case ContestFact():
            return {"kind": "contest", "enterprise": fact.uscc, "reason": fact.reason}
        case _:
            return {"kind": type(fact).__name__.removesuffix("Fact").lower()}
