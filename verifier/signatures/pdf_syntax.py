"""The objects of a PDF file, read strictly (ISO 32000-1, 7.3).

A general PDF reader repairs what it reads; two readers that repair differently see two documents under one
signature. This one repairs nothing, and everything it does is paid for from a ``Budget``, so that no file
costs more than a small, known amount of work, whatever it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn, TypeAlias, TypeGuard, Union

from verifier.errors import SignatureRejected
from verifier.signatures.steps import Step

MAX_WORK: Final = 60_000
"""Units of work for one file: about one a token, and one for every 64 bytes looked through."""
MAX_DEPTH: Final = 32
"""Arrays and dictionaries within each other."""
_BYTES_PER_UNIT: Final = 64

_WHITE: Final = rb"\x00\t\n\x0c\r "
_REGULAR: Final = rb"[^" + _WHITE + rb"()<>\[\]{}/%]"
_SKIP: Final = re.compile(rb"(?:[" + _WHITE + rb"]++|%[^\r\n]*+)*+")
_TOKEN: Final = re.compile(
    rb"(?P<open><<)|(?P<close>>>)|(?P<begin>\[)|(?P<end>\])|(?P<string>\()"
    rb"|(?P<hex><[0-9A-Fa-f" + _WHITE + rb"]*+>)"
    # Annex C: a name has at most 127 bytes.
    rb"|(?:/(?P<name>" + _REGULAR + rb"{0,127}+)"
    rb"|(?P<reference>[0-9]{1,10})[" + _WHITE + rb"]++0[" + _WHITE + rb"]++R"
    rb"|(?P<real>[+-]?(?:[0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20}))"
    rb"|(?P<integer>[+-]?[0-9]{1,10})"
    rb"|(?P<word>true|false|null))(?!" + _REGULAR + rb")",
)
_CHUNK: Final = re.compile(rb"[^()\\]++|\\(?:[0-7]{1,3}|\r\n|[\x00-\xff])|[()]")
_ESCAPED_BYTE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_WORDS: Final = {b"true": True, b"false": False, b"null": None}
_ESCAPES: Final = {
    b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"(": b"(", b")": b")", b"\\": b"\\",
    b"\r\n": b"", b"\r": b"", b"\n": b"",
}  # fmt: skip


class Name(str):
    """A name, without its solidus; bytes beyond ASCII stand as Latin-1."""

    __slots__ = ()


class Reference(NamedTuple):
    """An indirect reference; the generation is always 0 (others are refused)."""

    number: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream, still encoded.

    Attributes:
        dictionary: its dictionary.
        raw: the bytes between ``stream`` and ``endstream``.
    """

    dictionary: dict[str, PdfObject]
    raw: bytes = field(repr=False)


PdfObject: TypeAlias = Union[  # noqa: UP007 - an alias that names itself cannot use | at run time
    bool, int, float, bytes, Name, Reference, Stream, list["PdfObject"], dict[str, "PdfObject"], None
]


def refuse() -> NoReturn:
    """The one error of the PDF modules: the file breaks the written form.

    Raises:
        SignatureRejected: ``malformed``, always.
    """
    raise SignatureRejected(Step.MALFORMED)


