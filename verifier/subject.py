"""What is held on one person, for that person: facts, decisions, and who looked at them (PIPL, article 45).

A bureau clerk asks on the person's behalf, states the purpose, and has seen the id card; the asking itself
goes into the access log, in the same transaction. Nothing of the service's own keys or digests is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

from verifier import identity, objections, signals
from verifier.errors import AccessDenied, Code
from verifier.model.facts import AnyFact, MergeFact, NotSameFact, ObjectionFact, Source
from verifier.model.person import Identifier, LearnerId, PersonName
from verifier.model.signals import Signal
from verifier.model.time import iso
from verifier.ports.acting import Review
from verifier.ports.subject import SubjectTransaction

_OF_A_SIGNAL: Final = ("kind", "title", "reason", "enterprise", "found_at", "outcome", "closed_at")
SHOWN, EXPORTED = "everything", "export"
"""What the access log says was shown."""
_INTERNAL: Final = frozenset({"learner_id", "content_digest"})


def show(
    tx: SubjectTransaction,
    identifier: Identifier,
    *,
    clerk: str,
    purpose: str,
    at: datetime,
    export: bool = False,
) -> dict[str, Any]:
    """Everything held on one person.

    Args:
        tx: the transaction.
        identifier: as read from the id card.
        clerk: who asks.
        purpose: why, in the clerk's words.
        at: aware UTC.
        export: as a copy for the person to take along: numbers are not covered.

    Raises:
        AccessDenied: NOT_FOUND, nothing is held under it.
    """
    learner = tx.known_learners({identifier}).get(identifier)
    if learner is None:
        raise AccessDenied(Code.NOT_FOUND, "nothing is held under this number", pointer="id_number")
    group = tx.members({*tx.members({learner}).values()})
    tx.log_disclosures(set(group), clerk, purpose, EXPORTED if export else SHOWN, at)
    facts = tx.every_fact_of(group)
    return {
        "as_of": iso(at),
        "id_number": identity.masked(identifier),
        "identifiers": [
            {"kind": one.kind.value, "number": one.value if export else identity.masked(one)}
            for one in tx.identifiers_held(group)
        ],
        "traits": [{"kind": one.kind.value, "value": one.value} for one in tx.traits_of(group)],
        "learner": learner,
        "judged_under": group[learner],
        "same_person": sorted(set(group) - {learner}),
        "facts": [_fact(fact, group) for fact in facts],
        "objections": _objections(tx, facts, at),
        "reviews": [_review(review) for review in tx.reviews_of(group)],
        "decisions": [
            {"decision": decision, "state": state, "decided_at": iso(moment), "records": list(records)}
            for decision, state, moment, records in tx.decisions_of(group)
        ],
        "records": tx.records_held(group),
        "months": tx.months_held(group),
        "claims": tx.claims_held(group),
        "to_be_judged": tx.due_held(group),
        "deliveries": tx.deliveries_held(group),
        "signals": [_signal(signal) for signal in tx.signals_of(group)],
        "shown_to": [
            {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}
            for row in tx.disclosures_of(group)
        ],
    }


def _signal(signal: Signal) -> dict[str, Any]:
    """A signal, without who closed it."""
    said = signals.told(signal)
    return {name: said[name] for name in _OF_A_SIGNAL if name in said}


def _objections(tx: SubjectTransaction, facts: Sequence[AnyFact], at: datetime) -> list[dict[str, Any]]:
    found = objections.folded(fact for fact in facts if isinstance(fact, ObjectionFact))
    signed = tx.signed_outcomes({one.newest.number for one in found})
    return [{**objections.summary(one, at), "outcome_jws": signed.get(one.newest.number)} for one in found]


def _review(review: Review) -> dict[str, Any]:
    return {
        "review": review.review_id,
        "kind": review.kind,
        "opened_at": iso(review.opened_at),
        "outcome": review.outcome,
    }


def _fact(fact: AnyFact, group: Collection[LearnerId]) -> dict[str, Any]:
    hidden = _INTERNAL
    if isinstance(fact, MergeFact | NotSameFact) and not {fact.learner_id, fact.other} <= set(group):
        # Of somebody who is another person after all, the reviewer's words are not theirs to read.
        hidden |= {"reason", "evidence", "other"}
    members = {item.name: getattr(fact, item.name) for item in fields(fact) if item.name not in hidden}
    if isinstance(fact, ObjectionFact):
        members["of"] = members.pop("kind")
    kind = type(fact).__name__.removesuffix("Fact").lower()
    return {"kind": kind, **{name: _plain(value) for name, value in members.items() if value is not None}}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case PersonName():
            return value.raw
        case Source():
            return f"{value.kind}:{value.reference}"
        case _:
            return value
