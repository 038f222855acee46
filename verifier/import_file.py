"""A platform's back-log as a file: NDJSON, CSV or XLSX, read item by item in constant memory. Pure.

1. NDJSON has one JSON value a line: an item as the platform's callback carries it, or one callback body. What
   it means is for the adapter; here a line is bytes, no longer than a body may be.
2. CSV is comma-separated, in UTF-8 or the charset that is said; its first record names the columns that the
   platform has, in any order. A record becomes the item that has its cells where the columns say.
3. XLSX is read by the rules of ``verifier.import_sheet``, and then as CSV is.
4. An unknown, doubled or missing column refuses the file. What is wrong with a single line is said of that
   line, and the next one is read.
5. A byte order mark of UTF-8 may stand in front. A file in UTF-16, or with a zero byte in its beginning, is
   refused as a whole: no line of it is one.

Lines are numbered as an editor numbers them, rows as a spreadsheet does; a record of CSV bears the line on
which it begins. Nothing is ever held but one line; of one that is too long, only its beginning.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any, Final, NoReturn

import msgspec

from verifier import import_sheet
from verifier.errors import Code, RequestRejected
from verifier.ports.importing import ImportForm
from verifier.spreadsheet import Special

MARK: Final = b"\xef\xbb\xbf"
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_PIECE: Final = 65_536
CHARSETS: Final = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True)
class Line:
    """One item as it stands in the file.

    Attributes:
        number: of its line or row, from 1.
        item: an item or a body, in JSON as far as anybody knows.
        whole: whether its line came to an end.
    """

    number: int
    item: bytes = field(repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no item.

    Attributes:
        pointer: the column, where it is one.
        last: the last line that belongs to it.
    """

    number: int
    code: Code
    pointer: str = ""
    last: int = 0


Lines = Iterator[Line | BadLine]


def refuse_binary(beginning: bytes) -> None:
    """Refuse a text file that is none.

    Raises:
        RequestRejected: CHARSET_REFUSED.
    """
    if beginning.startswith(_WIDE_MARKS) or b"\x00" in beginning:
        raise RequestRejected(Code.CHARSET_REFUSED, "not a text in UTF-8", pointer="file")


def ndjson(file: IO[bytes], longest: int) -> Lines:
    """Lines of JSON; blank ones are passed over.

    Args:
        file: from its beginning.
        longest: greatest number of bytes of a line.
    """
    for number, raw, whole in _lines(file, longest):
        if raw is None:
            yield BadLine(number, Code.REQUEST_TOO_LARGE)
        elif item := raw.strip(b" \t\r"):
            yield Line(number, item, whole)


def _lines(file: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | None, bool]]:
    """Each line without its end; None where it is too long. And whether it has an end."""
    number = 0
    while raw := file.readline(longest + 2):
        number += 1
        if number == 1:
            raw = raw.removeprefix(MARK)
        whole = raw.endswith(b"\n")
        line = raw.removesuffix(b"\n")
        if len(line) <= longest + (1 if line.endswith(b"\r") else 0):
            yield number, line, whole
            continue
        while not whole and (rest := file.readline(_PIECE)):
            whole = rest.endswith(b"\n")
        yield number, None, whole


def table(file: IO[bytes], form: ImportForm, longest: int, charset: str) -> Lines:
    """The records of a CSV file; arguments as for ``ndjson``.

    Raises:
        RequestRejected: SCHEMA_INVALID, the header's columns are not the platform's; CHARSET_REFUSED, the
            header is not in the charset; REQUEST_TOO_LARGE, a record goes on for too long.
    """
    source = _Decoded(_lines(file, longest), charset, longest)
    reader = csv.reader(source, strict=True)
    columns: list[str] | None = None
    while True:
        first = source.begin()
        try:
            cells = next(reader, None)
        except csv.Error:
            if columns is None:
                _refuse_header()
            yield BadLine(first, Code.SCHEMA_INVALID, last=source.number)
            continue
        if cells is None:
            break
        if columns is None:
            if source.broken:
                detail = "the header is not in the charset"
                raise RequestRejected(Code.CHARSET_REFUSED, detail, pointer="line 1")
            columns = _header(cells, form)
        elif source.broken:
            yield source.broken
        elif any(cells):
            yield _record(source.begun, cells, columns, form)
    if columns is None:
        _refuse_header()


