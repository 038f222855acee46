"""JSON that has one meaning: what two parsers could read differently is refused (RFC 8259, RFC 7493).

The order matters: size, nesting and encoding are settled on the bytes, so that the standard library's parser
never recurses deeper than asked; escapes by their spelling; duplicate keys and numbers while it parses.

Most documents are written in the shortest way. Those are read by a faster parser, and what it read is written
again: only if that gives the same bytes does its reading count, since then there is no other.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any, Final, NoReturn, TypeAlias, cast

import msgspec
import rfc8785

from verifier.errors import Code, RequestRejected

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What ``loads`` returns."""

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The greatest integer that every JSON implementation keeps exactly (RFC 7493, section 2.2)."""
_MAX_NUMBER_LENGTH: Final = 32
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_TO_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_RAW_CONTROL: Final = re.compile("[\x7f-\x9f]")
# An odd run of backslashes, then an escape that means a control character other than \t, \n and \r.
_ESCAPED_CONTROL: Final = re.compile(
    r"(?<!\\)(?:\\\\)*\\(?:[bf]|u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F]))",
)
_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ENCODED_C1: Final = re.compile(b"\xc2[\x80-\x9f]")
_MAX_PLAIN_BYTES: Final = 16_384
"""What is longer is rare, and is not read twice."""
_fast: Final = msgspec.json.Decoder()
_as_written: Final = msgspec.json.Encoder()
_sorted: Final = msgspec.json.Encoder(order="deterministic")
_ATOMS: Final = frozenset({str, bool, type(None)})


def _refuse(detail: str, pointer: str = "") -> NoReturn:
    raise RequestRejected(Code.JSON_INVALID, detail, pointer=pointer)


def _integer(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH:
        _refuse("a number is too long")
    value = int(text)
    if abs(value) > MAX_SAFE_INTEGER:
        _refuse("an integer is out of range")
    if text == "-0":
        _refuse("minus zero")
    return value


def _decimal(text: str) -> float:
    if len(text) > _MAX_NUMBER_LENGTH:
        _refuse("a number is too long")
    value = float(text)
    if not math.isfinite(value):
        _refuse("a number is out of range")
    if value == 0 and (text[0] == "-" or re.search("[1-9]", re.split("[eE]", text)[0])):
        _refuse("minus zero, or a number too small to hold")
    return value


def _constant(_: str) -> NoReturn:
    _refuse("NaN and Infinity are not JSON")


def _folded(key: str) -> str:
    """One spelling for keys that a reader, a database or another parser may take for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    # For ASCII, lower() is the folding and much cheaper: nearly every key of every callback.
    fold = str.lower if "".join(value).isascii() else _folded
    if len(set(map(fold, value))) != len(pairs):
        _refuse("an object has a key twice, or two keys that fold to the same")
    return value


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
    strict=True,
)


def _is_deeper_than(raw: bytes, max_depth: int) -> bool:
    """Whether brackets nest deeper than ``max_depth``, or do not balance, outside strings."""
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return False
    # Without escapes every second part between quotes lies outside strings. (An escape outside a string
    # shifts the count, but the parser stops at it.)
    quoted = _ESCAPE.sub(b"", raw) if b"\\" in raw else raw
    brackets = b"".join(quoted.split(b'"')[::2]).translate(_TO_BRACKETS, _NOT_BRACKETS)
    for _ in range(max_depth):
        # Each round takes the innermost level away: one pass in C instead of a loop over every bracket.
        size = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == size:
            break
    return bool(brackets)


