from __future__ import annotations

import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import AdapterError, Code
from verifier.model import fields
from verifier.model.fields import IDENTIFIER, MomentField, TextField
from verifier.model.time import TimeFormat, iso

NAME: Final = TextField("name", 4)
OPTIONAL: Final = TextField("name", 4, required=False)
NUMBER: Final = TextField("number", 20, form=IDENTIFIER)
AT: Final = MomentField("at", TimeFormat.COMPACT_BEIJING)


def refused(caught: pytest.ExceptionInfo[AdapterError]) -> tuple[Code, str]:
    return caught.value.code, caught.value.pointer


@pytest.mark.parametrize("source", [{}, {"name": None}, {"name": ""}])
def test_null_and_the_empty_text_count_as_missing(source: dict[str, Any]) -> None:
    with pytest.raises(AdapterError) as caught:
        fields.text(source, NAME, "/data")
    assert refused(caught) == (Code.FIELD_MISSING, "/data/name")
    assert fields.text(source, OPTIONAL, "/data") == ""


def test_a_name_with_slashes_is_one_step_of_its_pointer() -> None:
    with pytest.raises(AdapterError) as caught:
        fields.text({}, TextField("https://x/~a", 4), "/data")
    assert refused(caught) == (Code.FIELD_MISSING, "/data/https:~1~1x~1~0a")
    with pytest.raises(AdapterError) as caught:
        fields.moment({}, MomentField("https://x/~a", TimeFormat.RFC3339), "/data")
    assert refused(caught) == (Code.FIELD_MISSING, "/data/https:~1~1x~1~0a")


@pytest.mark.parametrize("value", [0, 1, True, False, 1.5, [], ["a"], {}, "12345"])
def test_a_text_is_a_text_of_at_most_its_length_and_nothing_is_coerced(value: object) -> None:
    for field in (NAME, OPTIONAL):
        with pytest.raises(AdapterError) as caught:
            fields.text({"name": value}, field, "")
        assert refused(caught) == (Code.FIELD_INVALID, "/name")


@given(st.text(min_size=1, max_size=4))
def test_a_text_is_kept_exactly_as_it_came(value: str) -> None:
    assert fields.text({"name": value}, NAME, "") == value


@pytest.mark.parametrize("value", [" N1", "N1 ", "\u3000N1", "N1\n", "\n", " ", "N\n1", "N\t1"])
def test_an_identifier_has_no_white_space_around_it_nor_breaks_in_it(value: str) -> None:
    with pytest.raises(AdapterError) as caught:
        fields.text({"number": value}, NUMBER, "/items/0")
    assert refused(caught) == (Code.FIELD_INVALID, "/items/0/number")


@pytest.mark.parametrize("value", ["1", "N1", "新职 2021（1）号"])
def test_an_identifier_may_be_anything_else(value: str) -> None:
    assert fields.text({"number": value}, NUMBER, "") == value


def test_the_form_of_an_identifier_is_linear_in_its_length() -> None:
    assert re.fullmatch(IDENTIFIER, "a" + " a" * 50_000 + " ") is None


def test_a_moment_is_read_by_its_one_format() -> None:
    assert iso(fields.moment({"at": "20210421083005"}, AT, "")) == "2021-04-21T00:30:05Z"
    for value, code in (
        (None, Code.FIELD_MISSING),
        ("", Code.FIELD_MISSING),
        ("2021-04-21 08:30:05", Code.FIELD_INVALID),
        ("20210431083005", Code.FIELD_INVALID),
        (["20210421083005"], Code.FIELD_INVALID),
    ):
        with pytest.raises(AdapterError) as caught:
            fields.moment({"at": value}, AT, "/x")
        assert refused(caught) == (code, "/x/at")
        # The library's message holds the value.
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "code"), [(None, Code.FIELD_MISSING), ([], Code.FIELD_INVALID), ("{}", Code.FIELD_INVALID)]
)
def test_an_object_is_an_object(value: object, code: Code) -> None:
    with pytest.raises(AdapterError) as caught:
        fields.members(value, "/data")
    assert refused(caught) == (code, "/data")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Code.FIELD_MISSING),
        ([], Code.FIELD_INVALID),
        ([1, 2, 3], Code.FIELD_INVALID),
        ("ab", Code.FIELD_INVALID),
        ({"a": 1}, Code.FIELD_INVALID),
    ],
)
def test_an_array_has_one_element_to_its_limit(value: object, code: Code) -> None:
    assert fields.elements([1, 2], "/items", limit=2) == [1, 2]
    with pytest.raises(AdapterError) as caught:
        fields.elements(value, "/items", limit=2)
    assert refused(caught) == (code, "/items")


def test_what_the_profile_does_not_know_is_kept_by_its_place() -> None:
    message, item = {"type": "x", "v": 1}, {"name": "n", "w": 2}
    assert fields.unknown(message, {"type"}, item, {"name"}) == {"message": {"v": 1}, "item": {"w": 2}}
    assert fields.unknown(message, {"type", "v"}, item, {"name", "w"}) == {}
    assert fields.unknown({}, (), "no object", ()) == {"item": "no object"}


def test_an_error_about_an_item_becomes_one_about_the_delivery() -> None:
    error = fields.whole(AdapterError(Code.FIELD_MISSING, "a member is missing", pointer="/items"))
    assert (error.code, error.detail, error.pointer) == (
        Code.DELIVERY_UNREADABLE, "a member is missing", "/items"
    )  # fmt: skip


def test_items_of_a_batch_have_names_of_their_own() -> None:
    assert fields.distinct([]) == []
    assert fields.distinct(["a", "b", "a", "", "c", ""]) == ["a#0", "b", "a#2", "#3", "c", "#5"]
