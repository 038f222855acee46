"""The composition root: the only place where the parts meet.

Embedded mode runs every role (web, evaluator, issuer) in this one process. The web part is handed neither the
store's internals nor the issuer: it gets ports, and keys of its own that live as long as the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from adapters import ADAPTERS, named
from adapters.declared import load_all
from verifier import confined, evaluator, keyfiles, objecting, pipeline, sandbox
from verifier.adoption import Rulebooks
from verifier.confined import Confined, Rules
from verifier.counter import Counter
from verifier.desks import ClaimDesk, EnterpriseDesk, ReadWorkbook
from verifier.errors import Code, ConfigurationError
from verifier.issuer import Issuer, IssuerKeys
from verifier.kept import CheckpointFile
from verifier.key_rotation import SigningDesk
from verifier.keyring import load_packed, pack
from verifier.model.delivery import Callback, DeliveryOutcome
from verifier.operations import Operations, SourceForm
from verifier.pipeline import Rulebook
from verifier.ports import Adapter, Digest
from verifier.preparing import Prepared
from verifier.published import Published
from verifier.questioning import Questions
from verifier.receiving import Receiving, Threads, takes_long
from verifier.rereading import Rereading
from verifier.settings import Settings
from verifier.signalling import SignalWorker
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.silence import Silence
from verifier.sources import offices, read_register, rulebook, sandbox_register, standing, thresholds
from verifier.spreadsheet import Bounds, Cell
from verifier.store.engine import Database
from verifier.store.group import GroupCommit
from verifier.store.schema import require_current, upgrade
from verifier.store.store import Store
from verifier.watch import BacklogWatch, FailureWriter, SilenceWatch
from verifier.web import admin, server
from verifier.web.errors import audit
from verifier.web.services import HttpLimits, Services, TryOut
from verifier.web.waiting import Growth
from verifier.workbooks import Workbooks
from verifier.workers import Crew

log = logging.getLogger("verifier.app")

WORKBOOKS_WAITING = 8
"""Uploaded workbooks that may wait for the one that is being read; more are asked to come again."""


def now() -> datetime:
    """The edge's clock: aware UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id of 32 hexadecimal digits that begins with the time, as UUIDv7 does (RFC 9562)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def ephemeral_key() -> SigningKey:
    """A key of the web part, gone with the process."""
    return SigningKey(f"web-{secrets.token_hex(8)}", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


def profiles(settings: Settings) -> tuple[tuple[Adapter, ...], tuple[SourceForm, ...]]:
    """Read the profiles of declared platforms, and keep their source form to be adopted.

    All of them are one source form, so that the ledger says which were in force, and which no longer.

    Raises:
        ConfigurationError: the directory is not there, or a profile is wrong; all that is wrong is listed.
    """
    directory = settings.profiles
    if directory == Path():
        return (), ()
    if not directory.is_dir():
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the directory cannot be read", pointer="profiles"
        )
    files = {path.name: keyfiles.read_public(path) for path in sorted(directory.glob("*.toml"))}
    declared = load_all(files, taken={adapter.slug for adapter in ADAPTERS})
    content = pack(files)
    said = {"profiles": {platform.slug: platform.declaration.digest for platform in declared}}
    return declared, (SourceForm("profile", sha256(content.encode()).hexdigest(), content, said),)


def open_database(settings: Settings) -> Database:
    """The database to write to; on SQLite no other process may hold it.

    Raises:
        ConfigurationError: the address is wrong, or another process holds the database.
    """
    try:
        return Database(settings.database_url)
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID,
            "the database's directory is not writable",
            pointer="database_url",
        ) from None


def reading_store(settings: Settings) -> Store:
    """The store for a command that only looks, beside a running service.

    Raises:
        ConfigurationError: a key is missing or wrong.
    """
    database = Database(settings.database_url, read_only=True)
    fields = keyfiles.load_fields(settings.secrets_dir)
    return Store(database, fields, clock=now, randbytes=os.urandom, new_id=new_id)


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
    issuer = _issuer(settings, store, issuer_keys)
    published = Published(keyfiles.every_published(settings.secrets_dir), settings.origin, now)
    digest, by_slug = field_keys.digest, named(adapters)
    apart = Confined(read_apart, lambda: _rules_apart(rulebooks, declared, settings.secrets_dir))
    threads, group = Threads(), _group_commit(store, rulebooks)
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
        _services(settings, store, receiving, by_slug, published, _workbooks(stack), said),
        failed=crew.failed,
        growth=growth,
        try_out=_sandbox(settings, rulebooks, declared, digest, threads, stack),
    )
    read = partial(asyncio.to_thread, read_register, settings)
    counter = Counter(store, adapters, rulebooks, table, rereading, read, now, new_id, os.urandom, said)
    operations = counter.operations()
    desk = SigningDesk(settings.secrets_dir, issuer, published)
    operations = replace(operations, further={**operations.further, **desk.table()})
    stack.push_async_callback(_watch(crew, store, rulebooks, services, settings).finish)
    stack.push_async_callback(group.drain)
    at_start = (*profile_forms, table)
    return Service(settings, store, rulebooks, issuer, operations, services, sources, at_start, crew, stack)


