"""Lists about an enterprise's people: ``ListingTransaction``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import exists, select

from verifier.model.decision import Entitlement
from verifier.model.facts import AnyFact, CompletionFact, ContestFact, EmploymentFact, FactKind
from verifier.model.person import Identifier, IdentifierKind, LearnerId, Uscc
from verifier.ports.listing import LiveGrant, Upload
from verifier.store import tables
from verifier.store.access import Access
from verifier.store.deciding import CLAIMED, GRANTED, PAID
from verifier.store.session import chunks


class Listing(Access):
    """One transaction of a list."""

    def uploads(self, uscc: Uscc, limit: int) -> Sequence[Upload]:
        """Rosters of an enterprise that were taken in, newest first."""
        table = tables.rosters
        rows = self.connection.execute(
            select(table)
            .where(table.c.uscc == uscc)
            .order_by(table.c.recorded_at.desc(), table.c.roster_id.desc())
            .limit(limit)
        )
        return [Upload(row.roster_id, row.recorded_at, row.rows, row.uploaded_by) for row in rows]

    def known_rows(self, uscc: Uscc, known_at: datetime) -> Sequence[EmploymentFact]:
        """Rows of an enterprise's roster as they stood at a moment, by what was recorded until then."""
        table, later = tables.facts, tables.facts.alias("later")
        rows = (
            self.connection.execute(
                select(table).where(
                    table.c.uscc == uscc,
                    table.c.kind == FactKind.EMPLOYMENT.value,
                    table.c.recorded_at <= known_at,
                    ~exists().where(later.c.supersedes == table.c.fact_id, later.c.recorded_at <= known_at),
                )
            )
            .mappings()
            .all()
        )
        self.learner_keys({row["learner_id"] for row in rows})
        facts = [self.opened(row) for row in rows]
        return [fact for fact in facts if isinstance(fact, EmploymentFact) and not fact.withdrawn]

    def live_grants(self, uscc: Uscc, entitlement: Entitlement, month: date) -> Sequence[LiveGrant]:
        """Grants that hold a month at an enterprise, whether claimed or not."""
        slots, decisions, records = tables.slots, tables.decisions, tables.records
        rows = self.connection.execute(
            select(decisions.c.completion_fact, decisions.c.trace, decisions.c.office, records.c.record_id)
            .join(decisions, decisions.c.decision_id == slots.c.decision_id)
            .outerjoin(records, records.c.decision_id == decisions.c.decision_id)
            .where(
                slots.c.uscc == uscc,
                slots.c.entitlement == entitlement,
                slots.c.state.in_((GRANTED, CLAIMED, PAID)),
                decisions.c.month == month,
            )
        ).all()
        found = []
        employments = [json.loads(row.trace)["candidate"]["employment"] for row in rows]
        facts = self._facts({*employments, *(row.completion_fact for row in rows)})
        for row, named in zip(rows, employments, strict=True):
            completion, employment = facts[row.completion_fact], facts[named]
            assert isinstance(completion, CompletionFact)
            assert isinstance(employment, EmploymentFact)
            found.append(LiveGrant(completion, employment, month, row.office, row.record_id or ""))
        return found

    def contested(self, uscc: Uscc) -> Collection[LearnerId]:
        """Whose listing by an enterprise is contested, or was found not to count; their whole groups."""
        table = tables.facts
        facts = self.facts_where((table.c.uscc == uscc) & (table.c.kind == FactKind.CONTEST.value))
        contests = [fact for fact in facts if isinstance(fact, ContestFact) and fact.upheld is not False]
        canonical = set(self.members({fact.learner_id for fact in contests}).values())
        return set(self.members(canonical))

    def _facts(self, wanted: Collection[str]) -> Mapping[str, AnyFact]:
        """Facts by id, superseded or not."""
        found: dict[str, AnyFact] = {}
        for chunk in chunks(wanted):
            rows = (
                self.connection.execute(select(tables.facts).where(tables.facts.c.fact_id.in_(chunk)))
                .mappings()
                .all()
            )
            self.learner_keys({row["learner_id"] for row in rows})
            found |= {row["fact_id"]: self.opened(row) for row in rows}
        return found

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """The identifiers of learners, as far as they can still be opened; sorted by kind and value."""
        self.learner_keys(learners)
        table = tables.identifiers
        found: defaultdict[LearnerId, set[Identifier]] = defaultdict(set)
        for chunk in chunks(learners):
            strong = table.c.kind != IdentifierKind.PROVISIONAL.value
            for row in self.connection.execute(select(table).where(strong, table.c.learner_id.in_(chunk))):
                value = self.vault.open(
                    row.learner_id, "identifiers.sealed_value", row.learner_id, row.sealed_value
                )
                if value is not None:
                    found[LearnerId(row.learner_id)].add(Identifier(IdentifierKind(row.kind), value.decode()))
        return {who: sorted(known, key=lambda one: (one.kind, one.value)) for who, known in found.items()}
