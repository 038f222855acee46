"""Processes of their own for work on what others wrote: under limits of time and memory, and killed beyond.

A worker is asked by plain values over a pipe, so that no key crosses it. It is started when it is first
needed, and anew when its rules have changed or after it was killed. Every call here blocks: callers are on
threads of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from verifier.errors import Code, Unavailable

SECONDS: Final = 5.0
"""For each answer of a worker; the largest honest document takes a tenth of it."""
START_SECONDS: Final = 60.0
"""For a new process to import what it needs, on a busy machine."""
MEMORY_BYTES: Final = 2**30
WORKERS: Final = 2

Target = Callable[..., None]
"""A worker's main function: takes the pipe, then the arguments. Spawned, so that it must have a name."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What workers are started with.

    Attributes:
        version: workers that were started with another one are replaced.
        arguments: for the target, besides the pipe; they can be pickled.
    """

    version: str
    arguments: tuple[Any, ...] = field(repr=False)


# The worker's side


def limit(memory_bytes: int) -> None:
    """Bound the process that calls this, for good: its address space, and no core dumps.

    Args:
        memory_bytes: address space that it may use.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(connection: Connection, reply: Callable[..., None]) -> None:
    """Answer until the pipe ends; first of all say that the process is there.

    Args:
        connection: to the service.
        reply: takes a question's members, and sends its answers itself.
    """
    connection.send(None)
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        try:
            reply(*question)
        except MemoryError:
            # Not even a report fits any more; that the process is gone is report enough.
            os._exit(1)


# The service's side


class Worker:
    """One worker process, started when it is asked for."""

    def __init__(self, target: Target, seconds: float) -> None:
        self._target, self._seconds = target, seconds
        self._version = ""
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def ask(self, rules: Rules, *question: Any) -> None:
        """Put a question; the answers are fetched by ``answer``."""
        if self._process is not None and self._version != rules.version:
            self.stop()
        if self._process is None:
            self._start(rules)
        assert self._pipe is not None
        try:
            self._pipe.send(question)
        except OSError:
            self.kill()
            raise TimeoutError from None

    def _start(self, rules: Rules) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._target, args=(other, *rules.arguments), daemon=True)
        self._version = rules.version
        self._process.start()
        other.close()
        self._receive(START_SECONDS)

    def answer(self) -> Any:
        """The next value of the worker."""
        return self._receive(self._seconds)

    def _receive(self, seconds: float) -> Any:
        assert self._pipe is not None
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            pass  # it died
        self.kill()
        raise TimeoutError

    def kill(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Let it end."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join()
        self._process = self._pipe = None


class Workers:
    """A few workers of one kind."""

    def __init__(self, target: Target, rules: Callable[[], Rules], *, workers: int, seconds: float) -> None:
        """Prepare; no process is started.

        Args:
            target: a worker's main function.
            rules: what a worker is started with, at the moment.
            workers: processes at once; further callers wait, and are told to come again if it takes long.
            seconds: for each answer.
        """
        self.rules = rules
        self._patience = 2 * seconds
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all = [Worker(target, seconds) for _ in range(workers)]
        for worker in self._all:
            self._idle.put(worker)

    @contextmanager
    def free(self) -> Iterator[Worker]:
        """A worker that nobody else asks meanwhile.

        Raises:
            Unavailable: every worker is busy.
        """
        try:
            worker = self._idle.get(timeout=self._patience)
        except queue.Empty:
            raise Unavailable(Code.OVERLOADED, "every reading process is busy") from None
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Let every worker end; called when nothing is asked any more."""
        for worker in self._all:
            worker.stop()
