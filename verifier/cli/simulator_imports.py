"""A platform's back-log, simulated: files of made-up completions, as many as are asked for, to be imported.

    python -m verifier.cli.simulator_imports SANDBOX SECRETS FILE COUNT [FIRST]

FILE ends in ``.ndjson``, ``.csv`` or ``.xlsx``. The same serial number is always the same person and the same
certificate's number; the signature is another one each time.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook

from adapters.china_vocational_training import IMPORT_COLUMNS
from verifier.cli.sandbox import load
from verifier.cli.simulator import ChinaVocationalTraining, Course, Person, person

SERIALS: Final = 100_000
"""So many people can be told apart by their numbers within one day of birth."""
_BORN: Final = date(1960, 1, 1)
_DONE: Final = datetime(2021, 1, 4, 2, tzinfo=UTC)
_SIGNS: Final = "安博晨达恩芳光海佳凯"


def learner(serial: int) -> Person:
    """A made-up person by a serial number from 0 on."""
    born = _BORN + timedelta(days=serial // SERIALS)
    name = "测" + "".join(_SIGNS[int(digit)] for digit in f"{serial % 1000:03d}")
    return person(serial % SERIALS, name, born=f"{born:%Y%m%d}")


def completions(sender: ChinaVocationalTraining, count: int, first: int = 0) -> Iterator[Mapping[str, Any]]:
    """Completions as 中国职业培训在线 sends them, one a person; the moments lie within a year."""
    for serial in range(first, first + count):
        done = _DONE + timedelta(minutes=serial % 500_000)
        course = Course(f"IM{serial:012d}", learner(serial), done, done + timedelta(hours=1))
        yield sender.completed(course)


def write_ndjson(path: Path, items: Iterable[Mapping[str, Any]]) -> None:
    """One item a line."""
    with path.open("wb") as file:
        for item in items:
            file.write(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def write_csv(
    path: Path, items: Iterable[Mapping[str, Any]], columns: Mapping[str, str] = IMPORT_COLUMNS
) -> None:
    """One item a record, under the platform's columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(cells(item, columns) for item in items)


def write_xlsx(
    path: Path, items: Iterable[Mapping[str, Any]], columns: Mapping[str, str] = IMPORT_COLUMNS
) -> None:
    """One item a row, under the platform's columns."""
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("存量")
    sheet.append(list(columns))
    for item in items:
        sheet.append(cells(item, columns))
    workbook.save(path)


def cells(item: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    """An item's cells, in the order of the columns."""
    found = []
    for pointer in columns.values():
        value: Any = item
        for name in pointer[1:].split("/"):
            value = value.get(name, {}) if isinstance(value, Mapping) else {}
        found.append(value if isinstance(value, str) else "")
    return found


WRITERS: Final[Mapping[str, Callable[[Path, Iterable[Mapping[str, Any]]], None]]] = {
    ".ndjson": write_ndjson,
    ".csv": write_csv,
    ".xlsx": write_xlsx,
}


def main(arguments: Sequence[str]) -> int:
    """Write a file."""
    directory, secrets_dir, file, count, *first = arguments
    sender = ChinaVocationalTraining(load(Path(directory), Path(secrets_dir)))
    path = Path(file)
    WRITERS[path.suffix](path, completions(sender, int(count), *(int(one) for one in first)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
