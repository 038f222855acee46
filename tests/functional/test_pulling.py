"""Pulling a platform's list: a made-up adapter that offers it, and a real HTTPS server, good or bad."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from hmac import digest
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from adapters.china_vocational_training import ChinaVocationalTraining
from verifier.cli import pulling
from verifier.cli.pulling import pull
from verifier.errors import AdapterError, Code, ConfigurationError, SignatureRejected, Unavailable
from verifier.model.fields import elements, members
from verifier.ports.pull import Cells, Column, Pull, PullPage, PullRequest
from verifier.signatures import strict_json
from verifier.signatures.transport import TransportKey

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
KEYS = (TransportKey("k", NOW - timedelta(days=1), secret=b"s" * 32),)
DAYS = (date(2021, 3, 1), date(2021, 3, 31))


class Pulling(ChinaVocationalTraining):
    """Offers its list in pages, asked for with a signature over the target."""

    def pull(self, start: date, end: date, keys: Sequence[TransportKey], now: datetime) -> PullRequest:
        if not keys:
            raise SignatureRejected("no_key")
        return self.ask(f"/issued?from={start}&to={end}&page=%31", keys, now)

    def ask(self, target: str, keys: Sequence[TransportKey], now: datetime) -> PullRequest:
        secret = keys[0].secret or b""
        seconds = str(int(now.timestamp()))
        signature = digest(secret, f"{target}{seconds}".encode(), sha256).hex()
        return PullRequest("GET", target, {"X-Time": seconds, "X-Sign": signature})

    def read_page(
        self, asked: PullRequest, answer: bytes, keys: Sequence[TransportKey], now: datetime
    ) -> PullPage:
        del asked
        page = members(strict_json.loads(answer, max_bytes=1 << 20), "")
        found = [
            {Column.NUMBER: str(members(one, "")["n"])}
            for one in elements(page.get("rows"), "/rows", limit=9)
        ]
        following = page.get("next")
        return PullPage(found, self.ask(str(following), keys, now) if following else None)


class Posting(Pulling):
    """Asks with a body."""

    @override
    def ask(self, target: str, keys: Sequence[TransportKey], now: datetime) -> PullRequest:
        return replace(super().ask(target, keys, now), method="POST", body=b'{"q": 1}')


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def authority(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, and the file of the certificate to believe."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test.invalid")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file, private = directory / "ca.pem", directory / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return context, file


@dataclass
class Platform:
    """A platform's server: what it was asked, and what it answers."""

    ca: Path
    port: int = 0
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    pages: list[object] = field(default_factory=list)
    answer: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response(self.pages[min(len(self.asked), len(self.pages)) - 1])

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def pull(
        self, adapter: Pull | None = None, address: str = "", keys: Sequence[TransportKey] = KEYS
    ) -> list[Cells]:
        return await pull(
            adapter or Pulling(), address or f"{self.address}/api/", DAYS, keys, lambda: NOW, self.ca
        )


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    context, ca = authority(tmp_path)
    made = Platform(ca)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def page(*numbers: str, following: str = "") -> dict[str, object]:
    return {"rows": [{"n": number} for number in numbers], "next": following}


async def refusal(pulling_: Awaitable[object]) -> str:
    with pytest.raises(Unavailable) as refused:
        await pulling_
    assert refused.value.code is Code.PLATFORM_UNAVAILABLE
    return refused.value.detail


async def test_pages_are_asked_for_one_after_another_and_their_rows_numbered(platform: Platform) -> None:
    platform.pages = [page("N-1", "N-2", following="/issued?page=2"), page("N-3")]
    assert await platform.pull() == [Cells(n, {Column.NUMBER: f"N-{n}"}) for n in (1, 2, 3)]
    first = "/api/issued?from=2021-03-01&to=2021-03-31&page=%31"
    assert [(method, target) for method, target, _, _ in platform.asked] == [
        ("GET", first),
        ("GET", "/api/issued?page=2"),
    ]
    # What was signed is what was sent, byte for byte.
    signed = first.removeprefix("/api") + str(int(NOW.timestamp()))
    headers = platform.asked[0][2]
    assert headers["X-Sign"] == digest(b"s" * 32, signed.encode(), sha256).hex()
    assert headers["Accept-Encoding"] == "identity"


