"""The JSON envelope in which a platform is answered: ``{"code": 0, "msg": "成功", "data": {…}}``.

``code`` is the number 0, or one of the stable texts of ``errors.Code``. Everything in an answer is ours, but
for the platform's own delivery and item ids, whose form the adapters have checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from verifier.errors import CATALOGUE, Code, Party
from verifier.model.delivery import (
    Acknowledgment,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)

CONTENT_TYPE: Final = "application/json; charset=utf-8"
SUCCESS: Final = "成功"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

STATUS: Final[Mapping[Code, int]] = {
    Code.SIGNATURE_REJECTED: 401,
    Code.HEADERS_INVALID: 400,
    Code.JSON_INVALID: 400,
    Code.SCOPE_INSUFFICIENT: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.REQUEST_TIMEOUT: 408,
    Code.DELIVERY_CONFLICT: 409,
    Code.REQUEST_TOO_LARGE: 413,
    Code.CONTENT_TYPE_UNSUPPORTED: 415,
    Code.CONTENT_ENCODING_UNSUPPORTED: 415,
    Code.QUOTA_EXCEEDED: 429,
    Code.OVERLOADED: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.OUTCOME_UNKNOWN: 503,
}
"""HTTP status by reason. For any other reason it is 500 where the operator must act, else 422."""


def status(code: Code) -> int:
    """The HTTP status that goes with a reason."""
    return STATUS.get(code, 500 if CATALOGUE[code].party is Party.OPERATOR else 422)


def _answer(http_status: int, code: Code | None, data: Mapping[str, Any]) -> Acknowledgment:
    message = SUCCESS if code is None else CATALOGUE[code].zh
    body = {"code": 0 if code is None else code.value, "msg": message, "data": data}
    return Acknowledgment(http_status, CONTENT_TYPE, _ENCODER.encode(body).encode("utf-8"))


def _party(code: Code | None) -> str:
    return "" if code is None else CATALOGUE[code].party.value


def _item(outcome: ItemOutcome) -> Mapping[str, Any]:
    code = outcome.code
    return {
        "item": outcome.item,
        "state": outcome.state.value,
        "code": 0 if code is None else code.value,
        "message": SUCCESS if code is None else CATALOGUE[code].zh,
        "party": _party(code),
        "pointer": outcome.pointer,
        "step": outcome.step,
    }


def result(outcome: DeliveryOutcome, *, single: bool) -> tuple[int, Code | None]:
    """HTTP status and reason of the answer to an authentic delivery, in whatever envelope; None for success.

    Args:
        outcome: what became of it.
        single: whether the platform sends one event a delivery, so that a refused item is a refused delivery
            (422); the items of a batch stand for themselves.
    """
    if outcome.state is DeliveryState.CONFLICT:
        return 409, outcome.code or Code.DELIVERY_CONFLICT
    if outcome.state is DeliveryState.QUARANTINED:
        return 422, outcome.code or Code.DELIVERY_UNREADABLE
    refused = [item for item in outcome.items if item.state is ItemState.REFUSED]
    if single and refused:
        return 422, refused[0].code or Code.FIELD_INVALID
    return 200, None


def acknowledgment(outcome: DeliveryOutcome, *, single: bool) -> Acknowledgment:
    """The answer to an authentic delivery. A replay is answered as the first time, byte for byte.

    Args:
        outcome: what became of it.
        single: as in ``result``.
    """
    http_status, code = result(outcome, single=single)
    data = {
        "deliveryId": outcome.delivery_id,
        "party": _party(code),
        "items": [_item(item) for item in outcome.items],
    }
    return _answer(http_status, code, data)


def refusal(code: Code) -> Acknowledgment:
    """The answer to a request of which nothing was kept: the same bytes for the same reason, always."""
    return _answer(status(code), code, {"party": _party(code)})
