"""CPU time of one callback by parts: answered over HTTP, prepared, recorded, issued, looked at for signals.

    python -m benchmarks.intake [--callbacks N] [--groups 1,20,200] [--stores sqlite,postgresql] [--json]
                                [--profile FILE] [--page docs/performance.md]

Seconds are the CPU time of this process, all its threads together, so that neither a second core nor what
else the machine does counts. Everybody is on the roster of an admitted enterprise, so that each callback
comes to a grant. Who sends over HTTP, and the database server, are processes of their own; what the
server's take is given beside.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table

from benchmarks import bare as bare_library
from benchmarks.report import fill_in
from benchmarks.sender import send
from tests.functional import web_fakes
from tests.functional import world as worlds
from tests.functional.conftest import PostgreSQL
from tests.functional.world import BY_SLUG, FACTORY, World, row
from verifier import parts
from verifier.cli.simulator import Delivery, person
from verifier.loops import LoopThread, collect_seldom
from verifier.model.delivery import (
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)
from verifier.policy.thresholds import load_thresholds
from verifier.ports import Adapter
from verifier.preparing import Prepared
from verifier.settings import Settings
from verifier.signalling import SignalWorker
from verifier.store.engine import Database
from verifier.store.schema import upgrade

CALLBACKS: Final = 2000
SINGLE: Final = 300
"""Callbacks in groups of one: these are slow, and more of them say nothing new."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """What one callback takes.

    Attributes:
        own: microseconds of CPU time of this process.
        server: of the database server's processes, where it has any.
    """

    name: str
    own: float
    server: float = 0.0


@contextmanager
def profiled(path: str) -> Iterator[None]:
    """Write a profile of this thread; nothing without a path."""
    if not path:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    profile.dump_stats(path)


@asynccontextmanager
async def profiled_there(thread: LoopThread, path: str) -> AsyncIterator[None]:
    """Write a profile of the thread in which transactions that write run; nothing without a path."""
    if not path:
        yield
        return
    profile = cProfile.Profile()

    async def begin() -> None:
        profile.enable()

    async def end() -> None:
        profile.disable()

    await thread.run(begin())
    yield
    await thread.run(end())
    profile.dump_stats(path)


def deliveries(world: World, count: int, first: int = 0) -> list[Delivery]:
    """One completion each of that many people, signed by their platform."""
    return [
        world.cvt.delivery(
            world.cvt.completed(world.course(f"N-{n}", person(n, "张三"))), world.new_id(), world.now
        )
        for n in range(first, first + count)
    ]


def prepared(world: World, sent: Sequence[Delivery]) -> tuple[list[Prepared], Figure]:
    """Steps 1 to 4b of each."""
    begun = process_time()
    found = [world.prepared(delivery) for delivery in sent]
    return found, Figure("prepared", (process_time() - begun) / len(sent) * 1e6)


async def employed(world: World, count: int) -> None:
    """Everybody is on the roster of an admitted enterprise."""
    await world.roster(FACTORY, [row(person(n, "张三")) for n in range(count)])
    await world.admit(FACTORY)
    await world.evaluate()


def _jiffies(pids: Iterable[int]) -> float:
    """Seconds of CPU time of processes and their descendants."""
    total, found = 0.0, set(pids)
    stats = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            stats[int(place.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    while more := {pid for pid, (parent, _) in stats.items() if parent in found} - found:
        found |= more
    for pid in found & stats.keys():
        total += stats[pid][1] / _TICKS
    return total


async def recorded(
    world: World, waiting: Sequence[Prepared], together: int, kind: str, server: Sequence[int], path: str
) -> Figure:
    """Step 5 and the commit, in groups of one size: the median of all groups."""
    name = f"recorded, groups of {together}, {kind}"
    gc.collect()
    base, each = _jiffies(server) if server else 0.0, []
    async with profiled_there(world.store.database._writing, f"{path}.{kind}.{together}" if path else ""):  # noqa: SLF001 - there is no other way into that thread
        for start in range(0, len(waiting), together):
            begun = process_time()
            outcomes = await world.commit(waiting[start : start + together])
            each.append((process_time() - begun) / len(outcomes))
            assert all(item.state is ItemState.ACCEPTED for one in outcomes for item in one.items)
    theirs = _jiffies(server) - base if server else 0.0
    return Figure(name, median(each) * 1e6, theirs / len(waiting) * 1e6)


async def followed(world: World, callbacks: int, kind: str, server: Sequence[int]) -> list[Figure]:
    """What follows a callback: its record is issued, and its learner looked at for signals."""
    worker = SignalWorker(
        world.store, load_thresholds(Settings().signals.read_bytes()), world.clock, _Unheard()
    )

    async def signals() -> None:
        while await worker.step():
            pass

    figures = []
    for name, work in (("issued", world.issue), ("looked at for signals", signals)):
        base, begun = _jiffies(server) if server else 0.0, process_time()
        await work()
        own, theirs = process_time() - begun, _jiffies(server) - base if server else 0.0
        figures.append(Figure(f"{name}, {kind}", own / callbacks * 1e6, theirs / callbacks * 1e6))
    return figures


class _Unheard:
    def counted(self, signals: Mapping[tuple[str, str], int]) -> None:
        """Nobody asks how many there are."""


async def over(
    url: str, kind: str, directory: Path, chosen: argparse.Namespace, server: Sequence[int]
) -> list[Figure]:
    """All group sizes on one database."""
    groups = [int(size) for size in chosen.groups.split(",")]
    counts = {size: SINGLE if size == 1 else chosen.callbacks for size in groups}
    installation = worlds.install(directory)
    world = await worlds.over(url, installation)
    world.new_id = parts.new_id  # type: ignore[method-assign] # as a service makes them
    await employed(world, sum(counts.values()) + chosen.warm)
    # Whatever is only done once in a process is done before.
    warm, _ = prepared(world, deliveries(world, chosen.warm, sum(counts.values())))
    await world.commit(warm[: chosen.warm // 2])
    for one in warm[chosen.warm // 2 :]:
        await world.commit([one])
    # As a service has done by then; and what the rosters left to be issued and looked at.
    await world.store.analyse()
    await followed(world, chosen.warm, kind, ())
    figures, preparing, first = [], [], 0
    for size, count in counts.items():
        waiting, figure = prepared(world, deliveries(world, count, first))
        first += count
        preparing.append(figure)
        figures.append(await recorded(world, waiting, size, kind, server, chosen.profile))
    [(granted,)] = await world.sql("select count(*) from decisions where state = 'granted'")
    assert granted == first + chosen.warm
    figures += await followed(world, first, kind, server)
    await world.store.database.close()
    return [*preparing[-1:], *figures] if kind == "sqlite" else figures


# --- the bare parts


def bare_calls() -> list[Figure]:
    """The library's calls for the certificate's signature and for the record's."""
    key, data = ec.generate_private_key(ec.SECP256R1()), b"x" * 1_000
    algorithm = ec.ECDSA(hashes.SHA256())
    begun = process_time()
    for _ in range(2_000):
        key.sign(data, algorithm)
    signing = (process_time() - begun) / 2_000
    return [
        Figure("bare ES256 verification", 1e6 / bare_library.verifications(0.2)),
        Figure("bare ES256 signature", signing * 1e6),
    ]


