from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, IdentityRejected
from verifier.identity import compare_names, masked_name, person_name
from verifier.model.person import NameRelation, PersonName

SAME, VARIANT, DIFFERENT = NameRelation

SEPARATORS: Final = "\u00b7\u2219\u2022\u30fb\uff65\u25cf\u22c5\u2027\uff0e."
SPACES: Final = "\u0020\u00a0\u2002\u2003\u3000"
UNKNOWN: Final = "\u2580"
PRIVATE: Final = "\ue863"

LETTERS = st.sampled_from("王张阿迪力买提古丽\u3007\u4dae\U00020bb7Abé")
PIECES = LETTERS | st.sampled_from(SEPARATORS + SPACES + UNKNOWN + PRIVATE + "\uff21\uff5a")
RAW_NAMES = st.text(PIECES, min_size=1, max_size=12).filter(lambda raw: bool(raw.strip(SEPARATORS + SPACES)))
COMPONENTS = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=4)


def relation(a: str, b: str) -> NameRelation:
    return compare_names(person_name(a), person_name(b))


# Folding


@given(RAW_NAMES)
def test_the_raw_name_is_kept_and_folding_twice_changes_nothing(raw: str) -> None:
    name = person_name(raw)
    again = person_name(name.folded)
    assert name.raw == raw
    assert (again.folded, again.components) == (name.folded, name.components)


@given(RAW_NAMES)
def test_components_are_the_folded_name_and_none_is_empty(raw: str) -> None:
    name = person_name(raw)
    assert "\u00b7".join(name.components) == name.folded
    assert all(name.components)


@pytest.mark.parametrize("space_after", ["", " ", "\u3000", "\u00a0 "])
@pytest.mark.parametrize("space_before", ["", " ", "\u3000"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_each_known_separator_becomes_the_official_one(
    separator: str, space_before: str, space_after: str
) -> None:
    name = person_name("阿依古丽" + space_before + separator + space_after + "买买提")
    assert name.folded == "阿依古丽\u00b7买买提"
    assert name.components == ("阿依古丽", "买买提")


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("张三", "张三"),
        ("张 三", "张三"),
        ("张\u3000三", "张三"),
        (" 张 三 丰 ", "张三丰"),
        ("欧阳  娜", "欧阳娜"),
        ("王 " + UNKNOWN, "王" + UNKNOWN),
        ("王 " + PRIVATE, "王" + PRIVATE),
        ("\u3007 \U00020bb7", "\u3007\U00020bb7"),
        ("\uff2d\uff41\uff52\uff59\u3000\uff2c\uff45\uff45", "Mary Lee"),
        ("Mary   Lee", "Mary Lee"),
        ("张 Lee", "张 Lee"),
        ("O\uff07Neil\uff0dLee", "O'Neil-Lee"),
        ("艾力\u00b7\u00b7买买提", "艾力\u00b7买买提"),
        ("艾力\u00b7 . 买买提", "艾力\u00b7买买提"),
        ("\u00b7艾力 .", "艾力"),
    ],
)
def test_spaces_and_width_are_folded_by_rule(raw: str, folded: str) -> None:
    assert person_name(raw).folded == folded


def test_every_full_width_form_becomes_ascii_but_the_full_stop_separates() -> None:
    for code in range(0x21, 0x7F):
        expected = "\u00b7" if chr(code) == "." else chr(code)
        assert person_name("a" + chr(code + 0xFEE0) + "b").folded == "a" + expected + "b"


def test_a_private_use_character_is_kept_and_flagged() -> None:
    for character in (PRIVATE, "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd"):
        name = person_name("王" + character)
        assert name.folded == "王" + character
        assert name.has_private_use
    assert not person_name("王\u4dae").has_private_use
    assert not person_name("王" + UNKNOWN).has_private_use


# Refusals


def assert_refused(raw: str, rule: str) -> None:
    with pytest.raises(IdentityRejected, match=rule) as caught:
        person_name(raw)
    assert caught.value.code is Code.NAME_INVALID


REFUSED: Final = (
    [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]]
    + list("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u034f\u061c\u180e\u202a\u202e\u2066\u2069")
    + list("\u2028\u2029\u115f\u1160\u3164\uffa0\u2800\ufe00\ufe0f\U000e0001\U000e0100\U000e01ef")
    + list("\ud800\udbff\udc00\udfff\ufffd\ufffe\uffff\ufdd0\U0001fffe\U0010ffff")
)


