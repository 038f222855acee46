"""What the processes of one service tell each other: bytes in pipes, and flags in shared memory.

All of it is made by the parent before there is any other process, and kept by it, so that either side may die
and come again. Nothing here is needed for anything to be right: whoever hears nothing looks by himself within
a second. It carries no data, only that there is something to look at.

========  =======================  ==========================================================================
``wake``  web to background        something was committed: due people, decisions to be issued
``news``  background to each web   the ledger grew, or an operator changed or adopted something
``told``  every child to parent    "I listen", "I work"
``life``  parent to every child    ends when the parent does, however it ends
========  =======================  ==========================================================================
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

GREW: Final = b"g"
"""The ledger has grown."""
CHANGED: Final = b"c"
"""An operator changed something: look at what is adopted and which keys are given out."""
ADOPTED: Final = b"a"
"""An operator adopted something: read it anew, secrets too."""
BACKGROUND: Final = 0
"""The background's slot; the webs' are from 1 on."""
_AT_ONCE: Final = 4096


class State(IntEnum):
    """What is said of the background; one byte of shared memory."""

    DOWN = 0
    WORKS = 1
    STOPPED = 2
    """It is there, and a worker that is needed stopped for good."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """Both ends; neither blocks."""

    reading: int
    writing: int

    @classmethod
    def new(cls) -> Pipe:
        """A new one; no program that is started inherits it."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        return cls(reading, writing)

    def send(self, content: bytes) -> None:
        """Write, unless so much waits to be read that whoever reads will look anyway."""
        with suppress(BlockingIOError):
            os.write(self.writing, content)

    def received(self) -> bytes | None:
        """What waits to be read; None if nothing does, and empty where nobody can write any more."""
        try:
            return os.read(self.reading, _AT_ONCE)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reading)
        os.close(self.writing)


class Wires:
    """All that joins a parent, its web processes, and its process of background work."""

    def __init__(self, webs: int) -> None:
        """Make them; called once, in the parent.

        Args:
            webs: how many web processes there are.
        """
        self.wake, self.told, self.life = Pipe.new(), Pipe.new(), Pipe.new()
        self.news = tuple(Pipe.new() for _ in range(webs))
        self._board = mmap.mmap(-1, mmap.PAGESIZE)  # shared by every process that is forked later

    @property
    def background(self) -> State:
        """How the background is, as far as the parent and it have said."""
        return State(self._board[0])

    @background.setter
    def background(self, state: State) -> None:
        self._board[0] = state

    def tell_webs(self, news: bytes) -> None:
        """Tell every web process."""
        for pipe in self.news:
            pipe.send(news)

    def ready(self, slot: int) -> None:
        """Tell the parent that a child listens or works."""
        self.told.send(bytes([slot]))

    def inherited(self) -> None:
        """In a child: let go of the end whose closing says that the parent is gone."""
        os.close(self.life.writing)

    def close(self) -> None:
        """In the parent, when every child is gone."""
        for pipe in self._pipes():
            pipe.close()
        self._board.close()

    def _pipes(self) -> Iterator[Pipe]:
        yield from (self.wake, self.told, self.life, *self.news)


def listen(pipe: Pipe, heard: Callable[[bytes], None]) -> None:
    """Have a function called on the running loop whenever something was written; empty where the pipe ended.

    Of what waits, each kind is told once.
    """
    loop = asyncio.get_running_loop()

    def readable() -> None:
        content = pipe.received()
        if content is None:
            return
        if not content:
            loop.remove_reader(pipe.reading)
        heard(bytes(sorted(set(content))))

    loop.add_reader(pipe.reading, readable)
