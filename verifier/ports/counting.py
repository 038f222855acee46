"""What counting an enterprise's questions needs, for all processes together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Protocol, TypeVar

from verifier.model.person import Uscc

T = TypeVar("T")


class Alarmed(StrEnum):
    """What is alarmed once a day for an enterprise."""

    QUOTA = "quota_alarm"
    ENUMERATION = "enumeration_alarm"


class CountingTransaction(Protocol):
    """Counts by enterprise and day, in Beijing's calendar."""

    def count_question(self, uscc: Uscc, day: date, people: int, most: int) -> bool:
        """Count people asked about, unless that would exceed ``most`` (0 for any number)."""
        ...

    def count_unlisted(self, uscc: Uscc, day: date, people: int) -> tuple[int, int]:
        """Count people not on the roster; how many were asked about that day, and were not on it."""
        ...

    def first_alarm(self, uscc: Uscc, day: date, alarm: Alarmed) -> bool:
        """Note that an alarm was given; False if it was given that day already."""
        ...


class CountingUnits(Protocol):
    """Runs the transactions."""

    async def counting(self, work: Callable[[CountingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...
