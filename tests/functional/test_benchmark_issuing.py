"""The benchmark of the issuer runs, and a goal that was missed is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import issuing
from benchmarks.issuing import Figure

pytestmark = pytest.mark.untraced

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_every_figure_is_measured_and_stands_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    issuing.main(["--records", "12", "--samples", "3", "--rounds", "1", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert len(said) == 12
    assert all(one["value"] > 0 for one in said)
    for one in said:
        goal = "" if one["goal"] is None else f"{'≤' if one['unit'] == 's' else '≥'} {one['goal']:,g}"
        assert f"| {one['kind']} | {goal} |" in PAGE
    parts = {one["kind"].split()[-1]: set(one["microseconds"]) for one in said if "appended" in one["kind"]}
    program = {"read", "sign", "store"}
    assert parts == {"SQLite": program, "PostgreSQL": program | {"server"}}


def test_one_figure_alone_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    status = issuing.main(["--samples", "3", "--only", "p50", "--store", "sqlite"])
    shown = capsys.readouterr().out
    assert status == 0
    assert "commit to feed, SQLite, p50" in shown
    assert "records" not in shown


@pytest.mark.parametrize(
    ("figure", "missed", "status"),
    [
        (Figure("a", 5, goal=6), True, 1),
        (Figure("a", 6, goal=6), False, 0),
        (Figure("a", 5, goal=6, reachable=False), True, 0),
        (Figure("a", 5), False, 0),
        (Figure("a", 1.5, unit="s", goal=1), True, 1),
        (Figure("a", 1.0, unit="s", goal=1), False, 0),
    ],
)
def test_the_exit_status_says_whether_a_goal_within_reach_was_missed(
    figure: Figure,
    missed: bool,  # noqa: FBT001 - a table's column
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(issuing, "measured", lambda _: [figure])
    assert figure.missed is missed
    assert issuing.main([]) == status
    assert ("missed" in capsys.readouterr().out) is missed
