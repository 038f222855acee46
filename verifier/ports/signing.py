"""What signs for the issuer: a key from a file today; a hardware module or an SM2 key can come behind it.

Whoever signs needs no more than this: under which id and algorithm, and the signature of some bytes. Where
the private key is, and whether it ever leaves that place, is the signer's own business.
"""

from __future__ import annotations

from typing import Protocol

from verifier.signatures.jws import Algorithm, VerificationKey


class Signer(Protocol):
    """Signs under one key. Only the issuer holds one (law 8)."""

    @property
    def kid(self) -> str:
        """The key's id: the thumbprint (RFC 7638) of its public JWK."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The one algorithm that it signs by."""
        ...

    @property
    def verification_key(self) -> VerificationKey:
        """The public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, in the form that JOSE gives it (RFC 7518, 3.4: ``r || s``).

        Raises:
            Unavailable: whatever holds the key does not answer; nothing was signed.
        """
        ...
