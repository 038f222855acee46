"""Times as this field uses them: UTC inside, the Beijing date where a policy asks for a day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Official Chinese time. It has had no daylight saving since 1991, so a fixed offset is exact."""

_COMPACT = re.compile(r"[0-9]{14}")
_SECONDS = re.compile(r"[0-9]{1,11}")
_MILLISECONDS = re.compile(r"[0-9]{13}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class TimeFormat(StrEnum):
    """How a platform writes a moment.

    RFC3339 carries its own offset; COMPACT_BEIJING is ``yyyyMMddHHmmss`` in Beijing time.
    """

    RFC3339 = "rfc3339"
    EPOCH_SECONDS = "epoch_seconds"
    EPOCH_MILLISECONDS = "epoch_milliseconds"
    COMPACT_BEIJING = "yyyyMMddHHmmss+08:00"


def parse_moment(value: object, form: TimeFormat) -> datetime:
    """Read one moment exactly as its format says.

    Args:
        value: text, or an integer for the epoch formats (never a bool or a float).
        form: the only format that is tried.

    Returns:
        An aware datetime in UTC.

    Raises:
        ValueError: the value is not of that format, or lies outside 1900 to 2199.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("not a moment")  # noqa: TRY004 - one error for a caller that reads foreign JSON
    try:
        moment = _read(str(value), form)
    except (OverflowError, ValueError):
        # The standard library's own words repeat the value.
        raise ValueError("not a moment of this format") from None
    if not datetime(1900, 1, 1, tzinfo=UTC) <= moment < _LATEST:
        raise ValueError("out of range")
    return moment


def _read(text: str, form: TimeFormat) -> datetime:
    if form is TimeFormat.RFC3339 and _RFC3339.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    if form is TimeFormat.EPOCH_SECONDS and _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if form is TimeFormat.EPOCH_MILLISECONDS and _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text))
    if form is TimeFormat.COMPACT_BEIJING and _COMPACT.fullmatch(text):
        # Not strptime: its first use imports code that asks the machine for its locale and time zone.
        month, day, hour, minute, second = (int(text[start : start + 2]) for start in range(4, 14, 2))
        return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=BEIJING).astimezone(UTC)
    raise ValueError("not a moment of this format")


def beijing_date(moment: datetime) -> date:
    """The calendar day in Beijing at a moment.

    Args:
        moment: an aware datetime.
    """
    return moment.astimezone(BEIJING).date()


def covers(start: date, end: date | None, day: date) -> bool:
    """Whether a closed interval of days holds a day; no end means it is still open."""
    return start <= day and (end is None or day <= end)


def iso(moment: datetime) -> str:
    """UTC in RFC 3339 with a Z, as answers and ledger entries write it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
