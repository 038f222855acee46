"""A change of the register's source form: what it would do, and the writing of it."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from verifier import adoption, kept, keyfiles
from verifier.adoption import Change
from verifier.app import now
from verifier.cli.checking import stored
from verifier.errors import Code, ConfigurationError
from verifier.keyring import PUBLIC, SOURCE, Register
from verifier.keyring.editing import Source
from verifier.keyring.material import FILE
from verifier.pipeline import Rulebook
from verifier.policy import load
from verifier.settings import Settings
from verifier.sources import read_register
from verifier.store.engine import Database
from verifier.store.store import Store

SHOWN: Final = 20
"""Changed decisions that people are shown; ``--json`` has them all."""


@dataclass(slots=True)
class Proposal:
    """A source form that is being changed.

    Attributes:
        before: as it stands.
        files: public files to be put beside it, by their names there.
    """

    settings: Settings
    before: bytes
    source: Source
    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Proposal:
        """The source form as it stands."""
        raw = keyfiles.read_public(settings.register)
        return cls(settings, raw, Source(raw))

    def public_file(self, path: str) -> str:
        """Put a public file beside the register, or name one that stands there already.

        Returns:
            Its name.

        Raises:
            ConfigurationError: it cannot be read, or other content stands under its name.
        """
        content, name = keyfiles.read_public(Path(path)), Path(path).name
        if FILE.fullmatch(name) is None:
            raise wrong("a file name is not of letters, digits, dots, hyphens and underscores", "file")
        there = self.settings.register.parent / PUBLIC / name
        if there.exists() and there.read_bytes() != content:
            raise wrong("another file stands under this name already: rename the new one", "file")
        if not there.exists():
            self.files[PUBLIC + name] = content
        return name

    def register(self) -> Register:
        """The register that would come of it; errors as ``load_register``."""
        register, _ = read_register(self.settings, {SOURCE: self.source.written(), **self.files})
        return register

    def difference(self) -> list[str]:
        """Changed lines of the source form."""
        old, new = self.before.decode().splitlines(), self.source.written().decode().splitlines()
        return list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]

    def write(self) -> None:
        """Write it: the public files first, so that the source form never names one that is missing.

        Raises:
            ConfigurationError: somebody else changed the source form meanwhile, or it cannot be written.
        """
        path = self.settings.register
        if keyfiles.read_public(path) != self.before:
            raise wrong("somebody else changed the register meanwhile: look again", "register")
        try:
            (path.parent / PUBLIC).mkdir(exist_ok=True)
            for name, content in self.files.items():
                kept.replace(path.parent / name, content)
            kept.replace(path, self.source.written())
        except OSError:
            raise wrong("the register's directory is not writable", "register") from None


def wrong(detail: str, pointer: str) -> ConfigurationError:
    """What an operator asked for cannot be done."""
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=pointer)


async def tried(settings: Settings, register: Register) -> dict[str, Any]:
    """What a register would change: it is tried on everyone ever judged, and nothing is written.

    Returns:
        Counts first, then each decision that would be followed by another one.
    """
    people, found, in_force = 0, list[Change](), None
    if await _is_there(settings):
        async with stored(settings) as store:
            in_force, rulebook = await _candidate(settings, store, register)
            async for part in adoption.preview(store, rulebook, now):
                people += part.people
                found += part.changes
                _progress(people)
    counts = Counter(f"{change.before} -> {change.after}" for change in found)
    return {
        "judged": people,
        "would_change": len(found),
        "changes": dict(sorted(counts.items())),
        "register": register.digest,
        "in_force": in_force,
        "decisions": [
            {
                "decision": change.decision_id,
                "learner": change.learner_id,
                "from": change.before.value,
                "to": change.after.value,
            }
            for change in found
        ],
    }


async def _is_there(settings: Settings) -> bool:
    database = Database(settings.database_url, read_only=True)
    await database.close()
    return database.file is None or database.file.is_file()


async def _candidate(settings: Settings, store: Store, register: Register) -> tuple[str | None, Rulebook]:
    """The register in force, and the candidate under the policy in force."""
    policy = await store.previewing(lambda tx: tx.newest_adoption("policy"))
    adopted = await store.previewing(lambda tx: tx.newest_adoption("register"))
    raw = policy[1].encode() if policy else keyfiles.read_public(settings.policy)
    return (adopted[0] if adopted else None), Rulebook((load(raw),), register)


def _progress(people: int) -> None:
    if sys.stderr.isatty():
        print(f"\r试算 · tried on {people}", end="", file=sys.stderr, flush=True)


def show_tried(found: dict[str, Any]) -> None:
    """Print what a register would change."""
    if sys.stderr.isatty() and found["judged"]:
        print(file=sys.stderr)
    print(f"试算 · dry run: 已判定 {found['judged']} 人 · people judged")
    print(f"将改变的决定 · decisions that would change: {found['would_change']}")
    for change, count in found["changes"].items():
        print(f"  {change}: {count}")
    for one in found["decisions"][:SHOWN]:
        print(f"  {one['decision']}  {one['learner']}  {one['from']} -> {one['to']}")
    if found["would_change"] > SHOWN:
        print("  … 其余见 --json · the rest with --json")
