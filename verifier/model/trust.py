"""Who may deliver, from when to when: the part of the trust register that adapters and policies need."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier.model.delivery import PlatformSlug


@dataclass(frozen=True, slots=True)
class TransportKey:
    """What proves a platform's deliveries: a shared secret, or a public key, never both.

    Attributes:
        not_after: first moment it is no longer accepted; None while open.
    """

    key_id: str
    not_before: datetime
    not_after: datetime | None = None
    secret: bytes | None = field(default=None, repr=False)
    public_key: Ed25519PublicKey | None = field(default=None, repr=False)

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key is accepted at a moment."""
        return self.not_before <= moment and (self.not_after is None or moment < self.not_after)


@dataclass(frozen=True, slots=True)
class Recognition:
    """An interval of days, both inclusive, in which a platform is recognised."""

    start: date
    end: date | None
    reference: str


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform in the register."""

    slug: PlatformSlug
    name: str
    recognised: tuple[Recognition, ...]
    transport: tuple[TransportKey, ...]

    def transport_at(self, moment: datetime) -> tuple[TransportKey, ...]:
        """The transport keys accepted at a moment."""
        return tuple(key for key in self.transport if key.valid_at(moment))
