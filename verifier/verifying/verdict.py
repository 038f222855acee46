"""What a check answers: what was checked, what was not, and what that is worth. Words in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What a file is, recognised by its content."""

    RECORD = "record"
    STATUS_LIST = "status_list"
    OUTCOME = "outcome"
    SIGNED_FILE = "signed_file"
    PLATFORM_CERTIFICATE = "platform_certificate"
    CHECKPOINT = "checkpoint"
    INCLUSION_PROOF = "inclusion_proof"
    CONSISTENCY_PROOF = "consistency_proof"
    FEED_DUMP = "feed_dump"


class Point(StrEnum):
    """One thing that can be checked."""

    SIGNATURE = "signature"
    DISCLOSURES = "disclosures"
    STATUS = "status"
    TIME = "time"
    INCLUSION = "inclusion"
    ARITHMETIC = "arithmetic"
    LOG_SIGNATURE = "log_signature"
    EARLIER_SIGNATURE = "earlier_signature"
    ENTRY = "entry"
    CONSISTENCY = "consistency"
    COSIGNATURES = "cosignatures"
    OTHER_SIGNATURES = "other_signatures"
    ORDER = "order"
    LEAF_HASHES = "leaf_hashes"
    RECORDS = "records"
    RECORD_STATUS = "record_status"
    WHOLE = "whole"
    FILE = "file"
    TEXT = "text"
    RECOGNITION = "recognition"
    KEY_AT_ISSUE = "key_at_issue"
    PLATFORM = "platform"
    DELIVERY = "delivery"


class Value(StrEnum):
    """What the checks come to."""

    VALID = "valid"
    SIGNATURE_VALID = "signature_valid"
    INVALID = "invalid"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    NOT_CHECKED = "not_checked"


STATUS: Final[Mapping[Value, int]] = {
    Value.VALID: 0,
    Value.SIGNATURE_VALID: 0,
    Value.INVALID: 1,
    Value.SUSPENDED: 1,
    Value.SUPERSEDED: 1,
    Value.NOT_CHECKED: 2,
}
"""The exit status of each: good as far as it was checked, found wanting, could not be checked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a file.

    Attributes:
        says: what stands in it, without anything personal; to be believed as far as ``checked`` goes.
        reason: what is wrong, or lacking for a verdict, in one sentence; never a value.
    """

    kind: Kind
    value: Value
    checked: tuple[Point, ...]
    not_checked: tuple[Point, ...]
    says: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def status(self) -> int:
        """The exit status."""
        return STATUS[self.value]

    @property
    def members(self) -> dict[str, Any]:
        """For machines."""
        return {
            "kind": self.kind.value,
            "verdict": self.value.value,
            "checked": [point.value for point in self.checked],
            "not_checked": [point.value for point in self.not_checked],
            "says": dict(self.says),
            **({"reason": self.reason} if self.reason else {}),
        }


KINDS: Final[Mapping[Kind, str]] = {
    Kind.RECORD: "资格记录 · eligibility record",
    Kind.STATUS_LIST: "状态列表 · status list",
    Kind.OUTCOME: "更正、异议、申诉的签名结论 · signed outcome of a correction, objection or appeal",
    Kind.SIGNED_FILE: "文件的签名 · signature of a file",
    Kind.PLATFORM_CERTIFICATE: "平台证书 · a platform's certificate",
    Kind.CHECKPOINT: "检查点 · checkpoint",
    Kind.INCLUSION_PROOF: "包含证明 · inclusion proof",
    Kind.CONSISTENCY_PROOF: "一致性证明 · consistency proof",
    Kind.FEED_DUMP: "数据流的转储 · dump of the feed",
}
VALUES: Final[Mapping[Value, str]] = {
    Value.VALID: "有效（以下未核验的除外） · valid, but for what was not checked",
    Value.SIGNATURE_VALID: "签名有效，但见未核验各项 · the signature holds; see what was not checked",
    Value.INVALID: "无效 · not valid",
    Value.SUSPENDED: "暂停 · suspended",
    Value.SUPERSEDED: "已被新记录取代 · superseded",
    Value.NOT_CHECKED: "未能核验 · could not be checked",
}
POINTS: Final[Mapping[Point, str]] = {
    Point.SIGNATURE: "签名 · the signature",
    Point.DISCLOSURES: "所披露的内容属于本记录 · what is disclosed belongs to it",
    Point.STATUS: "现状（是否撤销、取代） · its status",
    Point.TIME: "有效期 · its time",
    Point.INCLUSION: "已在账本中 · that it is in the ledger",
    Point.ARITHMETIC: "证明的计算 · the proof's arithmetic",
    Point.LOG_SIGNATURE: "账本对该根的签名 · the log's signature on that root",
    Point.EARLIER_SIGNATURE: "账本对较早的根的签名 · the log's signature on the earlier root",
    Point.ENTRY: "所证明的是哪一条 · which entry it is about",
    Point.CONSISTENCY: "与较早检查点一致 · that it continues an earlier checkpoint",
    Point.COSIGNATURES: "见证方的签名 · cosignatures of witnesses",
    Point.OTHER_SIGNATURES: "未给公钥的签名 · signatures whose keys were not given",
    Point.ORDER: "序号连续、无缺无重 · indices without gap or repetition",
    Point.LEAF_HASHES: "各条内容与其哈希 · bodies against their hashes",
    Point.RECORDS: "其中各记录的签名，且与条目相符 · signatures of its records, and their entries",
    Point.RECORD_STATUS: "其中各记录的现状 · the status of its records",
    Point.WHOLE: "从头到该检查点完整无缺 · that it is the whole ledger up to the checkpoint",
    Point.FILE: "文件本身的摘要与大小 · digest and size of the file itself",
    Point.TEXT: "答复文字与其摘要 · the answer's text against its digest",
    Point.RECOGNITION: "签发者在信任名册中 · that the register knows the issuer",
    Point.KEY_AT_ISSUE: "密钥在签发时有效且未失密 · that the key was good at the date of issue",
    Point.PLATFORM: "平台在结业时获认可 · that the platform was recognised at the completion date",
    Point.DELIVERY: "由哪个平台送达 · which platform delivered it",
}