# --- over HTTP ----------------------------------------------------------------------------------------------


def _request(delivery: Delivery) -> bytes:
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(delivery.body)), **delivery.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {delivery.target} HTTP/1.1\r\n{lines}\r\n".encode() + delivery.body


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """The web part alone: whatever comes is accepted."""

    async def submit(adapter: Adapter, callback: Callback) -> DeliveryOutcome:
        del adapter
        delivery = DeliveryId(callback.headers.one("webhook-id"))
        return DeliveryOutcome(delivery, DeliveryState.ACCEPTED, (ItemOutcome("0", ItemState.ACCEPTED),))

    async with web_fakes.serving(adapters=BY_SLUG, submit=submit) as serving:
        yield serving.port


async def answered(requests: Sequence[bytes], path: str) -> Figure:
    """Step 1, the answer, and all that the server does around them."""
    async with listening() as port:
        context = multiprocessing.get_context("spawn")
        spent = 0.0
        for sent in (requests[:200], requests):
            sender = context.Process(target=send, args=(port, sent))
            sender.start()
            begun = process_time()
            with profiled(f"{path}.http" if path and sent is requests else ""):
                await asyncio.to_thread(sender.join)
            spent = process_time() - begun
            assert sender.exitcode == 0
    return Figure("answered over HTTP", spent / len(requests) * 1e6)


