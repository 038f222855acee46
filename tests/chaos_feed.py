"""Kills whoever writes the ledger and whoever pulls it, again and again: ``make chaos``.

The real service on a real database is given a full outbox, with decisions among it, and issues it; at the
same time it serves the feed to ``verifier pull --follow``. Both are killed (``kill -9``) every few seconds,
each by a clock of its own that runs once it has got something done, and started again. Once everything was
issued and pulled it is compared:

1. the ledger is dense from 0, each item of the outbox is in it exactly once, and its root is the signed one;
2. the copy has the same leaf hashes in the same order, and the bodies that its client may see, no others;
3. the effects happened exactly once: the counts that the copy adds up are those of the ledger's entries;
4. each record is in the copy once, and the right edge of the copy's tree has the root of the last checkpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, select, text

from tests.functional import world as worlds
from tests.functional.conftest import PostgreSQL, migrated
from tests.functional.process import CLIENT_JWK, CLIENT_KEY, SERVE, Process
from tests.functional.world import FACTORY, ORIGIN, Installation, World
from verifier.cli.simulator import person
from verifier.keyfiles import checkpoint_keys, pem, write_secret
from verifier.ledger import parse_checkpoint, verifier_key, verify_note
from verifier.merkle import Frontier, leaf_hash
from verifier.settings import PREFIX
from verifier.signatures.keys import public_jwk
from verifier.store import tables
from verifier.store.engine import Database
from verifier.web.feed import FOR_ALL

SHOWN_OFFICE, OTHER_OFFICE = "652301", "652302"
CHUNK: Final = 10_000
LOOK_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 120.0
"""Without any entry being issued or pulled: then something is stuck."""
KINDS: Final = (
    (("claim", SHOWN_OFFICE),) * 6
    + (("claim", OTHER_OFFICE),) * 2
    + (
        ("clawback", SHOWN_OFFICE),
        ("adoption", ""),
    )
)


@dataclass
class Figures:
    """What was done, and what is amiss with it.

    Attributes:
        writer_kills, consumer_kills: while there was still something to do.
    """

    seed: int
    entries: int = 0
    records: int = 0
    writer_kills: int = 0
    consumer_kills: int = 0
    seconds: float = 0.0
    amiss: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """What there is to do, and how it is disturbed; as the command's arguments."""

    entries: int
    people: int
    every: float
    page: int = 2000


@dataclass
class Victim:
    """A process that is killed at random moments, and started again at once."""

    directory: Path
    variables: Mapping[str, str]
    arguments: Sequence[str]
    every: float
    random: Random
    kills: int = 0
    began: int = 0
    due: float = 0.0
    process: Process | None = None

    def start(self, done: int = 0) -> None:
        self.process = Process(self.directory, self.variables, self.arguments)
        self.began, self.due = done, 0.0

    def strike(self, done: int) -> None:
        """Kill it if its time has come.

        Args:
            done: how far its work has come.
        """
        assert self.process is not None
        if done == self.began:
            return
        if not self.due:
            # The first time at once: however little there is to do, it is struck in the midst of it.
            self.due = time.monotonic() + self.random.uniform(0, 2 * self.every) * bool(self.kills)
        if time.monotonic() >= self.due:
            self.process.kill()
            self.process.log.unlink()
            self.kills += 1
            self.start(done)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()


# --- what there is to write ---------------------------------------------------------------------------------


async def fill(world: World, entries: int, people: int) -> None:
    """Decisions of some people, and before and behind them announcements in bulk; nothing is issued yet."""
    everybody = [person(serial, "阿依古丽") for serial in range(people)]
    await world.employ(FACTORY, *everybody)
    courses = [world.course(f"N-{place}", one) for place, one in enumerate(everybody)]
    for start in range(0, people, 100):
        group = courses[start : start + 100]
        await world.post(
            *(world.cvt.delivery(world.cvt.completed(one), world.new_id(), world.now) for one in group)
        )
    await world.evaluate()
    await world.operations.add_client(
        {"client": "consumer", "role": "subsidy", "offices": SHOWN_OFFICE, "jwk": CLIENT_JWK}
    )
    for start in range(0, entries, CHUNK):
        rows = [_announced(world, place, entries) for place in range(start, min(start + CHUNK, entries))]
        await world.store.database.write(partial(_insert, rows))


