"""Reading a workbook's rows one by one, in constant memory, whatever the workbook weighs. Pure.

``verifier.spreadsheet`` reads what a person uploads, whole. A back-log may have as many rows as a sheet can
hold, and texts of a thousand characters in each, so here nothing is ever held but one row:

1. the archive's directory, its entries and what they inflate to are bounded, and measured before anything is
   read;
2. parts are UTF-8 XML without a document type, read as a stream by expat, which then knows no entities but
   the five of XML itself;
3. texts that the sheet shares stand in a scratch file, of which memory holds only where each begins;
4. rows, columns and the length of a cell are bounded (as Excel bounds them);
5. one worksheet holds cells;
6. a cell is a text. A number may have lost digits, and a formula is not evaluated: such a cell is
   ``UNUSABLE``.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final, NoReturn
from xml.parsers import expat

from verifier.errors import Code, RequestRejected
from verifier.spreadsheet import UNUSABLE, Special

Row = tuple[int, tuple["str | Special | None", ...]]
"""A row's own number, from 1, and its cells."""

MAX_ENTRIES: Final = 200
MAX_DIRECTORY_BYTES: Final = 1024 * 1024
MAX_INFLATED_BYTES: Final = 4 * 1024**3
MAX_SHARED: Final = 20_000_000
"""Texts that a workbook may share: memory holds eight bytes for each."""
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 64
MAX_CELL: Final = 32_767
_PIECE: Final = 65_536
_LONGEST_TAG: Final = 1024 * 1024
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_LONGEST_COMMENT: Final = 65_535
_ENCRYPTED: Final = 0x1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_SHARED: Final = "xl/sharedstrings.xml"
_SHEETS: Final = "xl/worksheets/"
_SPACE: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main "
_STRICT_SPACE: Final = "http://purl.oclc.org/ooxml/spreadsheetml/main "
_LETTERS: Final = 26
_BROKEN: Final = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
    ValueError,
    expat.ExpatError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the libraries raise of files that nobody would write by hand."""


def rows(file: IO[bytes], scratch: IO[bytes]) -> Iterator[Row]:
    """The rows of the one worksheet that holds cells; empty ones are passed over.

    Args:
        file: the workbook; it can be sought in.
        scratch: an empty file for the texts that cells share.

    Raises:
        RequestRejected: REQUEST_TOO_LARGE, or SCHEMA_INVALID with the rule that is broken; also in the midst.
    """
    try:
        yield from _rows(file, scratch)
    except _BROKEN:
        _refuse("not a workbook that can be read")


def count(file: IO[bytes]) -> int:
    """About how many rows a workbook has, for whoever shows how far its reading has come; 0 if unknown."""
    try:
        _measure_directory(file)
        with zipfile.ZipFile(file) as archive:
            sheets = [entry for name, entry in _entries(archive).items() if name.startswith(_SHEETS)]
            return sum(_count(archive, entry) for entry in sheets)
    except (RequestRejected, *_BROKEN):
        return 0


def _count(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    found, before = 0, b""
    with archive.open(entry) as part:
        while piece := part.read(_PIECE):
            found += (before + piece).count(b"<row ")
            before = piece[-4:]
    return found


def _rows(file: IO[bytes], scratch: IO[bytes]) -> Iterator[Row]:
    _measure_directory(file)
    with zipfile.ZipFile(file) as archive:
        entries = _entries(archive)
        shared = _Shared(scratch)
        if _SHARED in entries:
            shared.read(archive, entries[_SHARED])
        sheets = [
            entry
            for name, entry in sorted(entries.items())
            if name.startswith(_SHEETS) and name.endswith(".xml") and _has_cells(archive, entry)
        ]
        if len(sheets) != 1:
            _refuse("exactly one worksheet must hold cells")
        yield from _Sheet(shared).read(archive, sheets[0])


def _measure_directory(file: IO[bytes]) -> None:
    """Refuse an archive whose directory would have to be held: the library reads all of it at once."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT))
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        _refuse("not an archive")
    (directory_bytes,) = struct.unpack_from("<I", tail, end + 12)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        _too_large("the workbook has too many parts")


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        _too_large("the workbook has too many parts")
    # The reader hands out no more of an entry than the directory says.
    if sum(entry.file_size for entry in entries) > MAX_INFLATED_BYTES:
        _too_large("the workbook inflates to more than its limit")
    found = {entry.filename.lower(): entry for entry in entries}
    if len(found) != len(entries):
        _refuse("a part of the workbook stands twice")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            _refuse("a part of the workbook is encrypted or packed in another way than by deflate")
    return found


