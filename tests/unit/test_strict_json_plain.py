"""The faster way through strict JSON changes nothing: neither what is read nor what is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, RequestRejected
from verifier.signatures import strict_json

LIMIT = 10_000
NAMES = st.text("abzAZ_0.é\u212a\U0001f600\ue000", max_size=4)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["\x7f", "\x80", "\x9f", "\xa0", "·", "\t\n\r", "\x00", "\\", '"', "/", "\u2028", "{[", "]}"]
    )
)
OBJECTS = st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2), max_size=4)


def outcome(raw: bytes) -> Any:
    try:
        return strict_json.loads(raw, max_bytes=LIMIT)
    except RequestRejected as error:
        return error.code


def slowly(raw: bytes) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_plain_object", lambda _raw: None)
        return outcome(raw)


def same(raw: bytes) -> bool:
    fast, slow = outcome(raw), slowly(raw)
    # True is 1, and 1.0 is: the types count too.
    return repr(fast) == repr(slow)


@given(OBJECTS, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_an_object_is_read_alike_both_ways(
    value: Mapping[str, Any],
    ascii_only: bool,  # noqa: FBT001 - drawn
    separators: tuple[str, str],
) -> None:
    assert same(json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "replace"))


NESTED = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, NESTED, max_size=3), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_objects_in_objects_are_read_alike_both_ways(
    value: Mapping[str, Any], separators: tuple[str, str]
) -> None:
    assert same(json.dumps(value, ensure_ascii=False, separators=separators).encode("utf-8", "replace"))


@given(OBJECTS, st.data())
def test_a_spoilt_document_is_read_alike_both_ways(value: Mapping[str, Any], data: st.DataObject) -> None:
    raw = bytearray(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
        raw = raw or bytearray(b"{}")
    assert same(bytes(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"1",
        b'"a"',
        b'{"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":1,"A":1}',
        b'{"A":1}',
        b'{"k":1,"\xe2\x84\xaa":1}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":9007199254740991}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":' + b"9" * 33 + b"}",
        b'{"a":' + b"9" * 4000 + b"}",
        b'{"a":"' + b"x" * 5000 + b'"}',
        b'{"a":NaN}',
        b'{"a":"\x01"}',
        b'{"a":"\x7f"}',
        b'{"a":"\xc2\x80"}',
        b'{"a":"\xc2\x9f"}',
        b'{"a":"\xc2\xa0"}',
        b'{"a":"\xc2\xb7"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\\n"}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1}\n',
        b' {"a":1}',
        b'{"a":1}x',
        b'{"a":1,}',
        b'{"a" :1}',
        b'{"a":true,"b":null,"c":false}',
        b'{"a":{}}',
        b'{"a":[]}',
        b'{"a":{"b":1,"B":2}}',
        b'{"a":{"bC":1,"b":2}}',
        b'{"a":[{"b":1,"b":1}]}',
        b'{"a":[{"b":1.0}]}',
        b'{"a":{"\xe2\x84\xaa":1,"k":1}}',
        b'{"a":[9007199254740992]}',
        b'{"a":"[[[[[[[[[[[[[[[[[[[["}',
    ],
)  # fmt: skip
def test_every_border_is_the_same_both_ways(raw: bytes) -> None:
    assert same(raw)


def test_the_faster_way_is_taken_at_all() -> None:
    for text in ('{"iss":"甲","n":1,"t":true,"o":null}', '{"aB":[{"c":[]}],"d":{"e":"甲"}}'):
        assert strict_json._plain_object(text.encode()) == json.loads(text)


@given(
    st.recursive(
        VALUES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(NAMES, inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_the_canonical_form_is_that_of_the_reference(value: Any) -> None:
    try:
        expected: bytes | None = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        expected = None
    try:
        found: bytes | None = strict_json.canonical(value)
    except RequestRejected:
        found = None
    assert found == expected


def test_every_character_is_written_as_the_reference_writes_it() -> None:
    for start in range(0, 0x110000, 0x100):
        text = "".join(map(chr, range(start, start + 0x100))) if not 0xD800 <= start < 0xE000 else ""
        assert strict_json.canonical({"a": text}) == rfc8785.dumps({"a": text})


class Word(StrEnum):
    GRANTED = "granted"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [Word.GRANTED, Text("a"), {"a": [Word.GRANTED]}, {"b": Text("·")}])
def test_a_subclass_of_text_is_written_as_the_text(value: Any) -> None:
    assert strict_json.canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [{"a": "\ud800"}, {"a": 2**53}, {"a": float("nan")}, {1: "a"}, {"\ud800": 1}]
)
def test_what_has_no_canonical_form_is_refused_as_before(value: Any) -> None:
    with pytest.raises(RequestRejected):
        strict_json.canonical(value)


COMPOSED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("abzAZ_0.", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(COMPOSED)
def test_what_was_composed_here_is_written_alike_without_being_looked_through(value: Any) -> None:
    def written(how: Callable[[Any], bytes]) -> bytes | Code:
        try:
            return how(value)
        except RequestRejected as error:
            return error.code

    assert written(strict_json.plain) == written(strict_json.canonical)


def test_a_lone_surrogate_has_no_canonical_form_either_way() -> None:
    for how in (strict_json.plain, strict_json.canonical):
        with pytest.raises(RequestRejected) as refused:
            how({"a": "\ud800"})
        assert refused.value.code is Code.JSON_INVALID
