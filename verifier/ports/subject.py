"""What showing a person their own data needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from verifier.model.facts import AnyFact
from verifier.model.person import Identifier, LearnerId, Trait
from verifier.model.signals import Signal


class SubjectTransaction(Protocol):
    """Reads everything about one learner, and logs that it was shown."""

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one."""
        ...

    def facts_of(self, learner: LearnerId) -> Sequence[AnyFact]:
        """Every fact about a learner, the superseded ones too, and revocations of their certificates."""
        ...

    def traits_of(self, learner: LearnerId) -> Sequence[Trait]:
        """What a learner is known by that is weaker than an identifier."""
        ...

    def decisions_of(self, learner: LearnerId) -> Sequence[tuple[str, str, datetime, Sequence[str]]]:
        """Every decision: id, state, moment, and the records issued for it."""
        ...

    def disclosures_of(self, learner: LearnerId) -> Sequence[Mapping[str, Any]]:
        """Who was shown what of a learner, what for, and when."""
        ...

    def signals_of(self, learners: Collection[LearnerId]) -> Sequence[Signal]:
        """Every signal on these learners, the closed ones too; no reviewer's reason is opened."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Write one row of the access log."""
        ...
