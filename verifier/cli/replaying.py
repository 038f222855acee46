"""``replay``: takes a recorded decision again from what it stood on, and compares the bytes."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from verifier import replay as replays
from verifier.cli.checking import stored
from verifier.settings import Settings


async def replay(settings: Settings, arguments: argparse.Namespace) -> int:
    """Replay one decision; 1 if the bytes differ or it can no longer be replayed."""
    async with stored(settings) as store:
        result = await store.replaying(lambda tx: replays.replay(tx, arguments.id))
    if arguments.json:
        print(json.dumps(asdict(result), ensure_ascii=False))
    elif result.same is None:
        print(f"无法复算 · cannot be replayed: {result.why_not}")
    else:
        verdict = "逐字节一致 · the same, byte for byte" if result.same else "不一致 · NOT the same"
        print(f"{result.decision_id}: {verdict}\nstored   {result.stored}\ncomputed {result.computed}")
    return 0 if result.same else 1
