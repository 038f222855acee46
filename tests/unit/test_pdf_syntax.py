"""The objects of a PDF: read as another program writes them, and not one whit beyond the written form."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic as typed_generic

from verifier.errors import SignatureRejected
from verifier.signatures.pdf_syntax import MAX_DEPTH, Budget, Name, Parser, PdfObject, Reference, is_count

generic: Any = typed_generic  # typed in part only


def read(data: bytes) -> PdfObject:
    parser = Parser(data, 0, Budget())
    value = parser.value()
    assert parser.skip() == len(data)
    return value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"true", True),
        (b"false", False),
        (b"null", None),
        (b"0", 0),
        (b"-17", -17),
        (b"+17", 17),
        (b"3.25", 3.25),
        (b"-.5", -0.5),
        (b"4.", 4.0),
        (b"12 0 R", Reference(12)),
        (b"12\r\n0\tR", Reference(12)),
        (b"[12 0 1]", [12, 0, 1]),
        (b"/Name", Name("Name")),
        (b"/", Name("")),
        (b"/A#42c#20d", Name("ABc d")),
        (b"/\xe9", Name("\u00e9")),
        (b"(text)", b"text"),
        (b"()", b""),
        (b"(a(b)c)", b"a(b)c"),
        (rb"(\n\r\t\b\f\(\)\\)", b"\n\r\t\b\f()\\"),
        (rb"(\101\60\0)", b"A0\0"),
        (b"(a\\\r\nb\\\nc\\\rd)", b"abcd"),
        (b"(a\r\nb\rc\nd)", b"a\nb\nc\nd"),
        (b"<>", b""),
        (b"<41 4\n2>", b"AB"),
        (b"<4>", b"@"),
        (b"[/A/B(c)<44>]", [Name("A"), Name("B"), b"c", b"D"]),
        (b"<</A 1/B<</C[]>>>>", {"A": 1, "B": {"C": []}}),
        (b"<</#41 1>>", {"A": 1}),
        (b" % comment\r1 % another\n", 1),
    ],
)
def test_an_object_is_read(data: bytes, value: PdfObject) -> None:
    found = read(data)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%only a comment",
        b"nil",
        b"truex",
        b"True",
        b"--1",
        b"1e5",
        b"12345678901",
        b"1.2.3",
        b"0x10",
        b"[12 1 R]",
        b"[12 0 Rx]",
        b"/A#",
        b"/A#4",
        b"/A#4G",
        b"/A#00",
        b"/" + b"A" * 128,
        b"(text",
        b"(text\\",
        b"(a(b)",
        rb"(\8)",
        rb"(\x)",
        rb"(\777)",
        b"<4G>",
        b"<41",
        b"[1",
        b"[1>>",
        b"]",
        b">>",
        b"<<",
        b"<</A>>",
        b"<</A 1",
        b"<<1 2>>",
        b"<</A 1/A 1>>",
        b"<</A 1/#41 2>>",
        b"<</A]>>",
        b"{1}",
        b"\xff",
        b"[" * MAX_DEPTH + b"[]" + b"]" * MAX_DEPTH,
        b"<</A" * MAX_DEPTH + b"[]" + b">>" * MAX_DEPTH,
    ],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureRejected):
        read(data)


def test_the_deepest_nesting_is_read() -> None:
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read(data) is not None


def test_an_empty_budget_refuses() -> None:
    budget = Budget(3)
    budget.spend(3)
    with pytest.raises(SignatureRejected):
        budget.spend(1)


def test_bytes_that_are_looked_through_cost_their_share() -> None:
    parser = Parser(b" " * 64_000 + b"1", 0, Budget(1000))
    with pytest.raises(SignatureRejected):
        parser.value()


@pytest.mark.parametrize(
    ("value", "counts"), [(0, True), (7, True), (-1, False), (True, False), (1.0, False), (None, False)]
)
def test_a_count_is_a_whole_number_of_at_least_0(value: PdfObject, *, counts: bool) -> None:
    assert is_count(value) is counts


_NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _NAMES.map(Name) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


def _foreign(value: PdfObject) -> Any:  # noqa: PLR0911 - a table
    if value is None:
        return generic.NullObject()
    if isinstance(value, bool):
        return generic.BooleanObject(value)
    if isinstance(value, int):
        return generic.NumberObject(value)
    if isinstance(value, Name):
        return generic.NameObject(f"/{value}")
    if isinstance(value, bytes):
        return generic.ByteStringObject(value)
    if isinstance(value, list):
        return generic.ArrayObject(map(_foreign, value))
    assert isinstance(value, dict)
    return generic.DictionaryObject({f"/{key}": _foreign(one) for key, one in value.items()})


@given(_VALUES)
def test_what_another_program_writes_is_read_as_it_was_meant(value: PdfObject) -> None:
    buffer = io.BytesIO()
    _foreign(value).write_to_stream(buffer, None)
    buffer.write(b"\n")
    assert read(buffer.getvalue()) == value


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_a_literal_string_that_another_program_writes_is_read_as_it_was_meant(text: str) -> None:
    buffer = io.BytesIO()
    written = generic.pdf_string(text)
    written.write_to_stream(buffer, None)
    buffer.write(b"\n")
    found = read(buffer.getvalue())
    assert isinstance(found, bytes)
    back = io.BytesIO(buffer.getvalue())
    again = generic.read_object(back, generic.TrailerReference(None))
    assert found == again.original_bytes


@given(st.binary(max_size=200) | st.text("[]<>()/%#\\ R01\n", max_size=60).map(str.encode))
def test_whatever_the_bytes_only_a_rejection_is_raised(data: bytes) -> None:
    try:
        value = Parser(data, 0, Budget()).value()
    except SignatureRejected:
        return
    assert value is None or isinstance(value, bool | int | float | str | bytes | list | dict | tuple)
