"""Erasing a person: ``ErasingTransaction``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Table, delete, func, select, update

from verifier.model.facts import FactKind
from verifier.model.person import LearnerId
from verifier.ports.erasing import Erasure, Holdings
from verifier.store import codec, tables
from verifier.store.emptying import Emptying
from verifier.store.session import chunks
from verifier.store.tables_erasing import erasures
from verifier.store.tables_signals import signal_closings, signals

_SEALED = ("erasures.sealed_key", "erasures.sealed_reason")


class Erasing(Emptying):
    """One transaction that destroys what is held on one person."""

    def hold_person(self, learners: Collection[LearnerId]) -> None:
        """Touch every row by which others take turns about this person, as intake does, and in its order.

        Certificate numbers come first: whoever takes in one of theirs has read their key by then.
        """
        self.completions(self._numbers(learners))
        self.lock(learners)
        self.canonical(learners)

    def _numbers(self, learners: Collection[LearnerId]) -> set[tuple[str, str, str]]:
        table, found = tables.completions, set[tuple[str, str, str]]()
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table.c.issuer, table.c.number_scope, table.c.number).where(
                    table.c.learner_id.in_(chunk)
                )
            )
            found |= {(issuer, scope, number) for issuer, scope, number in rows}
        return found

    def holdings(self, learners: Collection[LearnerId]) -> Holdings:
        """What keeps an erasure waiting."""
        slots, claims, group = tables.slots, tables.claims, sorted(learners)
        held = self.connection.execute(
            select(slots.c.entitlement, slots.c.state)
            .where(slots.c.learner_id.in_(group))
            .order_by(slots.c.entitlement, slots.c.learner_id)
        )
        money_at = self.connection.execute(
            select(claims.c.recorded_at)
            .where(claims.c.learner_id.in_(group))
            .order_by(claims.c.recorded_at.desc())
            .limit(1)
        ).scalar_one_or_none()
        reviews = [(review, kind) for _, review, kind in self.open_reviews_of(learners)]
        return Holdings([(row.entitlement, row.state) for row in held], money_at, reviews)

    def extent(self, learners: Collection[LearnerId]) -> Mapping[str, int]:
        """How many rows of each kind an erasure makes unreadable or removes."""
        version = tables.identifiers.c.pepper_version == self.turns.pepper.lookup
        traits = tables.traits.c.pepper_version == self.turns.pepper.lookup
        return {
            "keys": len(learners),
            "identifiers": self._rows_of(tables.identifiers, learners, version),
            "traits": self._rows_of(tables.traits, learners, traits),
            "facts": self._rows_of(tables.facts, learners),
            "records": self._rows_of(tables.records, learners),
        }

    def _rows_of(self, table: Table, learners: Collection[LearnerId], *conditions: Any) -> int:
        mine = table.c.learner_id.in_(sorted(learners))
        found: int = self.connection.execute(
            select(func.count()).select_from(table).where(mine, *conditions)
        ).scalar_one()
        return found

    def destroy(self, erasure: Erasure) -> None:
        """Destroy keys, remove identifiers and traits, and note who did it and why."""
        group = sorted(erasure.learners)
        self._destroy_words(erasure.learners)
        for table in (tables.identifiers, tables.traits, tables.due):
            self.connection.execute(delete(table).where(table.c.learner_id.in_(group)))
        learners = tables.learners
        self.connection.execute(
            update(learners).where(learners.c.learner_id.in_(group)).values(sealed_key=None)
        )
        rows = []
        for learner in group:
            key, sealed = self.vault.seal_apart(*_SEALED, learner, erasure.reason.encode())
            rows.append(
                {
                    "learner_id": learner,
                    "erasure_id": erasure.erasure_id,
                    "operator": erasure.operator,
                    "sealed_reason": sealed,
                    "sealed_key": key,
                    "erased_at": erasure.at,
                }
            )
        self.append(erasures, rows)

    def _destroy_words(self, learners: Collection[LearnerId]) -> None:
        """What was said of the person under no learner's key: revocations' and closed signals' reasons."""
        facts, mine = tables.facts, set(learners)
        current = self.completions(self._numbers(learners))
        numbers = [
            codec.certificate_reference(one.issuer, one.number_scope, one.number)
            for one in current
            if one.learner_id in mine
        ]
        for chunk in chunks(numbers):
            revocations = (facts.c.kind == FactKind.REVOCATION.value) & facts.c.reference.in_(chunk)
            self.connection.execute(update(facts).where(revocations).values(sealed_key=None))
        about = select(signals.c.signal_id).where(signals.c.learner_id.in_(sorted(learners)))
        closed = signal_closings.c.signal_id.in_(about)
        self.connection.execute(update(signal_closings).where(closed).values(sealed_key=None))
