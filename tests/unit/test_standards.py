"""The table of amounts and payees: what it says of a month, and what it refuses to be."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import ConfigurationError
from verifier.model.standards import Payee
from verifier.model.time import month_text, next_month, parse_month
from verifier.policy.standards import load_standards

MONTH = "online-training-month"


def standard(**changes: object) -> str:
    """A row; a value of None leaves a key out. Amounts here are made up."""
    members = {
        "entitlement": MONTH,
        "from": "2021-01",
        "amount_fen": 51000,
        "currency": "CNY",
        "reference": "测试文号",
        **{name.rstrip("_"): value for name, value in changes.items()},
    }
    lines = [f"{name} = {value!r}" for name, value in members.items() if value is not None]
    return "\n".join(["[[standard]]", *lines, ""]).replace("True", "true")


def payee(**changes: object) -> str:
    members = {"from": "2021-01", "payee": "employer", "reference": "测试文号"}
    members |= {name.rstrip("_"): str(value) for name, value in changes.items()}
    return "\n".join(["[[payee]]", *(f"{name} = {value!r}" for name, value in members.items()), ""])


def table(*rows: str, revision: str = "revision = 1") -> bytes:
    return "\n".join([revision, *rows]).encode()


def test_a_row_that_names_an_office_counts_before_one_for_all() -> None:
    found = load_standards(table(standard(), standard(office="652301", from_="2021-03", amount_fen=60000)))
    amounts = {
        (office, month): row.amount_fen
        for office in ("652301", "652302")
        for month in (2, 3)
        if (row := found.at(MONTH, office, date(2021, month, 1)))
    }
    assert amounts == {("652301", 2): 51000, ("652301", 3): 60000, ("652302", 2): 51000, ("652302", 3): 51000}


def test_months_are_included_at_both_ends_and_nothing_is_said_outside() -> None:
    found = load_standards(table(standard(to="2021-02"), payee(to="2021-02", payee="dispatcher")))
    said = [
        (found.at(MONTH, "1", month) is not None, found.payee("1", month))
        for month in (date(2020, 12, 1), date(2021, 1, 1), date(2021, 2, 1), date(2021, 3, 1))
    ]
    assert said == [
        (False, None),
        (True, Payee.DISPATCHER),
        (True, Payee.DISPATCHER),
        (False, None),
    ]
    assert found.at("skill-upgrade", "1", date(2021, 1, 1)) is None


def test_an_empty_table_says_nothing_of_anything() -> None:
    found = load_standards(table())
    assert (found.standards, found.payees) == ((), ())


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"revision",
        table(revision=""),
        table(revision="revision = 0"),
        table("x = 1"),
        table(standard(amount_fen=0)),
        table(standard(amount_fen=-1)),
        table(standard(amount_fen=510.5)),
        table(standard(amount_fen="51000")),
        table(standard(amount_fen=True)),
        table(standard(amount_fen=100_000_001)),
        table(standard(amount_fen=None)),
        table(standard(currency="USD")),
        table(standard(reference=None)),
        table(standard(reference=" ")),
        table(standard(entitlement="Online")),
        table(standard(office="../x")),
        table(standard(from_="2021-13")),
        table(standard(from_="2021-1")),
        table(standard(from_=None)),
        table(standard(to="2020-12")),
        table(standard(level="3")),
        table(standard(), standard(from_="2021-05")),
        table(standard(from_="2021-05"), standard(to="2021-05")),
        table(payee(payee="bank")),
        table(payee(), payee(from_="2022-01")),
        table(payee(amount="1")),
    ],
)
def test_what_is_not_a_table_as_it_should_be_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_standards(raw)
    assert "51000" not in str(refused.value)


@given(st.dates(date(1900, 1, 1), date(2199, 11, 30)))
def test_months_are_written_and_read_alike_and_follow_each_other(day: date) -> None:
    month = day.replace(day=1)
    assert parse_month(month_text(month)) == month
    following = next_month(month)
    assert following.day == 1
    assert 28 <= (following - month).days <= 31


@pytest.mark.parametrize(
    "text", ["", "2021-00", "2021-13", "2021-3", "20211", "2021-03\n", "２０２１-03", "1899-12"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        parse_month(text)
