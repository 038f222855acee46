"""Framing and connections (attacks 38 to 58), with the bytes written by hand where a client would not."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.functional.web_fakes import Web, assert_problem, serving
from verifier.errors import CATALOGUE, Code, RequestRejected
from verifier.web import bodies, ledger, server
from verifier.web.services import HttpLimits

PATH = "/v1/callbacks/fake_platform"
POST = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
HASTY = HttpLimits(body_seconds=0.6, body_grace_seconds=0.2, idle_seconds=0.3, linger_seconds=0.1)


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


MALFORMED = {
    "40-length-and-chunked": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "40-chunked-and-length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "41-length-twice-same": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "41-length-twice-other": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "41-length-list": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "41-length-signed": POST + b"Content-Length: +2\r\n\r\n{}",
    "42-xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "42-chunked-twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "42-two-headers": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "42-vertical-tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "42-identity-chunked": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "42-gzip-chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "43-space-before-colon": GET + b"X-Secret : secret\r\n\r\n",
    "43-obs-fold": GET + b"X-Secret: a\r\n secret\r\n\r\n",
    "43-bare-cr": GET + b"X-Secret: a\rsecret\r\n\r\n",
    "43-bare-lf": GET + b"X-Secret: a\nX: secret\r\n\r\n",
    "43-nul": GET + b"X-Secret: a\0secret\r\n\r\n",
    "44-no-host": b"GET /secret HTTP/1.1\r\n\r\n",
    "44-two-hosts": GET + b"Host: secret\r\n\r\n",
    "45-chunk-plus": POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "45-chunk-space": POST + b"Transfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n",
    "45-extension-lf": POST + b"Transfer-Encoding: chunked\r\n\r\n2;secret\n\r\n{}\r\n0\r\n\r\n",
    "45-2^64": POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{}\r\n0\r\n\r\n",
    "46-header-100-KB": GET + b"X-Secret: " + b"secret" * 17_000 + b"\r\n\r\n",
    "46-200-headers": GET + b"X-Secret: secret\r\n" * 200 + b"\r\n",
    "46-line-100-KB": b"GET /" + b"secret" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "54-not-a-method": b"SECRET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "55-http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls-on-this-port": b"\x16\x03\x01\x02\x00\x01\x00secret",
    "http-0.9": b"GET /healthz\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
async def test_attack_on_framing_is_refused_closed_and_not_repeated(
    served: Web, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    caplog.set_level(logging.INFO)
    answer = await served.raw(request_bytes)
    assert status_of(answer) in {400, 405}
    assert b"application/problem+json" in answer or b'"code":"headers_invalid"' in answer
    assert answer.count(b"HTTP/1.") == 1
    assert b"secret" not in answer.lower()
    assert "secret" not in caplog.text.lower()
    assert served.submissions.callbacks == []
    assert sum("refused" in one.message for one in caplog.records) == 1


async def test_what_follows_a_malformed_request_is_not_read_as_another(served: Web) -> None:
    smuggled = GET + b"\r\n"
    answer = await served.raw(MALFORMED["40-length-and-chunked"] + smuggled)
    assert answer.count(b"HTTP/1.") == 1


async def test_what_is_left_of_a_refused_body_is_not_read_as_another(served: Web) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /no/such HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(inner) + 1)
    answer = await served.raw(head, inner)
    assert answer.count(b"HTTP/1.") == 1
    assert status_of(answer) == 404
    assert b"connection: close" in answer.lower()


async def test_attack_45_framing_that_breaks_within_the_body_is_answered_at_once(served: Web) -> None:
    started = time.monotonic()
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    answer = await served.raw(head, b"+2\r\n{}\r\n", pause=0.05)
    assert status_of(answer) == 400
    assert time.monotonic() - started < 2
    assert served.submissions.callbacks == []


async def test_garbage_behind_a_whole_request_does_not_spoil_it(served: Web) -> None:
    served.submissions.gate = asyncio.Event()
    answer = asyncio.create_task(served.raw(POST + b"Content-Length: 2\r\n\r\n{}", b"secret\r\n", pause=0.05))
    await asyncio.wait_for(served.submissions.begun.acquire(), 2)
    await asyncio.sleep(0.1)
    served.submissions.gate.set()
    first, _, second = (await answer).partition(b"HTTP/1.0 ")
    assert status_of(first) == 200
    assert second.startswith((b"400 ", b"405 "))


async def test_a_chunked_body_is_taken(served: Web) -> None:
    framed = (
        POST + b"Transfer-Encoding: Chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n"
    )
    assert status_of(await served.raw(framed)) == 200
    assert served.submissions.callbacks[0].body == b"{}"


async def test_a_body_that_grows_over_the_limit_unannounced_is_refused(served: Web) -> None:
    chunk = b"20000\r\n" + b"x" * 0x20000 + b"\r\n"
    answer = await served.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 10)
    assert status_of(answer) == 413
    assert served.submissions.callbacks == []


@pytest.mark.parametrize("host", ["evil.example", "verifier.example:81", ""])
async def test_attack_44_another_host_is_refused_where_ours_are_named(host: str) -> None:
    async with serving(limits=HttpLimits(hosts=frozenset({"verifier.example"}))) as served:
        status, headers, body = await served.call("GET", "/healthz", headers={"Host": host})
        assert status == 400
        assert assert_problem(status, headers, body, Code.HEADERS_INVALID)["pointer"] == "host"
        assert (await served.call("GET", "/healthz", headers={"Host": "Verifier.Example"}))[0] == 200


async def test_attack_46_many_headers_are_refused_together(served: Web) -> None:
    headers = {f"X-{index}": "y" * 7_000 for index in range(3)}
    status, got, body = await served.call("GET", "/healthz", headers=headers)
    assert status == 400
    assert_problem(status, got, body, Code.HEADERS_INVALID)


async def test_attack_47_slow_headers_are_cut_off() -> None:
    async with serving(limits=HASTY) as served:
        started = time.monotonic()
        answer = await served.raw(*[bytes([one]) for one in GET], pause=0.05)
        assert answer == b""
        assert time.monotonic() - started < 3


async def test_attack_47_so_are_those_of_a_second_request() -> None:
    async with serving(limits=HASTY) as served:
        first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await served.raw(first, *[bytes([one]) for one in GET], pause=0.05)
        assert answer.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    ("parts", "pause"),
    [
        ([POST + b"Content-Length: 10\r\n\r\n"], 0.0),
        ([POST + b"Content-Length: 10\r\n\r\n{"], 0.0),
        ([POST + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"], 0.0),
        ([POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n{\r\n"] * 8], 0.05),
    ],
    ids=["48-nothing", "48-stalls", "53-continue-then-silence", "48-slow"],
)
async def test_attack_on_patience_is_answered_408_and_closed(parts: list[bytes], pause: float) -> None:
    async with serving(limits=HASTY) as served:
        started = time.monotonic()
        answer = await served.raw(*parts, pause=pause)
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert status_of(answer) == 408
        assert b"connection: close" in answer.lower()
        assert time.monotonic() - started < 3
        assert served.submissions.callbacks == []


async def test_attack_48_a_steady_body_still_has_to_end_in_time() -> None:
    limits = HttpLimits(body_seconds=0.3, body_grace_seconds=0.3, body_rate=1, linger_seconds=0.1)
    async with serving(limits=limits) as served:
        parts = [b"1\r\n{\r\n"] * 20
        answer = await served.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n", *parts, pause=0.03)
        assert status_of(answer) == 408
        assert served.submissions.callbacks == []


async def test_attack_48_not_even_a_body_that_is_always_there_goes_on_for_ever() -> None:
    class Endless:
        def is_eof(self) -> bool:
            return False

        async def readany(self) -> bytes:
            return b"x"

    with pytest.raises(RequestRejected) as refused:
        await asyncio.wait_for(bodies._all(Endless(), HttpLimits(body_seconds=0.05), 10**9), 2)
    assert refused.value.code is Code.REQUEST_TIMEOUT


async def test_a_client_that_leaves_within_its_body_leaves_nothing(served: Web) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(POST + b"Content-Length: 10\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert served.submissions.callbacks == []
    assert (await served.call("GET", "/healthz"))[0] == 200


async def test_attack_49_connections_are_limited_by_peer_and_in_all() -> None:
    async with serving(limits=HttpLimits(connections_per_peer=3)) as served:
        open_ones = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
        await asyncio.sleep(0.02)
        assert await served.raw(GET + b"\r\n") == b""
        open_ones.pop()[1].close()
        await asyncio.sleep(0.02)
        assert status_of(await served.raw(GET + b"\r\n")) == 200
        for _, writer in open_ones:
            writer.close()
    limits = HttpLimits(connections=2, connections_per_peer=1, proxies=frozenset({"127.0.0.1"}))
    async with serving(limits=limits) as served:
        _, one = await asyncio.open_connection("127.0.0.1", served.port)
        _, two = await asyncio.open_connection("127.0.0.1", served.port)
        await asyncio.sleep(0.02)
        assert await served.raw(GET + b"\r\n") == b""
        one.close()
        two.close()


async def test_attack_49_health_answers_on_a_listener_of_its_own(served: Web) -> None:
    runner = server.runner(server.build(served.services, ledger.HEALTH))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with served.session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/healthz") as answer:
        assert answer.status == 200
    async with served.session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/v1/feed") as answer:
        assert answer.status == 404
    await runner.cleanup()


async def test_attack_50_a_declared_length_over_the_limit_is_refused_unread(served: Web) -> None:
    head = POST + b"Content-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n"
    answer = await served.raw(head)
    assert status_of(answer) == 413  # and no 100 before it


async def test_attack_53_whoever_asks_first_is_told_to_go_on_once(served: Web) -> None:
    head = POST + b"Content-Length: 2\r\nConnection: close\r\nExpect: 100-Continue\r\n\r\n"
    answer = await served.raw(head, b"{}")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "path", ["/healthz", PATH, "/no/such"], ids=["problem", "envelope", "before-any-middleware"]
)
async def test_attack_53_another_expectation_is_refused_without_echo(served: Web, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: secret\r\nContent-Length: 0\r\n\r\n"
    )
    if path == "/healthz":
        head = head.replace("POST", "GET")
    answer = await served.raw(head.encode())
    assert status_of(answer) == (400 if path == PATH else 417)
    assert b"secret" not in answer
    assert b"Request-Id: request-0\r\n" in answer


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "HEAD", "DELETE", "PUT", "PATCH", "PROPFIND"])
async def test_attack_54_another_method_is_refused_and_the_right_one_named(served: Web, method: str) -> None:
    override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}
    status, headers, body = await served.call(method, PATH, headers=override)
    assert (status, headers["Allow"]) == (405, "POST")
    if method != "HEAD":
        assert_problem(status, headers, body, Code.METHOD_NOT_ALLOWED)


async def test_attack_54_connect_is_refused(served: Web) -> None:
    answer = await served.raw(b"CONNECT secret.example:80 HTTP/1.1\r\nHost: x\r\nExpect: secret\r\n\r\n")
    assert status_of(answer) in {404, 405, 417}
    assert b"secret" not in answer


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "tcp"])
async def test_attack_55_no_other_protocol_is_spoken(served: Web, protocol: str) -> None:
    upgrade = f"Upgrade: {protocol}\r\nSec-WebSocket-Key: x\r\n".encode()
    answer = await served.raw(GET.replace(b"close", b"Upgrade") + upgrade + b"\r\n", b"\x81\x85junk")
    assert status_of(answer) == 400
    assert b"101" not in answer.split(b"\r\n", 1)[0]


@pytest.mark.parametrize(
    "path", ["/", "/no/such", "/v1", "/v1/feed/", "//v1/feed", "/v1/%66eed/x", "/é%0d%0aX: y"]
)
async def test_an_unknown_path_is_a_problem_without_echo(served: Web, path: str) -> None:
    status, headers, body = await served.call("GET", path)
    assert status == 404
    assert_problem(status, headers, body, Code.NOT_FOUND)


async def test_attack_58_nothing_sent_comes_back_in_a_header(served: Web) -> None:
    sent = "zqzq%0d%0aSet-Cookie:%20zqzq"
    for path in (f"/v1/records/{sent}", f"/v1/feed?after={sent}", f"/{sent}"):
        _, headers, body = await served.call(
            "GET",
            path,
            client="sub",
            headers={"Request-Id": "zqzq", "X-Request-Id": "zqzq", "Origin": "zqzq"},
        )
        assert "zqzq" not in str(headers) + body.decode()
        assert headers["Server"] == "training-verifier"


async def test_attack_38_forwarded_headers_change_nothing(
    served: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "verifier.web.audit")
    forged = {
        "X-Forwarded-For": "10.9.8.7",
        "X-Client-Cert": "x",
        "X-User-Id": "aud",
        "Forwarded": "for=10.9.8.7",
    }
    status, _, _ = await served.call("GET", "/v1/feed", headers=forged)
    assert status == 401
    assert json.loads(caplog.records[-1].message)["source"] == "127.0.0.1"
    assert "10.9.8.7" not in caplog.text


async def test_attack_67_an_audit_line_is_one_line_of_ascii(
    served: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await served.call("GET", "/x%0A%1b[31m", headers={"User-Agent": "a\t[31m"})
    for record in caplog.records:
        text = record.getMessage()
        assert text.isascii()
        assert text.isprintable()
        assert "31m" not in text


async def test_pipelined_requests_are_answered_in_order(served: Web) -> None:
    answer = await served.raw(GET.replace(b"close", b"keep-alive") + b"\r\n" + GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"request-0") < answer.index(b"request-1")


async def test_the_connection_is_kept_when_the_body_was_read(served: Web) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(2):
            async with session.post(served.url("/oauth/token"), data={"grant_type": "x"}) as answer:
                assert answer.headers.get("Connection") != "close"
                assert CATALOGUE[Code.SCHEMA_INVALID].en in await answer.text()
