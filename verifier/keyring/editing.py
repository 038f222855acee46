"""Changes the register's source form as a person would: one entry, and every comment and line else as it was.

Whatever comes out is read again and compared with the change that was asked for, so that a layout which
the editing library cannot keep is refused, not spoilt.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Whitespace

from verifier.errors import Code, ConfigurationError

Value = str | datetime | list[str]


class Kind(StrEnum):
    """What an entry is; the word is the table's."""

    KEY = "key"
    ANCHOR = "anchor"
    TRANSPORT = "transport"


_HOLDERS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.KEY: ("issuer", "id"),
    Kind.ANCHOR: ("issuer", "id"),
    Kind.TRANSPORT: ("platform", "slug"),
}
"""Whose entries they are: the holder's table and what names it."""
_NAMES: Final[Mapping[Kind, str]] = {Kind.KEY: "kid", Kind.ANCHOR: "id", Kind.TRANSPORT: "key_id"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the register.

    Attributes:
        holder: the issuer's id or the platform's slug.
        name: the key's id.
    """

    kind: Kind
    holder: str
    name: str


class Source:
    """A source form that is being changed."""

    def __init__(self, raw: bytes) -> None:
        """Read it.

        Raises:
            ConfigurationError: it is not TOML, or so laid out that its lines would not stay in their order.
        """
        try:
            text = raw.decode()
            text += "" if text.endswith("\n") else "\n"
            self._plain: dict[str, Any] = tomllib.loads(text)
            self._document = tomlkit.parse(text)
        except (ValueError, TOMLKitError):
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "the register is not TOML") from None
        if self._document.as_string() != text:
            raise _by_hand()

    def add(self, entry: Entry, values: Mapping[str, Value]) -> None:
        """Add an entry behind its holder's others of the kind.

        Raises:
            ConfigurationError: there is no such holder, or it has an entry of this name.
        """
        table, name = _HOLDERS[entry.kind]
        if self._find(entry) is not None:
            raise _wrong("the register has an entry of this name already", _NAMES[entry.kind])
        place = self._holder(entry)
        if place is None:
            raise _wrong(f"the register has no such {table}", name)
        members = {_NAMES[entry.kind]: entry.name, **values}
        written: Any = self._document[table]
        _append(written[place], entry.kind.value, members)
        self._plain[table][place].setdefault(entry.kind.value, []).append(members)

    def add_issuer(self, issuer: str, number_scope: str, platforms: Sequence[str]) -> None:
        """Add an issuer without keys.

        Raises:
            ConfigurationError: there is one of this name.
        """
        if self._holder(Entry(Kind.KEY, issuer, "")) is not None:
            raise _wrong("the register has an issuer of this name already", "issuer")
        members = {"id": issuer, "number_scope": number_scope, "platforms": list(platforms)}
        _append(self._document, "issuer", members)
        self._plain.setdefault("issuer", []).append(members)

    def change(self, entry: Entry, values: Mapping[str, Value]) -> None:
        """Set members of an entry.

        Raises:
            ConfigurationError: there is no such entry.
        """
        found = self._find(entry)
        if found is None:
            raise _wrong("the register has no such entry", _NAMES[entry.kind])
        holder, place = found
        table = _HOLDERS[entry.kind][0]
        self._plain[table][holder][entry.kind.value][place].update(values)
        written: Any = self._document[table]
        written = written[holder][entry.kind.value][place]
        following = _following(written)
        written.update(values)
        written.value.body.extend(following)

    def get(self, entry: Entry) -> Mapping[str, Any] | None:
        """An entry's members; None where there is no such entry."""
        found = self._find(entry)
        if found is None:
            return None
        members: Mapping[str, Any] = self._plain[_HOLDERS[entry.kind][0]][found[0]][entry.kind.value][
            found[1]
        ]
        return members

    def written(self) -> bytes:
        """The changed source form.

        Raises:
            ConfigurationError: this layout cannot be changed by program.
        """
        text: str = self._document.as_string()
        if tomllib.loads(text) != self._plain:
            raise _by_hand()
        return text.encode()

    def _holder(self, entry: Entry) -> int | None:
        table, name = _HOLDERS[entry.kind]
        return _position(self._plain.get(table), name, entry.holder)

    def _find(self, entry: Entry) -> tuple[int, int] | None:
        holder = self._holder(entry)
        if holder is None:
            return None
        entries = self._plain[_HOLDERS[entry.kind][0]][holder].get(entry.kind.value)
        place = _position(entries, _NAMES[entry.kind], entry.name)
        return None if place is None else (holder, place)


def _position(tables: object, name: str, value: str) -> int | None:
    if not isinstance(tables, list):
        return None
    places = (n for n, one in enumerate(tables) if isinstance(one, dict) and one.get(name) == value)
    return next(places, None)


def _append(parent: Any, name: str, members: Mapping[str, Any]) -> None:
    """Append a table to an array of tables, before the comment on whatever follows the last one."""
    if not isinstance(parent.get(name, tomlkit.aot()), AoT):
        raise _by_hand()
    fresh = tomlkit.table()
    fresh.update(members)
    last = _last(parent.get(name, parent))
    following = _following(last)
    last.value.body.append((None, tomlkit.nl()))
    fresh.value.body.extend(following)
    if name in parent:
        parent[name].append(fresh)
        return
    array = tomlkit.aot()
    array.append(fresh)
    parent[name] = array


def _last(item: Any) -> Any:
    """The table that is written last within an array of tables or a table."""
    if isinstance(item, AoT):
        return _last(item[-1])
    inner = [value for value in item.values() if isinstance(value, AoT)]
    return _last(inner[-1]) if inner else item


def _following(table: Any) -> list[Any]:
    """Take off what stands behind a table's last line, from the first empty line on."""
    body = table.value.body
    lines = next(n for n in range(len(body), 0, -1) if body[n - 1][0] is not None)
    while lines < len(body) and not isinstance(body[lines][1], Whitespace):
        lines += 1
    following = body[lines:]
    del body[lines:]
    return list(following)


def _by_hand() -> ConfigurationError:
    detail = "this layout cannot be changed by program: edit it, platforms first, then issuers"
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="register")


def _wrong(detail: str, pointer: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=pointer)
