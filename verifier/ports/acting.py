"""What recording the words of workers, enterprises and reviewers needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from verifier.model.decision import Entitlement, ReviewNeed
from verifier.model.facts import AnyFact, FactId, ObjectionFact
from verifier.model.person import Identifier, LearnerId, Uscc
from verifier.ports.intake import StatusTransaction
from verifier.ports.merging import MergingTransaction
from verifier.ports.operating import OperatingTransaction


@dataclass(frozen=True, slots=True)
class Month:
    """A learner's slot: who holds the month, and how far it is claimed.

    Attributes:
        state: ``granted``, ``claimed``, ``paid`` or ``clawback_due``.
    """

    learner_id: LearnerId
    state: str
    issuer: str
    number_scope: str
    number: str
    uscc: Uscc


@dataclass(frozen=True, slots=True)
class Review:
    """A question that only a person may answer.

    Attributes:
        about: ids of facts, and digests of what there is no fact of.
        outcome: how it was answered; None while it is open.
    """

    review_id: str
    kind: str
    learner_id: LearnerId
    about: tuple[FactId, ...]
    opened_at: datetime
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What an objection may be about.

    Attributes:
        uscc: the enterprise whose decision or listing it is; None if it is none's.
    """

    learner_id: LearnerId
    uscc: Uscc | None


class ActingTransaction(MergingTransaction, OperatingTransaction, StatusTransaction, Protocol):
    """One transaction of somebody's act about a person."""

    @property
    def made_due(self) -> Collection[LearnerId]:
        """Whom this transaction put on the due list."""
        ...

    def months(self, learners: Collection[LearnerId], entitlement: Entitlement) -> Sequence[Month]:
        """The slots of these learners, by learner."""
        ...

    def acts_of(self, learners: Collection[LearnerId]) -> Sequence[AnyFact]:
        """Current contests, releases, holds and objections of these learners, by id."""
        ...

    def objection(self, number: str) -> Sequence[ObjectionFact]:
        """Every state of an objection, oldest first; none if there is no such number."""
        ...

    def objections(self, uscc: Uscc | None = None) -> Sequence[ObjectionFact]:
        """Every state of every objection, or of those that an enterprise raised, oldest first."""
        ...

    def signed_outcomes(self, numbers: Collection[str]) -> Mapping[str, str]:
        """The signed outcome of each objection that has one."""
        ...

    def subject_of(self, reference: str) -> Subject | None:
        """Whom a decision, a record or a fact of this id is about."""
        ...

    def office_of(self, learners: Collection[LearnerId]) -> str:
        """The acceptance office of the newest decision that names one; empty if none does."""
        ...

    def number_scopes(self, issuer: str, number: str) -> Sequence[str]:
        """Within which scopes a certificate number of an issuer is known."""
        ...

    def review(self, review_id: str) -> Review | None:
        """A question, open or answered."""
        ...

    def review_asked(self, learner: LearnerId, need: ReviewNeed) -> str | None:
        """The id under which a question was asked; None if it was not."""
        ...

    def facts_named(self, facts: Collection[FactId]) -> Sequence[AnyFact]:
        """Facts by id, superseded ones too."""
        ...

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """By which identifiers learners are known, as far as these can still be opened."""
        ...
