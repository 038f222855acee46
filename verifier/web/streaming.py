"""An answer in pieces, sent as fast as its reader takes it and no faster.

Only one piece is in memory at a time, beside what the socket holds. Whoever does not take a piece within
``HttpLimits.stall_seconds`` is cut off; so is everybody when something fails after the answer has begun: the
answer has no end then, and cannot be taken for a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from aiohttp import web

from verifier.errors import Code, VerifierError
from verifier.web import errors
from verifier.web.routes import Call


async def send(
    call: Call, pieces: AsyncGenerator[bytes, None], media_type: str, length: int | None = None
) -> web.StreamResponse:
    """Send an answer piece by piece.

    Args:
        call: what is answered.
        pieces: at least one; an error before the first is answered like any other.
        media_type: of the whole.
        length: of the whole, where it is known.
    """
    response = web.StreamResponse(headers={"Content-Type": media_type})
    response.content_length = length
    errors.seal(response, call.request_id)
    async with aclosing(pieces):
        first = await anext(pieces)
        try:
            await response.prepare(call.request)
            await _write(call, response, first)
            async for piece in pieces:
                await _write(call, response, piece)
            await response.write_eof()
        except (TimeoutError, ConnectionError):
            _cut(call, Code.REQUEST_TIMEOUT)
        except VerifierError as error:
            _cut(call, error.code)
    return response


async def each(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    """Pieces that are there already."""
    for piece in pieces:
        yield piece


async def _write(call: Call, response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(call.services.limits.stall_seconds):
        await response.write(piece)


def gone(call: Call) -> bool:
    """Whether whoever called has gone away."""
    transport = call.request.transport
    return transport is None or transport.is_closing()


def _cut(call: Call, code: Code) -> None:
    errors.audit("cut", code=code.value, request_id=call.request_id, route=call.request.path)
    if (transport := call.request.transport) is not None:
        transport.abort()
