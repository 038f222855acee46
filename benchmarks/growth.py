"""The same measures as the store grows: callbacks, an enterprise's questions, the feed.

One database is filled to each size in turn. At each, the service runs over it, and the callbacks are about
people from all over it, none of them twice; the questions are about one enterprise's 10,000; the feed is
pulled from where the ledger ended before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from benchmarks import calling, founding, ours, places, sending
from benchmarks.books import Books, compare, look
from benchmarks.calling import AUDITOR
from benchmarks.figures import Figure, Goal, ratio
from benchmarks.ours import Amounts
from benchmarks.places import Place
from benchmarks.sending import People

SIZES: Final = (10_000, 1_000_000, 10_000_000)
HELD: Final = "callbacks at the largest size, of those at the smallest"


def measure(
    made: Place, store: str, sizes: Sequence[int], amounts: Amounts, workers: int, processes: int
) -> tuple[list[Figure], list[str]]:
    """All sizes: the figures, and what is wrong.

    Raises:
        DiskTooSmall: the largest size does not fit; nothing of it was filled.
    """
    with places.database(store, made, "grown") as url:
        variables = made.environment(url, "grown")
        return asyncio.run(_measured(made, store, url, variables, sizes, amounts, workers, processes))


async def _measured(
    made: Place,
    store: str,
    url: str,
    variables: Mapping[str, str],
    sizes: Sequence[int],
    amounts: Amounts,
    workers: int,
    processes: int,
) -> tuple[list[Figure], list[str]]:
    settings, books, figures = made.settings(variables), Books(), list[Figure]()
    await founding.found(settings)
    people, filled, each = People(sizes[0]), 0, 0
    for size in sizes:
        people.grow(size)
        if each:
            founding.require_room(settings, each, size - filled)
        # What the callbacks leave behind at the smaller sizes is not the filled learners'.
        before = await places.size_of(url)
        await founding.fill(settings, range(filled, size), processes)
        each = (await places.size_of(url) - before) // (size - filled)
        filled = size
        async with ours.served(made, store, url, variables, workers) as bench:
            bench.books, bench.learners, bench.mark = books, size, f"g{size}"
            if size == sizes[0]:
                await calling.register(settings, made, [sending.employer(0)])
            await _one_size(bench, amounts, people)
            figures += bench.figures
    if each:
        figures.append(
            Figure("growth", "bytes on the disk for a learner whom a roster lists", each, "B", store)
        )
    return [*figures, *_held(figures)], compare(books, await look(url))


async def _one_size(bench: ours.Bench, amounts: Amounts, people: People) -> None:
    await ours.warm(bench, people.take(amounts.warming))
    await calling.drained(bench.url)
    after = await calling.head(bench.caller(AUDITOR)) - 1
    await ours.callbacks(bench, people.take(amounts.singles), amounts.connections)
    await calling.drained(bench.url)
    for rate in amounts.rates:
        await ours.open_loop(bench, people.take(int(rate * amounts.seconds)), rate, amounts.connections)
        await calling.drained(bench.url)
    await ours.status(bench, sending.employer(0), range(amounts.asked))
    await ours.feed(bench, after)


def _held(figures: Sequence[Figure]) -> list[Figure]:
    """The rate at the largest size as a share of that at the smallest."""
    rates = [one for one in figures if one.name.startswith(ours.CALLBACKS)]
    if not rates or rates[0].learners == rates[-1].learners:
        return []
    made = ratio(f"{HELD} ({rates[0].learners:,})", rates[-1], rates[0], Goal("≥", 0.9))
    return [replace(made, learners=rates[-1].learners)]