def _is_plain(value: Any) -> bool:
    """Whether it has no decimals, and objects whose keys are ASCII and stay apart when they are folded.

    Only then is a document that is written again as it came read alike by everybody: it is in decimals that
    encoders differ (RFC 8785, section 3.2.2.3), and keys that fold to the same are refused.
    """
    kind = type(value)
    if kind is dict:
        names = "".join(value)
        if not names.isascii() or (not names.islower() and len({*map(str.lower, value)}) < len(value)):
            return False
        members = value.values()
    elif kind is list:
        members = value
    else:
        return kind in _ATOMS or (kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    for member in members:  # noqa: SIM110 - as in _is_unambiguous
        if type(member) not in _ATOMS and not _is_plain(member):
            return False
    return True


def _is_unambiguous(value: Any) -> bool:
    """Whether every encoder that sorts keys writes it alike: no decimals, all keys in ASCII.

    The others differ in decimals (RFC 8785, section 3.2.2.3) and in the order of characters beyond U+FFFF
    (section 3.2.3). Subclasses are left to the slower encoder.
    """
    kind = type(value)
    if kind is dict:
        for name in value:
            if type(name) is not str or not name.isascii():
                return False
        members = value.values()
    elif kind is list or kind is tuple:
        members = value
    else:
        return kind in _ATOMS or (kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    # Loops, because this is run for every row: with all() and map() it takes four times as long.
    for member in members:  # noqa: SIM110 - as above
        if type(member) not in _ATOMS and not _is_unambiguous(member):
            return False
    return True


def _plain_object(raw: bytes) -> dict[str, JsonValue] | None:
    """An object, if the document is written as an encoder writes it; else None: then nothing is said.

    Written again it is the same bytes, so that no key stands twice and no number has another spelling. Its
    nesting was looked at before.
    """
    if len(raw) > _MAX_PLAIN_BYTES or b"\\" in raw or b"\x7f" in raw:
        return None
    if b"\xc2" in raw and _ENCODED_C1.search(raw):
        return None
    try:
        value: Any = _fast.decode(raw)
    except ValueError:
        return None
    if type(value) is dict and _is_plain(value) and _as_written.encode(value) == raw:
        return value
    return None


def loads(raw: bytes, *, max_bytes: int, max_depth: int = 16) -> JsonValue:
    """Parses one strict JSON document.

    Args:
        raw: the document, UTF-8 without byte order mark.
        max_bytes: greatest length, in bytes.
        max_depth: greatest nesting of arrays and objects; a lone ``[]`` has depth 1.

    Returns:
        The value. Integers lie within ±(2^53 - 1); floats are finite; no key of an object equals another
        after NFKC and case folding; strings hold no lone surrogate and no control character (C0, DEL, C1) but
        tab, LF and CR.

    Raises:
        RequestRejected: ``request_too_large`` or ``json_invalid``; the pointer is an offset in characters
            where the parser knows one, never a value.
    """
    if len(raw) > max_bytes:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the document is over the size limit")
    if _is_deeper_than(raw, max_depth):
        _refuse("nested too deep, or brackets do not balance")
    if (plain := _plain_object(raw)) is not None:
        return plain
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("not UTF-8")
    if text.startswith("\ufeff"):
        _refuse("begins with a byte order mark")
    if _RAW_CONTROL.search(text) or ("\\" in text and _ESCAPED_CONTROL.search(text)):
        _refuse("a string holds a control character")
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except json.JSONDecodeError as error:
        _refuse("not JSON", f"offset {error.pos}")
    if _ESCAPED_SURROGATE.search(text):
        _refuse_lone_surrogates(value)
    return value


def _refuse_lone_surrogates(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse("a string holds a lone surrogate")


def canonical(value: object) -> bytes:
    """The canonical form of a JSON value (RFC 8785).

    Args:
        value: as ``loads`` returns it; a tuple stands for a list.

    Raises:
        RequestRejected: ``json_invalid``: the value has no canonical form, which nothing from ``loads`` does.
    """
    try:
        return _sorted.encode(value) if _is_unambiguous(value) else rfc8785.dumps(cast("JsonValue", value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        _refuse("the value has no canonical form")


def plain(value: object) -> bytes:
    """The canonical form of what this program composed, as ``canonical`` says it, without looking through it.

    The caller owes that it is made of text, booleans, None, integers within ±(2^53 - 1), lists and tuples of
    such, and objects whose names are ASCII.

    Raises:
        RequestRejected: ``json_invalid``: a text holds a lone surrogate.
    """
    try:
        return _sorted.encode(value)
    except UnicodeEncodeError:
        _refuse("the value has no canonical form")
