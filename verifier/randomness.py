"""Randomness drawn ahead.

A transaction wants it in some twenty pieces for each callback: ids, salts, nonces, keys. Each call of the
system for a few bytes costs a microsecond, and lets another thread take the interpreter, which costs many.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from verifier.errors import Code, ConfigurationError
from verifier.ports import RandomBytes

AHEAD: Final = 2_048
"""Bytes that are drawn at once."""


class Reserve:
    """A source of randomness for one thread; what it has drawn is given out once."""

    def __init__(self, source: RandomBytes) -> None:
        """Draw nothing yet.

        Args:
            source: a cryptographic source.
        """
        self._source, self._drawn, self._used = source, b"", 0

    def __call__(self, count: int) -> bytes:
        """That many random bytes.

        Raises:
            ConfigurationError: KEY_REFUSED, the source gave too little or too much.
        """
        end = self._used + count
        if end > len(self._drawn):
            wanted = max(count, AHEAD)
            self._drawn, end = self._source(wanted), count
            if len(self._drawn) != wanted:
                raise ConfigurationError(
                    Code.KEY_REFUSED, "the source of randomness gave too little or too much"
                )
            self._used = 0
        piece, self._used = self._drawn[self._used : end], end
        return piece

    def forget(self) -> None:
        """Give out nothing of what is drawn."""
        self._drawn, self._used = b"", 0


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.reserve = Reserve(os.urandom)


_mine: Final = _OfThread()


def _forget() -> None:
    """A forked process would give out the same as its parent; of its threads only this one lives on in it."""
    _mine.reserve.forget()


os.register_at_fork(after_in_child=_forget)


def randbytes(count: int) -> bytes:
    """That many bytes of the system's randomness, in whichever thread."""
    return _mine.reserve(count)
