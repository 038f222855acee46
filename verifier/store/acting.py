"""What people say about facts and decisions: ``ActingTransaction``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, and_, or_, select

from verifier.model.decision import Entitlement, ReviewNeed
from verifier.model.facts import AnyFact, FactId, FactKind, ObjectionFact
from verifier.model.person import Identifier, IdentifierKind, LearnerId, Uscc
from verifier.ports.acting import Month, Review, Subject
from verifier.store import tables
from verifier.store.merging import Merging
from verifier.store.reading import decision_named
from verifier.store.session import chunks, review_digest

_ACTS = [kind.value for kind in (FactKind.CONTEST, FactKind.RELEASE, FactKind.HOLD, FactKind.OBJECTION)]


class Acting(Merging):
    """One transaction of somebody's act about a person."""

    def months(self, learners: Collection[LearnerId], entitlement: Entitlement) -> Sequence[Month]:
        """The slots of these learners, by learner."""
        table = tables.slots
        rows = self.connection.execute(
            select(table)
            .where(table.c.learner_id.in_(sorted(learners)), table.c.entitlement == entitlement)
            .order_by(table.c.learner_id)
        )
        return [
            Month(
                LearnerId(row.learner_id), row.state, row.issuer, row.number_scope, row.number, Uscc(row.uscc)
            )
            for row in rows
        ]

    def acts_of(self, learners: Collection[LearnerId]) -> Sequence[AnyFact]:
        """Current contests, releases, holds and objections of these learners, by id."""
        table = tables.facts
        found: list[AnyFact] = []
        for chunk in chunks(learners):
            found += self.facts_where(and_(table.c.learner_id.in_(chunk), table.c.kind.in_(_ACTS)))
        return sorted(found, key=lambda fact: fact.fact_id)

    def objection(self, number: str) -> Sequence[ObjectionFact]:
        """Every state of an objection, oldest first; none if there is no such number."""
        return self._objections(tables.facts.c.reference == number)

    def objections(self, uscc: Uscc | None = None) -> Sequence[ObjectionFact]:
        """Every state of every objection, or of those that an enterprise raised, oldest first."""
        return self._objections(*([] if uscc is None else [tables.facts.c.uscc == uscc]))

    def _objections(self, *conditions: ColumnElement[bool]) -> list[ObjectionFact]:
        table = tables.facts
        found = self._every(table.c.kind == FactKind.OBJECTION.value, *conditions)
        return [fact for fact in found if isinstance(fact, ObjectionFact)]

    def _every(self, *conditions: ColumnElement[bool]) -> list[AnyFact]:
        """Facts that fulfil the conditions, superseded ones too, by when they were recorded."""
        table = tables.facts
        rows = (
            self.connection.execute(
                select(table).where(and_(*conditions)).order_by(table.c.recorded_at, table.c.fact_id)
            )
            .mappings()
            .all()
        )
        self.learner_keys({row["learner_id"] for row in rows if row["learner_id"]})
        return [self.opened(row) for row in rows]

    def signed_outcomes(self, numbers: Collection[str]) -> Mapping[str, str]:
        """The signed outcome of each objection that has one."""
        table = tables.statements
        found: dict[str, str] = {}
        for chunk in chunks(numbers):
            rows = self.connection.execute(
                select(table.c.reference, table.c.jws).where(
                    table.c.kind == FactKind.OBJECTION.value, table.c.reference.in_(chunk)
                )
            )
            found.update({row.reference: row.jws for row in rows})
        return found

    def subject_of(self, reference: str) -> Subject | None:
        """Whom a decision, a record or a fact of this id is about."""
        decided = decision_named(self.connection, reference)
        if decided is not None:
            return Subject(LearnerId(decided.learner_id), Uscc(decided.uscc) if decided.uscc else None)
        table = tables.facts
        row = self.connection.execute(
            select(table.c.learner_id, table.c.uscc).where(
                table.c.fact_id == reference, table.c.learner_id.is_not(None)
            )
        ).one_or_none()
        return Subject(LearnerId(row.learner_id), Uscc(row.uscc) if row.uscc else None) if row else None

    def office_of(self, learners: Collection[LearnerId]) -> str:
        """The acceptance office of the newest decision that names one; empty if none does."""
        table = tables.decisions
        found: str | None = self.connection.execute(
            select(table.c.office)
            .where(table.c.learner_id.in_(sorted(learners)), table.c.office != "")
            .order_by(table.c.decided_at.desc(), table.c.revision.desc(), table.c.decision_id)
            .limit(1)
        ).scalar_one_or_none()
        return found or ""

    def number_scopes(self, issuer: str, number: str) -> Sequence[str]:
        """Within which scopes a certificate number of an issuer is known."""
        table = tables.certificates
        rows = self.connection.execute(
            select(table.c.number_scope)
            .where(table.c.issuer == issuer, table.c.number == number)
            .order_by(table.c.number_scope)
        ).scalars()
        return list(rows)

    def review(self, review_id: str) -> Review | None:
        """A question, open or answered."""
        found = self.reviews_where(tables.reviews.c.review_id == review_id)
        return found[0] if found else None

    def review_asked(self, learner: LearnerId, need: ReviewNeed) -> str | None:
        """The id under which a question was asked; None if it was not."""
        table = tables.reviews
        return self.connection.execute(
            select(table.c.review_id).where(table.c.subject_digest == review_digest(learner, need))
        ).scalar_one_or_none()

    def reviews_of(self, learners: Collection[LearnerId]) -> Sequence[Review]:
        """Every question about these learners, oldest first."""
        return self.reviews_where(tables.reviews.c.learner_id.in_(sorted(learners)))

    def reviews_where(self, condition: ColumnElement[bool]) -> list[Review]:
        """Questions that fulfil a condition, oldest first."""
        table, facts = tables.reviews, tables.facts
        rows = self.connection.execute(
            select(table).where(condition).order_by(table.c.opened_at, table.c.review_id)
        ).all()
        closed = self.connection.execute(
            select(facts.c.reference, facts.c.content).where(
                facts.c.kind == FactKind.REVIEW_CLOSED.value,
                facts.c.reference.in_([row.review_id for row in rows]),
            )
        )
        outcomes = {row.reference: json.loads(row.content)["outcome"] for row in closed}
        return [
            Review(
                row.review_id,
                row.kind,
                LearnerId(row.learner_id),
                tuple(json.loads(row.about)),
                row.opened_at,
                outcomes.get(row.review_id),
            )
            for row in rows
        ]

    def facts_named(self, facts: Collection[FactId]) -> Sequence[AnyFact]:
        """Facts by id, superseded ones too."""
        return self._every(tables.facts.c.fact_id.in_(sorted(facts)))

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """By which identifiers learners are known, as far as these can still be opened."""
        table = tables.identifiers
        self.learner_keys(learners)
        found: dict[LearnerId, set[tuple[str, str]]] = defaultdict(set)
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table.c.learner_id, table.c.kind, table.c.sealed_value).where(
                    table.c.learner_id.in_(chunk)
                )
            )
            for learner, kind, sealed in rows:
                value = self.vault.open(learner, "identifiers.sealed_value", learner, sealed)
                if value is not None:
                    # Under two versions of the pepper it is the same identifier.
                    found[LearnerId(learner)].add((kind, value.decode()))
        return {
            learner: [Identifier(IdentifierKind(kind), value) for kind, value in sorted(known)]
            for learner, known in found.items()
        }

    def every_fact_of(self, learners: Collection[LearnerId]) -> Sequence[AnyFact]:
        """Every fact about learners, superseded ones too, and merges that name them on the other side."""
        table = tables.facts
        kinds = (FactKind.MERGE.value, FactKind.NOT_SAME.value)
        mine = table.c.learner_id.in_(sorted(learners))
        named = and_(table.c.kind.in_(kinds), table.c.reference.in_(sorted(learners)))
        numbers = select(table.c.reference).where(mine, table.c.kind == FactKind.COMPLETION.value)
        revoked = and_(table.c.kind == FactKind.REVOCATION.value, table.c.reference.in_(numbers))
        return self._every(or_(mine, named, revoked))
