"""What finding out who somebody is needs of a transaction, and a report on names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from verifier.model.facts import AnyFact, FactId
from verifier.model.person import Identifier, LearnerId, PersonName, TraitKind
from verifier.ports.merging import MergingTransaction

ABOUT_NAMES: Final = frozenset({"name_mismatch", "shared_number"})
"""Kinds of reviews that ask about a name."""


@dataclass(frozen=True, slots=True)
class Borne:
    """A trait of a learner, and who else bears the same value.

    Attributes:
        people: other people who are known by an identifier, each by the learner they are judged under.
        unidentified: how many other learners bear it whom nobody has identified.
        more: there are more of either than were looked at.
    """

    kind: TraitKind
    people: frozenset[LearnerId]
    unidentified: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about somebody's name that a reviewer answered."""

    opened_at: datetime
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody, under every name that certificates and rosters write, and the questions about it.

    Attributes:
        learners: everyone who is judged as this person.
        answered: questions about the name that a reviewer answered.
    """

    learners: tuple[LearnerId, ...]
    names: tuple[PersonName, ...] = field(repr=False)
    answered: tuple[Asked, ...] = ()


class IdentityTransaction(MergingTransaction, Protocol):
    """One transaction in which somebody finds out who a learner is."""

    def learners(
        self, identifiers: Collection[Identifier], at: datetime, besides: Collection[LearnerId] = ()
    ) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier, created where there is none; their rows are touched, sorted."""
        ...

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one; none is created, no row is touched."""
        ...

    def facts_by_id(self, facts: Sequence[FactId]) -> Sequence[AnyFact]:
        """Current facts among these."""
        ...

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """By what each learner is known, opened; what was erased is left out."""
        ...

    def names_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[PersonName]]:
        """Every name that current certificates and rosters write of each learner."""
        ...

    def borne(self, learner: LearnerId) -> Sequence[Borne]:
        """The traits of a learner, with others who bear the same value."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Write one row of the access log for each learner."""
        ...


class ReportTransaction(Protocol):
    """A reading transaction of the report on names."""

    def learners_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners, by id."""
        ...

    def named(self, learners: Collection[LearnerId]) -> Sequence[Named]:
        """The people judged under these learners; one merged into another is left to that one."""
        ...
