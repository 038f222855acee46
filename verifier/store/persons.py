"""Who is judged under whom, who takes turns with whom, and who is due."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import bindparam, delete, select

from verifier.model.person import LearnerId
from verifier.store import tables
from verifier.store.keys import KEYS
from verifier.store.session import Session, chunks

_IDENTIFIERS, _MERGED = tables.identifiers.c, tables.merged.c
_KEYS_OF = select(_IDENTIFIERS.kind, _IDENTIFIERS.pepper_version, _IDENTIFIERS.blind_index).where(
    _IDENTIFIERS.learner_id.in_(KEYS),
    _IDENTIFIERS.pepper_version.in_(bindparam("versions", expanding=True)),
)
_OF_MERGED = select(_MERGED.learner_id, _MERGED.canonical_id)
_CANONICAL = _OF_MERGED.where(_MERGED.learner_id.in_(KEYS))
_MEMBERS = _OF_MERGED.where(_MERGED.learner_id.in_(KEYS) | _MERGED.canonical_id.in_(KEYS))


class Persons(Session):
    """The rows by which transactions about the same person take turns, and the list of those to be judged."""

    def lock(self, learners: Collection[LearnerId]) -> None:
        """Touch the learners' identifier rows in sorted order, before anything about them is read."""
        self.touch_rows(tables.identifiers, sorted(self.keys_of(learners)))

    def keys_of(self, learners: Collection[LearnerId]) -> list[tuple[str, int, bytes]]:
        """Keys of the learners' identifier rows, of every version that there are rows of."""
        if not learners:
            return []
        # Held from here: no whole rotation may pass before these rows are touched.
        versions = self.turns.pepper.present
        rows = self.among(_KEYS_OF, learners, versions=versions)
        return [(kind, version, bytes(index)) for kind, version, index in rows]

    def canonical(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Under whom each learner is judged: itself, unless it was merged with another one.

        The rows of those under whom several are judged are touched, in sorted order: whoever comes by one
        identifier of a person takes turns with whoever comes by another. Who merges or parts learners
        touches every identifier row of theirs, so that for whoever holds one of them this does not change.
        """
        rows = self.among(_CANONICAL, learners)
        merged = {LearnerId(learner): LearnerId(canonical) for learner, canonical in rows}
        self.touch_rows(tables.merged, [(one,) for one in sorted(set(merged.values()))])
        return {learner: merged.get(learner, learner) for learner in learners}

    def members(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, LearnerId]:
        """Everyone who is judged under any of these learners, each with the one under whom; they too."""
        found = {learner: learner for learner in learners}
        rows = self.among(_MEMBERS, learners)
        found.update({LearnerId(learner): LearnerId(canonical) for learner, canonical in rows})
        return found

    def take_due(self, limit: int, at: datetime) -> Collection[LearnerId]:
        """Take up to ``limit`` learners off the due list; gone only if this transaction commits."""
        table = tables.due
        ripe = table.c.not_before.is_(None) | (table.c.not_before <= at)
        rows = self.connection.execute(
            select(table.c.learner_id).where(ripe).order_by(table.c.created_at, table.c.due_id).limit(limit)
        ).scalars()
        learners = {LearnerId(learner) for learner in rows}
        self.lock(learners)
        for chunk in chunks(learners):
            # Only after the lock: a cause recorded before it is seen by this evaluation, a later one is not.
            self.connection.execute(delete(table).where(ripe, table.c.learner_id.in_(chunk)))
        return learners

    def put_due(
        self,
        learners: Iterable[LearnerId],
        cause: str,
        at: datetime,
        not_before: datetime | None = None,
    ) -> None:
        """Put learners on the due list, in the transaction of the cause.

        Args:
            learners: whoever has to be judged again.
            cause: a stable word.
            at: aware UTC.
            not_before: where only a later moment changes anything; aware UTC.
        """
        due = sorted(set(learners))
        self.made_due |= set(due)
        rows = [
            {
                "due_id": self.vault.new_id(),
                "learner_id": learner,
                "cause": cause,
                "created_at": at,
                "not_before": not_before,
            }
            for learner in due
        ]
        if rows:
            self.connection.execute(tables.due.insert(), rows)
