"""``verifier replay``, as an auditor calls it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.functional.test_replay import lived
from tests.functional.world import Installation, World, over
from verifier.cli import main


@pytest.fixture
def decisions(
    sqlite: str, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    async def live() -> list[str]:
        world: World = await over(sqlite, installation)
        try:
            return await lived(world)
        finally:
            await world.store.database.close()

    found = asyncio.run(live())
    monkeypatch.setenv("VERIFIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VERIFIER_DATABASE_URL", sqlite)
    monkeypatch.setenv("VERIFIER_SECRETS_DIR", str(installation.secrets_dir))
    return found


def alter(tmp_path: Path, statement: str) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "verifier.db")) as database:
        database.execute(statement)
        database.commit()


def test_a_replay_that_agrees_ends_with_0(decisions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", decisions[0]]) == 0
    assert "逐字节一致" in capsys.readouterr().out
    assert main(["replay", decisions[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_a_replay_that_differs_ends_with_1(
    decisions: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(tmp_path, "update decisions set trace = replace(trace, '652301', '652302')")
    assert main(["replay", decisions[-1]]) == 1
    assert "不一致" in capsys.readouterr().out


def test_a_replay_that_is_not_possible_any_more_ends_with_1_and_says_why(
    decisions: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(tmp_path, "update learners set sealed_key = null")
    assert main(["replay", decisions[0]]) == 1
    assert "erased" in capsys.readouterr().out


def test_an_unknown_decision_ends_with_2(decisions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", decisions[0] + "x"]) == 2
    assert "not_found" in capsys.readouterr().err
