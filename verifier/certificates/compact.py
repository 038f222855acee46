"""A certificate as a compact JWS (RFC 7515), under a registered key or with a certificate chain (``x5c``)."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from verifier.certificates.form import Claims, Unverified, header_refused, malformed
from verifier.errors import RequestRejected, SignatureRejected
from verifier.model.certificate import SignedCertificate
from verifier.signatures import jws, strict_json
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import UnverifiedJws, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.strict_json import JsonValue

MAX_TOKEN_BYTES: Final = 8192
MAX_CHAINED_BYTES: Final = 24_576
"""With a chain of a few certificates in its header."""
MAX_CHAIN: Final = 5
TYP: Final = "JWT"
"""What the assumed profiles put into ``typ``; compared exactly."""


def open_bare(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a token whose ``kid`` names a registered key."""
    token = parse(signed.content, MAX_TOKEN_BYTES)
    return Unverified(claims_of(token, MAX_TOKEN_BYTES), check_of(token), key_id=token.kid)


def open_chained(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a token that brings its chain (RFC 7515, section 4.1.6)."""
    token = parse(signed.content, MAX_CHAINED_BYTES, allow_x5c=True)
    return Unverified(
        claims_of(token, MAX_CHAINED_BYTES), check_of(token), chain=chain_of(token.header.get("x5c"))
    )


def parse(
    content: bytes, limit: int, *, allow_x5c: bool = False, types: frozenset[str | None] = frozenset({TYP})
) -> UnverifiedJws:
    """A strict compact JWS of one of the types given, or the refusal of step 1 or 2."""
    try:
        # ISO 8859-1 never fails; what is not ASCII is no token.
        token = jws.parse_compact(content.decode("latin-1"), max_bytes=limit, allow_x5c=allow_x5c)
    except SignatureRejected as error:
        if error.step == Step.HEADER_REFUSED:
            raise header_refused("the header holds a refused parameter") from None
        raise malformed("not a strict compact JWS") from None
    if token.typ not in types:
        raise header_refused("typ is not that of certificates")
    return token


def claims_of(token: UnverifiedJws, limit: int) -> Claims:
    """The payload's members, still unverified; step 1 if it is no strict JSON object."""
    try:
        claims = strict_json.loads(token.payload, max_bytes=limit)
    except RequestRejected:
        claims = None
    if not isinstance(claims, dict):
        raise malformed("the payload is not a strict JSON object")
    return claims


def chain_of(header: JsonValue) -> tuple[bytes, ...]:
    """An ``x5c`` header's certificates: standard base64 of DER, the signer's first."""
    if not isinstance(header, list) or not 1 <= len(header) <= MAX_CHAIN:
        raise header_refused("x5c is not a list of 1 to 5 certificates")
    return tuple(_certificate(element) for element in header)


def _certificate(element: JsonValue) -> bytes:
    try:
        if isinstance(element, str) and element:
            return base64.b64decode(element, validate=True)
    except (binascii.Error, ValueError):
        pass  # as refused as what is no text
    raise header_refused("a certificate in x5c is not base64 of anything")


def check_of(token: UnverifiedJws) -> _Check:
    """Steps 6 and 7 of a token."""
    return _Check(token)


class _Check:
    """A JWS writes its signature in its own form, whatever encoding is registered for others."""

    __slots__ = ("_token",)

    def __init__(self, token: UnverifiedJws) -> None:
        self._token = token

    def __call__(self, key: VerificationKey, _encoding: SignatureEncoding) -> None:
        jws.verify(self._token, key)
