"""What the edges read: the feed, records, proofs, deliveries, clients."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from verifier.model.access import Client
from verifier.model.delivery import DeliveryOutcome
from verifier.model.facts import FactId, FactKind
from verifier.model.person import LearnerId
from verifier.ports.reading import (
    DeliverySummary,
    Explanation,
    FactSource,
    FeedEntry,
    ShownRecord,
    Shows,
    StoredRecord,
)
from verifier.signatures.sdjwt import compose
from verifier.store import tables
from verifier.store.appending import sealed_disclosures
from verifier.store.keys import KEYS
from verifier.store.session import Session, chunks

_DENSE = 1.5
"""Up to so many indices for one record that is shown, all records of a stretch are read."""
MOOT_UNLESS_PENDING = ("employer_choice", "name_mismatch", "shared_number", "weak_identity")
MOOT_WITHOUT_GRANT = ("second_roster",)
NEVER_MOOT = ("completion_conflict", "listing_contest")
"""Kinds of questions by when they need no answer any more."""


def decision_named(connection: Connection, reference: str) -> Row[Any] | None:
    """A decision's row, by its own id or by its record's."""
    table, records = tables.decisions, tables.records
    # One after the other: a condition on either of two tables is answered by no index.
    named = connection.execute(
        select(records.c.decision_id).where(records.c.record_id == reference)
    ).scalar_one_or_none()
    return connection.execute(select(table).where(table.c.decision_id == (named or reference))).one_or_none()


def _still_about() -> ColumnElement[bool]:
    """Whether a question stands: about a weak certificate that was corrected there is another one."""
    reviews = tables.reviews.c
    # It is about one fact: ``["id"]``.
    about = func.substr(reviews.about, 3, func.length(reviews.about) - 4)
    corrected = exists().where(tables.facts.alias("later").c.supersedes == about)
    return or_(reviews.kind != "weak_identity", ~corrected)


_ENTRIES, _RECORDS, _LEARNERS = tables.entries.c, tables.records.c, tables.learners.c
_PAGE = (
    select(
        _ENTRIES.position,
        _ENTRIES.kind,
        _ENTRIES.body,
        _ENTRIES.leaf_hash,
        _ENTRIES.office,
        _ENTRIES.record_id,
    )
    .where(_ENTRIES.position > bindparam("after"), _ENTRIES.position < bindparam("size"))
    .order_by(_ENTRIES.position)
    .limit(bindparam("most", type_=Integer))
)
_PLAIN = select(_RECORDS.position, _RECORDS.record_id, _RECORDS.learner_id, _RECORDS.kind, _RECORDS.jws)
_OPEN = _PLAIN.add_columns(_RECORDS.sealed_disclosures, _LEARNERS.sealed_key).join(
    tables.learners, _LEARNERS.learner_id == _RECORDS.learner_id
)
_BETWEEN = _RECORDS.position.between(bindparam("first"), bindparam("last"))
_STRETCH, _STRETCH_OPEN = _PLAIN.where(_BETWEEN), _OPEN.where(_BETWEEN)
_SINGLE, _SINGLE_OPEN = (one.where(_RECORDS.position.in_(KEYS)) for one in (_PLAIN, _OPEN))
"""Constants: to compose a statement takes longer than to execute it."""


class ReadingSession(Session):
    """One reading transaction."""

    def size(self) -> int:
        """Number of ledger entries."""
        found = self.connection.execute(select(tables.ledger_head.c.size)).scalar_one_or_none()
        return found or 0

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint; empty while the ledger is."""
        found = self.connection.execute(select(tables.ledger_head.c.checkpoint)).scalar_one_or_none()
        return bytes(found or b"")

    def feed(
        self, after: int, limit: int, shows: Shows, *, disclosed: bool
    ) -> tuple[Sequence[FeedEntry], int]:
        """Entries with index > ``after``, and the ledger's size at that moment."""
        size = self.size()
        given = {"after": after, "size": size, "most": limit}
        rows = self.connection.execute(_PAGE, given).all()
        shown = [place for place, kind, *_, office, record in rows if record and shows(kind, office)]
        records = self._shown(shown, disclosed=disclosed)
        return [
            FeedEntry(place, kind, body, leaf, office, records.get(place))
            for place, kind, body, leaf, office, _ in rows
        ], size

    def _shown(self, positions: Sequence[int], *, disclosed: bool) -> dict[int, ShownRecord]:
        """Records by the index of their entry: no more of each than is shown."""
        found: dict[int, ShownRecord] = {}
        wanted = set(positions)
        stretch, single = (_STRETCH_OPEN, _SINGLE_OPEN) if disclosed else (_STRETCH, _SINGLE)
        for chunk in chunks(positions):
            first, last = chunk[0], chunk[-1]
            # Where most of a stretch is shown it is read as one: naming each of them takes longer.
            dense = last - first < _DENSE * len(chunk)
            rows = (
                self.connection.execute(stretch, {"first": first, "last": last}).all()
                if dense
                else self.among(single, chunk)
            )
            for place, record, learner, kind, jws, *sealed in rows:
                if place in wanted:
                    opened = self._disclosed(learner, record, *sealed) if sealed else ()
                    found[place] = ShownRecord(record, LearnerId(learner), kind, jws, opened)
        return found

    def _disclosed(self, learner: str, record_id: str, sealed: bytes, key: bytes | None) -> tuple[str, ...]:
        """A record's disclosures, with the learner's key as it came beside them."""
        if self.vault.lacking((learner,)):
            self.vault.load(learner, key)
        return self._disclosures(learner, record_id, sealed)

    def _disclosures(self, learner: str, record_id: str, sealed: bytes) -> tuple[str, ...]:
        """A record's disclosures; none once their key was destroyed."""
        opened = self.vault.open(learner, *sealed_disclosures(record_id), sealed)
        return () if opened is None else tuple(msgspec.json.decode(opened))

    def records(self, record_ids: Collection[str]) -> Mapping[str, StoredRecord]:
        """Records with their disclosures, as far as these can still be opened."""
        table = tables.records
        later = table.alias("later")
        newest = (
            select(func.max(later.c.position))
            .where(later.c.learner_id == table.c.learner_id, later.c.entitlement == table.c.entitlement)
            .scalar_subquery()
        )
        rows = self.connection.execute(
            select(table, (table.c.position == newest).label("current")).where(
                table.c.record_id.in_(sorted(record_ids))
            )
        ).all()
        self.learner_keys({row.learner_id for row in rows})
        return {row.record_id: self._record(row) for row in rows}

    def _record(self, row: Row[Any]) -> StoredRecord:
        disclosures = self._disclosures(row.learner_id, row.record_id, row.sealed_disclosures)
        return StoredRecord(
            record_id=row.record_id,
            learner_id=LearnerId(row.learner_id),
            kind=row.kind,
            position=row.position,
            office=row.office,
            month=row.month,
            sd_jwt=compose(row.jws, disclosures),
            current=bool(row.current),
        )

    def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Stored complete subtrees by (level, index)."""
        table = tables.nodes
        rows = self.connection.execute(
            select(table).where(tuple_(table.c.level, table.c.position).in_(list(coordinates)))
        )
        return {(row.level, row.position): bytes(row.hash) for row in rows}

    def bodies(self, first: int, count: int) -> Sequence[bytes]:
        """Entry bodies from an index on."""
        table = tables.entries
        rows = self.connection.execute(
            select(table.c.body)
            .where(table.c.position >= first, table.c.position < first + count)
            .order_by(table.c.position)
        ).scalars()
        return [bytes(body) for body in rows]

    def status_token(self, list_id: int) -> str | None:
        """The newest signed status list."""
        table = tables.status_lists
        return self.connection.execute(
            select(table.c.token).where(table.c.list_id == list_id)
        ).scalar_one_or_none()

    def deliveries(
        self, platform: str, *, attention: bool, limit: int, before: datetime | None
    ) -> Sequence[DeliverySummary]:
        """A platform's newest deliveries; with ``attention`` only those with something wrong."""
        wanted = [tables.deliveries.c.platform == platform]
        if attention:
            newest = func.coalesce(tables.readings.c.attention, tables.deliveries.c.attention)
            wanted.append(newest == 1)
        if before is not None:
            wanted.append(tables.deliveries.c.received_at < before)
        # By what the first reading said, as the index has it. What was settled then is not read otherwise
        # later, so that it needs no attention now.
        found = [row for first in ((1,) if attention else (0, 1)) for row in self._read(first, wanted, limit)]
        found.sort(key=lambda row: row.delivery_id)
        found.sort(key=lambda row: row.received_at, reverse=True)
        return [
            DeliverySummary(
                row.delivery_id, row.received_at, msgspec.json.decode(row.outcome, type=DeliveryOutcome)
            )
            for row in found[:limit]
        ]

    def _read(
        self, first: int, wanted: Sequence[ColumnElement[bool]], limit: int
    ) -> Sequence[Row[Any, Any, Any]]:
        table, readings = tables.deliveries, tables.readings
        # What counts is the newest reading; most deliveries are read once.
        other = readings.alias()
        newest = (
            select(func.max(other.c.reading))
            .where(other.c.platform == table.c.platform, other.c.delivery_id == table.c.delivery_id)
            .scalar_subquery()
        )
        mine = and_(
            readings.c.platform == table.c.platform,
            readings.c.delivery_id == table.c.delivery_id,
            readings.c.reading == newest,
        )
        return self.connection.execute(
            select(
                table.c.delivery_id,
                table.c.received_at,
                func.coalesce(readings.c.outcome, table.c.outcome).label("outcome"),
            )
            .select_from(table.outerjoin(readings, mine))
            .where(and_(*wanted, table.c.attention == first))
            .order_by(table.c.received_at.desc(), table.c.delivery_id)
            .limit(limit)
        ).all()

    def client(self, client_id: str) -> Client | None:
        """The newest version of a client."""
        table = tables.clients
        row = self.connection.execute(
            select(table).where(table.c.client_id == client_id).order_by(table.c.version.desc()).limit(1)
        ).one_or_none()
        if row is None:
            return None
        members = {
            "client_id": row.client_id,
            "version": row.version,
            "role": row.role,
            "state": row.state,
            "jwk": json.loads(row.jwk),
            "secrets": json.loads(row.secrets),
            **json.loads(row.scope),
        }
        return msgspec.convert(members, Client)

    def explain(self, reference: str) -> Explanation | None:
        """A decision by its own id or by its record's."""
        records = tables.records
        row = decision_named(self.connection, reference)
        if row is None:
            return None
        issued = self.connection.execute(
            select(records.c.record_id).where(records.c.decision_id == row.decision_id)
        ).scalars()
        trace = json.loads(row.trace)
        return Explanation(
            row.decision_id,
            LearnerId(row.learner_id),
            row.revision,
            row.state,
            row.decided_at,
            trace,
            list(issued),
            self._sources(trace["facts"]),
        )

    def _sources(self, facts: Sequence[str]) -> list[FactSource]:
        table = tables.facts
        found: list[FactSource] = []
        for chunk in chunks(facts):
            rows = self.connection.execute(
                select(table).where(table.c.fact_id.in_(chunk)).order_by(table.c.fact_id)
            )
            found += [
                FactSource(
                    FactId(row.fact_id),
                    FactKind(row.kind),
                    row.source_kind,
                    row.source_reference,
                    row.recorded_at,
                    json.loads(row.content),
                )
                for row in rows
            ]
        return found

    def open_reviews(self, about: Collection[LearnerId] | None = None) -> Sequence[dict[str, Any]]:
        """Questions that no reviewer has answered and that still matter, oldest first; ``about`` whom.

        One that keeps a decision waiting is moot once the newest decision is not pending; a second roster
        is moot once there is no grant. What somebody is owed an answer to is never moot.
        """
        table, facts, decisions = tables.reviews, tables.facts, tables.decisions
        answered = select(facts.c.reference).where(facts.c.kind == FactKind.REVIEW_CLOSED.value)
        newest = select(decisions.c.learner_id, func.max(decisions.c.revision)).group_by(
            decisions.c.learner_id, decisions.c.entitlement
        )
        matters = (
            select(decisions.c.learner_id)
            .where(tuple_(decisions.c.learner_id, decisions.c.revision).in_(newest))
            .where(decisions.c.learner_id == table.c.learner_id)
        )
        rows = self.connection.execute(
            select(table)
            .where(
                table.c.review_id.not_in(answered),
                true() if about is None else table.c.learner_id.in_(sorted(about)),
                or_(
                    table.c.kind.in_(NEVER_MOOT),
                    and_(
                        table.c.kind.in_(MOOT_WITHOUT_GRANT),
                        matters.where(decisions.c.state == "granted").exists(),
                    ),
                    and_(
                        table.c.kind.in_(MOOT_UNLESS_PENDING),
                        matters.where(decisions.c.state == "pending").exists(),
                        _still_about(),
                    ),
                ),
            )
            .order_by(table.c.opened_at, table.c.review_id)
        )
        return [
            {
                "review_id": row.review_id,
                "kind": row.kind,
                "learner_id": row.learner_id,
                "about": json.loads(row.about),
                "opened_at": row.opened_at,
            }
            for row in rows
        ]

    def ready(self) -> bool:
        """Whether the database answers."""
        return self.connection.execute(select(literal(1))).scalar_one() == 1
