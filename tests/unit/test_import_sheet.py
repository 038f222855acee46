from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from xml.sax.saxutils import escape

import pytest
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from typing_extensions import override

from verifier import import_file, import_sheet
from verifier.errors import Code, RequestRejected
from verifier.import_file import BadLine, Line
from verifier.import_sheet import Row
from verifier.ports.importing import ImportBody, ImportForm
from verifier.spreadsheet import UNUSABLE

NS: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def saved(workbook: Workbook) -> bytes:
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def workbook(*rows: list[Any]) -> Workbook:
    made = Workbook()
    assert made.active is not None
    for row in rows:
        made.active.append(row)
    return made


def read(raw: bytes) -> list[Row]:
    return list(import_sheet.rows(io.BytesIO(raw), io.BytesIO()))


def archive(parts: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


def sheet(inside: str, shared: str = "", head: str = "") -> bytes:
    """A workbook by hand: no more of it than is read."""
    content = f'{head}<worksheet xmlns="{NS}"><sheetData>{inside}</sheetData></worksheet>'
    parts = {"xl/worksheets/sheet1.xml": content}
    if shared:
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{NS}">{shared}</sst>'
    return archive(parts)


def cell(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def refused(raw: bytes, code: Code = Code.SCHEMA_INVALID) -> None:
    with pytest.raises(RequestRejected) as error:
        read(raw)
    assert error.value.code is code


def test_texts_are_read_row_by_row_with_their_own_numbers() -> None:
    raw = saved(workbook(["甲", None, "乙"], [], ["丙", "a<b&c"]))
    assert read(raw) == [(1, ("甲", None, "乙")), (3, ("丙", "a<b&c"))]


def test_rich_text_is_its_text_and_a_phonetic_reading_is_none() -> None:
    rich = CellRichText("甲", TextBlock(InlineFont(b=True), "乙"))
    assert read(saved(workbook([rich]))) == [(1, ("甲乙",))]
    shared = "<si><t>東京</t><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si>"
    assert read(sheet('<row r="1"><c r="A1" t="s"><v>0</v></c></row>', shared)) == [(1, ("東京",))]


def test_what_is_no_text_is_unusable() -> None:
    [(_, cells)] = read(saved(workbook(["x", 1, date(2021, 1, 1), "=1+1", True])))
    assert cells == ("x", UNUSABLE, UNUSABLE, UNUSABLE, UNUSABLE)
    [(_, cells)] = read(sheet('<row r="1"><c r="A1" t="str"><f>1</f><v>x</v></c></row>'))
    assert cells == (UNUSABLE,)


def test_cells_without_references_stand_one_after_the_other() -> None:
    inside = '<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row>'
    assert read(sheet(inside)) == [(1, ("a", "b"))]


def test_shared_texts_stand_in_the_scratch_file_and_not_in_memory() -> None:
    scratch = io.BytesIO()
    cells = [
        f'<row r="{n}"><c r="A{n}" t="s"><v>{text}</v></c></row>' for n, text in ((1, 0), (2, 1), (3, 0))
    ]
    raw = sheet("".join(cells), f"<si><t>{'甲' * 50}</t></si><si><t>{'乙' * 50}</t></si>")
    rows = list(import_sheet.rows(io.BytesIO(raw), scratch))
    assert [row for _, row in rows] == [("甲" * 50,), ("乙" * 50,), ("甲" * 50,)]
    assert scratch.getvalue().decode() == "甲" * 50 + "乙" * 50


def test_rows_are_read_as_they_are_asked_for() -> None:
    class Counting(io.BytesIO):
        taken = 0

        @override
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            self.taken += len(piece)
            return piece

    inside = "".join(f'<row r="{n}">{cell(f"A{n}", str(n))}</row>' for n in range(1, 20_001))
    raw = archive(
        {"xl/worksheets/sheet1.xml": f'<worksheet xmlns="{NS}"><sheetData>{inside}</sheetData></worksheet>'},
        zipfile.ZIP_STORED,
    )
    file = Counting(raw)
    rows = import_sheet.rows(file, io.BytesIO())
    assert next(rows) == (1, ("1",))
    early = file.taken
    assert early < len(raw) / 2
    assert len(list(rows)) == 19_999
    assert file.taken > early


def test_one_worksheet_holds_cells_and_empty_ones_do_not_matter() -> None:
    made = workbook(["x"])
    made.create_sheet("空")
    assert read(saved(made)) == [(1, ("x",))]
    made.create_sheet("又").append(["y"])
    refused(saved(made))
    refused(saved(Workbook()))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"kind\nx\n",
        b"PK\x05\x06",
        b"x" * 40 + b"PK\x05\x06" + b"\x01" * 8 + b"\x00" * 10,
        sheet("<row r='1'><c r='A1'>"),
        sheet('<row r="1"><c r="1" t="inlineStr"><is><t>x</t></is></c></row>'),
        sheet('<row r="1"><c r="ä1" t="inlineStr"><is><t>x</t></is></c></row>'),
        sheet('<row r="1"><c r="A1" t="s"><v>0</v></c></row>'),
        sheet('<row r="1"><c r="A1" t="s"><v>x</v></c></row>', "<si><t>x</t></si>"),
        sheet('<row r="1"><c r="A1" t="s"><v>-1</v></c></row>', "<si><t>x</t></si>"),
        sheet(f'<row r="2">{cell("A2", "x")}</row><row r="1">{cell("A1", "x")}</row>'),
        sheet(f'<row r="1">{cell("A1", "x")}</row>', head='<!DOCTYPE x [<!ENTITY e "y">]>'),
        sheet(f'<row r="1">{cell("A1", "x")}</row>', head='<?xml version="1.0" encoding="UTF-16"?>'),
        sheet(f'<row r="1" x="{"y" * 3_000_000}">{cell("A1", "x")}</row>'),
        archive({"xl/worksheets/sheet1.xml": b"\xff\xfe\x00"}),
        archive({"xl/worksheets/a.xml": sheet(""), "XL/worksheets/a.xml": b""}),
        archive({"xl/worksheets/sheet1.xml": "x"}, zipfile.ZIP_BZIP2),
    ],
)
def test_what_is_no_workbook_is_refused(raw: bytes) -> None:
    refused(raw)


