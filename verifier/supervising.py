"""The parent of several processes: starts them, starts again those that die, and ends them in order.

It is one thread without a loop and holds no connection, so that it can be forked from at any time; what it
has read is shared by its children. The background begins first, since it may have to adopt and to take over
the ledger; the webs begin when it works.

A child that dies is started again, at once at first and later if it dies again. One that cannot start,
because of what the operator has to mend, ends everything with status 2; it has said why by then. Told to
end, the webs stop listening and answer what they have begun, and the background comes to the end of its step
after them. Whatever way the parent itself ends, its children notice by the pipe that ends with it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from verifier.wires import BACKGROUND, State, Wires

log = logging.getLogger("verifier.supervising")

WANTING: Final = 2
"""Status of a child that an operator has to help."""
LATER: Final = 75
"""Status of a child that may succeed later; the database did not answer (EX_TEMPFAIL of sysexits.h)."""
FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 30.0
"""Before a child is started again: twice as long each time, from the first to the most."""
STEADY_SECONDS: Final = 60.0
"""A child that lived so long is as good as new."""
GRACE_SECONDS: Final = 30.0
"""To answer what was begun, or to end a step; longer than the listener gives requests."""
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})


@dataclass(slots=True)
class Child:
    """One process, again and again.

    Attributes:
        run: its whole life; returns its exit status.
        pid: 0 while there is none.
        due: not to be started before, on the monotonic clock.
    """

    slot: int
    name: str
    run: Callable[[], int]
    pid: int = 0
    ready: bool = False
    started: float = 0.0
    due: float = 0.0
    deaths: int = 0

    def died(self, now: float) -> float:
        """Note that it died; after how many seconds it is started again."""
        self.deaths = 1 if now - self.started >= STEADY_SECONDS else self.deaths + 1
        delay: float = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (self.deaths - 1))
        self.pid, self.due = 0, now + delay
        return delay


def _named(name: str) -> None:  # pragma: no cover - as ``_live``
    """What lists of processes call this one; the kernel cuts it after 15 bytes."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"verifier {name}", encoding="ascii")


@dataclass(slots=True)
class Supervisor:
    """Runs the background and the webs.

    Attributes:
        wires: between all of them.
        listening: called once, when every child has said that it is ready.
        ended: called with the process id of each child that is gone.
    """

    wires: Wires
    background: Child
    webs: Sequence[Child]
    listening: Callable[[], None]
    ended: Callable[[int], None] = lambda _: None
    _told: bool = False
    _all: bool = False
    _waking: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def run(self) -> int:
        """Until told to end, or until a child cannot start; the exit status.

        Called once, on the main thread.
        """
        with self._signalled():
            status = self._watch()
            self._end(self.webs)
            self._end([self.background])
        for one in self._waking:
            one.close()
        return status

    @property
    def _children(self) -> Iterator[Child]:
        yield self.background
        if self._all or self.background.ready:
            yield from self.webs

    def _watch(self) -> int:
        while not self._told:
            now = time.monotonic()
            for child in self._children:
                if not child.pid and child.due <= now:
                    self._start(child)
            waiting = [child.due - now for child in self._children if not child.pid]
            self._wait(max(0.0, min(waiting)) if waiting else None)
            for child, status in self._gone():
                if status == WANTING or not self._all:
                    return self._could_not(child, status)
                log.warning(
                    "%s ended (%s); started again in %.1f s",
                    child.name,
                    status,
                    child.died(time.monotonic()),
                )
        return 0

    def _could_not(self, child: Child, status: int) -> int:
        if self._told:
            return 0
        log.critical("%s cannot start (%s)", child.name, status)
        return WANTING if status in {WANTING, LATER} else 1

    def _start(self, child: Child) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child.ready, child.started = False, time.monotonic()
        # Nobody is told anything between being there and being able to listen.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            child.pid = os.fork()
        except OSError as failure:  # no memory, or no more processes: others are still at work
            log.error("%s cannot be forked: %s", child.name, failure.strerror)  # noqa: TRY400 - all there is to say
            child.died(child.started)
        else:
            if not child.pid:
                self._live(child, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _live(
        self, child: Child, mask: set[int | signal.Signals]
    ) -> NoReturn:  # pragma: no cover - in forked processes; tests/functional/test_many.py
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A terminal tells every process at once; the parent says who ends when.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for one in self._waking:
                one.close()
            self.wires.inherited()
            _named(child.name)
            status = child.run()
        finally:
            # Nothing of what the parent would do at its end is the child's to do.
            if sys.exc_info()[0] is not None:
                sys.excepthook(*sys.exc_info())
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _wait(self, seconds: float | None) -> None:
        """Until a child said something, one died, or a signal came; at most so long."""
        waking, told = self._waking[0], self.wires.told
        readable, _, _ = select.select([waking.fileno(), told.reading], [], [], seconds)
        if waking.fileno() in readable:
            waking.recv(4096)
        for slot in told.received() or b"":
            for child in self._children:
                child.ready = child.ready or child.slot == slot
        if not self._all and all(child.ready for child in (self.background, *self.webs)):
            self._all = True
            self.listening()

    def _gone(self) -> list[tuple[Child, int]]:
        """Children that ended, with their exit status, or the signal's number negative."""
        found = []
        for child in (self.background, *self.webs):
            if child.pid and (done := os.waitpid(child.pid, os.WNOHANG))[0]:
                found.append((child, os.waitstatus_to_exitcode(done[1])))
                self.ended(child.pid)
                child.pid = 0
                if child.slot == BACKGROUND:
                    self.wires.background = State.DOWN
        return found

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.pid for child in children):
            self._gone()
            left = deadline - time.monotonic()
            if left <= 0:
                for child in children:
                    if child.pid:
                        log.error("%s did not end in time and is killed", child.name)
                        os.kill(child.pid, signal.SIGKILL)
                deadline = time.monotonic() + GRACE_SECONDS
            elif any(child.pid for child in children):
                self._wait(min(left, 1.0))

    @contextmanager
    def _signalled(self) -> Iterator[None]:
        """Signals wake the parent, wherever it waits."""
        for one in self._waking:
            one.setblocking(False)  # noqa: FBT003 - its only argument

        def told(_number: int, _frame: FrameType | None) -> None:
            self._told = True

        fd = signal.set_wakeup_fd(self._waking[1].fileno(), warn_on_full_buffer=False)
        before = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, told),
            signal.SIGINT: signal.signal(signal.SIGINT, told),
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda _number, _frame: None),
        }
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)
