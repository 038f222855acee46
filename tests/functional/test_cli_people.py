"""Commands about people, as somebody types them: id numbers and statements come from standard input."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import environment
from tests.functional.world import FACTORY, Installation, over
from verifier.cli import main
from verifier.cli.simulator import person
from verifier.store.engine import Database
from verifier.store.schema import upgrade

pytestmark = pytest.mark.untraced

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


async def _granted(directory: Path, installation: Installation) -> None:
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    world = await over(url, installation)
    world.now = datetime.now(UTC)
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.settle()
    (directory / "checkpoint.txt").write_bytes(world.kept.note)
    await world.store.database.close()


@pytest.fixture
def granted(tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory in which LI has the month at FACTORY."""
    asyncio.run(_granted(tmp_path, installation))
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VERIFIER_OBJECTION_ANSWER_DAYS", "15")


@pytest.mark.usefixtures("granted")
def test_an_objection_is_typed_in_and_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*arguments: str, stdin: str = "") -> dict[str, Any]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        assert main([*arguments, "--json"]) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    seen = ("--purpose", "已核验身份证")
    opened = ask(
        "objection", "open", "--kind", "objection", "--topic", "month", *seen,
        stdin=f"{LI.id_number}\n第一行\n第二行\n",
    )  # fmt: skip
    assert opened["answer_term"] == "configured"
    assert ask("objection", "show", opened["number"])["text"] == "第一行\n第二行"
    ask("objection", "answer", opened["number"], "--outcome", "rejected", "--text", "不属实")
    found = ask("learner", "find", *seen, stdin=f"{LI.id_number}\n")
    assert found["group"] == [found["learner"]]
    shown = ask("learner", "show", *seen, stdin=f"{LI.id_number}\n")
    [completion] = [fact for fact in shown["facts"] if fact["kind"] == "completion"]
    moved = ask(
        "learner", "correct-id", completion["issuer"], "N-1", "--reason", "误载",
        stdin=f"{LI.id_number}\n{WANG.id_number}\n",
    )  # fmt: skip
    assert (moved["dry_run"], moved["would_change"]) == (True, 2)
    released = ask(
        "learner", "release", FACTORY, "--reason", "本人要求", *seen, "--apply", stdin=f"{LI.id_number}\n"
    )
    assert [(one["from"], one["to"]) for one in released["decisions"]] == [("granted", "refused")]


@pytest.mark.usefixtures("granted")
def test_a_dry_run_is_told_to_people_with_the_counts_before_each_decision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LI.id_number}\n"))
    command = ["learner", "contest", FACTORY, "--reason", "没有上过班", "--purpose", "已核验身份证"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == ["dry_run: True", "judged: 1", "would_change: 1"]
    assert lines[5] == "decisions:"
    assert '"from": "granted", "to": "pending"' in lines[6]
    assert LI.id_number not in "\n".join(lines)
