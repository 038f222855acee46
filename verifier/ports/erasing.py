"""What erasing a person, and emptying raw bodies, need of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from verifier.model.person import LearnerId
from verifier.ports.acting import ActingTransaction
from verifier.raw_bodies import RawDelivery


@dataclass(frozen=True, slots=True)
class Holdings:
    """What of a person keeps an erasure waiting.

    Attributes:
        slots: entitlement and state of every month that is held.
        money_at: the last step of any claim on their months; None if there never was one.
        reviews: open questions about them.
    """

    slots: Sequence[tuple[str, str]]
    money_at: datetime | None
    reviews: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure of a person, under however many learners.

    Attributes:
        operator: who carries it out.
        reason: in their words; personal.
    """

    erasure_id: str
    learners: Sequence[LearnerId]
    operator: str
    reason: str = field(repr=False)
    at: datetime


class RetainingTransaction(ActingTransaction, Protocol):
    """Empties raw bodies, piece by piece."""

    def raw_after(
        self, after: tuple[str, str], limit: int, *, of_erased: bool
    ) -> Sequence[RawDelivery | None]:
        """The next deliveries by platform and id; None in place of one whose body is not kept.

        ``of_erased`` leaves out all that mention nobody who was erased.
        """
        ...

    def last_looked_at(self) -> tuple[str, str]:
        """The key of the last delivery that ``raw_after`` found."""
        ...

    def any_erased(self) -> bool:
        """Whether anybody was ever erased."""
        ...

    def emptied(self) -> tuple[int, int]:
        """How many bodies and documents are no longer kept."""
        ...

    def questioned(self, learners: Collection[LearnerId], at: datetime) -> Collection[LearnerId]:
        """Those of the learners about whom, or about whose group, something is open."""
        ...

    def empty(self, deliveries: Collection[tuple[str, str]]) -> tuple[int, int]:
        """Empty bodies, and documents that these deliveries brought; how many of each were kept until now."""
        ...


class ErasingTransaction(RetainingTransaction, Protocol):
    """Destroys what is held on one person."""

    def hold_person(self, learners: Collection[LearnerId]) -> None:
        """Touch every row by which others take turns about this person, as intake does, and in its order."""
        ...

    def holdings(self, learners: Collection[LearnerId]) -> Holdings:
        """What keeps an erasure waiting."""
        ...

    def raw_mentioning(self, learners: Collection[LearnerId]) -> Sequence[RawDelivery]:
        """Kept deliveries that mention any of these learners."""
        ...

    def extent(self, learners: Collection[LearnerId]) -> Mapping[str, int]:
        """How many rows of each kind an erasure makes unreadable or removes."""
        ...

    def destroy(self, erasure: Erasure) -> None:
        """Destroy keys, remove identifiers and traits, and note who did it and why."""
        ...
