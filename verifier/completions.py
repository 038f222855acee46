"""Step 4c, law 3: one completion, once. Pure.

A certificate number (issuer, number scope, number) stands for one completion. What comes under it:

1. identical content: nothing changes;
2. other content that the platform declares a correction, or that the issuer signed anew (a higher revision,
   or the same revision issued later): a **correction**, which supersedes what stood there, also when the
   person named in it is another one;
3. content older than what stands there: kept in its delivery, changing nothing;
4. other content of the same revision and moment, not declared: a **conflict**, for a reviewer;
5. content that names its holder by less than an identifier (a phone number, an account) ranks below any that
   names somebody for certain, in whatever order they come: nobody loses a completion to it. Where it is not
   older besides, a reviewer is asked;
6. anything proven now, where what stands there came by a key that was perhaps somebody else's by then: it
   supersedes it, be the content older, other or identical. That is how an issuer mends a compromise.

A revocation is for the number, whether it comes before or after the completion, and stands once.

A number whose holder was lawfully erased is closed: nothing that comes under it makes anybody a learner
again. Identical content is a repetition as ever, other content is recorded without effect, and a revocation
stands without the words that came with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from verifier.errors import Code
from verifier.model.certificate import VerifiedCertificate
from verifier.model.decision import ReviewNeed
from verifier.model.delivery import Event, EventKind, ItemOutcome, ItemState, PlatformSlug
from verifier.model.facts import CompletionFact, FactId, RevocationFact, Source
from verifier.model.person import LearnerId, PersonName
from verifier.ports import NewId

Reference = tuple[str, str, str]
"""Issuer, number scope, number."""


@dataclass(frozen=True, slots=True)
class Proven:
    """An event whose certificate was verified and whose holder was read.

    Attributes:
        digest: keyed digest of the certificate's content.
        first_received_at: when the signed content first reached this service; None means now.
        weak: by what it names its holder, where that is weaker than an identifier.
    """

    event: Event
    certificate: VerifiedCertificate
    holder: PersonName
    digest: bytes = field(repr=False)
    first_received_at: datetime | None = None
    weak: str = ""

    @property
    def reference(self) -> Reference:
        """The certificate's number with its scope."""
        return (self.certificate.issuer, self.certificate.number_scope, self.certificate.number)


