"""This service under load: callbacks, batches, an enterprise's questions, the feed, the issuer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from benchmarks import calling, founding, limits, load, places, programs, sending
from benchmarks.books import Books, compare, look
from benchmarks.calling import AUDITOR, ENTERPRISE, SUBSIDY, Caller
from benchmarks.figures import Figure, Goal, latencies
from benchmarks.limits import Sample
from benchmarks.load import Outcome
from benchmarks.places import Place
from benchmarks.programs import Cpu, Running
from benchmarks.sending import People, Sent
from verifier.settings import Settings

BATCH: Final = 50
BATCH_CONNECTIONS: Final = 8
STATUS_ROUNDS: Final = 5
FEW_WAIT: Final = 200
"""With fewer records left at the end of a load, how soon they are signed says nothing of a rate."""
CALLBACKS: Final = "callbacks, one completion each"
_AT_GOAL_RATE: Final = 2_000.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything.

    Attributes:
        singles: callbacks of the closed loop.
        batched: completions that come in batches.
        rates: due per second, a run each.
        seconds: of each of these runs.
        asked: people in one status question.
        warming: callbacks before anything is measured.
    """

    singles: int = 12_000
    batched: int = 20_000
    rates: tuple[float, ...] = (250.0, 500.0, 1_000.0, 2_000.0)
    seconds: float = 5.0
    asked: int = 10_000
    warming: int = 500
    connections: int = 64

    @property
    def people(self) -> int:
        """Learners that all of it needs; nobody is sent twice."""
        due = sum(int(rate * self.seconds) for rate in self.rates)
        return self.warming + self.singles + self.batched + due


@dataclass(slots=True)
class Bench:
    """A running service, and what was measured of it."""

    made: Place
    store: str
    url: str
    settings: Settings
    service: Running
    session: aiohttp.ClientSession
    books: Books
    learners: int = 0
    mark: str = "n"
    figures: list[Figure] = field(default_factory=list)

    def caller(self, client: str) -> Caller:
        """One of the registered clients."""
        return Caller(self.session, self.made, self.settings.base_url, client)

    def add(
        self, name: str, value: float | None, cpu: Cpu | None = None, count: int = 0, **further: object
    ) -> None:
        """Enter a figure.

        Args:
            name: what was measured.
            value: per second, or in the unit that is given.
            cpu: of the service and its database server.
            count: what they were spent on.
            further: of ``Figure``.
        """
        made = Figure(
            "growth" if self.learners else "ours",
            name,
            value,
            store=self.store,
            cpu_us=cpu.each(count) if cpu is not None and count else (),
            memory_mb=self.service.peaks_mb(),
            learners=self.learners,
            **further,  # type: ignore[arg-type] # members of Figure
        )
        self.figures.append(made)

    async def send(self, sent: Sequence[Sent], connections: int, rate: float = 0.0) -> tuple[Outcome, Cpu]:
        """Send all, and enter it in the books: what came of it, and what it took of the CPU."""
        requests = [one.request for one in sent]
        gc.collect()
        before = self.service.cpu()
        if rate:
            outcome = await load.at_rate(self.service.port, requests, rate, connections)
        else:
            outcome = await load.closed(self.service.port, requests, connections)
        self.books.enter(sent, outcome)
        return outcome, self.service.cpu() - before


async def callbacks(bench: Bench, serials: Sequence[int], connections: int) -> None:
    """The closed loop: as fast as it goes."""
    sent = sending.singles(bench.made, serials, f"{bench.mark}-one")
    outcome, cpu = await bench.send(sent, connections)
    goal = None if bench.learners else Goal("≥", 3_000)
    told = {"latency_ms": latencies(outcome), "statuses": outcome.statuses, "goal": goal}
    bench.add(f"{CALLBACKS}, {connections} connections", outcome.rate, cpu, len(sent), **told)


async def open_loop(bench: Bench, serials: Sequence[int], rate: float, connections: int) -> None:
    """Requests that are due, whether or not the earlier ones were answered."""
    sent = sending.singles(bench.made, serials, f"{bench.mark}-due{rate:.0f}")
    outcome, cpu = await bench.send(sent, connections, rate)
    told = {"latency_ms": latencies(outcome), "statuses": outcome.statuses}
    name = f"callbacks, {rate:,.0f}/s due"
    bench.add(name, outcome.rate, cpu, len(sent), **told)
    if rate == _AT_GOAL_RATE:
        p99 = outcome.latency(0.99) / 1000
        bench.add(f"{name}: p99 from the due moment", p99, unit="s", goal=Goal("≤", 0.1))


