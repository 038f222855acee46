"""What holds for every test: nothing is judged by the time it takes, since machines are shared."""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections.abc import Iterator
from typing import Final

import coverage
import pytest
from coverage.collector import Collector
from coverage.types import TTraceFn
from hypothesis import HealthCheck, settings

settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.load_profile("here")


GREENLET_THREADS: Final = frozenset({"database", "writer", "workers"})
"""Threads in which transactions run: greenlets that change places between two statements."""


def pytest_configure() -> None:
    """Make ready what every test process takes over."""
    # Else each process that a test starts compiles every module anew, which is a third of its start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    _ask_for_greenlets_where_there_are_any()


def _ask_for_greenlets_where_there_are_any() -> None:
    """Have coverage ask in which greenlet it is only where there are any: that is half of what it costs."""
    begin = Collector._start_tracer

    def begun(collector: Collector) -> TTraceFn | None:
        function = begin(collector)
        if threading.current_thread().name not in GREENLET_THREADS:
            for tracer in collector.tracers[-1:]:
                tracer.concur_id_func = None  # type: ignore[attr-defined] # of the one that is written in C
        return function

    Collector._start_tracer = begun  # type: ignore[assignment,method-assign] # there is no setting for it


@pytest.hookimpl(trylast=True)
def pytest_sessionstart() -> None:
    """Leave one tracer in a process of pytest-xdist, so that nothing is traced while that one is stopped.

    Three begin there on top of one another: as in any process that is started, as in a session without
    others, and the one whose data is used. Where the uppermost stops, the one below goes on.
    """
    used = coverage.Coverage.current()
    if used is None:
        return
    while (uppermost := coverage.Coverage.current()) is not None:
        uppermost.stop()
    used.start()


def pytest_collection_finish() -> None:
    """Look for garbage in cycles as seldom as a service does, and never among the tests collected."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what ``needs_system`` marks and this machine lacks, with the test's own name in the reason.

    So the summary of ``make test`` (``-rs``) names every test that was not run.
    """
    for item in items:
        for mark in item.iter_markers("needs_system"):
            (program,) = mark.args
            if shutil.which(program) is None:
                reason = f"{item.nodeid} needs {program}, which is not installed"
                item.add_marker(pytest.mark.skip(reason=reason))


def _traced(item: pytest.Item) -> bool:
    if item.get_closest_marker("untraced") is not None:
        return False
    # PostgreSQL runs the same lines as SQLite (law 12): one of the two is enough to tell which ones.
    variant = getattr(item, "callspec", None)
    return variant is None or variant.params.get("url") != "postgresql"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test without the coverage tracer, which doubles its time, where another one runs the same lines.

    The gate asks for no less because of it: a line that only such a test runs counts as not run.
    """
    tracer = None if _traced(item) else coverage.Coverage.current()
    if tracer is None:
        return (yield)
    tracer.stop()
    # Processes that the test starts would trace themselves.
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    try:
        return (yield)
    finally:
        os.environ.update(hidden)
        tracer.start()
