"""Raw bodies of deliveries, and uploaded documents: what is kept of them, and emptying it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, exists, func, select, tuple_, update

from verifier.model.delivery import DeliveryId, DeliveryOutcome, PlatformSlug
from verifier.model.facts import HoldFact, ObjectionFact, ObjectionState
from verifier.model.person import LearnerId
from verifier.raw_bodies import RawDelivery
from verifier.store import tables
from verifier.store.reading import ReadingSession
from verifier.store.session import chunks
from verifier.store.subject import Subject
from verifier.store.tables_erasing import erasures, mentions

Key = tuple[str, str]


class Emptying(Subject):
    """One transaction that empties raw bodies, or looks which could be."""

    _looked_at: Key = ("", "")

    def raw_after(self, after: Key, limit: int, *, of_erased: bool) -> Sequence[RawDelivery | None]:
        """The next deliveries by platform and id; None in place of one whose body is not kept."""
        table = tables.deliveries
        conditions: list[ColumnElement[bool]] = [tuple_(table.c.platform, table.c.delivery_id) > after]
        if of_erased:
            conditions.append(
                exists().where(
                    mentions.c.platform == table.c.platform,
                    mentions.c.delivery_id == table.c.delivery_id,
                    mentions.c.learner_id == erasures.c.learner_id,
                )
            )
        rows = self.connection.execute(
            select(table.c.platform, table.c.delivery_id, table.c.sealed_body.is_not(None).label("kept"))
            .where(*conditions)
            .order_by(table.c.platform, table.c.delivery_id)
            .limit(limit)
        ).all()
        self._looked_at = (rows[-1].platform, rows[-1].delivery_id) if rows else ("", "")
        found = self._raw([(row.platform, row.delivery_id) for row in rows if row.kept])
        return [found.get((row.platform, row.delivery_id)) for row in rows]

    def last_looked_at(self) -> Key:
        """The key of the last delivery that ``raw_after`` found."""
        return self._looked_at

    def raw_mentioning(self, learners: Collection[LearnerId]) -> Sequence[RawDelivery]:
        """Kept deliveries that mention any of these learners."""
        keys: set[Key] = set()
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(mentions.c.platform, mentions.c.delivery_id).where(mentions.c.learner_id.in_(chunk))
            )
            keys |= {(platform, delivery) for platform, delivery in rows}
        found = self._raw(keys)
        return [found[key] for key in sorted(found)]

    def _raw(self, keys: Collection[Key]) -> Mapping[Key, RawDelivery]:
        """Those of the deliveries whose body, or a document that they brought, is kept."""
        table, found = tables.deliveries, dict[Key, RawDelivery]()
        for chunk in chunks(keys):
            mentioned, brought = self._mentioned(chunk), self._brought(chunk)
            awaited = self._awaited(chunk)
            read_again = self._readings(chunk)
            rows = self.connection.execute(
                select(
                    table.c.platform,
                    table.c.delivery_id,
                    table.c.received_at,
                    table.c.outcome,
                    table.c.sealed_body.is_not(None).label("kept"),
                ).where(tuple_(table.c.platform, table.c.delivery_id).in_(chunk))
            )
            for row in rows:
                key = (row.platform, row.delivery_id)
                if not row.kept and not brought[key]:
                    continue
                outcome = read_again.get(key, row.outcome)
                found[key] = RawDelivery(
                    PlatformSlug(row.platform),
                    DeliveryId(row.delivery_id),
                    row.received_at,
                    msgspec.json.decode(outcome, type=DeliveryOutcome),
                    frozenset(mentioned[key]),
                    brought[key],
                    key in awaited,
                )
        return found

    def _mentioned(self, keys: Sequence[Key]) -> Mapping[Key, set[LearnerId]]:
        found: dict[Key, set[LearnerId]] = defaultdict(set)
        rows = self.connection.execute(
            select(mentions).where(tuple_(mentions.c.platform, mentions.c.delivery_id).in_(keys))
        )
        for platform, delivery, learner in rows:
            found[platform, delivery].add(LearnerId(learner))
        return found

    def _brought(self, keys: Sequence[Key]) -> Mapping[Key, int]:
        """How many documents, whose content is kept, each delivery brought."""
        table = tables.documents
        rows = self.connection.execute(
            select(table.c.platform, table.c.delivery_id).where(
                tuple_(table.c.platform, table.c.delivery_id).in_(keys), table.c.sealed_content.is_not(None)
            )
        )
        return Counter((platform, delivery) for platform, delivery in rows)

    def _awaited(self, keys: Sequence[Key]) -> set[Key]:
        """Deliveries that wait for a document, or that brought one for which something waits."""
        waiting, documents = tables.waiting, tables.documents
        waits = self.connection.execute(
            select(waiting.c.platform, waiting.c.delivery_id).where(
                tuple_(waiting.c.platform, waiting.c.delivery_id).in_(keys)
            )
        )
        found = {(platform, delivery) for platform, delivery in waits}
        wanted = self.connection.execute(
            select(documents.c.platform, documents.c.delivery_id)
            .join(
                waiting,
                (waiting.c.platform == documents.c.platform)
                & (waiting.c.document_id == documents.c.document_id),
            )
            .where(tuple_(documents.c.platform, documents.c.delivery_id).in_(keys))
        )
        return found | {(platform, delivery) for platform, delivery in wanted}

    def _readings(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """What the newest reading said, of deliveries that were read again."""
        table = tables.readings
        mine = tuple_(table.c.platform, table.c.delivery_id).in_(keys)
        rows = self.connection.execute(
            select(table.c.platform, table.c.delivery_id, table.c.outcome)
            .where(mine)
            .order_by(table.c.reading)
        )
        return {(platform, delivery): outcome for platform, delivery, outcome in rows}

    def questioned(self, learners: Collection[LearnerId], at: datetime) -> Collection[LearnerId]:
        """Those of the learners about whom, or about whose group, something is open."""
        # Of each, under whom it is judged; then everybody else who is judged there.
        canonical = self.members(learners)
        group = self.members(set(canonical.values()))
        open_about = {LearnerId(one) for one, *_ in self.open_reviews_of(group)}
        for act in self.acts_of(group):
            if isinstance(act, ObjectionFact) and act.state is ObjectionState.OPEN:
                open_about.add(act.learner_id)
            if isinstance(act, HoldFact) and not act.lifted and act.until > at:
                open_about.add(act.learner_id)
        judged = {group[one] for one in open_about}
        return {one for one in learners if group[one] in judged}

    def open_reviews_of(self, learners: Collection[LearnerId]) -> list[tuple[str, str, str]]:
        """Open questions about these learners: learner, id and kind."""
        found = ReadingSession(self.connection, self.vault).open_reviews(about=learners)
        return [(review["learner_id"], review["review_id"], review["kind"]) for review in found]

    def empty(self, deliveries: Collection[Key]) -> tuple[int, int]:
        """Empty bodies, and documents that these deliveries brought; how many of each were kept until now."""
        counts = [0, 0]
        for chunk in chunks(deliveries):
            for place, (table, column) in enumerate(
                ((tables.deliveries, "sealed_body"), (tables.documents, "sealed_content"))
            ):
                done = self.connection.execute(
                    update(table)
                    .where(tuple_(table.c.platform, table.c.delivery_id).in_(chunk))
                    .where(table.c[column].is_not(None))
                    .values({column: None})
                )
                counts[place] += done.rowcount
        return counts[0], counts[1]

    def any_erased(self) -> bool:
        """Whether anybody was ever erased."""
        return self.connection.execute(select(erasures.c.learner_id).limit(1)).first() is not None

    def emptied(self) -> tuple[int, int]:
        """How many bodies and documents are no longer kept."""
        bodies, documents = tables.deliveries.c.sealed_body, tables.documents.c.sealed_content
        of_bodies = select(func.count()).select_from(tables.deliveries).where(bodies.is_(None))
        of_documents = select(func.count()).select_from(tables.documents).where(documents.is_(None))
        return (
            self.connection.execute(of_bodies).scalar_one(),
            self.connection.execute(of_documents).scalar_one(),
        )
