"""``ledger fsck``, ``db``, ``doctor``: commands that look and tell."""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from verifier import audit, keyfiles, ledger, notes
from verifier.app import now, open_database, profiles, reading_store
from verifier.asking import named
from verifier.cli import signing, versions
from verifier.errors import CATALOGUE, Code, ConfigurationError, VerifierError
from verifier.kept import CheckpointFile
from verifier.model.time import iso
from verifier.settings import Settings
from verifier.signatures import sm2
from verifier.sources import offices, read_register, rulebook, sandbox_register, standing
from verifier.store.engine import Database
from verifier.store.room import connections_allowed
from verifier.store.schema import differences, require_current, upgrade
from verifier.store.store import Store


async def findings_of(settings: Settings, kept: bytes | None = None) -> list[audit.Finding]:
    """What is not as it was signed.

    Args:
        settings: where the database, the keys and the kept checkpoint are.
        kept: an earlier checkpoint to compare with, in place of the kept one.

    Raises:
        ConfigurationError: there is no database of this version, or a key is missing or wrong.
    """
    trusted = audit.Trusted(
        settings.origin,
        keyfiles.checkpoint_keys(settings.secrets_dir),
        {key.kid: key for key in keyfiles.published_keys(settings.secrets_dir)},
        CheckpointFile(settings.kept_checkpoint).read() if kept is None else kept,
        [one.key for one in named(settings)],
    )
    async with stored(settings) as store:
        return await store.auditing(lambda tx: audit.check(tx, trusted))


async def fsck(settings: Settings, arguments: argparse.Namespace) -> int:
    """Recompute all from the stored values and compare; 1 if anything is not as it was signed."""
    findings = await findings_of(settings)
    if arguments.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}, ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{finding.kind}: {finding.where}")
        verdict = "发现不一致 · NOT as it was signed" if findings else "与签发时一致 · as it was signed"
        print(f"{len(findings)} 处 · findings: {verdict}")
    return 1 if findings else 0


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Store]:
    """What is stored, to be read beside a running service.

    Raises:
        ConfigurationError: there is no database of this version, or a key is missing or wrong.
        Unavailable: the database does not answer.
    """
    store = reading_store(settings)
    if store.database.file is not None and not store.database.file.is_file():
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "there is no database yet: run `serve`", pointer="database_url"
        )
    try:
        await store.database.read(require_current)
        yield store
    finally:
        await store.database.close()


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    for name, value in answer.items():
        print(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


async def upgrade_schema(settings: Settings, _: argparse.Namespace) -> int:
    """Bring the database's schema up to this version."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    try:
        await database.write(upgrade)
    finally:
        await database.close()
    print("数据库结构已是本版本 · the schema is this version's")
    return 0


async def check_schema(_: Settings, __: argparse.Namespace) -> int:
    """Run all migrations on an empty database, and compare the result with the tables in code."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite+aiosqlite:///{directory}/check.db")
        try:
            await database.write(upgrade)
            found = await database.read(differences)
        finally:
            await database.close()
    for difference in found:
        print(difference)
    print("迁移脚本与表定义一致 · migrations match the tables" if not found else f"{len(found)} differences")
    return 1 if found else 0


async def doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    """Look over the installation: what it is, and what would keep it from starting."""
    results: dict[str, str] = {
        "mode": _mode(settings),
        "sqlite": sqlite3.sqlite_version,
        **_signers(settings),
    }
    configured, wanting = _configured(settings)
    results |= configured
    try:
        sm2.self_test()
        results["sm2"] = "可用：国标示例自检通过 · works: the example of GB/T 32918.5 comes out right"
    except ConfigurationError as error:
        # Nothing is accepted by SM2 then: whatever needs it is refused as our own fault, and not lost.
        wanting = True
        results["sm2"] = f"{error.code}: 本机 libcrypto 不可用于国密 SM2 · {error.detail}"
    try:
        async with stored(settings) as store:
            results |= await _of_database(settings, store)
            room, short = await _connections(settings, store)
            results |= room
            wanting = wanting or short or "adopted" in results
    except VerifierError as error:
        wanting = True
        results["database"] = f"{error.code}: {CATALOGUE[error.code].zh} ({error.detail})"
    _print(dict(results), as_json=arguments.json)
    return 1 if wanting else 0


