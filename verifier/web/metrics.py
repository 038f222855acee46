"""What is counted, in a registry of its own. No label ever holds what a caller chose.

Where several processes are one service, they count together: each in files of its own in one directory, which
whoever is asked for the counters adds up (``prometheus_client``'s multiprocess mode). What a process counted
stays when it ends; what it measured goes with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def count_together(directory: Path) -> None:
    """Have this process, and those that are forked from it, count in files of a directory.

    Called once, before anything is counted.
    """
    # The library looks at its variable when it is imported; nothing of ours has counted by then.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call] # the library's


def ended(directory: Path, pid: int) -> None:
    """Let go of what a process measured that is no more."""
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call] # the library's


class Metrics:
    """The service's counters.

    Attributes:
        deliveries: by registered platform and what became of the delivery.
        auth_failures: by where: a registered platform's slug, ``assertion`` or ``token``.
        durations: seconds by route, in the form of its template, and status.
        heard: seconds since the last authentic delivery, by registered platform; none before the first.
        due: people on the due list whose turn has come.
        sweeping: people whom the sweeps under way have still to reach.
        signals: for reviewers, by kind and whether they are ``open`` or ``closed``.
        witness_age: seconds since the last cosignature, by configured witness; none before the first.
        witness_behind: entries that it has not cosigned.
        silent: whether a registered platform should have sent something and did not: 1 or 0.
    """

    def __init__(self, together: Path | None = None) -> None:
        """Begin at nought.

        Args:
            together: the directory of ``count_together``; None where this process is alone.
        """
        self._together = together
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "deliveries", "Deliveries answered.", ["platform", "result"], registry=self._registry
        )
        self.auth_failures = Counter(
            "auth_failures", "Requests that were not authentic.", ["where"], registry=self._registry
        )
        self.durations = Histogram(
            "request_duration_seconds",
            "From the end of the headers to the answer.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.heard = self._gauge(
            "platform_seconds_since_delivery", "Since the platform's last authentic delivery.", "platform"
        )
        self.silent = self._gauge("platform_silent", "Expected to send, and silent.", "platform")
        self.due = self._gauge("due_people", "To be judged again.")
        self.sweeping = self._gauge("sweep_people_left", "Not yet reached by the sweeps under way.")
        self.witness_age = self._gauge(
            "witness_seconds_since_cosignature", "Since its last cosignature.", "witness"
        )
        self.witness_behind = self._gauge(
            "witness_entries_behind", "Entries that it has not cosigned.", "witness"
        )
        self.signals = self._gauge("signals", "Signals for reviewers.", "kind", "state")

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        # Of what is measured, only what living processes say; all but one say nothing, or nought.
        return Gauge(name, meaning, labels, registry=self._registry, multiprocess_mode="livesum")

    def cosigned(self, witness: str, seconds: float | None, behind: int) -> None:
        """Take over how a configured witness stands.

        Args:
            witness: its name, from the operator's own file.
            seconds: since its last cosignature; None if there never was one.
            behind: entries that it has not cosigned.
        """
        self.witness_behind.labels(witness).set(behind)
        if seconds is not None:
            self.witness_age.labels(witness).set(seconds)

    def behind(self, due: int, left: int) -> None:
        """Take over how much is still to be judged again: people that are due, and those left of sweeps."""
        self.due.set(due)
        self.sweeping.set(left)

    def counted(self, signals: Mapping[tuple[str, str], int]) -> None:
        """Take over how many signals there are, by kind and state."""
        for (kind, state), count in signals.items():
            self.signals.labels(kind, state).set(count)

    def watched(self, platform: str, seconds: float | None, *, silent: bool) -> None:
        """Take over what was seen of a platform.

        Args:
            platform: a slug of the register.
            seconds: since its last authentic delivery; None if there never was one.
            silent: whether it should have sent something and did not.
        """
        self.silent.labels(platform).set(silent)
        if seconds is not None:
            self.heard.labels(platform).set(seconds)

    def text(self) -> bytes:
        """All of it, of all processes together, in Prometheus' text format."""
        if self._together is None:
            return generate_latest(self._registry)
        every = CollectorRegistry()
        MultiProcessCollector(every, str(self._together))  # type: ignore[no-untyped-call] # the library's
        return generate_latest(every)
