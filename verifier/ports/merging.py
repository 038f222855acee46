"""What merging and parting learners needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from verifier.model.facts import AnyFact, MergeFact, NotSameFact
from verifier.model.person import LearnerId


@dataclass(frozen=True, slots=True)
class Weight:
    """What speaks for judging a person under this one of their learners.

    Attributes:
        strong: an identifier names the learner; a provisional one has none.
        owed: months that are claimed, paid or not returned.
        granted: months that are granted and not claimed.
        first_granted_at: when the oldest of these was granted; None without any.
        created_at: when the learner was first heard of.
    """

    strong: bool
    owed: int
    granted: int
    first_granted_at: datetime | None
    created_at: datetime


class MergingTransaction(Protocol):
    """One transaction that merges or parts learners, or says that they are not one."""

    def lock(self, learners: Collection[LearnerId]) -> None:
        """Touch the learners' identifier rows in sorted order, before anything about them is read."""
        ...

    def members(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Everyone judged under any of these learners, each with the one under whom; these too."""
        ...

    def weights(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Weight]:
        """What speaks for each; learners that there are not, are left out."""
        ...

    def merges(self, learners: Collection[LearnerId]) -> Sequence[MergeFact]:
        """Current merges in which any of these learners stands on either side; undone ones too."""
        ...

    def told_apart(self, learners: Collection[LearnerId]) -> Sequence[NotSameFact]:
        """What was said about any of these learners and another one not being the same person."""
        ...

    def set_canonical(self, canonical: Mapping[LearnerId, LearnerId]) -> None:
        """Judge each of these learners under the one it is mapped to, from this transaction on."""
        ...

    def add_facts(self, facts: Sequence[AnyFact]) -> None:
        """Append facts and their evidence."""
        ...

    def put_due(
        self,
        learners: Iterable[LearnerId],
        cause: str,
        at: datetime,
        not_before: datetime | None = None,
    ) -> None:
        """Put learners on the due list, in the transaction of the cause."""
        ...

    def announce(self, kind: str, reference: str, body: Mapping[str, Any], at: datetime) -> None:
        """Put something before the issuer: it becomes a ledger entry."""
        ...
