"""Versions of the keys for data at rest, as ``secrets status`` and ``doctor`` show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from verifier.app import now
from verifier.rotation import RotationDesk
from verifier.store.store import Store

_BOTH: Final = "old and new key are needed, and a backup of the secrets directory needs the new fields.json"
_NEXT: Final = "a version waits to be rotated to; back fields.json up first"


def line(said: Mapping[str, Any]) -> str:
    """One key's state in one line, from an answer of ``secrets status``."""
    if said["phase"] != "done":
        shown = f"{said['phase']} {said['from']} → {said['to']}, {said['done']}/{said['total']}"
        return f"轮换中，新旧密钥都要用，备份须含新的 fields.json · under way, {_BOTH}: {shown}"
    waiting = [version for version in said["configured"] if version > said["to"]]
    old = "、".join(map(str, said["removable"]))
    parts = [f"版本 {said['to']} 有效 · version {said['to']} is in force"]
    if waiting:
        parts.append(f"版本 {waiting[0]} 已备，尚未轮换，请先备份 fields.json · {_NEXT}: {waiting[0]}")
    if old:
        parts.append(
            f"库中已不用版本 {old}，旧备份仍要用 · nothing here needs version {old}, older backups do"
        )
    return "；".join(parts)


async def in_force(store: Store) -> dict[str, str]:
    """Each key's state in one line."""
    return {name: line(said) for name, said in (await RotationDesk(store, now).status({})).items()}
