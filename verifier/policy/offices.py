"""The acceptance offices that admissions may name: a dated table, adopted as policies are. Pure.

Which offices accept claims is not in the notice; the table says of each row what it rests on, and whether it
is our reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import combinations
from typing import Final

from verifier.model.time import covers
from verifier.toml_tables import Table, document

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", re.ASCII)
_GREATEST_REVISION: Final = 9_999


@dataclass(frozen=True, slots=True)
class Office:
    """One row: an office under a code, from a day to a day, both included.

    Attributes:
        code: the division's (GB/T 2260) or, where there is none, our own.
        reference: what the row rests on.
        reading: nothing that was published says so; it is our reading.
    """

    code: str
    name: str
    start: date
    end: date | None
    reference: str
    reading: bool


@dataclass(frozen=True, slots=True)
class Offices:
    """A table.

    Attributes:
        digest: hex SHA-256 of its source form.
    """

    digest: str
    revision: int
    rows: tuple[Office, ...]

    def at(self, code: str, day: date) -> Office | None:
        """The office of a code on a day."""
        return next((row for row in self.rows if row.code == code and covers(row.start, row.end, day)), None)


def load_offices(raw: bytes) -> Offices:
    """Read a table.

    Args:
        raw: TOML.

    Raises:
        ConfigurationError: it is not as it should be; where is said.
    """
    table = document(raw, "the table of offices")
    table.allow("revision", "office")
    revision = table.optional_count("revision", _GREATEST_REVISION)
    if revision is None:
        raise table.invalid("revision", "missing")
    rows = tuple(_office(row) for row in table.tables("office", least=1))
    _check_apart(table, rows)
    return Offices(sha256(raw).hexdigest(), revision, rows)


def _office(table: Table) -> Office:
    table.allow("code", "name", "from", "to", "reference", "reading")
    start = table.day("from")
    end = table.day("to") if "to" in table else None
    if end is not None and end < start:
        raise table.invalid("to", "ends before it begins")
    reading = table.values.get("reading")
    if not isinstance(reading, bool):
        raise table.invalid("reading", "missing, or neither true nor false")
    return Office(table.text("code", _CODE), table.text("name"), start, end, table.text("reference"), reading)


def _check_apart(table: Table, rows: Sequence[Office]) -> None:
    for one, other in combinations(rows, 2):
        later = max(one, other, key=lambda row: row.start)
        earlier = other if later is one else one
        if one.code == other.code and covers(earlier.start, earlier.end, later.start):
            raise table.invalid("office", "a code stands twice on one day")
