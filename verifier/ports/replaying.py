"""What replaying a decision needs of a reading transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from verifier.model.decision import Entitlement
from verifier.model.facts import AnyFact, CompletionFact
from verifier.model.person import LearnerId, Uscc


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as stored.

    Attributes:
        text: the trace's exact bytes.
    """

    decision_id: str
    learner_id: LearnerId
    entitlement: Entitlement
    revision: int
    text: bytes = field(repr=False)
    trace: Mapping[str, Any] = field(repr=False)


class ReplayTransaction(Protocol):
    """Reads a decision and everything it stood on."""

    def stored(self, reference: str) -> StoredDecision | None:
        """A decision by its own id or by its record's."""
        ...

    def adopted(self, kind: str, digest: str) -> str | None:
        """The content adopted under a digest."""
        ...

    def facts_named(self, facts: Collection[str]) -> Sequence[AnyFact]:
        """These facts, superseded ones too."""
        ...

    def granted_before(self, decision: StoredDecision) -> tuple[CompletionFact, Uscc] | None:
        """What the newest earlier revision that granted was granted for."""
        ...

    def erased(self, learner: LearnerId) -> bool:
        """Whether the learner's key was destroyed."""
        ...