async def batched(bench: Bench, serials: Sequence[int]) -> None:
    """Batches in the closed loop; then the issuer until nothing waits for it."""
    sent = sending.batches(bench.made, serials, BATCH, f"{bench.mark}-many")
    outcome, cpu = await bench.send(sent, BATCH_CONNECTIONS)
    told = {"latency_ms": latencies(outcome), "statuses": outcome.statuses, "goal": Goal("≥", 10_000)}
    taken = sum(len(sent[place].numbers) for place in outcome.acknowledged)
    rate = taken / outcome.seconds if outcome.seconds else 0.0
    bench.add(f"completions in batches of {BATCH}", rate, cpu, taken, **told)
    before = bench.service.cpu()
    waiting, seconds = await calling.drained(bench.url)
    spent = bench.service.cpu() - before
    if waiting >= FEW_WAIT:
        bench.add("issue: records signed and appended", waiting / seconds, spent, waiting)
    else:
        bench.add("issue: records signed and appended", None, note="nothing waited: the issuer kept pace")
    whole = taken / (outcome.seconds + seconds)
    bench.add("completions in batches, until the last record is in the feed", whole)


async def status(bench: Bench, uscc: str, serials: Sequence[int]) -> None:
    """One enterprise asks about its people."""
    caller = bench.caller(ENTERPRISE)
    await caller.status(uscc, serials[:10])
    before, times, states = bench.service.cpu(), [], dict[str, int]()
    for _ in range(STATUS_ROUNDS):
        seconds, states = await caller.status(uscc, serials)
        times.append(seconds)
    spent = bench.service.cpu() - before
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    bench.add(
        f"status of {len(serials):,} people of one enterprise",
        sorted(times)[len(times) // 2],
        spent,
        STATUS_ROUNDS * len(serials),
        unit="s",
        goal=Goal("≤", 1.0),
        latency_ms=latencies(calling.outcome_of(times)),
        note=told,
    )


async def feed(bench: Bench, after: int = -1) -> None:
    """The ledger pulled as NDJSON by an auditor, and by a subsidy system, to whom records are disclosed."""
    for client, who in ((AUDITOR, "an auditor"), (SUBSIDY, "a subsidy system, disclosures logged")):
        caller = bench.caller(client)
        await caller.page(-1)
        before = bench.service.cpu()
        seconds, entries, records = await caller.pull(after)
        spent = bench.service.cpu() - before
        told = {"goal": Goal("≥", 50_000), "note": f"{records:,} records, {entries:,} entries"}
        bench.add(f"records pulled as NDJSON by {who}", records / seconds, spent, records, **told)


def memory(bench: Bench) -> None:
    """What the largest of the processes needed at its peak."""
    peaks = bench.service.peaks_mb()
    value = peaks[0] if peaks else None
    bench.add("memory of the largest process at its peak", value, unit="MB", goal=Goal("≤", 200))


@asynccontextmanager
async def served(
    made: Place, store: str, url: str, variables: Mapping[str, str], workers: int
) -> AsyncIterator[Bench]:
    """The service over a database that was founded, with its clients registered."""
    settings = made.settings(variables)
    serve = ["-m", "verifier", "serve"]
    if workers > 1:
        serve += ["--workers", str(workers)]
    log = made.directory / f"{settings.data_dir.name}.log"
    with programs.running(serve, settings.port, log, variables, places.server_of(url)) as service:
        async with aiohttp.ClientSession() as session:
            yield Bench(made, store, url, settings, service, session, Books())


def measure(
    made: Place, store: str, amounts: Amounts, workers: int, processes: int
) -> tuple[list[Figure], list[str], Sample]:
    """Everything of one store: the figures, what is wrong, and some of the rows for ``limits.inserts``."""
    with places.database(store, made, "ours") as url:
        variables = made.environment(url, "ours")
        return asyncio.run(_measured(made, store, url, variables, amounts, workers, processes))


async def _measured(
    made: Place,
    store: str,
    url: str,
    variables: Mapping[str, str],
    amounts: Amounts,
    workers: int,
    processes: int,
) -> tuple[list[Figure], list[str], Sample]:
    settings = made.settings(variables)
    people = max(amounts.people, amounts.asked)
    await founding.found(settings)
    await founding.fill(settings, range(people), processes)
    async with served(made, store, url, variables, workers) as bench:
        await calling.register(settings, made, [sending.employer(0)])
        await under_load(bench, amounts, People(people))
        await calling.drained(url)
        await status(bench, sending.employer(0), range(amounts.asked))
        await feed(bench)
        memory(bench)
    return bench.figures, compare(bench.books, await look(url)), await limits.sample(url)


async def warm(bench: Bench, serials: Sequence[int]) -> None:
    """Fill caches and pools, as in a service that has run for a while; entered in the books, not measured."""
    await bench.send(sending.singles(bench.made, serials, f"{bench.mark}-warm"), 32)


async def under_load(bench: Bench, amounts: Amounts, people: People) -> None:
    """All that changes the store."""
    await warm(bench, people.take(amounts.warming))
    # The first start adopts the rules, and judges everybody who is there.
    await calling.drained(bench.url)
    await callbacks(bench, people.take(amounts.singles), amounts.connections)
    await calling.drained(bench.url)
    for rate in amounts.rates:
        serials = people.take(int(rate * amounts.seconds))
        await open_loop(bench, serials, rate, amounts.connections)
        await calling.drained(bench.url)
    await batched(bench, people.take(amounts.batched))
