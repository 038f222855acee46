"""A person's own data as a page to print, in Chinese; every value is text, whatever it holds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_TITLES: Final[Mapping[str, str]] = {
    "identifiers": "证件",
    "traits": "其他识别信息",
    "facts": "结业、用工等事实",
    "objections": "更正、异议、申诉",
    "reviews": "就您提出的复核问题",
    "decisions": "决定",
    "records": "签发的记录",
    "months": "被占用的月份",
    "claims": "申领、支付、退回",
    "to_be_judged": "等待重新判断",
    "deliveries": "提到您的投递原文",
    "signals": "疑点（仅供复核参考，不影响资格）",
    "shown_to": "谁看过您的信息",
}
_WORDS: Final[Mapping[str, str]] = {
    "as_of": "截至", "purpose": "用途", "id_number": "证件号码", "learner": "学员编号",
    "judged_under": "在此编号下判断", "same_person": "同一人的其他编号", "kind": "种类", "number": "号码",
    "value": "内容", "state": "状态", "status": "状态", "month": "月份", "office": "受理机构",
    "received_at": "收到时间", "raw_body": "原文", "recorded_at": "记录时间", "issued_at": "签发时间",
    "decided_at": "决定时间", "opened_at": "提出时间", "closed_at": "办结时间", "found_at": "发现时间",
    "outcome": "结论", "reason": "理由", "platform": "平台", "delivery": "投递编号", "record": "记录编号",
    "record_id": "记录编号", "decision": "决定编号", "decision_id": "决定编号", "uscc": "单位代码",
    "client_id": "谁", "what": "看了什么", "discloses": "可向受理机构出示", "issuer": "证书签发者",
    "holder": "姓名", "name": "姓名", "source": "来源", "start": "起", "end": "止", "category": "类别",
    "course_title": "课程", "completed_at": "结业时间", "claim_id": "申领编号", "step": "步骤",
    "payment_reference": "支付编号", "entitlement": "补贴项目", "topic": "事由", "answer_by": "答复期限",
    "ledger_index": "账本序号", "records": "记录", "amount": "金额", "cause": "原因", "review": "复核编号",
}  # fmt: skip
_HEAD: Final = (
    '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>本人信息</title><style>'
    "body{font-family:serif;margin:2em}table{border-collapse:collapse;width:100%;margin-bottom:1.5em}"
    "td,th{border:1px solid #999;padding:.2em .4em;text-align:left;vertical-align:top;font-size:80%;"
    "overflow-wrap:anywhere}h2{font-size:110%}</style>"
)


def page(view: Mapping[str, Any]) -> str:
    """The page.

    Args:
        view: as ``learner export`` answers.
    """
    parts = [_HEAD, "<h1>本系统保存的本人全部信息</h1>"]
    plain = {name: value for name, value in view.items() if name not in _TITLES and name != "format"}
    parts.append(_table([{_WORDS.get(name, name): _text(value)} for name, value in plain.items()], flat=True))
    for name, title in _TITLES.items():
        rows: Sequence[Mapping[str, Any]] = view.get(name) or ()
        parts.append(f"<h2>{escape(title)}（{len(rows)}）</h2>")
        parts.append(_table(rows) if rows else "<p>无</p>")
    parts.append("<p>有误可提出更正、异议：带身份证到受理机构，当场取得编号。</p></html>\n")
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]], *, flat: bool = False) -> str:
    if flat:
        lines = [
            f"<tr><th>{escape(name)}</th><td>{_cell(row[name])}</td></tr>" for row in rows for name in row
        ]
        return f"<table>{''.join(lines)}</table>"
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(_WORDS.get(name, name))}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(row.get(name))}</td>' for name in names)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    return escape(_text(value))


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
