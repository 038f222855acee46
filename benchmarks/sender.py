"""Sends requests from a process of its own, which is begun quickly because this module needs nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

CONNECTIONS: Final = 16


def send(port: int, requests: Sequence[bytes]) -> None:
    """Send requests over a few connections, one answer after another on each."""

    async def one(mine: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in mine:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    async def every() -> None:
        await asyncio.gather(*(one(requests[n::CONNECTIONS]) for n in range(CONNECTIONS)))

    asyncio.run(every())
