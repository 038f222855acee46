"""What would come of an adoption: tried on everybody, beside a running service, and written nowhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from verifier import adopted, adoption
from verifier.adoption import Change
from verifier.app import now
from verifier.cli.checking import stored
from verifier.keyring import Register
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.settings import Settings
from verifier.sources import policy_files, read_policy, read_register, secrets_of
from verifier.store.engine import Database
from verifier.store.store import Store

SHOWN: Final = 20
"""Changed decisions that people are shown; ``--json`` has them all."""

Propose = Callable[[Rulebook], Rulebook]


async def tried(
    settings: Settings, propose: Propose, *, register: Register | None = None, against: Propose | None = None
) -> dict[str, Any]:
    """What a rulebook would change.

    Args:
        settings: of the installation.
        propose: the rulebook to try, from the one in force.
        register: what counts where no register was adopted yet; None reads the file.
        against: the rulebook to compare with, in place of the recorded decisions.

    Returns:
        Counts first, then each decision that would be followed by one that comes to something else.
    """
    people, found = 0, list[Change]()
    if await is_there(settings):
        async with stored(settings) as store:
            rulebook = Rulebook(
                await policies_in_force(settings, store), await _register(settings, store, register)
            )
            other = against(rulebook) if against is not None else None
            async for part in adoption.preview(store, propose(rulebook), now, other):
                people += part.people
                found += part.changes
                _progress(people)
    listed = [change for change in found if not change.same]
    counts = Counter(f"{change.before or 'none'} -> {change.after}" for change in listed)
    return {
        "judged": people,
        "would_change": len(listed),
        "changes": dict(sorted(counts.items())),
        "anew": len(found) - len(listed),
        "decisions": [_said(change) for change in listed],
    }


def _said(change: Change) -> dict[str, Any]:
    return {
        "decision": change.decision_id,
        "learner": change.learner_id,
        "entitlement": change.entitlement,
        "from": change.before.value if change.before else None,
        "to": change.after.value,
    }


async def is_there(settings: Settings) -> bool:
    """Whether there is a database yet."""
    database = Database(settings.database_url, read_only=True)
    await database.close()
    return database.file is None or database.file.is_file()


async def policies_in_force(settings: Settings, store: Store) -> tuple[Policy, ...]:
    """Each policy that the settings name, as it was adopted or, if it never was, as its file says."""
    adoptions = await store.previewing(lambda tx: tx.adoptions("policy"))
    chosen = []
    for policy, _ in map(read_policy, policy_files(settings)):
        found = adopted.newest_policy(adoptions, policy.entitlement)
        chosen.append(policy if found is None else load(found.content.encode()))
    return tuple(chosen)


async def _register(settings: Settings, store: Store, otherwise: Register | None) -> Register:
    newest = await store.previewing(lambda tx: tx.newest_adoption("register"))
    if newest is not None:
        return adopted.packed_register(newest[1], secrets_of(settings))
    return otherwise or read_register(settings)[0]


def _progress(people: int) -> None:
    if sys.stderr.isatty():
        print(f"\r试算 · tried on {people}", end="", file=sys.stderr, flush=True)


def show_tried(found: dict[str, Any]) -> None:
    """Print what would change."""
    if sys.stderr.isatty() and found["judged"]:
        print(file=sys.stderr)
    print(f"试算 · dry run: {found['judged']} 人 · people")
    print(f"将改变的决定 · decisions that would change: {found['would_change']}")
    for change, count in found["changes"].items():
        print(f"  {change}: {count}")
    if found["anew"]:
        print(f"结论不变、将按新依据重新出具 · the same, but taken anew: {found['anew']}")
    for one in found["decisions"][:SHOWN]:
        print(f"  {one['decision'] or '-'}  {one['learner']}  {one['from'] or 'none'} -> {one['to']}")
    if found["would_change"] > SHOWN:
        print("  … 其余见 --json · the rest with --json")