def _insert(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    connection.execute(tables.outbox.insert(), rows)


def _announced(world: World, place: int, entries: int) -> dict[str, Any]:
    kind, office = KINDS[place % len(KINDS)]
    body = {"item": place, "office": office, "month": f"2021-{place % 12 + 1:02}"}
    days = -1 if place < entries // 2 else 1
    return {
        "outbox_id": f"{place:032x}",
        "kind": kind,
        "reference": f"item-{place}",
        "body": json.dumps(body),
        "created_at": world.now + timedelta(days=days, microseconds=place),
    }


# --- the run ------------------------------------------------------------------------------------------------


async def run(url: str, directory: Path, installation: Installation, figures: Figures, load: Load) -> World:
    """Fill an empty database of this version, issue and pull under fire, compare."""
    world = await worlds.over(url, installation)
    await fill(world, load.entries, load.people)
    await world.store.database.close()
    _outside(directory, world)
    port = _free_port()
    random = Random(figures.seed)  # noqa: S311 - not for secrecy
    serving = _environment(directory, world, url, port)
    writer = Victim(directory, serving, SERVE, load.every, random)
    consumer = Victim(directory, {}, _pull(directory, port, load.page), load.every, random)
    database = Database(url, read_only=True)
    started = time.monotonic()
    try:
        writer.start()
        consumer.start()
        await _under_fire(database, directory, writer, consumer)
    finally:
        writer.stop()
        consumer.stop()
    figures.seconds = round(time.monotonic() - started, 1)
    figures.writer_kills, figures.consumer_kills = writer.kills, consumer.kills
    await compare(database, directory, world, figures, load.entries)
    await database.close()
    return world


async def _under_fire(database: Database, directory: Path, writer: Victim, consumer: Victim) -> None:
    """Strike until everything was issued and pulled."""
    moved, before = time.monotonic(), (0, 0)
    while True:
        size, left = await database.read(_left)
        pulled = _pulled(directory)
        if not left and pulled == size:
            return
        if (size, pulled) != before:
            moved, before = time.monotonic(), (size, pulled)
        elif time.monotonic() - moved > PATIENCE_SECONDS:
            said = _said(writer, consumer)
            raise AssertionError(f"nothing moves: {size} entries, {pulled} pulled\n{said}")
        writer.strike(size)
        consumer.strike(pulled)
        await asyncio.sleep(LOOK_SECONDS)


def _said(*victims: Victim) -> str:
    return "\n".join(one.process.said[-2000:] for one in victims if one.process is not None)


def _left(connection: Connection) -> tuple[int, int]:
    """Entries of the ledger, and whether something waits for the issuer."""
    size = connection.execute(text("select size from ledger_head")).scalar_one_or_none() or 0
    waits = "select (select count(*) from (select 1 from outbox limit 1) o)"
    waits += " + (select count(*) from (select 1 from evidence where position is null limit 1) e)"
    return size, int(connection.execute(text(waits)).scalar_one())


def _pulled(directory: Path) -> int:
    """How many entries the copy has."""
    path = directory / "copy.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=10)) as copy:
            return int(copy.execute("select next from cursor").fetchone()[0]) + 1
    except sqlite3.OperationalError:
        return 0  # it is just being begun


def _outside(directory: Path, world: World) -> None:
    """What the consumer was given another way: its own key, the log's and the issuer's."""
    assert isinstance(CLIENT_KEY.private, ec.EllipticCurvePrivateKey)
    write_secret(directory / "client.pem", pem(CLIENT_KEY.private))
    (directory / "vkey").write_text(verifier_key(ORIGIN, _log_key(world)))
    jwks = {"keys": [public_jwk(world.issuer_keys.record.verification_key)]}
    (directory / "jwks.json").write_text(json.dumps(jwks))


def _log_key(world: World) -> Ed25519PublicKey:
    return checkpoint_keys(world.installation.secrets_dir)[0]


def _environment(directory: Path, world: World, url: str, port: int) -> dict[str, str]:
    chosen = {
        "DATA_DIR": directory,
        "DATABASE_URL": url,
        "SECRETS_DIR": world.installation.secrets_dir,
        "REGISTER": world.installation.sandbox.register,
        "PORT": port,
        "BASE_URL": f"http://127.0.0.1:{port}",
        "ORIGIN": ORIGIN,
    }
    return {PREFIX + name: str(value) for name, value in chosen.items()}


def _pull(directory: Path, port: int, page: int) -> list[str]:
    return [
        "-m", "verifier", "pull", "--from", f"http://127.0.0.1:{port}", "--client", "consumer", "--follow",
        "--key", str(directory / "client.pem"), "--vkey", str(directory / "vkey"),
        "--jwks", str(directory / "jwks.json"), "--page", str(page),
        "--to", f"sqlite:{directory / 'copy.db'}",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- what came of it ----------------------------------------------------------------------------------------


@dataclass
class _Books:
    """The ledger, entry by entry, as it should stand in the copy."""

    edge: Frontier = field(default_factory=Frontier)
    items: Counter[int] = field(default_factory=Counter)
    totals: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    records: set[str] = field(default_factory=set)
    amiss: list[str] = field(default_factory=list)

    def add(self, row: Any, copied: Any) -> None:
        """An entry of the ledger beside what the copy has in its place."""
        position, kind, body, leaf, office = (
            row.position,
            row.kind,
            bytes(row.body),
            bytes(row.leaf_hash),
            row.office,
        )
        said = json.loads(body)
        if (position, said["index"], leaf) != (self.edge.size, self.edge.size, leaf_hash(body)):
            self.amiss.append(f"the ledger is not dense, or an entry is not its hash's, at {position}")
        self.edge, _ = self.edge.append([leaf])
        shown = office == SHOWN_OFFICE or (not office and kind in FOR_ALL)
        if copied != (position, leaf, kind if shown else None, body if shown else None):
            self.amiss.append(f"the copy has something else at {position}")
        if "item" in said:
            self.items[said["item"]] += 1
        if shown:
            self.totals[kind, said.get("month") or "", said.get("office") or ""] += 1
        if shown and kind == "record":
            self.records.add(said["record"])


async def compare(database: Database, directory: Path, world: World, figures: Figures, entries: int) -> None:
    """Enter into the figures what is amiss, and how many entries and records there are."""
    books = _Books()
    with closing(sqlite3.connect(directory / "copy.db")) as copy:
        copied = copy.execute("select position, leaf_hash, kind, body from entries order by position")
        while page := await database.read(lambda connection: _page(connection, books.edge.size)):
            for row in page:
                books.add(row, copied.fetchone())
        if copied.fetchone() is not None:
            books.amiss.append("the copy has entries that the ledger has not")
        totals = {row[:3]: row[3] for row in copy.execute("select kind, month, office, entries from totals")}
        records = Counter(name for (name,) in copy.execute("select record_id from records"))
        [(frontier,)] = copy.execute("select frontier from cursor")
    if books.items != Counter(range(entries)):
        books.amiss.append("an item is not in the ledger exactly once")
    if totals != books.totals:
        books.amiss.append("an effect did not happen exactly once")
    if records != Counter(books.records):
        books.amiss.append("a record is not in the copy exactly once")
    size, note = await database.read(_head)
    checkpoint = parse_checkpoint(verify_note(note, {ORIGIN: _log_key(world)}))
    edge = Frontier(size, tuple(bytes.fromhex(node) for node in json.loads(frontier)))
    if not edge.root() == books.edge.root() == checkpoint.root:
        books.amiss.append("the roots of ledger, copy and checkpoint differ")
    figures.amiss, figures.entries, figures.records = books.amiss, size, len(books.records)


def _page(connection: Connection, start: int) -> Sequence[Any]:
    table = tables.entries
    return connection.execute(
        select(table).where(table.c.position >= start).order_by(table.c.position).limit(CHUNK)
    ).all()


def _head(connection: Connection) -> tuple[int, bytes]:
    row = connection.execute(select(tables.ledger_head)).one()
    return row.size, bytes(row.checkpoint)


# --- the command --------------------------------------------------------------------------------------------


@contextmanager
def _place(*, postgresql: bool) -> Iterator[tuple[Path, str]]:
    """A directory, and the address of an empty database."""
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        if not postgresql:
            yield directory, f"sqlite+aiosqlite:///{directory}/verifier.db"
            return
        server = PostgreSQL(directory / "pg")
        try:
            server.run("create database chaos")
            yield directory, server.url("chaos")
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--entries", type=int, default=100_000, help="announced besides the records")
    parse.add_argument("--people", type=int, default=500, help="each of whom gets a record")
    parse.add_argument("--every", type=float, default=5.0, help="seconds of work between kills, on average")
    parse.add_argument("--page", type=int, default=2000, help="entries of one answer")
    parse.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parse.add_argument("--postgresql", action="store_true", help="on a PostgreSQL server of its own")
    given = parse.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201 - a command
    figures = Figures(given.seed)
    load = Load(given.entries, given.people, given.every, given.page)
    with _place(postgresql=given.postgresql) as (directory, url):
        installation = worlds.install(directory / "keys")
        asyncio.run(migrated(url))
        asyncio.run(run(url, directory, installation, figures, load))
    print(json.dumps(asdict(figures), indent=1))  # noqa: T201 - a command
    return 1 if figures.amiss else 0


if __name__ == "__main__":
    sys.exit(main())