def _configured(settings: Settings) -> tuple[dict[str, str], bool]:
    """What is said of each file that the service starts from, and whether one is wanting."""
    results, wanting = dict[str, str](), False
    checks: dict[str, Callable[[], object]] = {
        "service keys": lambda: (
            keyfiles.load_fields(settings.secrets_dir),
            keyfiles.load_issuer_keys(settings.secrets_dir),
            keyfiles.every_published(settings.secrets_dir),
        ),
        "policy and register": lambda: rulebook(settings),
        "offices": lambda: offices(settings),
        "profiles": lambda: profiles(settings),
        "witnesses": lambda: named(settings),
        "sandbox register": lambda: sandbox_register(settings, read_register(settings)[0]),
    }
    for name, look in checks.items():
        try:
            look()
            results[name] = "ok"
        except VerifierError as error:
            wanting = True
            results[name] = f"{error.code} [{error.pointer}]: {CATALOGUE[error.code].zh}"
    return results, wanting


def _signers(settings: Settings) -> dict[str, str]:
    """Where the rotation of each signing key stands; that one is missing or wrong was said before."""
    try:
        return {f"{name} key": signing.line(said) for name, said in signing.described(settings).items()}
    except VerifierError:
        return {}


def _mode(settings: Settings) -> str:
    if not settings.workers:
        return "嵌入模式：接收、评定、签发同在一个进程 · embedded: all roles share one process"
    return (
        f"{settings.workers} 个接收进程与一个后台进程；接收进程不持有签发密钥 · "
        f"{settings.workers} web processes without the issuer's keys, and one of background work"
    )


async def _connections(settings: Settings, store: Store) -> tuple[dict[str, str], bool]:
    """Whether the server lets every process have its connections, and whether something is wanting."""
    allowed = await store.database.read(connections_allowed)
    if store.database.dialect == "sqlite":
        wanting = bool(settings.workers)
        said = "SQLite 只能单进程 · SQLite has one process: VERIFIER_WORKERS must be 0"
        return ({"connections": said} if wanting else {}), wanting
    each = settings.database_connections + settings.database_background_connections
    needed = (settings.workers + 1 if settings.workers else 1) * each
    if allowed is None:
        return {"connections": f"至多 {needed} 个，服务器上限未知 · at most {needed}, bound unknown"}, False
    said = f"至多 {needed} 个，服务器允许 {allowed} 个 · at most {needed} of {allowed} that the server allows"
    if needed <= allowed:
        return {"connections": said}, False
    return {"connections": f"{said}：不够，请减少进程或调高 max_connections · too few"}, True


async def _of_database(settings: Settings, store: Store) -> dict[str, str]:
    differing = await _differing(settings, store)
    return {
        "database": "ok",
        **await versions.in_force(store),
        **await cosigned(settings, store),
        **differing,
    }


async def cosigned(settings: Settings, store: Store) -> dict[str, str]:
    """How old each configured witness's last cosignature is."""
    kept, size = {one.witness: one for one in await store.cosignatures()}, 0
    if note := await store.checkpoint():
        size = ledger.parse_checkpoint(notes.split_note(note)[0]).size
    found = {}
    for one in named(settings):
        last = kept.get(one.key.name)
        found[f"witness {one.key.name}"] = (
            "尚无见证签名 · has cosigned nothing yet"
            if last is None
            else f"{last.size}/{size}, {iso(last.at)}（{int((now() - last.at).total_seconds())} s）"
        )
    return found


async def _differing(settings: Settings, store: Store) -> dict[str, str]:
    """Files that are not what was adopted: that is no fault, but nobody should think that they count."""
    try:
        found = await standing(settings, store, *rulebook(settings))
    except VerifierError as error:
        return {"adopted": f"{error.code} [{error.pointer}]: {CATALOGUE[error.code].zh}"}
    return {
        f"{one.kind} {one.what}".rstrip(): (
            f"文件与 {iso(one.since)} 采纳者不同，以已采纳者为准；见 {one.kind} adopt · "
            "the file is not what was adopted, which counts"
        )
        for one in found.differences
    }
