"""Whether somebody outside waits for what is being done.

Whoever waits is answered soon, were it with "come again", and has connections of its own; work that nobody
waits for has time, and its own connections too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WAITING: ContextVar[bool] = ContextVar("somebody waits", default=False)


@contextmanager
def somebody_waits() -> Iterator[None]:
    """What is called from within, in this task and in those that it starts, is waited for."""
    token = _WAITING.set(True)
    try:
        yield
    finally:
        _WAITING.reset(token)


def waited_for() -> bool:
    """Whether somebody outside waits."""
    return _WAITING.get()
