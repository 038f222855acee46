"""What is watched of the platforms: who failed to prove itself, what came last, what did not come."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from verifier.model.delivery import PlatformSlug

KEPT_FAILURES: Final = 100
"""Failures to authenticate that are kept of a platform; the oldest go first."""
SHOWN_GAPS: Final = 100
"""Ranges of missing sequence numbers that one answer names, the lowest first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request to a platform's address that was not authentic; nothing else of it is kept.

    Attributes:
        at: aware UTC.
        request_id: ours.
        step: which check failed.
    """

    at: datetime
    request_id: str
    step: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers that lie between received ones and did not come, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries are kept of a platform.

    Attributes:
        states: by the word of their state.
        attention: those of them with something wrong.
    """

    states: Mapping[str, int]
    attention: int


class Arrivals(Protocol):
    """Reads what came of the platforms."""

    async def failures(self, platform: str) -> Sequence[Failure]:
        """A platform's newest failures to authenticate, as all processes wrote them, newest first."""
        ...

    async def gaps(self, platform: str) -> Sequence[Gap]:
        """The lowest missing sequence numbers between a platform's smallest and largest."""
        ...

    async def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        """When each platform's newest authentic delivery was received, for those that sent any."""
        ...

    async def tally(self, platform: str) -> Tally:
        """How many deliveries are kept of a platform."""
        ...


class FailureStore(Protocol):
    """Writes failures to authenticate."""

    async def keep_failures(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        """Write failures by platform, and forget all but the newest of each. Writing one again is no harm."""
        ...
