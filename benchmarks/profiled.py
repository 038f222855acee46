"""The service with every thread under cProfile: ``python -m benchmarks.profiled FILE serve``.

The timer is the thread's own CPU time, so that waiting counts nothing. What was found is written when the
service ends.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import threading
import time
from collections.abc import Sequence

from verifier.cli import main


def run(file: str, arguments: Sequence[str]) -> int:
    """Run the command line, and write the profile of all its threads together."""
    profiles = [cProfile.Profile(time.thread_time)]
    plain = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        profiles.append(profile)
        profile.runcall(plain, thread)

    setattr(threading.Thread, "run", profiled)  # noqa: B010 - for threads that are yet to come
    try:
        status: int = profiles[0].runcall(main, arguments)
    finally:
        setattr(threading.Thread, "run", plain)  # noqa: B010 - as above
    found = pstats.Stats(profiles[0])
    for profile in profiles[1:]:
        profile.create_stats()
        if getattr(profile, "stats", None):  # a thread that has not ended has none
            found.add(profile)
    found.dump_stats(file)
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
