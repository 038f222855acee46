"""Signals in the running service and on the command line: found by itself, counted, and never in the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional import process
from tests.functional.process import environment, eventually, running
from tests.functional.test_signals import LI, Desk, suspicious
from tests.functional.world import WORKSHOP, Installation, over
from verifier.cli import main, operating
from verifier.signalling import SignalWorker
from verifier.store.engine import Database
from verifier.store.schema import upgrade

pytestmark = pytest.mark.untraced


async def happened(directory: Path, installation: Installation, *, looked_at: bool) -> None:
    """Suspicious facts, decided and issued."""
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    world = await over(url, installation)
    await suspicious(world)
    await world.settle()
    if looked_at:
        await Desk(world).look()
        await world.settle()
    (directory / "checkpoint.txt").write_bytes(world.kept.note)
    await world.store.database.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def text(session: aiohttp.ClientSession, address: str) -> tuple[int, str]:
    async with session.get(address) as answer:
        return answer.status, await answer.text()


async def test_a_service_finds_and_counts_signals_by_itself(
    tmp_path: Path, installation: Installation, session: aiohttp.ClientSession
) -> None:
    await happened(tmp_path, installation, looked_at=False)
    made = process.settings(tmp_path, installation)
    async with running(made) as (_service, address):

        async def counted() -> bool:
            _, metrics = await text(session, f"{address}/metrics")
            return 'signals{kind="two_employers",state="open"} 1.0' in metrics

        await eventually(counted, "the signal is counted")
        _, metrics = await text(session, f"{address}/metrics")
        assert LI.name not in metrics
        assert WORKSHOP not in metrics
        status, answer = await operating.ask(made, "signals list", {"kind": "two_employers"})
        assert (status, [one["kind"] for one in answer["signals"]]) == (0, ["two_employers"])


async def test_a_worker_that_breaks_leaves_the_service_ready(
    tmp_path: Path,
    installation: Installation,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = asyncio.Event()

    async def step(_worker: SignalWorker) -> int:
        broken.set()
        raise RuntimeError

    monkeypatch.setattr(SignalWorker, "step", step)
    async with running(process.settings(tmp_path, installation)) as (service, address):

        async def stopped() -> bool:
            return broken.is_set()

        await eventually(stopped, "the worker broke")
        assert (await text(session, f"{address}/readyz"))[0] == 200
        assert service.crew.failed() == []


def test_the_command_line_lists_shows_and_closes(
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        status = main([*arguments, "--json"])
        shown = capsys.readouterr()
        return status, json.loads(shown.err if status else shown.out)

    asyncio.run(happened(tmp_path, installation, looked_at=True))
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    status, answer = run("signals", "list", "--uscc", WORKSHOP)
    by_kind = {one["kind"]: one["signal"] for one in answer["signals"]}
    assert (status, set(by_kind)) == (0, {"outside_employment", "two_employers"})
    signal = by_kind["two_employers"]
    status, shown = run("signals", "show", signal)
    assert (status, {fact["name"] for fact in shown["facts"]}) == (0, {LI.name})
    closing = ("signals", "close", signal, "--outcome", "followed", "--reason", "已核实")
    assert run(*closing) == (0, {"signal": signal, "outcome": "followed"})
    assert run(*closing)[1]["code"] == "review_state_refused"
    assert run("signals", "list", "--kind", "two_employers") == (0, {"signals": []})
    status, everything = run("signals", "list", "--kind", "two_employers", "--all")
    assert [one["outcome"] for one in everything["signals"]] == ["followed"]
    assert main(["signals", "list"]) == 0
    assert "同一时间在两个平台学习" in capsys.readouterr().out
