"""Permits, foreigners' cards and passports: rules 11 to 16; and what a wrong label must never do."""

from __future__ import annotations

from datetime import date
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from id_validator import helper
from stdnum.cn import ric

from tests.unit.test_identity import BODIES, DAYS, SEQUENCES, TODAY, with_check
from verifier import identity, learner
from verifier.errors import Code, IdentityRejected
from verifier.identity import blind_index, masked, resident_id
from verifier.model.person import ClaimedKind, Identifier, IdentifierKind, IdentityClaims, Trait, TraitKind

PEPPER: Final = bytes(range(32))
UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"

# The prefixes are everybody's, so the birth date keeps these from being a living person's.
LONG_AGO = st.dates(date(1900, 1, 1), date(1900, 12, 31)).map(lambda day: day.strftime("%Y%m%d"))
PERMITS = st.builds(
    "{}{}{}".format, st.sampled_from(["810000", "820000", "830000"]), LONG_AGO, SEQUENCES
).map(with_check)
NEW_CARDS = st.builds("9{}{}{}".format, st.text(DIGITS, min_size=5, max_size=5), DAYS, SEQUENCES).map(
    with_check
)
OLD_CARDS = st.builds(
    "{}{}".format, st.text(UPPER, min_size=3, max_size=3), st.text(DIGITS, min_size=12, max_size=12)
)
COUNTRIES = st.text(UPPER, min_size=3, max_size=3)
PASSPORTS = st.text(UPPER + DIGITS, min_size=5, max_size=15).filter(
    lambda text: any(c in DIGITS for c in text)
)


