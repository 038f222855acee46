"""The order of the steps, for a list of deliveries; a single callback is a list of one.

Before any transaction (``prepare``):

1. ``callback.receive`` has checked limits and headers;
2. the platform's adapter authenticates over the raw bytes, then parses;
3. ``certificates.verify`` checks each certificate, and ``learner.identify`` reads whom it names (4a, 4b).

In one transaction (``record``), which may run twice and has no effect outside:

a. claim the delivery ids: what is known is answered again, other content is a conflict;
b. touch the certificate numbers, then the learners, in sorted order;
c. derive the facts (4c): completions, corrections, revocations;
d. decide (5) for every learner concerned;
e. store each delivery with its answer.

The caller still owes the commit: only when it has returned may anything be acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from verifier import certificates, completions, eligibility, learner
from verifier.completions import Numbers, Proven, Reference
from verifier.errors import AdapterError, CertificateRejected, Code, IdentityRejected
from verifier.identity import NORMALISER
from verifier.keyring import Register
from verifier.model.decision import Case, DecisionId, LatestDecision, Pins, State, Verdict
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.facts import CompletionFact, Source
from verifier.model.person import Identifier, LearnerId
from verifier.model.time import beijing_date
from verifier.policy import Policy
from verifier.ports import Adapter, Digest, NewId
from verifier.ports.intake import DeciderTransaction, DeliveryClaim, IntakeTransaction, NewDecision

log = logging.getLogger("verifier.pipeline")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What is adopted at the moment: the policy and the trust register that decisions pin."""

    policy: Policy
    register: Register

    @property
    def pins(self) -> Pins:
        """What every decision under this rulebook stands on."""
        return Pins(self.policy.pin, self.policy.digest, self.register.digest, NORMALISER)


@dataclass(frozen=True, slots=True)
class ProvenItem:
    """A completion or correction that passed steps 3 and 4a."""

    proven: Proven
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class RevokedItem:
    """A revocation whose platform may speak for the issuer."""

    event: Event
    reference: Reference


