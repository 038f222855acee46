"""Declarations of what reviewers and clerks do to find out who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verifier.cli.declaring import Operation, Parameter

_REVIEW: Final = Parameter("review", "复核编号 · review id", positional=True)
_APPLY: Final = Parameter("apply", "写入；不带则只试算 · write it; a dry run without", flag=True)
_EVIDENCE: Final = "所查验的材料 · what was looked at"
_KINDS: Final = "resident_id | hmt_permit | foreign_card | passport"

DOCUMENT: Final = (
    Parameter("id-kind", f"证件种类 · its kind: {_KINDS}", required=False),
    Parameter("id-country", "护照签发国三位字母代码 · a passport's country, three letters", required=False),
)
"""What card a number is on, where it is not a resident's."""
CLOSING: Final = (
    Parameter("evidence", f"{_EVIDENCE}；weak_identity 必填", required=False),
    Parameter(
        "id_number", "证件号码从标准输入读取 · the id number is on standard input", stdin=True, flag=True
    ),
    *DOCUMENT,
    _APPLY,
)
"""Further arguments of ``review close``, for a certificate that names nobody for certain."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    "review show": Operation(
        "出示弱身份证书及可能的人员，记入查阅日志 · a weak certificate and who it might be", (_REVIEW,)
    ),
    "review apart": Operation(
        "记明不是同一人，此后不再提示 · say that a person is not the one named",
        (
            _REVIEW,
            Parameter("learner", "学员编号 · learner's id", positional=True),
            Parameter("reason", "理由 · reason"),
            Parameter("evidence", _EVIDENCE),
        ),
    ),
    "review report": Operation(
        "按姓名书写形式统计复核率与等候时间 · reviews about names and waiting times, by form of name"
    ),
    "learner link": Operation(
        "关联同一人的新旧两个证件，号码从标准输入读取，先新后旧，各一行 · link a person's two documents; "
        "both numbers from stdin, the new one first, a line each",
        (
            Parameter("number", "", stdin=True),
            Parameter("old_number", "", stdin=True),
            Parameter("kind", f"新证件种类 · kind of the new one: {_KINDS}", required=False),
            Parameter("old-kind", f"旧证件种类 · kind of the old one: {_KINDS}", required=False),
            Parameter("country", "新护照签发国 · country of a new passport", required=False),
            Parameter("old-country", "旧护照签发国 · country of an old passport", required=False),
            Parameter("purpose", "用途，并表明已核验两个证件 · purpose; states that both were seen"),
            Parameter("evidence", _EVIDENCE),
            _APPLY,
        ),
    ),
}
