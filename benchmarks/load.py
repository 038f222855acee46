"""A load generator that costs little: requests made before, over connections that stay open.

It shares the machine with what it measures, so that every microsecond of its own is missing there. It speaks
just enough HTTP/1.1 for that: one request at a time on a connection, answers with ``Content-Length``.

Two ways to load:

- ``closed``: so many connections, each sending its next request when the answer to the last has come. This
  finds the greatest rate; its latencies say little, because a slow service slows its own load down.
- ``at_rate``: requests are due at fixed moments, whether or not earlier ones were answered. A latency is
  counted from the moment at which the request was *due*, so that what waits for a free connection has waited
  (no coordinated omission).

A connection that breaks ends the run: what was not answered by then is not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Protocol, cast

from typing_extensions import override

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_STATUS: Final = slice(9, 12)
BROKEN: Final = 0
"""In place of a status, for a connection that broke."""
PATIENCE_SECONDS: Final = 600.0
"""After the last request was due; whoever needs longer does not answer at all."""


@dataclass(slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds, one a request, in no order.
        statuses: how often each HTTP status came; ``BROKEN`` for a connection that broke.
        acknowledged: places, in the list of requests, of those answered 2xx.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Acknowledged requests per second."""
        return len(self.acknowledged) / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float:
        """The latency, in milliseconds, within which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def request(method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """The bytes of a request to 127.0.0.1."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers)]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + _HEAD_END + body


class Sender(Protocol):
    """Whatever sends a request and later says ``answered``."""

    def send(self, place: int, due: float) -> None:
        """Send a request; ``due`` is when it should have been sent."""
        ...


class _Connection(asyncio.Protocol):
    """One connection: hands over the status of each answer."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._place = -1
        self._due = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, place: int, due: float) -> None:
        """Send a request; ``due`` is when it should have been sent."""
        assert self._transport is not None
        self._place, self._due = place, due
        self._transport.write(self._run.requests[place])

    @override
    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        end = buffer.find(_HEAD_END)
        if end < 0:
            return
        head = bytes(buffer[:end]).lower()
        start = head.find(_LENGTH)
        length = int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(buffer) < end + len(_HEAD_END) + length:
            return
        status = int(head[_STATUS])
        buffer.clear()
        self._run.answered(self, self._place, status, self._due)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Run:
    """Hands requests to free senders, and counts what comes back."""

    def __init__(self, requests: Sequence[bytes], clock: Callable[[], float]) -> None:
        self.requests = requests
        self.clock = clock
        self.outcome = Outcome()
        self.done = asyncio.Event()
        self.free: deque[Sender] = deque()
        self._waiting: deque[tuple[int, float]] = deque()
        self._left = len(requests)
        if not requests:
            self.done.set()

    def due(self, place: int, moment: float) -> None:
        """A request is due; it waits if every sender is busy."""
        if self.free:
            self.free.popleft().send(place, moment)
        else:
            self._waiting.append((place, moment))

    def answered(self, sender: Sender, place: int, status: int, due: float) -> None:
        """An answer came, and its sender is free."""
        outcome = self.outcome
        outcome.latencies.append(self.clock() - due)
        outcome.statuses[status] += 1
        if status // 100 == 2:  # noqa: PLR2004 - 2xx
            outcome.acknowledged.append(place)
        self._left -= 1
        if not self._left:
            self.done.set()
        elif self._waiting:
            sender.send(*self._waiting.popleft())
        else:
            self.free.append(sender)
            self.idle()

    def idle(self) -> None:
        """A sender became free; what is due next, is due now where nothing else says when."""

    def lost(self) -> None:
        """A connection broke; when all is done, it was closed."""
        if not self.done.is_set():
            self.outcome.statuses[BROKEN] += 1
            self.done.set()

    async def paced(
        self, start: float, rate: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Make each request due at its moment: ``rate`` of them a second, whatever became of the others."""
        for place in range(len(self.requests)):
            moment = start + place / rate
            if (wait := moment - self.clock()) > 0:
                await sleep(wait)
            if self.done.is_set():
                return
            self.due(place, moment)


class Closed(Run):
    """The next request is due when a connection is free for it."""

    def __init__(self, requests: Sequence[bytes], clock: Callable[[], float]) -> None:
        super().__init__(requests, clock)
        self._next = iter(range(len(requests)))

    @override
    def idle(self) -> None:
        place = next(self._next, None)
        if place is not None:
            self.due(place, self.clock())


async def closed(port: int, requests: Sequence[bytes], connections: int) -> Outcome:
    """Send all requests as fast as so many connections get their answers."""
    run = Closed(requests, perf_counter)
    made = await _connect(run, port, connections)
    start = perf_counter()
    for _ in made:
        run.idle()
    return await _finish(run, made, start)


async def at_rate(port: int, requests: Sequence[bytes], rate: float, connections: int) -> Outcome:
    """Send ``rate`` requests a second, whether or not the earlier ones were answered."""
    run = Run(requests, perf_counter)
    made = await _connect(run, port, connections)
    start = perf_counter()
    await run.paced(start, rate)
    return await _finish(run, made, start)


async def _connect(run: Run, port: int, connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(min(connections, len(run.requests))):
        _, connection = await loop.create_connection(lambda: _Connection(run), "127.0.0.1", port)
        made.append(connection)
    run.free.extend(made)
    return made


async def _finish(run: Run, made: Sequence[_Connection], start: float) -> Outcome:
    """Wait for the last answer, and hang up."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await run.done.wait()
    run.outcome.seconds = perf_counter() - start
    for connection in made:
        connection.close()
    return run.outcome
