"""The demonstration: the whole main job, for real, and whether it would notice if something were amiss."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from verifier import certificates, identity, offline
from verifier.cli import demo, main, scenario, scenario_stage
from verifier.cli.scenario import DISPATCHER, ENTERPRISES, ROWS, STRANGERS, WORKERS, Row
from verifier.cli.scenario_acts import ACTS
from verifier.cli.scenario_print import wrapped
from verifier.cli.scenario_proof import Proof
from verifier.cli.scenario_stage import Stage
from verifier.errors import Code, ConfigurationError, IdentityRejected, LedgerRefused
from verifier.store.engine import FileLock

FIRST = ROWS[0]


def row(key: str) -> Row:
    return next(one for one in ROWS if one.key == key)


def command(directory: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "verifier", "demo", "--directory", str(directory), *more]


async def test_every_outcome_is_the_expected_one_and_no_id_number_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await demo.run(tmp_path / "d", once=True, port=0) == 0
    shown = capsys.readouterr().out
    assert f"{len(ROWS)}/{len(ROWS)} 与预期相符" in shown
    assert "✗ 在政策执行期内" in shown  # the explained decision, clause by clause
    assert "15/15 · inclusion proofs" in shown
    assert "0 处不一致" in shown
    assert "999901********" in shown
    people = [worker.person for worker in WORKERS.values()]
    assert not [one.name for one in people if one.id_number in shown or one.id_number[6:14] in shown]
    assert max(map(len, shown.splitlines())) <= 100


def test_each_row_has_an_act_and_each_act_a_row() -> None:
    assert [one.key for one in ROWS] == list(ACTS)


def test_codes_and_ids_are_valid_and_nobodys() -> None:
    for enterprise in (*ENTERPRISES.values(), DISPATCHER):
        assert identity.uscc(enterprise.uscc)[2:8] == "999901"
    people = [*(worker.person for worker in WORKERS.values()), *STRANGERS]
    assert all(re.fullmatch(r"9999\d{13}[\dX]", one.id_number) for one in people)
    assert len({one.id_number for one in people}) == len(people)


@pytest.mark.untraced
async def test_one_other_expectation_and_the_exit_status_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = replace(FIRST, expected=FIRST.expected.replace("2021-03", "2021-04"))
    monkeypatch.setattr(scenario, "ROWS", (changed, row("redelivered")))
    assert await demo.run(tmp_path / "d", once=True, port=0) == 1
    assert "1/2 与预期相符" in capsys.readouterr().out


@pytest.mark.untraced
async def test_a_service_that_takes_any_signature_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certificates, "_check_signature", lambda *_: None)
    monkeypatch.setattr(scenario, "ROWS", (FIRST, row("tampered")))
    assert await demo.run(tmp_path / "d", once=True, port=0) == 1
    assert "1/2 与预期相符" in capsys.readouterr().out


@pytest.mark.untraced
async def test_a_record_that_cannot_be_proven_makes_the_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise LedgerRefused(Code.RECORD_INVALID, "the entry does not commit to this record")

    monkeypatch.setattr(offline, "check_inclusion", refuse)
    monkeypatch.setattr(scenario, "ROWS", (FIRST,))
    assert await demo.run(tmp_path / "d", once=True, port=0) == 1
    shown = capsys.readouterr().out
    assert "1/1 与预期相符" in shown
    assert "the entry does not commit to this record" in shown


async def test_an_answer_of_another_form_fails_its_row_and_no_record_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(_: Stage) -> str:
        raise KeyError

    monkeypatch.setattr(demo, "ACTS", {FIRST.key: lost})
    monkeypatch.setattr(scenario, "ROWS", (FIRST,))
    assert await demo.run(tmp_path / "d", once=True, port=0) == 1
    shown = capsys.readouterr().out
    assert "中断：KeyError" in shown
    assert "✗ 核验未通过" in shown


@pytest.mark.parametrize(
    "changes",
    [{"included": 1}, {"records": 0}, {"failures": ("1: status",)}, {"audited": 8}, {"disclosed": 1}],
)
def test_a_proof_that_lacks_anything_is_not_good(changes: dict[str, int]) -> None:
    whole = Proof(entries=9, records=2, included=2, audited=9)
    whole.statuses.update({"valid": 2})
    assert whole.good
    assert not replace(whole, **changes).good  # type: ignore[arg-type] # members of Proof


async def test_what_never_happens_is_not_waited_for_longer_than_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scenario_stage, "PATIENCE", 0.05)
    seen = iter(range(10_000))

    async def look() -> int:
        return next(seen)

    assert await scenario_stage.until(look, lambda found: found < 0) > 0


def test_a_directory_that_is_not_a_demonstrations_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("保留")
    for directory in (tmp_path, precious):
        with pytest.raises(ConfigurationError) as refused:
            asyncio.run(demo.run(directory, once=True, port=0))
        assert refused.value.code is Code.CONFIGURATION_INVALID
    assert [found.name for found in tmp_path.iterdir()] == ["precious"]
    assert precious.read_text() == "保留"


def test_a_demonstration_that_runs_is_not_emptied_under_its_feet(tmp_path: Path) -> None:
    (tmp_path / demo.MARKER).touch()
    (tmp_path / "verifier.db").touch()
    lock = FileLock(tmp_path / demo.MARKER)
    try:
        assert main(["demo", "--once", "--directory", str(tmp_path)]) == 2
    finally:
        lock.close()
    assert (tmp_path / "verifier.db").exists()


def test_what_an_earlier_one_left_is_deleted_but_not_what_a_link_points_to(tmp_path: Path) -> None:
    elsewhere, directory = tmp_path / "elsewhere", tmp_path / "d"
    for folder in (elsewhere, directory / "secrets"):
        folder.mkdir(parents=True)
    for file in (elsewhere / "kept", directory / demo.MARKER, directory / "secrets" / "record.pem"):
        file.touch()
    (directory / "link").symlink_to(elsewhere)
    with demo._emptied(directory):
        assert [found.name for found in directory.iterdir()] == [demo.MARKER]
    assert (elsewhere / "kept").exists()


@pytest.mark.untraced
def test_as_a_command_it_ends_by_itself_with_once(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "d", "--once"), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ 全部核验通过" in done.stdout


@pytest.mark.untraced
async def test_it_stays_up_until_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenario, "ROWS", (FIRST,))
    running = asyncio.create_task(demo.run(tmp_path / "d", once=False, port=0))
    shown = ""
    while "/openapi.json" not in shown:
        assert not running.done()
        await asyncio.sleep(0.02)
        shown += capsys.readouterr().out
    address = next(line for line in shown.splitlines() if line.endswith("/openapi.json"))
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 20) == 0


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("结业（张三）", 8, ["结业（张", "三）"]),
        ("结业日期（2022-01-01）内。", 14, ["结业日期", "（2022-01-01）", "内。"]),
        ("409 already_claimed", 10, ["409", "already_claimed"]),
        ("甲\n乙", 10, ["甲", "乙"]),
    ],
)
def test_lines_break_as_chinese_is_set(text: str, width: int, lines: list[str]) -> None:
    assert [line.strip() for line in wrapped(text, width).split("\n")] == lines


def test_a_code_with_a_wrong_check_character_would_be_noticed() -> None:
    code = DISPATCHER.uscc
    with pytest.raises(IdentityRejected):
        identity.uscc(code[:-1] + ("0" if code[-1] != "0" else "1"))
