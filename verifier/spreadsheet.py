"""Reading an XLSX workbook (ECMA-376) strictly: cells as they were typed in, nothing computed. Pure.

A workbook is a ZIP archive of XML that anybody may have made, so it is measured before it is opened:

1. the file, the number of its entries, and what they inflate to are bounded, all of them together;
2. an entry is stored or deflated, neither encrypted nor split, and no two have one name;
3. XML parts hold no document type declaration, and so no entities; they are UTF-8;
4. rows and columns are bounded, whatever the sheet says of its own dimensions;
5. one worksheet holds cells: with several nobody could say which one was meant;
6. formulas are not evaluated, and what a program computed of them earlier is not believed: such a cell is
   ``UNUSABLE``, as is one that holds an error.

It is work for the processor, up to seconds for the largest file: a server keeps it off the event loop.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from itertools import islice
from typing import Any, Final, NoReturn

import openpyxl
from lxml.etree import LxmlError
from openpyxl.utils.exceptions import InvalidFileException

from verifier.errors import Code, RequestRejected


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a workbook may weigh.

    Attributes:
        file_bytes: greatest length of the file.
        entries: greatest number of entries in the archive.
        inflated_bytes: greatest length of all entries together.
        rows: greatest number of rows, the header counted.
        columns: greatest number of columns.
    """

    file_bytes: int = 8 * 1024 * 1024
    entries: int = 200
    inflated_bytes: int = 64 * 1024 * 1024
    rows: int = 20_001
    columns: int = 64


class Special(Enum):
    """A cell that says nothing that may be relied on: a formula, or an error."""

    UNUSABLE = "unusable"


UNUSABLE: Final = Special.UNUSABLE

Cell = str | int | float | bool | datetime | date | time | timedelta | None | Special
"""A ``datetime`` has no offset."""

_CENTRAL: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 0x1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_XML: Final = (".xml", ".rels")
_ENCODING: Final = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
# What the reader raises of files that nobody would write by hand; none of it is a fault of ours.
_BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    InvalidFileException,
    LookupError,
    NotImplementedError,
    LxmlError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read(raw: bytes, bounds: Bounds) -> list[tuple[Cell, ...]]:
    """Read the one worksheet of a workbook.

    Args:
        raw: the file.
        bounds: what it may weigh.

    Returns:
        Its rows from the first on, empty ones included, each as wide as its last cell.

    Raises:
        RequestRejected: REQUEST_TOO_LARGE, or SCHEMA_INVALID with the rule that is broken.
    """
    if len(raw) > bounds.file_bytes or raw.count(_CENTRAL) > 2 * bounds.entries:
        _too_large("the file is over its limit")
    try:
        # The reader warns of what it leaves out (styles, extensions): none of it is a cell.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(raw, bounds)
    except _BROKEN:
        _refuse("not a workbook that can be read")


def _read(raw: bytes, bounds: Bounds) -> list[tuple[Cell, ...]]:
    workbook = openpyxl.load_workbook(
        _checked(raw, bounds), read_only=True, data_only=False, keep_links=False
    )
    try:
        sheets = [_rows(sheet, bounds) for sheet in workbook.worksheets]
    finally:
        workbook.close()
    filled = [rows for rows in sheets if rows]
    if len(filled) != 1:
        _refuse("exactly one worksheet must hold cells")
    return filled[0]


def _checked(raw: bytes, bounds: Bounds) -> io.BytesIO:
    """The workbook's XML parts alone, each of which was looked at: no other can be taken for a sheet."""
    parts = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive, zipfile.ZipFile(parts, "w") as checked:
        for entry in _entries(archive, bounds):
            if entry.filename.lower().endswith(_XML):
                part = archive.read(entry)
                _check_xml(part)
                checked.writestr(entry.filename, part)
    return parts


def _entries(archive: zipfile.ZipFile, bounds: Bounds) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > bounds.entries:
        _too_large("the workbook has too many parts")
    # The archive's reader hands out no more of an entry than its directory says, so that this is the whole.
    if sum(entry.file_size for entry in entries) > bounds.inflated_bytes:
        _too_large("the workbook inflates to more than its limit")
    if len({entry.filename.lower() for entry in entries}) != len(entries):
        _refuse("a part of the workbook stands twice")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            _refuse("a part of the workbook is encrypted or packed in another way than by deflate")
    return entries


def _check_xml(part: bytes) -> None:
    declared = _ENCODING.match(part)
    if b"\x00" in part or (declared is not None and declared[1].lower() != b"utf-8"):
        _refuse("a part of the workbook is not UTF-8")
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part:
        _refuse("a part of the workbook declares a document type")


def _rows(sheet: Any, bounds: Bounds) -> list[tuple[Cell, ...]]:
    # What a sheet says of its dimensions would be believed, and filled up with as many empty cells.
    sheet.reset_dimensions()
    rows: list[tuple[Cell, ...]] = []
    for row in islice(sheet.iter_rows(), bounds.rows + 1):
        if len(row) > bounds.columns:
            _too_large("a row has too many columns")
        rows.append(_trimmed(row))
    if len(rows) > bounds.rows:
        _too_large("the sheet has too many rows")
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _trimmed(row: Iterable[Any]) -> tuple[Cell, ...]:
    cells = [_value(cell) for cell in row]
    while cells and cells[-1] is None:
        cells.pop()
    return tuple(cells)


def _value(cell: Any) -> Cell:
    if cell.data_type in {"f", "e"}:
        return UNUSABLE
    value: Cell = cell.value
    return None if value == "" else value


def _too_large(detail: str) -> NoReturn:
    raise RequestRejected(Code.REQUEST_TOO_LARGE, detail)


def _refuse(detail: str) -> NoReturn:
    raise RequestRejected(Code.SCHEMA_INVALID, detail)
