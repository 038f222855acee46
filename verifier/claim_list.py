"""The claim list: an enterprise's people whose month is granted there, for it to take away and fill in. Pure.

1. Only for an enterprise that the bureau has admitted, and only its own grants: what holds a month there.
2. The columns are those known from claim forms seen elsewhere (docs/domain.md). The form of this place was
   not found. What this service does not know (bank, account, size, trade, amounts) is left empty, and said
   to be.
3. Everyone on the list stands in the access log, in the same transaction. Who contests being listed by the
   enterprise is not on it.
4. Every text is a cell of text, also one that a spreadsheet would take for a formula.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from verifier.errors import AccessDenied, Code
from verifier.keyring import Register
from verifier.model.decision import Entitlement
from verifier.model.facts import Category
from verifier.model.person import Identifier, LearnerId, Uscc
from verifier.model.time import beijing_date, iso
from verifier.policy.offices import Offices, load_offices
from verifier.ports.listing import ListingTransaction, LiveGrant

PURPOSE: Final = "enterprise-claim-list"
SHOWN: Final = "claim-list"
"""What the access log says of a list."""

PEOPLE: Final[Mapping[str, str]] = {
    "position": "序号",
    "name": "姓名",
    "id_number": "证件号码",
    "month": "补贴月份",
    "course": "课程",
    "completed_on": "结业日期",
    "platform": "平台",
    "category": "人员类别",
    "dispatched": "是否劳务派遣",
    "dispatched_by": "派遣单位统一信用代码",
    "record": "资格记录编号",
    "office": "受理机构代码",
    "office_name": "受理机构",
}
SUMMARY: Final = (
    "单位名称",
    "统一信用代码",
    "开户银行",
    "银行账号",
    "企业规模",
    "所属行业",
    "补贴年月",
    "是否当月首次申领",
    "是否劳务派遣",
    "派遣单位名称",
    "派遣单位统一信用代码",
    "人次",
    "金额",
)
NOT_KNOWN: Final = (
    "开户银行",
    "银行账号",
    "企业规模",
    "所属行业",
    "是否当月首次申领",
    "派遣单位名称",
    "金额",
)
"""Columns that are left for the enterprise to fill in."""
NOTE: Final = (
    f"说明：{'、'.join(NOT_KNOWN)}各列本系统不掌握，留空由单位填写；金额不在此推算：有补贴标准的，申领时锁定。"
    "各列参照其他地区的申领表，并非本地正式表样，以受理机构要求为准。"
)


@dataclass(frozen=True, slots=True)
class ClaimList:
    """A month's list of one enterprise.

    Attributes:
        people: by the keys of ``PEOPLE``; personal.
        groups: how many people are dispatched by whom; none for the enterprise's own.
    """

    uscc: Uscc
    name: str
    month: date
    as_of: datetime
    people: tuple[Mapping[str, Any], ...] = field(repr=False)
    groups: tuple[tuple[Uscc | None, int], ...]


def claim_list(
    tx: ListingTransaction,
    uscc: Uscc,
    month: date,
    *,
    at: datetime,
    entitlement: Entitlement,
    register: Register,
    client_id: str,
) -> ClaimList:
    """List an enterprise's live grants of a month, and log the showing.

    Args:
        tx: the transaction.
        uscc: the enterprise; that the client may speak for it is the caller's to check.
        month: its first day.
        at: aware UTC.
        entitlement: which one.
        register: the adopted one, for the platforms' names.
        client_id: who asks.

    Raises:
        AccessDenied: SCOPE_INSUFFICIENT, the enterprise was never admitted.
    """
    today = beijing_date(at)
    begun = [fact for fact in tx.admissions(uscc) if fact.start <= today]
    if not begun:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT, "the enterprise is not admitted")
    name = max(begun, key=lambda fact: (fact.recorded_at, fact.fact_id)).name
    # To the enterprise these are strangers, as in its status answers; also where the month is claimed.
    contested = tx.contested(uscc)
    live = tx.live_grants(uscc, entitlement, month)
    grants = [grant for grant in live if grant.employment.learner_id not in contested]
    adopted = tx.newest_adoption("offices")
    offices = load_offices(adopted[1].encode()) if adopted else None
    learners = {grant.employment.learner_id for grant in grants}
    numbers = tx.identifiers_of(learners)
    people = sorted(
        (_person(grant, numbers, register, offices) for grant in grants),
        key=lambda person: (person["id_number"], person["record"]),
    )
    tx.log_disclosures(learners, client_id, PURPOSE, SHOWN, at)
    counted = Counter(grant.employment.dispatched_by for grant in grants)
    groups = tuple(sorted(counted.items(), key=lambda group: group[0] or ""))
    numbered = tuple({"position": place, **person} for place, person in enumerate(people, 1))
    return ClaimList(uscc, name, month, at, numbered, groups)


def _person(
    grant: LiveGrant,
    numbers: Mapping[LearnerId, Sequence[Identifier]],
    register: Register,
    offices: Offices | None,
) -> dict[str, Any]:
    completion, employment = grant.completion, grant.employment
    office = offices.at(grant.office, beijing_date(completion.completed_at)) if offices else None
    platform = register.platforms.get(completion.platform)
    known = numbers.get(employment.learner_id, ())
    return {
        "name": employment.name.raw,
        "id_number": known[0].value if known else "",
        "month": grant.month.strftime("%Y-%m"),
        "course": completion.course_title,
        "completed_on": beijing_date(completion.completed_at).isoformat(),
        "platform": platform.name if platform else completion.platform,
        "category": employment.category.value if employment.category else "",
        "dispatched": employment.category is Category.DISPATCHED,
        "dispatched_by": employment.dispatched_by or "",
        "record": grant.record_id,
        "office": grant.office,
        "office_name": office.name if office else "",
    }


def members(found: ClaimList) -> dict[str, Any]:
    """A list as JSON members."""
    return {
        "uscc": found.uscc,
        "name": found.name,
        "month": found.month.strftime("%Y-%m"),
        "as_of": iso(found.as_of),
        "people": [dict(person) for person in found.people],
        "summary": [
            {"dispatched": code is not None, "dispatched_by": code or "", "people": count}
            for code, count in found.groups
        ],
        "not_known": list(NOT_KNOWN),
    }


def workbook(found: ClaimList) -> bytes:
    """A list as an XLSX file: its people, and a summary with the columns of claim forms."""
    made = Workbook()
    sheet = made.worksheets[0]
    sheet.title = "人员名单"
    text_row(sheet, 1, tuple(PEOPLE.values()), bold=True)
    for place, person in enumerate(found.people, 2):
        text_row(sheet, place, [_shown(person[column]) for column in PEOPLE])
    summary = made.create_sheet("申领汇总")
    text_row(summary, 1, SUMMARY, bold=True)
    month = found.month.strftime("%Y-%m")
    for place, (code, count) in enumerate(found.groups, 2):
        known: dict[str, str | int] = {
            "单位名称": found.name,
            "统一信用代码": found.uscc,
            "补贴年月": month,
            "是否劳务派遣": _shown(code is not None),
            "派遣单位统一信用代码": code or "",
            "人次": count,
        }
        text_row(summary, place, [known.get(column, "") for column in SUMMARY])
    text_row(summary, len(found.groups) + 3, (NOTE,))
    for one in (sheet, summary):
        one.freeze_panes = "A2"
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def _shown(value: Any) -> str | int:
    if isinstance(value, bool):
        return "是" if value else "否"
    shown: str | int = value
    return shown


def text_row(sheet: Worksheet, place: int, values: Sequence[str | int], *, bold: bool = False) -> None:
    """Write a row whose texts stay texts, also where a spreadsheet would take them for formulas."""
    for column, value in enumerate(values, 1):
        if value == "":
            continue
        cell = sheet.cell(place, column)
        if isinstance(value, str):
            cell.value = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value)
            # What begins with "=" was taken for a formula: it is text, and stays so when it is edited.
            cell.data_type = "s"
            cell.quotePrefix = True
            cell.number_format = "@"
        else:
            cell.value = value
        if bold:
            cell.font = Font(bold=True)
