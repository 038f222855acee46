"""One row of a platform's manifest: what it may say of a certificate, and what is wrong with it. Pure.

A manifest is the platform's own list of what it issued, to be compared with what came. Its columns:

======================  ==========  =================================================================
English and JSON        Chinese     rule
======================  ==========  =================================================================
``certificate_number``  证书编号    1 to 64 printable characters without spaces around them; required
``id_number``           证件号码    rules 1 to 5 of ``verifier.identity``
``name``                姓名        rules N1 to N6 of ``verifier.names``
``completed_at``        结业时间    a day, ``YYYY-MM-DD`` or ``YYYY/M/D`` (Beijing), or RFC 3339
``issuer``              签发者      one of the platform's issuers; needed where it has several
``status``              状态        有效 or ``valid``, 撤销 or ``revoked``
``revision``            版本        digits, from 1
======================  ==========  =================================================================

What a row leaves empty is not compared. A number stands once for each issuer. A text that begins with ``=``
is refused in every column: it is a formula, and formulas are not evaluated. A row is told its first problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from verifier import identity
from verifier.errors import Code, IdentityRejected
from verifier.model.fields import IDENTIFIER
from verifier.model.person import Identifier, PersonName
from verifier.model.time import TimeFormat, parse_moment
from verifier.ports.pull import Cells, Column
from verifier.roster_rows import Flaw, RowProblem

CHINESE: Final = {
    Column.NUMBER: "证书编号",
    Column.ID_NUMBER: "证件号码",
    Column.NAME: "姓名",
    Column.COMPLETED_AT: "结业时间",
    Column.ISSUER: "签发者",
    Column.STATUS: "状态",
    Column.REVISION: "版本",
}
"""The Chinese header of each column."""
REVOKED: Final[Mapping[str, bool]] = {"有效": False, "valid": False, "撤销": True, "revoked": True}
"""What the words of a status say."""

_LONGEST: Final = 64
_LONGEST_ISSUER: Final = 200
_DAY: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))")
_REVISION: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MAX_REVISION: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A row that passed every rule; None is what it does not say.

    Attributes:
        row: its number in the manifest, from 1.
        issuer: an id of the register; empty only where none was asked for.
        completed: a day in Beijing's calendar, or a moment in aware UTC.
    """

    row: int
    issuer: str
    number: str
    identifier: Identifier | None = None
    name: PersonName | None = None
    completed: date | datetime | None = None
    revoked: bool | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A manifest after the rules: rows, or problems of others."""

    rows: tuple[ManifestRow, ...] = field(repr=False)
    problems: tuple[RowProblem, ...]


def _flaw(zh: str, en: str, code: Code = Code.FIELD_INVALID) -> Flaw:
    return Flaw(code, zh, en)


UNUSABLE: Final = _flaw(
    "单元格是公式、错误值或不适合本列的类型；公式不予计算，请将该列设为文本格式并填写原值。",
    "The cell is a formula, an error or of a type that does not fit; format the column as text.",
)
NOT_A_ROW: Final = _flaw(
    "不是规范的 JSON 对象，或字段未知、重复、类型不符。",
    "Not one strict JSON object, or a member is unknown, doubled or of the wrong type.",
    Code.JSON_INVALID,
)
_NUMBER_MISSING = _flaw("缺少证书编号。", "The certificate number is missing.", Code.FIELD_MISSING)
_NUMBER = _flaw(
    "证书编号超过 64 个字符、首尾有空格或含有不可见字符。",
    "The certificate number is too long, has spaces around it or holds what cannot be printed.",
)
_ID_NUMBER = _flaw(
    "证件号码不符合规则（长度、字符、校验码或出生日期）。",
    "The id number breaks its rule (length, characters, check character or birth date).",
    Code.IDENTIFIER_INVALID,
)
_NAME = _flaw(
    "姓名过长或含有不允许的字符。",
    "The name is too long or holds characters that are not allowed.",
    Code.NAME_INVALID,
)
_COMPLETED = _flaw(
    "结业时间应为日期（YYYY-MM-DD）或带时区的 RFC 3339 时间。",
    "The completion is neither a day (YYYY-MM-DD) nor a moment of RFC 3339 with its offset.",
)
_STATUS = _flaw("状态应为“有效”或“撤销”。", "The status is neither valid nor revoked.")
_REVISION_FLAW = _flaw("版本应为从 1 起的整数。", "The revision is not an integer from 1.")
_ISSUER_MISSING = _flaw(
    "该平台有多个签发者，须填写签发者。",
    "The platform has several issuers: the row must name one.",
    Code.FIELD_MISSING,
)
_ISSUER = _flaw(
    "签发者未登记，或该平台无权转交其证书。",
    "The issuer is not registered, or this platform may not speak for it.",
    Code.ISSUER_UNKNOWN,
)
_TWICE = _flaw("同一证书编号在清单中出现多行。", "The certificate number stands in another row too.")


def problem(row: int, column: Column | None, flaw: Flaw) -> RowProblem:
    """What is wrong with a row, in words that never repeat what it says.

    Args:
        row: its number.
        column: where; None where it is the row as a whole.
        flaw: the rule that is broken.
    """
    return RowProblem(row, column.value if column else "", flaw.code, flaw.zh, flaw.en)


def check(rows: Sequence[Cells], issuers: Collection[str] | None, today: date) -> Checked:
    """Read the rows of a manifest by their rules.

    Args:
        rows: in their order.
        issuers: those that the platform may speak for; None where that is asked elsewhere.
        today: the Beijing date; nobody is born later.
    """
    taken: dict[tuple[str, str], ManifestRow] = {}
    problems: list[RowProblem] = []
    for cells in rows:
        found = _row(cells, issuers, today)
        if isinstance(found, RowProblem):
            problems.append(found)
        elif (found.issuer, found.number) in taken:
            problems.append(problem(found.row, Column.NUMBER, _TWICE))
        else:
            taken[found.issuer, found.number] = found
    return Checked(tuple(taken.values()), tuple(problems))


def _row(cells: Cells, issuers: Collection[str] | None, today: date) -> ManifestRow | RowProblem:
    members: dict[str, Any] = {}
    for column, (member, read) in _READERS.items():
        text = cells.texts.get(column, "")
        value = _UNSAID if not text else UNUSABLE if text.startswith("=") else read(text, today)
        if value is _UNSAID and column is Column.NUMBER:
            value = _NUMBER_MISSING
        if isinstance(value, Flaw):
            return problem(cells.row, column, value)
        if value is not _UNSAID:
            members[member] = value
    issuer = _issuer(members.pop("issuer", ""), issuers)
    if isinstance(issuer, Flaw):
        return problem(cells.row, Column.ISSUER, issuer)
    return ManifestRow(cells.row, issuer, **members)


def _issuer(named: str, issuers: Collection[str] | None) -> str | Flaw:
    if issuers is None:
        return named
    if not named:
        return next(iter(issuers)) if len(issuers) == 1 else _ISSUER_MISSING
    return named if named in issuers else _ISSUER


def _number(text: str, _: date) -> str | Flaw:
    fits = len(text) <= _LONGEST and text.isprintable() and IDENTIFIER.fullmatch(text)
    return text if fits else _NUMBER


def _identifier(text: str, today: date) -> Identifier | Flaw:
    try:
        return identity.any_document(text, today=today)
    except IdentityRejected:
        return _ID_NUMBER


def _name(text: str, _: date) -> PersonName | Flaw:
    try:
        return identity.person_name(text)
    except IdentityRejected:
        return _NAME


def _completed(text: str, _: date) -> date | datetime | Flaw:
    try:
        if match := _DAY.fullmatch(text):
            year, *rest = (int(part) for part in match.groups() if part is not None)
            return date(year, *rest)
        return parse_moment(text, TimeFormat.RFC3339)
    except ValueError:
        return _COMPLETED


def _status(text: str, _: date) -> bool | Flaw:
    return REVOKED.get(text, _STATUS)


def _revision(text: str, _: date) -> int | Flaw:
    fits = _REVISION.fullmatch(text) is not None and int(text) <= _MAX_REVISION
    return int(text) if fits else _REVISION_FLAW


def _named(text: str, _: date) -> str | Flaw:
    return text if len(text) <= _LONGEST_ISSUER else _ISSUER


_UNSAID: Final = object()
_READERS: Final[Mapping[Column, tuple[str, Callable[[str, date], object]]]] = {
    Column.NUMBER: ("number", _number),
    Column.ID_NUMBER: ("identifier", _identifier),
    Column.NAME: ("name", _name),
    Column.COMPLETED_AT: ("completed", _completed),
    Column.STATUS: ("revoked", _status),
    Column.REVISION: ("revision", _revision),
    Column.ISSUER: ("issuer", _named),
}
