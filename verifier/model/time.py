"""Times as this field uses them: UTC inside, the Beijing date where a policy asks for a day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

_AHEAD = timedelta(hours=8)
BEIJING = timezone(_AHEAD, "Asia/Shanghai")
"""Official Chinese time. It has had no daylight saving since 1991, so a fixed offset is exact."""

_COMPACT = re.compile(r"[0-9]{8}(?:[01][0-9]|2[0-3])[0-9]{4}")
_SECONDS = re.compile(r"[0-9]{1,11}")
_MILLISECONDS = re.compile(r"[0-9]{13}")
_SPACED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_MONTH = re.compile(r"(?:19|20|21)[0-9]{2}-(?:0[1-9]|1[0-2])")
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class TimeFormat(StrEnum):
    """How a platform writes a moment.

    RFC3339 carries its own offset. Those that end in ``+08:00`` carry none and are Beijing time; of a day
    alone, its first moment. HTTP_DATE is the IMF-fixdate of RFC 9110, section 5.6.7.
    """

    RFC3339 = "rfc3339"
    EPOCH_SECONDS = "epoch_seconds"
    EPOCH_MILLISECONDS = "epoch_milliseconds"
    COMPACT_BEIJING = "yyyyMMddHHmmss+08:00"
    SPACED_BEIJING = "yyyy-MM-dd HH:mm:ss+08:00"
    DAY_BEIJING = "yyyy-MM-dd+08:00"
    COMPACT_DAY_BEIJING = "yyyyMMdd+08:00"
    HTTP_DATE = "http_date"


_BEIJING = {
    TimeFormat.SPACED_BEIJING: _SPACED,
    TimeFormat.DAY_BEIJING: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    TimeFormat.COMPACT_DAY_BEIJING: re.compile(r"[0-9]{8}"),
}
"""Forms without an offset."""


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
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("out of range")
    return moment


def _read(text: str, form: TimeFormat) -> datetime:
    if form is TimeFormat.COMPACT_BEIJING and _COMPACT.fullmatch(text):
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}Z") - _AHEAD
    if form is TimeFormat.RFC3339 and _RFC3339.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    if form is TimeFormat.EPOCH_SECONDS and _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if form is TimeFormat.EPOCH_MILLISECONDS and _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text))
    if form is TimeFormat.HTTP_DATE and (parts := _HTTP.fullmatch(text)):
        day, name, year, hour, minute, second = parts.groups()
        month = _MONTHS.index(name) + 1
        return datetime(int(year), month, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    if form in _BEIJING and _BEIJING[form].fullmatch(text):
        # Not strptime: its first use imports code that asks the machine for its locale and time zone.
        digits = re.sub(r"[^0-9]", "", text).ljust(14, "0")
        year, *rest = int(digits[:4]), *(int(digits[start : start + 2]) for start in range(4, 14, 2))
        month, day, hour, minute, second = rest
        return datetime(year, month, day, hour, minute, second, tzinfo=BEIJING).astimezone(UTC)
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


def parse_month(text: str) -> date:
    """The first day of a month that is written as ``2021-03``.

    Raises:
        ValueError: it is not written so, or lies outside 1900 to 2199.
    """
    if _MONTH.fullmatch(text) is None:
        raise ValueError("not a month")
    return date(int(text[:4]), int(text[5:]), 1)


def month_text(month: date) -> str:
    """A month as ``2021-03``."""
    return f"{month.year:04d}-{month.month:02d}"


def next_month(month: date) -> date:
    """The first day of the month behind."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def iso(moment: datetime) -> str:
    """UTC in RFC 3339 with a Z, as answers and ledger entries write it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
