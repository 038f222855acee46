"""One transaction, seen from the loop that waits for it and from the loop that runs it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final, TypeVar

from verifier.errors import Code, Unavailable
from verifier.store.failing import Abandoned

T = TypeVar("T")

KEY: Final = "verifier.run"
"""Under which a connection's ``info`` holds the run that uses it."""


class Run:
    """How far a transaction is, and since when it waits for the database.

    A caller who gives up says so before the commit begins, and then nothing is done; or comes too late, and
    then the commit goes on to its end, and the caller does not know it.
    """

    def __init__(self, turn: float | None = None) -> None:
        """Before it has a connection.

        Args:
            turn: seconds for which it may wait for its turn, where all write through one connection of this
                process: whoever has none then meets others who are busy, and no database that is away.
        """
        self._turn = turn
        self._lock = threading.Lock()
        self._since: float | None = time.monotonic()
        self._connected = self._committing = self._abandoned = False

    def asks(self) -> None:
        """The database is asked for something: a connection, a statement."""
        self._since = time.monotonic()

    def answered(self) -> None:
        """It has answered; what follows is our own computing."""
        self._since = None

    def silent(self) -> float:
        """For how many seconds the database has not answered; 0 while it is not asked."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def begins(self) -> None:
        """The transaction is run, for the first time or, since it came to nothing for certain, again."""
        with self._lock:
            self._connected = self._committing = False
        self.asks()

    def connected(self) -> None:
        """It has a connection.

        Raises:
            Abandoned: the caller gave up before.
        """
        with self._lock:
            if self._abandoned:
                raise Abandoned
            self._connected = True
        self.asks()

    def commits(self) -> None:
        """The commit begins, and is not cancelled any more.

        Raises:
            Abandoned: the caller gave up before.
        """
        with self._lock:
            if self._abandoned:
                raise Abandoned
            self._committing = True
        self.asks()

    def give_up(self) -> Unavailable:
        """Stop waiting; what to tell the caller."""
        with self._lock:
            self._abandoned = True
            if self._committing:
                return Unavailable(Code.OUTCOME_UNKNOWN, "the database does not answer to the commit")
            if self._turn is not None and not self._connected:
                return Unavailable(Code.OVERLOADED, "no free database connection")
        return Unavailable(Code.STORE_UNAVAILABLE, "the database does not answer")

    async def within(self, task: asyncio.Future[T], limit: float) -> T:
        """Wait for the task as long as the database answers every question within the limit (seconds).

        Raises:
            Unavailable: it did not; the task is left to come to its end.
        """
        while not task.done():
            bound = limit if self._turn is None or self._connected else self._turn
            await asyncio.wait({task}, timeout=max(min(bound, limit) - self.silent(), limit / 10))
            if not task.done() and self.silent() >= bound:
                raise self.give_up()
        return task.result()
