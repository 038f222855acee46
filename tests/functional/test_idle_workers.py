"""A service that nobody calls does nothing but look now and then."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import eventually
from tests.functional.world import build
from verifier import evaluator, workers
from verifier.store.store import Store
from verifier.workers import Crew


@pytest.mark.untraced
async def test_an_evaluation_of_nothing_wakes_nobody(tmp_path: Path) -> None:
    world = await build(f"sqlite+aiosqlite:///{tmp_path / 'v.db'}", tmp_path)
    woken = asyncio.Event()
    store = Store(
        world.store.database,
        world.keys,
        clock=world.clock,
        randbytes=os.urandom,
        new_id=world.new_id,
        on_commit=woken.set,
    )
    # Woken by its own empty commit, it would evaluate again at once, for ever.
    assert not await evaluator.step(store, lambda: world.rulebook, clock=world.clock, new_id=world.new_id)
    assert not woken.is_set()
    await world.store.database.close()


async def test_what_is_written_wakes_only_those_who_may_have_to_work_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 3600.0)
    crew, steps = Crew(), Counter[str]()

    def counted(name: str) -> Callable[[], Coroutine[Any, Any, int]]:
        async def step() -> int:
            steps[name] += 1
            return 0

        return step

    async def began() -> bool:
        return len(steps) == 2

    async def woken() -> bool:
        return steps["heeds"] == 2

    crew.add("looks", counted("looks"), woken=False)
    crew.add("heeds", counted("heeds"))
    crew.start()
    await eventually(began, "each looked once")
    crew.wake()
    await eventually(woken, "one was woken")
    await crew.stop()
    assert steps["looks"] == 1
