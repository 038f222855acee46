"""The thresholds of signals: a dated table of values, each with its reference. Pure.

The notice asks for none of them. They decide when a reviewer is told of something, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from verifier.model.time import covers
from verifier.toml_tables import Table, document

_FIRST: Final = date(1900, 1, 1)
"""The earliest day of a completion."""
_GREATEST: Final = 1_000_000
_GREATEST_REVISION: Final = 9_999
_DAY: Final = timedelta(days=1)
_MOST_DAYS: Final = 4_000
"""Days of which the values are remembered."""
_LEAST: Final[Mapping[str, int]] = MappingProxyType(
    {"burst_people": 2, "names": 2, "shared_people": 2, "key_enterprises": 2, "employment_days": 0}
)
"""Of what is not counted from 1."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of one day; ``parameters/signals.toml`` says what each one is."""

    study_tolerance_minutes: int
    day_minutes: int
    session_minutes: int
    overlap_minutes: int
    burst_people: int
    burst_minutes: int
    employment_days: int
    names: int
    shared_people: int
    key_enterprises: int
    afterwards_people: int
    afterwards_days: int


NAMES: Final = tuple(item.name for item in fields(Limits))


@dataclass(frozen=True, slots=True)
class Threshold:
    """One value, from a day to a day, both included.

    Attributes:
        reference: what the value rests on.
        reading: nothing that was published says so; it is our reading.
    """

    name: str
    start: date
    end: date | None
    value: int
    reference: str
    reading: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A table.

    Attributes:
        digest: hex SHA-256 of its source form; every signal bears it.
        rows: by name, in order of days.
    """

    digest: str
    revision: int
    rows: Mapping[str, tuple[Threshold, ...]]
    _days: dict[date, Limits] = field(default_factory=dict, init=False, repr=False, compare=False)

    def on(self, day: date) -> Limits:
        """What holds on a day; before the first day of the table what holds on that one."""
        found = self._days.get(day)
        if found is None:
            if len(self._days) >= _MOST_DAYS:
                self._days.clear()
            counted = max(day, _FIRST)
            found = self._days[day] = Limits(
                **{
                    name: next(row.value for row in rows if covers(row.start, row.end, counted))
                    for name, rows in self.rows.items()
                }
            )
        return found


def load_thresholds(raw: bytes) -> Thresholds:
    """Read a table.

    Args:
        raw: TOML.

    Raises:
        ConfigurationError: it is not as it should be; where is said.
    """
    table = document(raw, "the table of thresholds")
    table.allow("revision", "threshold")
    revision = table.optional_count("revision", _GREATEST_REVISION)
    if revision is None:
        raise table.invalid("revision", "missing")
    rows: dict[str, list[Threshold]] = {name: [] for name in NAMES}
    for row in table.tables("threshold", least=1):
        threshold = _threshold(row)
        rows[threshold.name].append(threshold)
    for name, schedule in rows.items():
        _check_complete(table, name, schedule)
    found = {name: tuple(schedule) for name, schedule in rows.items()}
    return Thresholds(sha256(raw).hexdigest(), revision, MappingProxyType(found))


def _threshold(table: Table) -> Threshold:
    table.allow("name", "from", "to", "value", "reference", "reading")
    name, start = table.text("name"), table.day("from")
    if name not in NAMES:
        raise table.invalid("name", "not a threshold that the rules know")
    end = table.day("to") if "to" in table else None
    if end is not None and end < start:
        raise table.invalid("to", "ends before it begins")
    value, reading = table.values.get("value"), table.values.get("reading")
    if not isinstance(value, int) or isinstance(value, bool) or not _LEAST.get(name, 1) <= value <= _GREATEST:
        raise table.invalid("value", "missing, or not a whole number in range")
    if not isinstance(reading, bool):
        raise table.invalid("reading", "missing, or neither true nor false")
    return Threshold(name, start, end, value, table.text("reference"), reading)


def _check_complete(table: Table, name: str, schedule: list[Threshold]) -> None:
    """Every day has exactly one value."""
    schedule.sort(key=lambda row: row.start)
    if not schedule or schedule[0].start > _FIRST or schedule[-1].end is not None:
        raise table.invalid("threshold", f"{name} leaves days without a value")
    for earlier, later in pairwise(schedule):
        if earlier.end is None or later.start != earlier.end + _DAY:
            raise table.invalid("threshold", f"{name} leaves days without a value, or gives some two")
