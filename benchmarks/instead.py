"""What a user would write instead (``benchmarks.usual``), under the same callbacks, on the same store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from benchmarks import load, places, programs, sending
from benchmarks.figures import Figure, latencies
from benchmarks.places import Place

NAME: Final = "FastAPI, SQLAlchemy ORM, PyJWT: callbacks, one commit each"
PATH: Final = "/webhooks"
_ROWS: Final = 200
"""Of a roster in one request."""


def measure(made: Place, store: str, count: int, connections: int, workers: int) -> Figure:
    """The closed loop, by as many processes as this service has; the people are listed before."""
    port, keys = programs.free_port(), made.keys_of_the_usual()
    with places.database(store, made, "usual") as url:
        server = places.server_of(url)
        command = ["-m", "benchmarks.usual.serve", str(port), url, str(keys), str(workers)]
        with programs.running(command, port, made.directory / "usual.log", server=server) as program:
            warming = max(1, count // 20)
            asyncio.run(_listed(port, range(count + warming)))
            requests = [
                one.request for one in sending.singles(made, range(count, count + warming), "warm", PATH)
            ]
            asyncio.run(load.closed(port, requests, connections))
            requests = [one.request for one in sending.singles(made, range(count), "usual", PATH)]
            before = program.cpu()
            outcome = asyncio.run(load.closed(port, requests, connections))
            return Figure(
                "usual",
                NAME,
                outcome.rate,
                store=store,
                latency_ms=latencies(outcome),
                cpu_us=(program.cpu() - before).each(count),
                memory_mb=program.peaks_mb(),
                statuses=outcome.statuses,
                note=f"{workers} process{'es' if workers > 1 else ''}",
            )


async def _listed(port: int, serials: Sequence[int]) -> None:
    requests = []
    for start in range(0, len(serials), _ROWS):
        rows = [
            {
                "id_number": sending.somebody(serial).id_number,
                "uscc": sending.employer(serial),
                "start": "2021-01-01",
                "category": "留岗",
            }
            for serial in serials[start : start + _ROWS]
        ]
        headers = [("Content-Type", "application/json")]
        requests.append(load.request("POST", "/rosters", headers, json.dumps(rows).encode()))
    outcome = await load.closed(port, requests, 1)
    if set(outcome.statuses) != {200}:
        raise RuntimeError(f"the rosters were not taken: {outcome.statuses}")
