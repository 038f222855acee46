"""TOML tables read strictly: every key is known, every value of its one type; where it stands is said."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from verifier.errors import Code, ConfigurationError

W = TypeVar("W", bound=StrEnum)

TEXT: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,198}[^\s\x00-\x1f\x7f-\x9f])?")
"""Up to 200 characters of one line, without spaces around it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and where in the document it stands. Every error is a ``ConfigurationError``.

    Attributes:
        path: as ``issuer[0].key[1]``; empty for the document.
    """

    values: Mapping[str, Any] = field(repr=False)
    path: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def pointer(self, name: str) -> str:
        """Where a key of this table stands."""
        return f"{self.path}.{name}" if self.path else name

    def invalid(self, name: str, detail: str) -> ConfigurationError:
        """The error of a value that cannot be understood."""
        return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=self.pointer(name))

    def refused(self, name: str, detail: str) -> ConfigurationError:
        """The error of a key or secret that is not acceptable."""
        return ConfigurationError(Code.KEY_REFUSED, detail, pointer=self.pointer(name))

    def allow(self, *names: str) -> None:
        """Refuse whatever is not among these."""
        if not self.values.keys() <= set(names):
            # Not named: what stands where no key belongs may be a secret.
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "unknown key", pointer=self.path or "/")

    def text(self, name: str, form: re.Pattern[str] = TEXT) -> str:
        """A text of one form."""
        value = self.values.get(name)
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise self.invalid(name, "missing, or not text of the expected form")
        return value

    def optional_text(self, name: str, form: re.Pattern[str] = TEXT) -> str:
        """The same, or empty where it is left out."""
        return self.text(name, form) if name in self.values else ""

    def word(self, name: str, words: type[W]) -> W:
        """One word of a fixed set."""
        value = self.text(name)
        if value not in set(words):
            raise self.invalid(name, "not a word that is known here")
        return words(value)

    def texts(self, name: str, form: re.Pattern[str] = TEXT) -> tuple[str, ...]:
        """A list of texts, none of them twice, at least one."""
        value = self.values.get(name)
        if not isinstance(value, list) or not value:
            raise self.invalid(name, "missing, or not a list with something in it")
        if not all(isinstance(item, str) and form.fullmatch(item) for item in value):
            raise self.invalid(name, "not a list of text of the expected form")
        if len(set(value)) != len(value):
            raise self.invalid(name, "something stands twice")
        return tuple(value)

    def optional_count(self, name: str, greatest: int) -> int | None:
        """A whole number from 1, or None where it is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= greatest:
            raise self.invalid(name, "not a whole number in range")
        return value

    def day(self, name: str) -> date:
        """A date."""
        value = self.values.get(name)
        if isinstance(value, datetime) or not isinstance(value, date):
            raise self.invalid(name, "missing, or not a date")
        return value

    def moment(self, name: str) -> datetime:
        """A date and time with its offset, as aware UTC."""
        value = self.values.get(name)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise self.invalid(name, "missing, or not a date and time with its offset")
        try:
            return value.astimezone(UTC)
        except OverflowError as error:
            raise self.invalid(name, "out of range") from error

    def interval(self) -> tuple[datetime, datetime | None]:
        """``not_before`` and ``not_after``; the latter may be left out, and is the first moment outside."""
        start = self.moment("not_before")
        end = self.moment("not_after") if "not_after" in self.values else None
        if end is not None and end <= start:
            raise self.invalid("not_after", "the interval is empty")
        return start, end

    def tables(self, name: str, *, least: int = 0) -> Iterator[Table]:
        """An array of tables."""
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) < least or not all(isinstance(v, dict) for v in value):
            raise self.invalid(name, "missing, or not an array of tables")
        return (Table(entry, f"{self.pointer(name)}[{n}]") for n, entry in enumerate(value))

    def exactly_one(self, names: Sequence[str]) -> str:
        """The one of these keys that stands here."""
        found = [name for name in names if name in self.values]
        if len(found) != 1:
            raise self.invalid(names[0], f"exactly one of {' and '.join(names)} is needed")
        return found[0]

    def reference(self, name: str, read: Callable[[str], bytes], form: re.Pattern[str]) -> bytes:
        """What a reference by name stands for."""
        return self.read(name, self.text(name, form), read)

    def read(self, name: str, reference: str, read: Callable[[str], bytes]) -> bytes:
        """What one reference under a key stands for."""
        try:
            return read(reference)
        except (OSError, LookupError) as error:
            raise self.refused(name, "a key or secret cannot be read") from error


def document(raw: bytes, what: str) -> Table:
    """A whole TOML document.

    Args:
        raw: the file.
        what: what it is, for the error.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is not TOML in UTF-8.
    """
    try:
        return Table(tomllib.loads(raw.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, f"{what} is not TOML") from error
