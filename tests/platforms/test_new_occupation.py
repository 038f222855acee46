from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import new_occupation as xzy
from tests.platforms.senders import SENDERS
from verifier.errors import AdapterError, Code
from verifier.model.delivery import (
    AuthenticatedCallback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    ItemOutcome,
    ItemState,
    UnreadableItem,
)

NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)
ADAPTER: Final = xzy.NewOccupation()
(SENDER,) = (sender for sender in SENDERS if sender.slug == ADAPTER.slug)


def authentic(body: bytes, *, at: datetime = NOW, key: int = 0) -> AuthenticatedCallback:
    return ADAPTER.authenticate(SENDER.callback(body, "", at, key=key), [SENDER.key(key)], at)


def body(message_id: object = "B1", items: object = None) -> bytes:
    return json.dumps({"messageId": message_id, "items": [cancel("I1")] if items is None else items}).encode()


def cancel(item_id: object, **change: object) -> dict[str, Any]:
    common = {"itemId": item_id, "eventType": "CANCEL", "eventTime": "20210421083005"}
    return {**common, "fzjg": "xzy-issuer", "zsbh": "N1", "reason": "r", **change}


@pytest.mark.parametrize("name", ["B1", "a.b-c_D9", "x" * 128])
def test_the_delivery_is_named_by_its_signed_message_id(name: str) -> None:
    assert authentic(body(name)).delivery_id == name


@pytest.mark.parametrize("name", [None, "", " ", 1, "x" * 129, "编号", "a b", "a\n", "digest:00", ["B1"]])
def test_an_authentic_body_without_a_message_id_is_named_by_keyed_digest_and_unreadable(name: object) -> None:
    first = authentic(body(name))
    assert re.fullmatch(r"digest:[0-9a-f]{64}", first.delivery_id)
    # Sent again it is the same delivery; other content, or another secret, gives another name.
    assert authentic(body(name), at=NOW + timedelta(days=1)).delivery_id == first.delivery_id
    assert authentic(body(name) + b" ").delivery_id != first.delivery_id
    assert authentic(body(name), key=1).delivery_id != first.delivery_id
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(first)
    assert (caught.value.code, caught.value.pointer) == (Code.DELIVERY_UNREADABLE, "/messageId")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"messageId":"B1","messageid":"B2"}', b"\xff", b"1e999"])
def test_a_body_that_is_no_strict_json_object_is_kept_and_unreadable(raw: bytes) -> None:
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(authentic(raw))
    assert caught.value.code is Code.DELIVERY_UNREADABLE


@pytest.mark.parametrize("items", ["x", {}, [], [1] * 201])
def test_a_batch_has_1_to_200_items(items: object) -> None:
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(authentic(body("B1", items)))
    assert (caught.value.code, caught.value.pointer) == (Code.DELIVERY_UNREADABLE, "/items")


def test_a_batch_of_200_is_read_whole() -> None:
    read = ADAPTER.parse(authentic(body("B1", [cancel(f"I{n}") for n in range(200)])))
    assert [item.item for item in read] == [f"I{n}" for n in range(200)]
    assert all(isinstance(item, Event) for item in read)


@given(
    st.lists(
        st.sampled_from(["A", "B", "A#0", "#1", "", None, 7, "C" * 65]) | st.text("aA1#.一 ", max_size=3),
        min_size=1,
    )
)
def test_no_two_items_ever_share_a_name(ids: list[object]) -> None:
    read = ADAPTER.parse(authentic(body("B1", [cancel(one) for one in ids])))
    names = [item.item for item in read]
    assert len(set(names)) == len(ids)
    for position, (one, name) in enumerate(zip(ids, names, strict=True)):
        good = isinstance(one, str) and re.fullmatch(r"[A-Za-z0-9_\-.]{1,64}", one) is not None
        assert name == (one if good and ids.count(one) == 1 else f"{one if good else ''}#{position}")


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_batch_with_k_bad_items_keeps_exactly_the_others_with_k_reasons(good: list[bool]) -> None:
    items = [cancel(f"I{n}", **({} if ok else {"reason": None})) for n, ok in enumerate(good)]
    read = ADAPTER.parse(authentic(body("B1", items)))
    assert [isinstance(item, Event) for item in read] == good
    bad = [(f"I{n}", f"/items/{n}/reason") for n, ok in enumerate(good) if not ok]
    assert [item for item in read if isinstance(item, UnreadableItem)] == [
        UnreadableItem(name, Code.FIELD_MISSING, pointer) for name, pointer in bad
    ]


@pytest.mark.parametrize("nonce", ["", "0", "other"])
def test_nothing_depends_on_the_nonce(nonce: str) -> None:
    request = SENDER.callback(body(), "", NOW)
    pairs = tuple((name, nonce if name == "x-xzy-nonce" else value) for name, value in request.headers.pairs)
    changed = replace(request, headers=replace(request.headers, pairs=pairs))
    assert ADAPTER.authenticate(changed, [SENDER.key(0)], NOW).delivery_id == "B1"


def test_a_batch_is_received_though_items_of_it_are_refused() -> None:
    refused = ItemOutcome("I1", ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED, 4)
    answer = ADAPTER.acknowledge(DeliveryOutcome(DeliveryId("B1"), DeliveryState.ACCEPTED, (refused,)))
    assert (answer.status, json.loads(answer.body)["code"]) == (200, 0)
