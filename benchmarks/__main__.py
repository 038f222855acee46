"""Everything in one run on one machine: limits, what a user would write instead, this service, its growth.

    python -m benchmarks [--full] [--stores sqlite,postgresql] [--workers N] [--sizes N,N] [--out DIR]
    python -m benchmarks --growth [--full] [--sizes N,N]

The exit status is 1 only for wrong results: something acknowledged that is lost or there twice. A goal that
was missed is shown as missed. On a machine that does nothing else; docs/performance.md says what is compared.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import growth, importing, instead, limits, ours, places, report
from benchmarks.figures import Goal, ratio
from benchmarks.founding import DiskTooSmall
from benchmarks.ours import Amounts
from benchmarks.places import POSTGRESQL, SQLITE, Place
from benchmarks.report import Report


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything a run does.

    Attributes:
        usual: callbacks to what a user would write.
        bare: requests to the bare endpoint.
        imported: lines.
        seconds: of bare verification.
        grown: at each size of the store, of which the smallest must have as many people.
    """

    ours: Amounts
    usual: int
    bare: int
    imported: int
    seconds: float
    grown: Amounts


TINY: Final = Plan(
    Amounts(30, 20, (50.0,), 0.4, 50, 10, 8), 10, 50, 20, 0.05, Amounts(20, 0, (50.0,), 0.2, 40, 10, 8)
)
SHORT: Final = Plan(Amounts(), 3_000, 10_000, 8_000, 2.0, Amounts(5_000, 0, (500.0,), 5.0))
FULL: Final = Plan(
    Amounts(40_000, 60_000, (250.0, 500.0, 1_000.0, 1_500.0, 2_000.0, 3_000.0), 20.0, 10_000, 1_000),
    10_000,
    40_000,
    60_000,
    5.0,
    Amounts(6_000, 0, (500.0,), 5.0),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write; 1 if something acknowledged is lost or double, 2 if it could not run."""
    chosen = _parser().parse_args(arguments)
    plan = TINY if chosen.tiny else FULL if chosen.full else SHORT
    try:
        made = run(chosen, plan)
    except DiskTooSmall as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    report.show(made, chosen.out, as_json=chosen.json)
    return int(bool(made.wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="longer, and with growth")
    parser.add_argument("--tiny", action="store_true", help="only to see that everything runs")
    parser.add_argument("--stores", default=f"{SQLITE},{POSTGRESQL}")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="web processes on PostgreSQL"
    )
    parser.add_argument("--growth", action="store_true", help="growth alone, and nothing of the rest")
    parser.add_argument("--sizes", default="", help="learners, ascending; with --full 10^4, 10^6 and 10^7")
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="for JSON, Markdown and plots")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


def run(chosen: argparse.Namespace, plan: Plan) -> Report:
    """Everything that was asked for.

    Raises:
        DiskTooSmall: the largest size does not fit.
    """
    words = [f"--{word}" for word in ("full", "tiny", "growth") if getattr(chosen, word)]
    words += [f"--sizes {chosen.sizes}"] if chosen.sizes else []
    stores = [store for store in (SQLITE, POSTGRESQL) if store in chosen.stores.split(",")]
    with places.place() as made:
        said = Report(
            limits.fsync_ms(made.directory),
            " ".join(["python -m benchmarks", *words]),
            part="growth" if chosen.growth else "run",
        )
        workers = _workers(chosen.workers, said)
        if not chosen.growth:
            said.figures.append(limits.endpoint(made, plan.bare, plan.ours.connections))
            said.figures += limits.verification(plan.seconds)
            for store in stores:
                _one_store(made, store, plan, workers if store == POSTGRESQL else 1, said)
        _grown(made, stores[-1], chosen, plan, workers, said)
    said.figures.sort(key=lambda one: ("limits", "usual", "ours", "growth").index(one.group))
    return said


def _grown(
    made: Place, store: str, chosen: argparse.Namespace, plan: Plan, workers: int, said: Report
) -> None:
    sizes = [int(size) for size in chosen.sizes.split(",") if size]
    if not sizes and (chosen.full or chosen.growth):
        sizes = list(growth.SIZES)
    if sizes:
        processes = workers if store == POSTGRESQL else 1
        figures, wrong = growth.measure(made, store, sizes, plan.grown, processes, os.cpu_count() or 1)
        said.figures += figures
        said.wrong += wrong


def _workers(wanted: int, said: Report) -> int:
    if wanted > 1 and not places.understood("serve", "--workers", "2"):
        said.notes.append("this version serves with one process: --workers was not passed")
        return 1
    return wanted


def _one_store(made: Place, store: str, plan: Plan, workers: int, said: Report) -> None:
    cores = os.cpu_count() or 1
    usual = instead.measure(made, store, plan.usual, plan.ours.connections, workers)
    figures, wrong, rows = ours.measure(made, store, plan.ours, workers, cores)
    imported, wrong_imported = importing.measure(made, store, plan.imported, cores)
    said.figures += [usual, limits.inserts(made, store, rows), *figures, *imported]
    said.wrong += [*wrong, *wrong_imported]
    callbacks = next(one for one in figures if one.name.startswith(ours.CALLBACKS))
    endpoint, _, verification = said.figures[:3]
    said.figures += [
        ratio("callbacks, of the bare endpoint", callbacks, endpoint, Goal("≥", 0.2)),
        ratio("callbacks, of what a user would write", callbacks, usual, Goal("≥", 8)),
        ratio("import, of bare verification on all cores", imported[0], verification, Goal("≥", 0.6)),
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    sys.exit(main(sys.argv[1:]))
