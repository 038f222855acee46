"""A platform's manifest as a file: CSV, XLSX or NDJSON, read strictly into cells. Pure.

The columns and their rules stand in ``verifier.manifest_rows``.

1. A header names each column, in Chinese or in English, in any order; an unknown, doubled or missing one
   refuses the file, because what is not understood would silently not be compared.
2. CSV is comma-separated, in the charset that is said: UTF-8, with or without byte order mark, or GB18030.
3. XLSX is read by the rules of ``verifier.spreadsheet``. A number in a column of texts may have lost digits,
   and is refused; a day may be a cell of that type.
4. NDJSON has one strict JSON object a line (``strict_json``), with the English names and texts; a revision
   may be an integer.
5. Rows are counted from 1, the header not counted; empty rows are passed over, but counted.
6. What is wrong with single rows is said row by row; then nothing of the file counts.

``pack`` and ``unpack`` carry cells to the process that holds the database.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from itertools import islice
from typing import Final, NoReturn, TypeVar

import msgspec

from verifier import spreadsheet
from verifier.errors import Code, RequestRejected
from verifier.manifest_rows import CHINESE, NOT_A_ROW, UNUSABLE, problem
from verifier.ports.pull import Cells, Column
from verifier.roster_rows import CELLS, RowProblem
from verifier.signatures import strict_json
from verifier.spreadsheet import Cell

MAX_ROWS: Final = 20_000
MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_LINE_BYTES: Final = 8192
_HEADERS: Final[Mapping[str, Column]] = {column.value: column for column in Column} | {
    title: column for column, title in CHINESE.items()
}
_ORDER: Final = tuple(Column)


class Charset(StrEnum):
    """What a CSV file may be written in."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as read.

    Attributes:
        problems: of rows that could not be read; while there is one, the others do not count.
    """

    rows: tuple[Cells, ...] = field(repr=False)
    problems: tuple[RowProblem, ...] = ()


_Row = Cells | RowProblem | None
R = TypeVar("R")


def read_csv(raw: bytes, charset: Charset = Charset.UTF_8) -> Manifest:
    """Read a CSV file.

    Args:
        raw: up to 8 MiB and 20,000 rows.
        charset: what it is said to be written in; nothing else is tried.

    Raises:
        RequestRejected: REQUEST_TOO_LARGE, CHARSET_REFUSED or SCHEMA_INVALID.
    """
    reader = csv.reader(io.StringIO(_decoded(raw, charset), newline=""), strict=True)
    try:
        records = list(islice(reader, MAX_ROWS + 2))
    except csv.Error:
        _refuse("not CSV", f"line {reader.line_num}")
    columns = _header(records[0] if records else [])

    def row(number: int, cells: Sequence[str]) -> _Row:
        if not any(cells):
            return None
        if len(cells) != len(columns):
            return problem(number, None, CELLS)
        return Cells(number, dict(zip(columns, cells, strict=True)))

    return _manifest(records[1:], row)


def _decoded(raw: bytes, charset: Charset) -> str:
    _measure(raw)
    try:
        text = raw.decode(charset.value)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RequestRejected(
            Code.CHARSET_REFUSED, "not in the declared charset", pointer=f"line {line}"
        ) from None
    return text.removeprefix("\ufeff")


def read_xlsx(raw: bytes) -> Manifest:
    """Read an XLSX workbook; arguments and errors as for ``read_csv``."""
    bounds = spreadsheet.Bounds(MAX_BYTES, rows=MAX_ROWS + 1)
    header, *records = spreadsheet.read(raw, bounds)
    columns = _header([name if isinstance(name, str) else "" for name in header])

    def row(number: int, cells: Sequence[Cell]) -> _Row:
        if not cells:
            return None
        if len(cells) > len(columns):
            return problem(number, None, CELLS)
        texts: dict[Column, str] = {}
        for column, cell in zip(columns, cells, strict=False):
            text = _text(column, cell)
            if text is None:
                return problem(number, column, UNUSABLE)
            texts[column] = text
        return Cells(number, texts)

    return _manifest(records, row)


def _text(column: Column, cell: Cell) -> str | None:
    """A cell as the text that its column takes; None if it is of no type that fits."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if column is Column.COMPLETED_AT and isinstance(cell, datetime):
        # A day is mostly a midnight there; a time of day would have no offset.
        return cell.date().isoformat() if cell.time() == time() else None
    if column is Column.COMPLETED_AT and isinstance(cell, date):
        return cell.isoformat()
    if column is Column.REVISION and isinstance(cell, int | float) and not isinstance(cell, bool):
        return str(int(cell)) if cell % 1 == 0 else None  # infinity leaves no zero
    return None


