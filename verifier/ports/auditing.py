"""What the check of the whole store reads: stored values, not only hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from verifier.ports.witnessing import Cosigned


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A ledger entry as stored."""

    position: int
    kind: str
    body: bytes
    leaf_hash: bytes
    record_id: str | None
    office: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row's evidence together with the row's present columns; None when the row is gone.

    Attributes:
        digest: None where the row has no evidence.
        position: index of the evidence root that covers it; None while none does.
    """

    source_table: str
    source_key: str
    salt: bytes = field(repr=False)
    digest: bytes | None
    position: int | None
    row: Mapping[str, str | int | bytes | bool | None] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AboutDecision:
    """What a record leaves unsigned and its decision says."""

    learner_id: str
    uscc: str | None
    dispatched_by: str | None


@dataclass(frozen=True, slots=True)
class AboutBefore:
    """Of the record before: what a revocation repeats."""

    office: str
    uscc: str | None


@dataclass(frozen=True, slots=True)
class AuditedRecord:
    """A record with what the store says of it.

    Attributes:
        disclosures: encoded disclosures; empty after erasure.
        erased: whether the learner's key was destroyed.
        place: list and index of its status; None where it has none.
        superseded_by: kind of the record that names it as superseded, if any.
        decision: None where the decision is gone.
        before: of the record that it supersedes, if any.
    """

    record_id: str
    decision_id: str
    learner_id: str
    entitlement: str
    kind: str
    position: int
    office: str
    month: date | None
    uscc: str | None
    dispatched_by: str | None
    supersedes: str | None
    issued_at: datetime
    jws: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    erased: bool
    place: tuple[int, int] | None
    status: int | None
    superseded_by: str | None
    decision: AboutDecision | None
    before: AboutBefore | None


@dataclass(frozen=True, slots=True)
class AuditedDecision:
    """A decision, and the record that was issued of it.

    Attributes:
        pending: whether it waits for the issuer.
        record_kind: None where there is no record.
    """

    decision_id: str
    learner_id: str
    entitlement: str
    state: str
    pending: bool
    record_kind: str | None


@dataclass(frozen=True, slots=True)
class AuditedStatement:
    """What was signed besides records: the outcome of an objection.

    Attributes:
        about: whom the objection of its number is about.
    """

    statement_id: str
    kind: str
    reference: str
    position: int
    jws: str = field(repr=False)
    learner_id: str | None
    issued_at: datetime
    about: frozenset[str | None]


@dataclass(frozen=True, slots=True)
class AuditedStatusList:
    """A signed status list with what it should say.

    Attributes:
        token: None where it is missing.
        taken: how many places it is said to have taken.
        statuses: by place, those of the records.
    """

    list_id: int
    token: str | None = field(repr=False)
    signed_at: datetime | None
    taken: int | None
    statuses: Mapping[int, int] = field(repr=False)


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
        """Every row's evidence with the row, rows without evidence, and evidence whose row is gone."""
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

    def stray_heads(self) -> Iterator[str]:
        """Heads of ledgers that there are not."""
        ...

    def cosignatures(self) -> Sequence[Cosigned]:
        """The newest cosignature of each witness."""
        ...

    def stray_evidence(self) -> Iterator[str]:
        """Evidence of what is no evidence, or of a row that has some already: its ids."""
        ...

    def stray_statuses(self) -> Iterator[str]:
        """Places of status lists that belong to no record."""
        ...

    def decisions_stored(self) -> Iterator[AuditedDecision]:
        """Every decision, by learner, entitlement and revision."""
        ...

    def status_lists_stored(self) -> Iterator[AuditedStatusList]:
        """Every status list that is signed or that has records."""
        ...

    def unopenable(self) -> Iterator[str]:
        """What is sealed and does not open, though its key was not destroyed: table and key."""
        ...

    def altered_slots(self) -> Iterator[str]:
        """Learners whose slot is not what decisions and claims made of it."""
        ...

    def altered_completions(self) -> Iterator[str]:
        """Facts whose unique key is missing or another's, and keys without a fact."""
        ...

    def altered_merges(self) -> Iterator[str]:
        """Learners who are not judged with those they are merged with."""
        ...

    def altered_in_force(self) -> Iterator[str]:
        """What is in force other than was adopted last."""
        ...

    def altered_traits(self) -> Iterator[str]:
        """Learners of whom a trait's index is not that of its sealed value."""
        ...
