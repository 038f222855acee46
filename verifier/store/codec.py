"""Facts to rows and back. What is personal goes into the sealed column, the rest into plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactKind,
    HoldFact,
    MergeFact,
    NameDecisionFact,
    NotSameFact,
    ObjectionFact,
    ReleaseFact,
    ReviewClosedFact,
    RevocationFact,
    ScopeFact,
)
from verifier.signatures import strict_json

_KINDS: dict[FactKind, type[AnyFact]] = {
    FactKind.COMPLETION: CompletionFact,
    FactKind.REVOCATION: RevocationFact,
    FactKind.EMPLOYMENT: EmploymentFact,
    FactKind.ADMISSION: AdmissionFact,
    FactKind.SCOPE: ScopeFact,
    FactKind.EMPLOYER_CHOICE: EmployerChoiceFact,
    FactKind.NAME_DECISION: NameDecisionFact,
    FactKind.REVIEW_CLOSED: ReviewClosedFact,
    FactKind.MERGE: MergeFact,
    FactKind.NOT_SAME: NotSameFact,
    FactKind.CONTEST: ContestFact,
    FactKind.RELEASE: ReleaseFact,
    FactKind.HOLD: HoldFact,
    FactKind.OBJECTION: ObjectionFact,
}
_KIND_OF: dict[type[AnyFact], FactKind] = {kind: word for word, kind in _KINDS.items()}
_PERSONAL: dict[FactKind, tuple[str, ...]] = {
    FactKind.COMPLETION: ("holder",),
    FactKind.REVOCATION: ("reason",),
    FactKind.EMPLOYMENT: ("name",),
    FactKind.EMPLOYER_CHOICE: ("reason",),
    FactKind.NAME_DECISION: ("reason",),
    FactKind.REVIEW_CLOSED: ("reason",),
    FactKind.MERGE: ("reason", "evidence"),
    FactKind.NOT_SAME: ("reason", "evidence"),
    FactKind.CONTEST: ("reason",),
    FactKind.RELEASE: ("reason",),
    FactKind.HOLD: ("reason",),
    FactKind.OBJECTION: ("text", "salt"),
}
"""The members of each kind that may hold personal data (free text counts as such).

One alone is sealed as it is, several as a list in this order.
"""
_NOBODY = {"raw": "", "folded": "", "components": []}
_ERASED: dict[str, Any] = {"holder": _NOBODY, "name": _NOBODY, "reason": "", "evidence": ""}
_ERASED |= {"text": "", "salt": ""}
"""What is read of these members once their key was destroyed."""


def kind_of(fact: AnyFact) -> FactKind:
    """The stored word for a fact's type."""
    return _KIND_OF[type(fact)]


def certificate_reference(issuer: str, number_scope: str, number: str) -> str:
    """The text under which completions and revocations of one certificate number are found together."""
    return json.dumps([issuer, number_scope, number], ensure_ascii=False)


def columns(fact: AnyFact) -> tuple[dict[str, Any], bytes | None]:
    """A fact as its plain columns, and what must be sealed beside them."""
    kind = kind_of(fact)
    members: dict[str, Any] = msgspec.to_builtins(fact)
    personal = [members.pop(name) for name in _PERSONAL.get(kind, ())]
    sealed = msgspec.json.encode(personal[0] if len(personal) == 1 else personal) if personal else None
    row = {
        "fact_id": fact.fact_id,
        "kind": kind.value,
        "learner_id": getattr(fact, "learner_id", None),
        "uscc": _enterprise(fact),
        "reference": _reference(fact),
        "recorded_at": fact.recorded_at,
        "source_kind": fact.source.kind,
        "source_reference": fact.source.reference,
        "supersedes": getattr(fact, "supersedes", None),
        "content": strict_json.plain(members).decode(),
    }
    return row, sealed


def _enterprise(fact: AnyFact) -> str | None:
    if isinstance(fact, ObjectionFact):
        return None if fact.raised_by == "worker" else fact.raised_by
    uscc: str | None = getattr(fact, "uscc", None)
    return uscc


def _reference(fact: AnyFact) -> str | None:
    if isinstance(fact, CompletionFact | RevocationFact):
        return certificate_reference(fact.issuer, fact.number_scope, fact.number)
    if isinstance(fact, ReviewClosedFact):
        return fact.review_id
    if isinstance(fact, MergeFact | NotSameFact):
        return fact.other
    if isinstance(fact, ObjectionFact):
        return fact.number
    return None


def fact(row: Mapping[Any, Any], personal: bytes | None) -> AnyFact:
    """A fact from its row and its opened sealed column."""
    kind = FactKind(row["kind"])
    members = msgspec.json.decode(row["content"])
    names = _PERSONAL.get(kind, ())
    opened = None if personal is None else msgspec.json.decode(personal)
    for place, name in enumerate(names):
        if opened is None:
            members[name] = _ERASED[name]
        else:
            members[name] = opened if len(names) == 1 else opened[place]
    return msgspec.convert(members, _KINDS[kind])
