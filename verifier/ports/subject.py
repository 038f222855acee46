"""What showing a person their own data needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from verifier.model.facts import AnyFact
from verifier.model.person import Identifier, LearnerId, Trait
from verifier.model.signals import Signal
from verifier.ports.acting import Review


class SubjectTransaction(Protocol):
    """Reads everything about one person, and logs that it was shown."""

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one."""
        ...

    def members(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Everyone judged under any of these learners, each with the one under whom; these too."""
        ...

    def traits_of(self, learners: Collection[LearnerId]) -> Sequence[Trait]:
        """What a person is known by that is weaker than an identifier."""
        ...

    def every_fact_of(self, learners: Collection[LearnerId]) -> Sequence[AnyFact]:
        """Every fact about a person, superseded ones, revocations of their certificates and merges too."""
        ...

    def reviews_of(self, learners: Collection[LearnerId]) -> Sequence[Review]:
        """Every question about a person, oldest first."""
        ...

    def signed_outcomes(self, numbers: Collection[str]) -> Mapping[str, str]:
        """The signed outcome of each objection that has one."""
        ...

    def decisions_of(
        self, learners: Collection[LearnerId]
    ) -> Sequence[tuple[str, str, datetime, Sequence[str]]]:
        """Every decision: id, state, moment, and the records issued for it."""
        ...

    def disclosures_of(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """Who was shown what of a learner, what for, and when."""
        ...

    def identifiers_held(self, learners: Collection[LearnerId]) -> Sequence[Identifier]:
        """By which numbers the person is known."""
        ...

    def deliveries_held(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """What was received that names the person, and whether its raw body is still kept."""
        ...

    def records_held(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """Every record that was issued, its status, and what of the person it discloses to its office."""
        ...

    def months_held(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """The months that are taken, by whom and how far."""
        ...

    def claims_held(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """Every step of every claim on the person's months."""
        ...

    def due_held(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """What waits to be judged again."""
        ...

    def signals_of(self, learners: Collection[LearnerId]) -> Sequence[Signal]:
        """Every signal on these learners, the closed ones too; no reviewer's reason is opened."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Write one row of the access log."""
        ...
