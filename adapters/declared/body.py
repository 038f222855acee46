"""The bytes of a request as a message: one JSON object, in the charset that the profile declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from verifier.errors import AdapterError, Code, RequestRejected
from verifier.model import fields
from verifier.model.person import PRIVATE_USE
from verifier.signatures import strict_json

CHARSETS: Final = ("utf-8", "gbk", "gb18030")
_PRIVATE: Final = re.compile(f"[{PRIVATE_USE}]")


def json_value(raw: bytes, charset: str) -> Any:
    """A strict JSON value.

    Args:
        raw: as it was signed; its size was limited when the request came in.
        charset: one of ``CHARSETS``.

    Raises:
        AdapterError: ``charset_refused`` or ``delivery_unreadable``.
    """
    if charset != "utf-8":
        raw = recoded(raw, charset)
    try:
        return strict_json.loads(raw, max_bytes=len(raw))
    except RequestRejected as error:
        raise AdapterError(detail="the body is not strict JSON", pointer=error.pointer) from None


def json_object(raw: bytes, charset: str) -> Mapping[str, Any]:
    """A strict JSON object. Errors as for ``json_value``, or ``field_invalid``."""
    return fields.members(json_value(raw, charset), "")


def recoded(raw: bytes, charset: str) -> bytes:
    """The same text in UTF-8.

    Raises:
        AdapterError: ``charset_refused``: the bytes are not of that charset.
    """
    try:
        return raw.decode(charset).encode()
    except UnicodeDecodeError as error:
        detail = "the body is not in the declared charset"
        raise AdapterError(Code.CHARSET_REFUSED, detail, pointer=f"offset {error.start}") from None


def has_private_use(value: Any) -> bool:
    """Whether there is a character in a JSON value that stands for no certain one."""
    return _PRIVATE.search(json.dumps(value, ensure_ascii=False)) is not None
