"""What is sealed, opened again and compared with digests and indices: for ``verifier.audit``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Table, and_, exists, or_, select

from verifier.errors import ConfigurationError
from verifier.store import tables
from verifier.store.auditing_derived import Derived, Row
from verifier.store.erased import gone_without_word
from verifier.store.tables_erasing import erasures

_ALTERED = b"\xff"
"""Stands for what does not open; nothing is sealed that is no text."""


class Sealed(Derived):
    """Opens everything that can be opened.

    Attributes:
        spoilt: learners whose wrapped key does not open; None before they were looked at.
    """

    spoilt: set[str] | None = None

    def _learners(self) -> set[str]:
        """Load every learner's key, once; returns those that do not open."""
        if self.spoilt is None:
            table, self.spoilt = tables.learners, set()
            for row in self.pieces(select(table), [table.c.learner_id]):
                try:
                    self.vault.load(row["learner_id"], row["sealed_key"])
                except ConfigurationError:
                    self.spoilt.add(row["learner_id"])
        return self.spoilt

    def opens(
        self, learner: str | None, place: tuple[str, str], sealed: bytes, altered: bytes
    ) -> bytes | None:
        """A sealed value; None where its key was destroyed, ``altered`` where it does not open."""
        try:
            if learner is not None and (learner in self._learners() or self.vault.lacking({learner})):
                return altered  # its key does not open, or its row is gone
            return self.vault.open(learner, *place, sealed)
        except ConfigurationError:
            return altered

    def unopenable(self) -> Iterator[str]:
        """What is sealed and does not open, though its key was not destroyed: table and key."""
        yield from (f"learners {learner}" for learner in sorted(self._learners()))
        facts, closings, signals = tables.facts, tables.signal_closings, tables.signals
        kept = select(facts).where(or_(facts.c.sealed.is_not(None), facts.c.sealed_key.is_not(None)))
        for row in self.pieces(kept, [facts.c.fact_id]):
            place = ("facts.sealed", row["fact_id"])
            if not self._opened(row["learner_id"], row["sealed_key"], place, row["sealed"]):
                yield f"facts {row['fact_id']}"
        sealed = (
            select(closings, signals.c.learner_id)
            .outerjoin(signals, signals.c.signal_id == closings.c.signal_id)
            .where(or_(closings.c.sealed_reason.is_not(None), closings.c.sealed_key.is_not(None)))
        )
        for row in self.pieces(sealed, [closings.c.signal_id]):
            place = ("signal_closings.sealed_reason", row["signal_id"])
            if not self._opened(row["learner_id"], row["sealed_key"], place, row["sealed_reason"]):
                yield f"signal_closings {row['signal_id']}"
        for row in self.pieces(select(erasures), [erasures.c.learner_id]):
            place = ("erasures.sealed_reason", row["learner_id"])
            wrapped = row["sealed_key"]
            # Why somebody was erased is never emptied.
            if wrapped is None or not self._opened(None, wrapped, place, row["sealed_reason"]):
                yield f"erasures {row['learner_id']}"

    def _opened(
        self, learner: str | None, wrapped: bytes | None, place: tuple[str, str], sealed: bytes | None
    ) -> bool:
        """Whether a value opens under a key of its own or its learner's; without either it was erased.

        A key without a value is one that somebody put there.
        """
        if sealed is None:
            return False
        if wrapped is None:
            return learner is None or self.opens(learner, place, sealed, _ALTERED) != _ALTERED
        column, key = place
        try:
            self.vault.open_apart(wrapped, f"{column.partition('.')[0]}.sealed_key", column, key, sealed)
        except ConfigurationError:
            return False
        return learner is None

    def altered_bodies(self) -> Iterator[str]:
        """Deliveries whose kept body does not have the digest that was recorded."""
        table = tables.deliveries
        return self._undigested(
            table, "sealed_body", "body_digest", "delivery", lambda row: row["delivery_id"]
        )

    def altered_documents(self) -> Iterator[str]:
        """Uploaded documents whose kept content does not have the digest that was recorded."""
        table = tables.documents
        return self._undigested(table, "sealed_content", "digest", "document", lambda row: row["document_id"])

    def _undigested(
        self, table: Table, column: str, digest: str, purpose: str, name: Callable[[Row], str]
    ) -> Iterator[str]:
        kept = select(table).where(table.c[column].is_not(None))
        for row in self.pieces(kept, list(table.primary_key)):
            key = f"{row['platform']}/{name(row)}"
            opened = self.opens(None, (f"{table.name}.{column}", key), row[column], b"")
            if opened is None or self.vault.digest(purpose, opened) != bytes(row[digest]):
                yield key

    def altered_identifiers(self) -> Iterator[str]:
        """Learners of whom an index is not that of the sealed identifier, or of no version in force."""
        return self._misindexed(tables.identifiers)

    def altered_traits(self) -> Iterator[str]:
        """Learners of whom a trait's index is not that of its sealed value."""
        return self._misindexed(tables.traits)

    def _misindexed(self, table: Table) -> Iterator[str]:
        learners, present = tables.learners, self.turns.pepper.present
        statement = select(table, learners.c.learner_id.label("known")).outerjoin(
            learners, learners.c.learner_id == table.c.learner_id
        )
        for row in self.pieces(statement, list(table.primary_key)):
            if row["known"] is None or not self._index_follows(table, row, present):
                yield row["learner_id"]

    def _index_follows(self, table: Table, row: Row, present: tuple[int, ...]) -> bool:
        learner, version = row["learner_id"], row["pepper_version"]
        value = self.opens(learner, (f"{table.name}.sealed_value", learner), row["sealed_value"], b"")
        if value is None:
            return True  # erased: nobody can tell any more
        return version in present and self.vault.index_again(row["kind"], value, version) == bytes(
            row["blind_index"]
        )

    def lost_learners(self) -> Iterator[str]:
        """Learners who cannot be found by any identifier, erased ones aside."""
        table, learners = tables.identifiers, tables.learners
        mine = and_(
            table.c.learner_id == learners.c.learner_id, table.c.pepper_version == self.turns.pepper.lookup
        )
        lost = select(learners.c.learner_id).where(learners.c.sealed_key.is_not(None), ~exists().where(mine))
        yield from self.connection.execute(lost).scalars()

    def emptied_unlawfully(self) -> Iterator[str]:
        """Keys and bodies that are gone and of which no entry of the ledger says so: table and key."""
        return gone_without_word(self.connection)
