"""The contract's third part: the answers that a platform gets, in its own envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.contract.deliveries import EVERY, each_adapter
from tests.platforms.envelopes import READERS, Answer
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
    Code.OUTCOME_UNKNOWN: 503,
    Code.INTERNAL: 500,
}


def read(adapter: Adapter, answer: Acknowledgment) -> Answer:
    """What the platform understands; an answer says nothing but what the catalogue says."""
    said = READERS[adapter.slug](answer)
    if said.code:
        explanation = CATALOGUE[Code(said.code)]
        assert said.message in {None, explanation.zh}
        assert said.party in {None, explanation.party.value}
    return said


def outcome(*items: ItemOutcome, **others: Any) -> DeliveryOutcome:
    return DeliveryOutcome(ID, others.pop("state", DeliveryState.ACCEPTED), items, **others)


@each_adapter
def test_a_refusal_says_why_and_who_must_act(adapter: Adapter) -> None:
    for code in Code:
        answer = adapter.refuse(code)
        assert answer.status == STATUSES.get(code, answer.status), code
        assert 400 <= answer.status <= 503, code
        said = read(adapter, answer)
        told = (said.received, said.code, said.delivery_id or "", said.items or ())
        assert told == (False, code.value, "", ())
        assert adapter.refuse(code) == answer


@each_adapter
@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.REFUSED])
def test_an_item_that_is_kept_is_answered_with_success(adapter: Adapter, state: ItemState) -> None:
    answer = adapter.acknowledge(outcome(ItemOutcome("1", state)))
    said = read(adapter, answer)
    assert answer.status in {200, 204}
    assert (said.received, said.code) == (True, "")
    assert said.delivery_id in {ID, None}
    for item in said.items or ():
        values = [item[name] for name in ("item", "state", "code", "party", "pointer", "step")]
        assert values == ["1", state.value, 0, "", "", 0]


@each_adapter
@pytest.mark.parametrize("state", list(ItemState))
def test_each_item_says_its_reason_and_who_must_mend_it(adapter: Adapter, state: ItemState) -> None:
    for code in Code:
        said = read(adapter, adapter.acknowledge(outcome(ItemOutcome("1", state, code, 3, "/data"))))
        if said.items is None:
            # Then the whole answer is the item's.
            assert said.code == (code.value if state is ItemState.REFUSED else "")
            continue
        values = [said.items[0][name] for name in ("item", "state", "code", "party", "pointer", "step")]
        assert values == ["1", state.value, code.value, CATALOGUE[code].party.value, "/data", 3]


@each_adapter
def test_a_batch_with_refused_items_answers_every_item_in_order(adapter: Adapter) -> None:
    said = read(adapter, adapter.acknowledge(outcome(ItemOutcome("1", ItemState.ACCEPTED), REFUSED)))
    if said.items is None:
        assert said.code == REFUSED.code
    else:
        assert [(item["item"], item["state"]) for item in said.items] == [("1", "accepted"), ("2", "refused")]


@each_adapter
@pytest.mark.parametrize(
    ("state", "statuses", "default"),
    [
        (DeliveryState.CONFLICT, {409}, Code.DELIVERY_CONFLICT),
        (DeliveryState.QUARANTINED, {422, 400}, Code.DELIVERY_UNREADABLE),
    ],
)
def test_a_delivery_in_conflict_or_quarantine_is_answered_as_failed(
    adapter: Adapter, state: DeliveryState, statuses: set[int], default: Code
) -> None:
    for code in (None, *Code):
        answer = adapter.acknowledge(outcome(state=state, code=code))
        said = read(adapter, answer)
        # Some gateways take an HTTP error for an outage, so that their profile answers errors with 200.
        assert answer.status in statuses | {200}
        assert (said.received, said.code) == (False, (code or default).value)
        assert said.delivery_id in {ID, None}
        assert not said.items


@each_adapter
def test_a_replay_is_answered_as_the_first_time(adapter: Adapter) -> None:
    first = outcome(ItemOutcome("1", ItemState.ACCEPTED))
    again = outcome(ItemOutcome("1", ItemState.ACCEPTED), replayed=True)
    assert adapter.acknowledge(again) == adapter.acknowledge(first)


def test_every_platform_has_a_reader_of_its_answers() -> None:
    assert set(READERS) == {adapter.slug for adapter in EVERY}
