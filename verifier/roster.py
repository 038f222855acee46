"""What an enterprise sends, read strictly: its roster, people to ask for, a declaration. Pure.

The columns of a roster and their rules stand in ``verifier.roster_rows``.

1. JSON has one meaning (``strict_json``); a member that is unknown, missing or of another type refuses the
   file, because a program wrote it and will write it again.
2. CSV is comma-separated, in UTF-8 (a byte order mark may precede it) or GB18030. The header of the one is
   never that of the other, so it tells which. Spreadsheets rewrite days, so ``2021/3/5`` is read too. Rows of
   empty cells are passed over. XLSX comes as cells (``verifier.spreadsheet``), which a process of its own has
   read. The header and the cells of either: ``verifier.roster_table``.
3. All else is said row by row, every problem of every row. Rows are counted from 1, the header not included.
4. Two rows of one person with the same first day contradict each other: both are problems, whatever they say.
5. Cells are stored as they came, also those that a spreadsheet would take for a formula: who exports escapes.

It is work for the processor, up to a second or so for the largest file: the caller keeps it off the event
loop.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Final, NoReturn, TypeVar

import msgspec
from typing_extensions import override

from verifier.errors import Code, RequestRejected
from verifier.model.facts import EmploymentMark
from verifier.model.person import ClaimedKind, IdentityClaims
from verifier.roster_rows import CELLS, TWICE, Flaws, Form, RawRow, RosterRow, RowProblem, read_day, read_row
from verifier.roster_table import TABLE, header, raw_row, texts_of
from verifier.signatures import strict_json
from verifier.spreadsheet import Bounds, Cell

MAX_ROWS: Final = 20_000
MAX_ROSTER_BYTES: Final = 8 * 1024 * 1024
MAX_PEOPLE: Final = 10_000
MAX_PEOPLE_BYTES: Final = 4 * 1024 * 1024
_MAX_DECLARATION_BYTES: Final = 1024
BOUNDS: Final = Bounds(MAX_ROSTER_BYTES, rows=MAX_ROWS + 1)
"""What an XLSX roster may weigh, for whoever opens it."""


@dataclass(frozen=True, slots=True)
class RosterFile:
    """A roster as read.

    Attributes:
        rows: those without a problem, in the file's order.
        problems: of all others, by row.
        total: how many rows the file has, empty ones not counted.
        columns: how the file calls the attributes of a row.
    """

    rows: tuple[RosterRow, ...]
    problems: tuple[RowProblem, ...]
    total: int
    columns: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Days:
    """Days of Beijing's calendar, both included; no end means still open."""

    start: date
    end: date | None


# --- what comes in ------------------------------------------------------------------------------------------


class _Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[RawRow]


class _Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id_number: str
    name: str = ""
    id_kind: str = ClaimedKind.RESIDENT_ID.value
    id_country: str = ""

    @override
    def __repr__(self) -> str:
        return "_Person(...)"


class _People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    people: list[_Person]


