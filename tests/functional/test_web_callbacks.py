from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.functional.web_fakes import NOW, FakeAdapter, Web, assert_problem, later, refused, serving
from verifier.errors import CATALOGUE, Code, ConfigurationError, Unavailable
from verifier.model import envelope
from verifier.model.delivery import (
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)
from verifier.ports.reading import DeliverySummary
from verifier.web.services import HttpLimits

PATH = "/v1/callbacks/fake_platform"
BODY = '{"name": "阿依古丽"}'.encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


async def deliver(served: Web, body: bytes = BODY, **headers: str) -> tuple[int, Any, bytes]:
    return await served.call("POST", PATH, data=body, headers={**JSON, **headers})


def assert_envelope(body: bytes, code: Code) -> None:
    assert body == envelope.refusal(code).body


async def test_a_callback_arrives_raw_and_is_acknowledged_in_the_platforms_envelope(served: Web) -> None:
    status, headers, body = await served.call(
        "POST", f"{PATH}?a=%2F", data=BODY, headers={**JSON, "X-Sig": "a", "Cookie": "b"}
    )
    expected = FakeAdapter().acknowledge(DeliveryOutcome(DeliveryId("delivery-1"), DeliveryState.ACCEPTED))
    assert (status, body, headers["Content-Type"]) == (200, expected.body, expected.content_type)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    [callback] = served.submissions.callbacks
    assert (callback.platform, callback.method, callback.path) == ("fake_platform", "POST", PATH)
    assert (callback.body, callback.received_at) == (BODY, NOW)
    assert callback.headers.one("x-sig") == "a"
    assert callback.request_id == headers["Request-Id"]


@pytest.mark.parametrize(
    ("outcome", "status", "result"),
    [
        (DeliveryOutcome(DeliveryId("d"), DeliveryState.ACCEPTED, replayed=True), 200, "replayed"),
        (DeliveryOutcome(DeliveryId("d"), DeliveryState.CONFLICT), 409, "conflict"),
        (DeliveryOutcome(DeliveryId("d"), DeliveryState.QUARANTINED), 422, "quarantined"),
    ],
    ids=["9-replay", "11-conflict", "quarantined"],
)
async def test_each_outcome_has_the_platforms_answer_and_is_counted(
    served: Web, outcome: DeliveryOutcome, status: int, result: str
) -> None:
    served.submissions.answer = outcome
    got, _, body = await deliver(served)
    assert (got, body) == (status, FakeAdapter().acknowledge(outcome).body)
    _, _, counters = await served.call("GET", "/metrics")
    line = f'deliveries_total{{platform="fake_platform",result="{result}"}} 1.0'
    assert line.encode() in counters


async def test_an_unknown_platform_is_not_found(served: Web) -> None:
    status, headers, body = await served.call("POST", "/v1/callbacks/nobody", data=BODY, headers=JSON)
    assert status == 404
    assert_problem(status, headers, body, Code.NOT_FOUND)
    assert served.submissions.callbacks == []


async def test_what_is_not_authentic_has_one_answer_and_is_on_the_platforms_own_list(
    served: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "verifier.web.audit")
    served.submissions.answer = refused("timestamp")
    first = await deliver(served)
    served.now = later(NOW, 1)
    served.submissions.answer = refused("signature")
    second = await deliver(served)
    assert first[0] == second[0] == 401
    assert first[2] == second[2] == envelope.refusal(Code.SIGNATURE_REJECTED).body
    status, _, body = await served.call("GET", "/v1/platforms/fake_platform/deliveries", client="plat")
    assert status == 200
    assert json.loads(body)["authentication_failures"] == [
        {"at": "2021-07-01T04:00:01Z", "request_id": second[1]["Request-Id"], "step": "signature"},
        {"at": "2021-07-01T04:00:00Z", "request_id": first[1]["Request-Id"], "step": "timestamp"},
    ]
    [line, _] = [json.loads(one.message) for one in caplog.records]
    assert line == {
        "event": "refused",
        "code": "signature_rejected",
        "status": 401,
        "request_id": first[1]["Request-Id"],
        "route": "/v1/callbacks/{platform}",
        "source": "127.0.0.1",
        "step": "timestamp",
        "payload": (b"audit" + BODY).ljust(32, b"#")[:16].hex(),
    }


