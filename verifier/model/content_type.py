"""``Content-Type`` as a platform may write it (RFC 9110, section 8.3)."""

from __future__ import annotations

import re
from typing import Final

from verifier.model.delivery import Accepts

_CONTENT_TYPE: Final = re.compile(
    r"([!#$&^_.+0-9A-Za-z-]{1,64}/[!#$&^_.+0-9A-Za-z-]{1,64})"
    r"((?:[ \t]*;[ \t]*[a-z]{1,16}=(?:[^;\"\s]+|\"[^;\"]+\"))*)",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(r"([a-z]{1,16})=\"?([^;\"]+)", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


def content_type(value: str, accepts: Accepts) -> tuple[str, dict[str, str]] | None:
    """A ``Content-Type`` as media type and parameters; None for one that the platform does not declare."""
    if value in accepts.content_types and not value.startswith("multipart/"):
        return value, {}  # as nearly everybody writes it
    form = _CONTENT_TYPE.fullmatch(value)
    kind = form[1].lower() if form else ""
    if form is None or kind not in accepts.content_types:
        return None
    return _with_parameters(kind, form[2], accepts)


def _with_parameters(kind: str, rest: str, accepts: Accepts) -> tuple[str, dict[str, str]] | None:
    given = [(name.lower(), text) for name, text in _PARAMETER.findall(rest)]
    parameters = dict(given)
    if len(parameters) != len(given) or not parameters.keys() <= {"charset", "boundary"}:
        return None
    charset = parameters.get("charset")
    if charset is not None and charset.lower() not in accepts.charsets:
        return None
    multipart = kind.startswith("multipart/")
    if multipart != ("boundary" in parameters):
        return None
    if multipart and _BOUNDARY.fullmatch(parameters["boundary"]) is None:
        return None
    return kind, parameters
