"""What cannot be passed: a bare endpoint, bare verification, bare inserts; on this machine, in this run."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from benchmarks import bare, load, places, programs, sending
from benchmarks.figures import Figure, latencies
from benchmarks.places import Place
from verifier.cli.sandbox import CVT
from verifier.store import tables
from verifier.store.engine import Database
from verifier.store.schema import upgrade

ENDPOINT: Final = "bare aiohttp endpoint: reads the body and answers"
VERIFICATION: Final = "bare ES256 verification, one library call"
INSERTS: Final = "bare inserts of the rows of one callback"
TOGETHER: Final = 200
"""Callbacks in one transaction of the bare inserts; the service's groups have at most as many."""
ROWS: Final[Mapping[str, int]] = {
    "deliveries": 1,
    "certificates": 1,
    "completions": 1,
    "facts": 1,
    "decisions": 1,
    "slots": 1,
    "outbox": 1,
    "evidence": 3,
}
"""What one callback inserts about somebody who is listed: rows by table."""
Sample = Mapping[str, Sequence[tuple[Any, ...]]]
Group = Sequence[tuple[str, Sequence[tuple[Any, ...]]]]


def fsync_ms(directory: Path) -> dict[str, float]:
    """How long one small write takes until it is durable, in milliseconds."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1000)
    ordered = sorted(times)
    return {"p50": median(times), "p99": ordered[int(len(ordered) * 0.99)]}


def endpoint(made: Place, count: int, connections: int) -> Figure:
    """A bare aiohttp endpoint, under the same requests as the service gets."""
    port = programs.free_port()
    requests = [one.request for one in sending.singles(made, range(count), "bare", "/x")]
    command = ["-m", "benchmarks.bare_endpoint", str(port)]
    with programs.running(command, port, made.directory / "bare.log") as program:
        asyncio.run(load.closed(port, requests[: count // 10], connections))
        before = program.cpu()
        outcome = asyncio.run(load.closed(port, requests, connections))
        cpu = (program.cpu() - before).each(count)
        told = {"latency_ms": latencies(outcome), "cpu_us": cpu, "statuses": outcome.statuses}
        return Figure("limits", ENDPOINT, outcome.rate, memory_mb=program.peaks_mb(), **told)  # type: ignore[arg-type] # members of Figure


# --- verification


def verification(seconds: float) -> list[Figure]:
    """The library's call alone: on one core, and on all of them by as many processes."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(bare.verifications, [0.01] * cores))  # started, and imported
        together = sum(pool.map(bare.verifications, [seconds] * cores))
    return [
        Figure("limits", f"{VERIFICATION}, one core", bare.verifications(seconds)),
        Figure("limits", f"{VERIFICATION}, {cores} cores", together),
    ]


# --- inserts


_WHICH: Final[Mapping[str, str]] = {
    "deliveries": f"where platform = '{CVT}'",
    "facts": "where kind = 'completion'",
    "evidence": "where source_table in ('deliveries', 'facts', 'decisions')",
}
_MOST: Final = 5_000


def _look(connection: Connection) -> Sample:
    found: dict[str, Sequence[tuple[Any, ...]]] = {}
    for name, each in ROWS.items():
        if name != "outbox":
            columns = ", ".join(column.name for column in tables.metadata.tables[name].columns)
            which = f"{_WHICH.get(name, '')} limit {_MOST * each}"
            rows = connection.execute(text(f"select {columns} from {name} {which}"))  # noqa: S608 - our own names
            found[name] = [tuple(row) for row in rows]
    # What waited for the issuer is gone; its row named the decision.
    found["outbox"] = [(row[0], "decision", row[0], "{}", row[5]) for row in found["decisions"]]
    return found


async def sample(url: str) -> Sample:
    """Rows that a service wrote for single callbacks, by table."""
    database = Database(url, read_only=True)
    try:
        return await database.read(_look)
    finally:
        await database.close()


def _groups(rows: Sample) -> list[Group]:
    """The rows in transactions, each the same number of callbacks."""
    count = min(len(rows[name]) // each for name, each in ROWS.items())
    return [
        [
            (name, list(rows[name][start * each : min(start + TOGETHER, count) * each]))
            for name, each in ROWS.items()
        ]
        for start in range(0, count, TOGETHER)
    ]


def inserts(made: Place, store: str, rows: Sample) -> Figure:
    """The same rows into a fresh database of the same schema: prepared, in batches, each made durable."""
    groups = _groups(rows)
    count = sum(len(group[0][1]) for group in groups)
    name = f"{INSERTS}, {TOGETHER} together"
    if not count:
        return Figure("limits", name, None, store=store, note="the service wrote too few rows")
    with places.database(store, made, "inserts") as url:
        return Figure("limits", name, count / asyncio.run(_inserted(store, url, groups)), store=store)


async def _inserted(store: str, url: str, groups: Sequence[Group]) -> float:
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    begun = time.perf_counter()
    await (_into_sqlite if store == places.SQLITE else _into_postgresql)(url, groups)
    return time.perf_counter() - begun


async def _into_sqlite(url: str, groups: Sequence[Group]) -> None:
    connection = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    for group in groups:
        connection.execute("begin immediate")
        for name, rows in group:
            places_ = ", ".join("?" * len(rows[0]))
            connection.executemany(f"insert into {name} values ({places_})", rows)  # noqa: S608 - our own names
        connection.execute("commit")
    connection.close()


async def _into_postgresql(url: str, groups: Sequence[Group]) -> None:
    address = make_url(url)
    connection = await asyncpg.connect(
        host=address.query["host"], user=address.username, database=address.database
    )
    for group in groups:
        async with connection.transaction():
            for name, rows in group:
                values = ", ".join(f"${place}" for place in range(1, len(rows[0]) + 1))
                await connection.executemany(f"insert into {name} values ({values})", rows)  # noqa: S608 - as above
    await connection.close()
