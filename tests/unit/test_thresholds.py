"""The table of thresholds is read strictly: every day has one value of each, every value its reference."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.signal_facts import RAW
from verifier.errors import Code, ConfigurationError
from verifier.model.signals import SignalKind
from verifier.policy import thresholds
from verifier.policy.thresholds import NAMES, load_thresholds
from verifier.signals import TITLES, reason

TEXT = RAW.decode()
FIRST = """[[threshold]]
name = "names"
from = 1900-01-01
value = 3
"""


def test_the_packaged_table_calls_each_of_its_values_a_reading() -> None:
    table = load_thresholds(RAW)
    assert table.digest == sha256(RAW).hexdigest()
    assert (table.revision, set(table.rows)) == (1, set(NAMES))
    assert all(row.reading and row.reference for rows in table.rows.values() for row in rows)
    written = {row["name"]: row["value"] for row in tomllib.loads(TEXT)["threshold"]}
    limits = table.on(date(2021, 3, 1))
    assert {name: getattr(limits, name) for name in NAMES} == written
    assert table.on(date(1800, 1, 1)) == limits


def test_a_value_may_change_from_a_day_on() -> None:
    changed = TEXT.replace(
        FIRST,
        FIRST.replace("1900-01-01\n", "1900-01-01\nto = 2021-06-30\n")
        + 'reference = "一"\nreading = true\n'
        + FIRST.replace("1900-01-01", "2021-07-01").replace("value = 3", "value = 5"),
    )
    table = load_thresholds(changed.encode())
    assert (table.on(date(2021, 6, 30)).names, table.on(date(2021, 7, 1)).names) == (3, 5)


def test_however_many_days_are_asked_about_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "_MOST_DAYS", 3)
    table = load_thresholds(RAW)
    days = [date(2021, 3, day) for day in range(1, 9)]
    found = [table.on(day) for day in days]
    assert found == [load_thresholds(RAW).on(day) for day in days]
    assert len(table._days) <= 3


@pytest.mark.parametrize(
    ("before", "after", "pointer"),
    [
        ("revision = 1", "", "revision"),
        ("revision = 1", "revision = 1\nother = 2", "/"),
        ('name = "names"', 'name = "nobody"', "threshold[7].name"),
        ('name = "names"', 'name = "names"\nnote = "x"', "threshold[7]"),
        (FIRST, FIRST.replace("value = 3", "value = 1"), "threshold[7].value"),
        (FIRST, FIRST.replace("value = 3", "value = true"), "threshold[7].value"),
        (FIRST, FIRST.replace("value = 3", 'value = "3"'), "threshold[7].value"),
        (FIRST, FIRST.replace("value = 3", "value = 9999999"), "threshold[7].value"),
        (FIRST, FIRST.replace("1900-01-01", "1900-01-02"), "threshold"),
        (FIRST, FIRST.replace("1900-01-01\n", "1900-01-01\nto = 2021-06-30\n"), "threshold"),
        (FIRST, FIRST.replace("1900-01-01\n", "1900-01-01\nto = 1899-06-30\n"), "threshold[7].to"),
        (FIRST, FIRST + 'reference = "一"\nreading = true\n' + FIRST, "threshold"),
        ('reference = "“几乎同时”指5分钟之内"\nreading = true', 'reference = "一"', "threshold[5].reading"),
        ('reference = "“几乎同时”指5分钟之内"\nreading = true', "reading = true", "threshold[5].reference"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(before: str, after: str, pointer: str) -> None:
    assert TEXT.count(before) == 1
    with pytest.raises(ConfigurationError) as refused:
        load_thresholds(TEXT.replace(before, after).encode())
    assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, pointer)


def test_a_missing_threshold_leaves_every_day_without_one() -> None:
    cut = TEXT.index('[[threshold]]\nname = "afterwards_days"')
    with pytest.raises(ConfigurationError):
        load_thresholds(TEXT[:cut].encode())


def test_the_operator_s_guide_lists_every_kind_of_signal_with_its_title() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/operator.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", guide, re.MULTILINE))
    assert {kind.value for kind in SignalKind} <= set(rows)
    assert set(TITLES) == set(SignalKind)


def test_every_kind_of_signal_has_words_that_its_details_fill() -> None:
    class Anything(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return name

    for kind in SignalKind:
        assert "{" not in reason(kind, Anything())