async def bare(requests: Sequence[bytes]) -> Figure:
    """The same from an aiohttp handler that only reads the body."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/callbacks/{platform}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    context = multiprocessing.get_context("spawn")
    spent = 0.0
    for sent in (requests[:200], requests):
        sender = context.Process(target=send, args=(listener.getsockname()[1], sent))
        sender.start()
        begun = process_time()
        await asyncio.to_thread(sender.join)
        spent = process_time() - begun
    await runner.cleanup()
    return Figure("bare aiohttp handler", spent / len(requests) * 1e6)


async def _upgraded(url: str) -> str:
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    return url


def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All that was asked for."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stores = [one for one in chosen.stores.split(",") if one]
        if "http" in stores:
            installation = worlds.install(directory / "http")
            requests = asyncio.run(_requests(directory, installation, chosen.callbacks))
            figures += bare_calls()
            figures.append(asyncio.run(bare(requests)))
            figures.append(asyncio.run(answered(requests, chosen.profile)))
        if "sqlite" in stores:
            url = asyncio.run(_upgraded(f"sqlite+aiosqlite:///{name}/verifier.db"))
            figures += asyncio.run(over(url, "sqlite", directory / "s", chosen, ()))
        if "postgresql" in stores:
            figures += _on_postgresql(directory, chosen)
    return figures


async def _requests(directory: Path, installation: worlds.Installation, count: int) -> list[bytes]:
    url = await _upgraded(f"sqlite+aiosqlite:///{directory}/requests.db")
    world = await worlds.over(url, installation)
    made = [_request(delivery) for delivery in deliveries(world, count)]
    await world.store.database.close()
    return made


def _on_postgresql(directory: Path, chosen: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="pg-") as place:
        server = PostgreSQL(Path(place))
        try:
            server.prepare()
            server.run("alter system set fsync = on", "select pg_reload_conf()")
            pid = int((Path(place) / "postmaster.pid").read_text().splitlines()[0])
            return asyncio.run(over(server.url(server.lend()), "postgresql", directory / "p", chosen, [pid]))
        finally:
            server.stop()


def markdown(figures: Sequence[Figure]) -> str:
    """The table for a page."""
    rows = ["| CPU time of a callback | µs | µs of the database server |", "|---|---|---|"]
    rows += [
        f"| {one.name} | {one.own:,.0f} | {f'{one.server:,.0f}' if one.server else ''} |" for one in figures
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.intake", description=__doc__)
    parser.add_argument("--callbacks", type=int, default=CALLBACKS)
    parser.add_argument("--warm", type=int, default=200, help="callbacks before those that count")
    parser.add_argument("--groups", default="1,20,200")
    parser.add_argument("--stores", default="http,sqlite,postgresql")
    parser.add_argument("--profile", default="", help="write profiles to files that begin so")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="a page on which to fill in the table")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen)
    console = Console(width=110)
    if chosen.page:
        fill_in(chosen.page, "parts", markdown(figures))
    if chosen.json:
        console.print_json(json.dumps([{"kind": f.name, "own": f.own, "server": f.server} for f in figures]))
    else:
        table = Table("CPU time of a callback", "µs", "µs of the database server")
        for one in figures:
            table.add_row(one.name, f"{one.own:,.0f}", f"{one.server:,.0f}" if one.server else "")
        console.print(table)
    return 0


if __name__ == "__main__":
    collect_seldom()  # as the service does
    sys.exit(main(sys.argv[1:]))
