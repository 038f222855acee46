"""What the edges read: the feed, records, proofs, deliveries, clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from verifier.model.access import Client
from verifier.model.delivery import DeliveryOutcome
from verifier.model.facts import FactId, FactKind
from verifier.model.person import LearnerId
from verifier.ports.witnessing import Cosigned


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record as it was issued, to be shown.

    Attributes:
        jws: what was signed, without its disclosures.
        disclosures: every one of them that was asked for and can still be opened.
    """

    record_id: str
    learner_id: LearnerId
    kind: str
    jws: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)

    @property
    def sd_jwt(self) -> str:
        """All of it, as it stands in the store: whoever reads it checks it."""
        return "~".join((self.jws, *self.disclosures, ""))


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it was issued.

    Attributes:
        sd_jwt: with every disclosure; redact it before it leaves for a role that may see less.
        current: whether it is the newest record of its learner's entitlement.
    """

    record_id: str
    learner_id: LearnerId
    kind: str
    position: int
    office: str
    month: date | None
    sd_jwt: str = field(repr=False)
    current: bool


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A ledger entry with the record it speaks of, if any."""

    position: int
    kind: str
    body: bytes
    leaf_hash: bytes
    office: str
    record: ShownRecord | None


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """A delivery as its platform's own list shows it: reasons, no body."""

    delivery_id: str
    received_at: datetime
    outcome: DeliveryOutcome


@dataclass(frozen=True, slots=True)
class FactSource:
    """A fact without what is sealed of it: what it is, and where it came from.

    Attributes:
        content: its members as they are stored in plain.
    """

    fact_id: FactId
    kind: FactKind
    source_kind: str
    source_reference: str
    recorded_at: datetime
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision's stored trace, for people who may see it.

    Attributes:
        facts: those that the trace names, in its order.
    """

    decision_id: str
    learner_id: LearnerId
    revision: int
    state: str
    decided_at: datetime
    trace: Mapping[str, Any]
    record_ids: Sequence[str]
    facts: Sequence[FactSource] = ()


Shows = Callable[[str, str], bool]
"""Whether an entry of this kind and this office is shown."""


def every(_kind: str, _office: str) -> bool:
    """Shows everything."""
    return True


class Reading(Protocol):
    """Reading transactions."""

    async def feed(
        self, after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
    ) -> tuple[Sequence[FeedEntry], int]:
        """Entries with index > ``after`` (-1 for all), up to ``limit``, and the ledger's size.

        Args:
            after: the index before the first.
            limit: most entries.
            shows: whether an entry of a kind and an office will be shown: of others no record is opened.
            disclosed: whether records come with their disclosures.
        """
        ...

    async def record(self, record_id: str) -> StoredRecord | None:
        """A record."""
        ...

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint; empty while the ledger is."""
        ...

    async def cosignatures(self) -> Sequence[Cosigned]:
        """The newest cosignature of each witness, by the witness's name."""
        ...

    async def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Stored complete subtrees by (level, index)."""
        ...

    async def bodies(self, first: int, count: int) -> Sequence[bytes]:
        """Entry bodies from an index on; only for callers who may see them all."""
        ...

    async def status_token(self, list_id: int) -> str | None:
        """The newest signed status list."""
        ...

    async def deliveries(
        self, platform: str, *, attention: bool, limit: int, before: datetime | None = None
    ) -> Sequence[DeliverySummary]:
        """A platform's newest deliveries; with ``attention`` only those with something wrong."""
        ...

    async def client(self, client_id: str) -> Client | None:
        """The newest version of a client."""
        ...

    async def explain(self, reference: str) -> Explanation | None:
        """A decision by its own id or by its record's."""
        ...

    async def ready(self) -> bool:
        """Whether the database answers."""
        ...


class Assertions(Protocol):
    """Single use of client assertions."""

    async def use_assertion(self, client_id: str, jti: str, expires_at: datetime) -> bool:
        """Claim a ``jti`` once; False if it was used before."""
        ...
