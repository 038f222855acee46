"""The callback path under cProfile: what takes the most CPU time by itself.

    python -m benchmarks.profiling [--callbacks N] [--connections N] [--rows N] [--store ...] [--json]

The real service runs with every thread profiled, its issuer included, under the closed loop of callbacks with
one completion each; what a service takes that only starts and ends is taken off. Tracing makes small calls
look dearer than they are: shares can be compared, absolute times cannot. The database server is not in it,
SQLite's library is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pstats
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import calling, founding, load, places, programs, sending
from benchmarks.places import POSTGRESQL, SQLITE, Place
from benchmarks.programs import ROOT
from benchmarks.report import fill_in

ROWS: Final = 10
Timings = Mapping[tuple[str, int, str], tuple[int, int, float, float, object]]


@dataclass(frozen=True, slots=True)
class Row:
    """One function.

    Attributes:
        share: of all CPU time, without what it calls.
        calls: for one callback.
        microseconds: for one callback, without what it calls.
        within: for one callback, with what it calls.
    """

    where: str
    share: float
    calls: float
    microseconds: float
    within: float


def heaviest(timings: Timings, callbacks: int, rows: int) -> list[Row]:
    """The functions that take the most time by themselves."""
    whole = sum(own for _, _, own, _, _ in timings.values())
    found = sorted(timings.items(), key=lambda one: -one[1][2])[:rows]
    return [
        Row(_where(*place), own / whole, calls / callbacks, own / callbacks * 1e6, within / callbacks * 1e6)
        for place, (_, calls, own, within, _) in found
    ]


def _where(file: str, line: int, name: str) -> str:
    """Module and function, without the machine's directories."""
    path = Path(file)
    if path.is_relative_to(ROOT) and ".venv" not in path.parts:
        return f"{path.relative_to(ROOT)}:{line} {name}"
    return name if file == "~" else f"{'/'.join(path.parts[-2:])}:{line} {name}"


def without(timings: Timings, idle: Timings) -> Timings:
    """What is left of a profile without another one."""
    found = {}
    for place, (primitive, calls, own, within, callers) in timings.items():
        _, some, own_before, within_before, _ = idle.get(place, (0, 0, 0.0, 0.0, None))
        if own > own_before:
            left = (own - own_before, max(0.0, within - within_before))
            found[place] = (primitive, max(0, calls - some), *left, callers)
    return found


def measure(made: Place, store: str, callbacks: int, connections: int) -> Timings:
    """The profile of a service that starts, takes so many callbacks, and ends."""
    name = f"profiled{callbacks}"
    with places.database(store, made, name) as url:
        variables = made.environment(url, name)
        settings = made.settings(variables)
        asyncio.run(founding.found(settings))
        asyncio.run(founding.fill(settings, range(max(callbacks, 1)), 1))
        file = made.directory / name
        serve = ["-m", "benchmarks.profiled", str(file), "serve"]
        with programs.running(serve, settings.port, made.directory / f"{name}.log", variables) as service:
            requests = [one.request for one in sending.singles(made, range(callbacks), "p")]
            outcome = asyncio.run(load.closed(service.port, requests, connections))
            asyncio.run(calling.drained(url))
        if set(outcome.statuses) - {200}:
            raise RuntimeError(f"not all were taken: {dict(outcome.statuses)}")
        found: Any = pstats.Stats(str(file))
        timings: Timings = found.stats
        return timings


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.profiling", description=__doc__)
    parser.add_argument("--callbacks", type=int, default=3_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--store", choices=[SQLITE, POSTGRESQL], default=SQLITE)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="page that the table is written into, between its marks")
    chosen = parser.parse_args(arguments)
    with places.place() as made:
        idle = measure(made, chosen.store, 0, 1)
        timings = without(measure(made, chosen.store, chosen.callbacks, chosen.connections), idle)
    rows = heaviest(timings, chosen.callbacks, chosen.rows)
    if chosen.json:
        print(json.dumps([asdict(one) for one in rows], ensure_ascii=False))  # noqa: T201 - its output
        return 0
    columns = ("function", "share", "calls", "µs by itself", "µs with what it calls")
    table, marked = Table(*columns), [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for one in rows:
        numbers = (f"{one.share:.1%}", f"{one.calls:,.1f}", f"{one.microseconds:,.1f}", f"{one.within:,.1f}")
        table.add_row(one.where, *numbers)
        marked.append(f"| {' | '.join((f'`{one.where}`', *numbers))} |")
    Console(width=150).print(table)
    if chosen.page and not fill_in(chosen.page, "profile", "\n".join(marked)):
        raise SystemExit("the page has no marks to write between")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
