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
    form = _CONTENT_TYPE.fullmatch(value)
    if form is None or (kind := form[1].lower()) not in accepts.content_types:
        return None
    given = [(name.lower(), text) for name, text in _PARAMETER.findall(form[2])]
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
