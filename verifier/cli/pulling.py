"""Asks a platform for its own list of what it issued: HTTPS only, bounded in every way, never redirected."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from verifier.cli.authorities import trusted_authorities
from verifier.errors import AdapterError, Code, ConfigurationError, SignatureRejected, Unavailable
from verifier.manifest import MAX_ROWS
from verifier.ports import Clock
from verifier.ports.pull import Cells, Pull, PullPage, PullRequest
from verifier.signatures.transport import TransportKey

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_PAGES: Final = 1_000
SECONDS: Final = 30.0
"""For one answer, from the connection to its last byte."""
_OK: Final = 200
_TARGET: Final = re.compile(r"/[\x21-\x7e]{0,4000}")


async def pull(
    adapter: Pull,
    address: str,
    days: tuple[date, date],
    keys: Sequence[TransportKey],
    clock: Clock,
    authorities: Path | None = None,
) -> list[Cells]:
    """Ask page by page, until the platform has no more.

    Args:
        adapter: says what to ask, and reads what comes.
        address: of the platform: ``https://`` with its host, and perhaps the beginning of the path.
        days: first and last day of completion, in Beijing's calendar.
        keys: the platform's transport keys.
        clock: aware UTC.
        authorities: PEM file of certificate authorities to believe in place of the system's.

    Raises:
        ConfigurationError: the address or the file of authorities is not acceptable.
        Unavailable: PLATFORM_UNAVAILABLE: no answer, not the agreed one, or more than the limits hold.
    """
    base, trusted = _base(address), trusted_authorities(authorities)
    found: list[Cells] = []
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        asked: PullRequest | None = adapter.pull(*days, keys, clock())
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            for _ in range(MAX_PAGES):
                if asked is None:
                    return found
                answer = await _ask(session, base, asked, trusted)
                page: PullPage = adapter.read_page(asked, answer, keys, clock())
                found += [Cells(row, texts) for row, texts in enumerate(page.rows, len(found) + 1)]
                if len(found) > MAX_ROWS:
                    raise _unavailable("the list has too many rows: ask for fewer days")
                asked = page.following
    except (aiohttp.ClientError, TimeoutError) as failure:
        raise _unavailable(type(failure).__name__) from None
    except (AdapterError, SignatureRejected) as failure:
        raise _unavailable(failure.detail) from None
    raise _unavailable("the list has too many pages: ask for fewer days")


async def _ask(
    session: aiohttp.ClientSession, base: str, asked: PullRequest, trusted: ssl.SSLContext
) -> bytes:
    if _TARGET.fullmatch(asked.target) is None:
        raise _unavailable("the adapter asks for something that is no path")
    options: dict[str, Any] = {"data": asked.body} if asked.method == "POST" else {}
    async with session.request(
        asked.method,
        # Encoded by the adapter: what it signed is what is sent.
        URL(base + asked.target, encoded=True),
        headers={"Accept-Encoding": "identity", **asked.headers},
        allow_redirects=False,
        ssl=trusted,
        **options,
    ) as response:
        if response.status != _OK or "Content-Encoding" in response.headers:
            raise _unavailable(f"the platform answered {response.status}, or compressed")
        answer = bytearray()
        async for piece in response.content.iter_any():
            answer += piece
            if len(answer) > MAX_ANSWER_BYTES:
                raise _unavailable("an answer is over its limit")
        return bytes(answer)


def _base(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    plain = address.isascii() and address.isprintable() and not set(address) & set("?#@\\ ")
    if not usable or not plain:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "an https address without query is needed", pointer="pull"
        )
    return address.rstrip("/")


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(Code.PLATFORM_UNAVAILABLE, detail)
