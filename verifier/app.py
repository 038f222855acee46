"""The composition root: the only place where the parts meet.

Embedded mode runs every role (web, evaluator, issuer) in this one process. The web part is handed neither the
store's internals nor the issuer: it gets ports, and keys of its own that live as long as the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from adapters import ADAPTERS
from verifier import evaluator, keyfiles, ledger, pipeline
from verifier.desks import ClaimDesk, EnterpriseDesk
from verifier.errors import Code, ConfigurationError
from verifier.issuer import Issuer, IssuerKeys
from verifier.kept import CheckpointFile
from verifier.keyring import load_register
from verifier.model.delivery import Callback, DeliveryOutcome
from verifier.operations import Operations, SourceForm
from verifier.pipeline import Prepared, Rulebook
from verifier.policy import load
from verifier.ports import Adapter, Digest
from verifier.settings import Settings
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.store.engine import Database
from verifier.store.group import GroupCommit
from verifier.store.schema import require_current, upgrade
from verifier.store.store import Store
from verifier.web import server
from verifier.web.admin import build as build_admin
from verifier.web.admin import listen
from verifier.web.services import HttpLimits, Services
from verifier.workers import Crew

SHORT_BYTES = 16_384
"""A body up to this length holds few enough certificates to be verified at once."""


def now() -> datetime:
    """The edge's clock: aware UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id of 32 hexadecimal digits that begins with the time, as UUIDv7 does (RFC 9562)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def ephemeral_key() -> SigningKey:
    """A key of the web part, gone with the process."""
    return SigningKey(f"web-{secrets.token_hex(8)}", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


def rulebook(settings: Settings) -> tuple[Rulebook, tuple[SourceForm, SourceForm]]:
    """Read the policy and the trust register, and keep their source forms to be adopted.

    Raises:
        ConfigurationError: one of them is missing or wrong.
    """
    issuers = settings.register.parent / "issuers"
    files = {"trust.toml": keyfiles.read_public(settings.register)}

    def read_key(name: str) -> bytes:
        return files.setdefault(f"issuers/{name}", keyfiles.read_public(issuers / name))

    register = load_register(
        files["trust.toml"], read_key, lambda name: keyfiles.read_secret(settings.secrets_dir / name)
    )
    raw = keyfiles.read_public(settings.policy)
    policy = load(raw)
    content = json.dumps({name: text.decode() for name, text in files.items()}, ensure_ascii=False)
    return Rulebook(policy, register), (
        SourceForm("policy", policy.digest, raw.decode(), {"policy": policy.pin}),
        SourceForm("register", register.digest, content, {"platforms": sorted(register.platforms)}),
    )


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
    rules: Rulebook
    issuer: Issuer
    operations: Operations
    services: Services
    sources: Sequence[SourceForm]
    crew: Crew
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

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

    async def start(self) -> str:
        """Bring the schema up to date, adopt policy and register, take over the ledger, listen.

        Returns:
            The address that is listened on.

        Raises:
            ConfigurationError: the schema is not this version's, or the address cannot be listened on.
            LedgerRefused: the database does not continue the ledger that was signed.
            Unavailable: the database does not answer.
        """
        await self.prepare()
        await self.operations.adopt(self.sources)
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
        admin = await listen(build_admin(self.operations), self.settings.admin_socket)
        self.stack.push_async_callback(admin.cleanup)
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
    field_keys = keyfiles.load_fields(settings.secrets_dir)
    issuer_keys = keyfiles.load_issuer_keys(settings.secrets_dir)
    crew = Crew()
    database = open_database(settings)
    store = Store(database, field_keys, clock=now, randbytes=os.urandom, new_id=new_id, on_commit=crew.wake)
    issuer = Issuer(
        store,
        issuer_keys,
        CheckpointFile(settings.kept_checkpoint),
        origin=settings.origin,
        base_url=settings.base_url,
        clock=now,
        randbytes=os.urandom,
        new_id=new_id,
    )
    crew.add("evaluator", lambda: evaluator.step(store, lambda: rules, clock=now, new_id=new_id))
    crew.add("issuer", issuer.step)
    intake = _Intake(store, rules, field_keys.digest)
    services = replace(_services(settings, store, intake, issuer_keys), failed=crew.failed)
    operations = Operations(store, now, new_id)
    service = Service(settings, store, rules, issuer, operations, services, sources, crew)
    service.stack.push_async_callback(database.close)
    service.stack.push_async_callback(intake.group.drain)
    return service


class _Intake:
    """Callbacks of every platform, into one group commit."""

    def __init__(self, store: Store, rules: Rulebook, digest: Digest) -> None:
        self._store, self.rules, self.digest = store, rules, digest
        self.group = GroupCommit(self._commit)

    async def _commit(self, group: Sequence[Prepared]) -> Sequence[DeliveryOutcome]:
        return await self._store.intake(lambda tx: pipeline.record(tx, group, self.rules, now(), new_id))

    async def submit(self, adapter: Adapter, callback: Callback) -> DeliveryOutcome:
        arguments = (adapter, callback, self.rules.register, self.digest, now())
        if len(callback.body) <= SHORT_BYTES:
            return await self.group.submit(pipeline.prepare(*arguments))
        # Many signatures take longer than the loop may be held up.
        return await self.group.submit(await asyncio.to_thread(pipeline.prepare, *arguments))


def _services(settings: Settings, store: Store, intake: _Intake, issuer_keys: IssuerKeys) -> Services:
    rules, digest = intake.rules, intake.digest
    return Services(
        issuer=settings.base_url,
        adapters={adapter.slug: adapter for adapter in ADAPTERS},
        submit=intake.submit,
        disclose=store.disclose,
        reading=store,
        assertions=store,
        enterprises=EnterpriseDesk(store, lambda: rules, digest, now, new_id),
        claims=ClaimDesk(store, now, new_id),
        token_key=ephemeral_key(),
        answer_key=ephemeral_key(),
        public_keys=(issuer_keys.record.verification_key, issuer_keys.status.verification_key),
        ledger_origin=settings.origin,
        ledger_key=ledger.verifier_key(settings.origin, issuer_keys.checkpoint.public_key()),
        clock=now,
        new_id=new_id,
        digest=digest,
        limits=HttpLimits(hosts=settings.hosts),
    )
