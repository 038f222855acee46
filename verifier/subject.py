"""What is held on one person, for that person: facts, decisions, and who looked at them (PIPL, article 45).

A bureau clerk asks on the person's behalf, states the purpose, and has seen the id card; the asking itself
goes into the access log, in the same transaction. Nothing of the service's own keys or digests is shown.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

from verifier import identity, signals
from verifier.errors import AccessDenied, Code
from verifier.model.facts import AnyFact, Source
from verifier.model.person import Identifier, PersonName
from verifier.model.signals import Signal
from verifier.model.time import iso
from verifier.ports.subject import SubjectTransaction

_OF_A_SIGNAL: Final = ("kind", "title", "reason", "enterprise", "found_at", "outcome", "closed_at")
_INTERNAL: Final = frozenset({"learner_id", "content_digest"})


def show(
    tx: SubjectTransaction, identifier: Identifier, *, clerk: str, purpose: str, at: datetime
) -> dict[str, Any]:
    """Everything held on one person.

    Args:
        tx: the transaction.
        identifier: as read from the id card.
        clerk: who asks.
        purpose: why, in the clerk's words.
        at: aware UTC.

    Raises:
        AccessDenied: NOT_FOUND, nothing is held under it.
    """
    learner = tx.known_learners({identifier}).get(identifier)
    if learner is None:
        raise AccessDenied(Code.NOT_FOUND, "nothing is held under this number", pointer="id_number")
    tx.log_disclosures({learner}, clerk, purpose, "everything", at)
    return {
        "as_of": iso(at),
        "id_number": identity.masked(identifier),
        "traits": [{"kind": one.kind.value, "value": one.value} for one in tx.traits_of(learner)],
        "facts": [_fact(fact) for fact in tx.facts_of(learner)],
        "decisions": [
            {"decision": decision, "state": state, "decided_at": iso(moment), "records": list(records)}
            for decision, state, moment, records in tx.decisions_of(learner)
        ],
        "signals": [_signal(signal) for signal in tx.signals_of({learner})],
        "shown_to": [
            {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}
            for row in tx.disclosures_of(learner)
        ],
    }


def _signal(signal: Signal) -> dict[str, Any]:
    """A signal, without who closed it."""
    said = signals.told(signal)
    return {name: said[name] for name in _OF_A_SIGNAL if name in said}


def _fact(fact: AnyFact) -> dict[str, Any]:
    members = {item.name: getattr(fact, item.name) for item in fields(fact) if item.name not in _INTERNAL}
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
