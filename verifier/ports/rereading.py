"""What reading stored deliveries again needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from verifier.model.delivery import AuthenticatedCallback, DeliveryId, DeliveryOutcome, PlatformSlug, Uploaded
from verifier.ports.intake import IntakeTransaction


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as it came, and what became of it when it was last read.

    Attributes:
        authenticated: proven when it came; of its headers only the content type is kept.
    """

    authenticated: AuthenticatedCallback
    outcome: DeliveryOutcome


class RereadingTransaction(IntakeTransaction, Protocol):
    """A transaction of the pipeline that may also look at what is stored."""

    def stored_delivery(self, platform: PlatformSlug, delivery_id: DeliveryId) -> StoredDelivery | None:
        """A delivery as it came, opened; None if there is none, or its body is no longer kept."""
        ...

    def unsettled(self, platform: PlatformSlug, limit: int) -> Sequence[DeliveryId]:
        """Deliveries of a platform that need attention as they were last read, oldest first."""
        ...

    def come(self, limit: int) -> Sequence[tuple[PlatformSlug, DeliveryId]]:
        """Deliveries that wait for a document which has come meanwhile."""
        ...

    def forget_waiting(self, platform: PlatformSlug, delivery_id: DeliveryId) -> None:
        """Let a delivery wait no longer for documents that have come."""
        ...

    def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those documents that have come and are still kept."""
        ...
