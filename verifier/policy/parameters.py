"""The values a policy sets, each dated and with the text it rests on.

What the notice leaves open is a *reading*: chosen here, said to be so, and changed by a new file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from verifier.errors import Code, ConfigurationError
from verifier.model.certificate import SkillLevel
from verifier.model.decision import Entitlement
from verifier.model.facts import Category
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


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the notice says a subsidy is not to exceed, in yuan, for each level of a certificate."""

    by_level: Mapping[SkillLevel, Decimal]


@dataclass(frozen=True, slots=True)
class Categories:
    """The kinds of staff that a policy is for."""

    named: tuple[Category, ...]


@dataclass(frozen=True, slots=True)
class Courses:
    """Courses as ``slug/code``, the code being the platform's own: codes of two platforms may be alike."""

    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Entitlements beside which this one is not granted; none while the switch is off."""

    entitlements: tuple[Entitlement, ...]


Value = (
    Window
    | WindowBasis
    | StaffScope
    | OncePer
    | SubsidyMonth
    | Ceilings
    | Categories
    | Courses
    | Exclusion
    | bool
    | int
    | Decimal
)


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


V = TypeVar("V")

Schedules = Mapping[str, tuple[Dated, ...]]
"""Per parameter its values, by date, without overlap or gap."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The values in force on one day, by name.

    Which a policy file has follows from its clauses, so each is asked for by a property of its own; one that
    the file must have and does not is an error, never a default.
    """

    values: Mapping[str, Value]

    def _value(self, name: str, kind: type[V]) -> V:
        found = self.values.get(name)
        if not isinstance(found, kind):
            detail = "no value on that day"
            raise ConfigurationError(Code.POLICY_INVALID, detail, pointer=f"parameters.{name}")
        return found

    def _optional(self, name: str, kind: type[V]) -> V | None:
        return self._value(name, kind) if name in self.values else None

    @property
    def window(self) -> Window:
        """The period."""
        return self._value("window", Window)

    @property
    def window_basis(self) -> WindowBasis:
        """Which date must lie in it."""
        return self._value("window_basis", WindowBasis)

    @property
    def recognised_platforms_only(self) -> bool:
        """Whether only recognised platforms count."""
        return self._value("recognised_platforms_only", bool)

    @property
    def staff_scope(self) -> StaffScope:
        """Whether the named groups limit the scope."""
        return self._value("staff_scope", StaffScope)

    @property
    def categories(self) -> Categories:
        """The kinds of staff that the policy is for."""
        return self._value("categories", Categories)

    @property
    def excluded_by(self) -> Exclusion:
        """Beside which other entitlements this one is not granted."""
        return self._value("excluded_by", Exclusion)

    @property
    def once_per(self) -> OncePer:
        """To whom the entitlement is given once."""
        return self._value("once_per", OncePer)

    @property
    def subsidy_month(self) -> SubsidyMonth:
        """Which month a grant is for."""
        return self._value("subsidy_month", SubsidyMonth)

    @property
    def comprehensive_courses(self) -> Courses | None:
        """Which courses are comprehensive training; None as long as nobody configured them."""
        return self._optional("comprehensive_courses", Courses)

    @property
    def ceiling(self) -> Decimal | None:
        """What the amount is not to exceed, in yuan."""
        return self._optional("ceiling", Decimal)

    @property
    def ceilings(self) -> Ceilings | None:
        """What the amount is not to exceed, for each level."""
        return self._optional("ceilings", Ceilings)

    @property
    def standard_amount(self) -> Decimal | None:
        """The local standard in yuan; None as long as nobody configured it."""
        return self._optional("standard_amount", Decimal)

    @property
    def names_per_number(self) -> int:
        """How many unrelated names may stand under one id number that still tells who somebody is."""
        return self._optional("names_per_number", int) or MOST_NAMES


MOST_DAYS: Final = 1_000
"""Days whose values are remembered: whoever sends certificates chooses the days."""


def remembered(known: dict[date, Parameters], schedules: Schedules, day: date) -> Parameters:
    """``in_force``, asked once for a day: people complete on few days, and are judged again and again.

    Args:
        known: what was answered before, of the same schedules.
        schedules: every value of a policy.
        day: the completion date, in Beijing's calendar.
    """
    found = known.get(day)
    if found is None:
        if len(known) >= MOST_DAYS:
            known.clear()
        found = known[day] = in_force(schedules, day)
    return found


def in_force(schedules: Schedules, day: date) -> Parameters:
    """The values in force on a day.

    Args:
        schedules: every value of a policy.
        day: the completion date, in Beijing's calendar.
    """
    found = {
        name: dated.value
        for name, schedule in schedules.items()
        for dated in schedule
        if covers(dated.start, dated.end, day)
    }
    return Parameters(MappingProxyType(found))
