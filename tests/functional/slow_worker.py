"""A worker to which one line is too much; in a module of its own, which takes a process no time to import."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from verifier.confinement import answer
from verifier.import_file import BadLine, Line
from verifier.importing import Readied

TOO_MUCH = 13


def serve(connection: Connection, log: str) -> None:  # pragma: no cover - runs in other processes
    """Answer for every line but one, alone or in company, and note what was asked."""

    def reply(lines: Sequence[Line | BadLine], _documents: object, _at: object) -> None:
        numbers = [line.number for line in lines]
        with Path(log).open("a") as asked:
            asked.write(f"{numbers}\n")
        if TOO_MUCH in numbers:
            time.sleep(60)
        connection.send([Readied(number) for number in numbers])

    answer(connection, reply)
