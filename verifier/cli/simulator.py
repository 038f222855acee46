"""Simulated platforms: builds and signs real callbacks in each platform's own convention.

A sender signs with its own keys from the sandbox and shares no code with the checking side but the signature
primitives' signing half. What it builds is described for other languages in ``docs/platforms/``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from verifier.cli.sandbox import CVT, CVT_ISSUER, XZY, XZY_ISSUER, Sandbox
from verifier.model.time import BEIJING
from verifier.signatures import gateway, jws, strict_json, webhooks

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up learner; the id number has a right check digit and a division that nobody was ever given.

    Attributes:
        kind: what the document is called.
        country: which country issued it, where it is a passport.
    """

    id_number: str = field(repr=False)
    name: str = field(repr=False)
    kind: str = "居民身份证"
    country: str = ""


def person(serial: int, name: str, *, born: str = "19900101") -> Person:
    """A person by a serial number from 0 to 99,999: the same number is always the same person."""
    division = 999901 + serial // 1000
    digits = f"{division}{born}{serial % 1000:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return Person(digits + "10X98765432"[total % 11], name)


_CODE_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_WEIGHTS: Final = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def enterprise_code(serial: int) -> str:
    """A made-up unified social credit code by a serial number from 0 to 999,999.

    Its check character is right (GB 32100-2015), its division one that no authority registers under.
    """
    body = f"91999901MA0{serial:06d}"
    total = sum(_CODE_ALPHABET.index(sign) * weight for sign, weight in zip(body, _CODE_WEIGHTS, strict=True))
    return body + _CODE_ALPHABET[-total % 31]


@dataclass(frozen=True, slots=True)
class Course:
    """One completion as the platform knows it, before it is signed.

    Attributes:
        completed_at: aware.
        issued_at: aware.
    """

    number: str
    learner: Person
    completed_at: datetime
    issued_at: datetime
    title: str = "新职业在线学习：网络安全基础"
    code: str = "KC-0001"
    organisation: str = "沙箱培训机构"
    document: str = "课程培训合格证明"
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request ready to be sent.

    Attributes:
        rest: the path after the platform's address.
        query: what follows the question mark; empty for none.
    """

    platform: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    rest: str = ""
    query: str = ""

    @property
    def path(self) -> str:
        """Where it is posted."""
        return f"/v1/callbacks/{self.platform}{self.rest}"

    @property
    def target(self) -> str:
        """Path and query, as in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class ChinaVocationalTraining:
    """Sends as 中国职业培训在线 is assumed to: one event a delivery, Standard Webhooks."""

    slug = CVT
    issuer = CVT_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def certificate(self, course: Course, *, kid: str = "cvt-2021") -> str:
        """The signed qualification proof, a compact JWS."""
        claims = {
            "iss": self.issuer,
            "certificate_number": course.number,
            "holder_name": course.learner.name,
            "id_type": course.learner.kind,
            "id_number": course.learner.id_number,
            **({"id_country": course.learner.country} if course.learner.country else {}),
            "course_code": course.code,
            "course_title": course.title,
            "training_organisation": course.organisation,
            "completed_at": course.completed_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "issued_at": course.issued_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "document_type": course.document,
            "revision": course.revision,
        }
        return jws.sign_compact(_json(claims), self._sandbox.certificate_keys[kid], typ="JWT")

    def completed(
        self, course: Course, *, certificate: str | None = None, event: str = "completion.created"
    ) -> dict[str, Any]:
        """The message of a completion, or of a correction with ``completion.corrected``."""
        return {
            "type": event,
            "timestamp": course.issued_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "data": {
                "certificate_number": course.number,
                "certificate": certificate or self.certificate(course),
            },
        }

    def revoked(self, number: str, reason: str, at: datetime) -> dict[str, Any]:
        """The message of a revocation."""
        return {
            "type": "completion.revoked",
            "timestamp": at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "data": {"issuer": self.issuer, "certificate_number": number, "reason": reason},
        }

    def delivery(self, message: Mapping[str, Any], delivery_id: str, at: datetime) -> Delivery:
        """Sign a message, with both signatures of the convention."""
        body = _json(message)
        seconds = int(at.timestamp())
        v1 = webhooks.sign_v1(
            message_id=delivery_id, timestamp=seconds, body=body, secret=self._sandbox.secrets["cvt-hmac"]
        )
        v1a = webhooks.sign_v1a(
            message_id=delivery_id, timestamp=seconds, body=body, private_key=self._sandbox.transport_key
        )
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"{v1} {v1a}",
        }
        return Delivery(self.slug, headers, body)


class NewOccupation:
    """Sends as 新职业学习平台 is assumed to: batches, a gateway's HMAC, certificates with their chain."""

    slug = XZY
    issuer = XZY_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def certificate(self, course: Course, *, kid: str = "xzy-2021") -> str:
        """The signed qualification proof, a compact JWS with its certificate chain."""
        claims = {
            "fzjg": self.issuer,
            "zsbh": course.number,
            "xm": course.learner.name,
            "zjlx": "01",
            "zjhm": course.learner.id_number,
            "kcdm": course.code,
            "kcmc": course.title,
            "pxjgmc": course.organisation,
            "jysj": _compact(course.completed_at),
            "fzsj": _compact(course.issued_at),
            "zslx": course.document,
            "bbh": course.revision,
        }
        chain: list[strict_json.JsonValue] = [
            base64.b64encode(der).decode("ascii") for der in self._sandbox.chains[kid]
        ]
        key = self._sandbox.certificate_keys[kid]
        return jws.sign_compact(_json(claims), key, typ="JWT", headers={"x5c": chain})

    def completed(
        self, course: Course, item: str, *, certificate: str | None = None, event: str = "FINISH"
    ) -> dict[str, Any]:
        """The item of a completion, or of a correction with ``AMEND``."""
        return {
            "itemId": item,
            "eventType": event,
            "eventTime": _compact(course.issued_at),
            "zsbh": course.number,
            "certificate": certificate or self.certificate(course),
        }

    def revoked(self, number: str, reason: str, at: datetime, item: str) -> dict[str, Any]:
        """The item of a revocation."""
        return {
            "itemId": item,
            "eventType": "CANCEL",
            "eventTime": _compact(at),
            "fzjg": self.issuer,
            "zsbh": number,
            "reason": reason,
        }

    def delivery(self, items: Sequence[Mapping[str, Any]], delivery_id: str, at: datetime) -> Delivery:
        """Sign a batch."""
        body = _json({"messageId": delivery_id, "items": list(items)})
        seconds = str(int(at.timestamp()))
        path = f"/v1/callbacks/{self.slug}"
        signature = gateway.sign(
            method="POST",
            path=path,
            timestamp=seconds,
            body=body,
            secret=self._sandbox.secrets["xzy-gateway"],
        )
        headers = {
            "Content-Type": "application/json",
            "x-xzy-appid": "xzy-gateway",
            "x-xzy-timestamp": seconds,
            "x-xzy-signature": signature,
        }
        return Delivery(self.slug, headers, body)


def _compact(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y%m%d%H%M%S")