class _Decoded:
    """The lines of a table as texts, for the reader of records; what is wrong with them is noted.

    Attributes:
        number: the last line that was read.
        begun: the first line of the record that is being read.
        broken: why that record is none.
    """

    def __init__(self, lines: Iterator[tuple[int, bytes | None, bool]], charset: str, longest: int) -> None:
        self._lines, self._charset, self._longest = lines, charset, longest
        self._room = longest
        self.number = self.begun = 0
        self.broken: BadLine | None = None

    def begin(self) -> int:
        """Another record begins; the line at which it does."""
        self._room, self.broken = self._longest, None
        self.begun = self.number + 1
        return self.begun

    def __iter__(self) -> Iterator[str]:
        for number, raw, _ in self._lines:
            self.number = number
            line = b"" if raw is None else raw
            if raw is None:
                self.broken = BadLine(self.begun, Code.REQUEST_TOO_LARGE)
            self._room -= len(line)
            if self._room < 0:
                # A quotation mark that is never closed: where the next record begins, nobody can say.
                detail = "a record goes on for too long: is a quotation mark missing?"
                raise RequestRejected(Code.REQUEST_TOO_LARGE, detail, pointer=f"line {self.begun}")
            try:
                text = line.decode(self._charset)
            except UnicodeDecodeError:
                self.broken = BadLine(self.begun, Code.CHARSET_REFUSED)
                text = line.decode("latin-1")
            if "\x00" in text:
                self.broken = BadLine(self.begun, Code.CHARSET_REFUSED)
            yield text + "\n"


def sheet(file: IO[bytes], form: ImportForm, scratch: IO[bytes]) -> Lines:
    """The rows of a workbook; errors as for ``table``, and those of ``import_sheet.rows``.

    Args:
        file: the workbook.
        form: the platform's.
        scratch: as there.
    """
    found = import_sheet.rows(file, scratch)
    header = next(found, None)
    if header is None:
        _refuse_header()
    columns = _header([cell if isinstance(cell, str) else "" for cell in header[1]], form)
    for number, cells in found:
        yield _record(number, cells, columns, form)


def _header(names: Sequence[str], form: ImportForm) -> list[str]:
    for place, name in enumerate(names, 1):
        if name not in form.columns or name in names[: place - 1]:
            detail = "a column is not one of the platform's, or stands twice"
            raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer=f"column {place}")
    for name in sorted(form.required.difference(names)):
        raise RequestRejected(Code.SCHEMA_INVALID, "a column is missing", pointer=f"column {name}")
    return list(names)


def _refuse_header() -> NoReturn:
    detail = "the header that names the columns is missing"
    raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer="line 1")


def _record(
    number: int, cells: Sequence[str | Special | None], columns: Sequence[str], form: ImportForm
) -> Line | BadLine:
    if len(cells) > len(columns):
        return BadLine(number, Code.SCHEMA_INVALID)
    item: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        if not cell:
            continue
        if not isinstance(cell, str):
            return BadLine(number, Code.FIELD_INVALID, column)
        _put(item, form.columns[column], cell)
    return Line(number, _encoder.encode(item))


_encoder: Final = msgspec.json.Encoder(order="deterministic")
"""In one order whatever the columns' is, so that the same record is known again."""


def _put(item: dict[str, Any], pointer: str, cell: str) -> None:
    *above, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    for name in above:
        item = item.setdefault(name, {})
    item[last] = cell


def after(lines: Lines, position: int) -> Lines:
    """Those behind a position."""
    return (line for line in lines if line.number > position)


def chunks(lines: Iterable[Line | BadLine], most: int, weight: int) -> Iterator[list[Line | BadLine]]:
    """Lines in groups, in order: at most so many, and no more bytes than the weight but for a single one."""
    group: list[Line | BadLine] = []
    room = weight
    for line in lines:
        size = len(line.item) if isinstance(line, Line) else 0
        if group and (len(group) == most or size > room):
            yield group
            group, room = [], weight
        group.append(line)
        room -= size
    if group:
        yield group


def opened(
    kind: str,
    file: IO[bytes],
    form: ImportForm,
    *,
    longest: int,
    charset: str,
    scratch: Callable[[], IO[bytes]],
) -> Lines:
    """The lines of a file.

    Args:
        kind: how its name ends: ``.ndjson``, ``.csv`` or ``.xlsx``.
        file: from its beginning; it can be sought in.
        form: the platform's.
        longest: greatest number of bytes of an item.
        charset: of a CSV file.
        scratch: makes an empty file, for a workbook.

    Raises:
        RequestRejected: as ``table`` and ``sheet``, also in the midst; IMPORT_REFUSED, another kind of file,
            or one that cannot be a table of this platform's items.
    """
    if kind not in KINDS or (kind != ".ndjson" and not form.columns):
        known = kind in KINDS
        detail = "this platform's items come as .ndjson alone" if known else "not .ndjson, .csv or .xlsx"
        raise RequestRejected(Code.IMPORT_REFUSED, detail, pointer="file")
    if kind == ".xlsx":
        return sheet(file, form, scratch())
    beginning = file.read(4096)
    file.seek(0)
    refuse_binary(beginning)
    lines = ndjson(file, longest) if kind == ".ndjson" else table(file, form, longest, charset)
    # The header is judged before anything begins.
    first = next(lines, None)
    return iter(()) if first is None else chain([first], lines)


KINDS: Final[Mapping[str, str]] = {".ndjson": "NDJSON", ".csv": "CSV", ".xlsx": "XLSX"}
