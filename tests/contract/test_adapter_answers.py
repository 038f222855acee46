"""The contract's third part: the answers that a platform gets, in its own envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.contract.deliveries import each_adapter
from verifier.errors import CATALOGUE, Code
from verifier.model.delivery import (
    Acknowledgment,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)
from verifier.ports import Adapter
from verifier.signatures import strict_json

ID: Final = DeliveryId("delivery-1")
REFUSED: Final = ItemOutcome("2", ItemState.REFUSED, Code.CERTIFICATE_SIGNATURE_INVALID, 7, "/items/1")
# What every platform is told by the status alone, whatever its envelope.
STATUSES: Final[Mapping[Code, int]] = {
    Code.SIGNATURE_REJECTED: 401,
    Code.HEADERS_INVALID: 400,
    Code.JSON_INVALID: 400,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.REQUEST_TIMEOUT: 408,
    Code.DELIVERY_CONFLICT: 409,
    Code.REQUEST_TOO_LARGE: 413,
    Code.CONTENT_TYPE_UNSUPPORTED: 415,
    Code.CONTENT_ENCODING_UNSUPPORTED: 415,
    Code.QUOTA_EXCEEDED: 429,
    Code.OVERLOADED: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.INTERNAL: 500,
}

each_code = pytest.mark.parametrize("code", list(Code))


def body_of(answer: Acknowledgment) -> Mapping[str, Any]:
    """The answer's JSON; an envelope that is none needs a reader of its own here."""
    assert answer.content_type == "application/json; charset=utf-8"
    body = strict_json.loads(answer.body, max_bytes=65_536)
    assert isinstance(body, dict)
    assert set(body) == {"code", "msg", "data"}
    assert body["msg"]
    return body


def outcome(*items: ItemOutcome, **others: Any) -> DeliveryOutcome:
    return DeliveryOutcome(ID, others.pop("state", DeliveryState.ACCEPTED), items, **others)


@each_adapter
@each_code
def test_a_refusal_says_why_and_who_must_act(adapter: Adapter, code: Code) -> None:
    answer = adapter.refuse(code)
    assert answer.status == STATUSES.get(code, answer.status)
    assert 400 <= answer.status <= 503
    assert body_of(answer) == {
        "code": code.value,
        "msg": CATALOGUE[code].zh,
        "data": {"party": CATALOGUE[code].party.value},
    }
    assert adapter.refuse(code) == answer


@each_adapter
@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.REFUSED])
def test_an_item_that_is_kept_is_answered_with_200(adapter: Adapter, state: ItemState) -> None:
    answer = adapter.acknowledge(outcome(ItemOutcome("1", state)))
    body = body_of(answer)
    assert (answer.status, body["code"], body["data"]["deliveryId"]) == (200, 0, ID)
    assert body["data"]["items"] == [
        {
            "item": "1",
            "state": state.value,
            "code": 0,
            "message": "成功",
            "party": "",
            "pointer": "",
            "step": 0,
        }
    ]


@each_adapter
@each_code
@pytest.mark.parametrize("state", list(ItemState))
def test_each_item_says_its_reason_and_who_must_mend_it(
    adapter: Adapter, code: Code, state: ItemState
) -> None:
    body = body_of(adapter.acknowledge(outcome(ItemOutcome("1", state, code, 3, "/data"))))
    assert body["data"]["items"] == [
        {
            "item": "1",
            "state": state.value,
            "code": code.value,
            "message": CATALOGUE[code].zh,
            "party": CATALOGUE[code].party.value,
            "pointer": "/data",
            "step": 3,
        }
    ]


@each_adapter
def test_a_batch_with_refused_items_answers_every_item_in_order(adapter: Adapter) -> None:
    answer = adapter.acknowledge(outcome(ItemOutcome("1", ItemState.ACCEPTED), REFUSED))
    items = body_of(answer)["data"]["items"]
    assert [(item["item"], item["state"]) for item in items] == [("1", "accepted"), ("2", "refused")]


@each_adapter
@pytest.mark.parametrize(
    ("state", "status", "default"),
    [
        (DeliveryState.CONFLICT, 409, Code.DELIVERY_CONFLICT),
        (DeliveryState.QUARANTINED, 422, Code.DELIVERY_UNREADABLE),
    ],
)
def test_a_delivery_in_conflict_or_quarantine_is_answered_as_failed(
    adapter: Adapter, state: DeliveryState, status: int, default: Code
) -> None:
    for code in (None, *Code):
        answer = adapter.acknowledge(outcome(state=state, code=code))
        said = code or default
        assert answer.status == status
        assert body_of(answer) == {
            "code": said.value,
            "msg": CATALOGUE[said].zh,
            "data": {"deliveryId": ID, "party": CATALOGUE[said].party.value, "items": []},
        }


@each_adapter
def test_a_replay_is_answered_as_the_first_time(adapter: Adapter) -> None:
    first = outcome(ItemOutcome("1", ItemState.ACCEPTED))
    again = outcome(ItemOutcome("1", ItemState.ACCEPTED), replayed=True)
    assert adapter.acknowledge(again) == adapter.acknowledge(first)
