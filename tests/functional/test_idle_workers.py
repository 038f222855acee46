"""A service that nobody calls does nothing but look now and then."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.functional.world import build
from verifier import evaluator
from verifier.store.store import Store


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
