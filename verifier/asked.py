"""The text parameters of an operator's act, read: each is as it should be, or named as malformed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from verifier.errors import Code, RequestRejected
from verifier.model.facts import Source

MAX_TEXT: Final = 8192
"""In characters; the longest are public keys."""

Parameters = Mapping[str, str]


def text(parameters: Parameters, name: str) -> str:
    """A text that must be there, without spaces around it.

    Raises:
        RequestRejected: SCHEMA_INVALID with the parameter's name.
    """
    value = parameters.get(name, "").strip()
    if not value or len(value) > MAX_TEXT or not value.isprintable():
        raise malformed(name)
    return value


def day(parameters: Parameters, name: str) -> date:
    """A day, ``YYYY-MM-DD``; errors as ``text``."""
    try:
        return date.fromisoformat(text(parameters, name))
    except ValueError:
        raise malformed(name) from None


def optional_day(parameters: Parameters, name: str) -> date | None:
    """The same, or None where it is left out."""
    return day(parameters, name) if parameters.get(name) else None


def flag(parameters: Parameters, name: str) -> bool:
    """Whether a flag was given."""
    return parameters.get(name) == "yes"


def source(parameters: Parameters) -> Source:
    """Who acts."""
    return Source("operator", parameters.get("operator", "") or "unnamed")


def malformed(name: str) -> RequestRejected:
    """The error of a parameter that is missing or malformed; its value is not repeated."""
    return RequestRejected(Code.SCHEMA_INVALID, "the parameter is missing or malformed", pointer=name)