def is_count(value: PdfObject) -> TypeGuard[int]:
    """Whether a value is an integer of at least 0; a Boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Budget:
    """What one file may still cost; shared by everything that reads it.

    Args:
        work: units left.
    """

    __slots__ = ("_left",)

    def __init__(self, work: int = MAX_WORK) -> None:
        self._left = work

    def spend(self, units: int) -> None:
        """Takes units off.

        Raises:
            SignatureRejected: ``malformed``: nothing is left.
        """
        self._left -= units
        if self._left < 0:
            refuse()

    def spend_bytes(self, count: int) -> None:
        """Takes off what looking through ``count`` bytes costs; errors as in ``spend``."""
        self.spend(1 + count // _BYTES_PER_UNIT)


class Parser:
    """Reads objects one after another.

    Args:
        data: the bytes.
        position: where to begin.
        budget: pays for it.
    """

    __slots__ = ("_budget", "_data", "position")

    def __init__(self, data: bytes, position: int, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self.position = position

    def skip(self) -> int:
        """Passes over white space and comments.

        Returns:
            The position of the next token.
        """
        match = _SKIP.match(self._data, self.position)
        assert match is not None, "the pattern matches the empty text"
        self._budget.spend_bytes(match.end() - self.position)
        self.position = match.end()
        return self.position

    def value(self, depth: int = 0) -> PdfObject:
        """The next object; a stream is given as its dictionary.

        Args:
            depth: arrays and dictionaries around it.

        Raises:
            SignatureRejected: ``malformed``: not an object, too deep, or too much work.
        """
        token = self._token()
        kind = token.lastgroup
        if depth >= MAX_DEPTH or kind in {"close", "end"}:
            refuse()
        if kind == "begin":
            return self._array(depth)
        if kind == "open":
            return self._dictionary(depth)
        return self._string() if kind == "string" else _scalar(token)

    def _token(self) -> re.Match[bytes]:
        token = _TOKEN.match(self._data, self.skip())
        if token is None:
            refuse()
        self._budget.spend_bytes(token.end() - token.start())
        self.position = token.end()
        return token

    def _array(self, depth: int) -> list[PdfObject]:
        items: list[PdfObject] = []
        while not self._data.startswith(b"]", self.skip()):
            items.append(self.value(depth + 1))
        self.position += 1
        return items

    def _dictionary(self, depth: int) -> dict[str, PdfObject]:
        members: dict[str, PdfObject] = {}
        while (token := self._token()).lastgroup != "close":
            if token.lastgroup != "name":
                refuse()
            key = _name(token["name"])
            # Of a doubled key one reader takes the first value, another the last.
            if key in members:
                refuse()
            members[key] = self.value(depth + 1)
        return members

    def _string(self) -> bytes:
        """A literal string (7.3.4.2), after its opening parenthesis."""
        pieces: list[bytes] = []
        open_parentheses = 1
        while True:
            chunk = _CHUNK.match(self._data, self.position)
            if chunk is None:
                refuse()
            self._budget.spend_bytes(chunk.end() - chunk.start())
            self.position = chunk.end()
            piece = chunk.group()
            open_parentheses += (piece == b"(") - (piece == b")")
            if not open_parentheses:
                return b"".join(pieces)
            pieces.append(_literal(piece))


def _literal(piece: bytes) -> bytes:
    if piece[:1] != b"\\":
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    escaped = piece[1:]
    if escaped.isdigit() and escaped[:1] < b"8":
        code = int(escaped, 8)
        return bytes((code,)) if code < 256 else refuse()  # noqa: PLR2004 - one byte
    replacement = _ESCAPES.get(escaped)
    # A reader may ignore the solidus of an unknown escape (7.3.4.2); that is a repair.
    return replacement if replacement is not None else refuse()


def _name(raw: bytes) -> Name:
    if raw.count(b"#") != len(_ESCAPED_BYTE.findall(raw)) or b"#00" in raw:
        refuse()
    return Name(_ESCAPED_BYTE.sub(lambda m: bytes.fromhex(m[1].decode()), raw).decode("latin-1"))


def _scalar(token: re.Match[bytes]) -> PdfObject:
    kind, text = token.lastgroup, token.group()
    if kind == "name":
        return _name(token["name"])
    if kind == "reference":
        return Reference(int(token["reference"]))
    if kind == "integer":
        return int(text)
    if kind == "real":
        return float(text)
    if kind == "word":
        return _WORDS[text]
    digits = bytes(text[1:-1]).translate(None, b"\x00\t\n\x0c\r ")
    # An odd number of digits is completed by 0 (7.3.4.3).
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
