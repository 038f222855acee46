"""What is counted, in a registry of its own. No label ever holds what a caller chose."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The service's counters.

    Attributes:
        deliveries: by registered platform and what became of the delivery.
        auth_failures: by where: a registered platform's slug, ``assertion`` or ``token``.
        durations: seconds by route, in the form of its template, and status.
    """

    def __init__(self) -> None:
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

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
