"""Whether a platform is silent: expected to send, and not heard of for longer than it may be. Pure.

1. A platform is expected to send while the register gives it ``silence_hours`` and recognises it on the day,
   in Beijing's calendar. One that is no longer recognised is not expected.
2. Its silence began with its newest authentic delivery, or with the first day of the recognition that holds
   now, whichever is later: a platform recognised anew is not late for the time in between.
3. It is silent once that is ``silence_hours`` ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from verifier.keyring import Platform
from verifier.model.delivery import PlatformSlug
from verifier.model.time import BEIJING, beijing_date, covers


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nothing came of a platform.

    Attributes:
        recognised: on the day.
        last: when its newest authentic delivery was received; None if none ever was.
        seconds: since then; None if none ever was.
        silent: whether something should have come and did not.
    """

    platform: PlatformSlug
    recognised: bool
    last: datetime | None
    seconds: float | None
    silent: bool


def judge(platform: Platform, last: datetime | None, now: datetime) -> Silence:
    """Whether a platform is silent, by rules 1 to 3.

    Args:
        platform: as the register has it.
        last: when its newest authentic delivery was received, aware; None if none ever was.
        now: aware.
    """
    since = _recognised_since(platform, beijing_date(now))
    seconds = None if last is None else max(0.0, (now - last).total_seconds())
    silent = False
    if since is not None and platform.silence_hours is not None:
        began = datetime.combine(since, time(), BEIJING)
        heard = began if last is None else max(began, last)
        silent = now - heard >= timedelta(hours=platform.silence_hours)
    return Silence(platform.slug, since is not None, last, seconds, silent)


def _recognised_since(platform: Platform, day: date) -> date | None:
    return next((one.start for one in platform.recognised if covers(one.start, one.end, day)), None)
