"""The parameters of an act about a person; those that every act may have are ``verifier.asked``'s. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

from verifier import learner
from verifier.asked import MAX_TEXT, Parameters, day, flag, malformed, source, text
from verifier.model.person import ClaimedKind, Identifier

__all__ = [
    "Parameters",
    "clerk",
    "day",
    "flag",
    "identifier",
    "malformed",
    "optional",
    "prose",
    "purpose",
    "source",
    "text",
]

_LONGEST_NAME: Final = 64


def prose(parameters: Parameters, name: str) -> str:
    """As ``text``, but of several lines."""
    value = parameters.get(name, "").strip()
    if not value or len(value) > MAX_TEXT or not value.replace("\n", "").isprintable():
        raise malformed(name)
    return value


def optional(parameters: Parameters, name: str) -> str:
    """As ``text``, or empty where it is not given."""
    return text(parameters, name) if parameters.get(name) else ""


def identifier(parameters: Parameters, name: str, today: date) -> Identifier:
    """An id number as on a card, of the kind that ``id-kind`` says; a resident's where it says nothing.

    Raises:
        RequestRejected: SCHEMA_INVALID, it is missing.
        IdentityRejected: it breaks its rule.
    """
    kind = optional(parameters, "id-kind") or ClaimedKind.RESIDENT_ID.value
    return learner.strong(kind, text(parameters, name), optional(parameters, "id-country"), today)


def clerk(parameters: Parameters) -> str:
    """Who acts, as the access log writes it."""
    return f"clerk:{source(parameters).reference}"[:_LONGEST_NAME]


def purpose(parameters: Parameters) -> str:
    """What for, as the access log writes it; errors as ``text``."""
    return text(parameters, "purpose")[:_LONGEST_NAME]