Item = ProvenItem | RevokedItem | ItemOutcome
"""A prepared item; one that needs no transaction is its outcome already."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery after the steps that need no transaction.

    Attributes:
        code: why the delivery as a whole is quarantined.
    """

    claim: DeliveryClaim
    items: tuple[Item, ...]
    code: Code | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Platform and delivery id."""
        return (self.claim.authenticated.callback.platform, self.claim.authenticated.delivery_id)


def prepare(
    adapter: Adapter, callback: Callback, register: Register, digest: Digest, now: datetime
) -> Prepared:
    """Steps 2, 3 and 4a for one callback.

    Args:
        adapter: the platform's.
        callback: after step 1.
        register: adopted trust register.
        digest: keyed digest.
        now: aware UTC.

    Raises:
        SignatureRejected: not authentic; nothing may be kept of it.
    """
    platform = register.platforms.get(adapter.slug)
    keys = platform.transport_at(now) if platform is not None else ()
    authenticated = adapter.authenticate(callback, keys, now)
    claim = DeliveryClaim(authenticated, digest("delivery", callback.body))
    try:
        parsed = adapter.parse(authenticated)
    except AdapterError as error:
        return Prepared(claim, (), error.code)
    except Exception as error:  # noqa: BLE001 - the adapter boundary: what is authentic is kept whatever breaks
        log.error("adapter %s failed: %s", adapter.slug, type(error).__name__)  # noqa: TRY400 - holds input
        return Prepared(claim, (), Code.INTERNAL)
    return Prepared(claim, tuple(_item(part, authenticated, register, digest) for part in parsed))


def _item(
    part: Event | UnreadableItem, authenticated: AuthenticatedCallback, register: Register, digest: Digest
) -> Item:
    if isinstance(part, UnreadableItem):
        return ItemOutcome(part.item, ItemState.REFUSED, part.code, pointer=part.pointer)
    if part.kind is EventKind.UNKNOWN:
        return ItemOutcome(part.item, ItemState.RECORDED, Code.EVENT_UNKNOWN)
    try:
        if part.certificate is None:
            return _revocation(part, authenticated, register)
        return _completion(part, authenticated.callback, register, digest)
    except CertificateRejected as error:
        return ItemOutcome(part.item, ItemState.REFUSED, error.code, error.step)
    except IdentityRejected as error:
        return ItemOutcome(part.item, ItemState.REFUSED, error.code, pointer=error.pointer)


def _completion(part: Event, callback: Callback, register: Register, digest: Digest) -> Item:
    assert part.certificate is not None
    certificate = certificates.verify(
        part.certificate,
        platform=callback.platform,
        register=register,
        first_received_at=callback.received_at,
    )
    certificates.check_stated(part.stated, certificate)
    reference = (certificate.issuer, certificate.number_scope, certificate.number)
    if part.kind is EventKind.REVOKED:
        return RevokedItem(part, reference)
    who = learner.identify(certificate.holder, beijing_date(callback.received_at))
    proven = Proven(part, certificate, who.name, digest("completion", certificate.content_digest))
    return ProvenItem(proven, who.identifier)


def _revocation(part: Event, authenticated: AuthenticatedCallback, register: Register) -> Item:
    issuer = register.issuers.get(part.issuer)
    if issuer is None:
        return ItemOutcome(part.item, ItemState.REFUSED, Code.ISSUER_UNKNOWN)
    if authenticated.callback.platform not in issuer.platforms:
        return ItemOutcome(part.item, ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED)
    return RevokedItem(part, (issuer.issuer_id, issuer.number_scope, part.number))


def record(
    tx: IntakeTransaction, group: Sequence[Prepared], rulebook: Rulebook, at: datetime, new_id: NewId
) -> list[DeliveryOutcome]:
    """Steps a to e for deliveries that share a transaction.

    Args:
        tx: the transaction.
        group: prepared deliveries, in order of arrival.
        rulebook: adopted policy and register.
        at: aware UTC, the moment facts and decisions bear.
        new_id: source of random ids.

    Returns:
        One outcome for each, in the same order.
    """
    known = {
        key: (found.body_digest, found.outcome)
        for key, found in tx.known_deliveries(
            {
                (item.claim.authenticated.callback.platform, item.claim.authenticated.delivery_id)
                for item in group
            }
        ).items()
    }
    first: dict[tuple[str, str], Prepared] = {}
    for prepared in group:
        if prepared.key not in known:
            first.setdefault(prepared.key, prepared)
    fresh = list(first.values())
    outcomes = _take_in(tx, fresh, rulebook, at, new_id)
    tx.insert_deliveries([prepared.claim for prepared in fresh], outcomes)
    answers = {prepared.key: outcome for prepared, outcome in zip(fresh, outcomes, strict=True)}
    result: list[DeliveryOutcome] = []
    conflicts: list[tuple[Prepared, DeliveryOutcome]] = []
    for prepared in group:
        if first.get(prepared.key) is prepared:
            result.append(answers[prepared.key])
            continue
        digest, outcome = (
            known[prepared.key]
            if prepared.key in known
            else (first[prepared.key].claim.body_digest, answers[prepared.key])
        )
        result.append(_again(prepared, digest, outcome))
        if not result[-1].replayed:
            conflicts.append((prepared, result[-1]))
    _keep(tx, conflicts)
    return result


def _again(prepared: Prepared, digest: bytes, outcome: DeliveryOutcome) -> DeliveryOutcome:
    if digest == prepared.claim.body_digest:
        return replace(outcome, replayed=True)
    return DeliveryOutcome(outcome.delivery_id, DeliveryState.CONFLICT, code=Code.DELIVERY_CONFLICT)


def _keep(tx: IntakeTransaction, conflicts: Sequence[tuple[Prepared, DeliveryOutcome]]) -> None:
    """Keep other content under a known id beside it, once: it is authentic, so it is not dropped."""
    claims: dict[tuple[str, str], tuple[DeliveryClaim, DeliveryOutcome]] = {}
    for prepared, outcome in conflicts:
        claim, authentic = prepared.claim, prepared.claim.authenticated
        # "#" stands in no platform's id.
        beside = DeliveryId(f"{authentic.delivery_id}#{claim.body_digest.hex()[:32]}")
        kept = replace(claim, authenticated=replace(authentic, delivery_id=beside))
        claims[authentic.callback.platform, beside] = (kept, outcome)
    if not claims:
        return
    known = tx.known_deliveries({(PlatformSlug(slug), DeliveryId(one)) for slug, one in claims})
    fresh = [both for key, both in claims.items() if key not in known]
    tx.insert_deliveries([claim for claim, _ in fresh], [outcome for _, outcome in fresh])


def _take_in(
    tx: IntakeTransaction, fresh: Sequence[Prepared], rulebook: Rulebook, at: datetime, new_id: NewId
) -> list[DeliveryOutcome]:
    items = [item for prepared in fresh for item in prepared.items]
    references = {
        item.proven.reference if isinstance(item, ProvenItem) else item.reference
        for item in items
        if not isinstance(item, ItemOutcome)
    }
    standing = completions.standing(tx.completions(references))
    identifiers = {item.identifier for item in items if isinstance(item, ProvenItem)}
    learners = tx.learners(identifiers, at, {fact.learner_id for fact in standing.values()})
    revoked = {(fact.issuer, fact.number_scope, fact.number) for fact in tx.revocations(references)}
    numbers = Numbers(new_id, at, standing, revoked)
    outcomes = []
    for prepared in fresh:
        callback = prepared.claim.authenticated.callback
        source = Source("delivery", f"{callback.platform}/{prepared.claim.authenticated.delivery_id}")
        done = []
        for item in prepared.items:
            if isinstance(item, ProvenItem):
                done.append(
                    numbers.complete(item.proven, learners[item.identifier], callback.platform, source)
                )
            elif isinstance(item, RevokedItem):
                done.append(numbers.revoke(item.event, item.reference, callback.platform, source))
            else:
                done.append(item)
        state = DeliveryState.QUARANTINED if prepared.code else DeliveryState.ACCEPTED
        delivery_id = prepared.claim.authenticated.delivery_id
        outcomes.append(DeliveryOutcome(delivery_id, state, tuple(done), prepared.code))
    tx.add_facts(numbers.facts)
    for who, need in numbers.reviews:
        tx.open_reviews(who, [need], at)
    decide(tx, numbers.affected, rulebook, at, new_id)
    return outcomes


def decide(
    tx: DeciderTransaction,
    learners: Collection[LearnerId],
    rulebook: Rulebook,
    at: datetime,
    new_id: NewId,
) -> list[NewDecision]:
    """Step 5 for learners whose rows are already touched: append a revision where something changed.

    Args:
        tx: the transaction.
        learners: whose decision may have changed.
        rulebook: adopted policy and register.
        at: as-of time, aware UTC.
        new_id: source of random ids.

    Returns:
        The decisions appended.
    """
    policy = rulebook.policy
    cases = tx.cases(learners, policy.entitlement, at)
    latest = tx.latest(learners, policy.entitlement)
    recognised = {slug: platform.recognised for slug, platform in rulebook.register.platforms.items()}
    appended = []
    for who in sorted(cases):
        case = replace(cases[who], recognised=recognised)
        before = latest.get(who)
        if not case.completions and before is None:
            continue
        verdict = _judge(case, rulebook)
        tx.open_reviews(who, verdict.reviews, at)
        material = eligibility.material(verdict)
        # A grant whose month was paid and given back says the same again, and takes the free month anew.
        retaken = verdict.state is State.GRANTED and case.holding is None
        if before is None or before.material != material or retaken:
            appended.append(_decision(verdict, material, before, case.completions, at, new_id))
    tx.append_decisions(appended)
    return appended


def _judge(case: Case, rulebook: Rulebook) -> Verdict:
    verdict = eligibility.evaluate(case, rulebook.policy, rulebook.pins)
    holding = case.holding
    if holding is None or not holding.owed or _keeps(verdict, case):
        return verdict
    # Money was asked for or paid on the month that would be taken away: it is not free until returned.
    owed = replace(case, holding=replace(holding, blocked=True))
    return eligibility.evaluate(owed, rulebook.policy, rulebook.pins)


def _keeps(verdict: Verdict, case: Case) -> bool:
    holding, candidate = case.holding, verdict.candidate
    if holding is None or candidate is None or verdict.state is not State.GRANTED:
        return False
    return any(
        fact.fact_id == candidate.completion
        and (fact.issuer, fact.number_scope, fact.number, candidate.uscc)
        == (holding.issuer, holding.number_scope, holding.number, holding.uscc)
        for fact in case.completions
    )


def _decision(
    verdict: Verdict,
    material: bytes,
    before: LatestDecision | None,
    known: Sequence[CompletionFact],
    at: datetime,
    new_id: NewId,
) -> NewDecision:
    candidate = verdict.candidate
    granted = verdict.state is State.GRANTED
    chosen = next((fact for fact in known if candidate and fact.fact_id == candidate.completion), None)
    return NewDecision(
        decision_id=DecisionId(new_id()),
        learner_id=verdict.learner_id,
        entitlement=verdict.entitlement,
        revision=before.revision + 1 if before else 1,
        state=verdict.state,
        decided_at=at,
        material=material,
        trace=eligibility.trace(verdict),
        completion=chosen,
        uscc=candidate.uscc if candidate else None,
        dispatched_by=verdict.dispatched_by,
        office=verdict.office,
        month=verdict.month if granted else None,
    )
