"""Who somebody is: ``IdentityTransaction`` and ``ReportTransaction``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import and_, select

from verifier.model.facts import CompletionFact, EmploymentFact, FactKind
from verifier.model.person import Identifier, IdentifierKind, LearnerId, PersonName, TraitKind
from verifier.ports.identities import ABOUT_NAMES, Asked, Borne, Named
from verifier.store import tables
from verifier.store.merging import Merging
from verifier.store.session import chunks

_LOOKED_AT = 200
"""Bearers of one value that are looked at: many times as many as may share it."""


class Identities(Merging):
    """One transaction in which somebody finds out who a learner is."""

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """By what each learner is known, opened; what was erased is left out."""
        table = tables.identifiers
        self.learner_keys(learners)
        found: dict[LearnerId, dict[Identifier, None]] = defaultdict(dict)
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table.c.kind, table.c.learner_id, table.c.sealed_value).where(
                    table.c.learner_id.in_(chunk)
                )
            )
            for kind, learner, sealed in rows:
                value = self.vault.open(learner, "identifiers.sealed_value", learner, sealed)
                if value is not None:
                    found[LearnerId(learner)][Identifier(IdentifierKind(kind), value.decode())] = None
        return {learner: sorted(known, key=lambda one: one.kind) for learner, known in found.items()}

    def names_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[PersonName]]:
        """Every name that current certificates and rosters write of each learner."""
        table = tables.facts
        kinds = (FactKind.COMPLETION.value, FactKind.EMPLOYMENT.value)
        found: dict[LearnerId, dict[str, PersonName]] = defaultdict(dict)
        for chunk in chunks(learners):
            for fact in self.facts_where(and_(table.c.learner_id.in_(chunk), table.c.kind.in_(kinds))):
                if isinstance(fact, CompletionFact | EmploymentFact):
                    name = fact.holder if isinstance(fact, CompletionFact) else fact.name
                    found[fact.learner_id][name.raw] = name
        return {learner: [known[raw] for raw in sorted(known) if raw] for learner, known in found.items()}

    def borne(self, learner: LearnerId) -> Sequence[Borne]:
        """The traits of a learner, with others who bear the same value."""
        table = tables.traits
        mine = self.connection.execute(
            select(table.c.kind, table.c.blind_index)
            .where(table.c.learner_id == learner, table.c.pepper_version == self.turns.pepper.lookup)
            .order_by(table.c.kind, table.c.blind_index)
        ).all()
        group = self.members({*self.members({learner}).values()})
        return [self._borne(kind, index, group) for kind, index in mine]

    def _borne(self, kind: str, index: bytes, group: Collection[LearnerId]) -> Borne:
        table = tables.traits
        rows = self.connection.execute(
            select(table.c.learner_id)
            .where(
                table.c.kind == kind,
                table.c.pepper_version == self.turns.pepper.lookup,
                table.c.blind_index == index,
            )
            .order_by(table.c.learner_id)
            .limit(_LOOKED_AT + 1)
        ).scalars()
        bearers = {LearnerId(one) for one in rows}
        people, unidentified = self._people(bearers - set(group))
        return Borne(TraitKind(kind), people, unidentified, more=len(bearers) > _LOOKED_AT)

    def _people(self, learners: Collection[LearnerId]) -> tuple[frozenset[LearnerId], int]:
        """The identified people among learners, by canonical learner, and how many others there are."""
        members = self.members(learners)
        judged = {members[learner] for learner in learners}
        strong = {LearnerId(one) for chunk in chunks(judged) for one in self._strong(chunk)}
        return frozenset(strong), len(judged - strong)

    # --- the report on names

    def learners_after(self, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners, by id."""
        table = tables.learners
        rows = self.connection.execute(
            select(table.c.learner_id)
            .where(table.c.learner_id > learner)
            .order_by(table.c.learner_id)
            .limit(limit)
        ).scalars()
        return [LearnerId(one) for one in rows]

    def named(self, learners: Collection[LearnerId]) -> Sequence[Named]:
        """The people judged under these learners; one merged into another is left to that one."""
        wanted = set(learners)
        mine = {one: judged for one, judged in self.members(wanted).items() if judged in wanted}
        names, answered = self.names_of(mine), self._answered(mine)
        people: dict[LearnerId, list[LearnerId]] = defaultdict(list)
        for one, judged in sorted(mine.items()):
            people[judged].append(one)
        return [
            Named(
                tuple(group),
                tuple(name for one in group for name in names.get(one, ())),
                tuple(asked for one in group for asked in answered.get(one, ())),
            )
            for group in people.values()
            if any(names.get(one) for one in group)
        ]

    def _answered(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Asked]]:
        """Questions about names that a reviewer answered."""
        table, facts = tables.reviews, tables.facts
        closed = and_(facts.c.reference == table.c.review_id, facts.c.kind == FactKind.REVIEW_CLOSED.value)
        found: dict[LearnerId, list[Asked]] = defaultdict(list)
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table.c.learner_id, table.c.opened_at, facts.c.recorded_at)
                .select_from(table.join(facts, closed))
                .where(table.c.learner_id.in_(chunk), table.c.kind.in_(sorted(ABOUT_NAMES)))
            )
            for learner, opened_at, answered_at in rows:
                found[LearnerId(learner)].append(Asked(opened_at, answered_at))
        return found