class _Days(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: str = msgspec.field(name="from")
    end: str | None = msgspec.field(name="to", default=None)


_JSON: Final = Form(
    {name: {"start": "from", "end": "to"}.get(name, name) for name in RawRow.__struct_fields__},
    re.compile(r"([0-9]{4})(-)([0-9]{2})-([0-9]{2})"),
)

S = TypeVar("S", bound=msgspec.Struct)


def read_json(raw: bytes, *, today: date) -> RosterFile:
    """Read ``{"rows": [...]}``.

    Args:
        raw: the body, up to 8 MiB and 20,000 rows.
        today: the Beijing date; nobody is born later.

    Raises:
        RequestRejected: ``request_too_large``, ``json_invalid`` or ``schema_invalid``; nothing of the file
            counts.
    """
    rows = _converted(raw, _Rows, MAX_ROSTER_BYTES).rows
    _counted(rows, MAX_ROWS, "/rows")
    return _checked([(number, row, []) for number, row in enumerate(rows, 1)], _JSON, today)


def read_csv(raw: bytes, *, today: date) -> RosterFile:
    """Read a CSV file with a Chinese header. Arguments and errors as for ``read_json``."""
    if len(raw) > MAX_ROSTER_BYTES:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the file is over the size limit")
    reader = csv.reader(io.StringIO(_decoded(raw), newline=""), strict=True)
    try:
        records = list(islice(reader, MAX_ROWS + 2))
    except csv.Error:
        _refuse("not CSV", f"line {reader.line_num}")
    names = header(records[0] if records else [])
    if len(records) > MAX_ROWS + 1:
        _too_many()
    rows: list[_Numbered] = []
    for number, cells in enumerate(records[1:], 1):
        flaws: Flaws = []
        if len(cells) != len(names) and any(cells):
            rows.append((number, None, [("", CELLS)]))
        elif any(cells):
            rows.append((number, raw_row(dict(zip(names, cells, strict=True)), flaws), flaws))
    _counted(rows, MAX_ROWS, "")
    return _checked(rows, TABLE, today)


def read_cells(records: Sequence[Sequence[Cell]], *, today: date) -> RosterFile:
    """Read the cells of an XLSX workbook, which is within ``BOUNDS``.

    Args:
        records: its rows from the first on, as ``verifier.spreadsheet.read`` gives them.
        today: as for ``read_json``.

    Raises:
        RequestRejected: ``schema_invalid``; nothing of the file counts.
    """
    names = header([title if isinstance(title, str) else "" for title in records[0]])
    rows: list[_Numbered] = []
    for number, cells in enumerate(records[1:], 1):
        flaws: Flaws = []
        if len(cells) > len(names):
            rows.append((number, None, [("", CELLS)]))
        elif cells:
            rows.append((number, raw_row(texts_of(names, cells, flaws), flaws), flaws))
    _counted(rows, MAX_ROWS, "")
    return _checked(rows, TABLE, today)


def read_people(raw: bytes) -> tuple[IdentityClaims, ...]:
    """Read ``{"people": [{"id_number", "name"?, "id_kind"?, "id_country"?}]}``, whose status is asked.

    Args:
        raw: the body, up to 4 MiB and 10,000 people.

    Returns:
        The claims in their order, unchecked; a name that is not given is empty.

    Raises:
        RequestRejected: as for ``read_json``.
    """
    people = _converted(raw, _People, MAX_PEOPLE_BYTES).people
    _counted(people, MAX_PEOPLE, "/people")
    return tuple(
        IdentityClaims(person.id_kind, person.id_number, person.name, person.id_country) for person in people
    )


def read_declaration(raw: bytes) -> Days:
    """Read ``{"from": "YYYY-MM-DD", "to": …}``: the days of a scope declaration.

    Raises:
        RequestRejected: as for ``read_json``.
    """
    said = _converted(raw, _Days, _MAX_DECLARATION_BYTES)
    start = read_day(said.start, _JSON)
    end = read_day(said.end, _JSON) if said.end else None
    if start is None or (said.end and end is None):
        _refuse("not a day", "/from" if start is None else "/to")
    if end is not None and end < start:
        _refuse("ends before it begins", "/to")
    return Days(start, end)


def content(rows: Iterable[RosterRow]) -> bytes:
    """What a roster says, whatever the order of its rows and the form of its file; for a keyed digest.

    It holds personal data: digest it under a key, and keep only the digest.
    """
    lines = sorted(
        [
            row.identifier.kind.value,
            row.identifier.value,
            row.start.isoformat(),
            row.end.isoformat() if row.end else "",
            row.name.raw,
            row.category.value if row.category else "",
            row.post,
            row.dispatched_by or "",
            # Where they are the usual ones they are left out, as they were before there were such columns.
            *([] if row.mark is EmploymentMark.EMPLOYED else [f"status {row.mark.value}"]),
            *(["withdrawn"] if row.withdrawn else []),
        ]
        for row in rows
    )
    return json.dumps(lines, separators=(",", ":")).encode()


# --- the file as a whole ------------------------------------------------------------------------------------


def _refuse(detail: str, pointer: str) -> NoReturn:
    raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer=pointer)


def _too_many() -> NoReturn:
    raise RequestRejected(Code.REQUEST_TOO_LARGE, "more is listed than one request may hold")


def _counted(items: Sequence[object], limit: int, pointer: str) -> None:
    if not items:
        _refuse("nothing is listed", pointer)
    if len(items) > limit:
        _too_many()


def _converted(raw: bytes, kind: type[S], max_bytes: int) -> S:
    value = strict_json.loads(raw, max_bytes=max_bytes)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # Only the place is taken over: an unknown member's name is the sender's own text.
        place = re.search(r" - at `\$(.*)`\Z", str(error))
        pointer = re.sub(r"\.|\[", "/", place[1]).replace("]", "") if place else ""
    _refuse("a member is missing, unknown or of the wrong type", pointer)


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    _refuse("neither UTF-8 nor GB18030", "")


_Numbered = tuple[int, RawRow | None, Flaws]
"""A row by its number, with what its cells alone show to be wrong; None where they are no row."""


def _checked(numbered: Sequence[_Numbered], form: Form, today: date) -> RosterFile:
    rows: list[RosterRow] = []
    problems: list[RowProblem] = []
    for number, raw, flaws in numbered:
        found: Flaws = []
        row = None if raw is None else read_row(number, raw, form, today, found)
        # A cell that could not be read was taken for empty: what follows from that is no fault of its own.
        unread = {column for column, _ in flaws}
        if "id_kind" in unread:
            unread.add("id_number")
        said = [*flaws, *((column, flaw) for column, flaw in found if column not in unread)]
        problems.extend(RowProblem(number, form.columns.get(column, ""), *flaw) for column, flaw in said)
        if row is not None and not said:
            rows.append(row)
    seen = Counter((row.identifier, row.start) for row in rows)
    twice = {row.row for row in rows if seen[row.identifier, row.start] > 1}
    problems.extend(RowProblem(number, form.columns["start"], *TWICE) for number in twice)
    kept = tuple(row for row in rows if row.row not in twice)
    ordered = tuple(sorted(problems, key=lambda problem: problem.row))
    return RosterFile(kept, ordered, len(numbered), form.columns)
