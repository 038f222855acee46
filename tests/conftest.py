"""What holds for every test: nothing is judged by the time it takes, since machines are shared."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.load_profile("here")


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