@pytest.mark.parametrize("character", REFUSED, ids=lambda character: f"U+{ord(character):04X}")
def test_a_character_that_cannot_be_seen_or_is_no_text_is_refused(character: str) -> None:
    for raw in (character + "张三", "张" + character + "三", "张三" + character):
        assert_refused(raw, "rule N2")


@pytest.mark.parametrize("raw", ["", "张" * 101])
def test_a_name_has_one_to_a_hundred_characters(raw: str) -> None:
    assert_refused(raw, "rule N1")
    assert person_name("张" * 100).folded == "张" * 100
    assert person_name("丁").folded == "丁"


@pytest.mark.parametrize("raw", [" ", "\u3000", "\u00b7", " . ", "\uff0e\u2022"])
def test_a_name_without_a_letter_is_refused(raw: str) -> None:
    assert_refused(raw, "rule N5")


@given(st.text(max_size=110))
def test_any_text_is_either_a_name_or_refused(raw: str) -> None:
    try:
        name = person_name(raw)
    except IdentityRejected:
        return
    assert name.folded
    assert compare_names(name, person_name(name.folded)) is SAME


# Comparing


@given(RAW_NAMES, RAW_NAMES)
def test_comparing_is_symmetric(a: str, b: str) -> None:
    assert relation(a, b) is relation(b, a)


@given(RAW_NAMES)
def test_a_name_is_the_same_as_itself(raw: str) -> None:
    assert relation(raw, raw) is SAME


@given(COMPONENTS, st.integers(1, 4), st.sampled_from(SEPARATORS), st.sampled_from(SEPARATORS))
def test_fewer_components_with_any_separators_are_a_variant(
    components: list[str], count: int, one: str, other: str
) -> None:
    expected = SAME if count >= len(components) else VARIANT
    assert relation(one.join(components), other.join(components[:count])) is expected


@given(COMPONENTS.filter(lambda components: len(components) > 1))
def test_missing_separators_are_a_variant(components: list[str]) -> None:
    assert relation("\u00b7".join(components), "".join(components)) is VARIANT


@given(st.text(LETTERS, min_size=2, max_size=8), st.data(), st.sampled_from([UNKNOWN, PRIVATE]))
def test_one_unknown_character_is_a_variant(name: str, data: st.DataObject, unknown: str) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    assert relation(name, name[:place] + unknown + name[place + 1 :]) is VARIANT


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("张三", "张 三", SAME),
        ("\uff2c\uff45\uff45", "Lee", SAME),
        ("艾力\u2022买买提", "艾力\u00b7买买提", SAME),
        ("艾力 买买提", "艾力\u00b7买买提", VARIANT),
        ("艾力 买买提", "艾力\u00b7买买提\u00b7吐尔逊", VARIANT),
        ("Ali Khan", "AliKhan", VARIANT),
        ("艾力", "艾力\u00b7买买提\u00b7吐尔逊", VARIANT),
        ("艾▀", "艾力\u00b7买买提", VARIANT),
        ("王▀", "王" + PRIVATE, VARIANT),
        ("王\ue863", "王\ue864", VARIANT),
        ("▀五三", "王▀三", VARIANT),
        ("王▀", "王", DIFFERENT),
        ("王▀", "王一二", DIFFERENT),
        ("王▀", "李一", DIFFERENT),
        ("▀▀", "王一", DIFFERENT),
        ("▀", "艾\u00b7买买提", DIFFERENT),
        ("张", "张三", DIFFERENT),
        ("买买提", "艾力\u00b7买买提", DIFFERENT),
        ("艾力\u00b7吐尔逊", "艾力\u00b7买买提\u00b7吐尔逊", DIFFERENT),
        ("艾力\u00b7买", "艾力\u00b7买买提", DIFFERENT),
        ("张三", "李四", DIFFERENT),
        ("张三", "三张", DIFFERENT),
        ("Lee", "LEE", DIFFERENT),
    ],
)
def test_names_relate_as_the_rules_say(a: str, b: str, expected: NameRelation) -> None:
    assert relation(a, b) is expected


# Display


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("丁", "*"),
        ("张三", "张*"),
        ("张 三 丰", "张**"),
        ("阿依古丽.买买提", "阿***\u00b7***"),
        ("\U00020bb7田", "\U00020bb7*"),
        ("Mary Lee", "M*** ***"),
    ],
)
def test_publicity_shows_the_first_letter_only(raw: str, shown: str) -> None:
    assert masked_name(person_name(raw)) == shown


@given(RAW_NAMES)
def test_no_name_shows_in_a_repr(raw: str) -> None:
    assert repr(person_name(raw)) == "PersonName()"
    assert str(PersonName(raw, raw, (raw,))) == "PersonName()"
