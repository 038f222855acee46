"""The benchmark of intake runs, and every callback in it comes to a grant."""

from __future__ import annotations

import json

import pytest

from benchmarks import intake

pytestmark = pytest.mark.untraced


def test_each_part_of_a_callback_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--callbacks", "4", "--warm", "4", "--groups", "2,4", "--stores", "http,sqlite", "--json"]
    assert intake.main(asked) == 0
    said = {one["kind"]: one for one in json.loads(capsys.readouterr().out)}
    assert {*said} == {
        "bare aiohttp handler",
        "answered over HTTP",
        "prepared",
        "recorded, groups of 2, sqlite",
        "recorded, groups of 4, sqlite",
    }
    assert all(one["own"] > 0 for one in said.values())
