"""When a platform is recognised: the part of the trust register that policies need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Recognition:
    """An interval of days, both inclusive, in which a platform is recognised."""

    start: date
    end: date | None
    reference: str