def _has_cells(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    found: list[bool] = []

    def start(name: str, _: dict[str, str]) -> None:
        if _local(name) == "c":
            found.append(True)

    return any(found for _ in _parsed(archive, entry, start))


def _parsed(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Read a part piece by piece; after each one the caller takes what the handlers found."""
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _doctype
    parser.XmlDeclHandler = _declared
    fed = 0
    with archive.open(entry) as part:
        while piece := part.read(_PIECE):
            parser.Parse(piece, False)  # noqa: FBT003 - its one form
            fed += len(piece)
            if fed - max(0, parser.CurrentByteIndex) > _LONGEST_TAG:
                # The parser holds a tag until it ends.
                _refuse("a tag of the workbook is too long")
            yield
    parser.Parse(b"", True)  # noqa: FBT003 - as above
    yield


def _doctype(*_: Any) -> NoReturn:
    _refuse("a part of the workbook declares a document type")


def _declared(_version: str, encoding: str | None, _alone: int) -> None:
    if encoding is not None and encoding.lower() != "utf-8":
        _refuse("a part of the workbook is not UTF-8")


def _local(name: str) -> str:
    """An element's name where it is of the sheet's own vocabulary, else nothing."""
    for space in (_SPACE, _STRICT_SPACE):
        if name.startswith(space):
            return name[len(space) :]
    return ""


@dataclass(slots=True)
class _Text:
    """Text that is being read, no longer than a cell can be; phonetic readings are no part of it."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    open: bool = False
    beside: bool = False

    def start(self, local: str) -> None:
        self.beside = self.beside or local == "rPh"
        self.open = local in {"t", "v"} and not self.beside

    def end(self, local: str) -> None:
        self.open = False
        self.beside = self.beside and local != "rPh"

    def add(self, piece: str) -> None:
        if self.open:
            self.length += len(piece)
            if self.length > MAX_CELL:
                _too_large("a cell holds more than a cell can hold")
            self.pieces.append(piece)

    def take(self) -> str:
        whole = "".join(self.pieces)
        self.pieces.clear()
        self.length = 0
        return whole


class _Shared:
    """The texts that cells share: in a file, and where each begins."""

    def __init__(self, scratch: IO[bytes]) -> None:
        self._scratch = scratch
        self._starts = array("Q")
        self._end = 0

    def read(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        text = _Text()

        def end(name: str) -> None:
            local = _local(name)
            text.end(local)
            if local == "si":
                self._keep(text.take())

        for _ in _parsed(archive, entry, lambda name, _: text.start(_local(name)), end, text.add):
            pass
        self._scratch.flush()

    def _keep(self, whole: str) -> None:
        if len(self._starts) == MAX_SHARED:
            _too_large("the workbook shares too many texts")
        encoded = whole.encode()
        self._starts.append(self._end)
        self._scratch.write(encoded)
        self._end += len(encoded)

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._starts):
            _refuse("a cell names a text that is not there")
        start = self._starts[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self._end
        self._scratch.seek(start)
        return self._scratch.read(end - start).decode()


class _Sheet:
    """The worksheet, row by row."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._done: deque[Row] = deque()
        self._number = 0
        self._cells: dict[int, str | Special] = {}
        self._column = 0
        self._kind = ""
        self._formula = False
        self._text = _Text()

    def read(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[Row]:
        for _ in _parsed(archive, entry, self._start, self._end, self._text.add):
            while self._done:
                yield self._done.popleft()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        self._text.start(local)
        if local == "row":
            number = int(attributes.get("r", self._number + 1))
            if number <= self._number:
                _refuse("a row stands twice, or before its place")
            if number > MAX_ROWS:
                _too_large("the sheet has too many rows")
            self._number, self._column, self._cells = number, 0, {}
        elif local == "c":
            self._column = _column(attributes["r"]) if "r" in attributes else self._column + 1
            if self._column > MAX_COLUMNS:
                _too_large("a row has too many columns")
            self._kind, self._formula = attributes.get("t", "n"), False
        elif local == "f":
            self._formula = True

    def _end(self, name: str) -> None:
        local = _local(name)
        self._text.end(local)
        if local == "c":
            value = self._value(self._text.take())
            if value is not None:
                self._cells[self._column] = value
        elif local == "row" and self._cells:
            width = max(self._cells)
            self._done.append((self._number, tuple(self._cells.get(n) for n in range(1, width + 1))))

    def _value(self, raw: str) -> str | Special | None:
        if self._formula:
            return UNUSABLE
        if not raw:
            return None
        if self._kind == "s":
            return self._shared[int(raw)] or None
        return raw if self._kind in {"inlineStr", "str"} else UNUSABLE


def _column(reference: str) -> int:
    """The number of a cell's column, from 1, by its reference."""
    number = 0
    for sign in reference.rstrip("0123456789")[:4]:
        if not "A" <= sign <= "Z":
            _refuse("a cell's reference is none")
        number = number * _LETTERS + ord(sign) - ord("A") + 1
    if not number:
        _refuse("a cell's reference is none")
    return number


def _too_large(detail: str) -> NoReturn:
    raise RequestRejected(Code.REQUEST_TOO_LARGE, detail)


def _refuse(detail: str) -> NoReturn:
    raise RequestRejected(Code.SCHEMA_INVALID, detail)
