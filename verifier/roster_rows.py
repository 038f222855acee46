"""One row of a roster: what it may say, and everything that is wrong with it. Pure.

A row of a roster says: this person is on our staff from a day to a day, both included. Its columns:

=================  =========================  ==========================================================
JSON               CSV, XLSX                  rule
=================  =========================  ==========================================================
``id_number``      证件号码                   rules 1 to 5 of ``verifier.identity``
``name``           姓名                       rules N1 to N6 of ``verifier.names``
``from``           在岗起始日                 a day, ``YYYY-MM-DD``
``to``             在岗截止日                 the same, not before ``from``; none while the person is there
``category``       人员类别                   one of the seven words of ``Category``, or empty
``post``           岗位                       up to 100 characters, none of them a control character
``dispatched_by``  派遣单位统一社会信用代码   rules 6 to 8; with 劳务派遣 and only with it
``id_kind``        证件类型                   a kind that ``verifier.learner`` takes; none: a resident id
``id_country``     护照签发国                 of a passport and only of one
``status``         人员状态                   one of the four words of ``EmploymentMark``; none: 在职
``withdrawn``      撤回                       whether the row is taken back: it was listed in error
=================  =========================  ==========================================================

A row that is taken back is known by its person and first day; what else it says must still be right, and
does not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

import msgspec
from typing_extensions import override

from verifier import identity, learner
from verifier.errors import Code, IdentityRejected
from verifier.model.facts import Category, EmploymentMark
from verifier.model.person import ClaimedKind, Identifier, IdentityClaims, PersonName, Uscc

MAX_POST: Final = 100
"""In characters."""


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A row that passed every rule.

    Attributes:
        row: its number in the file, from 1.
        start: first day, in Beijing's calendar.
        end: last day, included; None while it is open.
    """

    row: int
    identifier: Identifier
    name: PersonName
    start: date
    end: date | None
    category: Category | None
    post: str = field(repr=False)
    dispatched_by: Uscc | None
    mark: EmploymentMark = EmploymentMark.EMPLOYED
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row is not taken. It never repeats what the row says.

    Attributes:
        row: the row's number in the file, from 1.
        column: as the file itself calls it; empty where the problem is the row's as a whole.
    """

    row: int
    column: str
    code: Code
    zh: str
    en: str


class RawRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row before any rule was asked; JSON's members are these."""

    id_number: str
    name: str
    start: str = msgspec.field(name="from")
    id_kind: str = ClaimedKind.RESIDENT_ID.value
    end: str | None = msgspec.field(name="to", default=None)
    category: str = ""
    post: str = ""
    dispatched_by: str = ""
    id_country: str = ""
    status: str = ""
    withdrawn: bool = False

    @override
    def __repr__(self) -> str:
        return "RawRow(...)"


@dataclass(frozen=True, slots=True)
class Form:
    """How a file calls its columns, and how it writes days."""

    columns: Mapping[str, str]
    day: re.Pattern[str]


# --- what can be wrong --------------------------------------------------------------------------------------


class Flaw(NamedTuple):
    """One way to break a rule, told without repeating what was written."""

    code: Code
    zh: str
    en: str


Flaws = list[tuple[str, Flaw]]
"""What is wrong with a row so far, each with the attribute of ``RawRow`` that it is about."""

_ID_KIND = Flaw(Code.IDENTIFIER_INVALID, "不支持此证件类型。", "This kind of id is not taken.")
_ID_NUMBER = Flaw(
    Code.IDENTIFIER_INVALID,
    "证件号码不符合规则（长度、字符、校验码或出生日期）；用表格软件填写的，请将该列设为文本格式。",
    "The id number breaks its rule (length, characters, check character or birth date); "
    "in a spreadsheet, format the column as text.",
)
_ID_COUNTRY = Flaw(
    Code.IDENTIFIER_INVALID,
    "护照须填写签发国（ISO 3166-1 三位大写字母代码，如 KAZ），其他证件不填。",
    "A passport needs its issuing country (ISO 3166-1 alpha-3, such as KAZ); other ids have none.",
)
_NAME = Flaw(
    Code.NAME_INVALID,
    "姓名为空、过长或含有不允许的字符。",
    "The name is empty, too long or holds characters that are not allowed.",
)
DAY: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    "不是有效日期，应写作 YYYY-MM-DD（1900 年至 2199 年）。",
    "Not a day such as YYYY-MM-DD (1900 to 2199).",
)
_ORDER = Flaw(Code.ROSTER_ROW_INVALID, "在岗截止日早于在岗起始日。", "The last day is before the first.")
_CATEGORY = Flaw(
    Code.ROSTER_ROW_INVALID,
    f"人员类别应为下列之一或留空：{'、'.join(Category)}。",
    "The category is none of the seven words.",
)
_POST = Flaw(
    Code.ROSTER_ROW_INVALID,
    f"岗位超过 {MAX_POST} 个字符或含有控制字符。",
    f"The post has over {MAX_POST} characters, or a control character.",
)
_USCC = Flaw(
    Code.USCC_INVALID,
    "派遣单位统一社会信用代码不符合规则。",
    "The dispatching company's unified social credit code breaks its rule.",
)
_DISPATCH_MISSING = Flaw(
    Code.ROSTER_ROW_INVALID,
    "人员类别为劳务派遣的，须填写派遣单位统一社会信用代码。",
    "A dispatched worker needs the dispatching company's code.",
)
_DISPATCH_MEANT = Flaw(
    Code.ROSTER_ROW_INVALID,
    "填写了派遣单位的，人员类别须为劳务派遣。",
    "A dispatching company is given, but the category is not 劳务派遣.",
)
_STATUS = Flaw(
    Code.ROSTER_ROW_INVALID,
    f"人员状态应为下列之一或留空：{'、'.join(EmploymentMark)}。",
    "The status is none of the four words.",
)
NOT_STANDING: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    "要撤回的行不存在：本单位花名册中没有该人员以此日为在岗起始日的行，请核对证件号码与在岗起始日。",
    "There is no such row to withdraw: nothing lists this person from that first day.",
)
CELLS: Final = Flaw(
    Code.ROSTER_ROW_INVALID, "列数与表头不一致。", "The row has more or fewer cells than the header."
)
TWICE: Final = Flaw(
    Code.ROSTER_ROW_INVALID,
    "同一人员的同一在岗起始日在文件中出现多行，请只保留一行。",
    "Several rows give this person the same first day: keep one.",
)