async def test_a_body_is_posted(platform: Platform) -> None:
    platform.pages = [page("N-1")]
    await platform.pull(Posting())
    [(method, _, _, body)] = platform.asked
    assert (method, body) == ("POST", b'{"q": 1}')


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "127.0.0.1",
        "https://",
        "https:///issued",
        "https://user@127.0.0.1/",
        "https://127.0.0.1/?a=b",
        "https://127.0.0.1/#a",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1\\@x/",
        "https://测试.invalid/",
        "ftp://127.0.0.1/",
    ],
)
async def test_only_a_plain_https_address_is_asked(platform: Platform, address: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await platform.pull(address=address)
    assert (refused.value.pointer, platform.asked) == ("pull", [])


async def test_a_certificate_that_nobody_believes_is_refused(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _, other = authority(tmp_path / "other")
    platform.ca = other
    assert "Certificate" in await refusal(platform.pull())
    assert platform.asked == []
    platform.ca = tmp_path / "nowhere.pem"
    with pytest.raises(ConfigurationError) as refused:
        await platform.pull()
    assert refused.value.pointer == "ca"


async def test_nobody_there_is_said(platform: Platform) -> None:
    assert await refusal(platform.pull(address="https://127.0.0.1:1")) == "ClientConnectorError"


async def redirected(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("https://127.0.0.1/elsewhere")


async def failing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="阿依古丽")


async def compressed(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"})


async def not_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[]")


async def breaking_off(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = 1000
    await answer.prepare(request)
    await answer.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (redirected, "the platform answered 302, or compressed"),
        (failing, "the platform answered 500, or compressed"),
        (compressed, "the platform answered 200, or compressed"),
        (not_json, "a member breaks its rule"),
        (breaking_off, "ClientPayloadError"),
    ],
)
async def test_an_answer_that_is_not_the_agreed_one_is_refused(
    platform: Platform, answer: Answer, told: str
) -> None:
    platform.answer = answer
    assert await refusal(platform.pull()) == told
    assert len(platform.asked) == 1


async def test_answers_rows_pages_and_time_are_bounded(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.pages = [page("N-1", following="/issued?page=2")]
    monkeypatch.setattr(pulling, "MAX_PAGES", 3)
    assert await refusal(platform.pull()) == "the list has too many pages: ask for fewer days"
    assert len(platform.asked) == 3
    monkeypatch.setattr(pulling, "MAX_ROWS", 1)
    assert await refusal(platform.pull()) == "the list has too many rows: ask for fewer days"

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65_536)

    monkeypatch.setattr(pulling, "MAX_ANSWER_BYTES", 100_000)
    platform.answer = endless
    assert await refusal(platform.pull()) == "an answer is over its limit"

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        raise AssertionError

    monkeypatch.setattr(pulling, "SECONDS", 0.1)
    platform.answer = silent
    assert "Timeout" in await refusal(platform.pull())


async def test_an_adapter_without_a_usable_key_asks_nothing(platform: Platform) -> None:
    assert await refusal(platform.pull(keys=())) == "no_key"
    assert platform.asked == []


@pytest.mark.parametrize(
    "target", ["", "issued", "//elsewhere", "@elsewhere/", "/a b", "/证书", "/a\r\nX: y"]
)
async def test_an_adapter_names_a_path_and_never_another_host(platform: Platform, target: str) -> None:
    class Elsewhere(Pulling):
        @override
        def pull(self, *_: object) -> PullRequest:
            return PullRequest("GET", target)

    platform.pages = [page("N-1")]
    if target.startswith("//"):
        await platform.pull(Elsewhere())
        assert platform.asked[0][1] == "/api//elsewhere"
    else:
        assert await refusal(platform.pull(Elsewhere())) == "the adapter asks for something that is no path"
        assert platform.asked == []


def test_only_an_adapter_with_both_functions_offers_a_list() -> None:
    assert isinstance(Pulling(), Pull)
    assert not isinstance(ChinaVocationalTraining(), Pull)
    with pytest.raises(AdapterError):
        Pulling().read_page(PullRequest("GET", "/"), json.dumps([]).encode(), KEYS, NOW)
