"""Every envelope that a profile can declare, read as a platform would read it."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.platforms.envelopes import READERS
from tests.platforms.profiles import Changes, declared
from verifier.errors import CATALOGUE, Code
from verifier.model.delivery import (
    Acknowledgment,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)

GOOD: Final = ItemOutcome("1", ItemState.ACCEPTED)
BAD: Final = ItemOutcome("2", ItemState.REFUSED, Code.CERTIFICATE_SIGNATURE_INVALID, 7, "/list/1")
BATCH: Final[Changes] = {"items": {"form": "batch", "at": "list"}}


def outcome(*items: ItemOutcome, state: DeliveryState = DeliveryState.ACCEPTED) -> DeliveryOutcome:
    return DeliveryOutcome(DeliveryId("d-1"), state, items)


def answer(changes: Changes, envelope: str, *items: ItemOutcome) -> Acknowledgment:
    return declared({**changes, "answer": {"envelope": envelope}}).acknowledge(outcome(*items))


def test_data_is_the_common_envelope() -> None:
    assert READERS["new_occupation"](answer(BATCH, "data", GOOD, BAD)).received
    assert answer(BATCH, "data", GOOD, BAD).status == 200
    assert answer({}, "data", BAD).status == 422


def test_plain_is_one_word_or_one_line() -> None:
    plain = declared({"answer": {"envelope": "plain", "success": "ok"}})
    kind = "text/plain; charset=utf-8"
    assert plain.acknowledge(outcome(GOOD)) == Acknowledgment(200, kind, b"ok")
    said = f"FAIL:certificate_signature_invalid {CATALOGUE[Code.CERTIFICATE_SIGNATURE_INVALID].zh}"
    assert plain.acknowledge(outcome(BAD)) == Acknowledgment(422, kind, said.encode())
    said = f"FAIL:signature_rejected {CATALOGUE[Code.SIGNATURE_REJECTED].zh}"
    assert plain.refuse(Code.SIGNATURE_REJECTED) == Acknowledgment(401, kind, said.encode())
    assert answer({}, "plain", GOOD).body == b"SUCCESS"


def test_c_msg_ctt_answers_what_is_authentic_with_200() -> None:
    for changes in ({}, BATCH):
        said = answer(changes, "c-msg-ctt", GOOD, BAD)
        assert (said.status, said.content_type) == (200, "application/json; charset=utf-8")
        body = json.loads(said.body)
        assert set(body) == {"c", "msg", "ctt"}
        assert body["c"] == (0 if changes else "certificate_signature_invalid")
        assert [(item["item"], item["state"], item["pointer"]) for item in body["ctt"]] == [
            ("1", "accepted", ""),
            ("2", "refused", "/list/1"),
        ]
    platform = declared({"answer": {"envelope": "c-msg-ctt"}})
    conflict = platform.acknowledge(outcome(state=DeliveryState.CONFLICT))
    assert (conflict.status, json.loads(conflict.body)["c"]) == (200, "delivery_conflict")
    refusal = platform.refuse(Code.SIGNATURE_REJECTED)
    assert (refusal.status, json.loads(refusal.body)) == (
        401,
        {"c": "signature_rejected", "msg": CATALOGUE[Code.SIGNATURE_REJECTED].zh, "ctt": []},
    )


def test_status_is_an_empty_204_or_a_problem() -> None:
    assert answer({}, "status", GOOD) == Acknowledgment(204, "text/plain; charset=utf-8", b"")
    problem = answer({}, "status", BAD)
    assert (problem.status, problem.content_type) == (422, "application/problem+json")
    body = json.loads(problem.body)
    assert (body["status"], body["code"], body["party"]) == (422, "certificate_signature_invalid", "platform")
    assert body["type"] == "urn:training-verifier:error:certificate_signature_invalid"


@pytest.mark.parametrize("envelope", ["plain", "status"])
def test_where_there_is_no_room_for_items_a_batch_with_a_refused_one_is_refused(envelope: str) -> None:
    assert answer(BATCH, envelope, GOOD, BAD).status == 422
    assert answer(BATCH, envelope, GOOD).status in {200, 204}
