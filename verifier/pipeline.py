"""The order of the steps, for a list of deliveries; a single callback is a list of one.

Before any transaction (``preparing``):

1. ``callback.receive`` has checked limits and headers;
2. the platform's adapter authenticates over the raw bytes, then parses;
3. ``certificates.verify`` checks each certificate, and ``learner.identify`` reads whom it names (4a, 4b).

In one transaction (``record``), which may run twice and has no effect outside:

a. claim the delivery ids: what is known is answered again, other content is a conflict;
b. touch the certificate numbers, then the learners, in sorted order;
c. claim the items' own ids and the documents; derive the facts (4c): completions, corrections, revocations;
d. decide (5) for every learner concerned;
e. store each delivery with its answer.

``record_again`` takes what an earlier reading of a stored delivery left open through b, c and d, and keeps
the new reading beside the first.

The caller still owes the commit: only when it has returned may anything be acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from verifier import completions, judging, mentioning
from verifier.completions import Numbers
from verifier.errors import Code, ConfigurationError, Conflict
from verifier.identity import NORMALISER
from verifier.judging import Judgement
from verifier.keeping import Kept
from verifier.keyring import Register
from verifier.model.decision import Pins, State
from verifier.model.delivery import (
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.model.facts import Source
from verifier.model.person import Identifier, LearnerId
from verifier.policy import Policy
from verifier.ports import NewId
from verifier.ports.intake import (
    DeciderTransaction,
    DeliveryClaim,
    IntakeTransaction,
    JudgingTransaction,
    NewDecision,
)
from verifier.preparing import (
    DocumentItem,
    Item,
    Prepared,
    ProvenItem,
    RevokedItem,
    WaitingItem,
    item_name,
)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What is adopted at the moment: the policies and the trust register that decisions pin.

    Each policy has an entitlement of its own; everyone is decided under each, in this order.
    """

    policies: tuple[Policy, ...]
    register: Register

    def __post_init__(self) -> None:
        """Check the policies.

        Raises:
            ConfigurationError: POLICY_INVALID, there is none, or two are about the same entitlement.
        """
        if not self.policies or len({policy.entitlement for policy in self.policies}) < len(self.policies):
            detail = "one policy at least is needed, each with an entitlement of its own"
            raise ConfigurationError(Code.POLICY_INVALID, detail, pointer="entitlement")

    @property
    def policy(self) -> Policy:
        """The main one, where a single one is meant."""
        return self.policies[0]

    def about(self, entitlement: str) -> Policy | None:
        """The policy about an entitlement, if one is adopted; the main one where none is named."""
        named = (policy for policy in self.policies if entitlement in {"", policy.entitlement})
        return next(named, None)

    @property
    def digests(self) -> Mapping[str, str]:
        """What it consists of, by the names under which it is adopted."""
        policies = {f"policy/{policy.entitlement}": policy.digest for policy in self.policies}
        return {"register": self.register.digest, **policies}

    def pins(self, policy: Policy) -> Pins:
        """What every decision under one of its policies stands on."""
        return policy.pins(register=self.register.digest, normaliser=NORMALISER)


def record(
    tx: IntakeTransaction, group: Sequence[Prepared], rulebook: Rulebook, at: datetime, new_id: NewId
) -> list[DeliveryOutcome]:
    """Steps a to e for deliveries that share a transaction.

    Args:
        tx: the transaction.
        group: prepared deliveries, in order of arrival.
        rulebook: adopted policies and register.
        at: aware UTC, the moment facts and decisions bear.
        new_id: source of random ids.

    Returns:
        One outcome for each, in the same order.
    """
    known = {
        key: (found.content_digest, found.outcome)
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
            else (first[prepared.key].claim.content_digest, answers[prepared.key])
        )
        result.append(_again(prepared, digest, outcome))
        if not result[-1].replayed:
            conflicts.append((prepared, result[-1]))
    _keep(tx, conflicts)
    return result


def _again(prepared: Prepared, digest: bytes, outcome: DeliveryOutcome) -> DeliveryOutcome:
    if digest == prepared.claim.content_digest:
        return replace(outcome, replayed=True)
    return DeliveryOutcome(outcome.delivery_id, DeliveryState.CONFLICT, code=Code.DELIVERY_CONFLICT)


