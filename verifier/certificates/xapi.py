"""A certificate as a signed xAPI statement (xAPI 1.0.3, Data, section 2.6).

``content`` is the statement that was received, as strict JSON; ``signature`` is the JWS attached to it. What
is read is the JWS's payload alone: the statement as its issuer signed it. The specification wants the
received statement to be equivalent to it, so that nobody who reads that one is told anything else.

The key is named by ``kid``, or by the chain in ``x5c``, which the specification recommends.
"""

from __future__ import annotations

from typing import Final

from verifier.certificates import compact
from verifier.certificates.form import Unverified, malformed
from verifier.errors import CertificateRejected, Code, RequestRejected
from verifier.model.certificate import SignedCertificate
from verifier.signatures import strict_json, xapi

TYPES: Final = frozenset({None, "JWT", "JOSE"})
"""The specification names no ``typ``; common libraries write one of these or none."""

_STATEMENT: Final = ("actor", "verb", "object")


def open_statement(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a signed statement."""
    limit = compact.MAX_CHAINED_BYTES
    token = compact.parse(signed.signature.encode(), limit, allow_x5c=True, types=TYPES)
    claims = compact.claims_of(token, limit)
    if not all(isinstance(claims.get(name), dict) for name in _STATEMENT):
        raise malformed("the payload is not a statement")
    try:
        received = strict_json.loads(signed.content, max_bytes=len(signed.content))
    except RequestRejected:
        received = None
    if not isinstance(received, dict):
        raise malformed("the statement is not a strict JSON object")
    if not xapi.equivalent(claims, received):
        detail = "the statement is not the one that was signed"
        raise CertificateRejected(Code.CERTIFICATE_MISMATCH, 2, detail)
    if "x5c" in token.header:
        return Unverified(claims, compact.check_of(token), chain=compact.chain_of(token.header["x5c"]))
    return Unverified(claims, compact.check_of(token), key_id=token.kid)