def read_ndjson(raw: bytes) -> Manifest:
    """Read lines of JSON; arguments and errors as for ``read_csv``."""
    _measure(raw)
    return _manifest(raw.removesuffix(b"\n").split(b"\n"), _object)


def _object(number: int, line: bytes) -> _Row:
    if not line.strip():
        return None
    try:
        value = strict_json.loads(line, max_bytes=_MAX_LINE_BYTES, max_depth=1)
    except RequestRejected:
        return problem(number, None, NOT_A_ROW)
    if not isinstance(value, dict) or not value.keys() <= set(Column):
        return problem(number, None, NOT_A_ROW)
    texts: dict[Column, str] = {}
    for name, member in value.items():
        column = Column(name)
        if column is Column.REVISION and isinstance(member, int) and not isinstance(member, bool):
            texts[column] = str(member)
        elif isinstance(member, str):
            texts[column] = member
        elif member is not None:
            return problem(number, column, NOT_A_ROW)
    return Cells(number, texts)


FORMATS: Final[Mapping[str, Callable[[bytes], Manifest]]] = {
    ".csv": read_csv,
    ".xlsx": read_xlsx,
    ".ndjson": read_ndjson,
}
"""How each kind of file is read, by the end of its name."""


def _measure(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the file is over its limit")


def _header(names: Sequence[str]) -> list[Column]:
    columns: list[Column] = []
    for place, name in enumerate(names, 1):
        column = _HEADERS.get(name)
        if column is None or column in columns:
            _refuse("a column is unknown or stands twice", f"column {place}")
        columns.append(column)
    if Column.NUMBER not in columns:
        _refuse("the column of certificate numbers is missing", "column 1")
    return columns


def _manifest(records: Sequence[R], read: Callable[[int, R], _Row]) -> Manifest:
    if len(records) > MAX_ROWS:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the manifest has too many rows")
    found = [row for number, record in enumerate(records, 1) if (row := read(number, record)) is not None]
    problems = tuple(row for row in found if isinstance(row, RowProblem))
    rows = tuple(row for row in found if isinstance(row, Cells))
    if not found:
        _refuse("nothing is listed", "")
    return Manifest(rows, problems)


def _refuse(detail: str, pointer: str) -> NoReturn:
    raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer=pointer)


def pack(rows: Iterable[Cells]) -> str:
    """Cells as one text."""
    lines = (
        msgspec.json.encode((cells.row, *(cells.texts.get(column, "") for column in _ORDER)))
        for cells in rows
    )
    # Base64: nothing in it has to be escaped again on its way.
    return base64.b64encode(b"\n".join(lines)).decode("ascii")


def unpack(text: str) -> list[Cells]:
    """Cells from the text of ``pack``.

    Raises:
        RequestRejected: SCHEMA_INVALID or REQUEST_TOO_LARGE.
    """
    try:
        lines = base64.b64decode(text, validate=True).splitlines()
        if len(lines) > MAX_ROWS:
            raise RequestRejected(Code.REQUEST_TOO_LARGE, "the manifest has too many rows")
        # Line by line, so that others have their turn.
        return [_unpacked(line) for line in lines]
    except (binascii.Error, msgspec.MsgspecError):
        _refuse("not the rows of a manifest", "rows")


def _unpacked(line: bytes) -> Cells:
    number, *texts = msgspec.json.decode(line, type=tuple[int, str, str, str, str, str, str, str])
    return Cells(number, dict(zip(_ORDER, texts, strict=True)))
