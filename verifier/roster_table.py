"""A roster as a table, CSV or XLSX: its Chinese header, its words, and what cells may hold. Pure.

1. Columns stand in any order; an unknown, doubled or missing one refuses the file.
2. A kind of id and a withdrawal are written in words of their own here; all else is as in JSON.
3. Of an XLSX cell text is taken as it is. A day may also be a cell of that type. A number is refused: it may
   have lost digits. So is a formula: nothing is computed, and what was computed earlier is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from itertools import zip_longest
from typing import Final, NoReturn

from verifier.errors import Code, RequestRejected
from verifier.roster_rows import DAY, Flaw, Flaws, Form, RawRow
from verifier.spreadsheet import UNUSABLE, Cell

TABLE: Final = Form(
    {
        "id_kind": "证件类型",
        "id_number": "证件号码",
        "id_country": "护照签发国",
        "name": "姓名",
        "category": "人员类别",
        "post": "岗位",
        "start": "在岗起始日",
        "end": "在岗截止日",
        "dispatched_by": "派遣单位统一社会信用代码",
        "status": "人员状态",
        "withdrawn": "撤回",
    },
    re.compile(r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})"),
)
_FIELDS: Final = {title: name for name, title in TABLE.columns.items()}
_REQUIRED: Final = ("证件号码", "姓名", "在岗起始日")
ID_KINDS: Final[Mapping[str, str]] = {
    "居民身份证": "resident_id",
    "港澳台居民居住证": "hmt_permit",
    "外国人永久居留身份证": "foreign_card",
    "护照": "passport",
}
"""How a table calls the kinds of ids, and how JSON does."""
YES: Final = "是"

_YES: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    f"撤回一栏只填“{YES}”或留空。",
    f"The column of withdrawals takes {YES} or nothing.",
)
AS_NUMBER: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    "该单元格不是文本（可能已丢失位数），请将该列设为文本格式后重新填写。",
    "The cell is not text, and may have lost digits: format the column as text and write it again.",
)
FORMULA: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    "该单元格是公式或错误值，请改填实际内容（复制后选择性粘贴为数值）。",
    "The cell is a formula or an error: write what is meant (copy, and paste values only).",
)


def header(titles: Sequence[str]) -> list[str]:
    """The attributes of ``RawRow`` that the columns stand for, in their order.

    Raises:
        RequestRejected: SCHEMA_INVALID, a column is unknown, doubled or missing.
    """
    for position, title in enumerate(titles, 1):
        if title not in _FIELDS:
            _refuse("an unknown column", f"column {position}")
        if title in titles[: position - 1]:
            _refuse("a column stands twice", f"column {position}")
    for title in _REQUIRED:
        if title not in titles:
            _refuse("a column is missing", title)
    return [_FIELDS[title] for title in titles]


def _refuse(detail: str, pointer: str) -> NoReturn:
    raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer=pointer)


def raw_row(texts: Mapping[str, str], flaws: Flaws) -> RawRow:
    """A row of texts by the attributes of ``RawRow``; what is wrong with a word of the table is added."""
    members = dict(texts)
    withdrawn = members.pop("withdrawn", "")
    if withdrawn not in {"", YES}:
        flaws.append(("withdrawn", _YES))
    kind = members.pop("id_kind", "")
    if kind:
        # What is no word of the table is no kind of id, and is refused by the row's own rules.
        members["id_kind"] = ID_KINDS.get(kind, "?")
    return RawRow(**members, withdrawn=withdrawn == YES)


def texts_of(columns: Sequence[str], cells: Sequence[Cell], flaws: Flaws) -> dict[str, str]:
    """The cells of an XLSX row as texts; a cell that says nothing reliable is a flaw, and empty.

    A row ends with its last filled cell: what is missing behind it is empty.
    """
    return {column: _text(column, cell, flaws) for column, cell in zip_longest(columns, cells)}


def _text(column: str, cell: Cell, flaws: Flaws) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if cell is UNUSABLE:
        flaws.append((column, FORMULA))
    elif column in {"start", "end"}:
        if isinstance(cell, date) and (not isinstance(cell, datetime) or cell.time() == time()):
            return f"{cell.year:04}-{cell.month:02}-{cell.day:02}"
        flaws.append((column, DAY))
    else:
        flaws.append((column, AS_NUMBER))
    return ""
