"""What the rules share: how many make a difference, and what is known of a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final

from verifier.model.facts import CompletionFact, FactId
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Finding, SignalKind
from verifier.model.time import BEIJING

MOST_ABOUT: Final = 50
"""Facts that one finding names."""
MINUTE: Final = timedelta(minutes=1)


def scale(count: int) -> str:
    """Changes whenever a number has doubled: 1, 2 to 3, 4 to 7 and so on."""
    return str(count.bit_length())


def has_clock(moment: datetime) -> bool:
    """Whether a moment says more than its day."""
    return moment.astimezone(BEIJING).time() != time(0)


def minutes_of_day(moment: datetime) -> int:
    """Whole minutes since midnight in Beijing."""
    local = moment.astimezone(BEIJING)
    return local.hour * 60 + local.minute


def in_order(completions: Iterable[CompletionFact]) -> list[CompletionFact]:
    """In the written order: by completion, number and id."""
    return sorted(completions, key=lambda one: (one.completed_at, one.number, one.fact_id))


def about(completions: Iterable[CompletionFact]) -> tuple[FactId, ...]:
    """The first ones' ids."""
    return tuple(one.fact_id for one in in_order(completions)[:MOST_ABOUT])


def finding(
    kind: SignalKind,
    learner: LearnerId | None,
    uscc: Uscc | None,
    facts: tuple[FactId, ...],
    details: Mapping[str, Any],
    *key: str,
) -> Finding:
    """A finding; facts beyond the most that are named are left out."""
    return Finding(kind, learner, uscc, facts[:MOST_ABOUT], details, key)
