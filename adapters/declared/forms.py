"""The forms that a profile's values may have, each with its name in the guide."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = re.compile(r"[^/\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]{0,127}")
_POINTER: Final = re.compile(r"(?:/(?:[^/~\x00-\x1f\x7f-\x9f]|~[01])+){1,8}")
_MAX_ALTERNATIVES: Final = 8
_MAX_LIST: Final = 64


@dataclass(frozen=True, slots=True)
class Form:
    """What a value may be.

    Attributes:
        name: as the guide calls it.
        read: gives the value as it is used, and raises ValueError for one that is not of the form.
    """

    name: str
    read: Callable[[Any], Any]


def _text(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise ValueError
        return value

    return read


def text(pattern: str, name: str) -> Form:
    """A text that matches as a whole."""
    return Form(name, _text(re.compile(pattern)))


def choice(words: Iterable[str]) -> Form:
    """One of some words; of an enumeration, its member."""
    known = {str(word): word for word in words}

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError
        return known[value]

    return Form(", ".join(known), read)


def number(least: int, most: int) -> Form:
    """A whole number between two, both included."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return Form(f"{least} … {most}", read)


def several(form: Form, name: str, most: int = _MAX_LIST) -> Form:
    """A list of at least one, none of them twice."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise ValueError
        found = tuple(form.read(one) for one in value)
        if len(set(found)) != len(found):
            raise ValueError
        return found

    return Form(name, read)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one error for whatever is not of a form
    return value


def _member(value: Any) -> str:
    if not isinstance(value, str) or not (_NAME.fullmatch(value) or _POINTER.fullmatch(value)):
        raise ValueError
    return value


def _place(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_member(value),)
    found: tuple[str, ...] = several(MEMBER, "", _MAX_ALTERNATIVES).read(value)
    return found


FLAG: Final = Form("true, false", _flag)
MEMBER: Final = Form("成员 member", _member)
"""A member's name, or a JSON pointer."""
PLACE: Final = Form("位置 place", _place)
"""A member, or a list of alternatives."""
