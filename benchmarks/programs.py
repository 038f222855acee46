"""Programs in processes of their own: started, looked at, ended with everything that they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verifier.settings import PREFIX

ROOT: Final = Path(__file__).parents[1]
PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _stats() -> Iterator[tuple[Path, list[str]]]:
    """Every process there is: where it stands, and its ``stat`` from the state on."""
    for entry in Path("/proc").iterdir():
        try:
            yield entry, (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue


def _cpu_seconds(stat: Sequence[str]) -> float:
    return (int(stat[11]) + int(stat[12])) / _TICKS


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds so far of a program, and of the database server that works for it."""

    program: float
    server: float = 0.0

    def __sub__(self, before: Cpu) -> Cpu:
        """What was spent since."""
        return Cpu(self.program - before.program, self.server - before.server)

    def each(self, count: int) -> tuple[float, ...]:
        """Microseconds for one of so many: of the program, and of the server if there is one."""
        return tuple(part / count * 1e6 for part in (self.program, self.server) if part)


@dataclass(frozen=True, slots=True)
class Running:
    """A program in a session of its own, with every process that it started.

    Attributes:
        server: process id of the database server that it uses; 0 for none.
    """

    pid: int
    port: int
    server: int = 0

    def cpu(self) -> Cpu:
        """CPU time of all its processes so far, and of all that the server's ever took."""
        program = server = 0.0
        for entry, stat in _stats():
            if stat[3] == str(self.pid):  # the session
                program += _cpu_seconds(stat)
            elif self.server and stat[1] == str(self.server):
                server += _cpu_seconds(stat)
            elif self.server and entry.name == str(self.server):
                # Those that ended count among what their parent waited for.
                server += _cpu_seconds(stat) + _cpu_seconds(stat[2:])
        return Cpu(program, server)

    def peaks_mb(self) -> tuple[float, ...]:
        """The greatest resident memory that each of its processes had so far, MB, largest first."""
        return tuple(sorted(self.peaks().values(), reverse=True))

    def peaks(self) -> dict[str, float]:
        """The same by process id."""
        found = {}
        for entry, stat in _stats():
            if stat[3] != str(self.pid):
                continue
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "VmHWM" in fields:
                found[entry.name] = int(fields["VmHWM"].split()[0]) * 1024 / 1e6
        return found


def _inherited() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {"PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    arguments: Sequence[str],
    port: int,
    log: Path,
    variables: Mapping[str, str] | None = None,
    server: int = 0,
) -> Iterator[Running]:
    """A program that listens on a port; ended with everything it started."""
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603 - programs of this project
            [sys.executable, *arguments],
            cwd=log.parent,
            env=_inherited() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, started, log)
        yield Running(started.pid, port, server)
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(PATIENCE_SECONDS)
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


def _wait_for(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"it does not listen; it said:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended by itself.

    Attributes:
        said: what it printed.
        peaks_mb: as ``Running.peaks_mb``, as far as it was seen.
    """

    status: int
    said: str
    seconds: float
    cpu_seconds: float
    peaks_mb: tuple[float, ...]


def watched(arguments: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end, and look at its processes meanwhile."""
    children = os.times()
    with log.open("wb") as output:
        begun = time.perf_counter()
        started = subprocess.Popen(  # noqa: S603 - programs of this project
            [sys.executable, *arguments],
            env=_inherited() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        program, peaks = Running(started.pid, 0), dict[str, float]()
        while started.poll() is None:
            peaks |= program.peaks()  # a process's peak never sinks
            time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - begun
    after = os.times()
    cpu = after.children_user + after.children_system - children.children_user - children.children_system
    return Ended(
        started.returncode, log.read_text(), seconds, cpu, tuple(sorted(peaks.values(), reverse=True))
    )
