"""The values a policy sets, each dated and with the text it rests on.

What the notice leaves open is a *reading*: chosen here, said to be so, and changed by a new file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from verifier.errors import Code, ConfigurationError
from verifier.model.time import covers

MOST_NAMES: Final = 20
"""Unrelated names that are counted under one number, at the most."""

EARLIEST: Final = date(1900, 1, 1)
"""No completion bears an earlier date (``verifier.model.time``): a schedule from here on lacks no day."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days of the policy's period, both included, in Beijing's calendar."""

    first: date
    last: date


class WindowBasis(StrEnum):
    """Which date of a completion must lie in the window."""

    COMPLETION = "completion"
    ISSUE = "issue"


class StaffScope(StrEnum):
    """Whether the groups that clause 一(三) names limit it, or merely come first (重点面向)."""

    NAMED_GROUPS = "named_groups"
    ALL_STAFF = "all_staff"


class OncePer(StrEnum):
    """To whom the one month is given once. The slot's key carries this reading: there is no other value."""

    PERSON = "person"


class SubsidyMonth(StrEnum):
    """Which month a grant is for."""

    COMPLETION_MONTH = "completion_month"


Value = Window | WindowBasis | StaffScope | OncePer | SubsidyMonth | bool | int | Decimal


@dataclass(frozen=True, slots=True)
class Dated:
    """One value with its days, both included; no end means it is still in force.

    Attributes:
        reference: the text it rests on, or why it was chosen.
        reading: the notice does not say this; it is our reading.
    """

    start: date
    end: date | None
    value: Value
    reference: str
    reading: bool


V = TypeVar("V", Window, WindowBasis, StaffScope, OncePer, SubsidyMonth, bool, int, Decimal)

Schedules = Mapping[str, tuple[Dated, ...]]
"""Per parameter its values, by date, without overlap or gap."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The values in force on one day.

    Attributes:
        standard_amount: yuan for the month; None as long as nobody configured the local standard.
        names_per_number: how many unrelated names may stand under one id number before it no longer
            tells who somebody is. Policies of revisions before 3 do not ask.
    """

    window: Window
    window_basis: WindowBasis
    recognised_platforms_only: bool
    staff_scope: StaffScope
    once_per: OncePer
    subsidy_month: SubsidyMonth
    standard_amount: Decimal | None = None
    names_per_number: int = MOST_NAMES


def in_force(schedules: Schedules, day: date) -> Parameters:
    """The values in force on a day.

    Args:
        schedules: every value of a policy.
        day: the completion date, in Beijing's calendar.

    Raises:
        ConfigurationError: POLICY_INVALID, a value is missing on that day; there are no defaults.
    """
    amount = (
        _value(schedules, "standard_amount", day, Decimal)
        if _has(schedules, "standard_amount", day)
        else None
    )
    names = (
        _value(schedules, "names_per_number", day, int)
        if _has(schedules, "names_per_number", day)
        else MOST_NAMES
    )
    return Parameters(
        window=_value(schedules, "window", day, Window),
        window_basis=_value(schedules, "window_basis", day, WindowBasis),
        recognised_platforms_only=_value(schedules, "recognised_platforms_only", day, bool),
        staff_scope=_value(schedules, "staff_scope", day, StaffScope),
        once_per=_value(schedules, "once_per", day, OncePer),
        subsidy_month=_value(schedules, "subsidy_month", day, SubsidyMonth),
        standard_amount=amount,
        names_per_number=names,
    )


def _has(schedules: Schedules, name: str, day: date) -> bool:
    return any(covers(dated.start, dated.end, day) for dated in schedules.get(name, ()))


def _value(schedules: Schedules, name: str, day: date, kind: type[V]) -> V:
    for dated in schedules.get(name, ()):
        if covers(dated.start, dated.end, day) and isinstance(dated.value, kind):
            return dated.value
    raise ConfigurationError(Code.POLICY_INVALID, "no value on that day", pointer=f"parameters.{name}")
