"""What each part needs of the others, as narrow Protocols, one file a use; ``app`` puts the real parts in.

A transaction is handed to a plain function and may run twice, so whatever takes one has no effect outside:
its methods are synchronous, and the store decides on which connection they run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol

from verifier.errors import Code
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryOutcome,
    Event,
    PlatformSlug,
    UnreadableItem,
)
from verifier.signatures.transport import TransportKey

Clock = Callable[[], datetime]
"""Aware UTC now; only the edges own one."""
NewId = Callable[[], str]
"""A fresh random id."""
RandomBytes = Callable[[int], bytes]
"""That many bytes from a cryptographic source."""
Digest = Callable[[str, bytes], bytes]
"""Keyed digest of data for one purpose, 32 bytes."""


class Adapter(Protocol):
    """One platform: tables first, then pure functions. No clock, socket or randomness inside.

    Attributes:
        slug: the platform's name in addresses and in the register; equals the module's name.
        name: the platform's name in the notice.
        profile: ``assumed`` until the platform has confirmed its real format.
        accepts: which requests its address takes.
    """

    slug: PlatformSlug
    name: str
    profile: Literal["assumed", "confirmed"]
    accepts: Accepts

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Prove the sender over the raw bytes. Raises only SignatureRejected; no key is never acceptance.

        Where this machine cannot check an SM2 key at all: ConfigurationError, and nothing is kept.
        """
        ...

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the items. Raises only AdapterError, when the delivery as a whole cannot be read."""
        ...

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a delivery, in the platform's envelope, item by item."""
        ...

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept; one body for every SIGNATURE_REJECTED."""
        ...
