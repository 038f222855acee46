"""Opens workbooks that enterprises upload in a process of its own, under limits of time and memory.

An XLSX file is an archive of XML. ``verifier.spreadsheet`` measures it before it is opened; this is what
holds where a measure is missing: a file that takes too long or too much is refused, and the service goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

from verifier import spreadsheet
from verifier.confinement import MEMORY_BYTES, Rules, Target, Workers, answer, limit
from verifier.errors import Code, RequestRejected
from verifier.spreadsheet import Bounds, Cell

SECONDS: Final = 20.0
"""For one workbook; the largest honest one takes a fifth of it."""


def serve(connection: Connection) -> None:  # pragma: no cover - runs in processes that are killed
    """A worker's whole life.

    Args:
        connection: to the service.
    """
    limit(MEMORY_BYTES)

    def reply(raw: bytes, bounds: Bounds) -> None:
        try:
            connection.send(spreadsheet.read(raw, bounds))
        except RequestRejected as error:
            # An error as values: exceptions lose their members on the way through a pipe.
            connection.send((error.code, error.detail))

    answer(connection, reply)


class Workbooks:
    """Reads workbooks, one at a time. It blocks: the caller is on a thread of its own."""

    def __init__(self, target: Target = serve, *, seconds: float = SECONDS) -> None:
        """Prepare; no process is started.

        Args:
            target: a worker's main function.
            seconds: for one workbook.
        """
        self._workers = Workers(target, lambda: Rules("1", ()), workers=1, seconds=seconds)

    def read(self, raw: bytes, bounds: Bounds) -> Sequence[tuple[Cell, ...]]:
        """Read the one worksheet of a workbook; arguments and answer as ``verifier.spreadsheet.read``.

        Raises:
            RequestRejected: as there, or ROSTER_UNREADABLE: not read within the limits.
            Unavailable: others are being read.
        """
        with self._workers.free() as worker:
            try:
                worker.ask(self._workers.rules(), raw, bounds)
                found = worker.answer()
            except TimeoutError:
                detail = "not read within the limits of time and memory"
                raise RequestRejected(Code.ROSTER_UNREADABLE, detail) from None
        if isinstance(found, tuple):
            raise RequestRejected(*found)
        rows: Sequence[tuple[Cell, ...]] = found
        return rows

    def close(self) -> None:
        """Let the worker end; called when nothing is asked any more."""
        self._workers.close()
