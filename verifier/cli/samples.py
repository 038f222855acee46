"""A request as a file, to be tried without a network: request line, headers, a blank line, body."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from verifier.errors import Code, ConfigurationError

_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*)(?: HTTP/[0-9.]{1,3})?")
_HEADER: Final = re.compile(rb"([!-9;-~]{1,128}):[ \t]*(.*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Sample:
    """A request as it stands in its file.

    Attributes:
        path: of the request line, without query.
        query: without the question mark.
        headers: in their order, doubles kept.
        body: the bytes behind the blank line, as they are: also a line break that an editor put at the end.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def length_differs(self) -> bool:
        """Whether ``Content-Length`` is there and says another length than the body's."""
        said = [value for name, value in self.headers if name.lower() == b"content-length"]
        return bool(said) and said != [str(len(self.body)).encode()]


def read(raw: bytes) -> Sample:
    """Read a sample. Lines of the head end with CR LF or LF.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is none; the pointer is the line.
    """
    lines, start = list[bytes](), 0
    while True:
        end = raw.find(b"\n", start)
        if end < 0:
            raise _invalid(len(lines) + 1, "the head does not end with a blank line")
        line = raw[start:end].removesuffix(b"\r")
        start = end + 1
        if not line:
            break
        lines.append(line)
    request = _REQUEST.fullmatch(lines[0]) if lines else None
    if request is None:
        raise _invalid(1, "not a request line, as: POST /v1/callbacks/some_platform HTTP/1.1")
    headers = []
    for number, line in enumerate(lines[1:], start=2):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise _invalid(number, "not a header")
        headers.append((header[1], header[2]))
    path, _, query = request[2].decode("ascii").partition("?")
    return Sample(request[1].decode("ascii"), path, query, tuple(headers), raw[start:])


def _invalid(line: int, detail: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=f"sample:{line}")
