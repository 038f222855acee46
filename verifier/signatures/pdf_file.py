"""Where the objects of a PDF file lie: cross-reference sections and object streams (ISO 32000-1, 7.5).

Refused, because readers differ on them: anything before the header or after the last end-of-file mark,
hybrid files (``/XRefStm``), encryption, generations other than 0, doubled entries, references to nothing,
and whatever would need repair. Only cross-reference and object streams are inflated; pages, fonts and images
stay as they are, so that a bomb among them never goes off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from verifier.signatures import pdf_streams
from verifier.signatures.pdf_streams import Rows
from verifier.signatures.pdf_syntax import (
    Budget,
    Parser,
    PdfObject,
    Reference,
    Stream,
    is_count,
    refuse,
)

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_ENTRIES: Final = 10_000
"""Cross-reference entries, all sections together."""
MAX_SECTIONS: Final = 32
_MAX_NESTED_READS: Final = 4
"""Objects that must be read to read an object: its object stream, and that stream's length."""

Location: TypeAlias = int | tuple[int, int] | None
"""An offset; or an object stream's number and the index in it; or None for a number that is free."""

_HEADER: Final = re.compile(rb"%PDF-(?:1\.[0-7]|2\.0)[ \t]*[\r\n]")
_TAIL: Final = re.compile(
    rb"startxref[ \t]*(?:\r\n|\r|\n)([0-9]{1,10})[ \t]*(?:\r\n|\r|\n)%%EOF(?:\r\n|\r|\n)?\Z",
)
_TAIL_BYTES: Final = 64
_TABLE: Final = re.compile(rb"[\r\n ]{0,4}xref[ \t]*(?:\r\n|\r|\n)")
_SUBSECTION: Final = re.compile(rb"([0-9]{1,10}) ([0-9]{1,5})[ \t]*(?:\r\n|\r|\n)")
_ENTRY: Final = re.compile(rb"([0-9]{10}) ([0-9]{5}) ([nf])(?: \r| \n|\r\n)")
_ENTRY_BYTES: Final = 20
_OBJECT: Final = re.compile(rb"([0-9]{1,10})[ \t\r\n]{1,8}0[ \t\r\n]{1,8}obj(?![A-Za-z0-9])")
_STREAM: Final = re.compile(rb"stream(?:\r\n|\n)")
_ENDSTREAM: Final = re.compile(rb"(?:\r\n|\r|\n)?endstream[ \t\r\n]{1,8}")
_ENDOBJ: Final = re.compile(rb"endobj(?![A-Za-z0-9])")