def test_a_workbook_of_another_vocabulary_holds_no_cells() -> None:
    refused(archive({"xl/worksheets/sheet1.xml": '<worksheet xmlns="urn:x"><c/></worksheet>'}))


@pytest.mark.parametrize(
    "raw",
    [
        sheet(f'<row r="1048577">{cell("A1048577", "x")}</row>'),
        sheet(f'<row r="1">{cell("BM1", "x")}</row>'),
        sheet(f'<row r="1">{cell("A1", "x" * 32_768)}</row>'),
        archive({f"part{n}": "" for n in range(201)}),
    ],
)
def test_what_is_too_much_is_refused(raw: bytes) -> None:
    refused(raw, Code.REQUEST_TOO_LARGE)


def test_what_inflates_to_more_than_the_bound_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = archive({"xl/worksheets/sheet1.xml": b" " * 1_000_000})
    monkeypatch.setattr(import_sheet, "MAX_INFLATED_BYTES", 999_999)
    refused(bomb, Code.REQUEST_TOO_LARGE)
    monkeypatch.setattr(import_sheet, "MAX_DIRECTORY_BYTES", 10)
    refused(bomb, Code.REQUEST_TOO_LARGE)


def test_a_workbook_that_shares_too_many_texts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sheet, "MAX_SHARED", 1)
    raw = sheet(f'<row r="1">{cell("A1", "x")}</row>', "<si><t>a</t></si><si><t>b</t></si>")
    refused(raw, Code.REQUEST_TOO_LARGE)


def test_an_encrypted_part_is_refused() -> None:
    raw = bytearray(sheet(f'<row r="1">{cell("A1", "x")}</row>'))
    at = raw.index(b"PK\x01\x02") + 8
    raw[at] |= 1
    refused(bytes(raw))


def test_rows_are_counted_for_whoever_waits() -> None:
    inside = "".join(f'<row r="{n}">{cell(f"A{n}", "x" * 100)}</row>' for n in range(1, 3001))
    assert import_sheet.count(io.BytesIO(sheet(inside))) == 3000
    assert import_sheet.count(io.BytesIO(b"no workbook")) == 0


FORM: Final = ImportForm(
    lambda item, _: ImportBody("", item), {"kind": "/kind", "no": "/no"}, frozenset({"kind"})
)


def test_the_rows_of_a_sheet_are_items_as_those_of_a_table_are() -> None:
    raw = saved(workbook(["no", "kind"], ["1", "x"], [2, "x"], ["3", "x", "y"]))
    found = list(import_file.sheet(io.BytesIO(raw), FORM, io.BytesIO()))
    assert found == [
        Line(2, b'{"kind":"x","no":"1"}'),
        BadLine(3, Code.FIELD_INVALID, "no"),
        BadLine(4, Code.SCHEMA_INVALID),
    ]


@pytest.mark.parametrize("header", [["kind", 7], ["kind", "colour"], ["no"]])
def test_a_sheet_with_other_columns_is_refused(header: list[Any]) -> None:
    with pytest.raises(RequestRejected) as error:
        list(import_file.sheet(io.BytesIO(saved(workbook(header))), FORM, io.BytesIO()))
    assert error.value.code is Code.SCHEMA_INVALID


def test_a_sheet_with_empty_cells_alone_is_refused() -> None:
    with pytest.raises(RequestRejected) as error:
        list(import_file.sheet(io.BytesIO(sheet('<row r="1"><c r="A1"/></row>')), FORM, io.BytesIO()))
    assert error.value.code is Code.SCHEMA_INVALID
