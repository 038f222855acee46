"""Two learners are one person, are not, or turned out not to be: what a reviewer decides, never a rule.

Functions over a transaction; they do nothing outside it and may run twice.

1. A merge is a fact about two learners. Everything known of either stays under the one it came for, so that
   undoing the merge leaves each with what is its own. Merges form groups; a group is judged under one of its
   members, its *canonical* learner, and every other one's decisions fall.
2. Under whom, follows from the state alone: before all others one that an identifier names; then one on
   whose months money was asked for or paid; then one that holds a month, of these the one granted first;
   then the one heard of first. So the first committed grant stays, and no payment loses its slot. A month
   that is claimed or paid under two of them is called back under the one that is not canonical.
3. Two that a reviewer told apart are not merged, nor are groups in which two members were told apart; who
   knows better undoes that first, by saying ``merge`` with ``despite``.
4. Two provisional learners are not merged with each other: nobody would be identified by it.
5. Everyone concerned is put on the due list in the same transaction, and judged again by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from verifier.errors import AccessDenied, Code, Conflict
from verifier.identity import NORMALISER
from verifier.model.facts import FactId, MergeFact, NotSameFact, Source
from verifier.model.person import LearnerId
from verifier.ports import NewId
from verifier.ports.merging import MergingTransaction, Weight

CAUSE: Final = "merge"
_FAR: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reviewer decided about two learners, and why.

    Attributes:
        evidence: what was looked at.
    """

    first: LearnerId
    second: LearnerId
    reason: str
    evidence: str
    source: Source


def merge(
    tx: MergingTransaction, finding: Finding, *, at: datetime, new_id: NewId, despite: bool = False
) -> LearnerId:
    """Make two learners one person.

    Args:
        tx: the transaction.
        finding: the two, and why.
        at: aware UTC.
        new_id: source of random ids.
        despite: also where they, or others of their groups, were told apart before.

    Returns:
        The learner under whom the person is judged from now on.

    Raises:
        AccessDenied: NOT_FOUND, one of them does not exist.
        Conflict: REVIEW_STATE_REFUSED: they are one already, were told apart, or none of them is identified.
    """
    group = _locked(tx, (finding.first, finding.second))
    weights = _weights(tx, group)
    if group[finding.first] == group[finding.second]:
        raise Conflict(Code.REVIEW_STATE_REFUSED, "they are one person already", pointer="learner")
    if not despite and _told_apart(tx, group):
        raise Conflict(Code.REVIEW_STATE_REFUSED, "they were told apart before", pointer="learner")
    if not any(weights[group[one]].strong for one in (finding.first, finding.second)):
        detail = "neither of them is known by an identifier"
        raise Conflict(Code.REVIEW_STATE_REFUSED, detail, pointer="learner")
    canonical = min(group, key=lambda one: _rank(one, weights[one]))
    fact = MergeFact(
        fact_id=FactId(new_id()),
        learner_id=finding.first,
        other=finding.second,
        reason=finding.reason,
        evidence=finding.evidence,
        normaliser=NORMALISER,
        recorded_at=at,
        source=finding.source,
    )
    tx.add_facts([fact])
    tx.set_canonical(dict.fromkeys(group, canonical))
    tx.put_due(group, CAUSE, at)
    tx.announce("merge", fact.fact_id, {"merge": fact.fact_id, "undone": False}, at)
    return canonical