class PdfFile:
    """A file opened for reading; nothing in it is believed.

    Args:
        data: the whole file.
        budget: pays for all that is read of it.

    Attributes:
        entries: the place of each object number.
        trailer: the newest trailer.
        sections: offsets of the cross-reference sections, newest first.

    Raises:
        SignatureRejected: ``malformed``; nothing else, here and in every method.
    """

    __slots__ = ("_budget", "_data", "_objects", "_packed", "_reading", "_spans",
                 "entries", "sections", "trailer")  # fmt: skip

    def __init__(self, data: bytes, budget: Budget) -> None:
        tail = _TAIL.search(data, max(0, len(data) - _TAIL_BYTES))
        if len(data) > MAX_BYTES or _HEADER.match(data) is None or tail is None:
            refuse()
        self._data = data
        self._budget = budget
        self._objects: dict[int, PdfObject] = {}
        self._packed: dict[int, tuple[bytes, list[tuple[PdfObject, int]]]] = {}
        self._reading: set[int] = set()
        self._spans: dict[int, tuple[int, int]] = {}
        self.entries: dict[int, Location] = {}
        self.trailer: Mapping[str, PdfObject] = {}
        self.sections: tuple[int, ...] = ()
        self._read_sections(int(tail[1]))

    # -- cross-reference sections

    def _read_sections(self, newest: int) -> None:
        offset: PdfObject = newest
        while offset is not None:
            # A circle ends here too.
            if not is_count(offset) or len(self.sections) == MAX_SECTIONS:
                refuse()
            self.sections += (offset,)
            entries, trailer = self._section(offset)
            if "XRefStm" in trailer or "Encrypt" in trailer:
                refuse()
            # 7.5.5: readers ignore numbers from /Size on, or do not.
            if not is_count(size := trailer.get("Size")) or max(entries, default=0) >= size:
                refuse()
            self.trailer = self.trailer or trailer
            self.entries = entries | self.entries
            offset = trailer.get("Prev")

    def _section(self, offset: int) -> tuple[dict[int, Location], Mapping[str, PdfObject]]:
        table = _TABLE.match(self._data, offset)
        if table is None:
            return self._stream_section(offset)
        entries: dict[int, Location] = {}
        position = table.end()
        while (head := _SUBSECTION.match(self._data, position)) is not None:
            first, count = int(head[1]), int(head[2])
            for number in self._numbers(first, count, entries):
                position = head.end() + (number - first) * _ENTRY_BYTES
                entries[number] = self._table_entry(position)
            position = head.end() + count * _ENTRY_BYTES
        if not self._data.startswith(b"trailer", position):
            refuse()
        trailer = Parser(self._data, position + len(b"trailer"), self._budget).value()
        return (entries, trailer) if isinstance(trailer, dict) else refuse()

    def _table_entry(self, position: int) -> Location:
        entry = _ENTRY.match(self._data, position)
        if entry is None:
            refuse()
        if entry[3] == b"f":
            return None
        return int(entry[1]) if not int(entry[2]) else refuse()

    def _numbers(self, first: int, count: int, entries: Mapping[int, Location]) -> Iterator[int]:
        """The numbers of a subsection, if they may be: not too many, and each once in its section."""
        if len(self.entries) + len(entries) + count > MAX_ENTRIES:
            refuse()
        self._budget.spend(1 + count)
        for number in range(first, first + count):
            if number in entries:
                refuse()
            yield number

    def _stream_section(self, offset: int) -> tuple[dict[int, Location], Mapping[str, PdfObject]]:
        """A cross-reference stream (7.5.8)."""
        stream, _, _ = self._object_at(offset)
        if not isinstance(stream, Stream) or stream.dictionary.get("Type") != "XRef":
            refuse()
        trailer = stream.dictionary
        rows = Rows(pdf_streams.decode(stream.raw, *self._coding(stream), self._budget), trailer.get("W"))
        index = trailer.get("Index", [0, trailer.get("Size")])
        if not isinstance(index, list) or len(index) % 2:
            refuse()
        entries: dict[int, Location] = {}
        for first, count in zip(index[::2], index[1::2], strict=True):
            if not is_count(first) or not is_count(count):
                refuse()
            for number in self._numbers(first, count, entries):
                entries[number] = rows.location()
        rows.end()
        return entries, trailer

    # -- objects

    def get(self, number: int) -> PdfObject:
        """The object of a number.

        Raises:
            SignatureRejected: ``malformed``; also if the number is free or unknown: an update could fill it.
        """
        if number in self._objects:
            return self._objects[number]
        location = self.entries.get(number)
        if location is None or number in self._reading or len(self._reading) == _MAX_NESTED_READS:
            refuse()
        self._reading.add(number)
        if isinstance(location, int):
            value, found, end = self._object_at(location)
            if found != number:
                refuse()
            self._spans[number] = (location, end)
        else:
            value = self._packed_object(number, *location)
        # A reference to a reference leads nowhere that a reference does not lead by itself.
        if isinstance(value, Reference):
            refuse()
        self._reading.remove(number)
        self._objects[number] = value
        return value

    def resolve(self, value: PdfObject) -> PdfObject:
        """The object itself, or the one it refers to; errors as in ``get``."""
        return self.get(value.number) if isinstance(value, Reference) else value

    def span(self, number: int) -> tuple[int, int]:
        """First and last + 1 byte of an object that stands in the file by itself; errors as in ``get``."""
        self.get(number)
        return self._spans[number] if number in self._spans else refuse()

    def _object_at(self, offset: int) -> tuple[PdfObject, int, int]:
        """The object at an offset, its number, and where it ends."""
        head = _OBJECT.match(self._data, offset) if offset < len(self._data) else None
        if head is None:
            refuse()
        parser = Parser(self._data, head.end(), self._budget)
        value = parser.value()
        position = parser.skip()
        body = _STREAM.match(self._data, position)
        if body is not None and isinstance(value, dict):
            length = self.resolve(value.get("Length"))
            if not is_count(length):
                refuse()
            after = _ENDSTREAM.match(self._data, body.end() + length)
            if after is None:
                refuse()
            value = Stream(value, self._data[body.end() : body.end() + length])
            position = after.end()
        end = _ENDOBJ.match(self._data, position)
        return (value, int(head[1]), end.end()) if end is not None else refuse()

    def _packed_object(self, number: int, container: int, index: int) -> PdfObject:
        """An object of an object stream (7.5.7)."""
        if container not in self._packed:
            self._packed[container] = self._unpack(container)
        data, directory = self._packed[container]
        if not index < len(directory) or directory[index][0] != number:
            refuse()
        return Parser(data, directory[index][1], self._budget).value()

    def _unpack(self, container: int) -> tuple[bytes, list[tuple[PdfObject, int]]]:
        """An object stream's data, and the number and offset of each object in it."""
        stream = self.get(container) if isinstance(self.entries.get(container), int) else None
        if not isinstance(stream, Stream) or stream.dictionary.get("Type") != "ObjStm":
            refuse()
        count, first = stream.dictionary.get("N"), stream.dictionary.get("First")
        if not is_count(count) or not is_count(first):
            refuse()
        data = pdf_streams.decode(stream.raw, *self._coding(stream), self._budget)
        parser = Parser(data, 0, self._budget)
        numbers = [parser.value() for _ in range(2 * count)]
        directory = [
            (number, first + offset) if is_count(offset) else refuse()
            for number, offset in zip(numbers[::2], numbers[1::2], strict=True)
        ]
        return data, directory

    def _coding(self, stream: Stream) -> tuple[PdfObject, PdfObject]:
        """The one filter of a stream and its parameters, or None for what it has not."""
        values = (self.resolve(stream.dictionary.get(key)) for key in ("Filter", "DecodeParms"))
        name, parameters = (v[0] if isinstance(v, list) and len(v) == 1 else v for v in values)
        return name, parameters
