"""Claims as files, for isolated networks: lines of steps that come in, lists and sheets that go out.

A file of steps is NDJSON, one step a line::

    {"step": "claim", "record": "…", "payment_reference": "…", "payee": "employer", "settled_in": "2021-04"}
    {"step": "paid", "record": "…", "payment_reference": "…", "reason": "…"}

Each line is taken by itself, as the call of the same name is, and gets a result of its own. Taking a file
again changes nothing that was done, and takes what was not: that is how an interrupted file is finished.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from openpyxl import Workbook

from verifier import claims
from verifier.claim_list import text_row
from verifier.claims import Asked
from verifier.errors import Code, Conflict, RequestRejected, VerifierError
from verifier.model.access import Client
from verifier.model.standards import Payee
from verifier.model.time import iso, month_text, parse_month
from verifier.ports.claims import ClaimTransaction, ListedClaim
from verifier.signatures import strict_json

MAX_LINE: Final = 8192
MONTH: Final = "^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$"

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Month = Annotated[str, msgspec.Meta(pattern=MONTH)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ClaimLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="step", tag="claim"):
    """A claim."""

    record: Reference
    payment_reference: Reference
    payee: Literal["employer", "dispatcher"] | msgspec.UnsetType = msgspec.UNSET
    settled_in: Month | msgspec.UnsetType = msgspec.UNSET


class _StepLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="step"):
    record: Reference
    payment_reference: Reference
    reason: Reason


class ReleaseLine(_StepLine, frozen=True, tag="release"):
    """A claim is given up unpaid."""


class PaidLine(_StepLine, frozen=True, tag="paid"):
    """The payment."""


class ReturnedLine(_StepLine, frozen=True, tag="returned"):
    """The payment came back."""


Line = ClaimLine | ReleaseLine | PaidLine | ReturnedLine
_NAMES: Final[Mapping[type, str]] = {ReleaseLine: "release", PaidLine: "paid", ReturnedLine: "returned"}


def asked_of(
    payment_reference: str, payee: str | msgspec.UnsetType, settled_in: str | msgspec.UnsetType
) -> Asked:
    """What a claim asks for, of members that were read.

    Raises:
        RequestRejected: SCHEMA_INVALID, the account month is none.
    """
    try:
        month = None if isinstance(settled_in, msgspec.UnsetType) else parse_month(settled_in)
    except ValueError:  # "$" in a pattern also stands before the last end of line
        raise RequestRejected(Code.SCHEMA_INVALID, "not a month", pointer="/settled_in") from None
    return Asked(payment_reference, None if isinstance(payee, msgspec.UnsetType) else Payee(payee), month)


def read_line(line: str) -> Line:
    """One line of a file of steps.

    Raises:
        RequestRejected: JSON_INVALID or SCHEMA_INVALID.
    """
    value = strict_json.loads(line.encode(), max_bytes=MAX_LINE)
    try:
        read: Line = msgspec.convert(value, Line, strict=True)
    except msgspec.ValidationError:
        # Its words may name what was sent.
        raise RequestRejected(Code.SCHEMA_INVALID, "the line is not a step as documented") from None
    return read


def take(tx: ClaimTransaction, *, client: Client, line: str, at: datetime, claim_id: str) -> dict[str, Any]:
    """Take one line; errors as ``read_line`` and the steps of ``verifier.claims``."""
    said = read_line(line)
    if isinstance(said, ClaimLine):
        asked = asked_of(said.payment_reference, said.payee, said.settled_in)
        return claims.claim(tx, client, said.record, asked, at=at, claim_id=claim_id)
    name = _NAMES[type(said)]
    return claims.step(tx, client, said.record, name, said.payment_reference, said.reason, at=at)


async def result(
    run: Callable[[Callable[[ClaimTransaction], dict[str, Any]]], Awaitable[dict[str, Any]]],
    work: Callable[[ClaimTransaction], dict[str, Any]],
) -> dict[str, Any]:
    """What became of a line: done with its answer, or refused with the reason.

    Raises:
        VerifierError: where it was not decided at all: the whole file is to be taken again.
    """
    try:
        return {"result": "done", "answer": await run(work)}
    except VerifierError as error:
        if not isinstance(error, Conflict | RequestRejected) and error.code is not Code.NOT_FOUND:
            raise
        refused = {"result": "refused", "code": error.code.value, "pointer": error.pointer}
        recorded = error.recorded if isinstance(error, Conflict) else None
        return refused if recorded is None else {**refused, "recorded": recorded}


# What goes out


def listed(one: ListedClaim) -> dict[str, Any]:
    """A claim as a line of a list; nobody's name is in it, and no reason."""
    claim = one.claim
    return {
        "claim": claim.claim_id,
        "record": claim.record_id,
        "client": claim.client_id,
        "payment_reference": claim.payment_reference,
        "office": one.office,
        "entitlement": one.entitlement,
        "uscc": one.uscc,
        "month": month_text(one.month) if one.month else None,
        "settled_in": month_text(claim.terms.settled_in) if claim.terms.settled_in else None,
        "payee": claim.terms.payee,
        "amount_fen": claim.terms.amount_fen,
        "standard": claim.terms.standard,
        "state": claim.state,
        "claimed_at": iso(claim.recorded_at),
        "steps": {
            name: {
                "recorded_at": iso(done.recorded_at),
                "booked_in": month_text(done.booked_in) if done.booked_in else None,
            }
            for name, done in claim.steps.items()
        },
    }