@dataclass(slots=True)
class Numbers:
    """What stands under the numbers of one transaction, and what the items in it add.

    Attributes:
        current: the completion that stands under each number.
        revoked: numbers that are revoked.
        doubtful: of ``current``, what came by a key that the register calls compromised by then.
        closed: numbers whose holder was lawfully erased.
        keyless: learners whose key is gone although their identifier is not; nothing can be sealed for them.
        facts: to be appended, in order.
        affected: learners whose decision must be taken again.
        reviews: questions to open, by the learner they are about.
    """

    new_id: NewId
    at: datetime
    current: dict[Reference, CompletionFact]
    revoked: set[Reference]
    doubtful: frozenset[FactId] = frozenset()
    closed: frozenset[Reference] = frozenset()
    keyless: frozenset[LearnerId] = frozenset()
    facts: list[CompletionFact | RevocationFact] = field(default_factory=list)
    affected: set[LearnerId] = field(default_factory=set)
    reviews: list[tuple[LearnerId, ReviewNeed]] = field(default_factory=list)

    def complete(
        self, proven: Proven, learner: LearnerId | None, platform: PlatformSlug, source: Source
    ) -> ItemOutcome:
        """Take in a completion or a correction of one; of a closed number nobody is the learner."""
        if learner is None or learner in self.keyless or proven.reference in self.closed:
            return self._keep_out(proven)
        standing = self.current.get(proven.reference)
        if standing is None or standing.fact_id in self.doubtful:
            return self._stand(proven, learner, platform, source, standing)
        return self._compare(proven, learner, platform, source, standing)

    def _compare(
        self,
        proven: Proven,
        learner: LearnerId,
        platform: PlatformSlug,
        source: Source,
        standing: CompletionFact,
    ) -> ItemOutcome:
        item = proven.event.item
        if standing.content_digest == proven.digest:
            return ItemOutcome(item, ItemState.DUPLICATE)
        older = (not standing.weak, standing.revision, standing.issued_at)
        newer = (not proven.weak, proven.certificate.revision, proven.certificate.issued_at)
        declared = proven.event.kind is EventKind.CORRECTED
        if newer > older or (newer == older and declared):
            return self._stand(proven, learner, platform, source, standing)
        if newer < older and newer[1:] >= older[1:]:
            return self._ask(proven, standing, Code.IDENTITY_WEAK)
        if newer < older:
            return ItemOutcome(item, ItemState.RECORDED)
        return self._ask(proven, standing, Code.COMPLETION_CONFLICT)

    def _keep_out(self, proven: Proven) -> ItemOutcome:
        """Answer what can be nobody's; it stays in its delivery, changing nothing."""
        item = proven.event.item
        if proven.reference not in self.closed:
            # A key was destroyed by hand: somebody has to look at it, and it is read again afterwards.
            return ItemOutcome(item, ItemState.REFUSED, Code.LEARNER_ERASED)
        if self.current[proven.reference].content_digest == proven.digest:
            return ItemOutcome(item, ItemState.DUPLICATE)
        return ItemOutcome(item, ItemState.RECORDED, Code.LEARNER_ERASED)

    def _ask(self, proven: Proven, standing: CompletionFact, code: Code) -> ItemOutcome:
        about = (standing.fact_id, FactId(proven.digest.hex()))
        self.reviews.append((standing.learner_id, ReviewNeed("completion_conflict", about)))
        return ItemOutcome(proven.event.item, ItemState.IN_REVIEW, code)

    def _stand(
        self,
        proven: Proven,
        learner: LearnerId,
        platform: PlatformSlug,
        source: Source,
        standing: CompletionFact | None,
    ) -> ItemOutcome:
        certificate = proven.certificate
        fact = CompletionFact(
            fact_id=FactId(self.new_id()),
            learner_id=learner,
            platform=platform,
            issuer=certificate.issuer,
            number_scope=certificate.number_scope,
            number=certificate.number,
            # The issuer's own word, also where it does not count: the next certificate is compared with it.
            revision=certificate.revision,
            completed_at=certificate.completed_at,
            issued_at=certificate.issued_at,
            document=certificate.document,
            level=certificate.level,
            course_code=certificate.course_code,
            course_title=certificate.course_title,
            organisation=certificate.organisation,
            key_id=certificate.key_id,
            content_digest=proven.digest,
            holder=proven.holder,
            recorded_at=self.at,
            source=source,
            supersedes=standing.fact_id if standing else None,
            first_received_at=proven.first_received_at,
            started_at=certificate.started_at,
            study_minutes=certificate.study_minutes,
            weak=proven.weak,
        )
        self.facts.append(fact)
        self.current[proven.reference] = fact
        self.affected.add(learner)
        if standing is not None:
            self.affected.add(standing.learner_id)
        if proven.weak:
            return ItemOutcome(proven.event.item, ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
        return ItemOutcome(proven.event.item, ItemState.ACCEPTED)

    def revoke(
        self, event: Event, reference: Reference, platform: PlatformSlug, source: Source
    ) -> ItemOutcome:
        """Take in a revocation of a number."""
        if reference in self.revoked:
            return ItemOutcome(event.item, ItemState.DUPLICATE)
        issuer, scope, number = reference
        self.revoked.add(reference)
        reason = "" if reference in self.closed else event.reason
        self.facts.append(
            RevocationFact(FactId(self.new_id()), platform, issuer, scope, number, reason, self.at, source)
        )
        standing = self.current.get(reference)
        if standing is not None:
            self.affected.add(standing.learner_id)
        return ItemOutcome(event.item, ItemState.ACCEPTED)


def standing(completions: Iterable[CompletionFact]) -> dict[Reference, CompletionFact]:
    """The completion that stands under each number."""
    return {(fact.issuer, fact.number_scope, fact.number): fact for fact in completions}
