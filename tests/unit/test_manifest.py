"""Manifests: CSV, XLSX and NDJSON say the same, and whatever is not understood is refused, row by row."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier import manifest, manifest_rows
from verifier.cli.simulator import person
from verifier.errors import Code, RequestRejected
from verifier.manifest import Charset, Manifest, pack, read_csv, read_ndjson, read_xlsx, unpack
from verifier.manifest_rows import ManifestRow, check
from verifier.ports.pull import Cells, Column

LI = person(1, "阿依古丽·买买提")
TODAY = date(2021, 7, 1)
ISSUER = "urn:sandbox:new-occupation"
CHINESE = ("证书编号", "证件号码", "姓名", "结业时间", "签发者", "状态", "版本")
ENGLISH = tuple(Column)
FULL = ("N-1", LI.id_number, LI.name, "2021-03-05", ISSUER, "有效", "2")


def csv(*rows: Sequence[str]) -> bytes:
    return "".join(",".join(row) + "\r\n" for row in rows).encode()


def xlsx(*rows: Sequence[Any]) -> bytes:
    made = openpyxl.Workbook()
    for row in rows:
        made.worksheets[0].append(list(row))
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def ndjson(*rows: Any) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def texts(found: Manifest) -> list[dict[Column, str]]:
    assert found.problems == ()
    return [{column: text for column, text in cells.texts.items() if text} for cells in found.rows]


@pytest.mark.parametrize("header", [CHINESE, ENGLISH, CHINESE[:3] + ENGLISH[3:]], ids=["zh", "en", "both"])
def test_every_format_and_either_language_says_the_same(header: Sequence[str]) -> None:
    expected = [dict(zip(ENGLISH, FULL, strict=True)), {Column.NUMBER: "N-2"}]
    shorter = ("N-2", *[""] * 6)
    assert texts(read_csv(csv(header, FULL, shorter))) == expected
    assert texts(read_xlsx(xlsx(header, FULL, ("N-2",)))) == expected
    objects = [dict(zip(ENGLISH, FULL, strict=True)), {"certificate_number": "N-2", "name": None}]
    assert texts(read_ndjson(ndjson(*objects))) == expected


def test_columns_may_stand_in_any_order_and_only_the_number_is_needed() -> None:
    assert texts(read_csv(csv(("姓名", "证书编号"), (LI.name, "N-1")))) == [
        {Column.NAME: LI.name, Column.NUMBER: "N-1"}
    ]
    assert texts(read_csv(b"certificate_number\nN-1")) == [{Column.NUMBER: "N-1"}]
    assert texts(read_xlsx(xlsx(("证书编号", "姓名", "版本"), ("N-1", None, "1")))) == [
        {Column.NUMBER: "N-1", Column.REVISION: "1"}
    ]


@pytest.mark.parametrize(
    ("header", "pointer"),
    [
        (("证书编号", "备注"), "column 2"),
        (("证书编号", "证书编号"), "column 2"),
        (("证书编号", "certificate_number"), "column 2"),
        (("姓名",), "column 1"),
        (("证书编号", "", "姓名"), "column 2"),
        ((" 证书编号",), "column 1"),
        ((), "column 1"),
    ],
)
def test_a_header_that_is_not_understood_refuses_the_file(header: Sequence[str], pointer: str) -> None:
    for raw, read in (
        (csv(header, FULL), read_csv),
        (xlsx(header or [None, 1], FULL), read_xlsx),
    ):
        with pytest.raises(RequestRejected) as refused:
            read(raw)
        assert (refused.value.code, refused.value.pointer) == (Code.SCHEMA_INVALID, pointer)


def test_csv_is_in_the_charset_that_is_said_and_in_no_other() -> None:
    text = f"证书编号,姓名\nN-1,{LI.name}\n"
    expected = [{Column.NUMBER: "N-1", Column.NAME: LI.name}]
    assert texts(read_csv(b"\xef\xbb\xbf" + text.encode())) == expected
    assert texts(read_csv(text.encode("gb18030"), Charset.GB18030)) == expected
    with pytest.raises(RequestRejected) as refused:
        read_csv("certificate_number,name\nN-1,阿".encode("gb18030"))
    assert (refused.value.code, refused.value.pointer) == (Code.CHARSET_REFUSED, "line 2")
    with pytest.raises(RequestRejected) as refused:
        read_csv(b"certificate_number\n\xff", Charset.GB18030)
    assert refused.value.code is Code.CHARSET_REFUSED


def test_a_row_of_another_length_is_named_and_empty_rows_are_counted_but_passed_over() -> None:
    found = read_csv(b"certificate_number,name\nN-1,a\n,\nN-2\nN-3,b,c\nN-4,d\n")
    assert [cells.row for cells in found.rows] == [1, 5]
    assert [(one.row, one.column, one.code) for one in found.problems] == [
        (3, "", Code.ROSTER_ROW_INVALID),
        (4, "", Code.ROSTER_ROW_INVALID),
    ]
    found = read_xlsx(xlsx(("证书编号",), ("N-1",), (None,), ("N-2", "x")))
    assert ([cells.row for cells in found.rows], [one.row for one in found.problems]) == ([1], [3])


@pytest.mark.parametrize("raw", [b'certificate_number\n"N-1', b'certificate_number\n"N"1"\n'])
def test_what_is_no_csv_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestRejected) as refused:
        read_csv(raw)
    assert (refused.value.code, refused.value.detail) == (Code.SCHEMA_INVALID, "not CSV")


MIDNIGHT = datetime(2021, 3, 5)  # noqa: DTZ001 - a cell has no offset


@pytest.mark.parametrize(
    ("column", "cell", "text"),
    [
        ("completed_at", MIDNIGHT, "2021-03-05"),
        ("completed_at", date(2021, 3, 5), "2021-03-05"),
        ("completed_at", MIDNIGHT.replace(hour=10), None),
        ("completed_at", time(10), None),
        ("completed_at", 44260, None),
        ("revision", 2, "2"),
        ("revision", 2.0, "2"),
        ("revision", 2.5, None),
        ("revision", True, None),
        ("revision", 1e308, str(int(1e308))),
        ("certificate_number", 20210305, None),
        ("id_number", 999901199001010010, None),
        ("name", True, None),
        ("name", "=1+1", None),
        ("name", "#N/A", None),
        ("name", MIDNIGHT, None),
    ],
)
def test_a_cell_of_a_type_that_does_not_fit_is_named_by_row_and_column(
    column: str, cell: object, text: str | None
) -> None:
    header = dict.fromkeys(("certificate_number", column))
    row = [cell if name == column else "N-1" for name in header]
    found = read_xlsx(xlsx(tuple(header), row))
    if text is None:
        assert [(one.row, one.column) for one in found.problems] == [(1, column)]
        assert found.rows == ()
    else:
        assert found.rows[0].texts[Column(column)] == text


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('["N-1"]', ""),
        ('{"certificate_number": "N-1", "certificate_number": "N-2"}', ""),
        ('{"certificate_number": "N-1", "证书编号": "N-2"}', ""),
        ('{"certificate_number": {"a": "b"}}', ""),
        ('{"certificate_number": 1}', "certificate_number"),
        ('{"certificate_number": "N-1", "revision": true}', "revision"),
        ('{"certificate_number": "N-1", "revision": "1.5"', ""),
        ('{"certificate_number": "' + "1" * 9000 + '"}', ""),
    ],
)
def test_a_line_that_is_no_row_is_named(line: str, column: str) -> None:
    found = read_ndjson(b'{"certificate_number": "N-0"}\n\n' + line.encode())
    assert [(one.row, one.column, one.code) for one in found.problems] == [(3, column, Code.JSON_INVALID)]
    assert len(found.rows) == 1


def test_a_revision_may_be_a_number_in_json() -> None:
    assert texts(read_ndjson(b'{"certificate_number": "N-1", "revision": 2}')) == [
        {Column.NUMBER: "N-1", Column.REVISION: "2"}
    ]


def test_files_are_bounded_and_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for read, raw in ((read_csv, csv(CHINESE)), (read_ndjson, b"\n"), (read_xlsx, xlsx(CHINESE))):
        with pytest.raises(RequestRejected) as refused:
            read(raw)
        assert (refused.value.code, refused.value.detail) == (Code.SCHEMA_INVALID, "nothing is listed")
    monkeypatch.setattr(manifest, "MAX_ROWS", 2)
    rows = [("N-1",), ("N-2",), ("N-3",)]
    three = [csv(("证书编号",), *rows), xlsx(("证书编号",), *rows), ndjson({}, {}, {})]
    for read, raw in zip((read_csv, read_xlsx, read_ndjson), three, strict=True):
        with pytest.raises(RequestRejected) as refused:
            read(raw)
        assert refused.value.code is Code.REQUEST_TOO_LARGE
    for read in (read_csv, read_ndjson, read_xlsx):
        with pytest.raises(RequestRejected) as refused:
            read(b" " * (manifest.MAX_BYTES + 1))
        assert refused.value.code is Code.REQUEST_TOO_LARGE


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for read in (read_csv, lambda raw: read_csv(raw, Charset.GB18030), read_ndjson, read_xlsx):
        with suppress(RequestRejected):
            read(raw)
        with suppress(RequestRejected):
            read(csv(CHINESE) + raw)


# --- on the way to the process that holds the database

TEXTS = st.dictionaries(st.sampled_from(list(Column)), st.text(max_size=20))


@given(st.lists(TEXTS, max_size=10))
def test_cells_arrive_as_they_were_sent(rows: list[dict[Column, str]]) -> None:
    sent = [Cells(number, row) for number, row in enumerate(rows, 1)]
    full = [Cells(one.row, {column: one.texts.get(column, "") for column in Column}) for one in sent]
    assert unpack(pack(sent)) == full


@pytest.mark.parametrize(
    "text", ["!", "eA==", base64.b64encode(b'[1,"x"]').decode(), base64.b64encode(b'["1"]').decode()]
)
def test_what_is_no_row_does_not_arrive(text: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        unpack(text)
    assert refused.value.code is Code.SCHEMA_INVALID


def test_more_rows_than_a_manifest_has_do_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pack([Cells(1, {}), Cells(2, {})])
    monkeypatch.setattr(manifest, "MAX_ROWS", 1)
    with pytest.raises(RequestRejected) as refused:
        unpack(sent)
    assert refused.value.code is Code.REQUEST_TOO_LARGE


# --- the rules of a row


def row(issuers: Sequence[str] | None = (ISSUER,), **said: str) -> ManifestRow:
    [made] = check([cells(**said)], issuers, TODAY).rows
    return made


def cells(number: int = 1, /, **said: str) -> Cells:
    members = {"certificate_number": f"N-{number}"} | said
    return Cells(number, {Column(name): text for name, text in members.items()})


def test_a_full_row_is_read() -> None:
    made = row(**dict(zip(ENGLISH, FULL, strict=True)))
    assert (made.number, made.issuer, made.revoked, made.revision) == ("N-1", ISSUER, False, 2)
    assert made.identifier is not None
    assert made.name is not None
    assert (made.identifier.value, made.name.raw) == (LI.id_number, LI.name)
    assert made.completed == date(2021, 3, 5)


def test_what_is_left_empty_is_not_said() -> None:
    assert row(name="", issuer="") == ManifestRow(1, ISSUER, "N-1")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2021/3/5", date(2021, 3, 5)),
        ("2021-03-05T10:00:00+08:00", datetime(2021, 3, 5, 2, tzinfo=UTC)),
        ("2021-03-05T02:00:00.5Z", datetime(2021, 3, 5, 2, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_completion_is_a_day_or_a_moment(text: str, read: date) -> None:
    assert row(completed_at=text).completed == read


@pytest.mark.parametrize(("word", "revoked"), [("撤销", True), ("revoked", True), ("valid", False)])
def test_a_status_is_one_of_four_words(word: str, *, revoked: bool) -> None:
    assert row(status=word).revoked is revoked


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("certificate_number", "", Code.FIELD_MISSING),
        ("certificate_number", " N-1", Code.FIELD_INVALID),
        ("certificate_number", "N\u200b1", Code.FIELD_INVALID),
        ("certificate_number", "1" * 65, Code.FIELD_INVALID),
        ("certificate_number", "=1+1", Code.FIELD_INVALID),
        ("id_number", "999901199001010011", Code.IDENTIFIER_INVALID),
        ("id_number", f" {LI.id_number}", Code.IDENTIFIER_INVALID),
        ("id_number", f"={LI.id_number}", Code.FIELD_INVALID),
        ("name", "\u200b", Code.NAME_INVALID),
        ("name", "=cmd|' /C calc'!A0", Code.FIELD_INVALID),
        ("completed_at", "2021-02-30", Code.FIELD_INVALID),
        ("completed_at", "2021-3-5", Code.FIELD_INVALID),
        ("completed_at", "2021-03-05 10:00:00", Code.FIELD_INVALID),
        ("completed_at", "2021-03-05T10:00:00", Code.FIELD_INVALID),
        ("completed_at", "２０２１-03-05", Code.FIELD_INVALID),
        ("status", "Valid", Code.FIELD_INVALID),
        ("revision", "0", Code.FIELD_INVALID),
        ("revision", "1.0", Code.FIELD_INVALID),
        ("revision", "2147483648", Code.FIELD_INVALID),
        ("issuer", "urn:nobody", Code.ISSUER_UNKNOWN),
        ("issuer", "x" * 201, Code.ISSUER_UNKNOWN),
    ],
)
def test_a_broken_rule_is_named_by_row_and_column_and_never_repeats_the_value(
    column: str, text: str, code: Code
) -> None:
    checked = check([cells(), cells(2, **{column: text})], (ISSUER,), TODAY)
    [problem] = checked.problems
    assert (problem.row, problem.column, problem.code) == (2, column, code)
    assert len(checked.rows) == 1
    assert not text or text not in f"{problem.zh}{problem.en}"


def test_an_issuer_is_needed_where_the_platform_has_several_and_asked_for_only_where_they_are_known() -> None:
    [problem] = check([cells()], ("urn:a", "urn:b"), TODAY).problems
    assert (problem.column, problem.code) == ("issuer", Code.FIELD_MISSING)
    assert check([cells()], (), TODAY).problems[0].code is Code.FIELD_MISSING
    assert row(("urn:a", "urn:b"), issuer="urn:b").issuer == "urn:b"
    assert row(None, issuer="urn:anyone").issuer == "urn:anyone"
    assert row(None).issuer == ""


def test_a_number_stands_once_for_each_issuer() -> None:
    twice = [cells(1, certificate_number="N"), cells(2, certificate_number="N")]
    [problem] = check(twice, (ISSUER,), TODAY).problems
    assert (problem.row, problem.column) == (2, "certificate_number")
    others = [cells(n, certificate_number="N", issuer=name) for n, name in enumerate("ab", 1)]
    assert check(others, ("a", "b"), TODAY).problems == ()


def test_a_row_is_told_its_first_problem_and_every_bad_row_is_told() -> None:
    bad = [cells(n, id_number="1", status="x") for n in (1, 2)]
    checked = check(bad, (ISSUER,), TODAY)
    assert [(one.row, one.column) for one in checked.problems] == [(1, "id_number"), (2, "id_number")]


@given(TEXTS)
def test_any_texts_are_a_row_or_a_problem(said: dict[Column, str]) -> None:
    checked = check([Cells(1, said)], (ISSUER,), TODAY)
    assert len(checked.rows) + len(checked.problems) == 1


def test_every_column_has_a_chinese_name_and_a_rule() -> None:
    assert set(manifest_rows.CHINESE) == set(Column) == set(manifest_rows._READERS)
    readers: list[Callable[[bytes], Manifest]] = [read_csv, read_xlsx, read_ndjson]
    assert list(manifest.FORMATS.values()) == readers


def test_a_day_may_be_written_in_a_cell_as_iso_8601() -> None:
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx(("certificate_number", "completed_at"), ("N-1", "day")))) as before,
        zipfile.ZipFile(written, "w") as after,
    ):
        for entry in before.infolist():
            part = re.sub(rb'<c r="B2".*?</c>', b'<c r="B2" t="d"><v>2021-03-05</v></c>', before.read(entry))
            after.writestr(entry.filename, part)
    assert read_xlsx(written.getvalue()).rows[0].texts[Column.COMPLETED_AT] == "2021-03-05"
