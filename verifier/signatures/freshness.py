from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from verifier.errors import SignatureRejected
from verifier.signatures.steps import Step

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# [0-9] and not \d: full-width and other digits are not the bytes that were signed.
_SECONDS: Final = re.compile(r"0|[1-9][0-9]{0,11}")


def check(at: datetime, *, now: datetime, tolerance_seconds: int) -> None:
    """Checks a signed time that was read already.

    Args:
        at: the time that the sender signed, aware.
        now: the current time, aware.
        tolerance_seconds: greatest distance accepted in either direction, the boundary included.

    Raises:
        SignatureRejected: ``timestamp``.
    """
    if abs(now - at) > timedelta(seconds=tolerance_seconds):
        raise SignatureRejected(Step.TIMESTAMP)


def signed_at(timestamp: str, *, now: datetime, tolerance_seconds: int) -> datetime:
    """The time a sender signed, if it lies within the window around ``now``.

    Args:
        timestamp: Unix seconds as sent: 1 to 12 ASCII digits, no sign, no leading zero.
        now: the current time, aware.
        tolerance_seconds: greatest distance accepted in either direction, the boundary included.

    Raises:
        SignatureRejected: ``malformed`` or ``timestamp``.
    """
    if _SECONDS.fullmatch(timestamp) is None:
        raise SignatureRejected(Step.MALFORMED)
    # Compared as durations: 12 digits reach beyond the last year that datetime knows.
    since_epoch = timedelta(seconds=int(timestamp))
    if abs((now - _EPOCH) - since_epoch) > timedelta(seconds=tolerance_seconds):
        raise SignatureRejected(Step.TIMESTAMP)
    return _EPOCH + since_epoch