def _issuer(settings: Settings, store: Store, issuer_keys: IssuerKeys) -> Issuer:
    return Issuer(
        store,
        issuer_keys,
        CheckpointFile(settings.kept_checkpoint),
        origin=settings.origin,
        base_url=settings.base_url,
        clock=now,
        randbytes=os.urandom,
        new_id=new_id,
    )


def _group_commit(store: Store, rulebooks: Rulebooks) -> GroupCommit[Prepared, DeliveryOutcome]:
    async def commit(group: Sequence[Prepared]) -> Sequence[DeliveryOutcome]:
        return await store.intake(lambda tx: pipeline.record(tx, group, rulebooks(), now(), new_id))

    return GroupCommit(commit)


def read_apart(
    connection: Connection, declared: Sequence[Adapter], packed: str, secrets_dir: Path
) -> None:  # pragma: no cover - runs in processes that are killed; tests/functional/test_confined_service.py
    """The main function of a process that reads documents under limits.

    Args:
        connection: to the service.
        declared: the platforms that are declared.
        packed: the register in force.
        secrets_dir: of its transport secrets.
    """
    register = load_packed(packed, lambda name: keyfiles.read_secret(secrets_dir / name))
    confined.serve(connection, named((*ADAPTERS, *declared)), register, confined.MEMORY_BYTES)


def _rules_apart(rulebooks: Rulebooks, declared: Sequence[Adapter], secrets_dir: Path) -> Rules:
    return Rules(str(rulebooks.exchanged), (declared, rulebooks().register.packed, secrets_dir))


def _workbooks(stack: AsyncExitStack) -> ReadWorkbook:
    """Reads uploaded workbooks, one at a time; few may wait."""
    apart, threads = Workbooks(), Threads(threads=1, waiting=WORKBOOKS_WAITING)
    stack.callback(apart.close)
    stack.callback(threads.close)

    async def read(raw: bytes, bounds: Bounds) -> Sequence[Sequence[Cell]]:
        return await threads.run(partial(apart.read, raw, bounds))

    return read


def _questions(settings: Settings) -> Questions:
    def alarm(code: str, *, enterprise: str, client: str) -> None:
        audit("alarm", code=code, enterprise=enterprise, client=client)

    return Questions(settings.status_people_per_day, alarm)


def _sandbox(
    settings: Settings,
    rulebooks: Rulebooks,
    declared: Sequence[Adapter],
    digest: Digest,
    threads: Threads,
    stack: AsyncExitStack,
) -> TryOut | None:
    """Callbacks by another register, which leave nothing behind; None where there is none."""
    register = sandbox_register(settings, rulebooks().register)
    if register is None:
        return None
    rules = Rules("sandbox", (declared, register.packed, settings.sandbox_secrets_dir))
    apart = Confined(read_apart, lambda: rules, workers=1)
    stack.callback(apart.close)
    tenant = sandbox.Tenant(register, lambda: rulebooks().register, digest, now, apart)

    async def try_out(adapter: Adapter, callback: Callback) -> sandbox.Trial:
        attempt = partial(tenant.attempt, adapter, callback)
        return await threads.run(attempt) if takes_long(adapter, callback) else attempt()

    return try_out


def _watch(
    crew: Crew, store: Store, rulebooks: Callable[[], Rulebook], services: Services, settings: Settings
) -> FailureWriter:
    def measured(found: Silence) -> None:
        services.metrics.watched(found.platform, found.seconds, silent=found.silent)

    def alarm(found: Silence) -> None:
        audit("alarm", code="platform_silent", platform=found.platform)

    writer = FailureWriter(store, services.failures, now)
    crew.add("failures", writer.step)
    crew.add("silence", SilenceWatch(store, lambda: rulebooks().register, now, measured, alarm).step)
    crew.add("backlog", BacklogWatch(store, now, services.metrics.behind).step)
    crew.add("signals", SignalWorker(store, thresholds(settings), now, services.metrics).step, needed=False)
    return writer


def _services(
    settings: Settings,
    store: Store,
    receiving: Receiving,
    adapters: Mapping[str, Adapter],
    published: Published,
    read_workbook: ReadWorkbook,
    said: objecting.Register,
) -> Services:
    return Services(
        issuer=settings.base_url,
        adapters=adapters,
        submit=receiving.submit,
        disclose=store.disclose,
        reading=store,
        arrivals=store,
        assertions=store,
        employers=objecting.EmployerDesk(said),
        enterprises=EnterpriseDesk(
            store, receiving.rulebook, receiving.digest, now, new_id, read_workbook, _questions(settings)
        ),
        claims=ClaimDesk(store, now, new_id),
        token_key=ephemeral_key(),
        answer_key=ephemeral_key(),
        published=published,
        ledger_origin=settings.origin,
        clock=now,
        new_id=new_id,
        digest=receiving.digest,
        limits=HttpLimits(hosts=settings.hosts),
    )
