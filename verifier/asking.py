"""Puts together what asks outside witnesses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from verifier import keyfiles, witnesses
from verifier.ports import Clock
from verifier.ports.witnessing import WitnessedStore
from verifier.posting import post
from verifier.settings import Settings
from verifier.web.errors import audit
from verifier.web.metrics import Metrics
from verifier.witnesses import Witness, WitnessWorker


def named(settings: Settings) -> tuple[Witness, ...]:
    """Which witnesses are asked to cosign; none where no file is named.

    Raises:
        ConfigurationError: the file is missing or wrong.
    """
    if settings.witnesses == Path():
        return ()
    return witnesses.read(keyfiles.read_public(settings.witnesses))


def witness_worker(
    settings: Settings, store: WitnessedStore, clock: Clock, metrics: Metrics
) -> WitnessWorker | None:
    """What asks them; None where there are none."""
    found = named(settings)
    if not found:
        return None
    return WitnessWorker(store, found, post, clock, partial(audit, "alarm"), metrics.cosigned)