async def test_only_the_last_hundred_failures_are_kept(served: Web) -> None:
    served.submissions.answer = refused()
    for _ in range(103):
        await deliver(served)
    kept = served.services.failures.of("fake_platform")
    assert len(kept) == 100
    assert kept[-1].request_id == "request-102"
    assert served.services.failures.of("other") == ()


@pytest.mark.parametrize("code", [Code.OVERLOADED, Code.STORE_UNAVAILABLE])
async def test_attack_85_when_nothing_could_be_done_the_platform_may_try_again(
    served: Web, code: Code
) -> None:
    served.submissions.answer = Unavailable(code)
    status, headers, body = await deliver(served)
    assert (status, headers["Retry-After"]) == (503, "1")
    assert_envelope(body, code)


@pytest.mark.parametrize("error", [ZeroDivisionError("阿依古丽 650100"), ConfigurationError()])
async def test_the_unforeseen_is_answered_in_the_envelope_and_logged_without_its_message(
    served: Web, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    served.submissions.answer = error
    status, headers, body = await deliver(served)
    assert status == 500
    code = error.code if isinstance(error, ConfigurationError) else Code.INTERNAL
    assert_envelope(body, code)
    assert "阿依古丽" not in caplog.text
    if code is Code.INTERNAL:
        assert "unexpected ZeroDivisionError in __call__:" in caplog.text
        assert headers["Request-Id"] in caplog.text


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, BODY, 415, Code.CONTENT_TYPE_UNSUPPORTED),
        ({"Content-Type": "application/json; charset=utf-7"}, BODY, 415, Code.CONTENT_TYPE_UNSUPPORTED),
        ({"Content-Type": "multipart/form-data; boundary=x"}, BODY, 415, Code.CONTENT_TYPE_UNSUPPORTED),
        ({"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\0" * 1000, 415, Code.CONTENT_ENCODING_UNSUPPORTED),
        ({"Content-Encoding": "br"}, b"x", 415, Code.CONTENT_ENCODING_UNSUPPORTED),
        ({"Content-Encoding": "nonsense"}, b"x", 415, Code.CONTENT_ENCODING_UNSUPPORTED),
        ({"Content-Encoding": "identity"}, b"x", 415, Code.CONTENT_ENCODING_UNSUPPORTED),
        (
            {"X-Long": "y" * 8_000, "X-Longer": "y" * 8_000, "X-Longest": "z" * 400},
            BODY,
            400,
            Code.HEADERS_INVALID,
        ),
        ({"Upgrade": "h2c"}, BODY, 400, Code.HEADERS_INVALID),
        ({}, b"x" * 1_048_577, 413, Code.REQUEST_TOO_LARGE),
    ],
    ids=[
        "57-plain",
        "57-utf-7",
        "57-multipart",
        "51-gzip",
        "51-br",
        "52-unknown",
        "52-identity",
        "46-long",
        "55-h2c",
        "50-large",
    ],
)
async def test_a_request_against_the_limits_is_refused_in_the_envelope(
    served: Web, headers: dict[str, str], body: bytes, status: int, code: Code
) -> None:
    got, _, answer = await deliver(served, body, **headers)
    assert got == status
    assert_envelope(answer, code)
    assert served.submissions.callbacks == []


async def test_attack_51_what_claims_to_be_gzip_is_never_inflated(served: Web) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
    answer = await served.raw(head.encode() + b"junk")
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"connection: close" in answer.lower()


async def test_attack_56_the_commit_completes_when_the_client_goes_away(served: Web) -> None:
    served.submissions.gate = asyncio.Event()
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
    writer.write(head.encode() + b"\r\n\r\n" + BODY)
    await asyncio.wait_for(served.submissions.begun.acquire(), 2)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert served.submissions.committed == 0
    served.submissions.gate.set()
    await asyncio.sleep(0.05)
    assert served.submissions.committed == 1


async def test_no_answer_comes_before_the_commit(served: Web) -> None:
    served.submissions.gate = asyncio.Event()
    waiting = asyncio.create_task(deliver(served))
    await asyncio.wait_for(served.submissions.begun.acquire(), 2)
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert done == set()
    served.submissions.gate.set()
    assert (await waiting)[0] == 200


