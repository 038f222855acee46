"""Where the objects of a PDF lie: tables, streams, object streams, and the twins of them that are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from tests import pdfs
from tests.pdfs import Draft, Row
from verifier.errors import SignatureRejected
from verifier.signatures.pdf_file import MAX_ENTRIES, MAX_SECTIONS, PdfFile
from verifier.signatures.pdf_syntax import Budget, Name, Reference, Stream


def opened(data: bytes) -> PdfFile:
    return PdfFile(data, Budget())


def small(objects: dict[int, bytes] | None = None, trailer: bytes = b"") -> Draft:
    draft = Draft(trailer=trailer)
    draft.objects = {1: b"<</Type/Catalog>>", 2: b"(two)"} | (objects or {})
    return draft


def packed(objects: dict[int, bytes] | None = None) -> Draft:
    draft = small(objects)
    draft.packed = {7: b"(seven)", 8: b"[8]"}
    return draft


def refused(data: bytes, number: int | None = None) -> None:
    """Refused on opening or, with a number, when that object is read."""
    if number is None:
        with pytest.raises(SignatureRejected):
            opened(data)
    else:
        file = opened(data)
        with pytest.raises(SignatureRejected):
            file.get(number)


# -- the file


def test_objects_are_found_by_their_numbers() -> None:
    file = opened(small().write())
    assert file.get(1) == {"Type": Name("Catalog")}
    assert file.get(2) == b"two"
    assert file.resolve(Reference(2)) == b"two"
    assert file.resolve(17) == 17
    assert file.trailer["Root"] == Reference(1)
    first, last = file.span(2)
    assert small().write()[first:last] == b"2 0 obj\n(two)\nendobj"


@pytest.mark.parametrize("number", [3, 0, 99])
def test_a_reference_to_nothing_is_refused(number: int) -> None:
    refused(small().write(), number)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"%PDF-1.7", b"%PDF-1.9"),
        (b"%PDF-1.7", b"%PDX-1.7"),
        (b"%PDF-1.7\n", b"%PDF-1.7x"),
        (b"startxref", b"startxxxx"),
        (b"%%EOF\n", b"%%EOF\n\n"),
        (b"%%EOF", b"%%EOX"),
        (b"trailer", b"trailex"),
        (b"trailer\n<<", b"trailer\n[<"),
        (b"<</Size 3/Root 1 0 R>>", b"(trailer)"),
        (b"/Size 3", b"/Size 2"),
        (b"/Size 3", b"/Siez 3"),
        (b"/Size 3", b"/Size(3)"),
        (b"65535 f \n", b"65535 x \n"),
        (b"00000 n \n", b"00001 n \n"),
        (b"00000 n \n", b"00000 n\n "),
        (b"1 1\n", b"2 1\n"),
        (b"2 1\n", b"2 9\n"),
        (b"xref\n", b"xrex\n"),
    ],
)
def test_a_file_with_one_thing_wrong_is_refused(old: bytes, new: bytes) -> None:
    data = small().write()
    assert old in data
    refused(data.replace(old, new, 1) if old != b"startxref" else data.replace(old, new))


@pytest.mark.parametrize(
    "entry", [b"/Encrypt 2 0 R", b"/XRefStm 9", b"/Prev(9)", b"/Prev -1", b"/Prev 9", b"/Prev 0"]
)
def test_a_trailer_that_leads_elsewhere_is_refused(entry: bytes) -> None:
    refused(small(trailer=entry).write())


def test_sections_in_a_circle_are_refused() -> None:
    start = small(trailer=b"/Prev 0000").write().index(b"xref\n")
    refused(small(trailer=b"/Prev %04d" % start).write())


def _chain(count: int) -> bytes:
    data = small().write()
    for _ in range(count - 1):
        start = int(data.split(b"startxref\n")[-1].split()[0])
        here = len(data)
        data += b"xref\n0 0\ntrailer\n<</Size 3/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
            start,
            here,
        )
    return data


def test_a_chain_of_sections_is_followed_so_far_and_no_further() -> None:
    file = opened(_chain(MAX_SECTIONS))
    assert len(file.sections) == MAX_SECTIONS
    assert file.get(2) == b"two"
    refused(_chain(MAX_SECTIONS + 1))


def test_a_newer_section_counts_and_frees() -> None:
    data = small().write()
    start, new = data.rindex(b"xref\n0"), len(data)
    data += b"2 0 obj\n(new)\nendobj\n"
    here = len(data)
    data += b"xref\n1 2\n0000000000 00000 f \n%010d 00000 n \n" % new
    data += b"trailer\n<</Size 3/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (start, here)
    file = opened(data)
    assert file.get(2) == b"new"
    with pytest.raises(SignatureRejected):
        file.get(1)


def test_as_many_entries_as_are_allowed_are_read_and_no_more() -> None:
    def table(count: int) -> bytes:
        entries = b"0000000000 65535 f \n" * count
        return b"%%PDF-1.7\nxref\n0 %d\n%btrailer\n<</Size %d>>\nstartxref\n9\n%%%%EOF\n" % (
            count,
            entries,
            count,
        )

    assert len(opened(table(MAX_ENTRIES)).entries) == MAX_ENTRIES
    refused(table(MAX_ENTRIES + 1))


# -- objects in the file


@pytest.mark.parametrize(
    "body",
    [
        b"(a) (b)",
        b"(a)\nendobx",
        b"3 0 R",
        b"<</Length 3>>stream\nabcd\nendstream",
        b"<</Length 5>>stream\nabc\nendstream",
        b"<</Length 3>>stream abc\nendstream",
        b"<</Length 3>>stream\nabc\nendstreax",
        b"<</Length -3>>stream\nabc\nendstream",
        b"<</Length(3)>>stream\nabc\nendstream",
        b"<</Length 9999999999>>stream\nabc\nendstream",
        b"<<>>stream\nabc\nendstream",
        b"[]stream\nabc\nendstream",
        b"<</Length 3 0 R>>stream\nabc\nendstream",
        b"<</Length 2 0 R>>stream\nabc\nendstream",
        b"",
    ],
)
def test_an_object_of_another_form_is_refused(body: bytes) -> None:
    refused(small({3: body}).write(), 3)


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_a_stream_is_kept_as_it_stands(eol: bytes) -> None:
    body = b"<</Length 4 0 R>>stream" + eol + b"abc" + eol + b"endstream"
    file = opened(small({3: body, 4: b"3"}).write())
    assert file.get(3) == Stream({"Length": Reference(4)}, b"abc")
    assert "abc" not in repr(file.get(3))


def test_lengths_that_take_too_many_reads_are_refused() -> None:
    lengths = {n: b"<</Length %d 0 R>>stream\n\nendstream" % (n + 1) for n in range(3, 9)}
    refused(small({**lengths, 9: b"0"}).write(), 3)
    many = {n: b"<</Length %d 0 R>>stream\n\nendstream" % (n + 1) for n in range(3, 3000)}
    refused(small(many).write(), 3)


def test_an_entry_that_leads_to_another_object_is_refused() -> None:
    data = small().write()
    other = data.replace(b"%010d 00000 n" % data.index(b"2 0 obj"), b"%010d 00000 n" % data.index(b"1 0 obj"))
    refused(other, 2)
    refused(data.replace(b"%010d 00000 n" % data.index(b"2 0 obj"), b"9999999999 00000 n"), 2)


# -- cross-reference streams and object streams


def test_packed_objects_are_found_by_their_numbers() -> None:
    file = opened(packed().write())
    assert [file.get(n) for n in (1, 2, 7, 8)] == [{"Type": Name("Catalog")}, b"two", b"seven", [8]]
    with pytest.raises(SignatureRejected):
        file.span(7)


def test_streams_that_are_not_deflated_are_read() -> None:
    draft = packed()
    draft.pack = lambda data: (b"", data)
    assert opened(draft.write()).get(8) == [8]


def _rows(change: Callable[[list[Row]], list[Row]]) -> bytes:
    draft = packed()
    draft.rows = lambda rows: pdfs.rows_of_seven_bytes(change(rows))
    return draft.write()


def _changed(number: int, *new: int) -> Callable[[list[Row]], list[Row]]:
    kind, first, second = new
    return lambda rows: [
        (n, kind, first, second) if n == number else row for n, *_ in rows for row in rows if row[0] == n
    ]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param((2, 9, 2), id="index beyond the directory"),
        pytest.param((2, 9, 0), id="another object's index"),
        pytest.param((2, 7, 0), id="packed in itself"),
        pytest.param((2, 8, 0), id="packed in what is packed"),
        pytest.param((2, 1, 0), id="packed in no stream"),
        pytest.param((2, 10, 0), id="packed in another kind of stream"),
        pytest.param((2, 99, 0), id="packed in nothing"),
        pytest.param((1, 2**31, 0), id="beyond the end"),
        pytest.param((0, 0, 0), id="free"),
    ],
)
def test_a_packed_object_that_is_not_where_it_should_be_is_refused(row: tuple[int, int, int]) -> None:
    refused(_rows(_changed(8, *row)), 8)


@pytest.mark.parametrize("row", [(3, 0, 0), (1, 9, 1)])
def test_a_row_of_another_kind_is_refused(row: tuple[int, int, int]) -> None:
    refused(_rows(_changed(8, *row)))


@pytest.mark.parametrize("body", [b"9 0 R", b"8 0 R"])
def test_a_packed_reference_is_refused(body: bytes) -> None:
    draft = packed()
    draft.packed[8] = body
    refused(draft.write(), 8)


@pytest.mark.parametrize(
    "entries",
    [
        b"/N 3",
        b"/N -1",
        b"/N 99999",
        b"/N(2)",
        b"/First -1",
        b"/First(8)",
        b"/First 999",
        b"/Type/ObjStn",
        b"/Filter/LZWDecode",
    ],
)
def test_an_object_stream_of_another_form_is_refused(entries: bytes) -> None:
    data = packed().write()
    name = entries[1:].split(b"(")[0].split(b"/")[0].split(b" ")[0]
    head = data.index(b"/Type/ObjStm")
    stop = data.index(b"/Length", head)
    kept = {
        b"Type": b"/Type/ObjStm",
        b"N": b"/N 2",
        b"First": b"/First %d" % len(b"7 0 8 8 "),
        b"Filter": b"/Filter/FlateDecode",
    }
    kept[name] = entries
    changed = data[:head] + b"".join(kept.values()) + data[stop:]
    grown = len(changed) - len(data)
    start = int(data.split(b"startxref\n")[-1].split()[0])
    shifted = changed.replace(b"startxref\n%d" % start, b"startxref\n%d" % (start + grown))
    refused(shifted, 7)


@pytest.mark.parametrize("directory", [b"7 0 8 x ", b"7 0 8 -1 ", b"(7) 0 8 8 "])
def test_a_directory_of_another_form_is_refused(directory: bytes) -> None:
    draft = packed()
    draft.pack = lambda data: pdfs.deflated(data.replace(b"7 0 8 8 ", directory.ljust(8)[:8]))
    refused(draft.write(), 7)


@pytest.mark.parametrize(
    "head",
    [
        b"/W[1 4 2]/Index[0]",
        b"/W[1 4 2]/Index 7",
        b"/W[1 4 2]/Index[-1 1]",
        b"/W[1 4 2]/Index[0 (1)]",
        b"/W[1 4 2]/Index[0 99999]",
        b"/W[1 4 2]/Index[0 1 0 1]",
        b"/W[1 4 2]/Index[0 2]",
        b"/W[1 4 2]/Index[0 0]",
        b"/W[1 4]/Index[0 1]",
        b"/W 7/Index[0 1]",
        b"/W[1 4 9]/Index[0 1]",
        b"/W[1 4 -2]/Index[0 1]",
        b"/W[0 0 0]/Index[0 1000]",
        b"/Index[0 1]",
    ],
)
def test_a_cross_reference_stream_of_another_form_is_refused(head: bytes) -> None:
    draft = packed()
    draft.rows = lambda _: (head, b"\0" * 7)
    refused(draft.write())


def test_a_cross_reference_stream_that_is_none_is_refused() -> None:
    refused(packed().write().replace(b"/Type/XRef", b"/Type/XReg"))
    start = b"startxref\n%d" % len(b"%PDF-1.7\n")
    refused(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" + start + b"\n%%EOF\n")


def test_without_an_index_the_rows_count_from_0() -> None:
    draft = packed()

    def rows(given: list[Row]) -> tuple[bytes, bytes]:
        by_number = {n: (kind, a, b) for n, kind, a, b in given}
        size = max(by_number) + 1
        return b"/W[1 4 2]", b"".join(struct.pack(">BIH", *by_number.get(n, (0, 0, 0))) for n in range(size))

    draft.rows = rows
    assert opened(draft.write()).get(8) == [8]


def test_one_filter_in_an_array_is_one_filter() -> None:
    draft = packed()
    draft.pack = lambda data: (b"/Filter[/FlateDecode]/DecodeParms[null]", zlib.compress(data))
    assert opened(draft.write()).get(8) == [8]
