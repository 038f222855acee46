"""The composition root: the only place where the parts meet.

Embedded mode runs every role (web, evaluator, issuer) in this one process. The web part is handed neither the
store's internals nor the issuer: it gets ports, and keys of its own that live as long as the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from aiohttp import web

from adapters import ADAPTERS, named
from verifier import evaluator, keyfiles, objecting, parts
from verifier.adoption import Rulebooks
from verifier.confined import Confined
from verifier.counter import Counter
from verifier.errors import Code, ConfigurationError
from verifier.issuer import Issuer
from verifier.key_rotation import SigningDesk
from verifier.operations import Operations, SourceForm
from verifier.parts import new_id, now, open_database, profiles, read_apart, reading_store
from verifier.pipeline import Rulebook
from verifier.published import Published
from verifier.receiving import Receiving, Threads
from verifier.rereading import Rereading
from verifier.settings import Settings
from verifier.sources import offices, read_register, rulebook, standing
from verifier.store.schema import require_current, upgrade
from verifier.store.store import Store
from verifier.web import admin, server
from verifier.web.services import Services
from verifier.web.waiting import Growth
from verifier.workers import Crew

__all__ = ["Service", "compose", "new_id", "now", "open_database", "profiles", "read_apart", "reading_store"]

log = logging.getLogger("verifier.app")


@dataclass(slots=True)
class Service:
    """Everything of one process, put together."""

    settings: Settings
    store: Store
    rulebooks: Rulebooks
    issuer: Issuer
    operations: Operations
    services: Services
    sources: Sequence[SourceForm]
    profile_forms: Sequence[SourceForm]
    crew: Crew
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def rules(self) -> Rulebook:
        """The rulebook in force."""
        return self.rulebooks()

    async def prepare(self) -> None:
        """Bring the schema up to date, or refuse another version's where others may be using it.

        Raises:
            ConfigurationError: the schema is not this version's.
            Unavailable: the database does not answer.
        """
        # SQLite has one process, so nobody else can be in the middle of anything.
        await self.store.database.write(
            upgrade if self.store.database.dialect == "sqlite" else require_current
        )

    async def stand(self) -> None:
        """Put in force what was adopted, whatever the files say by now.

        Raises:
            ConfigurationError: what was adopted cannot be read, or a secret that it names is missing.
            Unavailable: the database does not answer.
        """
        found = await standing(self.settings, self.store, self.rules, self.sources)
        self.rulebooks.take_up(found.rulebook)
        self.sources = found.fresh
        for one in found.differences:
            log.warning("the %s file %s is not what was adopted; what was adopted counts", one.kind, one.what)

    async def start(self) -> str:
        """Bring the schema up to date, adopt what never was, take over the ledger, listen.

        Returns:
            The address that is listened on.

        Raises:
            ConfigurationError: the schema is not this version's, or the address cannot be listened on.
            LedgerRefused: the database does not continue the ledger that was signed.
            Unavailable: the database does not answer.
        """
        await self.prepare()
        await self.stand()
        await self.operations.adopt([*self.sources, *self.profile_forms])
        await self.issuer.start()
        self.crew.start()
        self.stack.push_async_callback(self.crew.stop)
        try:
            port = await self._listen()
        except OSError:
            raise ConfigurationError(
                Code.CONFIGURATION_INVALID, "host and port, or the admin socket, cannot be listened on"
            ) from None
        return f"http://{self.settings.host}:{port}"

    async def _listen(self) -> int:
        self.settings.admin_socket.unlink(missing_ok=True)
        local = await admin.listen(admin.build(self.operations), self.settings.admin_socket)
        self.stack.push_async_callback(local.cleanup)
        runner = server.runner(server.build(self.services))
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        port: int = runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stop listening, let the workers finish their step, close the database."""
        await self.stack.aclose()


def compose(settings: Settings) -> Service:
    """Put the parts together; nothing runs yet, but on SQLite the database is held.

    Raises:
        ConfigurationError: a key, file or parameter is missing or wrong, or the database is held.
    """
    rules, sources = rulebook(settings)
    table = offices(settings)
    declared, profile_forms = profiles(settings)
    adapters = (*ADAPTERS, *declared)
    rulebooks = Rulebooks(rules)
    field_keys = keyfiles.load_fields(settings.secrets_dir)
    issuer_keys = keyfiles.load_issuer_keys(settings.secrets_dir)
    crew, database = Crew(), open_database(settings)
    store = Store(database, field_keys, clock=now, randbytes=os.urandom, new_id=new_id, on_commit=crew.wake)
    store.read_keys = partial(keyfiles.load_fields, settings.secrets_dir)
    issuer = parts.issuing(settings, store, issuer_keys)
    published = Published(keyfiles.every_published(settings.secrets_dir), settings.origin, now)
    digest, by_slug = field_keys.digest, named(adapters)
    apart = Confined(read_apart, lambda: parts.rules_apart(rulebooks, declared, settings.secrets_dir))
    threads, group = Threads(), parts.group_commit(store, rulebooks)
    receiving = Receiving(store.documents, group.submit, rulebooks, digest, now, apart, threads)
    rereading = Rereading(store, lambda: by_slug, rulebooks, digest, now, new_id, apart)
    crew.add("evaluator", lambda: evaluator.step(store, rulebooks, clock=now, new_id=new_id))
    growth = Growth()
    crew.add("issuer", growth.heard(issuer.step))
    crew.add("rereader", rereading.step)
    stack = AsyncExitStack()
    stack.push_async_callback(database.close)
    stack.callback(apart.close)
    stack.callback(threads.close)
    said = objecting.Register(store, rulebooks, now, new_id, os.urandom, settings.objection_answer_days)
    services = replace(
        parts.services(settings, store, receiving, by_slug, published, parts.workbooks(stack), said),
        failed=crew.failed,
        growth=growth,
        try_out=parts.trying_out(settings, rulebooks, declared, digest, threads, stack),
    )
    read = partial(asyncio.to_thread, read_register, settings)
    counter = Counter(store, adapters, rulebooks, table, rereading, read, now, new_id, os.urandom, said)
    further = (SigningDesk(settings.secrets_dir, issuer, published), *parts.keeping(crew, store, settings))
    operations = counter.operations(*further)
    stack.push_async_callback(parts.watch(crew, store, rulebooks, services, settings).finish)
    stack.push_async_callback(group.drain)
    at_start = (*profile_forms, table)
    return Service(settings, store, rulebooks, issuer, operations, services, sources, at_start, crew, stack)
