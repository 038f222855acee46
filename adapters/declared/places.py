"""Where a message keeps a thing: the names it may have, and what nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from verifier.errors import AdapterError, Code
from verifier.model import fields
from verifier.model.fields import MomentField, TextField
from verifier.model.time import TimeFormat


def steps(name: str) -> tuple[str, ...]:
    """The way that a member's name or a JSON pointer (RFC 6901) goes; through objects alone."""
    if not name.startswith("/"):
        return (name,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in name[1:].split("/"))


def value(source: Any, name: str) -> Any:
    """What stands there; None where nothing does, or where the way leads through no object."""
    found = source
    for step in steps(name) if name else ():
        found = found.get(step) if isinstance(found, dict) else None
    return found


def pointer(base: str, name: str) -> str:
    """Where that is, as a JSON pointer: made of the profile's own words alone."""
    if not name or name.startswith("/"):
        return f"{base}{name}"
    return f"{base}/{name.replace('~', '~0').replace('/', '~1')}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one thing stands, under one of several names: platforms rename members while they run.

    Attributes:
        names: each a member's name or a JSON pointer; the first that is there counts, and two that are
            there with different values are unreadable.
    """

    names: tuple[str, ...]

    def find(self, source: Any, base: str) -> Any:
        """What stands there, None for nothing; an empty text counts as nothing.

        Raises:
            AdapterError: ``field_invalid``: two names, two values.
        """
        found = [one for name in self.names if (one := value(source, name)) is not None and one != ""]
        # 1 == True in Python, not in JSON.
        if any(one != found[0] or type(one) is not type(found[0]) for one in found[1:]):
            raise AdapterError(
                Code.FIELD_INVALID, "two names, two values", pointer=pointer(base, self.names[0])
            )
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and the rule that it keeps.

    Attributes:
        place: where it stands.
        rule: as ``fields.text`` takes it; its member has no meaning here.
        numeric: whether a whole number in its place is read as its digits.
    """

    place: Place
    rule: TextField
    numeric: bool = False

    def read(self, source: Any, base: str) -> str:
        """The text as it came; empty where it is optional and missing.

        Raises:
            AdapterError: ``field_missing`` or ``field_invalid``.
        """
        found = self.place.find(source, base)
        if self.numeric and isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        # The rule's member is empty: the pointer is the one given, and a slash that is taken off again.
        try:
            return fields.text({"": found}, self.rule, "")
        except AdapterError as error:
            raise AdapterError(error.code, error.detail, pointer=pointer(base, self.place.names[0])) from None


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in one format; always required."""

    place: Place
    form: TimeFormat

    def read(self, source: Any, base: str) -> datetime:
        """The moment as aware UTC. Errors as for ``Text``."""
        try:
            return fields.moment({"": self.place.find(source, base)}, MomentField("", self.form), "")
        except AdapterError as error:
            raise AdapterError(error.code, error.detail, pointer=pointer(base, self.place.names[0])) from None


def left(source: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """All of an object but what stands under these names; an object that holds nothing else goes too."""
    rest = dict(source)
    for name in names:
        _take(rest, steps(name))
    return rest


def _take(source: dict[str, Any], way: tuple[str, ...]) -> None:
    first, *further = way
    if not further:
        source.pop(first, None)
        return
    inner = source.get(first)
    if isinstance(inner, dict):
        source[first] = dict(inner)
        _take(source[first], tuple(further))
        if not source[first]:
            del source[first]
