"""The plots of a run, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks import instead, limits, ours
from benchmarks.figures import QUANTILES, Figure

_BESIDE: Final = (limits.ENDPOINT, limits.INSERTS, instead.NAME, ours.CALLBACKS, "completions in batches")
_INCHES: Final = (9, 4.5)


def draw(figures: Sequence[Figure], directory: Path) -> list[Path]:
    """Draw what there are figures for.

    Returns:
        The files.
    """
    mpl.use("Agg")
    directory.mkdir(parents=True, exist_ok=True)
    drawn = {
        "rates.png": _rates([one for one in figures if not one.learners]),
        "latency.png": _latency([one for one in figures if not one.learners]),
        "growth.png": _growth([one for one in figures if one.learners]),
    }
    files = []
    for name, canvas in drawn.items():
        if canvas is not None:
            canvas.savefig(directory / name, dpi=110, metadata={"Software": None})
            files.append(directory / name)
    return files


def _rates(figures: Sequence[Figure]) -> Canvas | None:
    """Callbacks beside their limits and what a user would write."""
    rows = [
        (f"{one.name}{f' [{one.store}]' if one.store else ''}", one.value)
        for word in _BESIDE
        for one in figures
        if one.name.startswith(word) and one.unit == "/s" and one.value
    ]
    if not rows:
        return None
    canvas = Canvas(figsize=(_INCHES[0], 1 + 0.45 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    bars = axes.barh([name for name, _ in rows], [value for _, value in rows], color="#4477aa")
    axes.bar_label(bars, labels=[f" {value:,.0f}" for _, value in rows])
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("per second (logarithmic)")
    axes.set_xlim(1, 4 * max(value for _, value in rows))
    return canvas


def _latency(figures: Sequence[Figure]) -> Canvas | None:
    """Latencies of requests that were due at fixed rates."""
    canvas = Canvas(figsize=_INCHES, layout="constrained")
    axes = canvas.subplots()
    for store in dict.fromkeys(one.store for one in figures):
        due = [
            one for one in figures if one.store == store and one.name.endswith("/s due") and one.latency_ms
        ]
        rates = [float(one.name.split()[1].removesuffix("/s").replace(",", "")) for one in due]
        for (quantile, _), line in zip(QUANTILES, (":", "--", "-"), strict=True):
            if due:
                waits = [one.latency_ms[quantile] for one in due]
                axes.plot(rates, waits, line, marker="o", label=f"{store} {quantile}")
    if not axes.lines:
        return None
    axes.axhline(100, color="grey", linewidth=0.8)
    axes.set(xlabel="callbacks due per second", ylabel="ms from the due moment", yscale="log", ylim=(1, None))
    axes.legend()
    return canvas


def _growth(figures: Sequence[Figure]) -> Canvas | None:
    """Callbacks, status and feed over the number of learners."""
    series = (
        ("callbacks per second", ours.CALLBACKS),
        ("seconds for one status question", "status of"),
        ("records pulled per second", "records pulled as NDJSON by an auditor"),
    )
    if len({one.learners for one in figures}) < 2:  # noqa: PLR2004 - a line needs two points
        return None
    canvas = Canvas(figsize=(_INCHES[0] * 1.3, _INCHES[1]), layout="constrained")
    for axes, (label, word) in zip(canvas.subplots(1, len(series)), series, strict=True):
        points = [(one.learners, one.value) for one in figures if one.name.startswith(word) and one.value]
        axes.plot([at for at, _ in points], [value for _, value in points], marker="o", color="#4477aa")
        axes.set(xlabel="learners", ylabel=label, xscale="log", ylim=(0, None))
    return canvas
