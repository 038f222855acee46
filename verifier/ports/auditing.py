"""What the check of the whole store reads: stored values, not only hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A ledger entry as stored."""

    position: int
    kind: str
    body: bytes
    leaf_hash: bytes
    record_id: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row's evidence together with the row's present columns; None when the row is gone.

    Attributes:
        position: index of the evidence root that covers it; None while none does.
    """

    source_table: str
    source_key: str
    salt: bytes = field(repr=False)
    digest: bytes
    position: int | None
    row: Mapping[str, str | int | bytes | bool | None] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditedRecord:
    """A record with what the store says of it.

    Attributes:
        disclosures: encoded disclosures; empty after erasure.
        superseded_by: kind of the record that names it as superseded, if any.
    """

    record_id: str
    kind: str
    position: int
    jws: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    status: int | None
    superseded_by: str | None


@dataclass(frozen=True, slots=True)
class AuditedStatement:
    """What was signed besides records: the outcome of an objection."""

    statement_id: str
    kind: str
    reference: str
    position: int
    jws: str = field(repr=False)


class AuditTransaction(Protocol):
    """Reads everything, in bounded pieces."""

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint."""
        ...

    def size(self) -> int:
        """Number of entries that the head names."""
        ...

    def entries(self) -> Iterator[StoredEntry]:
        """Every entry, by index."""
        ...

    def nodes_stored(self) -> Mapping[tuple[int, int], bytes]:
        """Every stored complete subtree, by (level, index)."""
        ...

    def evidence(self) -> Iterator[Evidence]:
        """Every row's evidence, with the row."""
        ...

    def uncovered(self) -> Iterator[tuple[str, str]]:
        """Rows of append-only tables without evidence: table and key."""
        ...

    def records_stored(self) -> Iterator[AuditedRecord]:
        """Every record."""
        ...

    def statements_stored(self) -> Iterator[AuditedStatement]:
        """Every statement."""
        ...

    def altered_bodies(self) -> Iterator[str]:
        """Deliveries whose kept body does not have the digest that was recorded."""
        ...

    def altered_documents(self) -> Iterator[str]:
        """Uploaded documents whose kept content does not have the digest that was recorded."""
        ...

    def altered_identifiers(self) -> Iterator[str]:
        """Learners of whom an index is not that of the sealed identifier, or of no version in force."""
        ...

    def lost_learners(self) -> Iterator[str]:
        """Learners who cannot be found by any identifier, erased ones aside."""
        ...

    def slots_without_grant(self) -> Iterator[str]:
        """Learners whose month's slot does not agree with their newest decision."""
        ...

    def emptied_unlawfully(self) -> Iterator[str]:
        """Keys and bodies that are gone and of which no entry of the ledger says so: table and key."""
        ...
