"""Reads a profile's file by the schema; whatever is wrong is said at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.declared.schema import SECTIONS, Key, Section
from verifier.errors import Code, ConfigurationError

MAX_BYTES: Final = 65_536
_MAX_STATEMENT: Final = 200
"""Lines that one statement may go over."""
_AT: Final = re.compile(r"at line ([0-9]+)")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a profile.

    Attributes:
        pointer: the path in the file, as ``certificate.fields.issuer``; empty for the file itself.
        line: from 1.
        zh: what is wrong, in Chinese.
        en: the same in English.
    """

    pointer: str
    line: int
    zh: str
    en: str

    @property
    def sentence(self) -> str:
        """All of it, in both languages."""
        where = f" {self.pointer}" if self.pointer else ""
        return f"第 {self.line} 行{where}：{self.zh} · line {self.line}{where}: {self.en}"


def refusal(faults: Sequence[Fault]) -> ConfigurationError:
    """The error that says all faults, in the order of the file; its pointer is the first one's."""
    listed = sorted(faults, key=lambda fault: fault.line)
    return ConfigurationError(
        Code.CONFIGURATION_INVALID,
        "\n".join(fault.sentence for fault in listed),
        pointer=listed[0].pointer or "/",
    )


def lines(text: str) -> Mapping[Path, int]:
    """The line of every key and table of a TOML document, by its path.

    A statement ends where it can be read by itself: no beginning of one is a statement already, since a value
    goes over several lines only between brackets or triple quotes. What stands within a value has its line.

    Args:
        text: a document that can be read as a whole.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    # As TOML divides lines; other separators stand within values.
    rows = [row.removesuffix("\r") for row in text.split("\n")]
    start = 0
    while start < len(rows):
        length, statement = _statement(rows[start : start + _MAX_STATEMENT])
        paths = list(_paths(statement))
        if rows[start].lstrip().startswith("["):
            table = max(paths, key=len, default=())
            paths = [table]
        else:
            paths = [(*table, *path) for path in paths]
        for path in paths:
            found.setdefault(path, start + 1)
        start += length
    return found


def _statement(rows: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
    """How many rows the first statement takes, and what it says by itself."""
    for length in range(1, len(rows) + 1):
        try:
            return length, tomllib.loads("\n".join(rows[:length]))
        except tomllib.TOMLDecodeError:
            continue
    return 1, {}


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every path in what one statement says; arrays of tables have no place in a profile."""
    if at:
        yield at
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*at, name))


@dataclass(slots=True)
class Document:
    """A profile's file while it is read.

    Attributes:
        values: what was read, by section and key.
        faults: what is wrong.
    """

    tree: Mapping[str, Any]
    lines: Mapping[Path, int]
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, section: str, name: str, zh: str, en: str) -> None:
        """Note what is wrong with a key, or with a whole section where it has no name."""
        path = (*section.split("."), name) if section else (name,)
        path = tuple(part for part in path if part)
        self.faults.append(Fault(".".join(path), self._line(path), zh, en))

    def _line(self, path: Path) -> int:
        """The line of the path, or of the table that it is missing from."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def _table(self, section: str) -> Any:
        found: Any = self.tree
        for part in section.split(".") if section else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def read(self) -> None:
        """Every section, by the schema."""
        for name, section in SECTIONS.items():
            table = self._table(name)
            if table is None:
                if section.required:
                    self.fault(name, "", "缺少本节", "this table is missing")
                continue
            if not isinstance(table, Mapping):
                self.fault(name, "", "应为表", "a table is needed here")
                continue
            self.values[name] = (
                self._words(name, table, section) if section.words else self._keys(name, table, section)
            )

    def _words(self, name: str, table: Mapping[str, Any], section: Section) -> dict[str, Any]:
        assert section.words is not None
        values = {}
        for word, value in table.items():
            try:
                values[word] = section.words.read(value)
            except ValueError:
                self.fault(name, word, *_form(section.words.name))
        return values

    def _keys(self, name: str, table: Mapping[str, Any], section: Section) -> dict[str, Any]:
        keys = self._known(table, section)
        known = {key.name for key in keys} | {
            path.rpartition(".")[2] for path in SECTIONS if path and path.rpartition(".")[0] == name
        }
        for unknown in table.keys() - known:
            # Not named: what stands where no key belongs may be a secret. The line is enough to find it.
            line = self._line((*name.split("."), unknown) if name else (unknown,))
            self.faults.append(Fault(name, line, "没有这样的键", "there is no such key"))
        return {key.name: self._value(name, table, key) for key in keys}

    def _known(self, table: Mapping[str, Any], section: Section) -> Sequence[Key]:
        """The keys that a table may have; where it does not say which, those of all variants."""
        if not section.selector:
            return section.keys
        chosen = table.get(section.selector)
        if isinstance(chosen, str) and chosen in section.variants:
            return (*section.keys, *section.variants[chosen])
        selector = next(key for key in section.keys if key.name == section.selector)
        try:
            selector.form.read(chosen)
        except ValueError:
            every = {key.name: key for variant in section.variants.values() for key in variant}
            present = [key for key in every.values() if key.name in table]
            return (*section.keys, *present)
        return section.keys

    def _value(self, section: str, table: Mapping[str, Any], key: Key) -> Any:
        if key.name not in table:
            if key.required:
                self.fault(section, key.name, "缺少", "missing")
                return None
            return key.default
        try:
            return key.form.read(table[key.name])
        except ValueError:
            self.fault(section, key.name, *_form(key.form.name))
            return None


def _form(name: str) -> tuple[str, str]:
    return f"不合要求，应为：{name}", f"not of the form asked for: {name}"


def parse(raw: bytes) -> Document:
    """A profile's file, read by the schema.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is too long or no TOML in UTF-8.
    """
    if len(raw) > MAX_BYTES:
        raise refusal([Fault("", 1, "文件过大", f"the file has more than {MAX_BYTES} bytes")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refusal([Fault("", line, "不是 UTF-8", "not UTF-8")]) from None
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # The parser's own words repeat the file.
        at = _AT.search(str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise refusal([Fault("", line, "不是规范的 TOML", "not TOML")]) from None
    document = Document(tree, lines(text))
    document.read()
    return document
