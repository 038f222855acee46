"""The roster as a workbook to fill in: one sheet, so that what is filled in can be read back. Pure.

Columns of numbers are formatted as text, columns with fixed words offer them, and every column says in a note
what goes into it. Notes and offers are no cells: the reader sees the header and what was filled in, no more.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from verifier.model.facts import Category, EmploymentMark
from verifier.roster import MAX_ROWS
from verifier.roster_table import ID_KINDS, TABLE, YES

SHEET: Final = "花名册"
_TEXT: Final = "@"
_DAY: Final = "yyyy-mm-dd"
_NOTES: Final[Mapping[str, str]] = {
    "id_kind": "选填。不填为居民身份证。",
    "id_number": "必填。本列已设为文本格式，请勿改为数值。",
    "id_country": "仅护照填写：ISO 3166-1 三位字母代码，如 KAZ。",
    "name": "必填。少数民族姓名用间隔号 ·。",
    "category": "选填，从列表选择；留空则待定。",
    "post": "选填，至多 100 个字符。",
    "start": "必填。在本单位在岗的第一日，如 2021-02-08。",
    "end": "选填，含当日；仍在岗的留空。离岗后请填上并重新上传。",
    "dispatched_by": "人员类别为劳务派遣的必填，其他类别不填。",
    "status": "选填。不填为在职。",
    "withdrawn": "起始日填错的行：按原样填写证件号码、姓名、在岗起始日，此栏填“是”。",
}
_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "id_kind": tuple(ID_KINDS),
    "category": tuple(Category),
    "status": tuple(EmploymentMark),
    "withdrawn": (YES,),
}


@cache
def workbook() -> bytes:
    """The template, an XLSX file."""
    made = Workbook()
    sheet = made.worksheets[0]
    sheet.title = SHEET
    sheet.freeze_panes = "A2"
    for place, (column, title) in enumerate(TABLE.columns.items(), 1):
        letter = get_column_letter(place)
        cell = sheet.cell(1, place, title)
        cell.font = Font(bold=True)
        cell.comment = Comment(_NOTES[column], "training-verifier", height=80, width=260)
        # The format of the whole column: it holds for rows that are filled in later.
        sheet.column_dimensions[letter].number_format = _DAY if column in {"start", "end"} else _TEXT
        sheet.column_dimensions[letter].width = 22
        if column in _WORDS:
            offered = DataValidation("list", formula1=f'"{",".join(_WORDS[column])}"', allow_blank=True)
            offered.showErrorMessage = True
            offered.errorTitle = title
            offered.error = f"应为下列之一或留空：{'、'.join(_WORDS[column])}。"
            offered.add(f"{letter}2:{letter}{MAX_ROWS + 1}")
            sheet.add_data_validation(offered)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()
