"""What a transaction keeps of items besides facts: their own ids, uploaded documents, and what waits for one.

A platform's own id of an item (an xAPI statement's, say) stands for one content for ever, whatever delivery
brings it: the same again changes nothing, other content is a conflict, and neither concerns the rest of its
delivery. The same holds for the id of an uploaded document. An id is taken by what is kept: an item that is
refused leaves its id free, so that it can be mended and sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from verifier.errors import Code
from verifier.model.delivery import DeliveryId, ItemOutcome, ItemState, PlatformSlug
from verifier.ports.intake import IntakeTransaction, KeptDocument, OwnItem
from verifier.preparing import DocumentItem, Item, Prepared, WaitingItem, item_name

Key = tuple[PlatformSlug, str]


@dataclass(slots=True)
class Kept:
    """What stands under the ids of one transaction, and what its items add.

    Attributes:
        items: keyed digest by platform and own id.
        documents: keyed digest by platform and document id.
        again: whether a stored delivery is read again, which took its items' ids itself.
    """

    items: dict[Key, bytes]
    documents: dict[Key, bytes]
    again: bool = False
    own: list[OwnItem] = field(default_factory=list)
    uploaded: list[KeptDocument] = field(default_factory=list)
    waiting: list[tuple[PlatformSlug, str, DeliveryId]] = field(default_factory=list)

    @classmethod
    def of(cls, tx: IntakeTransaction, group: Sequence[Prepared], *, again: bool) -> Kept:
        """What stands already under the ids that a group of deliveries names."""
        own = {(one.platform, value) for one in group for value, _ in one.own_ids.values()}
        documents = {
            (one.platform, item.document.document_id)
            for one in group
            for item in one.items
            if isinstance(item, DocumentItem)
        }
        return cls(
            dict(tx.own_items(own)) if own else {},
            dict(tx.document_digests(documents)) if documents else {},
            again,
        )

    def known(self, prepared: Prepared, item: Item) -> ItemOutcome | None:
        """The outcome of an item whose own id is taken; None for any other."""
        name = item_name(item)
        own = prepared.own_ids.get(name)
        if own is None:
            return None
        standing = self.items.get((prepared.platform, own[0]))
        if standing is None:
            return None
        if standing != own[1]:
            return ItemOutcome(name, ItemState.REFUSED, Code.DELIVERY_CONFLICT)
        if self.again:
            return None
        return item if isinstance(item, ItemOutcome) else ItemOutcome(name, ItemState.DUPLICATE)

    def claim(self, prepared: Prepared, outcome: ItemOutcome) -> None:
        """Take the own id of an item that is kept."""
        own = prepared.own_ids.get(outcome.item)
        if own is None or outcome.state is ItemState.REFUSED or (prepared.platform, own[0]) in self.items:
            return
        self.items[prepared.platform, own[0]] = own[1]
        self.own.append(
            OwnItem(prepared.platform, own[0], own[1], prepared.claim.authenticated.delivery_id, outcome.item)
        )

    def document(self, prepared: Prepared, item: DocumentItem) -> ItemOutcome:
        """Take in an uploaded document."""
        key = (prepared.platform, item.document.document_id)
        standing = self.documents.get(key)
        if standing is not None:
            if standing == item.digest:
                return ItemOutcome(item.event.item, ItemState.DUPLICATE)
            return ItemOutcome(item.event.item, ItemState.REFUSED, Code.DELIVERY_CONFLICT)
        self.documents[key] = item.digest
        delivery_id = prepared.claim.authenticated.delivery_id
        self.uploaded.append(KeptDocument(*key, item.digest, item.document.content, delivery_id))
        return ItemOutcome(item.event.item, ItemState.ACCEPTED)

    def wait(self, prepared: Prepared, item: WaitingItem) -> ItemOutcome:
        """Let an item wait for its document."""
        self.waiting.append((prepared.platform, item.document_id, prepared.claim.authenticated.delivery_id))
        return ItemOutcome(item.event.item, ItemState.WAITING, Code.DOCUMENT_MISSING)

    def store(self, tx: IntakeTransaction) -> None:
        """Write what was added."""
        if self.own:
            tx.insert_own_items(self.own)
        if self.uploaded:
            tx.insert_documents(self.uploaded)
        if self.waiting:
            tx.insert_waiting(self.waiting)
