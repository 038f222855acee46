"""What every process of the service stands on: what its files say, the store, and the rulebook in force.

The files of rules, profiles and offices are read once, before there is any process: whichever process is
started later goes by the same. Keys are read by each process that needs them, and by no other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from adapters import ADAPTERS, named
from verifier import keyfiles, parts
from verifier.adoption import Rulebooks
from verifier.confined import Confined
from verifier.operations import SourceForm
from verifier.parts import new_id, now, open_database, profiles, read_apart
from verifier.pipeline import Rulebook
from verifier.ports import Adapter, Digest
from verifier.settings import Settings
from verifier.sources import offices, rulebook, secrets_of, standing
from verifier.store.schema import require_current, upgrade
from verifier.store.store import Store
from verifier.uptake import Uptake
from verifier.workers import Crew

log = logging.getLogger("verifier.app")


@dataclass(frozen=True, slots=True)
class Files:
    """What the settings' files say.

    Attributes:
        rules: policies and register.
        forms: their source forms: of each policy in order, then of the register.
        offices: the table of acceptance offices.
        declared: platforms by their profiles.
        profile_forms: these profiles, to be adopted.
    """

    rules: Rulebook
    forms: tuple[SourceForm, ...]
    offices: SourceForm
    declared: tuple[Adapter, ...]
    profile_forms: tuple[SourceForm, ...]

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Built-in and declared."""
        return (*ADAPTERS, *self.declared)

    @property
    def at_start(self) -> tuple[SourceForm, ...]:
        """What is adopted at every start as its file says it."""
        return (*self.profile_forms, self.offices)


def read_files(settings: Settings) -> Files:
    """Read them.

    Raises:
        ConfigurationError: one of them is missing or wrong.
    """
    rules, forms = rulebook(settings)
    table = offices(settings)
    declared, profile_forms = profiles(settings)
    return Files(rules, forms, table, declared, profile_forms)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parts of one process share.

    Attributes:
        apart: reads documents in processes under limits.
        crew: background work of this process.
        stack: what is to be closed, last opened first.
    """

    settings: Settings
    files: Files
    rulebooks: Rulebooks
    uptake: Uptake
    store: Store
    digest: Digest
    apart: Confined
    crew: Crew = field(default_factory=Crew)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def by_slug(self) -> Mapping[str, Adapter]:
        """The adapters."""
        return named(self.files.adapters)


def ground(settings: Settings, files: Files, on_commit: Callable[[], None] | None = None) -> Ground:
    """Put it together; nothing runs yet, but on SQLite the database is held.

    Args:
        settings: of the installation.
        files: as they were read.
        on_commit: called after every commit; None for waking this process's own workers.

    Raises:
        ConfigurationError: a key is missing or wrong, or the database is held.
    """
    rulebooks, crew = Rulebooks(files.rules), Crew()
    uptake = Uptake(rulebooks, files.rules, files.forms, secrets_of(settings))
    fields, load_fields = keyfiles.load_fields(settings.secrets_dir), keyfiles.load_fields
    store = Store(
        open_database(settings),
        fields,
        clock=now,
        randbytes=os.urandom,
        new_id=new_id,
        on_commit=on_commit or crew.wake,
        read_keys=partial(load_fields, settings.secrets_dir),
    )
    store.take_up = uptake.take_up
    apart = Confined(read_apart, lambda: parts.rules_apart(rulebooks, files.declared, settings.secrets_dir))
    made = Ground(settings, files, rulebooks, uptake, store, fields.digest, apart, crew)
    made.stack.push_async_callback(store.database.close)
    made.stack.callback(apart.close)
    return made


async def prepare(base: Ground) -> None:
    """Bring the schema up to date, or refuse another version's where others may be using it.

    Raises:
        ConfigurationError: the schema is not this version's.
        Unavailable: the database does not answer.
    """
    database = base.store.database
    # SQLite has one process, so nobody else can be in the middle of anything.
    await database.write(upgrade if database.dialect == "sqlite" else require_current)


async def stand(base: Ground) -> Sequence[SourceForm]:
    """Put in force what was adopted, whatever the files say by now; those of which nothing was adopted yet.

    Raises:
        ConfigurationError: what was adopted cannot be read, or a secret that it names is missing.
        Unavailable: the database does not answer.
    """
    found = await standing(base.settings, base.store, base.files.rules, base.files.forms)
    base.rulebooks.take_up(found.rulebook)
    for one in found.differences:
        log.warning("the %s file %s is not what was adopted; what was adopted counts", one.kind, one.what)
    return found.fresh