def _keep(tx: IntakeTransaction, conflicts: Sequence[tuple[Prepared, DeliveryOutcome]]) -> None:
    """Keep other content under a known id beside it, once: it is authentic, so it is not dropped."""
    claims: dict[tuple[str, str], tuple[DeliveryClaim, DeliveryOutcome]] = {}
    for prepared, outcome in conflicts:
        claim, authentic = prepared.claim, prepared.claim.authenticated
        # "#" stands in no platform's id.
        beside = DeliveryId(f"{authentic.delivery_id}#{claim.content_digest.hex()[:32]}")
        kept = replace(claim, authenticated=replace(authentic, delivery_id=beside))
        claims[authentic.callback.platform, beside] = (kept, outcome)
    if not claims:
        return
    known = tx.known_deliveries({(PlatformSlug(slug), DeliveryId(one)) for slug, one in claims})
    fresh = [both for key, both in claims.items() if key not in known]
    tx.insert_deliveries([claim for claim, _ in fresh], [outcome for _, outcome in fresh])


def record_again(
    tx: IntakeTransaction,
    prepared: Prepared,
    before: DeliveryOutcome,
    cause: str,
    rulebook: Rulebook,
    at: datetime,
    new_id: NewId,
) -> DeliveryOutcome:
    """Take in what earlier readings of a stored delivery left open.

    Args:
        tx: the transaction.
        prepared: the delivery as it is read now.
        before: what its newest reading said; what is settled there stays, and is not done again.
        cause: why it is read again: an operator's name, or ``document``.
        rulebook: adopted policies and register.
        at: aware UTC.
        new_id: source of random ids.

    Returns:
        What the delivery's items are now.

    Raises:
        Conflict: DELIVERY_CONFLICT, the delivery was read meanwhile, or stands beside another one of its id.
    """
    authentic = prepared.claim.authenticated
    standing = tx.latest_outcome(authentic.callback.platform, authentic.delivery_id)
    if standing != before or before.state is DeliveryState.CONFLICT:
        raise Conflict(Code.DELIVERY_CONFLICT, "the delivery was read again meanwhile", pointer="delivery")
    (outcome,) = _take_in(tx, [unsettled(prepared, before)], rulebook, at, new_id, again=True)
    tx.insert_reading(authentic.callback.platform, outcome, cause, at)
    return outcome


def unsettled(prepared: Prepared, before: DeliveryOutcome) -> Prepared:
    """A delivery in which whatever has been settled is its outcome already."""
    settled = {item.item: item for item in before.items if not is_open(item)}
    items = tuple(settled.get(item_name(item), item) for item in prepared.items)
    return replace(prepared, items=items)


def state_of(prepared: Prepared) -> DeliveryState:
    """What becomes of a delivery that is new."""
    return DeliveryState.QUARANTINED if prepared.code else DeliveryState.ACCEPTED


def is_open(item: ItemOutcome) -> bool:
    """Whether reading an item again may come to something else."""
    unknown = item.state is ItemState.RECORDED and item.code is Code.EVENT_UNKNOWN
    return unknown or item.state in {ItemState.REFUSED, ItemState.WAITING}


def _take_in(
    tx: IntakeTransaction,
    fresh: Sequence[Prepared],
    rulebook: Rulebook,
    at: datetime,
    new_id: NewId,
    *,
    again: bool = False,
) -> list[DeliveryOutcome]:
    items = [item for prepared in fresh for item in prepared.items]
    proven = [item for item in items if isinstance(item, ProvenItem)]
    references = {item.proven.reference for item in proven}
    references |= {item.reference for item in items if isinstance(item, RevokedItem)}
    standing = completions.standing(tx.completions(references))
    erased = tx.erased_among({fact.learner_id for fact in standing.values()})
    closed = frozenset(number for number, fact in standing.items() if fact.learner_id in erased)
    proven = [item for item in proven if item.proven.reference not in closed]
    identifiers = {item.identifier for item in proven}
    learners = tx.learners(identifiers, at, {fact.learner_id for fact in standing.values()})
    keyless = frozenset(tx.keyless_among(set(learners.values())))
    tx.add_traits((learners[item.identifier], trait) for item in proven for trait in item.traits)
    revoked = {(fact.issuer, fact.number_scope, fact.number) for fact in tx.revocations(references)}
    doubtful = rulebook.register.doubtful(standing.values())
    numbers = Numbers(new_id, at, standing, revoked, doubtful, closed, keyless)
    holders = {number: fact.learner_id for number, fact in standing.items()}
    kept = Kept.of(tx, fresh, again=again)
    outcomes = []
    for prepared in fresh:
        platform, delivery_id = prepared.platform, prepared.claim.authenticated.delivery_id
        source = Source("delivery", f"{platform}/{delivery_id}")
        done = []
        for item in prepared.items:
            outcome = kept.known(prepared, item)
            if outcome is None:
                outcome = _take(item, prepared, learners, numbers, kept, source)
            kept.claim(prepared, outcome)
            done.append(outcome)
        outcomes.append(DeliveryOutcome(delivery_id, state_of(prepared), tuple(done), prepared.code))
    kept.store(tx)
    tx.insert_mentions(mentioning.mentions(fresh, learners, holders))
    tx.add_facts(numbers.facts)
    for who, need in numbers.reviews:
        tx.open_reviews(who, [need], at)
    decide(tx, numbers.affected, rulebook, at, new_id)
    return outcomes


