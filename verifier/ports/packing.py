"""What making an audit pack reads: one ledger, as of one checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from verifier.model.delivery import DeliveryId, PlatformSlug, Uploaded
from verifier.model.facts import AnyFact
from verifier.ports.auditing import Evidence, StoredEntry
from verifier.ports.rereading import StoredDelivery


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """A record as it goes into a pack.

    Attributes:
        month: of the subsidy, ``YYYY-MM``.
        disclosures: encoded disclosures; None where the person's key was destroyed.
    """

    record_id: str
    decision_id: str
    learner_id: str
    kind: str
    position: int
    office: str
    month: str | None
    uscc: str | None
    dispatched_by: str | None
    jws: str = field(repr=False)
    disclosures: tuple[str, ...] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class PackedClaim:
    """One step of a claim."""

    claim_id: str
    step: str
    record_id: str
    learner_id: str
    payment_reference: str = field(repr=False)


class PackTransaction(Protocol):
    """Reads in bounded pieces; all that it reads is append-only, but for status lists."""

    def published(self) -> tuple[bytes, Sequence[str]]:
        """The newest checkpoint and the status lists that were signed with it; it is empty while the log is.

        Raises:
            Unavailable: OVERLOADED, the issuer was always faster.
        """
        ...

    def recorded_between(self, start: datetime, end: datetime, size: int) -> tuple[int, int] | None:
        """First and last index of the entries recorded from ``start`` to before ``end``, if there are any."""
        ...

    def leaf_hashes(self, size: int) -> Iterator[bytes]:
        """The leaf hashes of the first ``size`` entries, by index."""
        ...

    def entries_between(self, first: int, last: int) -> Iterator[StoredEntry]:
        """Entries from one index to another, both included."""
        ...

    def entries_at(self, positions: Collection[int]) -> Iterator[StoredEntry]:
        """Entries by index."""
        ...

    def entries_of(self, kinds: Collection[str], size: int) -> Iterator[StoredEntry]:
        """Entries of some kinds among the first ``size``."""
        ...

    def packed_records(self, record_ids: Collection[str]) -> Iterator[PackedRecord]:
        """Records, by id."""
        ...

    def superseding(self, size: int) -> Iterator[tuple[str, str, int]]:
        """Every record that supersedes one, by index: itself, the superseded one, the index."""
        ...

    def claims_of(self, learners: Collection[str]) -> Iterator[PackedClaim]:
        """Every step of every claim on these learners' months."""
        ...

    def traces(self, decisions: Collection[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Decisions' traces."""
        ...

    def histories(self, learners: Collection[str]) -> Iterator[AnyFact]:
        """Every roster row and every contest of these learners, superseded ones too."""
        ...

    def adoptions_stored(self) -> Iterator[tuple[str, str, str, str]]:
        """Every adoption, oldest first: its id, and kind, digest and content of what was adopted."""
        ...

    def covering(self, size: int) -> Iterator[tuple[str, str, int]]:
        """Every row that one of the first ``size`` entries covers: table, key, that entry's index."""
        ...

    def evidence_under(self, position: int) -> Iterator[Evidence]:
        """The evidence that one entry covers, by digest, with the rows."""
        ...

    def outcomes_at(self, positions: Iterable[int]) -> Iterator[str]:
        """Signed outcomes by the index of their entries."""
        ...

    def facts_named(self, facts: Collection[str]) -> Sequence[AnyFact]:
        """These facts, superseded ones too."""
        ...

    def stored_delivery(self, platform: PlatformSlug, delivery_id: DeliveryId) -> StoredDelivery | None:
        """A delivery as it came, opened; None if there is none, or its body is no longer kept."""
        ...

    def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those documents that have come and are still kept."""
        ...