_COLUMNS: Final[Mapping[str, str]] = {
    "claim": "申领编号",
    "record": "资格记录编号",
    "client": "补贴系统",
    "payment_reference": "支付编号",
    "office": "受理机构代码",
    "entitlement": "补贴资格",
    "uscc": "用工单位统一信用代码",
    "month": "补贴月份",
    "settled_in": "记账月份",
    "payee": "领取单位",
    "amount_fen": "金额（分）",
    "state": "状态",
    "claimed_at": "申领时间（UTC）",
}
_TOTALS: Final[Mapping[str, str]] = {
    "uscc": "用工单位统一信用代码",
    "entitlement": "补贴资格",
    "granted": "准予",
    "claimed": "已申领未支付",
    "paid": "已支付",
    "clawback_due": "待追回",
    "returned": "已退回",
    "without_amount": "未定金额笔数",
}
_SUMS: Final[Mapping[str, str]] = {
    "claimed": "已申领金额（分）",
    "paid": "已支付金额（分）",
    "clawback_due": "待追回金额（分）",
    "returned": "已退回金额（分）",
}
WORDS: Final[Mapping[str, str]] = {
    "claimed": "已申领",
    "paid": "已支付",
    "clawback_due": "待追回",
    "released": "已放弃",
    "returned": "已退回",
    "employer": "用工单位",
    "dispatcher": "派遣单位",
    "not_recorded": "未记录",
}
_NOTE: Final = "金额为申领时锁定；留空表示补贴标准未配置，不作推算。合计摘要（SHA-256）："


def workbook(found: Sequence[Mapping[str, Any]], counted: Mapping[str, Any]) -> bytes:
    """Claims and their totals as an XLSX file; every text is a cell of text.

    Args:
        found: from ``listed``.
        counted: the document of ``totals.document`` by subsidy month, with its digest.
    """
    made = Workbook()
    sheet = made.worksheets[0]
    sheet.title = "申领明细"
    text_row(sheet, 1, tuple(_COLUMNS.values()), bold=True)
    for place, one in enumerate(found, 2):
        text_row(sheet, place, [_cell(one[column]) for column in _COLUMNS])
    summary = made.create_sheet("对账合计")
    text_row(summary, 1, (*_TOTALS.values(), *_SUMS.values()), bold=True)
    rows = counted["rows"]
    for place, row in enumerate(rows, 2):
        sums = [row["amounts_fen"][name] for name in _SUMS]
        text_row(summary, place, [*(_cell(row[name]) for name in _TOTALS), *sums])
    text_row(summary, len(rows) + 3, (_NOTE + counted["totals_sha256"],))
    for one_sheet in (sheet, summary):
        one_sheet.freeze_panes = "A2"
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def _cell(value: Any) -> str | int:
    if value is None:
        return ""
    shown: str | int = WORDS.get(value, value) if isinstance(value, str) else value
    return shown