def wide(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def read(kind: str, number: str, country: str = "") -> Identifier:
    return learner.identify(IdentityClaims(kind, number, "张三", country), TODAY).identifier


def refused(kind: str, number: str, country: str = "") -> IdentityRejected:
    with pytest.raises(IdentityRejected) as caught:
        read(kind, number, country)
    assert caught.value.code is Code.IDENTIFIER_INVALID
    assert not number or number not in str(caught.value)
    return caught.value


@given(PERMITS | NEW_CARDS | BODIES.map(with_check))
def test_a_number_of_18_digits_is_one_person_whatever_its_document_is_called(number: str) -> None:
    """A label that cannot be right is refused; no label makes another identifier of the number."""
    plain = Identifier(IdentifierKind.RESIDENT_ID, number)
    for kind in (ClaimedKind.RESIDENT_ID, ClaimedKind.HMT_PERMIT, ClaimedKind.FOREIGN_CARD):
        try:
            assert read(kind, number) == plain
        except IdentityRejected:
            assert kind is not ClaimedKind.RESIDENT_ID


@given(PERMITS)
def test_a_permit_is_read_under_its_own_name_and_under_the_residents(number: str) -> None:
    assert read("hmt_permit", number) == read("resident_id", number) == read("hmt_permit", wide(number))


@given(NEW_CARDS)
def test_a_card_of_2023_is_read_under_its_own_name_and_under_the_residents(number: str) -> None:
    assert read("foreign_card", number) == read("resident_id", number) == read("foreign_card", wide(number))


@pytest.mark.parametrize("number", [with_check("99990119900307002"), "999901900307002"])
def test_what_is_called_a_permit_must_have_a_permits_prefix(number: str) -> None:
    assert "rule 11" in refused("hmt_permit", number).detail


def test_a_permit_never_had_fifteen_digits() -> None:
    assert read("resident_id", "810000900307002").value.startswith("810000")
    refused("hmt_permit", "810000900307002")


def test_what_is_called_a_foreigners_card_must_have_one_of_its_two_forms() -> None:
    assert "rule 11" in refused("foreign_card", with_check("81000019000307002")).detail
    assert "rule 12" in refused("foreign_card", "999901900307002").detail
    for raw in (
        "KAZ65230119000",
        "KAZ6523011900010",
        "KA1652301190001",
        "KAZ65230119000X",
        " KAZ65230119000",
    ):
        refused("foreign_card", raw)


@given(OLD_CARDS)
def test_a_card_of_2021_is_its_letters_and_digits_in_any_width_and_case(number: str) -> None:
    expected = Identifier(IdentifierKind.FOREIGN_CARD, number)
    for form in (number, number.lower(), wide(number), wide(number.lower())):
        assert read("foreign_card", form) == expected
    assert masked(expected) == number[:3] + "*" * 10 + number[-2:]


@given(COUNTRIES, PASSPORTS)
def test_a_passport_is_its_country_and_number_in_any_width_and_case(country: str, number: str) -> None:
    expected = Identifier(IdentifierKind.PASSPORT, f"{country}/{number}")
    for form in (str.lower, wide, str.upper):
        assert read("passport", form(number), form(country)) == expected
    assert masked(expected) == f"{country}/" + "*" * (len(number) - 2) + number[-2:]


@given(COUNTRIES, COUNTRIES, PASSPORTS)
def test_the_same_number_of_two_countries_is_two_people(a: str, b: str, number: str) -> None:
    assume(a != b)
    first, second = (read("passport", number, country) for country in (a, b))
    assert first != second
    assert blind_index(first, PEPPER) != blind_index(second, PEPPER)


@pytest.mark.parametrize("country", ["", "KZ", "KAZA", "哈萨克斯坦", "K1Z", " KAZ"])
def test_a_country_that_is_not_three_letters_is_pointed_at(country: str) -> None:
    assert refused("passport", "N1234567", country).pointer == "id_country"


@pytest.mark.parametrize(
    "number", ["", "N123", "N" * 9, "N1234567 ", "N-1234567", "N1234567890123456", "护照123456"]
)
def test_a_passports_number_has_letters_and_digits_and_nothing_is_stripped(number: str) -> None:
    assert "rule 13" in refused("passport", number, "KAZ").detail


@pytest.mark.parametrize("kind", ["phone", "platform_account", "birth_date", "军官证", ""])
def test_what_names_nobody_for_certain_is_never_taken_for_an_identifier(kind: str) -> None:
    assert refused(kind, "13800000000").pointer == "id_kind"


@given(
    st.sampled_from(ClaimedKind), st.text(max_size=20) | PERMITS | OLD_CARDS | PASSPORTS, st.text(max_size=4)
)
def test_any_claims_are_read_or_refused_and_never_repaired(kind: ClaimedKind, raw: str, country: str) -> None:
    try:
        found = read(kind, raw, country)
    except IdentityRejected:
        return
    given_country, _, number = found.value.rpartition("/")
    assert read(kind, number, given_country) == found


def test_three_letters_and_twelve_digits_are_a_foreigners_card() -> None:
    assert identity.any_document("KAZ310190010101", today=TODAY) == read("foreign_card", "KAZ310190010101")


@given(PERMITS | NEW_CARDS | OLD_CARDS | BODIES.map(with_check))
def test_a_list_that_names_no_kind_is_read_by_the_form_of_the_number(number: str) -> None:
    kind = "resident_id" if len(number) == 18 else "foreign_card"
    assert identity.any_document(number, today=TODAY) == read(kind, number)
    assert identity.any_document(wide(number), today=TODAY) == read(kind, number)
    assert identity.any_document("kaz/n1234567", today=TODAY) == read("passport", "N1234567", "KAZ")
    for raw in ("", "/", "KAZ/", "N1234567", "999901900307003X"):
        with pytest.raises(IdentityRejected):
            identity.any_document(raw, today=TODAY)


@given(PERMITS | NEW_CARDS)
def test_other_implementations_agree_on_the_check_of_permits_and_cards(number: str) -> None:
    """Of both only the check digit is asked: their lists of divisions know neither 830000 nor 9."""
    assert ric.calc_check_digit(number) == number[-1]
    assert helper.generator_check_bit(number[:17]) == number[-1]


@given(PERMITS | NEW_CARDS | BODIES.map(with_check))
def test_a_birth_date_is_what_digits_7_to_14_say(number: str) -> None:
    born = identity.birth_date(resident_id(number, today=TODAY))
    assert born is not None
    assert born.strftime("%Y%m%d").rjust(8, "0") == number[6:14]
    assert identity.birth_date(Identifier(IdentifierKind.PASSPORT, "KAZ/N1234567")) is None


def test_a_provisional_key_shows_nothing_and_parts_whatever_is_said_otherwise() -> None:
    keys = [
        identity.provisional("i", "s", "n", "phone", "1", "张三"),
        identity.provisional("i", "s", "n", "phone", "1", "李四"),
        identity.provisional("i", "s", "n", "phone", "2", "张三"),
        identity.provisional("i", "s", "m", "phone", "1", "张三"),
    ]
    assert len({blind_index(key, PEPPER) for key in keys}) == 4
    assert {*masked(keys[0])} == {"*"}


def test_an_index_parts_what_is_weak_from_what_is_strong() -> None:
    strong = Identifier(IdentifierKind.PASSPORT, "N1234567")
    weak = Trait(TraitKind.PASSPORT_NUMBER, "N1234567")
    assert blind_index(strong, PEPPER) != blind_index(weak, PEPPER)
