"""Reads stored deliveries again: when a document came that they wait for, or when an operator mended a cause.

A delivery is never sent again for our sake: what was authentic is kept, and read again under the profile and
register of today. What earlier readings settled stays as it is; what is open goes the whole way, with the
moment of its first receipt. Law 3 makes it harmless to do so twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from verifier import pipeline, preparing
from verifier.errors import AccessDenied, Code, Conflict
from verifier.model.delivery import (
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    Uploaded,
)
from verifier.pipeline import Rulebook
from verifier.ports import Adapter, Clock, Digest, NewId
from verifier.ports.rereading import RereadingTransaction, StoredDelivery
from verifier.preparing import HERE, Prepared, Reader, item_name

T = TypeVar("T")
BATCH: Final = 20
MOST: Final = 1_000
"""Deliveries that one command reads."""


class RereadingUnits(Protocol):
    """Runs the transactions."""

    async def rereading(self, work: Callable[[RereadingTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One delivery, before and after.

    Attributes:
        after: with a dry run: what its items would come to, before law 3 looks at their numbers.
    """

    delivery_id: DeliveryId
    before: DeliveryOutcome
    after: DeliveryOutcome


@dataclass(frozen=True, slots=True)
class Rereading:
    """Reads again over one store.

    Attributes:
        reader: runs what looks into a platform's bytes.
    """

    units: RereadingUnits
    adapters: Callable[[], Mapping[str, Adapter]]
    rulebook: Callable[[], Rulebook]
    digest: Digest
    clock: Clock
    new_id: NewId
    reader: Reader = HERE

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"deliveries list": self.listing, "deliveries read-again": self.read_again}

    async def listing(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Deliveries of a ``platform`` that need attention, oldest first, with the reasons."""
        platform = self._platform(parameters)
        found = [(one, await self._outcome(platform, one)) for one in await self.unsettled(platform)]
        return {
            "platform": platform,
            "deliveries": [_said(delivery_id, outcome) for delivery_id, outcome in found if outcome],
        }

    async def _outcome(self, platform: PlatformSlug, delivery_id: DeliveryId) -> DeliveryOutcome | None:
        return await self.units.rereading(lambda tx: tx.latest_outcome(platform, delivery_id), write=False)

    async def read_again(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Read a ``platform``'s open deliveries again, or one ``delivery``; only ``apply`` writes.

        Raises:
            AccessDenied: NOT_FOUND, an unknown platform, or the one delivery is not there.
            Conflict: DELIVERY_CONFLICT, the one delivery stands in conflict with another of its id.
        """
        platform, apply = self._platform(parameters), bool(parameters.get("apply"))
        named = parameters.get("delivery", "")
        cause = f"operator:{parameters.get('operator', '') or 'unnamed'}"[:64]
        ids = [DeliveryId(named)] if named else await self.unsettled(platform)
        done: list[Reading] = []
        skipped = 0
        for delivery_id in ids:
            try:
                done.append(await self.read(platform, delivery_id, cause=cause, apply=apply))
            except (AccessDenied, Conflict):
                if named:
                    raise
                skipped += 1
        changed = [reading for reading in done if reading.after.items != reading.before.items]
        return {
            "platform": platform,
            "applied": apply,
            "read": len(done),
            "changed": len(changed),
            "skipped": skipped,
            "deliveries": [_said(reading.delivery_id, reading.after) for reading in changed],
        }

    def _platform(self, parameters: Mapping[str, str]) -> PlatformSlug:
        platform = PlatformSlug(parameters.get("platform", ""))
        if platform not in self.adapters():
            raise AccessDenied(Code.NOT_FOUND, "no such platform", pointer="platform")
        return platform

    async def step(self) -> int:
        """Read what waited for documents that have come; a worker's step."""
        due = await self.units.rereading(lambda tx: tx.come(BATCH), write=False)
        for platform, delivery_id in due:
            try:
                await self.read(platform, delivery_id, cause="document", apply=True)
            except (AccessDenied, Conflict):
                # Its body is no longer kept, or somebody was faster: there is nothing to wait for.
                await self._forget(platform, delivery_id)
        return len(due)

    async def _forget(self, platform: PlatformSlug, delivery_id: DeliveryId) -> None:
        await self.units.rereading(lambda tx: tx.forget_waiting(platform, delivery_id), write=True)

    async def unsettled(self, platform: PlatformSlug) -> Sequence[DeliveryId]:
        """A platform's deliveries that need attention, oldest first, at most ``MOST``."""
        return await self.units.rereading(lambda tx: tx.unsettled(platform, MOST), write=False)

    async def read(
        self, platform: PlatformSlug, delivery_id: DeliveryId, *, cause: str, apply: bool
    ) -> Reading:
        """Read one delivery again.

        Args:
            platform: whose it is.
            delivery_id: which.
            cause: why, as the reading will say.
            apply: otherwise nothing is written.

        Raises:
            AccessDenied: NOT_FOUND, there is no such delivery, or no adapter reads the platform;
                BODY_NOT_KEPT, its raw body is no longer kept.
            Conflict: DELIVERY_CONFLICT, it was read meanwhile, or stands beside another one of its id.
        """
        stored, known = await self.units.rereading(
            lambda tx: (tx.stored_delivery(platform, delivery_id), tx.latest_outcome(platform, delivery_id)),
            write=False,
        )
        adapter = self.adapters().get(platform)
        if adapter is None or known is None:
            raise AccessDenied(Code.NOT_FOUND, "no such delivery", pointer="delivery")
        if stored is None:
            raise AccessDenied(Code.BODY_NOT_KEPT, "its raw body is no longer kept", pointer="delivery")
        if stored.outcome.state is DeliveryState.CONFLICT:
            detail = "it stands beside another delivery of its id"
            raise Conflict(Code.DELIVERY_CONFLICT, detail, pointer="delivery")
        rulebook = self.rulebook()
        prepared = await self._prepared(adapter, stored, rulebook)
        if not apply:
            return Reading(delivery_id, stored.outcome, _foreseen(prepared, stored.outcome))
        at = self.clock()
        after = await self.units.rereading(
            lambda tx: pipeline.record_again(tx, prepared, stored.outcome, cause, rulebook, at, self.new_id),
            write=True,
        )
        return Reading(delivery_id, stored.outcome, after)

    async def _prepared(self, adapter: Adapter, stored: StoredDelivery, rulebook: Rulebook) -> Prepared:
        authenticated = stored.authenticated
        platform = authenticated.callback.platform
        read = await asyncio.to_thread(self.reader.read, adapter, authenticated)
        wanted = preparing.documents_wanted(read)
        documents: Mapping[str, Uploaded] = {}
        if wanted:
            documents = await self.units.rereading(lambda tx: tx.documents(platform, wanted), write=False)
        return await asyncio.to_thread(
            preparing.verify, read, rulebook.register, self.digest, documents, self.reader
        )


def _said(delivery_id: DeliveryId, outcome: DeliveryOutcome) -> dict[str, Any]:
    return {
        "delivery": delivery_id,
        "state": outcome.state.value,
        "code": outcome.code.value if outcome.code else None,
        "items": [
            {
                "item": item.item,
                "state": item.state.value,
                "code": item.code.value if item.code else None,
                "step": item.step,
                "pointer": item.pointer,
            }
            for item in outcome.items
        ],
    }


def _foreseen(prepared: Prepared, before: DeliveryOutcome) -> DeliveryOutcome:
    """What the items would come to; whether a number stands already is only known when it is done."""
    items = []
    for item in pipeline.unsettled(prepared, before).items:
        if isinstance(item, ItemOutcome):
            items.append(item)
        elif isinstance(item, preparing.WaitingItem):
            items.append(ItemOutcome(item_name(item), ItemState.WAITING, Code.DOCUMENT_MISSING))
        else:
            items.append(ItemOutcome(item_name(item), ItemState.ACCEPTED))
    state = pipeline.state_of(prepared)
    return DeliveryOutcome(before.delivery_id, state, tuple(items), prepared.code)
