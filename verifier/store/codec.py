"""Facts to rows and back. What is personal goes into the sealed column, the rest into plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import rfc8785

from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactKind,
    NameDecisionFact,
    ReviewClosedFact,
    RevocationFact,
    ScopeFact,
)

_KINDS: dict[FactKind, type[AnyFact]] = {
    FactKind.COMPLETION: CompletionFact,
    FactKind.REVOCATION: RevocationFact,
    FactKind.EMPLOYMENT: EmploymentFact,
    FactKind.ADMISSION: AdmissionFact,
    FactKind.SCOPE: ScopeFact,
    FactKind.EMPLOYER_CHOICE: EmployerChoiceFact,
    FactKind.NAME_DECISION: NameDecisionFact,
    FactKind.REVIEW_CLOSED: ReviewClosedFact,
}
_KIND_OF: dict[type[AnyFact], FactKind] = {kind: word for word, kind in _KINDS.items()}
_PERSONAL: dict[FactKind, str] = {
    FactKind.COMPLETION: "holder",
    FactKind.REVOCATION: "reason",
    FactKind.EMPLOYMENT: "name",
    FactKind.EMPLOYER_CHOICE: "reason",
    FactKind.NAME_DECISION: "reason",
    FactKind.REVIEW_CLOSED: "reason",
}
"""The one member of each kind that may hold personal data (free text counts as such)."""
_NOBODY = {"raw": "", "folded": "", "components": []}
_ERASED: dict[str, Any] = {"holder": _NOBODY, "name": _NOBODY, "reason": ""}
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
    personal = _PERSONAL.get(kind)
    sealed = None if personal is None else msgspec.json.encode(members.pop(personal))
    row = {
        "fact_id": fact.fact_id,
        "kind": kind.value,
        "learner_id": getattr(fact, "learner_id", None),
        "uscc": getattr(fact, "uscc", None),
        "reference": _reference(fact),
        "recorded_at": fact.recorded_at,
        "source_kind": fact.source.kind,
        "source_reference": fact.source.reference,
        "supersedes": getattr(fact, "supersedes", None),
        "content": rfc8785.dumps(members).decode(),
    }
    return row, sealed


def _reference(fact: AnyFact) -> str | None:
    if isinstance(fact, CompletionFact | RevocationFact):
        return certificate_reference(fact.issuer, fact.number_scope, fact.number)
    if isinstance(fact, ReviewClosedFact):
        return fact.review_id
    return None


def fact(row: Mapping[Any, Any], personal: bytes | None) -> AnyFact:
    """A fact from its row and its opened sealed column."""
    kind = FactKind(row["kind"])
    members = msgspec.json.decode(row["content"])
    name = _PERSONAL.get(kind)
    if name is not None:
        members[name] = _ERASED[name] if personal is None else msgspec.json.decode(personal)
    return msgspec.convert(members, _KINDS[kind])
