"""Silence: who is expected to send, since when, and from which moment on nothing coming is an alarm."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.keyring import Platform
from verifier.model.delivery import PlatformSlug
from verifier.model.trust import Recognition
from verifier.silence import judge

SLUG = PlatformSlug("new_occupation")
NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
ALWAYS = Recognition(date(2021, 1, 1), None, "名单")


def platform(*recognised: Recognition, hours: int | None = 24) -> Platform:
    return Platform(SLUG, "新职业学习平台", recognised or (ALWAYS,), (), silence_hours=hours)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("ago", "silent"),
    [(timedelta(), False), (hours(24) - timedelta(microseconds=1), False), (hours(24), True)],
)
def test_silence_begins_with_the_last_delivery_and_is_one_at_the_very_hour(
    ago: timedelta, *, silent: bool
) -> None:
    found = judge(platform(), NOW - ago, NOW)
    assert (found.silent, found.seconds, found.last) == (silent, ago.total_seconds(), NOW - ago)
    assert (found.platform, found.recognised) == (SLUG, True)


def test_without_hours_in_the_register_nothing_is_expected() -> None:
    assert not judge(platform(hours=None), NOW - hours(10_000), NOW).silent
    assert not judge(platform(hours=None), None, NOW).silent


def test_a_platform_that_is_no_longer_recognised_is_not_expected() -> None:
    ended = Recognition(date(2021, 1, 1), date(2021, 6, 30), "名单")
    found = judge(platform(ended), NOW - hours(10_000), NOW)
    assert (found.silent, found.recognised) == (False, False)
    # The last day ends at midnight in Beijing.
    assert judge(platform(ended), None, datetime(2021, 6, 30, 15, 59, tzinfo=UTC)).silent
    assert not judge(platform(ended), None, datetime(2021, 6, 30, 16, tzinfo=UTC)).silent


def test_one_that_never_sent_is_silent_from_its_recognition_on() -> None:
    first = Recognition(date(2021, 7, 1), None, "名单")
    midnight = datetime(2021, 6, 30, 16, tzinfo=UTC)
    found = judge(platform(first), None, midnight + hours(24) - timedelta(seconds=1))
    assert (found.silent, found.seconds, found.recognised) == (False, None, True)
    assert judge(platform(first), None, midnight + hours(24)).silent


def test_one_recognised_anew_is_not_late_for_the_time_in_between() -> None:
    earlier = Recognition(date(2020, 1, 1), date(2020, 12, 31), "名单")
    anew = Recognition(date(2021, 7, 1), None, "名单")
    long_ago = datetime(2020, 12, 1, tzinfo=UTC)
    midnight = datetime(2021, 6, 30, 16, tzinfo=UTC)
    assert not judge(platform(earlier, anew), long_ago, midnight + hours(1)).silent
    assert judge(platform(earlier, anew), long_ago, midnight + hours(24)).silent


def test_a_delivery_from_ahead_of_the_clock_is_of_this_moment() -> None:
    found = judge(platform(), NOW + hours(1), NOW)
    assert (found.seconds, found.silent) == (0.0, False)


@given(st.integers(0, 10**6), st.integers(1, 10_000), st.integers(0, 10**6))
def test_once_silent_only_a_delivery_ends_it(ago: int, limit: int, later: int) -> None:
    expected = platform(Recognition(date(2000, 1, 1), None, "名单"), hours=limit)
    last = NOW - timedelta(minutes=ago)
    if judge(expected, last, NOW).silent:
        assert judge(expected, last, NOW + timedelta(minutes=later)).silent
    assert not judge(expected, NOW, NOW).silent
