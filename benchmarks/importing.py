"""The import of a back-log: ``verifier import PLATFORM FILE``, over lines of single completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import calling, founding, ours, places, programs, sending
from benchmarks.books import Books, compare, look
from benchmarks.figures import Figure, Goal
from benchmarks.places import Place
from benchmarks.programs import Ended
from verifier.cli.sandbox import CVT
from verifier.cli.simulator import ChinaVocationalTraining

NAME: Final = "import of single completions"
FLAT: Final = "import: peak memory, of that with a quarter of the lines"
_FLAT_GOAL: Final = Goal("≤", 1.15)


def write(made: Place, serials: Sequence[int], mark: str, path: Path) -> list[str]:
    """A file of completions as the platform would push them, a line each; the certificates' numbers."""
    sender = ChinaVocationalTraining(made.sandbox)
    numbers = [f"{mark}-{serial}" for serial in serials]
    with path.open("w", encoding="utf-8") as file:
        for number, serial in zip(numbers, serials, strict=True):
            message = sender.completed(sending.course(number, sending.somebody(serial)))
            file.write(json.dumps(message, ensure_ascii=False) + "\n")
    return numbers


def measure(made: Place, store: str, count: int, processes: int) -> tuple[list[Figure], list[str]]:
    """A quarter of the lines first, whose memory is compared with that of all; and what is wrong."""
    if not places.understood("import", CVT, "file"):
        note = "this version has no import"
        return [Figure("ours", name, None, store=store, note=note) for name in (NAME, FLAT)], []
    with places.database(store, made, "imported") as url:
        variables = made.environment(url, "imported")
        settings = made.settings(variables)
        asyncio.run(founding.found(settings))
        asyncio.run(founding.fill(settings, range(count + count // 4), processes))
        # Whoever imports goes by what was adopted: a service has run before.
        asyncio.run(_served(made, store, url, variables))
        books = Books()
        few = _imported(made, variables, range(count, count + count // 4), "few", books)
        whole = _imported(made, variables, range(count), "all", books)
        # It decides and issues what the import left to be done.
        asyncio.run(_served(made, store, url, variables))
        wrong = compare(books, asyncio.run(look(url)))
    return _figures(store, count, few, whole), wrong


def _imported(
    made: Place, variables: Mapping[str, str], serials: Sequence[int], mark: str, books: Books
) -> Ended:
    path = made.directory / f"{mark}.ndjson"
    numbers = write(made, serials, mark, path)
    ended = programs.watched(
        ["-m", "verifier", "import", CVT, str(path)], made.directory / f"import-{mark}.log", variables
    )
    if ended.status != 0:
        raise RuntimeError(f"import: status {ended.status}; it said:\n{ended.said[-2000:]}")
    books.enter_imported(numbers)
    return ended


async def _served(made: Place, store: str, url: str, variables: Mapping[str, str]) -> None:
    """Run the service until nothing waits for it."""
    async with ours.served(made, store, url, variables, 1):
        await calling.drained(url)


def _figures(store: str, count: int, few: Ended, whole: Ended) -> list[Figure]:
    flat = whole.peaks_mb[0] / few.peaks_mb[0] if few.peaks_mb and whole.peaks_mb else None
    return [
        Figure(
            "ours",
            NAME,
            count / whole.seconds,
            store=store,
            cpu_us=(whole.cpu_seconds / count * 1e6,),
            memory_mb=whole.peaks_mb,
            note=f"{count:,} lines",
        ),
        Figure("ours", FLAT, flat, "ratio", store, _FLAT_GOAL),
    ]
