"""The benchmark of intake runs, and every callback in it comes to a grant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import intake

pytestmark = pytest.mark.untraced


def test_each_part_of_a_callback_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- parts -->\nold\n<!-- /parts -->\nafter\n")
    asked = ["--callbacks", "4", "--warm", "4", "--groups", "2,4", "--stores", "http,sqlite", "--json"]
    asked += ["--page", str(page)]
    assert intake.main(asked) == 0
    said = {one["kind"]: one for one in json.loads(capsys.readouterr().out)}
    assert {*said} == {
        "bare ES256 verification",
        "bare ES256 signature",
        "bare aiohttp handler",
        "answered over HTTP",
        "prepared",
        "recorded, groups of 2, sqlite",
        "recorded, groups of 4, sqlite",
        "issued, sqlite",
        "looked at for signals, sqlite",
    }
    assert all(one["own"] > 0 for one in said.values())
    written = page.read_text()
    assert all(f"| {name} | " in written for name in said)
    assert "old" not in written
