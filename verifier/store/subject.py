"""Everything about one person: ``SubjectTransaction``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from verifier.model.person import LearnerId, Trait, TraitKind
from verifier.model.signals import Signal
from verifier.store import tables
from verifier.store.acting import Acting
from verifier.store.held import Held
from verifier.store.signals import signals_of


class Subject(Acting, Held):
    """One transaction that shows a person their own data."""

    def traits_of(self, learners: Collection[LearnerId]) -> Sequence[Trait]:
        """What a person is known by that is weaker than an identifier."""
        table = tables.traits
        self.learner_keys(learners)
        rows = self.connection.execute(
            select(table.c.learner_id, table.c.kind, table.c.sealed_value).where(
                table.c.learner_id.in_(sorted(learners)),
                table.c.pepper_version == self.turns.pepper.lookup,
            )
        )
        opened = [
            (kind, self.vault.open(learner, "traits.sealed_value", learner, row))
            for learner, kind, row in rows
        ]
        return sorted(
            {Trait(TraitKind(kind), value.decode()) for kind, value in opened if value is not None},
            key=lambda trait: (trait.kind, trait.value),
        )

    def decisions_of(
        self, learners: Collection[LearnerId]
    ) -> Sequence[tuple[str, str, datetime, Sequence[str]]]:
        """Every decision: id, state, moment, and the records issued for it."""
        table, records = tables.decisions, tables.records
        issued: dict[str, list[str]] = defaultdict(list)
        for decision, record in self.connection.execute(
            select(records.c.decision_id, records.c.record_id).where(
                records.c.learner_id.in_(sorted(learners))
            )
        ):
            issued[decision].append(record)
        rows = self.connection.execute(
            select(table.c.decision_id, table.c.state, table.c.decided_at)
            .where(table.c.learner_id.in_(sorted(learners)))
            .order_by(table.c.learner_id, table.c.entitlement, table.c.revision)
        )
        return [(row.decision_id, row.state, row.decided_at, issued[row.decision_id]) for row in rows]

    def signals_of(self, learners: Collection[LearnerId]) -> Sequence[Signal]:
        """Every signal on these learners, the closed ones too; no reviewer's reason is opened."""
        return signals_of(self.connection, learners)

    def disclosures_of(self, learners: Collection[LearnerId]) -> Sequence[Mapping[str, Any]]:
        """Who was shown what of a person, what for, and when."""
        table = tables.disclosures
        rows = self.connection.execute(
            select(table.c.client_id, table.c.purpose, table.c.what, table.c.recorded_at)
            .where(table.c.learner_id.in_(sorted(learners)))
            .order_by(table.c.recorded_at, table.c.disclosure_id)
        ).mappings()
        return [dict(row) for row in rows]