async def test_more_requests_at_once_than_are_borne_are_sent_away_at_once() -> None:
    async with serving(limits=HttpLimits(requests=2)) as served:
        served.submissions.gate = asyncio.Event()
        waiting = [asyncio.create_task(deliver(served)) for _ in range(2)]
        for _ in range(2):
            await asyncio.wait_for(served.submissions.begun.acquire(), 2)
        status, headers, body = await deliver(served)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert_envelope(body, Code.OVERLOADED)
        served.submissions.gate.set()
        assert [(await one)[0] for one in waiting] == [200, 200]
        assert (await deliver(served))[0] == 200


# The platform's own list

OUTCOME = DeliveryOutcome(
    DeliveryId("d-1"),
    DeliveryState.ACCEPTED,
    (
        ItemOutcome("1", ItemState.ACCEPTED),
        ItemOutcome("2", ItemState.REFUSED, Code.CERTIFICATE_SIGNATURE_INVALID, 7, "/items/1"),
    ),
)


async def test_a_platform_sees_its_deliveries_with_reasons_item_by_item(served: Web) -> None:
    quarantined = DeliveryOutcome(DeliveryId("d-2"), DeliveryState.QUARANTINED, code=Code.DELIVERY_UNREADABLE)
    served.reading.listed = [DeliverySummary("d-1", NOW, OUTCOME), DeliverySummary("d-2", NOW, quarantined)]
    status, _, body = await served.call(
        "GET", "/v1/platforms/fake_platform/deliveries?state=all&limit=7", client="plat"
    )
    bad, unreadable = CATALOGUE[Code.CERTIFICATE_SIGNATURE_INVALID], CATALOGUE[Code.DELIVERY_UNREADABLE]
    assert status == 200
    assert served.reading.asked == [("fake_platform", False, 7)]
    assert json.loads(body) == {
        "deliveries": [
            {
                "delivery_id": "d-1",
                "received_at": "2021-07-01T04:00:00Z",
                "state": "accepted",
                "code": None,
                "items": [
                    {"item": "1", "state": "accepted", "step": 0, "pointer": "", "code": None},
                    {
                        "item": "2",
                        "state": "refused",
                        "step": 7,
                        "pointer": "/items/1",
                        "code": "certificate_signature_invalid",
                        "title": bad.zh,
                        "detail_en": bad.en,
                        "party": "platform",
                    },
                ],
            },
            {
                "delivery_id": "d-2",
                "received_at": "2021-07-01T04:00:00Z",
                "state": "quarantined",
                "code": "delivery_unreadable",
                "title": unreadable.zh,
                "detail_en": unreadable.en,
                "party": "platform",
                "items": [],
            },
        ],
        "authentication_failures": [],
        "missing_sequences": [],
    }


async def test_the_list_shows_what_needs_attention_unless_asked_for_all(served: Web) -> None:
    await served.call("GET", "/v1/platforms/fake_platform/deliveries", client="plat")
    assert served.reading.asked == [("fake_platform", True, 100)]


@pytest.mark.parametrize("slug", ["other_platform", "no-such-platform"])
async def test_another_platforms_list_and_one_that_is_not_there_are_the_same(served: Web, slug: str) -> None:
    known = served.reading.clients["plat"]
    served.reading.clients["plat"] = replace(known, platform="fake_platform")
    status, headers, body = await served.call("GET", f"/v1/platforms/{slug}/deliveries", client="plat")
    assert status == 404
    assert_problem(status, headers, body, Code.NOT_FOUND)
    assert served.reading.asked == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("state=none", "?state"),
        ("state=all&state=all", "?state"),
        ("limit=0", "?limit"),
        ("limit=501", "?limit"),
        ("limit=+5", "?limit"),
        ("limit=１", "?limit"),
        ("limit=1_0", "?limit"),
        ("limit=", "?limit"),
        ("<script>=1", "?"),
    ],
)
async def test_a_query_that_is_not_as_documented_is_refused_without_echo(
    served: Web, query: str, pointer: str
) -> None:
    path = f"/v1/platforms/fake_platform/deliveries?{query}"
    status, headers, body = await served.call("GET", path, client="plat")
    assert status == 422
    assert assert_problem(status, headers, body, Code.SCHEMA_INVALID)["pointer"] == pointer
    assert b"script" not in body
