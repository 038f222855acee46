"""The parts that ``verifier.app`` puts together, one function each: what it needs, and nothing of the others.

The edges' clock and ids are here too: everything below takes them as arguments.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from adapters import ADAPTERS, named
from adapters.declared import load_all
from verifier import confined, keyfiles, objecting, pipeline, sandbox
from verifier.adoption import Rulebooks
from verifier.asking import witness_worker
from verifier.confined import Confined, Rules
from verifier.counter import Desk
from verifier.desks import ClaimDesk, EnterpriseDesk, ReadWorkbook
from verifier.erasing import Terms
from verifier.errors import Code, ConfigurationError
from verifier.issuer import Issuer, IssuerKeys
from verifier.kept import CheckpointFile
from verifier.keyring import load_packed, pack
from verifier.model.delivery import Callback, DeliveryOutcome
from verifier.operations import SourceForm
from verifier.own_data import OwnDataDesk
from verifier.pipeline import Rulebook
from verifier.ports import Adapter, Digest
from verifier.ports.intake import IntakeTransaction
from verifier.preparing import Prepared
from verifier.published import Published
from verifier.questioning import Questions
from verifier.randomness import randbytes
from verifier.receiving import Receiving, Threads, takes_long
from verifier.retention import RetentionDesk, RetentionWorker
from verifier.settings import Settings
from verifier.signalling import SLICE, SignalWorker
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.silence import Silence
from verifier.sources import sandbox_register, thresholds
from verifier.spreadsheet import Bounds, Cell
from verifier.store.engine import Database, Pools, is_sqlite
from verifier.store.group import GroupCommit
from verifier.store.store import Store
from verifier.watch import BacklogWatch, SilenceWatch, StatisticsWatch
from verifier.web.errors import audit
from verifier.web.metrics import Metrics
from verifier.web.services import HttpLimits, Services, TryOut
from verifier.workbooks import Workbooks
from verifier.workers import Crew

WORKBOOKS_WAITING = 8
"""Uploaded workbooks that may wait for the one that is being read; more are asked to come again."""

SIGNALS_SECONDS = 5.0
"""Between two looks for what is implausible: nothing waits for them, and requests need the processor."""


def now() -> datetime:
    """The edge's clock: aware UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id of 32 hexadecimal digits that begins with the time, as UUIDv7 does (RFC 9562)."""
    return f"{time.time_ns() // 1_000_000:012x}{randbytes(10).hex()}"


def ephemeral_key() -> SigningKey:
    """A key of the web part, never written down."""
    return SigningKey(f"web-{secrets.token_hex(8)}", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True, slots=True)
class WebKeys:
    """Short-lived keys of the web: of other types than the issuer's, and never one of its.

    Attributes:
        token: signs access tokens.
        answer: signs status answers.
    """

    token: SigningKey
    answer: SigningKey


def web_keys() -> WebKeys:
    """New ones, which end with the process, or with the processes that share them."""
    return WebKeys(ephemeral_key(), ephemeral_key())


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
        return Database(settings.database_url, pools=_pools(settings))
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID,
            "the database's directory is not writable",
            pointer="database_url",
        ) from None


def _pools(settings: Settings) -> Pools:
    return Pools(
        settings.database_connections,
        settings.database_background_connections,
        settings.database_statement_seconds,
    )


def reading_store(settings: Settings) -> Store:
    """The store for a command that only looks, beside a running service.

    Raises:
        ConfigurationError: a key is missing or wrong.
    """
    database = Database(settings.database_url, read_only=True, pools=_pools(settings))
    fields = keyfiles.load_fields(settings.secrets_dir)
    return Store(database, fields, clock=now, randbytes=os.urandom, new_id=new_id)


def issuing(settings: Settings, store: Store, issuer_keys: IssuerKeys) -> Issuer:
    """The issuer."""
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


