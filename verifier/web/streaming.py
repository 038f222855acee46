"""An answer in pieces, sent as fast as its reader takes it and no faster.

Only one piece is in memory at a time, beside what the socket holds. Whoever does not take a piece within
``HttpLimits.stall_seconds`` is cut off; so is everybody when something fails after the answer has begun: the
answer has no end then, and cannot be taken for a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Final

from aiohttp import web

from verifier.errors import Code, VerifierError
from verifier.web import errors
from verifier.web.routes import Call

PIECE_BYTES: Final = 256 * 1024
"""What is there in small pieces is sent in pieces of this size."""


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


async def each(pieces: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Pieces that are there already, small ones put together."""
    for piece in gathered(pieces, PIECE_BYTES):
        yield piece


def gathered(pieces: Iterable[bytes], least: int) -> Iterator[bytes]:
    """The same bytes in pieces of at least so many; the last one may be shorter."""
    together, length = list[bytes](), 0
    for piece in pieces:
        together.append(piece)
        length += len(piece)
        if length >= least:
            yield b"".join(together)
            together, length = [], 0
    if together:
        yield b"".join(together)


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
