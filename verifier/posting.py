"""One HTTP request to somebody else's address: bounded in time and size, following nothing."""

from __future__ import annotations

import aiohttp

from verifier.ports.witnessing import Answered

SECONDS = 5.0
MOST_BYTES = 1 << 20


async def post(url: str, body: bytes) -> Answered | None:
    """POST; None if there was no answer in time."""
    return await _send("POST", url, body)


async def get(url: str) -> Answered | None:
    """GET; None if there was no answer in time."""
    return await _send("GET", url, None)


async def _send(method: str, url: str, body: bytes | None) -> Answered | None:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(method, url, data=body, allow_redirects=False) as response,
        ):
            content = b""
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MOST_BYTES:
                    return None
            return Answered(response.status, content)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
