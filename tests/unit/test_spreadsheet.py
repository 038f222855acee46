"""Workbooks: cells as typed, nothing computed, and nothing that a hostile archive can make it do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.formula import ArrayFormula

from verifier.errors import Code, RequestRejected
from verifier.spreadsheet import UNUSABLE, Bounds, read

SHEET = "xl/worksheets/sheet1.xml"


def workbook(*rows: tuple[Any, ...], further: Callable[[openpyxl.Workbook], object] | None = None) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    if further is not None:
        further(made)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def repacked(raw: bytes, **changes: Callable[[bytes], bytes] | bytes) -> bytes:
    """The workbook with parts changed or added, by the end of their names."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(raw)) as before,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for entry in before.infolist():
            content = before.read(entry)
            change = changes.pop(entry.filename.rpartition("/")[2].partition(".")[0], None)
            if callable(change):
                content = change(content)
            after.writestr(entry.filename, content)
        for name, added in changes.items():
            assert isinstance(added, bytes)
            after.writestr(f"xl/{name}.xml", added)
    return file.getvalue()


def refusal(raw: bytes, bounds: Bounds | None = None) -> tuple[Code, str]:
    with pytest.raises(RequestRejected) as refused:
        read(raw, bounds or Bounds())
    return refused.value.code, refused.value.detail


DAY = datetime(2021, 3, 5)  # noqa: DTZ001 - a cell has no offset
GOOD = workbook(("证书编号", "姓名"), ("N-1", "阿依古丽·买买提"), ("N-2", None, "x"))


def test_cells_come_as_they_were_typed_each_row_as_wide_as_its_last_cell() -> None:
    rows = [("a", 1, 2.5, True, DAY), (), (None, "b", "", None)]
    assert read(workbook(*rows), Bounds()) == [rows[0], (), (None, "b")]
    assert read(GOOD, Bounds())[2] == ("N-2", None, "x")
    padded = repacked(GOOD, sheet1=lambda part: part.replace(b"</sheetData>", b'<row r="9"/></sheetData>'))
    assert read(padded, Bounds()) == read(GOOD, Bounds())


def test_formulas_and_errors_are_unusable_whatever_was_computed_of_them() -> None:
    def further(made: openpyxl.Workbook) -> None:
        sheet = made.worksheets[0]
        sheet["A2"] = "=1+1"
        sheet["B2"] = ArrayFormula("B2:B2", "=SUM(A1:A2)")
        sheet["C2"] = "#N/A"
        sheet["D2"] = '=HYPERLINK("http://example.invalid")'

    assert read(workbook(("h",), further=further), Bounds())[1] == (UNUSABLE,) * 4


def test_cells_must_stand_in_exactly_one_worksheet() -> None:
    def empty(made: openpyxl.Workbook) -> None:
        made.create_sheet("Sheet2")

    def second(made: openpyxl.Workbook) -> None:
        made.create_sheet("Sheet2")["C9"] = "x"

    assert read(workbook(("h",), further=empty), Bounds()) == [("h",)]
    assert refusal(workbook(("h",), further=second)) == (
        Code.SCHEMA_INVALID,
        "exactly one worksheet must hold cells",
    )
    assert refusal(workbook())[1] == "exactly one worksheet must hold cells"


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"not a workbook", GOOD[:-30], GOOD[:1000]])
def test_what_is_no_workbook_is_refused(raw: bytes) -> None:
    assert refusal(raw) == (Code.SCHEMA_INVALID, "not a workbook that can be read")


def test_an_archive_that_is_no_workbook_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "x")
    assert refusal(file.getvalue()) == (Code.SCHEMA_INVALID, "not a workbook that can be read")


def test_the_file_its_parts_and_what_they_inflate_to_are_bounded() -> None:
    bomb = repacked(GOOD, bomb=b"\x20" * 1_000_000)
    assert len(bomb) < 20_000
    assert refusal(bomb, Bounds(inflated_bytes=500_000)) == (
        Code.REQUEST_TOO_LARGE,
        "the workbook inflates to more than its limit",
    )
    assert refusal(GOOD, Bounds(file_bytes=1000)) == (Code.REQUEST_TOO_LARGE, "the file is over its limit")
    crowded = repacked(GOOD, **{f"part{n}": b"" for n in range(20)})
    assert refusal(crowded, Bounds(entries=20)) == (
        Code.REQUEST_TOO_LARGE,
        "the workbook has too many parts",
    )
    # A directory of very many entries is not even read.
    assert refusal(b"PK\x01\x02" * 401)[1] == "the file is over its limit"


