"""A tried sample in words: every field by our names, in Chinese first, or as JSON.

Names and id numbers are covered unless they are asked for; what nobody reads is named, never shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from verifier import certificates
from verifier.certificates import reading
from verifier.cli.samples import Sample
from verifier.cli.trying import Tried
from verifier.errors import CATALOGUE, CertificateRejected, Code
from verifier.model.certificate import CertificateFields, DocumentKind, SignedCertificate
from verifier.model.delivery import Event, EventKind, ItemState
from verifier.model.time import TimeFormat, iso, parse_moment
from verifier.preparing import Part
from verifier.sandbox import RECEIVE, TriedItem

NOT_CHECKED: Final = "not_checked"
_PERSONAL: Final = frozenset({"holder_name", "id_number", "id_country"})
_TABLES: Final = frozenset({"completed_format", "issued_format", "documents", "id_kinds", "levels"})
_KINDS: Final[Mapping[str | None, str]] = MappingProxyType(
    {
        EventKind.COMPLETED: "结业 completed",
        EventKind.CORRECTED: "更正 corrected",
        EventKind.REVOKED: "撤销 revoked",
        EventKind.UNKNOWN: "未登记的事件 unknown",
        None: "无法读取 unreadable",
    }
)
_STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ItemState.ACCEPTED: "可接受 acceptable",
        ItemState.RECORDED: "仅存档 recorded",
        ItemState.REFUSED: "不予接受 refused",
        ItemState.IN_REVIEW: "转人工复核 goes to review",
        NOT_CHECKED: "可读，证书未核验 readable, certificate not verified",
    }
)
_AUTHENTICITY: Final[Mapping[str, str]] = MappingProxyType(
    {
        NOT_CHECKED: "未核对 not checked",
        "holds": "通过 holds",
        "refused": "未通过 refused",
    }
)
_VERDICTS: Final[Mapping[bool, str]] = MappingProxyType(
    {True: "没有被拒绝的内容 nothing is refused", False: "有被拒绝的内容 something is refused"}
)
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "issuer": "签发者",
        "number": "证书编号",
        "holder_name": "姓名",
        "id_kind": "证件类型",
        "id_number": "证件号码",
        "course_code": "课程代码",
        "course_title": "课程名称",
        "organisation": "培训机构",
        "completed_at": "结业时间",
        "issued_at": "发证时间",
        "document": "证书种类",
        "revision": "版本",
        "level": "技能等级",
        "id_country": "护照签发国",
        "occurred_at": "发生时间",
        "reason": "原因",
    }
)


def describe(tried: Tried, sample: Sample, *, show_personal: bool) -> dict[str, Any]:
    """All that is told of a trial, for machines and people alike."""
    authenticated = tried.authenticated
    authenticity = "holds" if tried.proven else NOT_CHECKED
    if tried.failed_step:
        # What is refused for its form is not asked who sent it.
        authenticity = NOT_CHECKED if tried.failed_step == RECEIVE else "refused"
    return {
        "platform": tried.platform.slug,
        "name": tried.platform.name,
        "profile": tried.platform.profile,
        "authenticity": authenticity,
        "failed_step": tried.failed_step,
        "key_id": authenticated.key_id if authenticated else "",
        "code": tried.code,
        "pointer": tried.pointer,
        "content_length_differs": sample.length_differs,
        "delivery_id": authenticated.delivery_id if authenticated else "",
        "sequence": authenticated.sequence if authenticated else None,
        "items": [
            _item(part, item, registered=tried.registered, show_personal=show_personal)
            for part, item in zip(tried.parts, tried.outcomes, strict=True)
        ],
        "answer": {
            "status": tried.answer.status,
            "content_type": tried.answer.content_type,
            "body": tried.answer.body.decode(),
        },
        "good": tried.good,
    }


def _item(part: Part, tried: TriedItem, *, registered: bool, show_personal: bool) -> dict[str, Any]:
    outcome = tried.outcome
    said = {
        "item": outcome.item,
        "kind": tried.kind,
        "state": outcome.state,
        "code": outcome.code,
        "failed_step": tried.failed_step,
        "pointer": outcome.pointer,
    }
    if not isinstance(part, Event):
        return said
    certified = part.certificate is not None
    if not registered and outcome.state is ItemState.ACCEPTED and tried.kind is not EventKind.UNKNOWN:
        said["state"] = NOT_CHECKED
    return {
        **said,
        "occurred_at": iso(part.occurred_at) if part.occurred_at else None,
        "reason": part.reason,
        "issuer": part.issuer,
        "number": part.number,
        "certificate": _covered(_claims(part.certificate), show_personal) if certified else None,
        "stated": _covered(part.stated, show_personal),
        "kept": list(_pointers(part.extra)),
    }


def _claims(signed: SignedCertificate | None) -> Mapping[str, Any]:
    """Each field of a certificate by our name, as it would be read; nothing where its form is wrong."""
    assert signed is not None
    table = signed.fields
    try:
        claims = certificates.FORMS[signed.kind](signed).claims
    except CertificateRejected:
        return {}
    names = [field.name for field in fields(CertificateFields) if field.name not in _TABLES]
    members = {name: getattr(table, name) for name in names}
    said: dict[str, Any] = {name: reading.value(claims, member) for name, member in members.items() if member}
    said["completed_at"] = _moment(said["completed_at"], table.completed_format)
    said["issued_at"] = _moment(said["issued_at"], table.issued_format)
    if isinstance(said["id_kind"], str):
        said["id_kind"] = table.id_kinds.get(said["id_kind"], said["id_kind"])
    if isinstance(said.get("document"), str):
        said["document"] = table.documents.get(said["document"], DocumentKind.OTHER)
    if "level" in said:
        said["level"] = table.levels.get(str(said["level"]))
    return said


def _moment(value: Any, form: TimeFormat) -> Any:
    """A time as it is read; one that cannot be, as it stands there."""
    try:
        return iso(parse_moment(value, form))
    except ValueError:
        return value


def _covered(said: Mapping[str, Any], show_personal: bool) -> Mapping[str, Any]:  # noqa: FBT001 - one of two
    return {
        name: _cover(value) if name in _PERSONAL and not show_personal else value
        for name, value in said.items()
    }


def _cover(value: Any) -> Any:
    """The first character and the length; of what is no text, nothing."""
    return value[:1] + "*" * (len(value) - 1) if isinstance(value, str) else "*"


def _pointers(value: Any, at: str = "") -> Iterator[str]:
    """Where everything stands that nobody reads."""
    if not isinstance(value, dict):
        yield at
        return
    for name, inner in value.items():
        yield from _pointers(inner, f"{at}/{name}")


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield f"平台 · platform: {report['name']} ({report['platform']}, {report['profile']})"
    yield f"投递编号 · delivery id: {report['delivery_id'] or '—'}"
    if report["sequence"] is not None:
        yield f"流水号 · sequence: {report['sequence']}"
    proof = report["failed_step"] or report["key_id"]
    said = f" ({proof})" if proof else ""
    yield f"来源 · sender: {_AUTHENTICITY[report['authenticity']]}{said}"
    if report["content_length_differs"]:
        yield "注意 · note: 请求体长度与 Content-Length 不符 · the body is not of the length it says"
    yield from _reason(report, "")
    for number, item in enumerate(report["items"], start=1):
        yield ""
        yield from _item_lines(number, item)
    answer = report["answer"]
    yield ""
    yield f"应答 · answer: HTTP {answer['status']} {answer['content_type']}"
    yield f"  {answer['body']}"
    yield f"结论 · verdict: {_VERDICTS[report['good']]}"


def _item_lines(number: int, item: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{number}] {item['item']}  {_KINDS[item['kind']]}：{_STATES[item['state']]}"
    yield from _reason(item, "    ")
    for title, table in (("证书 certificate", "certificate"), ("报文复述 stated", "stated")):
        for name, value in (item.get(table) or {}).items():
            yield f"    {title} · {_NAMES[name]} {name}: {'—' if value is None else value}"
    for name in ("issuer", "number", "occurred_at", "reason"):
        if item.get(name):
            yield f"    {_NAMES[name]} {name}: {item[name]}"
    if item.get("kept"):
        yield f"    未读取，仅存档 · kept, not read: {' '.join(item['kept'])}"


def _reason(said: Mapping[str, Any], indent: str) -> Iterator[str]:
    if not said["code"]:
        return
    explanation = CATALOGUE[Code(said["code"])]
    where = " ".join(part for part in (said["failed_step"], said["pointer"]) if part)
    yield f"{indent}{said['code']}{f' [{where}]' if where else ''}: {explanation.zh} · {explanation.en}"
