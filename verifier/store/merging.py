"""Merging and parting learners: ``MergingTransaction``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update

from verifier.model.decision import State
from verifier.model.facts import AnyFact, FactKind, MergeFact, NotSameFact
from verifier.model.person import IdentifierKind, LearnerId
from verifier.ports.merging import Weight
from verifier.store import tables
from verifier.store.access import Access
from verifier.store.deciding import CLAIMED, CLAWBACK, PAID
from verifier.store.session import chunks


class Merging(Access):
    """One transaction that merges or parts learners."""

    def weights(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Weight]:
        """What speaks for each; learners that there are not, are left out."""
        table = tables.learners
        found: dict[LearnerId, Weight] = {}
        for chunk in chunks(learners):
            strong, slots, granted = self._strong(chunk), self._states(chunk), self._first_granted(chunk)
            rows = self.connection.execute(
                select(table.c.learner_id, table.c.created_at).where(table.c.learner_id.in_(chunk))
            )
            for learner, created_at in rows:
                owed = sum(state in {CLAIMED, PAID, CLAWBACK} for state in slots[learner])
                free = len(slots[learner]) - owed
                first = granted.get(learner) if slots[learner] else None
                found[LearnerId(learner)] = Weight(learner in strong, owed, free, first, created_at)
        return found

    def _strong(self, learners: Collection[str]) -> set[str]:
        table = tables.identifiers
        rows = self.connection.execute(
            select(table.c.learner_id).where(
                table.c.learner_id.in_(learners), table.c.kind != IdentifierKind.PROVISIONAL.value
            )
        )
        return set(rows.scalars())

    def _states(self, learners: Collection[str]) -> Mapping[str, list[str]]:
        table = tables.slots
        found: dict[str, list[str]] = defaultdict(list)
        for learner, state in self.connection.execute(
            select(table.c.learner_id, table.c.state).where(table.c.learner_id.in_(learners))
        ):
            found[learner].append(state)
        return found

    def _first_granted(self, learners: Collection[str]) -> dict[str, datetime]:
        table = tables.decisions
        rows = self.connection.execute(
            select(table.c.learner_id, func.min(table.c.decided_at))
            .where(table.c.learner_id.in_(learners), table.c.state == State.GRANTED.value)
            .group_by(table.c.learner_id)
        )
        return {learner: at for learner, at in rows}  # noqa: C416 - rows are no pairs to mypy

    def merges(self, learners: Collection[LearnerId]) -> Sequence[MergeFact]:
        """Current merges in which any of these learners stands on either side; undone ones too."""
        return [fact for fact in self._about(learners, FactKind.MERGE) if isinstance(fact, MergeFact)]

    def told_apart(self, learners: Collection[LearnerId]) -> Sequence[NotSameFact]:
        """What was said about any of these learners and another one not being the same person."""
        return [fact for fact in self._about(learners, FactKind.NOT_SAME) if isinstance(fact, NotSameFact)]

    def _about(self, learners: Collection[LearnerId], kind: FactKind) -> list[AnyFact]:
        table = tables.facts
        found: dict[str, AnyFact] = {}
        for chunk in chunks(learners):
            either = or_(table.c.learner_id.in_(chunk), table.c.reference.in_(chunk))
            found |= {
                fact.fact_id: fact for fact in self.facts_where(and_(table.c.kind == kind.value, either))
            }
        return [found[fact] for fact in sorted(found)]

    def set_canonical(self, canonical: Mapping[LearnerId, LearnerId]) -> None:
        """Judge each of these learners under the one it is mapped to, from this transaction on."""
        table = tables.merged
        self.insert_missing(
            table,
            [{"learner_id": one, "canonical_id": canonical[one], "touched": 0} for one in sorted(canonical)],
        )
        for one in sorted(canonical):
            self.connection.execute(
                update(table)
                .where(table.c.learner_id == one)
                .values(canonical_id=canonical[one], touched=table.c.touched + 1)
            )
