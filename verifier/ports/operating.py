"""What an operator's act needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from verifier.model.access import Client
from verifier.model.facts import AnyFact, FactId
from verifier.model.person import LearnerId
from verifier.ports.intake import JudgingTransaction, RosterTransaction


class OperatingTransaction(RosterTransaction, Protocol):
    """A roster transaction that may also touch clients and adoptions."""

    def put_client(self, client: Client, at: datetime) -> None:
        """Append a version of a client."""
        ...

    def facts_by_id(self, facts: Sequence[FactId]) -> Sequence[AnyFact]:
        """Current facts among these."""
        ...

    def judged(self, since: datetime | None = None) -> Collection[LearnerId]:
        """Everyone about whom anything was decided, or was since a moment."""
        ...

    def adopt(self, kind: str, digest: str, content: str, body: Mapping[str, Any], at: datetime) -> bool:
        """Adopt a source form: a row and a ledger entry; False if this content stands adopted already."""
        ...


class PreviewTransaction(JudgingTransaction, Protocol):
    """A reading transaction that tries out what is not adopted yet."""

    def judged_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners about whom anything was decided, by id."""
        ...

    def newest_adoption(self, kind: str) -> tuple[str, str] | None:
        """Digest and content of the ``policy`` or ``register`` that was adopted last."""
        ...
