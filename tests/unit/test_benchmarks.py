"""The benchmarks run: what they measure is accepted on both sides, and a missed goal is a failure."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from benchmarks import verification
from benchmarks.samples import Sample, samples
from benchmarks.verification import measure
from verifier.model.certificate import VerifiedCertificate

EVERY = cache(samples)


def test_every_kind_is_accepted_whole_and_its_bare_signatures_hold() -> None:
    for sample in EVERY():
        sample.bare()
        accepted = sample.whole()
        if sample.name.endswith("token"):
            assert isinstance(accepted, bytes)
            assert b"BM202100000001" in accepted
        elif not sample.name.startswith("XML"):
            assert isinstance(accepted, VerifiedCertificate)
            assert accepted.number == "BM202100000001"


def test_the_goals_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for sample in EVERY():
        goal = "" if sample.goal is None else f"≥ {sample.goal:.2f}"
        assert f"| {sample.name} | {sample.compared} | {goal} |" in page


def ticking(monkeypatch: pytest.MonkeyPatch, **slower: float) -> Sample:
    """A sample whose sides take the seconds that are given, by a clock that only they move."""
    now = {"time": 0.0}

    def side(name: str) -> None:
        now["time"] += slower[name]

    monkeypatch.setattr(verification, "perf_counter", lambda: now["time"])
    return Sample("made up", lambda: side("whole"), lambda: side("bare"), "nothing", 0.5)


def test_the_ratio_is_that_of_verifications_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = ticking(monkeypatch, whole=0.004, bare=0.001)
    figure = measure(sample, 3)
    assert figure.per_second == pytest.approx(250)
    assert figure.bare_per_second == pytest.approx(1000)
    assert figure.ratio == pytest.approx(0.25)
    assert figure.missed
    assert not replace(figure, sample=replace(sample, goal=None)).missed
    assert not replace(figure, ratio=0.5).missed


def test_the_median_of_the_rounds_counts_and_who_begins_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    turns = count()

    def seconds(call: object, number: int) -> float:
        side = "whole" if call is sample.whole else "bare"
        order.append(side)
        return number * (1.0 if side == "bare" else 1.0 + next(turns) % 5)

    sample = Sample("made up", lambda: None, lambda: None, "nothing", None)
    monkeypatch.setattr(verification, "_seconds", seconds)
    figure = measure(sample, 5)
    assert order[2:] == ["bare", "whole", "whole", "bare"] * 2 + ["bare", "whole"]
    assert figure.ratio == pytest.approx(1 / 3)


@pytest.mark.parametrize(("whole", "status"), [(0.001, 0), (0.004, 1)])
def test_the_exit_status_says_whether_a_goal_was_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: float, status: int
) -> None:
    sample = ticking(monkeypatch, whole=whole, bare=0.001)
    other = replace(sample, name="other", whole=lambda: None)
    monkeypatch.setattr(verification, "samples", lambda: (sample, other))
    assert verification.main(["--rounds", "1", "--only", "made up", "--json"]) == status
    [said] = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["ratio"], said["missed"]) == ("made up", 0.001 / whole, bool(status))
    assert verification.main(["--rounds", "1", "--only", "made up"]) == status
    assert ("missed" in capsys.readouterr().out) is bool(status)
