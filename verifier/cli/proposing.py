"""A change of the register's source form: what it would do, and the writing of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verifier import kept, keyfiles
from verifier.cli import previewing
from verifier.cli.checking import stored
from verifier.errors import Code, ConfigurationError
from verifier.keyring import PUBLIC, SOURCE, Register
from verifier.keyring.editing import Source
from verifier.keyring.material import FILE
from verifier.pipeline import Rulebook
from verifier.settings import Settings
from verifier.sources import read_register


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
    """What a register would change: it is tried on everybody, and nothing is written."""
    found = await previewing.tried(
        settings, lambda rulebook: Rulebook(rulebook.policies, register), register=register
    )
    in_force = None
    if await previewing.is_there(settings):
        async with stored(settings) as store:
            newest = await store.previewing(lambda tx: tx.newest_adoption("register"))
            in_force = newest[0] if newest else None
    return {**found, "register": register.digest, "in_force": in_force}
