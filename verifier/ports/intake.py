"""What recording deliveries, deciding and rosters need of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from verifier.model.decision import Case, DecisionId, Entitlement, LatestDecision, ReviewNeed, State
from verifier.model.delivery import AuthenticatedCallback, DeliveryId, DeliveryOutcome, PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmploymentFact,
    RevocationFact,
    ScopeFact,
)
from verifier.model.person import Identifier, LearnerId, PersonName, Trait, Uscc
from verifier.model.standing import Outline, Recorded


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery about to be recorded, once.

    Attributes:
        body_digest: keyed digest of the body as it came.
        content_digest: keyed digest of what tells a re-delivery from a conflict.
    """

    authenticated: AuthenticatedCallback
    body_digest: bytes
    content_digest: bytes


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """What stands under a delivery id already."""

    content_digest: bytes
    outcome: DeliveryOutcome


@dataclass(frozen=True, slots=True)
class OwnItem:
    """An item under the platform's own id of it.

    Attributes:
        digest: keyed digest of what the id stands for.
        item: its name within the delivery.
    """

    platform: PlatformSlug
    own_id: str
    digest: bytes
    delivery_id: DeliveryId
    item: str


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """An uploaded document.

    Attributes:
        digest: keyed digest of the content.
        delivery_id: what brought it.
    """

    platform: PlatformSlug
    document_id: str
    digest: bytes
    content: bytes = field(repr=False)
    delivery_id: DeliveryId


