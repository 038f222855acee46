"""How each platform's answers are read, written without the code under test: ``READERS`` is the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from lxml import etree

from verifier.model.delivery import Acknowledgment
from verifier.signatures import strict_json

Item = Mapping[str, Any]
"""One item's answer by our names: item, state, code (0 for none), party, pointer, step."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender understands of an answer.

    Attributes:
        received: whether it may forget the delivery.
        code: the reason, where it is not simply received.
        message: in words, where the envelope has any.
        party: who must mend it, where the envelope says so; None where it cannot.
        delivery_id: where the envelope says so; None where it cannot.
        items: each item's result; None where the envelope has no room for them.
    """

    received: bool
    code: str = ""
    message: str | None = None
    party: str | None = None
    delivery_id: str | None = None
    items: tuple[Item, ...] | None = None


def data_envelope(answer: Acknowledgment) -> Answer:
    """``{"code": 0, "msg": …, "data": {…}}``."""
    assert answer.content_type == "application/json; charset=utf-8"
    body = strict_json.loads(answer.body, max_bytes=65_536)
    assert isinstance(body, dict)
    assert set(body) == {"code", "msg", "data"}
    data: Any = body["data"]
    assert isinstance(body["msg"], str)
    assert set(data) <= {"party", "deliveryId", "items"}
    for item in data.get("items", ()):
        assert set(item) == {"item", "state", "code", "message", "party", "pointer", "step"}
        assert item["message"]
    return Answer(
        received=body["code"] == 0,
        code="" if body["code"] == 0 else str(body["code"]),
        message=body["msg"],
        party=data["party"],
        delivery_id=data.get("deliveryId", ""),
        items=tuple(data.get("items", ())),
    )


def bare_status(answer: Acknowledgment) -> Answer:
    """A status without a body, or a problem document (RFC 9457)."""
    if answer.status == 204:
        assert not answer.body
        return Answer(received=True)
    assert answer.content_type == "application/problem+json"
    body: Any = strict_json.loads(answer.body, max_bytes=65_536)
    assert set(body) == {"type", "title", "status", "code", "detail_en", "party", "items"}
    assert body["status"] == answer.status
    return Answer(
        received=False,
        code=body["code"],
        message=body["title"],
        party=body["party"],
        items=tuple(body["items"]) or None,
    )


def err_xml(answer: Acknowledgment) -> Answer:
    """``<RESPONSE><ERR>0</ERR>…</RESPONSE>`` in GB 18030."""
    assert answer.content_type == "application/xml; charset=gb18030"
    assert answer.body.startswith(b'<?xml version="1.0" encoding="GB18030"?><RESPONSE>')
    root = etree.fromstring(answer.body.decode("gb18030").partition("?>")[2])
    said = {child.tag: child.text or "" for child in root}
    assert list(said) == ["ERR", "MSG", "MSGID", "PARTY", "ITEMS"]
    items = [{child.tag: child.text or "" for child in item} for item in root[-1]]
    for item in items:
        assert list(item) == ["ITEMID", "STATE", "ERR", "MSG", "PARTY", "POINTER", "STEP"]
        assert item["MSG"]
    return Answer(
        received=said["ERR"] == "0",
        code="" if said["ERR"] == "0" else said["ERR"],
        message=said["MSG"],
        party=said["PARTY"],
        delivery_id=said["MSGID"],
        items=tuple(
            {
                "item": item["ITEMID"],
                "state": item["STATE"],
                "code": 0 if item["ERR"] == "0" else item["ERR"],
                "party": item["PARTY"],
                "pointer": item["POINTER"],
                "step": int(item["STEP"]),
            }
            for item in items
        ),
    )


def success_or_fail(answer: Acknowledgment) -> Answer:
    """The literal ``SUCCESS``, or ``FAIL:code`` and a sentence."""
    assert answer.content_type == "text/plain; charset=utf-8"
    text = answer.body.decode("utf-8")
    if text == "SUCCESS":
        return Answer(received=True)
    code, _, message = text.removeprefix("FAIL:").partition(" ")
    assert text.startswith("FAIL:")
    assert "\n" not in message
    return Answer(received=False, code=code, message=message)


def statement_ids(answer: Acknowledgment) -> Answer:
    """What an LRS answers; where it is no success, ``{"code": …, "msg": …, "data": {…}}``."""
    assert ("X-Experience-API-Version", "1.0.3") in answer.headers
    assert (("WWW-Authenticate", "Bearer") in answer.headers) == (answer.status == 401)
    if answer.status == 204:
        assert (answer.content_type, answer.body) == ("", b"")
        return Answer(received=True)
    if answer.status == 200:
        assert answer.content_type == "application/json; charset=utf-8"
        ids = strict_json.loads(answer.body, max_bytes=65_536)
        assert isinstance(ids, list)
        assert all(isinstance(one, str) for one in ids)
        return Answer(received=True)
    return data_envelope(answer)


_PAGES: Final = Path(__file__).parents[2] / "docs" / "platforms"


@cache
def _numbers(slug: str) -> Mapping[int, str]:
    """The table of numbers of a platform's page: what a sender goes by."""
    text = (_PAGES / f"{slug}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]+) \|", text, re.MULTILINE)
    numbers = {int(number): code for code, number in rows}
    assert len(numbers) == len(rows)
    return numbers


def c_msg_ctt(answer: Acknowledgment) -> Answer:
    """``{"c":0,"msg":…,"ctt":[…]}``, where ``c`` is a number by the platform's page."""
    assert answer.content_type == "application/json; charset=utf-8"
    body: Any = strict_json.loads(answer.body, max_bytes=65_536)
    assert list(body) == ["c", "msg", "ctt"]
    reasons = {0: "", **_numbers("mohrss_training")}
    for item in body["ctt"]:
        assert list(item) == ["itemId", "state", "c", "msg", "party", "pointer", "step"]
        assert item["msg"]
    items = [
        {**item, "item": item["itemId"], "code": reasons[item["c"]] if item["c"] else 0}
        for item in body["ctt"]
    ]
    return Answer(received=body["c"] == 0, code=reasons[body["c"]], message=body["msg"], items=tuple(items))


READERS: Final[Mapping[str, Callable[[Acknowledgment], Answer]]] = {
    "china_vocational_training": data_envelope,
    "national_personnel": err_xml,
    "new_occupation": data_envelope,
    "employment_training": success_or_fail,
    "skill_master": statement_ids,
    "mohrss_training": c_msg_ctt,
    "moodle_style": data_envelope,
    "learning_360_style": bare_status,
}