def group_commit(store: Store, rulebooks: Rulebooks) -> GroupCommit[Prepared, DeliveryOutcome | None]:
    """What callbacks that come together are committed by.

    None for those that were verified by another register than the one in force: nothing of them is recorded.
    """

    async def commit(group: Sequence[Prepared]) -> Sequence[DeliveryOutcome | None]:
        def work(tx: IntakeTransaction) -> list[DeliveryOutcome | None]:
            rules = rulebooks()
            current = [one for one in group if one.register == rules.register.digest]
            outcomes = iter(pipeline.record(tx, current, rules, now(), new_id) if current else ())
            return [next(outcomes) if one.register == rules.register.digest else None for one in group]

        return await store.intake(work)

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


def rules_apart(rulebooks: Rulebooks, declared: Sequence[Adapter], secrets_dir: Path) -> Rules:
    """What processes that read documents go by now."""
    # The count, since secrets may have changed; the digest, since the two are not exchanged in one step.
    exchanged, register = rulebooks.exchanged, rulebooks().register
    return Rules(f"{exchanged} {register.digest}", (declared, register.packed, secrets_dir))


def workbooks(stack: AsyncExitStack) -> ReadWorkbook:
    """Reads uploaded workbooks, one at a time; few may wait."""
    apart, threads = Workbooks(), Threads(threads=1, waiting=WORKBOOKS_WAITING)
    stack.callback(apart.close)
    stack.callback(threads.close)

    async def read(raw: bytes, bounds: Bounds) -> Sequence[Sequence[Cell]]:
        return await threads.run(partial(apart.read, raw, bounds))

    return read


def _questions(settings: Settings, store: Store) -> Questions:
    def alarm(code: str, *, enterprise: str, client: str) -> None:
        audit("alarm", code=code, enterprise=enterprise, client=client)

    return Questions(store, settings.status_people_per_day, alarm)


def trying_out(
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


def keeping(crew: Crew, store: Store, settings: Settings) -> tuple[Desk, ...]:
    """The desks of what is held on people and for how long; a worker empties what need not be kept."""
    terms = Terms(settings.erasure_keep_years, settings.raw_retention_days)
    crew.add("retention", RetentionWorker(store, terms.raw, now, new_id).step, needed=False)
    return OwnDataDesk(store, terms, now, new_id), RetentionDesk(store, terms.raw, now, new_id)


def watch(
    crew: Crew, store: Store, rulebooks: Callable[[], Rulebook], metrics: Metrics, settings: Settings
) -> None:
    """The workers that watch: who is silent, what waits, what is implausible."""

    def measured(found: Silence) -> None:
        metrics.watched(found.platform, found.seconds, silent=found.silent)

    def alarm(found: Silence) -> None:
        audit("alarm", code="platform_silent", platform=found.platform)

    crew.add("silence", SilenceWatch(store, lambda: rulebooks().register, now, measured, alarm).step)
    crew.add("backlog", BacklogWatch(store, now, metrics.behind).step)
    if not is_sqlite(settings.database_url):
        crew.add("statistics", StatisticsWatch(store).step, needed=False, woken=False)
    if asking := witness_worker(settings, store, now, metrics):
        crew.add("witnesses", asking.step, needed=False)
    signals = SignalWorker(store, thresholds(settings), now, metrics)
    crew.add("signals", signals.step, needed=False, full=SLICE, every=SIGNALS_SECONDS)


def services(
    settings: Settings,
    store: Store,
    receiving: Receiving,
    adapters: Mapping[str, Adapter],
    published: Published,
    read_workbook: ReadWorkbook,
    said: objecting.Register,
    keys: WebKeys,
) -> Services:
    """What the web part is handed: ports, and keys of its own."""
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
            store,
            receiving.rulebook,
            receiving.digest,
            now,
            new_id,
            read_workbook,
            _questions(settings, store),
        ),
        claims=ClaimDesk(store, now, new_id),
        token_key=keys.token,
        answer_key=keys.answer,
        published=published,
        ledger_origin=settings.origin,
        clock=now,
        new_id=new_id,
        digest=receiving.digest,
        limits=HttpLimits(hosts=settings.hosts),
    )
