from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import IO, Final

import pytest
from typing_extensions import override

from verifier import import_file
from verifier.errors import Code, RequestRejected
from verifier.import_file import BadLine, Line
from verifier.ports.importing import ImportBody, ImportForm

LONGEST: Final = 100
FORM: Final = ImportForm(
    lambda item, _: ImportBody("application/json", item),
    {"kind": "/kind", "number": "/data/number", "name": "/data/a~1b"},
    frozenset({"kind"}),
)


def lines_of_table(rows: Sequence[Sequence[str]], form: ImportForm) -> list[Line | BadLine]:
    """Rows, written as CSV and read again."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return list(import_file.table(io.BytesIO(text.getvalue().encode()), form, 1 << 20, "utf-8"))


def ndjson(raw: bytes) -> list[Line | BadLine]:
    return list(import_file.ndjson(io.BytesIO(raw), LONGEST))


def table(raw: bytes, charset: str = "utf-8") -> list[Line | BadLine]:
    return list(import_file.table(io.BytesIO(raw), FORM, LONGEST, charset))


def item(line: Line | BadLine) -> object:
    assert isinstance(line, Line)
    return json.loads(line.item)


# lines of JSON


def test_a_line_is_an_item_and_blank_ones_are_counted_only() -> None:
    assert ndjson(b'{"a":1}\n\n \t\r\n{"b":2}\r\n') == [Line(1, b'{"a":1}'), Line(4, b'{"b":2}')]


def test_the_last_line_says_whether_it_came_to_its_end() -> None:
    assert ndjson(b'{"a":1}\n{"b"') == [Line(1, b'{"a":1}'), Line(2, b'{"b"', whole=False)]


def test_a_byte_order_mark_in_front_is_no_part_of_the_first_line() -> None:
    assert ndjson(b"\xef\xbb\xbf{}\n") == [Line(1, b"{}")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_may_be_as_long_as_a_body_and_no_longer(end: bytes) -> None:
    fits = b"x" * LONGEST
    assert ndjson(fits + end) == [Line(1, fits, whole=bool(end))]
    assert ndjson(fits + b"x" + end + b"y\n" * bool(end))[0] == BadLine(1, Code.REQUEST_TOO_LARGE)


def test_behind_a_line_that_is_too_long_the_next_one_is_read() -> None:
    assert ndjson(b"x" * 200_000 + b"\n{}\n") == [BadLine(1, Code.REQUEST_TOO_LARGE), Line(2, b"{}")]


class Counting(io.BytesIO):
    """Notes the longest piece that was asked for."""

    longest = 0
    reads = 0

    @override
    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        Counting.longest = max(Counting.longest, size)
        self.reads += 1
        return super().readline(size)


def test_of_a_line_of_a_hundred_megabytes_no_more_is_held_than_a_piece() -> None:
    file = Counting(b"x" * 100_000_000 + b"\n{}\n")
    Counting.longest = 0
    found = list(import_file.ndjson(file, LONGEST))
    assert found == [BadLine(1, Code.REQUEST_TOO_LARGE), Line(2, b"{}")]
    assert Counting.longest <= 65_536


def test_lines_are_read_as_they_are_asked_for() -> None:
    file = Counting(b"{}\n" * 1000)
    lines = import_file.ndjson(file, LONGEST)
    for _ in range(3):
        next(lines)
    assert file.reads == 3


# tables


def test_a_row_is_the_item_that_has_its_cells_where_the_columns_say() -> None:
    [line] = table("name,kind,number\n李,done,N1\n".encode())
    assert item(line) == {"kind": "done", "data": {"number": "N1", "a/b": "李"}}
    assert line.number == 2


def test_empty_cells_and_columns_that_are_left_out_are_members_that_are_not_there() -> None:
    first, second = table(b"kind,number\ndone,\n\n,N2\n")
    assert item(first) == {"kind": "done"}
    assert item(second) == {"data": {"number": "N2"}}
    assert second.number == 4


def test_the_order_of_columns_makes_no_other_item() -> None:
    [one], [other] = table(b"kind,number\nx,1\n"), table(b"number,kind\n1,x\n")
    assert one == other


@pytest.mark.parametrize(
    ("header", "pointer"),
    [
        (b"kind,colour\n", "column 2"),
        (b"kind,number,kind\n", "column 3"),
        (b"number\n", "column kind"),
        (b'{"kind":"x"}\n', "column 1"),
        (b"", "line 1"),
        (b'"kind\n', "line 1"),
    ],
)
def test_a_header_that_is_not_the_platforms_refuses_the_file(header: bytes, pointer: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        table(header)
    assert (refused.value.code, refused.value.pointer) == (Code.SCHEMA_INVALID, pointer)


def test_a_header_in_another_charset_refuses_the_file() -> None:
    with pytest.raises(RequestRejected) as refused:
        table("种类\n".encode("gb18030"))
    assert refused.value.code is Code.CHARSET_REFUSED


def test_a_table_may_be_in_gb_18030() -> None:
    [line] = table("kind,name\ndone,䶮\n".encode("gb18030"), "gb18030")
    assert item(line) == {"kind": "done", "data": {"a/b": "䶮"}}


def test_a_row_of_other_bytes_or_with_a_zero_byte_costs_no_other() -> None:
    found = table(b"kind\n\xff\xfe\nn\x00\ngood\n")
    assert found[:2] == [BadLine(2, Code.CHARSET_REFUSED), BadLine(3, Code.CHARSET_REFUSED)]
    assert item(found[2]) == {"kind": "good"}


def test_a_row_with_too_many_cells_costs_no_other() -> None:
    bad, good = table(b"kind\nx,y\ngood\n")
    assert bad == BadLine(2, Code.SCHEMA_INVALID)
    assert item(good) == {"kind": "good"}


def test_a_line_that_is_too_long_costs_no_other() -> None:
    bad, good = table(b"kind\n" + b"x" * 1000 + b"\ngood\n")
    assert bad == BadLine(2, Code.REQUEST_TOO_LARGE)
    assert item(good) == {"kind": "good"}


def test_a_record_over_several_lines_bears_the_first_and_a_broken_one_says_how_far_it_goes() -> None:
    good, bad, last = table(b'kind\n"a\nb"\n"c\nd"e\nlast\n')
    assert (good.number, item(good)) == (2, {"kind": "a\nb"})
    assert bad == BadLine(4, Code.SCHEMA_INVALID, last=5)
    assert (last.number, item(last)) == (6, {"kind": "last"})


def test_a_record_that_never_ends_ends_the_reading() -> None:
    rows = b'kind\ngood\n"' + b"x\n" * 100
    lines = import_file.table(io.BytesIO(rows), FORM, LONGEST, "utf-8")
    assert item(next(lines)) == {"kind": "good"}
    with pytest.raises(RequestRejected) as refused:
        next(lines)
    assert (refused.value.code, refused.value.pointer) == (Code.REQUEST_TOO_LARGE, "line 3")


# what is opened, and in which groups


def opened(kind: str, raw: bytes, form: ImportForm = FORM) -> list[Line | BadLine]:
    def scratch() -> IO[bytes]:
        return io.BytesIO()

    file = io.BytesIO(raw)
    return list(import_file.opened(kind, file, form, longest=LONGEST, charset="utf-8", scratch=scratch))


def test_each_kind_of_file_is_read_by_the_end_of_its_name() -> None:
    assert opened(".ndjson", b"{}\n") == [Line(1, b"{}")]
    assert [item(line) for line in opened(".csv", b"kind\nx\n")] == [{"kind": "x"}]
    assert opened(".csv", b"kind\n") == []
    assert opened(".ndjson", b"\n") == []


@pytest.mark.parametrize("kind", [".txt", "", ".xls"])
def test_another_kind_of_file_is_refused(kind: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        opened(kind, b"{}\n")
    assert refused.value.code is Code.IMPORT_REFUSED


@pytest.mark.parametrize("kind", [".csv", ".xlsx"])
def test_a_platform_without_columns_has_no_tables(kind: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        opened(kind, b"kind\n", ImportForm(FORM.pack))
    assert refused.value.code is Code.IMPORT_REFUSED


@pytest.mark.parametrize("raw", ["{}\n".encode("utf-16"), b"\xfe\xff\x00{", b"{}\x00\n"])
@pytest.mark.parametrize("kind", [".csv", ".ndjson"])
def test_a_file_that_is_no_text_is_refused_as_a_whole(kind: str, raw: bytes) -> None:
    with pytest.raises(RequestRejected) as refused:
        opened(kind, raw)
    assert refused.value.code is Code.CHARSET_REFUSED


def test_what_is_no_workbook_is_refused_before_anything_begins() -> None:
    with pytest.raises(RequestRejected) as refused:
        opened(".xlsx", b"kind\nx\n")
    assert refused.value.code is Code.SCHEMA_INVALID


def test_a_group_has_a_number_and_a_weight_and_takes_no_more_than_it_holds() -> None:
    taken = 0

    def lines() -> import_file.Lines:
        nonlocal taken
        for number in range(1, 100):
            taken += 1
            yield BadLine(number, Code.JSON_INVALID) if number == 3 else Line(number, b"x" * 10)

    groups = import_file.chunks(lines(), 4, 25)
    assert [line.number for line in next(groups)] == [1, 2, 3]
    assert taken == 4
    assert [line.number for line in next(groups)] == [4, 5]


def test_a_group_has_no_more_than_its_number_and_a_heavy_line_is_alone() -> None:
    lines = [Line(1, b""), Line(2, b""), Line(3, b"x" * 50), Line(4, b"")]
    groups = [[line.number for line in group] for group in import_file.chunks(lines, 2, 25)]
    assert groups == [[1, 2], [3], [4]]
    assert list(import_file.chunks([], 2, 25)) == []


def test_what_stands_behind_a_position_is_what_is_left() -> None:
    lines: import_file.Lines = iter([Line(1, b""), BadLine(2, Code.JSON_INVALID), Line(5, b"")])
    assert [line.number for line in import_file.after(lines, 2)] == [5]
