from __future__ import annotations

import pytest

from tests.conftest import pytest_collection_modifyitems


def marked(request: pytest.FixtureRequest, program: str) -> pytest.Mark | None:
    """This test's own item, as it is collected with the mark: how it is skipped, if it is."""
    item = request.node
    assert isinstance(item, pytest.Item)
    item.add_marker(pytest.mark.needs_system(program))
    pytest_collection_modifyitems([item])
    return item.get_closest_marker("skip")


def test_a_test_whose_program_is_missing_is_skipped_by_its_own_name(request: pytest.FixtureRequest) -> None:
    skip = marked(request, "no-such-program-anywhere")
    assert skip is not None
    assert skip.kwargs["reason"] == (
        "tests/unit/test_needs_system.py::test_a_test_whose_program_is_missing_is_skipped_by_its_own_name"
        " needs no-such-program-anywhere, which is not installed"
    )


def test_a_test_whose_program_is_there_is_run(request: pytest.FixtureRequest) -> None:
    assert marked(request, "sh") is None


def test_a_test_that_needs_nothing_is_run(request: pytest.FixtureRequest) -> None:
    pytest_collection_modifyitems([request.node])
    assert request.node.get_closest_marker("skip") is None
