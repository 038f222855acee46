from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from adapters import china_vocational_training as cvt
from tests.platforms.senders import SENDERS
from verifier.errors import AdapterError, Code
from verifier.model.delivery import (
    AuthenticatedCallback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    ItemOutcome,
    ItemState,
    UnreadableItem,
)

NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)
ADAPTER: Final = cvt.ChinaVocationalTraining()
V1, V1A = (sender for sender in SENDERS if sender.slug == ADAPTER.slug)
REVOKED: Final[dict[str, Any]] = {
    "type": "completion.revoked",
    "timestamp": "2021-03-16T09:00:05+08:00",
    "data": {"issuer": "cvt-issuer", "certificate_number": "CVT-1", "reason": "误发"},
}


def authentic(body: bytes) -> AuthenticatedCallback:
    return ADAPTER.authenticate(V1.callback(body, "msg-1", NOW), [V1.key(0)], NOW)


def parse(value: object) -> Event | UnreadableItem:
    (item,) = ADAPTER.parse(authentic(json.dumps(value, ensure_ascii=False).encode()))
    return item


def test_both_versions_of_signature_are_accepted_beside_each_other() -> None:
    request = V1.callback(b"{}", "msg-1", NOW)
    for keys in ([V1.key(0), V1A.key(0)], [V1A.key(0), V1.key(0)]):
        assert ADAPTER.authenticate(request, keys, NOW).key_id == V1.key(0).key_id


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'{"type":1}', b'{"type":""}', b'{"type":"x","type":"y"}', b'{"a":"\xff"}'],
)
def test_a_body_without_a_readable_type_is_unreadable_as_a_whole(body: bytes) -> None:
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(authentic(body))
    assert caught.value.code is Code.DELIVERY_UNREADABLE


@pytest.mark.parametrize("data", [None, "text", [1], {}, {"a": 1}])
def test_an_unknown_event_is_recorded_whatever_its_data(data: object) -> None:
    item = parse({"type": "later.invented", "timestamp": "2021-03-16T01:00:05Z", "data": data})
    assert isinstance(item, Event)
    assert item.kind is EventKind.UNKNOWN
    expected = {"message": {"type": "later.invented"}} | ({"item": data} if data else {})
    assert item.extra == expected


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"timestamp": None}, Code.FIELD_MISSING, "/timestamp"),
        ({"timestamp": "2021-03-16"}, Code.FIELD_INVALID, "/timestamp"),
        ({"timestamp": 1615856405}, Code.FIELD_INVALID, "/timestamp"),
        ({"data": None}, Code.FIELD_MISSING, "/data"),
        ({"data": []}, Code.FIELD_INVALID, "/data"),
        ({"data": {}}, Code.FIELD_MISSING, "/data/issuer"),
    ],
)
def test_what_cannot_be_read_names_its_place(change: dict[str, Any], code: Code, pointer: str) -> None:
    assert parse(REVOKED | change) == UnreadableItem("0", code, pointer)


def test_a_refused_event_is_a_refused_delivery() -> None:
    accepted = DeliveryOutcome(DeliveryId("m"), DeliveryState.ACCEPTED)
    refused = ItemOutcome("0", ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED, 4)
    answer = ADAPTER.acknowledge(replace(accepted, items=(refused,)))
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "issuer_not_allowed")
    without_reason = replace(refused, code=None)
    answer = ADAPTER.acknowledge(replace(accepted, items=(without_reason,)))
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "field_invalid")
