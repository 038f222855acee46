from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Which check failed: the vocabulary of ``SignatureRejected.step`` for tokens, webhooks and gateways.

    It is for the platform's own list of failures; the answer to an unauthenticated sender never says it.
    """

    NO_KEY = "no_key"
    """Nothing usable is configured to verify with."""
    MALFORMED = "malformed"
    """A token, header or signature breaks its written form."""
    HEADER_REFUSED = "header_refused"
    """A JOSE header names a parameter that this service never follows."""
    ALGORITHM = "algorithm"
    """The algorithm is not the one registered for the key."""
    TIMESTAMP = "timestamp"
    """The signed time lies outside the window."""
    TOO_COMPLEX = "too_complex"
    """What is signed could not be read within the limits of time and memory."""
    ALTERED = "altered"
    """A document was changed after it was signed, or the signature does not cover all of it."""
    SIGNATURE = "signature"
    """The signature does not hold."""
    CHAIN = "chain"
    """The certificate chain does not lead to a registered anchor."""
    REVOCATION_UNKNOWN = "revocation_unknown"
    """No current revocation list says whether the certificate stands."""
