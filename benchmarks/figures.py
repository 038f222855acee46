"""What was measured, beside its goal: as a table, as JSON, and as Markdown that nobody types by hand."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rich.table import Table
from typing_extensions import override

from benchmarks.load import Outcome

Unit = Literal["/s", "s", "ratio", "MB", "µs", "B"]
_SHOWN: Final[Mapping[str, str]] = {
    "/s": "{:,.0f}/s",
    "s": "{:,.3f} s",
    "ratio": "{:,.2f} ×",
    "MB": "{:,.0f} MB",
    "µs": "{:,.0f} µs",
    "B": "{:,.0f} B",
}
_HOLDS: Final[Mapping[str, Callable[[float, float], bool]]] = {"≥": operator.ge, "≤": operator.le}
QUANTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a value should come to: at least, or at most."""

    least_or_most: Literal["≥", "≤"]
    value: float

    @override
    def __str__(self) -> str:
        return f"{self.least_or_most} {self.value:,g}"

    def reached(self, value: float) -> bool:
        """Whether a value reaches it."""
        return _HOLDS[self.least_or_most](value, self.value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row.

    Attributes:
        group: ``limits``, ``usual``, ``ours`` or ``growth``.
        name: what was measured, in words that are alike in every run.
        store: ``sqlite`` or ``postgresql``; empty where none takes part.
        value: in ``unit``; None where it was not measured, and ``note`` says why.
        latency_ms: by the name of the quantile.
        cpu_us: CPU time for one of what is counted: of all of the program's processes, and of the database
            server where there is one.
        memory_mb: the greatest resident memory of each of its processes so far, largest first.
        statuses: how often each HTTP status came.
        learners: how many the store held; 0 where it does not matter.
    """

    group: str
    name: str
    value: float | None
    unit: Unit = "/s"
    store: str = ""
    goal: Goal | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    cpu_us: tuple[float, ...] = ()
    memory_mb: tuple[float, ...] = ()
    statuses: Mapping[int, int] = field(default_factory=dict)
    learners: int = 0
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether there is a goal, and the value does not reach it."""
        return self.goal is not None and self.value is not None and not self.goal.reached(self.value)

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return "not measured" if self.value is None else _SHOWN[self.unit].format(self.value)

    @property
    def remark(self) -> str:
        """The goal and whether it was missed; the statuses where not all are 200; the note."""
        said = [] if self.goal is None else [f"{self.goal}{' missed' if self.missed else ''}"]
        if set(self.statuses) - {200}:
            said.append(", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items())))
        return "; ".join([*said, *filter(None, [self.note])])

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "store": self.store,
            "value": None if self.value is None else round(self.value, 4),
            "unit": self.unit,
            "goal": None if self.goal is None else str(self.goal),
            "missed": self.missed,
            "latency_ms": {name: round(value, 2) for name, value in self.latency_ms.items()},
            "cpu_us": [round(one, 1) for one in self.cpu_us],
            "memory_mb": [round(one) for one in self.memory_mb],
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "learners": self.learners,
            "note": self.note,
        }


def latencies(outcome: Outcome) -> dict[str, float]:
    """The quantiles of a run, in milliseconds."""
    return {name: outcome.latency(share) for name, share in QUANTILES}


def ratio(name: str, above: Figure, below: Figure, goal: Goal | None = None) -> Figure:
    """One value as a multiple of another; not measured where either was not."""
    found = None
    if above.value is not None and below.value:
        found = above.value / below.value
    note = "" if found is not None else "one of the two was not measured"
    return Figure(above.group, name, found, "ratio", above.store, goal, learners=above.learners, note=note)


_COLUMNS: Final = (
    "what",
    "store",
    "value",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs each",
    "peak MB",
    "goal",
)


def _cells(one: Figure) -> tuple[str, ...]:
    name = f"{one.name}, {one.learners:,} learners" if one.learners else one.name
    waits = [f"{one.latency_ms[q]:,.1f}" if q in one.latency_ms else "" for q, _ in QUANTILES]
    cpu = " + ".join(f"{each:,.0f}" for each in one.cpu_us)
    memory = " + ".join(f"{each:,.0f}" for each in one.memory_mb)
    return (name, one.store, one.shown, *waits, cpu, memory, one.remark)


def table(title: str, figures: Sequence[Figure]) -> Table:
    """For the terminal."""
    made = Table(*_COLUMNS, title=title, title_justify="left")
    group = figures[0].group if figures else ""
    for one in figures:
        if one.group != group:
            made.add_section()
            group = one.group
        made.add_row(*_cells(one))
    return made


def markdown(figures: Sequence[Figure]) -> str:
    """The same as Markdown, a table for each group."""
    parts = []
    for group in dict.fromkeys(one.group for one in figures):
        rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
        rows += [_cells(one) for one in figures if one.group == group]
        parts.append(f"**{group}**\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(parts) + "\n"
