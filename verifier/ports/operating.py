"""What an operator's act needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from verifier.model.access import Client
from verifier.model.decision import Entitlement
from verifier.model.facts import AnyFact, FactId
from verifier.model.person import LearnerId
from verifier.ports.intake import JudgingTransaction, LatestTrace, RosterTransaction


@dataclass(frozen=True, slots=True)
class Adoption:
    """A source form that was adopted.

    Attributes:
        content: everything needed to read it again.
    """

    digest: str
    content: str = field(repr=False)
    adopted_at: datetime


class OperatingTransaction(RosterTransaction, Protocol):
    """A roster transaction that may also touch clients and adoptions."""

    def put_client(self, client: Client, at: datetime) -> None:
        """Append a version of a client."""
        ...

    def facts_by_id(self, facts: Sequence[FactId]) -> Sequence[AnyFact]:
        """Current facts among these."""
        ...

    def people(self) -> int:
        """How many learners there are of whom any fact is known."""
        ...

    def add_sweep(self, cause: str, total: int, at: datetime) -> None:
        """Begin to judge everybody again, in the transaction of the cause."""
        ...

    def adopt(self, kind: str, digest: str, content: str, body: Mapping[str, Any], at: datetime) -> bool:
        """Adopt a source form: a row and a ledger entry; False if this content stands adopted already.

        Each policy stands beside those about other entitlements, and in place of the last about its own.
        """
        ...

    def adoptions(self, kind: str) -> Sequence[Adoption]:
        """Everything of a kind that was ever adopted, oldest first."""
        ...

    def newest_adoption(self, kind: str) -> tuple[str, str] | None:
        """Digest and content of what was adopted last."""
        ...


class PreviewTransaction(JudgingTransaction, Protocol):
    """A reading transaction that tries out what is not adopted yet."""

    def people_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners of whom any fact is known, by id."""
        ...

    def adoptions(self, kind: str) -> Sequence[Adoption]:
        """Everything of a kind that was ever adopted, oldest first."""
        ...

    def newest_adoption(self, kind: str) -> tuple[str, str] | None:
        """Digest and content of the source form of a kind that was adopted last."""
        ...

    def latest_traces(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, LatestTrace]:
        """The newest decision of each learner that has one, with its trace."""
        ...