@dataclass(frozen=True, slots=True)
class Mention:
    """That a delivery's raw body holds data of a learner.

    Attributes:
        document: the uploaded document in which the data stand, where they do not stand in the body.
    """

    platform: PlatformSlug
    delivery_id: DeliveryId
    learner_id: LearnerId
    document: str = ""


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to append.

    Attributes:
        trace: the verdict as canonical JSON members, without personal data.
        completion: the one that was chosen, if any.
        uscc: the employer under whom it was chosen (用工单位).
        dispatched_by: the dispatching company (派遣单位) of a dispatched worker.
    """

    decision_id: DecisionId
    learner_id: LearnerId
    entitlement: Entitlement
    revision: int
    state: State
    decided_at: datetime
    material: bytes
    trace: Mapping[str, Any] = field(repr=False)
    completion: CompletionFact | None
    uscc: Uscc | None
    dispatched_by: Uscc | None
    office: str
    month: date | None


class JudgingTransaction(Protocol):
    """What judging needs: it reads, and writes nothing."""

    def erased_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        """Those of the learners who were lawfully erased."""
        ...

    def cases(
        self, learners: Collection[LearnerId], entitlement: Entitlement, as_of: datetime
    ) -> Mapping[LearnerId, Case]:
        """All current facts of each learner; what the register says of them is left for the decider.

        What is known of whoever was merged into a learner is that learner's; the other's case is empty.
        """
        ...

    def latest(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, LatestDecision]:
        """The newest decision of each learner that has one."""
        ...


class DeciderTransaction(JudgingTransaction, Protocol):
    """What deciding needs: cases in, decisions out."""

    def lock(self, learners: Collection[LearnerId]) -> None:
        """Touch the learners' identifier rows in sorted order, before anything about them is read."""
        ...

    def hold_rules(self, digests: Mapping[str, str]) -> None:
        """Let no adoption commit before this transaction ends; start again where another one is in force.

        Args:
            digests: of the rulebook that is decided by: ``register``, and ``policy/`` with what it is about.
        """
        ...

    def canonical(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Under whom each learner is judged: itself, unless merged; their common rows are touched, sorted.

        Called when the learners' identifier rows are touched, and before any fact about them is read.
        """
        ...

    def append_decisions(self, decisions: Sequence[NewDecision]) -> None:
        """Append revisions, move slots accordingly, and put each decision before the issuer."""
        ...

    def open_reviews(self, learner: LearnerId, needs: Sequence[ReviewNeed], at: datetime) -> None:
        """Open the questions that are not open or answered yet."""
        ...


class IntakeTransaction(DeciderTransaction, Protocol):
    """What recording deliveries needs."""

    def known_deliveries(
        self, keys: Collection[tuple[PlatformSlug, DeliveryId]]
    ) -> Mapping[tuple[PlatformSlug, DeliveryId], KnownDelivery]:
        """What stands under these ids already."""
        ...

    def insert_deliveries(self, claims: Sequence[DeliveryClaim], outcomes: Sequence[DeliveryOutcome]) -> None:
        """Keep each delivery raw (sealed) with its answer; on a doubled id the transaction starts again."""
        ...

    def own_items(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        """The keyed digest that stands under each platform's own id of an item, where one does."""
        ...

    def insert_own_items(self, items: Sequence[OwnItem]) -> None:
        """Take the own ids; on a doubled one the transaction starts again."""
        ...

    def document_digests(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        """The keyed digest of each document that has come."""
        ...

    def insert_documents(self, documents: Sequence[KeptDocument]) -> None:
        """Keep documents, sealed; on a doubled id the transaction starts again."""
        ...

    def insert_waiting(self, waiting: Sequence[tuple[PlatformSlug, str, DeliveryId]]) -> None:
        """Note which deliveries wait for which document: platform, document id, delivery id."""
        ...

    def keyless_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        """Those of the learners whose key was destroyed, lawfully or not."""
        ...

    def insert_mentions(self, mentions: Sequence[Mention]) -> None:
        """Note whose data deliveries, and the documents that they name, hold."""
        ...

    def latest_outcome(self, platform: PlatformSlug, delivery_id: DeliveryId) -> DeliveryOutcome | None:
        """What the newest reading of a delivery said."""
        ...

    def insert_reading(
        self, platform: PlatformSlug, outcome: DeliveryOutcome, cause: str, at: datetime
    ) -> None:
        """Keep another reading of a delivery; it no longer waits for documents that have come."""
        ...

    def learners(
        self, identifiers: Collection[Identifier], at: datetime, besides: Collection[LearnerId] = ()
    ) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier, created where there is none.

        Their rows, and those of the learners ``besides``, are touched together in sorted order.
        """
        ...

    def add_traits(self, traits: Iterable[tuple[LearnerId, Trait]]) -> None:
        """Note what learners, whose rows are touched, are known by besides an identifier; once each."""
        ...

    def completions(self, references: Collection[tuple[str, str, str]]) -> Sequence[CompletionFact]:
        """Current completions under (issuer, number scope, number), whoever's they are."""
        ...

    def revocations(self, references: Collection[tuple[str, str, str]]) -> Sequence[RevocationFact]:
        """Revocations under (issuer, number scope, number)."""
        ...

    def add_facts(self, facts: Sequence[AnyFact]) -> None:
        """Append facts and their evidence."""
        ...


class EvaluatorTransaction(DeciderTransaction, Protocol):
    """What working off due rows needs."""

    def take_due(self, limit: int, at: datetime) -> Collection[LearnerId]:
        """Take up to ``limit`` learners off the due list; gone only if this transaction commits.

        Those who are due at a moment after ``at`` stay.
        """
        ...


class RosterTransaction(IntakeTransaction, Protocol):
    """What a roster upload needs."""

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one; none is created, no row is touched."""
        ...

    def employments(self, uscc: Uscc, learners: Collection[LearnerId]) -> Sequence[EmploymentFact]:
        """Current rows of one enterprise's roster for these learners."""
        ...

    def admissions(self, uscc: Uscc) -> Sequence[AdmissionFact]:
        """Current admissions of an enterprise."""
        ...

    def scopes(self, uscc: Uscc) -> Sequence[ScopeFact]:
        """Scope declarations of an enterprise."""
        ...

    def listed(self, uscc: Uscc) -> Collection[LearnerId]:
        """Everyone any row of an enterprise's roster names."""
        ...

    def last_roster(self, uscc: Uscc) -> bytes | None:
        """Content digest of the enterprise's newest roster upload."""
        ...

    def add_roster(
        self, roster_id: str, uscc: Uscc, digest: bytes, rows: int, client_id: str, at: datetime
    ) -> None:
        """Record an upload."""
        ...

    def put_due(
        self,
        learners: Iterable[LearnerId],
        cause: str,
        at: datetime,
        not_before: datetime | None = None,
    ) -> None:
        """Put learners on the due list, in the transaction of the cause.

        ``not_before`` is the moment from which it changes anything, where that is a later one.
        """
        ...


@dataclass(frozen=True, slots=True)
class LatestTrace:
    """The newest decision of a learner, as its enterprise is shown it.

    Attributes:
        trace: as ``verifier.eligibility.trace`` made it.
    """

    state: State
    trace: Mapping[str, Any] = field(repr=False)
    decided_at: datetime


class StatusTransaction(Protocol):
    """What answering an enterprise about its own people needs. It creates and locks nothing; it logs."""

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one; none is created, no row is touched."""
        ...

    def listed_names(
        self, uscc: Uscc, learners: Collection[LearnerId]
    ) -> Mapping[LearnerId, Sequence[PersonName]]:
        """The names on an enterprise's rows that it did not take back, for those of the learners it lists."""
        ...

    def admissions(self, uscc: Uscc) -> Sequence[AdmissionFact]:
        """Current admissions of an enterprise."""
        ...

    def members(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Everyone judged under any of these learners, each with the one under whom; these too."""
        ...

    def cases(
        self, learners: Collection[LearnerId], entitlement: Entitlement, as_of: datetime
    ) -> Mapping[LearnerId, Case]:
        """All current facts of each learner; what the register says of them is left for the caller."""
        ...

    def outlines(self, members: Mapping[LearnerId, LearnerId]) -> Mapping[LearnerId, Outline]:
        """What is known of everyone who is judged under somebody, nothing sealed; by that somebody.

        Args:
            members: each with the one under whom, as ``members`` gives them; all who are judged under these.
        """
        ...

    def recorded(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, Recorded]:
        """The newest decision of each learner that has one."""
        ...

    def due_among(self, learners: Collection[LearnerId], at: datetime) -> Collection[LearnerId]:
        """Those of the learners who wait to be judged again, and not for a later moment."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Write one row of the access log for each learner: what a client was shown, and what for."""
        ...
