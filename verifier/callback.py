"""Step 1: a raw request becomes a ``Callback``. Its form and size are settled; nothing in it is believed.

1. Method and path are among those that the platform declares.
2. The body is within its limit.
3. There are not too many headers, and together they are not too long.
4. Every header name is a token and every value free of control characters (RFC 9110, sections 5.1 and 5.5).
   Bytes beyond ASCII are kept as they are, one character a byte (ISO 8859-1): a header that nothing
   depends on may hold them, and one that authenticity depends on is refused in step 2 for them.
5. There is no ``Content-Encoding``: nothing is ever decompressed.
6. ``Content-Type`` comes exactly once and is one that the platform declares; its only parameters are a
   charset that the platform declares and, of a ``multipart`` type, its boundary (RFC 2046, section 5.1.1).

The caller still owes what only the connection shows: framing, time limits, and refusing a declared length
before the body is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifier.errors import Code, RequestRejected
from verifier.model.content_type import content_type
from verifier.model.delivery import Accepts, Bearer, Callback, Headers, PlatformSlug


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may weigh.

    Attributes:
        header_count: greatest number of header lines.
        header_bytes: greatest length of all names and values together.
    """

    header_count: int = 64
    header_bytes: int = 16_384


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def receive(
    *,
    platform: PlatformSlug,
    method: str,
    path: str,
    headers: Iterable[tuple[bytes | str, bytes | str]],
    body: bytes,
    received_at: datetime,
    request_id: str,
    accepts: Accepts,
    limits: Limits,
    rest: str = "",
    query: str = "",
    bearer: Bearer | None = None,
) -> Callback:
    """Check limits and form by the six rules above.

    Args:
        platform: whose address was called.
        method: of the request line.
        path: of the request line as it came, without query.
        headers: in their order, doubles kept. Text is taken as a server makes it from bytes: UTF-8, where
            other bytes stand as surrogates (PEP 383).
        body: the raw bytes.
        received_at: aware UTC.
        request_id: our own name for the request, never the sender's.
        accepts: what the platform declares.
        limits: of this listener; the body's is the platform's own.
        rest: the path after the platform's address, as ``/statements``.
        query: of the request line as it came, without the question mark.
        bearer: the access token that was checked, if the platform is proven by one.

    Raises:
        RequestRejected: METHOD_NOT_ALLOWED, REQUEST_TOO_LARGE, HEADERS_INVALID,
            CONTENT_ENCODING_UNSUPPORTED or CONTENT_TYPE_UNSUPPORTED; the pointer is a header's name where it
            is one of those judged here.
    """
    if (method, rest) not in accepts.routes:
        raise RequestRejected(Code.METHOD_NOT_ALLOWED, "the platform does not deliver so")
    if len(body) > accepts.body_bytes:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the body is over its limit")
    checked = Headers(_checked(headers, limits))
    if checked.get("content-encoding") is not None:
        raise RequestRejected(
            Code.CONTENT_ENCODING_UNSUPPORTED, "bodies come as they are", pointer="content-encoding"
        )
    _check_content_type(checked, accepts)
    return Callback(
        platform=platform,
        method=method,
        path=path,
        headers=checked,
        body=body,
        received_at=received_at,
        request_id=request_id,
        query=query,
        bearer=bearer,
    )


def _checked(
    headers: Iterable[tuple[bytes | str, bytes | str]], limits: Limits
) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    room = limits.header_bytes
    for raw_name, raw_value in headers:
        name, value = _text(raw_name), _text(raw_value)
        room -= len(name) + len(value)
        if room < 0 or len(pairs) == limits.header_count:
            raise RequestRejected(Code.HEADERS_INVALID, "too many or too long headers")
        if _TOKEN.fullmatch(name) is None or _CONTROL.search(value):
            raise RequestRejected(Code.HEADERS_INVALID, "a header is malformed")
        pairs.append((name.lower(), value.strip(" \t")))
    return tuple(pairs)


def _text(raw: bytes | str) -> str:
    """One character a byte, whether the server hands over bytes or has decoded them."""
    if isinstance(raw, bytes):
        return raw.decode("latin-1")
    try:
        return raw.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError as error:
        raise RequestRejected(Code.HEADERS_INVALID, "a header is malformed") from error


def _check_content_type(headers: Headers, accepts: Accepts) -> None:
    values = [value for name, value in headers.pairs if name == "content-type"]
    if len(values) > 1:
        raise RequestRejected(Code.HEADERS_INVALID, "doubled", pointer="content-type")
    if content_type(values[0] if values else "", accepts) is None:
        raise RequestRejected(
            Code.CONTENT_TYPE_UNSUPPORTED, "not a media type this platform declares", pointer="content-type"
        )
