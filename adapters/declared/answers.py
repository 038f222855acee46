"""How a declared platform is answered: ``ENVELOPES`` is the table.

What is said, and with which status, is settled once (``verifier.model.envelope``); an envelope only puts it
into the words that the platform expects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from verifier.errors import CATALOGUE, Code
from verifier.model import envelope
from verifier.model.delivery import Acknowledgment, DeliveryOutcome

_TEXT: Final = "text/plain; charset=utf-8"
_PROBLEM: Final = "application/problem+json"


class EnvelopeName(StrEnum):
    """The envelopes."""

    DATA = "data"
    PLAIN = "plain"
    C_MSG_CTT = "c-msg-ctt"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says.

    Attributes:
        code: None for success.
        items: each item's own result; empty for a refusal.
        authentic: whether the delivery was kept.
    """

    status: int
    code: Code | None
    message: str
    items: tuple[Mapping[str, Any], ...]
    authentic: bool
    plain: Acknowledgment


def _data(said: Said, _success: str) -> Acknowledgment:
    """``{"code": 0, "msg": …, "data": {…}}``."""
    return said.plain


def _plain(said: Said, success: str) -> Acknowledgment:
    """One agreed word for success, one line for anything else. There is no room for items."""
    text = success if said.code is None else f"FAIL:{said.code.value} {said.message}"
    return Acknowledgment(said.status, _TEXT, text.encode())


def _c_msg_ctt(said: Said, _success: str) -> Acknowledgment:
    """``{"c": 0, "msg": …, "ctt": […]}``; of what is authentic even errors come with HTTP 200."""
    body = {"c": 0 if said.code is None else said.code.value, "msg": said.message, "ctt": said.items}
    return Acknowledgment(200 if said.authentic else said.status, envelope.CONTENT_TYPE, _json(body))


def _status(said: Said, _success: str) -> Acknowledgment:
    """The bare HTTP status, and a problem document (RFC 9457) where it is an error."""
    if said.code is None:
        return Acknowledgment(204, _TEXT, b"")
    explanation = CATALOGUE[said.code]
    body = {
        "type": f"urn:training-verifier:error:{said.code.value}",
        "title": explanation.zh,
        "status": said.status,
        "code": said.code.value,
        "detail_en": explanation.en,
        "party": explanation.party.value,
        "items": said.items,
    }
    return Acknowledgment(said.status, _PROBLEM, _json(body))


ENVELOPES: Final[Mapping[EnvelopeName, Callable[[Said, str], Acknowledgment]]] = MappingProxyType(
    {
        EnvelopeName.DATA: _data,
        EnvelopeName.PLAIN: _plain,
        EnvelopeName.C_MSG_CTT: _c_msg_ctt,
        EnvelopeName.STATUS: _status,
    }
)
ROOMY: Final = frozenset({EnvelopeName.DATA, EnvelopeName.C_MSG_CTT})
"""Those that tell each item's own result. In the others a batch with a refused item is a refused batch."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one platform.

    Attributes:
        success: the agreed word, where the envelope has one.
        single: whether a delivery holds one item, so that a refused item is a refused delivery.
    """

    envelope: EnvelopeName
    success: str
    single: bool

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a delivery."""
        single = self.single or self.envelope not in ROOMY
        return self._say(envelope.acknowledgment(outcome, single=single), authentic=True)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return self._say(envelope.refusal(code), authentic=False)

    def _say(self, plain: Acknowledgment, *, authentic: bool) -> Acknowledgment:
        body = json.loads(plain.body)
        code = Code(body["code"]) if body["code"] else None
        items = tuple(body["data"].get("items", ()))
        said = Said(plain.status, code, body["msg"], items, authentic, plain)
        return ENVELOPES[self.envelope](said, self.success)


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
