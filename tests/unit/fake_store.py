"""A small honest store in memory: the transactions' ports without a database, for tests of the core.

One object is one store and one transaction at once: nothing is ever rolled back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

from verifier.model.decision import Case, Entitlement, Holding, LatestDecision, ReviewNeed, State
from verifier.model.delivery import DeliveryId, DeliveryOutcome, PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmployerChoiceFact,
    EmploymentFact,
    NameDecisionFact,
    RevocationFact,
    ScopeFact,
)
from verifier.model.person import Identifier, LearnerId, PersonName, Trait, Uscc
from verifier.model.standing import Outline, Recorded
from verifier.ports.intake import (
    DeliveryClaim,
    KeptDocument,
    KnownDelivery,
    Mention,
    NewDecision,
    OwnItem,
)
from verifier.signatures.strict_json import canonical
from verifier.standing import outline_of

Reference = tuple[str, str, str]
Slot = tuple[LearnerId, Entitlement]


def reference(fact: CompletionFact | RevocationFact) -> Reference:
    return (fact.issuer, fact.number_scope, fact.number)


class FakeStore:
    """Implements IntakeTransaction, EvaluatorTransaction, RosterTransaction and StatusTransaction."""

    def __init__(self) -> None:
        self._ids = count(1)
        self.identifiers: dict[Identifier, LearnerId] = {}
        self.traits: set[tuple[LearnerId, Trait]] = set()
        self.facts: list[AnyFact] = []
        self.deliveries: dict[tuple[PlatformSlug, DeliveryId], KnownDelivery] = {}
        self.decisions: list[NewDecision] = []
        self.holdings: dict[Slot, Holding] = {}
        self.reviews: list[tuple[LearnerId, ReviewNeed]] = []
        self.due: list[tuple[LearnerId, str]] = []
        self.rosters: list[tuple[Uscc, bytes, int, str]] = []
        self.disclosures: list[tuple[LearnerId, str, str, str]] = []
        self.locked: list[LearnerId] = []
        self.own: dict[tuple[PlatformSlug, str], OwnItem] = {}
        self.documents: dict[tuple[PlatformSlug, str], KeptDocument] = {}
        self.waiting: list[tuple[PlatformSlug, str, DeliveryId]] = []
        self.mentions: set[Mention] = set()
        self.erased: set[LearnerId] = set()
        self.keyless: set[LearnerId] = set()
        self.readings: list[tuple[PlatformSlug, DeliveryOutcome, str]] = []

    def new_id(self) -> str:
        return f"id-{next(self._ids):06}"

    # --- reading facts

    def current(self) -> list[AnyFact]:
        gone = {getattr(fact, "supersedes", None) for fact in self.facts}
        return [fact for fact in self.facts if fact.fact_id not in gone]

    def completions(self, references: Collection[Reference]) -> Sequence[CompletionFact]:
        mine = [fact for fact in self.current() if isinstance(fact, CompletionFact)]
        return [fact for fact in mine if reference(fact) in references]

    def revocations(self, references: Collection[Reference]) -> Sequence[RevocationFact]:
        mine = [fact for fact in self.current() if isinstance(fact, RevocationFact)]
        return [fact for fact in mine if reference(fact) in references]

    def employments(self, uscc: Uscc, learners: Collection[LearnerId]) -> Sequence[EmploymentFact]:
        mine = [fact for fact in self.current() if isinstance(fact, EmploymentFact) and fact.uscc == uscc]
        return [fact for fact in mine if fact.learner_id in learners]

    def listed_names(
        self, uscc: Uscc, learners: Collection[LearnerId]
    ) -> Mapping[LearnerId, Sequence[PersonName]]:
        found: dict[LearnerId, list[PersonName]] = {}
        for row in self.employments(uscc, learners):
            if not row.withdrawn:
                found.setdefault(row.learner_id, []).append(row.name)
        return found

    def outlines(self, members: Mapping[LearnerId, LearnerId]) -> Mapping[LearnerId, Outline]:
        whose = {*members.values()}
        return {
            who: outline_of(self._case(who, Entitlement(""), datetime.max.replace(tzinfo=UTC)))
            for who in whose
        }

    def admissions(self, uscc: Uscc) -> Sequence[AdmissionFact]:
        return [fact for fact in self.current() if isinstance(fact, AdmissionFact) and fact.uscc == uscc]

    def scopes(self, uscc: Uscc) -> Sequence[ScopeFact]:
        return [fact for fact in self.current() if isinstance(fact, ScopeFact) and fact.uscc == uscc]

    def listed(self, uscc: Uscc) -> Collection[LearnerId]:
        rows = [fact for fact in self.facts if isinstance(fact, EmploymentFact)]
        return {fact.learner_id for fact in rows if fact.uscc == uscc}

    def cases(
        self, learners: Collection[LearnerId], entitlement: Entitlement, as_of: datetime
    ) -> Mapping[LearnerId, Case]:
        return {who: self._case(who, entitlement, as_of) for who in learners}

    def _case(self, who: LearnerId, entitlement: Entitlement, as_of: datetime) -> Case:
        facts = self.current()
        mine = [fact for fact in facts if getattr(fact, "learner_id", None) == who]
        completions = tuple(fact for fact in mine if isinstance(fact, CompletionFact))
        employments = tuple(fact for fact in mine if isinstance(fact, EmploymentFact) and not fact.withdrawn)
        employers = {fact.uscc for fact in employments}
        withdrawn = {reference(fact): fact.fact_id for fact in facts if isinstance(fact, RevocationFact)}
        return Case(
            learner_id=who,
            as_of=as_of,
            completions=completions,
            revoked={
                fact.fact_id: withdrawn[reference(fact)]
                for fact in completions
                if reference(fact) in withdrawn
            },
            employments=employments,
            admissions=tuple(f for f in facts if isinstance(f, AdmissionFact) and f.uscc in employers),
            scopes=tuple(f for f in facts if isinstance(f, ScopeFact) and f.uscc in employers),
            employer_choices=tuple(fact for fact in mine if isinstance(fact, EmployerChoiceFact)),
            name_decisions=tuple(fact for fact in mine if isinstance(fact, NameDecisionFact)),
            recognised={},
            holding=self.holdings.get((who, entitlement)),
            others=frozenset(
                other for owner, other in self.holdings if owner == who and other != entitlement
            ),
        )

    # --- what is kept of items

    def own_items(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        return {key: self.own[key].digest for key in keys if key in self.own}

    def insert_own_items(self, items: Sequence[OwnItem]) -> None:
        for item in items:
            assert (item.platform, item.own_id) not in self.own
            self.own[item.platform, item.own_id] = item

    def document_digests(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        return {key: self.documents[key].digest for key in keys if key in self.documents}

    def insert_documents(self, documents: Sequence[KeptDocument]) -> None:
        for document in documents:
            assert (document.platform, document.document_id) not in self.documents
            self.documents[document.platform, document.document_id] = document

    def insert_mentions(self, mentions: Sequence[Mention]) -> None:
        self.mentions |= set(mentions)

    def erased_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        return self.erased.intersection(learners)

    def keyless_among(self, learners: Collection[LearnerId]) -> Collection[LearnerId]:
        return self.keyless.intersection(learners)

    def insert_waiting(self, waiting: Sequence[tuple[PlatformSlug, str, DeliveryId]]) -> None:
        self.waiting += waiting

    def latest_outcome(self, platform: PlatformSlug, delivery_id: DeliveryId) -> DeliveryOutcome | None:
        for slug, outcome, _ in reversed(self.readings):
            if (slug, outcome.delivery_id) == (platform, delivery_id):
                return outcome
        known = self.deliveries.get((platform, delivery_id))
        return known.outcome if known else None

    def insert_reading(
        self, platform: PlatformSlug, outcome: DeliveryOutcome, cause: str, at: datetime
    ) -> None:
        assert at.tzinfo is not None
        self.readings.append((platform, outcome, cause))

    # --- people

    def lock(self, learners: Collection[LearnerId]) -> None:
        self.locked += sorted(learners)

    def learners(
        self, identifiers: Collection[Identifier], at: datetime, besides: Collection[LearnerId] = ()
    ) -> Mapping[Identifier, LearnerId]:
        assert at.tzinfo is not None
        for item in sorted(identifiers, key=lambda item: item.value):
            self.identifiers.setdefault(item, LearnerId(f"learner-{len(self.identifiers) + 1}"))
        found = {item: self.identifiers[item] for item in identifiers}
        self.lock({*found.values(), *besides})
        return found

    def add_traits(self, traits: Iterable[tuple[LearnerId, Trait]]) -> None:
        self.traits |= set(traits)

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        return {item: self.identifiers[item] for item in identifiers if item in self.identifiers}

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        assert at.tzinfo is not None
        self.disclosures += [(who, client_id, purpose, what) for who in learners]

    # --- writing

    def add_facts(self, facts: Sequence[AnyFact]) -> None:
        taken = {fact.fact_id for fact in self.facts}
        for fact in facts:
            assert fact.fact_id not in taken, "a fact's id is its own"
            taken.add(fact.fact_id)
            self.facts.append(fact)

    def known_deliveries(
        self, keys: Collection[tuple[PlatformSlug, DeliveryId]]
    ) -> Mapping[tuple[PlatformSlug, DeliveryId], KnownDelivery]:
        return {key: self.deliveries[key] for key in keys if key in self.deliveries}

    def insert_deliveries(self, claims: Sequence[DeliveryClaim], outcomes: Sequence[DeliveryOutcome]) -> None:
        for claim, outcome in zip(claims, outcomes, strict=True):
            key = (claim.authenticated.callback.platform, claim.authenticated.delivery_id)
            assert key not in self.deliveries, "a delivery is inserted once"
            self.deliveries[key] = KnownDelivery(claim.content_digest, outcome)

    def open_reviews(self, learner: LearnerId, needs: Sequence[ReviewNeed], at: datetime) -> None:
        assert at.tzinfo is not None
        self.reviews += [(learner, need) for need in needs if (learner, need) not in self.reviews]

    def put_due(
        self,
        learners: Iterable[LearnerId],
        cause: str,
        at: datetime,
        not_before: datetime | None = None,
    ) -> None:
        assert at.tzinfo is not None
        assert not_before is None or not_before > at
        self.due += [(who, cause) for who in sorted(set(learners))]

    def hold_rules(self, digests: Mapping[str, str]) -> None:
        assert "register" in digests

    def members(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        return {who: who for who in learners}

    def canonical(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        return {who: who for who in learners}

    def due_among(self, learners: Collection[LearnerId], at: datetime) -> Collection[LearnerId]:
        assert at.tzinfo is not None
        return {who for who, _ in self.due if who in learners}

    def take_due(self, limit: int, at: datetime) -> Collection[LearnerId]:
        assert at.tzinfo is not None
        taken = {who for who, _ in self.due[:limit]}
        self.lock(taken)
        self.due = [(who, cause) for who, cause in self.due if who not in taken]
        return taken

    def last_roster(self, uscc: Uscc) -> bytes | None:
        return next((digest for owner, digest, *_ in reversed(self.rosters) if owner == uscc), None)

    def add_roster(
        self, roster_id: str, uscc: Uscc, digest: bytes, rows: int, client_id: str, at: datetime
    ) -> None:
        assert roster_id
        assert at.tzinfo is not None
        self.rosters.append((uscc, digest, rows, client_id))

    # --- decisions

    def _newest(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> dict[LearnerId, NewDecision]:
        mine = [
            new for new in self.decisions if new.learner_id in learners and new.entitlement == entitlement
        ]
        return {new.learner_id: new for new in sorted(mine, key=lambda new: new.revision)}

    def latest(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, LatestDecision]:
        return {
            who: LatestDecision(new.decision_id, new.revision, new.state, new.material)
            for who, new in self._newest(learners, entitlement).items()
        }

    def recorded(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, Recorded]:
        return {
            who: Recorded(new.state, new.decided_at, canonical(dict(new.trace)).decode())
            for who, new in self._newest(learners, entitlement).items()
        }

    def append_decisions(self, decisions: Sequence[NewDecision]) -> None:
        """Claims are not modelled: a grant that falls frees its month."""
        for new in decisions:
            self.decisions.append(new)
            slot = (new.learner_id, new.entitlement)
            if new.state is State.GRANTED and new.completion is not None and new.uscc is not None:
                self.holdings[slot] = Holding(*reference(new.completion), new.uscc)
            else:
                self.holdings.pop(slot, None)