def part(tx: MergingTransaction, finding: Finding, *, at: datetime, new_id: NewId) -> Sequence[LearnerId]:
    """Undo a merge: the two turned out not to be one person, and are told apart from now on.

    Returns:
        Under whom each group is judged from now on.

    Raises:
        AccessDenied: NOT_FOUND, one of them does not exist.
        Conflict: REVIEW_STATE_REFUSED, no merge of exactly these two stands.
    """
    group = _locked(tx, (finding.first, finding.second))
    weights = _weights(tx, group)
    standing = [fact for fact in tx.merges(group) if not fact.undone]
    pair = {finding.first, finding.second}
    undone = next((fact for fact in standing if {fact.learner_id, fact.other} == pair), None)
    if undone is None:
        raise Conflict(Code.REVIEW_STATE_REFUSED, "no merge of these two stands", pointer="learner")
    fact = MergeFact(
        fact_id=FactId(new_id()),
        learner_id=undone.learner_id,
        other=undone.other,
        reason=finding.reason,
        evidence=finding.evidence,
        normaliser=NORMALISER,
        recorded_at=at,
        source=finding.source,
        undone=True,
        supersedes=undone.fact_id,
    )
    tx.add_facts([fact, _not_same(finding, at, new_id)])
    left = [(one.learner_id, one.other) for one in standing if one != undone]
    canonical = _canonical(group, left, weights)
    tx.set_canonical(canonical)
    tx.put_due(group, CAUSE, at)
    tx.announce("merge", fact.fact_id, {"merge": undone.fact_id, "undone": True}, at)
    return sorted(set(canonical.values()))


def tell_apart(tx: MergingTransaction, finding: Finding, *, at: datetime, new_id: NewId) -> None:
    """Record that two learners are not one person, so that neither is proposed for the other again.

    Raises:
        AccessDenied: NOT_FOUND, one of them does not exist.
        Conflict: REVIEW_STATE_REFUSED, they are one person at the moment: part them.
    """
    group = _locked(tx, (finding.first, finding.second))
    _weights(tx, group)
    if group[finding.first] == group[finding.second]:
        raise Conflict(Code.REVIEW_STATE_REFUSED, "they are merged: part them", pointer="learner")
    tx.add_facts([_not_same(finding, at, new_id)])


def _not_same(finding: Finding, at: datetime, new_id: NewId) -> NotSameFact:
    return NotSameFact(
        fact_id=FactId(new_id()),
        learner_id=finding.first,
        other=finding.second,
        reason=finding.reason,
        evidence=finding.evidence,
        normaliser=NORMALISER,
        recorded_at=at,
        source=finding.source,
    )


def _locked(tx: MergingTransaction, pair: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
    """Both groups' members with their canonical learners, once every identifier row of theirs is touched."""
    if len(set(pair)) < len(pair):
        raise Conflict(Code.REVIEW_STATE_REFUSED, "two different learners are needed", pointer="learner")
    group = tx.members({*tx.members(pair).values()})
    tx.lock(group)
    if tx.members({*tx.members(pair).values()}) != group:
        raise Conflict(Code.REVIEW_STATE_REFUSED, "they were merged or parted meanwhile", pointer="learner")
    return group


def _weights(tx: MergingTransaction, group: Collection[LearnerId]) -> Mapping[LearnerId, Weight]:
    weights = tx.weights(group)
    if any(one not in weights for one in group):
        raise AccessDenied(Code.NOT_FOUND, "no such learner", pointer="learner")
    return weights


def _told_apart(tx: MergingTransaction, group: Mapping[LearnerId, LearnerId]) -> bool:
    """Whether members of the two groups were told apart, and not merged after that.

    What was merged in spite of it was decided later, and is within one group by now.
    """
    return any(
        fact.learner_id in group and fact.other in group and group[fact.learner_id] != group[fact.other]
        for fact in tx.told_apart(group)
    )


def _rank(learner: LearnerId, weight: Weight) -> tuple[bool, int, int, datetime, datetime, str]:
    return (
        not weight.strong,
        -weight.owed,
        -weight.granted,
        weight.first_granted_at or _FAR,
        weight.created_at,
        learner,
    )


def _canonical(
    group: Collection[LearnerId],
    pairs: Iterable[tuple[LearnerId, LearnerId]],
    weights: Mapping[LearnerId, Weight],
) -> dict[LearnerId, LearnerId]:
    """Under whom each is judged, when only these pairs are one."""
    together = {one: {one} for one in group}
    for first, second in pairs:
        joined = together[first] | together[second]
        together.update(dict.fromkeys(joined, joined))
    return {one: min(together[one], key=lambda who: _rank(who, weights[who])) for one in group}
