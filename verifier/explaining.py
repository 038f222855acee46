"""One decision for whoever asks why: the stored trace, the facts it stood on with their sources, in words.

The command line and the interface give the same answer. It holds no personal data: names, id numbers and
certificate numbers (some issuers build them from id numbers) stay where they are; a fact is named by its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from verifier.model.facts import FactKind
from verifier.model.time import iso
from verifier.policy.wording import explain
from verifier.ports.reading import Explanation, FactSource

SAID: Final[Mapping[FactKind, tuple[str, ...]]] = MappingProxyType(
    {
        FactKind.COMPLETION: (
            "platform", "issuer", "course_title", "organisation", "completed_at", "issued_at", "document",
        ),
        FactKind.REVOCATION: ("platform", "issuer"),
        FactKind.EMPLOYMENT: ("uscc", "start", "end", "category", "dispatched_by"),
        FactKind.ADMISSION: ("uscc", "office", "start", "end"),
        FactKind.SCOPE: ("uscc", "start", "end"),
        FactKind.EMPLOYER_CHOICE: ("uscc",),
        FactKind.NAME_DECISION: ("same_person",),
        FactKind.CONTEST: ("uscc", "upheld"),
        FactKind.RELEASE: ("uscc", "wish", "withdrawn"),
        FactKind.HOLD: ("until", "lifted"),
        FactKind.OBJECTION: ("kind", "topic", "raised_by", "state"),
    }
)  # fmt: skip
"""What is shown of each kind of fact besides its source; a kind that is not here shows its source alone."""

_KINDS: Final[Mapping[FactKind, str]] = MappingProxyType(
    {
        FactKind.COMPLETION: "结业记录",
        FactKind.REVOCATION: "证明撤销",
        FactKind.EMPLOYMENT: "花名册",
        FactKind.ADMISSION: "企业准入",
        FactKind.SCOPE: "扩大范围声明",
        FactKind.EMPLOYER_CHOICE: "申领企业的确定",
        FactKind.NAME_DECISION: "姓名复核结论",
        FactKind.REVIEW_CLOSED: "复核办结",
        FactKind.MERGE: "学员合并",
        FactKind.NOT_SAME: "不是同一人",
        FactKind.CONTEST: "否认列名",
        FactKind.RELEASE: "放弃或释放",
        FactKind.HOLD: "暂缓",
        FactKind.OBJECTION: "更正、异议或申诉",
    }
)


def members(found: Explanation) -> dict[str, Any]:
    """A decision's explanation as JSON members."""
    return {
        "decision": found.decision_id,
        "revision": found.revision,
        "state": found.state,
        "decided_at": iso(found.decided_at),
        "records": list(found.record_ids),
        "trace": dict(found.trace),
        "facts": [_fact(fact) for fact in found.facts],
        "explanation": [*explain(found.trace), *(_line(fact) for fact in found.facts)],
    }


def _fact(fact: FactSource) -> dict[str, Any]:
    return {
        "fact": fact.fact_id,
        "kind": fact.kind.value,
        "source": f"{fact.source_kind}:{fact.source_reference}",
        "recorded_at": iso(fact.recorded_at),
        **_said(fact),
    }


def _said(fact: FactSource) -> dict[str, Any]:
    return {name: value for name in SAID.get(fact.kind, ()) if (value := fact.content.get(name)) is not None}


def _line(fact: FactSource) -> str:
    said = "，".join(str(value) for value in _said(fact).values() if not isinstance(value, bool))
    source = f"来源 {fact.source_kind}:{fact.source_reference}，录入 {iso(fact.recorded_at)}"
    return f"· {_KINDS[fact.kind]} {fact.fact_id}：{said + '；' if said else ''}{source}"
