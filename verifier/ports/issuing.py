"""What the issuer needs: decisions in, records and ledger entries out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from verifier.model.decision import DecisionId, Entitlement, State
from verifier.model.person import LearnerId, Uscc


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something that must become a ledger entry: a decision, a step of a claim, an adoption."""

    outbox_id: str
    kind: str
    reference: str
    body: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedRecord:
    """The newest record of a learner's entitlement, and whom it was for."""

    record_id: str
    kind: str
    status_list: int
    status_index: int
    office: str
    month: date | None
    uscc: Uscc | None


@dataclass(frozen=True, slots=True)
class Issuable:
    """A decision with what its record discloses.

    Attributes:
        trace: what a record says of the stored trace: ``clauses``, ``pins`` and ``not_evaluated``. The
            clauses may come as they are written (``record.Clauses``).
        disclosures: personal claims by name, to be disclosed selectively; empty after erasure.
        standard: the amount that is configured for the month: ``amount_fen``, ``currency``, ``reference``
            and the table's ``digest``; None where none is.
    """

    decision_id: DecisionId
    learner_id: LearnerId
    entitlement: Entitlement
    revision: int
    state: State
    decided_at: datetime
    office: str
    month: date | None
    uscc: Uscc | None
    dispatched_by: Uscc | None
    trace: Mapping[str, Any] = field(repr=False)
    disclosures: Mapping[str, str] = field(repr=False)
    previous: IssuedRecord | None = None
    standard: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The ledger's head in the database.

    Attributes:
        epoch: rises with every issuer that takes over, and fences the one before.
        checkpoint: the signed note; empty for an empty ledger.
    """

    epoch: int
    size: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A ledger entry at its index."""

    position: int
    kind: str
    body: bytes
    leaf_hash: bytes
    office: str = ""
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A signed record.

    Attributes:
        disclosures: the encoded disclosures, personal, kept sealed.
        status: what its own place in the status list says from now on.
        previous_status: what the superseded record's place says from now on.
    """

    record_id: str
    issuable: Issuable = field(repr=False)
    kind: str
    position: int
    jws: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    status_list: int
    status_index: int
    status: int
    previous_status: int | None


@dataclass(frozen=True, slots=True)
class NewStatement:
    """What was signed besides records.

    Attributes:
        reference: the number under which whoever raised it asks for it.
    """

    statement_id: str
    kind: str
    reference: str
    learner_id: LearnerId
    position: int
    jws: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedList:
    """A status list as it is from now on.

    Attributes:
        taken: how many of its places are.
    """

    list_id: int
    token: str = field(repr=False)
    taken: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one step of the issuer stores, or nothing of it."""

    before: Head
    after: Head
    entries: Sequence[NewEntry]
    nodes: Sequence[tuple[int, int, bytes]]
    records: Sequence[NewRecord]
    outbox: Collection[str]
    evidence: Collection[str]
    evidence_position: int | None
    lists: Collection[SignedList]
    at: datetime
    statements: Sequence[NewStatement] = ()


class IssuingTransaction(Protocol):
    """What the issuer reads before it signs, and writes after."""

    def head(self) -> Head:
        """The head; a new ledger has epoch 0 and size 0."""
        ...

    def take_over(self) -> Head:
        """Raise the epoch, so that an issuer that was there before can commit no more."""
        ...

    def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Hashes of stored complete subtrees by (level, index). Raises LedgerRefused if one is missing."""
        ...

    def pending(self, limit: int) -> Sequence[OutboxItem]:
        """The oldest items that are not in the ledger yet."""
        ...

    def issuable(self, decisions: Collection[str]) -> Mapping[str, Issuable]:
        """Decisions with what their records disclose."""
        ...

    def unrooted(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """Evidence that no evidence root covers yet: ids and digests."""
        ...

    def taken(self, list_id: int, indices: Collection[int]) -> Collection[int]:
        """Which of these places of a status list are taken."""
        ...

    def status_lists(self) -> Mapping[int, tuple[int, datetime]]:
        """Per list: how many places are taken, and when it was last signed."""
        ...

    def set_statuses(self, list_id: int) -> Mapping[int, int]:
        """The places of a list whose status is not valid."""
        ...

    def commit(self, batch: Batch) -> None:
        """Compare the head, then store the batch. Raises LedgerRefused(LEDGER_HEAD_MOVED)."""
        ...


class KeptCheckpoint(Protocol):
    """The issuer's last checkpoint, kept outside the database."""

    def read(self) -> bytes:
        """The signed note; empty if none was ever kept."""
        ...

    def write(self, note: bytes) -> None:
        """Replace it, durably and atomically."""
        ...
