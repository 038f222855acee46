"""A recorded trace in Chinese, for whoever asks why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from verifier.errors import Party
from verifier.model.decision import State

_STATES: Final = {State.GRANTED: "给予", State.REFUSED: "不予", State.PENDING: "待定"}
_MARKS: Final = {"met": "✓", "not_met": "✗", "unknown": "？"}
_PARTIES: Final = {
    Party.PLATFORM: "培训平台", Party.ENTERPRISE: "企业", Party.CLIENT: "补贴系统",
    Party.BUREAU: "主管部门", Party.OPERATOR: "运营方", Party.REVIEWER: "复核人员",
}  # fmt: skip
MISSING: Final = {
    "recognition": "平台认可结论", "roster": "覆盖结业日期的花名册", "employer_choice": "申领企业的确定",
    "admission": "企业准入", "name_review": "姓名复核结论", "category": "人员类别",
    "scope_declaration": "扩大范围的声明", "dispatching_company": "派遣单位",
    "month_returned": "原补贴退回或释放的登记", "identity": "学员的证件号码，或人工复核结论",
    "listing_review": "本人否认列名一事的复核结论", "shared_number": "多人共用号码的复核结论",
    "hold": "暂缓期满或解除", "month_dispute": "本人异议的答复",
    "related_certificate": "是否属于相关证书的认定", "skill_level": "证书所载技能等级",
    "comprehensive_courses": "综合性培训课程的认定",
}  # fmt: skip
"""What each stable word of ``Unknown.missing`` means."""


def explain(trace: Mapping[str, Any]) -> list[str]:
    """A trace as lines of Chinese for a reader: each clause with its mark, reason and source.

    Args:
        trace: as ``verifier.eligibility.trace`` made it, also after a round through JSON.
    """
    month = f"；补贴月份：{trace['month'][:7]}" if trace["month"] else ""
    lines = [f"结论：{_STATES[State(trace['state'])]}（政策 {trace['pins']['policy']}{month}）"]
    if "merged_into" in trace:
        lines.append(f"✗ 本编号已并入学员 {trace['merged_into']}，在该编号下判断。")
    elif trace["candidate"] is None:
        lines.append("✗ 没有可供判断的结业记录。")
    for clause in trace["clauses"]:
        outcome = clause["outcome"]
        lines.append(f"{_MARKS[outcome['answer']]} {clause['title']}：{outcome['why']}")
        if outcome["answer"] == "unknown":
            missing = MISSING.get(outcome["missing"], outcome["missing"])
            lines.append(f"    缺：{missing}；由{_PARTIES[Party(outcome['party'])]}补充")
        lines.append(f"    依据：{clause['citation']}（{clause['clause']} 第{clause['revision']}版）")
    lines.extend(f"－ 未评估：{item}" for item in trace["not_evaluated"])
    return lines
