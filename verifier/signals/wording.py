"""The words of signals: titles in both languages, and reasons made of a finding's details, in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from verifier.model.signals import Signal, SignalKind
from verifier.model.time import iso

TITLES: Final[Mapping[SignalKind, tuple[str, str]]] = MappingProxyType(
    {
        SignalKind.STUDY_BEYOND_CLOCK: ("学时超过实际经过的时间", "more study than time passed"),
        SignalKind.DAY_OVERFULL: ("一日结业课程的学时合计超过一日", "more study on one day than a day has"),
        SignalKind.SESSIONS_OVERLAP: ("同一时间在两个平台学习", "learning on two platforms at once"),
        SignalKind.ROSTER_BURST: ("同一单位多人几乎同时结业", "many of one roster finishing within minutes"),
        SignalKind.OUTSIDE_EMPLOYMENT: ("结业日不在用工期内", "completed before employment or after it"),
        SignalKind.TWO_EMPLOYERS: ("同一证书对应多家单位", "one certificate under several employers"),
        SignalKind.MARKED_BY_ROSTER: (
            "花名册标注为离职、退休或在校学生",
            "marked departed, retired or student by the roster",
        ),
        SignalKind.UNRELATED_NAMES: (
            "同一证件号码下有多个互不相干的姓名",
            "unrelated names under one number",
        ),
        SignalKind.SHARED_VALUE: ("同一联系方式或账号由多人共用", "a phone number or account shared by many"),
        SignalKind.SHARED_CLIENT_KEY: (
            "多家单位共用一个接入密钥",
            "several enterprises through one client key",
        ),
        SignalKind.ROSTER_AFTERWARDS: (
            "花名册在全部结业之后才首次上传",
            "a roster first recorded after all completions",
        ),
    }
)

_REASONS: Final[Mapping[SignalKind, str]] = MappingProxyType(
    {
        SignalKind.STUDY_BEYOND_CLOCK: (
            "{certificates}张证书所载学时超过开始至结业经过的时间，最多超出{minutes_beyond}分钟"
        ),
        SignalKind.DAY_OVERFULL: "{day}（北京日期）结业的{certificates}门课程，学时合计{minutes}分钟",
        SignalKind.SESSIONS_OVERLAP: (
            "{day}（北京日期）有{certificates}次学习在不同平台重叠，最长{minutes_together}分钟"
        ),
        SignalKind.ROSTER_BURST: "{day}（北京日期）花名册中{people}人在几分钟之内相继结业",
        SignalKind.OUTSIDE_EMPLOYMENT: (
            "{certificates}张证书的结业日不在该单位花名册所列用工期内（早于{before}张，晚于{after}张），最远{days_away}日"
        ),
        SignalKind.TWO_EMPLOYERS: "{certificates}张证书在结业日对应一家以上用工单位（派遣关系除外）",
        SignalKind.MARKED_BY_ROSTER: "{certificates}张证书结业之日，该单位花名册标注为{mark}",
        SignalKind.UNRELATED_NAMES: "同一证件号码下有{names}个互不相干的姓名",
        SignalKind.SHARED_VALUE: "证书所载的同一{value}由{people}人共用",
        SignalKind.SHARED_CLIENT_KEY: "{enterprises}家单位的花名册经同一接入密钥上传",
        SignalKind.ROSTER_AFTERWARDS: "花名册首次上传晚于所列{people}人的全部结业，相距{days_later}日",
    }
)


def reason(kind: SignalKind, details: Mapping[str, Any]) -> str:
    """Why a reviewer is to look, in Chinese."""
    return _REASONS[kind].format_map(details)


def told(signal: Signal) -> dict[str, Any]:
    """A signal without names."""
    zh, en = TITLES[signal.kind]
    said = {
        "signal": signal.signal_id,
        "kind": signal.kind.value,
        "title": zh,
        "title_en": en,
        "reason": reason(signal.kind, signal.details),
        "learner": signal.learner_id,
        "enterprise": signal.uscc,
        "details": dict(signal.details),
        "found_at": iso(signal.found_at),
    }
    if signal.closing is not None:
        said["outcome"] = signal.closing.outcome.value
        said["closed_at"] = iso(signal.closing.closed_at)
        said["closed_by"] = signal.closing.operator
    return {name: value for name, value in said.items() if value is not None}
