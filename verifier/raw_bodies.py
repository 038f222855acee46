"""Which raw bodies of deliveries, and uploaded documents, need not be kept any longer. Pure.

A body may be emptied once everything in it was taken in, nothing about it is open, and either the configured
time is over or everybody whom it mentions was lawfully erased. What holds it back, in this order:

1. ``unsettled``: it is in quarantine, stands in conflict, or an item of it was refused, waits for a document
   or is of an event that is not known: reading it again may come to something else;
2. ``waiting``: something waits for a document that it brought, or it brought one that nothing has used yet;
3. ``question``: a review, an objection or a hold about somebody whom it mentions is open;
4. ``time``: the time is not over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from verifier.errors import Code
from verifier.model.delivery import DeliveryId, DeliveryOutcome, DeliveryState, ItemState, PlatformSlug
from verifier.model.person import LearnerId

UNSETTLED, WAITING, QUESTION, TIME = "unsettled", "waiting", "question", "time"
_SETTLED: Final = frozenset(
    {ItemState.ACCEPTED, ItemState.DUPLICATE, ItemState.IN_REVIEW, ItemState.RECORDED}
)
"""An item in review is settled but for the review, which is looked at apart."""


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A delivery whose body is kept.

    Attributes:
        outcome: as it was last read.
        learners: whom it mentions.
        documents: how many uploaded documents it brought.
        awaited: whether it waits for a document, or something waits for one that it brought.
    """

    platform: PlatformSlug
    delivery_id: DeliveryId
    received_at: datetime
    outcome: DeliveryOutcome = field(repr=False)
    learners: frozenset[LearnerId]
    documents: int
    awaited: bool

    @property
    def key(self) -> tuple[str, str]:
        """Platform and delivery id."""
        return (self.platform, self.delivery_id)


@dataclass(frozen=True, slots=True)
class Term:
    """For how long bodies are kept.

    Attributes:
        days: 0 for as long as the database lasts.
    """

    days: int

    def until(self, received_at: datetime) -> datetime | None:
        """The first moment at which a body need not be kept any longer; None if there is none."""
        return received_at + timedelta(days=self.days) if self.days else None


def held_back(
    one: RawDelivery,
    term: Term,
    at: datetime,
    *,
    erased: Collection[LearnerId],
    questioned: Collection[LearnerId],
) -> str:
    """Why a body is still to be kept; empty where it may be emptied.

    Args:
        one: the delivery.
        term: for how long bodies are kept.
        at: aware UTC.
        erased: learners who were lawfully erased.
        questioned: learners about whom something is open.
    """
    if not settled(one.outcome):
        return UNSETTLED
    if one.awaited or one.documents > len(one.learners):
        return WAITING
    if not one.learners.isdisjoint(questioned):
        return QUESTION
    if one.learners and one.learners.issubset(erased):
        return ""
    until = term.until(one.received_at)
    return TIME if until is None or at < until else ""


def settled(outcome: DeliveryOutcome) -> bool:
    """Whether reading the delivery again could come to nothing else, reviews aside."""
    return (
        outcome.state is DeliveryState.ACCEPTED
        and outcome.code is None
        and all(item.state in _SETTLED and item.code is not Code.EVENT_UNKNOWN for item in outcome.items)
    )
