"""What a run leaves behind: a table on the terminal, JSON, Markdown, plots."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import plots
from benchmarks.figures import Figure, markdown, table
from benchmarks.places import SERVER

WIDTH = 200


def machine() -> dict[str, str]:
    """What the figures depend on, without naming the machine."""
    cpu = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cores": str(os.cpu_count()),
        "cpu": cpu[0] if cpu else platform.machine(),
        "memory": f"{memory[0] / 2**20:.1f} GiB" if memory else "",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "postgresql": ", ".join(f"{name} {value}" for name, value in SERVER.items()),
        **{name: version(name) for name in ("aiohttp", "cryptography", "sqlalchemy", "asyncpg", "fastapi")},
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def fill_in(page: Path, name: str, content: str) -> bool:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->`` on a page, if it has both."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if begin not in text or end not in text:
        return False
    before, _, rest = text.partition(begin)
    page.write_text(f"{before}{begin}\n{content.strip()}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    return True


@dataclass(slots=True)
class Report:
    """Everything of one run.

    Attributes:
        fsync_ms: how long a small durable write takes, by quantile.
        wrong: what is lost or double; empty if nothing is.
        notes: what the run did not do as it should, such as a part that this version lacks.
        part: what it is called on the page: ``run``, or ``growth`` where that was measured alone.
    """

    fsync_ms: Mapping[str, float]
    command: str
    machine: Mapping[str, str] = field(default_factory=machine)
    figures: list[Figure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    part: str = "run"

    @property
    def missed(self) -> list[Figure]:
        """Goals that were not reached."""
        return [one for one in self.figures if one.missed]

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "command": self.command,
            "date": date.today().isoformat(),  # noqa: DTZ011 - the day where it ran
            "machine": dict(self.machine),
            "fsync_ms": {name: round(value, 3) for name, value in self.fsync_ms.items()},
            "figures": [one.members() for one in self.figures],
            "wrong": self.wrong,
            "notes": self.notes,
        }

    def _summary(self) -> list[str]:
        durable = ", ".join(f"{name} {value:.2f} ms" for name, value in self.fsync_ms.items())
        said = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        checked = "; ".join(self.wrong) or "every acknowledged delivery and certificate is there exactly once"
        return [said, f"one durable write of 4 KiB: {durable}", f"books kept outside: {checked}", *self.notes]

    def show(self, console: Console) -> None:
        """Print the table."""
        console.print(table(self.command, self.figures))
        for line in self._summary():
            console.print(line, markup=False)
        console.print(
            f"goals missed: {len(self.missed)} of {sum(one.goal is not None for one in self.figures)}"
        )

    def write(self, directory: Path) -> list[Path]:
        """Write ``bench.json``, ``tables.md`` and the plots; and all of it into the page of the same name.

        Of growth alone the names begin with ``growth``. A directory ``performance`` has the page
        ``performance.md`` beside it, if there is one.
        """
        directory.mkdir(parents=True, exist_ok=True)
        alone = "growth-" if self.part == "growth" else ""
        said, tables = directory / f"{alone}bench.json", directory / f"{alone}tables.md"
        page = directory.with_suffix(".md")
        said.write_text(json.dumps(self.members(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        drawn = plots.draw(self.figures, directory)
        tables.write_text(self._markdown(), encoding="utf-8")
        shown = "\n\n".join(f"![{path.stem}]({directory.name}/{path.name})" for path in drawn)
        filled = [page] if fill_in(page, self.part, f"{self._markdown()}\n{shown}") else []
        return [said, tables, *drawn, *filled]

    def _markdown(self) -> str:
        lines = [f"`{self.command}`, {date.today().isoformat()}", ""]  # noqa: DTZ011 - as above
        lines += [f"- {line}" for line in self._summary()]
        return "\n".join(lines) + "\n\n" + markdown(self.figures)


def show(report: Report, directory: Path, *, as_json: bool) -> Sequence[Path]:
    """Print and write it."""
    files = report.write(directory)
    if as_json:
        print(json.dumps(report.members(), ensure_ascii=False))  # noqa: T201 - its output
    else:
        console = Console(width=WIDTH)
        report.show(console)
        for path in files:
            console.print(f"written: {path}", markup=False)
    return files
