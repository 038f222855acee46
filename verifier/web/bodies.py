"""Reading a request's body: refused by its headers where they tell, never decompressed, never waited for."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from aiohttp import web

from verifier.errors import Code, RequestRejected
from verifier.signatures import strict_json
from verifier.web.errors import BODY
from verifier.web.services import HttpLimits

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

T = TypeVar("T")

_MEDIA_TYPE: Final = re.compile(
    r"([!#$&^_.+0-9A-Za-z-]{1,64}/[!#$&^_.+0-9A-Za-z-]{1,64})"
    r"(?:[ \t]*;[ \t]*charset=(?:utf-8|\"utf-8\"))?",
    re.IGNORECASE,
)
# msgspec says where, after the reason; the reason may name an unknown member, which is input.
_PLACE: Final = re.compile(r" - at `\$\.([a-z_]{1,64})`", re.ASCII)


async def read(request: web.Request, limits: HttpLimits, max_bytes: int) -> bytes:
    """The raw body.

    Args:
        request: with its headers received.
        limits: time and rate.
        max_bytes: greatest length; a declared length above it is refused before anything is read.

    Raises:
        RequestRejected: CONTENT_ENCODING_UNSUPPORTED, REQUEST_TOO_LARGE, REQUEST_TIMEOUT, or HEADERS_INVALID
            where the framing breaks off.
    """
    if "Content-Encoding" in request.headers:
        raise RequestRejected(
            Code.CONTENT_ENCODING_UNSUPPORTED, "bodies come as they are", pointer="content-encoding"
        )
    if (request.content_length or 0) > max_bytes:
        _too_large()
    if "Expect" in request.headers:
        # Only now: whoever asks first is not told to send what is refused anyway (RFC 9110, 10.1.1).
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    body = await _all(request.content, limits, max_bytes)
    request[BODY] = body
    return body


async def _all(stream: Any, limits: HttpLimits, max_bytes: int) -> bytes:
    if stream.is_eof() and stream.exception() is None:
        # It came together with its headers, as nearly every callback does: nothing is to be waited for.
        whole: bytes = stream.read_nowait()
        if len(whole) > max_bytes:
            _too_large()
        return whole
    loop = asyncio.get_running_loop()
    started = loop.time()
    body = bytearray()
    while True:
        allowed = min(limits.body_seconds, limits.body_grace_seconds + len(body) / limits.body_rate)
        chunk = await _next(stream, started + allowed)
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > max_bytes:
            _too_large()
        if loop.time() > started + limits.body_seconds:
            _too_slow()


async def _next(stream: Any, until: float) -> bytes:
    try:
        async with asyncio.timeout_at(until):
            chunk: bytes = await stream.readany()
            return chunk
    except TimeoutError:
        _too_slow()
    except (web.RequestPayloadError, ConnectionError):
        # Nobody may be there any more to hear of it; the next try starts from nothing.
        raise RequestRejected(Code.HEADERS_INVALID, "the body broke off") from None


def _too_large() -> NoReturn:
    raise RequestRejected(Code.REQUEST_TOO_LARGE, "the body is over its limit")


def _too_slow() -> NoReturn:
    raise RequestRejected(Code.REQUEST_TIMEOUT, "the body stalled or came too slowly")


def media_type(request: web.Request, *allowed: str) -> str:
    """The declared media type, lower case, without parameters; no charset but UTF-8.

    Raises:
        RequestRejected: CONTENT_TYPE_UNSUPPORTED.
    """
    form = _MEDIA_TYPE.fullmatch(request.headers.get("Content-Type", ""))
    if form is None or (found := form[1].lower()) not in allowed:
        raise RequestRejected(
            Code.CONTENT_TYPE_UNSUPPORTED, "not a media type of this call", pointer="content-type"
        )
    return found


async def document(request: web.Request, limits: HttpLimits, shape: type[T]) -> T:
    """A JSON body of a shape, without any conversion of types.

    Raises:
        RequestRejected: as ``read`` and ``media_type``, JSON_INVALID, or SCHEMA_INVALID.
    """
    media_type(request, JSON)
    value = strict_json.loads(await read(request, limits, limits.body_bytes), max_bytes=limits.body_bytes)
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        pointer = f"/{place[1]}" if place else ""
        raise RequestRejected(
            Code.SCHEMA_INVALID, "a member is missing, unknown or of another type", pointer=pointer
        ) from None
