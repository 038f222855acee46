"""What proves a platform's deliveries, as the register names it and adapters are handed it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import PublicKey


@dataclass(frozen=True, slots=True)
class TransportKey:
    """A shared secret or a public key, never both.

    Attributes:
        not_after: first moment it is no longer accepted; None while open.
        public_key: an SM2 key knows its holder's distinguishing id.
        algorithm: of a public key, the register's word for it: ``EdDSA``, ``RS256``, ``ES256``,
            ``SM3withSM2`` or ``raw-RSA``; empty for a secret, whose use the platform's profile fixes.
        encoding: how signatures by a public key are written.
        legacy: ``MD5`` where the register lets this secret prove deliveries by MD5; else empty.
    """

    key_id: str
    not_before: datetime
    not_after: datetime | None = None
    secret: bytes | None = field(default=None, repr=False)
    public_key: PublicKey | None = field(default=None, repr=False)
    algorithm: str = ""
    encoding: SignatureEncoding = SignatureEncoding.DER_BASE64
    legacy: str = ""

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key is accepted at a moment."""
        return self.not_before <= moment and (self.not_after is None or moment < self.not_after)
