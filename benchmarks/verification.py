"""Verifications per second of each kind of certificate, as a ratio to the bare library calls.

    python -m benchmarks.verification [--rounds N] [--only WORD] [--json]

Both sides are measured in the same run, turn by turn: what else the machine does falls on both. The figure is
the median of the rounds' ratios. 1.0 would mean that form, chain, claims and digest cost nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.bare import Call
from benchmarks.samples import Sample, samples

ROUNDS: Final = 41
TURN_SECONDS: Final = 0.02
"""How long one side runs before the other has its turn."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Attributes:
        per_second: verifications by this service, in the median round.
        bare_per_second: rounds of the bare calls.
        ratio: median over the rounds of the one by the other.
    """

    sample: Sample
    per_second: float
    bare_per_second: float
    ratio: float

    @property
    def missed(self) -> bool:
        """Whether the goal was not reached."""
        return self.sample.goal is not None and self.ratio < self.sample.goal

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.sample.name,
            "per_second": round(self.per_second),
            "bare_per_second": round(self.bare_per_second),
            "compared_with": self.sample.compared,
            "ratio": round(self.ratio, 3),
            "goal": self.sample.goal,
            "missed": self.missed,
        }


def measure(sample: Sample, rounds: int) -> Figure:
    """Both sides, turn by turn."""
    counts = [_count(sample.whole), _count(sample.bare)]
    wholes, bares, ratios = list[float](), list[float](), list[float]()
    for number in range(rounds):
        # Who begins changes, so that neither always runs on a machine that the other has warmed.
        sides = [(sample.whole, counts[0], wholes), (sample.bare, counts[1], bares)]
        for call, count, rates in sides if number % 2 else reversed(sides):
            rates.append(count / _seconds(call, count))
        ratios.append(wholes[-1] / bares[-1])
    return Figure(sample, median(wholes), median(bares), median(ratios))


def _count(call: Call) -> int:
    """How many calls fill a turn; the first calls also fill every cache."""
    count = 1
    while (seconds := _seconds(call, count)) < TURN_SECONDS / 2:
        count *= 2
    return max(1, round(count * TURN_SECONDS / seconds))


def _seconds(call: Call, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call()
    return perf_counter() - start


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("kind", "verifications/s", "bare calls/s", "compared with", "ratio", "goal")
    for one in figures:
        goal = "" if one.sample.goal is None else f"≥ {one.sample.goal:.2f}"
        table.add_row(
            one.sample.name,
            f"{one.per_second:,.0f}",
            f"{one.bare_per_second:,.0f}",
            one.sample.compared,
            f"{one.ratio:.2f}",
            f"{goal} missed" if one.missed else goal,
        )
    return table


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.verification", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = [measure(one, chosen.rounds) for one in samples() if chosen.only in one.name]
    console = Console(width=110)
    if chosen.json:
        console.print_json(json.dumps([one.members() for one in figures], ensure_ascii=False))
    else:
        console.print(_table(figures))
    return int(any(one.missed for one in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
