from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier import roster
from verifier.errors import CATALOGUE, Code, RequestRejected
from verifier.model.facts import Category
from verifier.roster import RosterFile, content, read_csv, read_declaration, read_json, read_people
from verifier.roster_rows import RawRow, RosterRow, RowProblem
from verifier.roster_table import TABLE

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "enterprise.md"
TODAY = date(2021, 6, 1)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
DISPATCHER = "91999901MA0000002T"
HEADER = "证件号码,姓名,人员类别,岗位,在岗起始日,在岗截止日,派遣单位统一社会信用代码"


def number(serial: int, born: str = "19900307") -> str:
    """The id number of nobody: its division does not exist."""
    digits = f"999901{born}{serial:03}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True))
    return digits + "10X98765432"[total % 11]


def row(**changes: object) -> dict[str, object]:
    return {"id_number": number(1), "name": "测试员甲", "from": "2021-01-01", **changes}


def of(*rows: dict[str, object]) -> RosterFile:
    return read_json(json.dumps({"rows": rows}).encode(), today=TODAY)


def of_csv(*lines: str, encoding: str = "utf-8", header: str = HEADER) -> RosterFile:
    return read_csv("\r\n".join((header, *lines)).encode(encoding), today=TODAY)


def problems(file: RosterFile) -> list[tuple[int, str, Code]]:
    return [(problem.row, problem.column, problem.code) for problem in file.problems]


def said(rows: tuple[RosterRow, ...]) -> list[RosterRow]:
    return [replace(item, row=0) for item in rows]


FULL = row(
    id_kind="resident_id",
    to="2021-12-31",
    category="劳务派遣",
    post="操作工",
    dispatched_by=DISPATCHER,
)
FULL_CSV = f"{number(1)},测试员甲,劳务派遣,操作工,2021-01-01,2021-12-31,{DISPATCHER}"


# --- a file that is right


def test_a_full_row_is_read_as_it_is_written() -> None:
    file = of(FULL)
    assert (file.total, file.problems) == (1, ())
    read = file.rows[0]
    assert (read.row, read.identifier.value, read.name.raw) == (1, number(1), "测试员甲")
    assert (read.start, read.end) == (date(2021, 1, 1), date(2021, 12, 31))
    assert (read.category, read.post, read.dispatched_by) == (Category.DISPATCHED, "操作工", DISPATCHER)