_PASSPORT: Final = "passport"
_OF_IDENTITY: Final[Mapping[str, tuple[str, Flaw]]] = {
    "id_kind": ("id_kind", _ID_KIND),
    "id_country": ("id_country", _ID_COUNTRY),
}
"""Where the error of an identity points, if not to the number."""
_HIDDEN: Final = re.compile("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


# --- one row ------------------------------------------------------------------------------------------------


def read_row(number: int, raw: RawRow, form: Form, today: date, flaws: Flaws) -> RosterRow | None:
    """Read a row by its rules.

    Args:
        number: the row's number in the file.
        raw: the row as it came.
        form: how its file writes days.
        today: the Beijing date; nobody is born later.
        flaws: empty; takes everything that is wrong.

    Returns:
        The row, or None if a rule is broken.
    """
    who = _who(raw, today, flaws)
    start = read_day(raw.start, form)
    end = read_day(raw.end, form) if raw.end else None
    if start is None:
        flaws.append(("start", DAY))
    if raw.end and end is None:
        flaws.append(("end", DAY))
    if start is not None and end is not None and end < start:
        flaws.append(("end", _ORDER))
    if len(raw.post) > MAX_POST or _HIDDEN.search(raw.post):
        flaws.append(("post", _POST))
    category, dispatched_by = _staff(raw, flaws)
    mark = _mark(raw.status, flaws)
    if flaws or who is None or start is None:
        return None
    return RosterRow(
        number,
        who.identifier,
        who.name,
        start,
        end,
        category,
        raw.post,
        dispatched_by,
        mark,
        raw.withdrawn,
    )


def _who(raw: RawRow, today: date, flaws: Flaws) -> learner.Identified | None:
    claims = IdentityClaims(raw.id_kind, raw.id_number, raw.name, raw.id_country)
    if raw.id_country and raw.id_kind != _PASSPORT:
        flaws.append(("id_country", _ID_COUNTRY))
    try:
        return learner.identify(claims, today)
    except IdentityRejected as error:
        if error.code is not Code.NAME_INVALID:
            flaws.append(_OF_IDENTITY.get(error.pointer, ("id_number", _ID_NUMBER)))
    try:
        # Asked once more, so that whoever mends the number learns of the name at the same time.
        identity.person_name(raw.name)
    except IdentityRejected:
        flaws.append(("name", _NAME))
    return None


def read_day(text: str, form: Form) -> date | None:
    """A day of the calendar, or None if the text is none or lies outside 1900 to 2199."""
    match = form.day.fullmatch(text)
    if match is None:
        return None
    try:
        day = date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
    return day if 1900 <= day.year < 2200 else None  # noqa: PLR2004 - the range of verifier.model.time


def _mark(word: str, flaws: Flaws) -> EmploymentMark:
    try:
        return EmploymentMark(word) if word else EmploymentMark.EMPLOYED
    except ValueError:
        flaws.append(("status", _STATUS))
        return EmploymentMark.EMPLOYED


def _staff(raw: RawRow, flaws: Flaws) -> tuple[Category | None, Uscc | None]:
    try:
        category = Category(raw.category) if raw.category else None
    except ValueError:
        flaws.append(("category", _CATEGORY))
        return None, None
    if not raw.dispatched_by:
        if category is Category.DISPATCHED:
            flaws.append(("dispatched_by", _DISPATCH_MISSING))
        return category, None
    if category is not Category.DISPATCHED:
        flaws.append(("category", _DISPATCH_MEANT))
    try:
        return category, identity.uscc(raw.dispatched_by)
    except IdentityRejected:
        flaws.append(("dispatched_by", _USCC))
        return category, None