def _take(
    item: Item,
    prepared: Prepared,
    learners: Mapping[Identifier, LearnerId],
    numbers: Numbers,
    kept: Kept,
    source: Source,
) -> ItemOutcome:
    match item:
        case ProvenItem():
            who = learners.get(item.identifier)
            return numbers.complete(item.proven, who, prepared.platform, source)
        case RevokedItem():
            return numbers.revoke(item.event, item.reference, prepared.platform, source)
        case DocumentItem():
            return kept.document(prepared, item)
        case WaitingItem():
            return kept.wait(prepared, item)
        case _:
            return item


def decide(
    tx: DeciderTransaction,
    learners: Collection[LearnerId],
    rulebook: Rulebook,
    at: datetime,
    new_id: NewId,
) -> list[NewDecision]:
    """Step 5 for learners whose rows are already touched: append a revision where something changed.

    Whoever was merged into another learner is judged under that one; what was once decided under their own
    id is judged too, and falls.

    Args:
        tx: the transaction.
        learners: whose decision may have changed.
        rulebook: adopted policies and register.
        at: as-of time, aware UTC.
        new_id: source of random ids.

    Returns:
        The decisions appended.
    """
    appended: list[NewDecision] = []
    tx.hold_rules(rulebook.digests)
    canonical = tx.canonical(learners)
    everyone = {*canonical, *canonical.values()}
    moved = {policy.entitlement: everyone for policy in rulebook.policies}
    while any(moved.values()):
        # Whoever holds a grant keeps it, so that a turn after the first only gives: there is an end to it.
        wanted, moved = moved, {policy.entitlement: set() for policy in rulebook.policies}
        for policy in rulebook.policies:
            concerned = wanted[policy.entitlement]
            new, taken = _decide_under(tx, concerned, policy, rulebook, at, new_id) if concerned else ([], ())
            appended += new
            for other in rulebook.policies:
                if other.excluded_by(policy.entitlement):
                    moved[other.entitlement].update(taken, (canonical.get(who, who) for who in taken))
    return appended


def _decide_under(
    tx: DeciderTransaction,
    learners: Collection[LearnerId],
    policy: Policy,
    rulebook: Rulebook,
    at: datetime,
    new_id: NewId,
) -> tuple[list[NewDecision], Collection[LearnerId]]:
    """Decide under one policy; the decisions appended, and whose grant came or went."""
    appended, taken = [], set()
    for judgement in _judged(tx, learners, policy, rulebook, at):
        who = judgement.case.learner_id
        if judgement.verdict.reviews:
            tx.open_reviews(who, judgement.verdict.reviews, at)
        if judgement.changed:
            appended.append(judging.decision(judgement, at, new_id))
            if (judgement.case.holding is not None) != (judgement.verdict.state is State.GRANTED):
                taken.add(who)
    tx.append_decisions(appended)
    return appended, taken


def judgements(
    tx: JudgingTransaction, learners: Collection[LearnerId], rulebook: Rulebook, at: datetime
) -> Iterator[Judgement]:
    """Step 5 without recording anything: what a rulebook says of those who have anything to be judged by.

    Args:
        tx: the transaction, which may be a reading one.
        learners: by their ids, in any order.
        rulebook: the one in force, or one that is only being tried.
        at: as-of time, aware UTC.

    Yields:
        Policy by policy in the rulebook's order, each by learner id.
    """
    for policy in rulebook.policies:
        yield from _judged(tx, learners, policy, rulebook, at)


def _judged(
    tx: JudgingTransaction,
    learners: Collection[LearnerId],
    policy: Policy,
    rulebook: Rulebook,
    at: datetime,
) -> Iterator[Judgement]:
    # What could be judged of whoever was erased is gone; what was decided stands as it is.
    learners = set(learners).difference(tx.erased_among(learners))
    cases = tx.cases(learners, policy.entitlement, at)
    latest = tx.latest(learners, policy.entitlement)
    pins = rulebook.pins(policy)
    for who in sorted(cases):
        case, before = rulebook.register.applied_to(cases[who]), latest.get(who)
        if before is not None or any(policy.about(fact.document) for fact in case.completions):
            yield judging.judge(case, before, policy, pins)