@pytest.mark.parametrize("end", [{}, {"to": None}, {"to": ""}])
def test_what_may_be_missing_is_missing(end: dict[str, object]) -> None:
    read = of(row(**end)).rows[0]
    assert (read.end, read.category, read.post, read.dispatched_by) == (None, None, "", None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_says_the_same_as_json_in_every_encoding_it_may_have(encoding: str) -> None:
    assert of_csv(FULL_CSV, encoding=encoding).rows == of(FULL).rows


def test_csv_columns_stand_in_any_order_and_optional_ones_may_be_left_out() -> None:
    file = of_csv(f"2021-01-01,测试员甲,{number(1)}", header="在岗起始日,姓名,证件号码")
    assert file.rows == of(row()).rows


@pytest.mark.parametrize("day", ["2021/3/5", "2021-3-5", "2021/03/05", "2021-03-05"])
def test_csv_takes_days_as_spreadsheets_rewrite_them(day: str) -> None:
    assert of_csv(f"{number(1)},测试员甲,,,{day},,").rows[0].start == date(2021, 3, 5)


def test_rows_of_empty_cells_are_passed_over_and_still_counted() -> None:
    file = of_csv(",,,,,,", "", FULL_CSV)
    assert (file.total, [item.row for item in file.rows]) == (1, [3])


def test_what_looks_like_a_formula_is_stored_as_text() -> None:
    read = of(row(post="=cmd|' /C calc'!A0", name="@SUM(1)")).rows[0]
    assert (read.post, read.name.raw) == ("=cmd|' /C calc'!A0", "@SUM(1)")


@pytest.mark.parametrize("category", Category)
def test_the_seven_words_of_the_notice_are_categories(category: Category) -> None:
    extra = {"dispatched_by": DISPATCHER} if category is Category.DISPATCHED else {}
    assert of(row(category=category.value, **extra)).rows[0].category is category


# --- a row that is wrong


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"id_number": number(1)[:-1]}, "id_number", Code.IDENTIFIER_INVALID),
        ({"id_number": f"\t{number(1)}"}, "id_number", Code.IDENTIFIER_INVALID),
        ({"id_number": "6.52301E+17"}, "id_number", Code.IDENTIFIER_INVALID),
        ({"id_number": number(1, born="20220101")}, "id_number", Code.IDENTIFIER_INVALID),
        ({"id_kind": "officer_card"}, "id_kind", Code.IDENTIFIER_INVALID),
        ({"name": ""}, "name", Code.NAME_INVALID),
        ({"name": "甲\u200b乙"}, "name", Code.NAME_INVALID),
        ({"from": ""}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "2021-02-29"}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "20210101"}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "2021/01/01"}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "2021-1-1"}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "２０２１-01-01"}, "from", Code.ROSTER_ROW_INVALID),
        ({"from": "1899-12-31"}, "from", Code.ROSTER_ROW_INVALID),
        ({"to": "2200-01-01"}, "to", Code.ROSTER_ROW_INVALID),
        ({"to": "2021-06-31"}, "to", Code.ROSTER_ROW_INVALID),
        ({"to": "2020-12-31"}, "to", Code.ROSTER_ROW_INVALID),
        ({"category": "正式工"}, "category", Code.ROSTER_ROW_INVALID),
        ({"category": "正式工", "dispatched_by": "x"}, "category", Code.ROSTER_ROW_INVALID),
        ({"category": "劳务派遣"}, "dispatched_by", Code.ROSTER_ROW_INVALID),
        ({"category": "劳务派遣", "dispatched_by": "9" * 18}, "dispatched_by", Code.USCC_INVALID),
        ({"category": "留岗", "dispatched_by": DISPATCHER}, "category", Code.ROSTER_ROW_INVALID),
        ({"dispatched_by": DISPATCHER}, "category", Code.ROSTER_ROW_INVALID),
        ({"post": "岗" * 101}, "post", Code.ROSTER_ROW_INVALID),
        ({"post": "岗\n位"}, "post", Code.ROSTER_ROW_INVALID),
        ({"post": "岗\u202e位"}, "post", Code.ROSTER_ROW_INVALID),
    ],
)
def test_a_broken_rule_is_told_with_row_and_column(
    changes: dict[str, object], column: str, code: Code
) -> None:
    file = of(row(id_number=number(2)), row(**changes))
    assert problems(file) == [(2, column, code)]
    assert [item.row for item in file.rows] == [1]
    assert file.total == 2


@pytest.mark.parametrize(("first", "last"), [("1900-01-01", "2199-12-31"), ("2021-05-01", "2021-05-01")])
def test_the_limits_themselves_are_within(first: str, last: str) -> None:
    assert of(row(**{"from": first, "to": last, "post": "岗" * 100})).problems == ()


def test_every_problem_of_a_row_is_told_at_once() -> None:
    file = of_csv("1,,正式工,岗\t位,2021-13-01,x,")
    assert [problem.column for problem in file.problems] == [
        "证件号码", "姓名", "在岗起始日", "在岗截止日", "岗位", "人员类别",
    ]  # fmt: skip


def test_a_csv_row_of_another_width_is_a_problem_of_the_row() -> None:
    file = of_csv(FULL_CSV, f"{number(2)},测试员乙,,,2021-01-01,", f"{FULL_CSV},")
    assert problems(file) == [(2, "", Code.ROSTER_ROW_INVALID), (3, "", Code.ROSTER_ROW_INVALID)]
    assert file.total == 3


def test_two_rows_of_a_person_with_the_same_first_day_are_both_problems() -> None:
    old_form = number(1)[:6] + number(1)[8:17]
    file = of(row(post="a"), row(id_number=number(2)), row(id_number=old_form, post="b"))
    assert problems(file) == [(1, "from", Code.ROSTER_ROW_INVALID), (3, "from", Code.ROSTER_ROW_INVALID)]
    assert [item.row for item in file.rows] == [2]


def test_a_person_may_have_several_rows_with_different_first_days() -> None:
    file = of(row(to="2021-02-28"), row(**{"from": "2021-05-01"}))
    assert (len(file.rows), file.problems) == (2, ())


SECRET = "13912345678"


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.text(max_size=30).map(lambda text: SECRET + text)
            for name in ("id_number", "name", "id_kind", "from", "to", "category", "post", "dispatched_by")
        },
    )
)
def test_no_problem_and_no_error_repeats_what_a_row_says(changes: dict[str, object]) -> None:
    body = json.dumps({"rows": [row(**changes)]}).encode()
    try:
        told: tuple[RowProblem, ...] | str = read_json(body, today=TODAY).problems
    except RequestRejected as error:
        told = str(error)
    assert SECRET not in repr(told)


