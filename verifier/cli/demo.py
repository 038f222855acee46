"""``verifier demo``: the real service in a sandbox of its own, and everybody who talks to it.

1. a fresh directory: service keys, platform keys, trust register, clients' keys;
2. the service in this process, on SQLite, listening on the loopback address;
3. clients are registered, enterprises admitted, rosters uploaded;
4. simulated platforms, enterprises and subsidy systems play every row of ``scenario.ROWS`` over HTTP;
5. what came of it is shown beside what was expected, one decision is explained, and all is checked offline.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec

from verifier import keyfiles
from verifier.app import Service, compose
from verifier.cli import sandbox, scenario
from verifier.cli.scenario import ENTERPRISES, OFFICE, WORKERS, Row
from verifier.cli.scenario_acts import ACTS, roster_row, upload
from verifier.cli.scenario_print import console, print_address, print_proof, print_results, print_trace
from verifier.cli.scenario_proof import prove
from verifier.cli.scenario_stage import Stage
from verifier.cli.simulator import ChinaVocationalTraining, NewOccupation
from verifier.errors import Code, ConfigurationError, VerifierError
from verifier.settings import Settings
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.store.engine import FileLock

MARKER: Final = ".verifier-demo"
"""Only a directory that holds this file is ever emptied."""
EXPLAINED: Final = "nurali"
"""Whose decision is explained: a refusal, with one clause not met."""

CLIENTS: Final = {
    **{name: {"role": "enterprise", "enterprises": one.uscc} for name, one in ENTERPRISES.items()},
    "subsidy-a": {"role": "subsidy", "offices": OFFICE},
    "subsidy-b": {"role": "subsidy", "offices": OFFICE},
    "auditor": {"role": "auditor"},
    "platform-cvt": {"role": "platform", "platform": sandbox.CVT},
    "platform-skm": {"role": "platform", "platform": sandbox.SKM},
}


async def run(directory: Path, *, once: bool, port: int) -> int:
    """Run the demonstration.

    Args:
        directory: for everything it makes; emptied first, if it is an earlier demonstration's.
        once: end when it is shown, instead of staying up.
        port: TCP port to listen on; 0 takes a free one.

    Returns:
        0 if everything came as expected, else 1.

    Raises:
        ConfigurationError: the directory holds something else, or another demonstration runs in it.
    """
    out = console()
    with _emptied(directory), _log_to(directory / "service.log"):
        settings = _settings(directory, port or _free_port())
        out.print(f"沙箱 · sandbox: {directory}")
        made = _make_keys(settings)
        async with _served(settings) as service, _session(settings) as session:
            out.print(f"服务已启动 · listening on {settings.base_url}")
            senders = ChinaVocationalTraining(made), NewOccupation(made)
            stage = Stage(service, session, _client_keys(directory), *senders, made)
            await _enrol(stage)
            results = [(row, await _play(stage, row)) for row in scenario.ROWS]
            print_results(out, results)
            proof = await prove(stage)
            person = WORKERS[EXPLAINED].person
            record_id = next((one.claims["jti"] for one in stage.records_of(person)), "")
            if record_id:
                print_trace(out, person, await service.operations.run("explain", {"id": record_id}))
            print_proof(out, proof)
            if not once:
                print_address(out, settings.base_url, directory, record_id)
                await _told_to_stop()
    return 0 if proof.good and all(got == row.expected for row, got in results) else 1


async def _play(stage: Stage, row: Row) -> str:
    try:
        return await ACTS[row.key](stage)
    except (VerifierError, aiohttp.ClientError, LookupError, ValueError) as error:
        # A service that answers with something else altogether fails its row, not the demonstration.
        return f"中断：{type(error).__name__}"


# --- the sandbox --------------------------------------------------------------------------------------------


@contextmanager
def _emptied(directory: Path) -> Iterator[None]:
    """Hold the directory, emptied of what an earlier demonstration left."""
    marker = directory / MARKER
    if directory.exists() and not marker.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the directory is not a demonstration's", pointer="directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    lock = FileLock(marker)
    try:
        for found in directory.iterdir():
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            elif found != marker:
                found.unlink()
        yield
    finally:
        lock.close()


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """The service's log goes into a file, so that the demonstration can be read."""
    log = logging.getLogger("verifier")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
        handler.close()


def _settings(directory: Path, port: int) -> Settings:
    return Settings(
        data_dir=directory,
        register=directory / "sandbox" / "trust.toml",
        port=port,
        base_url=f"http://127.0.0.1:{port}",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _make_keys(settings: Settings) -> sandbox.Sandbox:
    keyfiles.create(settings.secrets_dir, os.urandom)
    return sandbox.create(settings.register.parent, settings.secrets_dir, os.urandom)


def _client_keys(directory: Path) -> dict[str, SigningKey]:
    """A key for each client, kept beside the sandbox, so that it can be used while the service stays up."""
    folder = directory / "clients"
    folder.mkdir(mode=0o700)
    made = {}
    for name in CLIENTS:
        private = ec.generate_private_key(ec.SECP256R1())
        keyfiles.write_secret(folder / f"{name}.pem", keyfiles.pem(private))
        made[name] = SigningKey(name, Algorithm.ES256, private)
    return made


# --- the service --------------------------------------------------------------------------------------------


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[Service]:
    service = compose(settings)
    try:
        await service.start()
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    # The first document waits for a process that reads it to be started, which a busy machine is slow at.
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(settings.base_url, timeout=timeout) as session:
        yield session


async def _enrol(stage: Stage) -> None:
    """The operator's part, then the rosters."""
    operate = stage.service.operations.run
    for name, scope in CLIENTS.items():
        jwk = json.dumps(keys.public_jwk(stage.keys[name].verification_key))
        await operate("clients add", {"client": name, "jwk": jwk, **scope})
    for one in ENTERPRISES.values():
        admission = {"uscc": one.uscc, "name": one.name, "office": OFFICE, "from": "2021-01-01"}
        await operate("enterprises admit", admission)
    for client in ENTERPRISES:
        rows = [roster_row(who) for who, worker in WORKERS.items() if client in worker.employers]
        answer = await upload(stage, client, rows)
        if not answer.json.get("taken"):
            raise ConfigurationError(detail="a roster was not taken", pointer=client)


async def _told_to_stop() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
