from __future__ import annotations

import json
import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, RequestRejected
from verifier.signatures.strict_json import MAX_SAFE_INTEGER, JsonValue, canonical, loads

LIMIT = 1_000_000


def refused(raw: bytes, max_bytes: int = LIMIT) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        loads(raw, max_bytes=max_bytes)
    return caught.value


def test_an_ordinary_document_is_read_as_the_standard_library_reads_it() -> None:
    raw = (
        '{"name":"张三","hours":40.5,"n":-7,"ok":true,"none":null,"list":[1,"\\t\\r\\n\\u5f20",{}]}'.encode()
    )
    assert loads(raw, max_bytes=LIMIT) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":1,"id":2}',
        b'{"id":1,"\\u0069d":2}',
        b'{"id":1,"ID":2}',
        '{"id":1,"ｉd":2}'.encode(),
        '{"\u00e9":1,"e\u0301":2}'.encode(),
        '{"ß":1,"SS":2}'.encode(),
        b'{"a":{"b":[{"c":1,"c":1}]}}',
    ],
)
def test_keys_that_are_equal_or_fold_to_the_same_are_refused(raw: bytes) -> None:
    assert refused(raw).code is Code.JSON_INVALID


@pytest.mark.parametrize(
    "number",
    [
        *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "-0.0", "-0e5", "0.1e-400", "1e-400"),
        *("9007199254740992", "-9007199254740992", "1" + "0" * 400, "1" * 4301, "0." + "1" * 40),
        *("01", "+1", ".5", "1.", "0x1", "1_000", "１"),
    ],
    ids=count(),
)
def test_numbers_that_have_no_single_meaning_are_refused(number: str) -> None:
    assert refused(f"[{number}]".encode()).code is Code.JSON_INVALID


@pytest.mark.parametrize("number", [MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER, 0, 0.0, 0.1, -1.5, 1e300, 5e-324])
def test_numbers_within_range_are_kept(number: float) -> None:
    value = loads(json.dumps([number]).encode(), max_bytes=LIMIT)
    assert value == [number]
    assert isinstance(value, list)
    assert type(value[0]) is type(number)


@pytest.mark.parametrize(
    "raw",
    [
        b'["\\ud800"]',
        b'["\\udc00"]',
        b'{"\\uDBFF":1}',
        b'["\\ude00\\ud83d"]',
        b'["\\u0000"]',
        b'["\\u001b"]',
        b'["\\b"]',
        b'["\\f"]',
        b'["\\\\\\u000B"]',
        b'["\\u007f"]',
        b'["\\u0085"]',
        b'["\\u009F"]',
        b'["\\u0000 \\\\"]',
        b'["a\x00"]',
        b'["a\n"]',
        b'["\x7f"]',
        '["\x9b"]'.encode(),
    ],
    ids=count(),
)
def test_lone_surrogates_and_control_characters_are_refused(raw: bytes) -> None:
    assert refused(raw).code is Code.JSON_INVALID


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'["\\ud83d\\ude00"]', "😀"),
        (b'["\\ud840\\udc00"]', "\U00020000"),
        (b'["\\\\b\\\\u0000\\\\ud800"]', "\\b\\u0000\\ud800"),
        (b'["\\t\\n\\r\\/\\"\\u0009\\u000a\\u000D"]', '\t\n\r/"\t\n\r'),
    ],
)
def test_escapes_that_only_look_dangerous_are_read(raw: bytes, text: str) -> None:
    assert loads(raw, max_bytes=LIMIT) == [text]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        b'["\xff"]',
        b'["\xc0\xaf"]',
        b'["\xed\xa0\x80"]',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32-le"),
        b"{} {}",
        b"{}x",
        b"{}\x00",
        b"[1,]",
        b"[1 // comment\n]",
        b"{'a':1}",
        b'{"a":1',
        b'{"a',
        b"\\",
        b'["\\x41"]',
        b"\x0b[]",
        b"[[[[]]]",
        b"]" * 40 + b"[" * 40,
    ],
    ids=count(),
)
def test_what_is_not_one_utf8_json_document_is_refused(raw: bytes) -> None:
    assert refused(raw).code is Code.JSON_INVALID


