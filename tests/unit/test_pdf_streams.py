"""Decoding the streams that say where objects lie: what is deflated, predicted and laid out in rows."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import SignatureRejected
from verifier.signatures import pdf_streams
from verifier.signatures.pdf_streams import MAX_INFLATED, Rows, decode
from verifier.signatures.pdf_syntax import Budget, Name, PdfObject


def _decode(data: bytes, parameters: PdfObject) -> bytes:
    return decode(zlib.compress(data), Name("FlateDecode"), parameters, Budget())


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (b"\0\1\2\3\0\4\5\6", b"\1\2\3\4\5\6"),
        (b"\1\1\1\1\1\xff\1\1", b"\1\2\3\xff\0\1"),
        (b"\2\1\2\3\2\1\xff\0", b"\1\2\3\2\1\3"),
        (b"", b""),
    ],
)
def test_the_predictors_none_sub_and_up_are_taken_back(data: bytes, plain: bytes) -> None:
    assert _decode(data, {"Predictor": 12, "Columns": 3}) == plain


@given(st.binary(min_size=1, max_size=60), st.integers(1, 8))
def test_up_is_taken_back_for_whatever_data(data: bytes, columns: int) -> None:
    data = data.ljust(-(-len(data) // columns) * columns, b"\0")
    rows = [data[i : i + columns] for i in range(0, len(data), columns)]
    above = [bytes(columns), *rows]
    coded = b"".join(
        b"\2" + bytes((x - y) & 255 for x, y in zip(r, a, strict=True))
        for r, a in zip(rows, above, strict=False)
    )
    assert _decode(coded, {"Predictor": 15, "Columns": columns}) == data


@pytest.mark.parametrize(
    ("data", "parameters"),
    [
        (b"\3\1\2\3", {"Predictor": 12, "Columns": 3}),
        (b"\2\1\2", {"Predictor": 12, "Columns": 3}),
        (b"\2\1", {"Predictor": 2, "Columns": 1}),
        (b"\2\1", {"Predictor": 16, "Columns": 1}),
        (b"\2\1", {"Predictor": 12, "Columns": 0}),
        (b"\2\1", {"Predictor": 12, "Columns": 10**9}),
        (b"\2\1", {"Predictor": 12, "Columns": 1.0}),
        (b"\2\1", {"Predictor": 12, "Columns": 1, "Colors": 3}),
        (b"\2\1", [12]),
    ],
)
def test_another_predictor_is_refused(data: bytes, parameters: PdfObject) -> None:
    with pytest.raises(SignatureRejected):
        _decode(data, parameters)


def test_a_filter_may_have_parameters_that_do_nothing() -> None:
    assert _decode(b"abc", None) == b"abc"
    assert _decode(b"abc", {}) == b"abc"
    assert _decode(b"abc", {"Predictor": 1}) == b"abc"


@pytest.mark.parametrize(
    "raw", [b"", b"abc", zlib.compress(b"abc")[:-1], zlib.compress(b"0" * (MAX_INFLATED + 1))]
)
def test_broken_or_boundless_data_is_refused(raw: bytes) -> None:
    with pytest.raises(SignatureRejected):
        decode(raw, Name("FlateDecode"), None, Budget())


def test_as_much_as_is_allowed_is_inflated() -> None:
    assert len(_decode(b"0" * MAX_INFLATED, None)) == MAX_INFLATED


@pytest.mark.parametrize(
    "name", [Name("LZWDecode"), b"FlateDecode", [Name("ASCIIHexDecode"), Name("FlateDecode")]]
)
def test_another_filter_is_refused(name: PdfObject) -> None:
    with pytest.raises(SignatureRejected):
        decode(zlib.compress(b"abc"), name, None, Budget())


def test_the_type_of_a_row_is_1_where_it_has_no_width() -> None:
    rows = Rows(b"\x09", [0, 1, 0])
    assert rows.location() == 9
    rows.end()
    assert pdf_streams.MAX_COLUMNS >= 24


@pytest.mark.parametrize("widths", [[0, 0, 0], [1, 0, 1], [1, 1, 9], [1, 1, True], [1, 1], None])
def test_rows_that_could_be_declared_without_bytes_or_without_end_are_refused(widths: PdfObject) -> None:
    with pytest.raises(SignatureRejected):
        Rows(b"\0" * 16, widths).location()