def test_every_problem_has_words_for_its_reader_and_a_known_code() -> None:
    file = of_csv("1,,正式工,岗\t位,2021-13-01,x,", "1,2")
    for problem in file.problems:
        assert problem.code in CATALOGUE
        assert problem.zh
        assert problem.en


def test_rows_hide_people_from_logs() -> None:
    assert number(1) not in repr(of(row(post="秘密")))
    assert "测试员甲" not in repr(of(row(post="秘密")))
    assert "秘密" not in repr(of(row(post="秘密")))
    raw = RawRow("number", "name", "2021-01-01")
    assert repr([raw]) == "[RawRow(...)]"
    assert "7" not in repr(roster._Person("7"))


# --- a file that is refused


def refused(call: Any, *arguments: Any, **named: Any) -> tuple[Code, str]:
    with pytest.raises(RequestRejected) as caught:
        call(*arguments, **named)
    return caught.value.code, caught.value.pointer


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({}, ""),
        ({"rows": [], "more": 1}, ""),
        ({"rows": {}}, "/rows"),
        ({"rows": []}, "/rows"),
        ({"rows": [[]]}, "/rows/0"),
        ({"rows": [row(), row(verified=True)]}, "/rows/1"),
        ({"rows": [{"id_number": number(1), "name": "甲"}]}, "/rows/0"),
        ({"rows": [row(name=None)]}, "/rows/0/name"),
        ({"rows": [row(id_number=1)]}, "/rows/0/id_number"),
        ({"rows": [row(**{"from": 20210101})]}, "/rows/0/from"),
        ({"rows": [row(to=True)]}, "/rows/0/to"),
        ({"rows": [row(start="2021-01-01")]}, "/rows/0"),
    ],
)
def test_json_of_another_shape_is_refused_as_a_whole(body: object, pointer: str) -> None:
    assert refused(read_json, json.dumps(body).encode(), today=TODAY) == (Code.SCHEMA_INVALID, pointer)


def test_json_that_is_not_strict_is_refused() -> None:
    assert refused(read_json, b'{"rows":[],"rows":[]}', today=TODAY)[0] is Code.JSON_INVALID
    assert refused(read_json, b"\xef\xbb\xbf{}", today=TODAY)[0] is Code.JSON_INVALID


@pytest.mark.parametrize(
    ("header", "pointer"),
    [
        ("", "证件号码"),
        ("姓名,在岗起始日", "证件号码"),
        ("证件号码,在岗起始日", "姓名"),
        ("证件号码,姓名", "在岗起始日"),
        ("证件号码,姓名,在岗起始日,手机", "column 4"),
        ("证件号码,姓名,姓名,在岗起始日", "column 3"),
        ("证件号码;姓名;在岗起始日", "column 1"),
    ],
)
def test_a_csv_header_must_name_the_columns(header: str, pointer: str) -> None:
    assert refused(of_csv, FULL_CSV, header=header) == (Code.SCHEMA_INVALID, pointer)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b"", "证件号码"),
        (b"\xff\xff", ""),
        (f'{HEADER}\r\n"a'.encode(), "line 2"),
        (f'{HEADER}\r\n"a"b'.encode(), "line 2"),
        (f"{HEADER}\r\n{'1' * 200_000}".encode(), "line 2"),
        (HEADER.encode(), ""),
        (f"{HEADER}\r\n,,,,,,\r\n".encode(), ""),
        # One character of another encoding: the file is not read as something else for that.
        (f"{HEADER}\r\n{FULL_CSV}".encode() + "岗".encode("gb18030"), ""),
    ],
)
def test_what_is_not_csv_with_rows_is_refused(raw: bytes, pointer: str) -> None:
    assert refused(read_csv, raw, today=TODAY) == (Code.SCHEMA_INVALID, pointer)


def test_files_over_the_limits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    too_large = (Code.REQUEST_TOO_LARGE, "")
    assert refused(read_csv, bytes(roster.MAX_ROSTER_BYTES + 1), today=TODAY) == too_large
    assert refused(read_json, bytes(roster.MAX_ROSTER_BYTES + 1), today=TODAY) == too_large
    monkeypatch.setattr(roster, "MAX_ROWS", 2)
    two = [row(), row(id_number=number(2))]
    assert of(*two).total == 2
    assert of_csv(FULL_CSV, "").total == 1
    assert refused(of, *two, row(id_number=number(3))) == too_large
    assert refused(of_csv, FULL_CSV, "", ",,,,,,") == too_large


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for read in (read_json, read_csv):
        for body in (raw, HEADER.encode() + b"\n" + raw, HEADER.encode("gb18030") + b"\n" + raw):
            try:
                file = read(body, today=TODAY)
            except RequestRejected:
                continue
            assert file.problems


