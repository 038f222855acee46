"""Times as platforms write them: one format each, nothing guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.model.time import BEIJING, TimeFormat, beijing_date, covers, iso, parse_moment

MOMENTS = st.integers(-2_000_000_000, 7_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
NEW_YEAR = datetime(2021, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2022-01-01T00:00:00+08:00", TimeFormat.RFC3339),
        ("2021-12-31T16:00:00Z", TimeFormat.RFC3339),
        ("2021-12-31T22:00:00.000+06:00", TimeFormat.RFC3339),
        (1640966400, TimeFormat.EPOCH_SECONDS),
        ("1640966400", TimeFormat.EPOCH_SECONDS),
        (1640966400000, TimeFormat.EPOCH_MILLISECONDS),
        ("20220101000000", TimeFormat.COMPACT_BEIJING),
    ],
)
def test_the_first_moment_of_2022_in_beijing_is_read_in_every_format(value: object, form: TimeFormat) -> None:
    assert parse_moment(value, form) == NEW_YEAR


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2022-01-01", TimeFormat.RFC3339),
        ("2022-01-01T00:00:00", TimeFormat.RFC3339),
        ("2022-01-01 00:00:00+08:00", TimeFormat.RFC3339),
        ("2022-02-30T00:00:00Z", TimeFormat.RFC3339),
        ("2022-01-01T00:00:00+99:00", TimeFormat.RFC3339),
        ("0001-01-01T00:00:00+14:00", TimeFormat.RFC3339),
        ("2200-01-01T00:00:00Z", TimeFormat.RFC3339),
        ("1e9", TimeFormat.EPOCH_SECONDS),
        ("+5", TimeFormat.EPOCH_SECONDS),
        ("１６４０９６６４００", TimeFormat.EPOCH_SECONDS),
        (-1, TimeFormat.EPOCH_SECONDS),
        (10**30, TimeFormat.EPOCH_SECONDS),
        (1640966400, TimeFormat.EPOCH_MILLISECONDS),
        ("20220132000000", TimeFormat.COMPACT_BEIJING),
        ("2022010100000", TimeFormat.COMPACT_BEIJING),
        ("20220101240000", TimeFormat.COMPACT_BEIJING),
        ("20220101006000", TimeFormat.COMPACT_BEIJING),
        ("20220101000060", TimeFormat.COMPACT_BEIJING),
        ("00010101000000", TimeFormat.COMPACT_BEIJING),
        ("00000101000000", TimeFormat.COMPACT_BEIJING),
        ("2022010100000０", TimeFormat.COMPACT_BEIJING),
        (True, TimeFormat.EPOCH_SECONDS),
        (1640966400.0, TimeFormat.EPOCH_SECONDS),
        (None, TimeFormat.RFC3339),
    ],
)
def test_what_is_not_exactly_of_the_format_is_refused(value: object, form: TimeFormat) -> None:
    with pytest.raises(ValueError, match=r"^(not a moment.*|out of range)$"):
        parse_moment(value, form)


@given(MOMENTS.map(lambda moment: moment.astimezone(BEIJING)))
def test_the_beijing_date_is_the_calendars_there(moment: datetime) -> None:
    assert beijing_date(moment.astimezone(UTC)) == moment.date()


@given(MOMENTS)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    assert parse_moment(iso(moment), TimeFormat.RFC3339) == moment


def test_an_interval_of_days_holds_both_its_ends() -> None:
    first, last = date(2021, 2, 1), date(2021, 12, 31)
    assert [covers(first, last, day) for day in (date(2021, 1, 31), first, last, date(2022, 1, 1))] == [
        False, True, True, False,
    ]  # fmt: skip
    assert covers(first, None, date(2199, 1, 1))
