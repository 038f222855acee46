from __future__ import annotations

from datetime import date

import pytest

from verifier.errors import Code, ConfigurationError
from verifier.policy.offices import Office, load_offices
from verifier.settings import Settings

ROW = """
[[office]]
code = "652301"
name = "昌吉市"
from = 2021-01-01
to = 2021-06-30
reference = "测试"
reading = false
"""
LATER = ROW.replace("2021-01-01", "2021-07-01").replace("2021-06-30", "2021-12-31")


def load(text: str) -> tuple[Office, ...]:
    return load_offices(text.encode()).rows


def test_the_packaged_table_lists_counties_and_zones_as_our_reading() -> None:
    table = load_offices(Settings().offices.read_bytes())
    assert {"652301", "652302", "652323", "652324", "652325", "652327", "652328"} <= {
        row.code for row in table.rows
    }
    assert {"准东经济技术开发区", "昌吉高新技术产业开发区", "昌吉国家农业科技园区"} <= {
        row.name for row in table.rows
    }
    assert all(row.reading and row.reference for row in table.rows)
    assert len(table.digest) == 64


def test_a_code_counts_on_its_days_both_included() -> None:
    table = load_offices(f"revision = 1\n{LATER}{ROW}".encode())
    days = [date(2020, 12, 31), date(2021, 1, 1), date(2021, 6, 30), date(2021, 7, 1), date(2022, 1, 1)]
    assert [bool(table.at("652301", day)) for day in days] == [False, True, True, True, False]
    assert table.at("652302", days[1]) is None


def test_a_row_may_have_no_end() -> None:
    [row] = load("revision = 1\n" + ROW.replace("to = 2021-06-30\n", ""))
    assert row == Office("652301", "昌吉市", date(2021, 1, 1), None, "测试", reading=False)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("revision = 1", "office"),
        (ROW, "revision"),
        ("revision = 0" + ROW, "revision"),
        ("revision = 1\nname = 'x'" + ROW, "/"),
        ("revision = 1" + ROW + "more = 1", "office[0]"),
        ("revision = 1" + ROW.replace("652301", "昌吉"), "office[0].code"),
        ("revision = 1" + ROW.replace('name = "昌吉市"', ""), "office[0].name"),
        ("revision = 1" + ROW.replace("2021-06-30", "2020-06-30"), "office[0].to"),
        ("revision = 1" + ROW.replace("false", '"no"'), "office[0].reading"),
        ("revision = 1" + ROW + ROW, "office"),
        ("revision = 1" + ROW + LATER.replace("2021-07-01", "2021-06-30"), "office"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(text: str, pointer: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(text)
    assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, pointer)


def test_two_codes_may_stand_on_one_day() -> None:
    assert len(load("revision = 1" + ROW + ROW.replace("652301", "652302"))) == 2