def test_the_size_limit_is_exact_and_has_its_own_code() -> None:
    assert loads(b'"abcd"', max_bytes=6) == "abcd"
    assert refused(b'"abcde"', max_bytes=6).code is Code.REQUEST_TOO_LARGE


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_depth_limit_is_exact_for_arrays_and_objects(opening: bytes, closing: bytes) -> None:
    deepest = opening * 16 + b"1" + closing * 16
    loads(deepest, max_bytes=LIMIT)
    wide = b"[" + b",".join([deepest[1:-1] if opening == b"[" else b"[]"] * 40) + b"]"
    loads(wide, max_bytes=LIMIT)
    assert refused(opening + deepest + closing).code is Code.JSON_INVALID


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    text = '[{"' * 40 + "\\"
    assert loads(json.dumps([text, text]).encode(), max_bytes=LIMIT) == [text, text]


def test_strings_cannot_hide_depth() -> None:
    assert refused(b'["\\"",' + b"[" * 30 + b"]" * 30 + b"]").detail.startswith("nested too deep")


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'["' + b"\\" * 500_000,
        b'"' + b'\\"' * 250_000,
        b'"a' * 250_000,
        b"[" + b"[]," * 150_000,
    ],
    ids=count(),
)
def test_half_a_megabyte_of_anything_is_refused_in_linear_time(raw: bytes) -> None:
    before = time.perf_counter()
    refused(raw)
    assert time.perf_counter() - before < 1


def test_an_error_says_where_and_repeats_nothing_of_the_input() -> None:
    error = refused(b'{"id":"999901199001010011" x}')
    assert error.pointer == "offset 27"
    assert "9999" not in str(error)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(alphabet="abcdefg中文", max_size=6), children, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_every_clean_value_survives_both_spellings(value: JsonValue) -> None:
    assert loads(json.dumps(value).encode(), max_bytes=LIMIT, max_depth=64) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode(), max_bytes=LIMIT, max_depth=64) == value


@given(JSON)
def test_the_canonical_form_is_read_back_and_is_its_own_canonical_form(value: JsonValue) -> None:
    form = canonical(value)
    again = loads(form, max_bytes=LIMIT, max_depth=64)
    assert again == value
    assert canonical(again) == form


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud80019eE-+. \n').map(str.encode))
def test_any_bytes_are_read_or_refused_with_the_one_error(raw: bytes) -> None:
    try:
        value = loads(raw, max_bytes=LIMIT)
    except RequestRejected:
        return
    assert value == json.loads(raw)


@given(st.text(alphabet='[]{}"\\a,', max_size=120))
def test_nothing_deeper_than_the_limit_is_ever_accepted(text: str) -> None:
    try:
        value = loads(text.encode(), max_bytes=LIMIT, max_depth=2)
    except RequestRejected:
        return
    assert depth(value) <= 2


def depth(value: JsonValue) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def test_canonical_sorts_by_utf16_units_and_writes_numbers_as_ecmascript_does() -> None:
    # The key order and number forms of RFC 8785, sections 3.2.2.3 and 3.2.3.
    assert canonical({"\ufb33": 1, "\U0001f600": 2, "a": [1e30, 4.50, 2e-3, 1e-27]}) == (
        '{"a":[1e+30,4.5,0.002,1e-27],"\U0001f600":2,"\ufb33":1}'.encode()
    )


@pytest.mark.parametrize("value", [2**53, float("inf"), float("nan"), "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: JsonValue) -> None:
    with pytest.raises(RequestRejected) as caught:
        canonical(value)
    assert caught.value.code is Code.JSON_INVALID