# --- what a roster says


@given(st.permutations(range(5)))
def test_content_does_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    rows = [row(id_number=number(serial), post=f"岗{serial}") for serial in range(5)]
    assert content(of(*(rows[position] for position in order)).rows) == content(of(*rows).rows)


def test_content_is_the_same_from_either_form_of_file() -> None:
    assert content(of(FULL).rows) == content(of_csv("", FULL_CSV, encoding="gb18030").rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"id_number": number(2)},
        {"name": "测试员乙"},
        {"from": "2021-01-02"},
        {"to": None},
        {"post": "b"},
        {"category": "", "dispatched_by": ""},
    ],
)
def test_content_changes_with_every_column(changes: dict[str, object]) -> None:
    assert content(of({**FULL, **changes}).rows) != content(of(FULL).rows)


# --- people and declarations


def test_people_are_read_in_order_and_unchecked() -> None:
    passport = {"id_number": "E1", "id_kind": "passport", "id_country": "KAZ"}
    body = {"people": [{"id_number": "not one"}, {"id_number": number(1), "name": "甲"}, passport]}
    people = read_people(json.dumps(body).encode())
    assert [(one.id_kind, one.id_number, one.name, one.country) for one in people] == [
        ("resident_id", "not one", "", ""),
        ("resident_id", number(1), "甲", ""),
        ("passport", "E1", "", "KAZ"),
    ]


def test_a_list_of_people_has_its_form_and_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(read_people, b'{"people":[]}') == (Code.SCHEMA_INVALID, "/people")
    assert refused(read_people, b'{"people":[{"id_number":1}]}') == (
        Code.SCHEMA_INVALID,
        "/people/0/id_number",
    )
    monkeypatch.setattr(roster, "MAX_PEOPLE", 1)
    two = b'{"people":[{"id_number":"1"},{"id_number":"1"}]}'
    assert refused(read_people, two) == (Code.REQUEST_TOO_LARGE, "")


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ('{"from":"2021-02-01","to":"2021-12-31"}', date(2021, 12, 31)),
        ('{"from":"2021-02-01","to":null}', None),
        ('{"from":"2021-02-01"}', None),
        ('{"from":"2021-02-01","to":"2021-02-01"}', date(2021, 2, 1)),
    ],
)
def test_a_declaration_names_days(body: str, end: date | None) -> None:
    assert read_declaration(body.encode()) == roster.Days(date(2021, 2, 1), end)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"to":"2021-12-31"}', ""),
        ('{"from":"2021-02-30"}', "/from"),
        ('{"from":"2021-02-01","to":"x"}', "/to"),
        ('{"from":"2021-02-01","to":"2021-01-31"}', "/to"),
        ('{"from":"2021-02-01","uscc":"x"}', ""),
    ],
)
def test_a_declaration_that_names_no_days_is_refused(body: str, pointer: str) -> None:
    assert refused(read_declaration, body.encode()) == (Code.SCHEMA_INVALID, pointer)


# --- the guide


def fences(kind: str) -> list[str]:
    return [part.partition("```")[0] for part in GUIDE.read_text("utf-8").split(f"```{kind}\n")[1:]]


def test_the_guide_s_roster_is_taken_and_says_the_same_in_json_and_csv() -> None:
    (as_json,), (as_csv,) = fences("json"), fences("csv")
    files = [read_json(as_json.encode(), today=TODAY), read_csv(as_csv.encode("gb18030"), today=TODAY)]
    assert [(file.total, file.problems) for file in files] == [(2, ())] * 2
    assert content(files[0].rows) == content(files[1].rows)


def test_the_guide_s_declaration_and_question_are_read() -> None:
    bodies = {part.split()[1]: part.partition("\n\n")[2].encode() for part in fences("http")}
    address = "/v1/enterprises/91999901MA0000001P"
    assert read_declaration(bodies[f"{address}/scope-declarations"]).end == date(2021, 12, 31)
    assert len(read_people(bodies[f"{address}/status"])) == 2


def test_the_guide_names_every_column_and_category() -> None:
    text = GUIDE.read_text("utf-8")
    for form in (roster._JSON, TABLE):
        assert not [column for column in form.columns.values() if column not in text]
    assert not [word for word in Category if word not in text]
