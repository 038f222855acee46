"""``multipart/mixed`` with one reading (RFC 2046, section 5.1), as xAPI packs statements with attachments.

1. The boundary is one by the grammar, and the only parameter of the content type.
2. Lines of the frame end with CRLF. Before the first delimiter nothing stands but at most one CRLF, after the
   close delimiter the same; a delimiter is its whole line. Whatever begins like a delimiter is one, so that
   no other reader finds a part where this one finds none.
3. A part's headers are at most one each of ``_HEADERS``; nothing is folded, encoded or commented.
4. A part is no multipart and no message itself, and its content is taken as it stands: binary.

The content of a part is not looked into.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

from verifier.errors import AdapterError

MAX_PARTS: Final = 256
MAX_HEADER_BYTES: Final = 1024

_CRLF: Final = b"\r\n"
_CONTENT_TYPE: Final = re.compile(
    r"multipart/mixed[ \t]*;[ \t]*boundary="
    r"(?:\"([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\"|([0-9A-Za-z'+_.-]{1,70}))",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(rb"([0-9A-Za-z-]{1,64}):[ \t]*([!-~](?:[ -~]*[!-~])?)")
_HEADERS: Final = frozenset(
    {
        b"content-type",
        b"content-transfer-encoding",
        b"content-length",
        b"content-disposition",  # nothing is read from it; a common xAPI client sends it with statements
        b"x-experience-api-hash",
    }
)
_NESTED: Final = re.compile(r"(?:multipart|message)/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        content_type: as it was declared; empty if it was not.
        content_hash: of ``X-Experience-API-Hash`` as it was declared, not checked here; empty if it was not.
        is_binary: whether it declares ``Content-Transfer-Encoding: binary``; no other is read.
        content: its bytes.
    """

    content_type: str
    content_hash: str
    is_binary: bool
    content: bytes = field(repr=False)


def read(body: bytes, content_type: str, *, max_parts: int = MAX_PARTS) -> tuple[Part, ...]:
    """Take a body apart.

    Args:
        body: as it was received; its size was limited then.
        content_type: the request's ``Content-Type``, whole.
        max_parts: greatest number of parts.

    Returns:
        The parts in their order, at least one.

    Raises:
        AdapterError: DELIVERY_UNREADABLE, whatever is wrong with it.
    """
    form = _CONTENT_TYPE.fullmatch(content_type)
    if form is None:
        _refuse("not multipart/mixed with a boundary alone")
    delimiter = _CRLF + b"--" + (form[1] or form[2]).encode("ascii")
    framed = body if body.startswith(_CRLF) else _CRLF + body
    if framed.count(delimiter) > max_parts + 1:
        _refuse("too many parts")
    preamble, *pieces = framed.split(delimiter)
    if preamble or len(pieces) < 2 or pieces.pop() not in {b"--", b"--" + _CRLF}:  # noqa: PLR2004 - one part, and the end
        _refuse("a preamble, an epilogue, no part, or no close delimiter")
    return tuple(_part(piece, f"part {position}") for position, piece in enumerate(pieces))


def _part(piece: bytes, pointer: str) -> Part:
    # After a delimiter its line ends; what belongs to the part begins with the next.
    end = piece.find(_CRLF + _CRLF, 0, MAX_HEADER_BYTES)
    if not piece.startswith(_CRLF) or end < len(_CRLF):
        _refuse("a delimiter is no whole line, or the part's headers are missing or too long", pointer)
    headers = _headers(piece[len(_CRLF) : end], pointer)
    content = piece[end + 2 * len(_CRLF) :]
    encoding = headers.get(b"content-transfer-encoding")
    if encoding not in {None, "binary"}:
        _refuse("no transfer encoding but binary", pointer)
    if headers.get(b"content-length") not in {None, str(len(content))}:
        _refuse("the part is not as long as it says", pointer)
    content_type = headers.get(b"content-type", "")
    if _NESTED.match(content_type):
        _refuse("a part of parts", pointer)
    return Part(content_type, headers.get(b"x-experience-api-hash", ""), encoding is not None, content)


def _headers(block: bytes, pointer: str) -> dict[bytes, str]:
    lines = [_HEADER.fullmatch(line) for line in block.split(_CRLF)]
    headers = {line[1].lower(): line[2].decode("ascii") for line in lines if line is not None}
    if len(headers) != len(lines) or not headers.keys() <= _HEADERS:
        _refuse("a header is malformed, doubled or unknown", pointer)
    return headers


def _refuse(detail: str, pointer: str = "") -> NoReturn:
    raise AdapterError(detail=detail, pointer=pointer)