def test_an_entry_that_lies_about_its_length_is_not_inflated_beyond_it() -> None:
    raw = repacked(GOOD, bomb=b"\x20" * 1_000_000)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        entry = archive.getinfo("xl/bomb.xml")
    lying = raw.replace(entry.file_size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert refusal(lying, Bounds(inflated_bytes=500_000))[0] is Code.SCHEMA_INVALID


def test_rows_and_columns_are_bounded_whatever_the_sheet_says_of_itself() -> None:
    assert refusal(workbook(*[("x",)] * 4), Bounds(rows=3))[1] == "the sheet has too many rows"
    assert len(read(workbook(*[("x",)] * 3), Bounds(rows=3))) == 3
    assert refusal(workbook(("x",) * 5), Bounds(columns=4))[1] == "a row has too many columns"
    vast = repacked(GOOD, sheet1=lambda part: part.replace(b'ref="A1:C3"', b'ref="A1:XFD1048576"'))
    assert read(vast, Bounds()) == read(GOOD, Bounds())
    far = repacked(GOOD, sheet1=lambda part: part.replace(b'<row r="3">', b'<row r="999999999">'))
    assert refusal(far)[1] == "the sheet has too many rows"
    wide = repacked(GOOD, sheet1=lambda part: part.replace(b'r="C3"', b'r="XFD3"'))
    assert refusal(wide)[1] == "a row has too many columns"


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("part", ["sheet1", "workbook", "core", "styles"])
def test_no_part_declares_a_document_type(part: str) -> None:
    raw = repacked(GOOD, **{part: lambda content: ENTITIES + content.partition(b"?>")[2]})
    assert refusal(raw) == (Code.SCHEMA_INVALID, "a part of the workbook declares a document type")


def test_a_part_that_is_not_looked_at_is_no_sheet() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as before, zipfile.ZipFile(file, "w") as after:
        for entry in before.infolist():
            content = before.read(entry).replace(b"sheet1.xml", b"sheet1.bin")
            hidden = entry.filename == SHEET
            after.writestr(
                entry.filename.replace("sheet1.xml", "sheet1.bin"), ENTITIES + content if hidden else content
            )
    assert refusal(file.getvalue())[0] is Code.SCHEMA_INVALID


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.decode().encode("utf-16"),
        lambda content: b'<?xml version="1.0" encoding="cp037"?>' + content,
        lambda content: b"\xef\xbb\xbf<?xml version='1.0' encoding = 'UTF-7'?>" + content,
    ],
)
def test_every_part_is_utf_8(change: Callable[[bytes], bytes]) -> None:
    assert refusal(repacked(GOOD, workbook=change)) == (
        Code.SCHEMA_INVALID,
        "a part of the workbook is not UTF-8",
    )


def test_entries_are_deflated_once_and_not_encrypted() -> None:
    def packed(method: int) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("[Content_Types].xml", "<x/>")
        return file.getvalue()

    told = "a part of the workbook is encrypted or packed in another way than by deflate"
    assert refusal(packed(zipfile.ZIP_LZMA)) == (Code.SCHEMA_INVALID, told)
    assert refusal(packed(zipfile.ZIP_BZIP2)) == (Code.SCHEMA_INVALID, told)
    encrypted = bytearray(packed(zipfile.ZIP_STORED))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(bytes(encrypted)) == (Code.SCHEMA_INVALID, told)
    doubled = io.BytesIO(GOOD)
    with zipfile.ZipFile(doubled, "a") as archive:
        archive.writestr(SHEET.upper(), "<x/>")
    assert refusal(doubled.getvalue())[1] == "a part of the workbook stands twice"


@given(st.data())
def test_a_spoilt_workbook_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(RequestRejected):
        read(bytes(raw), Bounds())


_SHEET_XML = st.text(alphabet=st.sampled_from('<>/="&; 1Aaertvcsxdfin'), max_size=80)


@given(_SHEET_XML)
def test_a_sheet_of_nonsense_is_read_or_refused_and_nothing_else(nonsense: str) -> None:
    def change(part: bytes) -> bytes:
        return part.replace(b"<sheetData>", b"<sheetData>" + nonsense.encode())

    with suppress(RequestRejected):
        read(repacked(GOOD, sheet1=change), Bounds())
