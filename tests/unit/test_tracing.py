"""A test that is not to be traced is not: under pytest-xdist several tracers begin, one on top of another."""

from __future__ import annotations

import os
import threading

import coverage
import pytest


@pytest.mark.untraced
def test_no_tracer_is_at_work_where_a_test_is_not_to_be_traced() -> None:
    assert coverage.Coverage.current() is None
    assert threading.gettrace() is None
    assert not [name for name in os.environ if name.startswith("COVERAGE_")]


def test_any_other_is_traced_where_coverage_was_asked_for(request: pytest.FixtureRequest) -> None:
    asked = request.config.pluginmanager.hasplugin("_cov")
    assert (coverage.Coverage.current() is not None) == asked
