"""A decision and everything it stood on: ``ReplayTransaction``."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from sqlalchemy import select

from verifier.model.decision import Entitlement, State
from verifier.model.facts import AnyFact, CompletionFact
from verifier.model.person import LearnerId, Uscc
from verifier.ports.replaying import StoredDecision
from verifier.store import tables
from verifier.store.access import Access
from verifier.store.reading import decision_named
from verifier.store.session import chunks


class Replaying(Access):
    """One reading transaction of a replay."""

    def stored(self, reference: str) -> StoredDecision | None:
        """A decision by its own id or by its record's."""
        row = decision_named(self.connection, reference)
        if row is None:
            return None
        return StoredDecision(
            row.decision_id,
            LearnerId(row.learner_id),
            Entitlement(row.entitlement),
            row.revision,
            row.trace.encode(),
            json.loads(row.trace),
        )

    def facts_named(self, facts: Collection[str]) -> Sequence[AnyFact]:
        """These facts, superseded ones too."""
        found: list[AnyFact] = []
        for chunk in chunks(facts):
            rows = (
                self.connection.execute(select(tables.facts).where(tables.facts.c.fact_id.in_(chunk)))
                .mappings()
                .all()
            )
            self.learner_keys({row["learner_id"] for row in rows if row["learner_id"]})
            found += [self.opened(row) for row in rows]
        return found

    def granted_before(self, decision: StoredDecision) -> tuple[CompletionFact, Uscc] | None:
        """What the newest earlier revision that granted was granted for."""
        table = tables.decisions
        row = self.connection.execute(
            select(table.c.completion_fact, table.c.uscc)
            .where(
                table.c.learner_id == decision.learner_id,
                table.c.entitlement == decision.entitlement,
                table.c.revision < decision.revision,
                table.c.state == State.GRANTED.value,
            )
            .order_by(table.c.revision.desc())
            .limit(1)
        ).one_or_none()
        facts = self.facts_named([row.completion_fact]) if row else []
        if row is None or not facts or not isinstance(facts[0], CompletionFact):
            return None
        return facts[0], Uscc(row.uscc)

    def erased(self, learner: LearnerId) -> bool:
        """Whether the learner's key was destroyed."""
        self.learner_keys({learner})
        return self.vault.erased(learner)
