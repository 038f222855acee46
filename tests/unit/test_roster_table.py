"""Rosters as workbooks, the words of a table, and the template that is read back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_roster import DISPATCHER, number
from verifier import roster, roster_template, spreadsheet
from verifier.errors import Code, RequestRejected
from verifier.model.facts import EmploymentMark
from verifier.roster import RosterFile, content, read_cells, read_csv, read_json
from verifier.roster_rows import CELLS, NOT_STANDING
from verifier.roster_table import AS_NUMBER, FORMULA, ID_KINDS, TABLE
from verifier.spreadsheet import UNUSABLE

TODAY = date(2021, 6, 1)
TITLES = tuple(TABLE.columns.values())
REQUIRED = ("证件号码", "姓名", "在岗起始日")


def filled(*rows: dict[str, Any]) -> bytes:
    """The template with rows filled in, as a spreadsheet program saves it."""
    made = openpyxl.load_workbook(io.BytesIO(roster_template.workbook()))
    for row in rows:
        made.worksheets[0].append([row.get(title) for title in TITLES])
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def read(*rows: dict[str, Any]) -> RosterFile:
    return read_cells(spreadsheet.read(filled(*rows), roster.BOUNDS), today=TODAY)


def row(**changes: Any) -> dict[str, Any]:
    return {"证件号码": number(1), "姓名": "测试员甲", "在岗起始日": "2021-01-01", **changes}


def problems(file: RosterFile) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.column, problem.en) for problem in file.problems]


def test_the_template_filled_in_is_taken_and_says_the_same_as_json() -> None:
    full = row(
        证件类型="居民身份证",
        人员类别="劳务派遣",
        岗位="操作工",
        在岗起始日=datetime(2021, 2, 8),  # noqa: DTZ001 - a cell of a day has no offset
        在岗截止日=date(2021, 12, 31),
        派遣单位统一社会信用代码=DISPATCHER,
        人员状态="离职",
    )
    file = read(full, row(证件号码=number(2)))
    assert (file.total, file.problems) == (2, ())
    assert [one.mark for one in file.rows] == [EmploymentMark.LEFT, EmploymentMark.EMPLOYED]
    as_json = f"""{{"rows": [
        {{"id_number": "{number(1)}", "name": "测试员甲", "from": "2021-02-08", "to": "2021-12-31",
          "category": "劳务派遣", "post": "操作工", "dispatched_by": "{DISPATCHER}", "status": "离职"}},
        {{"id_number": "{number(2)}", "name": "测试员甲", "from": "2021-01-01", "id_kind": "resident_id"}}
    ]}}"""
    assert content(file.rows) == content(read_json(as_json.encode(), today=TODAY).rows)


def test_the_template_alone_lists_nobody() -> None:
    with pytest.raises(RequestRejected) as refused:
        read()
    assert (refused.value.code, refused.value.detail) == (Code.SCHEMA_INVALID, "nothing is listed")


def test_the_template_formats_numbers_as_text_and_offers_the_fixed_words() -> None:
    [sheet] = openpyxl.load_workbook(io.BytesIO(roster_template.workbook())).worksheets
    assert sheet.column_dimensions["B"].number_format == "@"
    assert [cell.value for cell in sheet[1]] == list(TITLES)
    assert all(cell.comment for cell in sheet[1])
    offered = {rule.formula1 for rule in sheet.data_validations.dataValidation}
    assert f'"{",".join(ID_KINDS)}"' in offered
    assert f'"{",".join(EmploymentMark)}"' in offered
    assert all(rule.showErrorMessage for rule in sheet.data_validations.dataValidation)


@pytest.mark.parametrize(
    ("changes", "column", "flaw"),
    [
        ({"证件号码": int(number(2)[:15])}, "证件号码", AS_NUMBER),
        ({"姓名": 12.5}, "姓名", AS_NUMBER),
        ({"岗位": True}, "岗位", AS_NUMBER),
        ({"岗位": datetime(2021, 1, 1)}, "岗位", AS_NUMBER),  # noqa: DTZ001 - as above
        ({"证件号码": "=A1"}, "证件号码", FORMULA),
        ({"在岗起始日": "=TODAY()"}, "在岗起始日", FORMULA),
        ({"证件类型": "=A1"}, "证件类型", FORMULA),
    ],
)
def test_a_number_or_a_formula_is_told_by_its_cell_and_nothing_besides(
    changes: dict[str, Any], column: str, flaw: Sequence[Any]
) -> None:
    file = read(row(**changes), row(证件号码=number(2)))
    assert problems(file) == [(1, column, flaw[2])]
    assert [one.row for one in file.rows] == [2]


@pytest.mark.parametrize("cell", [44197, datetime(2021, 1, 1, 8)])  # noqa: DTZ001 - as above
def test_a_day_is_a_cell_of_a_day_or_a_text_and_no_number_or_moment(cell: object) -> None:
    assert [(one.row, one.column) for one in read(row(在岗起始日=cell)).problems] == [(1, "在岗起始日")]


def test_a_row_that_ends_before_the_header_lacks_what_it_lacks() -> None:
    header = ("证件号码", "在岗起始日", "姓名")
    file = read_cells([header, (number(1), "2021-01-01")], today=TODAY)
    assert [(one.row, one.column) for one in file.problems] == [(1, "姓名")]


def test_a_row_beyond_the_header_is_a_problem_and_an_empty_one_is_passed_over() -> None:
    cells = [REQUIRED, (number(1), "甲", "2021-01-01", "x"), (), (number(2), "乙", "2021-01-01")]
    file = read_cells(cells, today=TODAY)
    assert problems(file) == [(1, "", CELLS.en)]
    assert (file.total, [one.row for one in file.rows]) == (2, [3])


@pytest.mark.parametrize(
    "header", [(), (*REQUIRED, "备注"), (*REQUIRED, 7), (*REQUIRED, "姓名"), REQUIRED[:2]]
)
def test_a_workbook_s_header_must_name_the_columns(header: tuple[Any, ...]) -> None:
    with pytest.raises(RequestRejected) as refused:
        read_cells([header, (number(1), "甲", "2021-01-01")], today=TODAY)
    assert refused.value.code is Code.SCHEMA_INVALID


def test_a_withdrawal_is_a_yes_in_a_table_and_true_in_json() -> None:
    by_table = read(row(撤回="是"))
    body = (
        f'{{"rows":[{{"id_number":"{number(1)}","name":"测试员甲","from":"2021-01-01","withdrawn":true}}]}}'
    )
    by_json = read_json(body.encode(), today=TODAY)
    assert [one.withdrawn for one in (*by_table.rows, *by_json.rows)] == [True, True]
    assert content(by_table.rows) == content(by_json.rows) != content(read(row()).rows)
    assert (by_table.columns["withdrawn"], by_json.columns["withdrawn"]) == ("撤回", "withdrawn")
    assert [(one.row, one.column) for one in read(row(撤回="否")).problems] == [(1, "撤回")]
    assert NOT_STANDING.zh


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        ("身份证,,在职", "证件类型", Code.IDENTIFIER_INVALID),
        ("resident_id,,在职", "证件类型", Code.IDENTIFIER_INVALID),
        ("居民身份证,KAZ,在职", "护照签发国", Code.IDENTIFIER_INVALID),
        (",KAZ,在职", "护照签发国", Code.IDENTIFIER_INVALID),
        (",,在岗", "人员状态", Code.ROSTER_ROW_INVALID),
    ],
)
def test_words_that_the_table_does_not_know_are_told_by_their_column(
    line: str, column: str, code: Code
) -> None:
    header = "证件号码,姓名,在岗起始日,证件类型,护照签发国,人员状态"
    raw = f"{header}\n{number(1)},测试员甲,2021-01-01,{line}"
    file = read_csv(raw.encode(), today=TODAY)
    assert [(one.row, one.column, one.code) for one in file.problems] == [(1, column, code)]


CELLS_OF_ANY_KIND = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.just(UNUSABLE),
    st.sampled_from([number(1), "测试员甲", "2021-01-01", "是", "护照", "KAZ", "退休", *TITLES]),
)


@given(st.lists(st.lists(CELLS_OF_ANY_KIND, max_size=13), min_size=1, max_size=4), st.booleans())
def test_any_cells_are_rows_or_problems_or_refused_and_nothing_else(
    lines: list[list[spreadsheet.Cell]],
    headed: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    try:
        file = read_cells([TITLES, *lines] if headed else lines, today=TODAY)
    except RequestRejected:
        return
    told = {one.row for one in file.problems}
    assert told.isdisjoint(one.row for one in file.rows)
    assert len(told) + len(file.rows) == file.total


def test_the_words_of_ids_are_those_of_json() -> None:
    assert set(ID_KINDS.values()) == {"resident_id", "hmt_permit", "foreign_card", "passport"}
