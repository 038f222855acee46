"""What is kept of items besides facts, and deliveries that are read again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, select, tuple_

from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Headers,
    ItemState,
    PlatformSlug,
    Uploaded,
)
from verifier.ports.intake import KeptDocument, Mention, OwnItem
from verifier.ports.rereading import StoredDelivery
from verifier.store import tables
from verifier.store.session import chunks
from verifier.store.sweeping import Sweeping
from verifier.store.tables_erasing import mentions as mentioned

_ATTENTION = frozenset({ItemState.REFUSED, ItemState.IN_REVIEW, ItemState.WAITING})

_WAITING, _DOCUMENTS = tables.waiting.c, tables.documents.c
_COME = (
    select(_WAITING.platform, _WAITING.delivery_id)
    .join(
        tables.documents,
        (_DOCUMENTS.platform == _WAITING.platform) & (_DOCUMENTS.document_id == _WAITING.document_id),
    )
    .where(_DOCUMENTS.sealed_content.is_not(None))
    .distinct()
    .limit(bindparam("most", type_=Integer))
)


def needs_attention(outcome: DeliveryOutcome) -> bool:
    """Whether a platform or an operator has to do anything about a delivery."""
    return outcome.code is not None or any(item.state in _ATTENTION for item in outcome.items)


def _outcome(text: str) -> DeliveryOutcome:
    return msgspec.json.decode(text, type=DeliveryOutcome)


class Keeping(Sweeping):
    """Items' own ids, documents, and readings."""

    def own_items(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        """The keyed digest that stands under each platform's own id of an item, where one does."""
        table = tables.own_items
        found: dict[tuple[PlatformSlug, str], bytes] = {}
        for chunk in chunks(keys):
            rows = self.connection.execute(
                select(table.c.platform, table.c.own_id, table.c.digest).where(
                    tuple_(table.c.platform, table.c.own_id).in_(chunk)
                )
            )
            found.update({(PlatformSlug(slug), own_id): bytes(digest) for slug, own_id, digest in rows})
        return found

    def insert_own_items(self, items: Sequence[OwnItem]) -> None:
        """Take the own ids; on a doubled one the transaction starts again."""
        names = ("platform", "own_id", "digest", "delivery_id", "item")
        rows = [{name: getattr(item, name) for name in names} for item in items]
        rows.sort(key=lambda row: (row["platform"], row["own_id"]))
        self.connection.execute(tables.own_items.insert(), rows)

    def document_digests(
        self, keys: Collection[tuple[PlatformSlug, str]]
    ) -> Mapping[tuple[PlatformSlug, str], bytes]:
        """The keyed digest of each document that has come."""
        table = tables.documents
        rows = self.connection.execute(
            select(table.c.platform, table.c.document_id, table.c.digest).where(
                tuple_(table.c.platform, table.c.document_id).in_(sorted(keys))
            )
        )
        return {(PlatformSlug(slug), document): bytes(digest) for slug, document, digest in rows}

    def insert_documents(self, documents: Sequence[KeptDocument]) -> None:
        """Keep documents, sealed; on a doubled id the transaction starts again."""
        rows = []
        for document in documents:
            key = f"{document.platform}/{document.document_id}"
            sealed = self.vault.seal(None, "documents.sealed_content", key, document.content)
            names = ("platform", "document_id", "digest", "delivery_id")
            rows.append({**{name: getattr(document, name) for name in names}, "sealed_content": sealed})
        self.append(tables.documents, rows)

    def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those documents that have come and are still kept."""
        table, deliveries = tables.documents, tables.deliveries
        rows = self.connection.execute(
            select(table.c.document_id, table.c.sealed_content, deliveries.c.received_at)
            .join(
                deliveries,
                (deliveries.c.platform == table.c.platform)
                & (deliveries.c.delivery_id == table.c.delivery_id),
            )
            .where(
                table.c.platform == platform,
                table.c.document_id.in_(sorted(ids)),
                table.c.sealed_content.is_not(None),
            )
        )
        found = {}
        for document, sealed, received_at in rows:
            content = self.vault.open(None, "documents.sealed_content", f"{platform}/{document}", sealed)
            assert content is not None
            found[document] = Uploaded(content, received_at)
        return found

    def insert_waiting(self, waiting: Sequence[tuple[PlatformSlug, str, DeliveryId]]) -> None:
        """Note which deliveries wait for which document."""
        names = ("platform", "document_id", "delivery_id")
        self.insert_missing(tables.waiting, [dict(zip(names, row, strict=True)) for row in sorted(waiting)])

    def insert_mentions(self, mentions: Sequence[Mention]) -> None:
        """Note whose data deliveries hold, and those that brought the documents which they name."""
        rows = {(one.platform, one.delivery_id, one.learner_id) for one in mentions}
        table, named = tables.documents, {(one.platform, one.document) for one in mentions if one.document}
        for chunk in chunks(named):
            brought = self.connection.execute(
                select(table.c.platform, table.c.document_id, table.c.delivery_id).where(
                    tuple_(table.c.platform, table.c.document_id).in_(chunk)
                )
            )
            found = {(slug, document): delivery for slug, document, delivery in brought}
            rows |= {
                (one.platform, found[one.platform, one.document], one.learner_id)
                for one in mentions
                if (one.platform, one.document) in found
            }
        names = ("platform", "delivery_id", "learner_id")
        self.insert_missing(mentioned, [dict(zip(names, row, strict=True)) for row in sorted(rows)])

    def come(self, limit: int) -> Sequence[tuple[PlatformSlug, DeliveryId]]:
        """Deliveries that wait for a document which has come meanwhile."""
        rows = self.connection.execute(_COME, {"most": limit})
        return [(PlatformSlug(slug), DeliveryId(delivery)) for slug, delivery in rows]

    def latest_outcome(self, platform: PlatformSlug, delivery_id: DeliveryId) -> DeliveryOutcome | None:
        """What the newest reading of a delivery said."""
        table, deliveries = tables.readings, tables.deliveries
        text = self.connection.execute(
            select(table.c.outcome)
            .where(table.c.platform == platform, table.c.delivery_id == delivery_id)
            .order_by(table.c.reading.desc())
            .limit(1)
        ).scalar_one_or_none()
        if text is None:
            text = self.connection.execute(
                select(deliveries.c.outcome).where(
                    deliveries.c.platform == platform, deliveries.c.delivery_id == delivery_id
                )
            ).scalar_one_or_none()
        return None if text is None else _outcome(text)

    def insert_reading(
        self, platform: PlatformSlug, outcome: DeliveryOutcome, cause: str, at: datetime
    ) -> None:
        """Keep another reading of a delivery; it no longer waits for documents that have come."""
        table = tables.readings
        mine = (table.c.platform == platform) & (table.c.delivery_id == outcome.delivery_id)
        last = self.connection.execute(select(func.max(table.c.reading)).where(mine)).scalar_one()
        row = {
            "platform": platform,
            "delivery_id": outcome.delivery_id,
            "reading": (last or 0) + 1,
            "cause": cause,
            "attention": int(needs_attention(outcome)),
            "outcome": msgspec.json.encode(outcome).decode(),
            "recorded_at": at,
        }
        self.append(table, [row])
        self.forget_waiting(platform, outcome.delivery_id)

    def forget_waiting(self, platform: PlatformSlug, delivery_id: DeliveryId) -> None:
        """Let a delivery wait no longer for documents that have come."""
        waiting, documents = tables.waiting, tables.documents
        come = select(documents.c.document_id).where(documents.c.platform == platform)
        self.connection.execute(
            delete(waiting).where(
                waiting.c.platform == platform,
                waiting.c.delivery_id == delivery_id,
                waiting.c.document_id.in_(come),
            )
        )

    def stored_delivery(self, platform: PlatformSlug, delivery_id: DeliveryId) -> StoredDelivery | None:
        """A delivery as it came, opened; None if there is none, or its body is no longer kept."""
        table = tables.deliveries
        row = self.connection.execute(
            select(table).where(
                table.c.platform == platform,
                table.c.delivery_id == delivery_id,
                table.c.sealed_body.is_not(None),
            )
        ).one_or_none()
        outcome = self.latest_outcome(platform, delivery_id)
        if row is None or outcome is None:
            return None
        body = self.vault.open(None, "deliveries.sealed_body", f"{platform}/{delivery_id}", row.sealed_body)
        assert body is not None
        path, _, query = row.target.partition("?")
        headers = Headers((("content-type", row.content_type),) if row.content_type else ())
        callback = Callback(platform, row.method, path, headers, body, row.received_at, row.request_id, query)
        return StoredDelivery(
            AuthenticatedCallback(callback, delivery_id, row.key_id, row.signed_at, row.sequence), outcome
        )

    def unsettled(self, platform: PlatformSlug, limit: int) -> Sequence[DeliveryId]:
        """Deliveries of a platform that need attention as they were last read, oldest first."""
        table, readings = tables.deliveries, tables.readings
        newest = (
            select(readings.c.attention)
            .where(readings.c.platform == table.c.platform, readings.c.delivery_id == table.c.delivery_id)
            .order_by(readings.c.reading.desc())
            .limit(1)
            .scalar_subquery()
        )
        rows = self.connection.execute(
            select(table.c.delivery_id)
            .where(table.c.platform == platform, func.coalesce(newest, table.c.attention) == 1)
            .order_by(table.c.received_at, table.c.delivery_id)
            .limit(limit)
        ).scalars()
        return [DeliveryId(delivery) for delivery in rows]
