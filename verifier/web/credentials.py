"""Who asks for a token: a client proves itself in exactly one way (RFC 6749, section 2.3).

``private_key_jwt`` (RFC 7523, section 2.2), for every client that can keep a key. The assertion passes these
steps:

1. its form is a compact JWS with one of the types in ``_ASSERTION_TYPES`` or none;
2. ``iss`` names a client that is active; ``kid``, where it stands, and ``alg`` are those of its one key;
3. the signature holds under that key;
4. the claims: ``iss`` and ``sub`` are the client, ``aud`` is our issuer address as one text (never the token
   endpoint, never a list), ``exp``, ``iat`` and ``jti`` are there, and it lives five minutes at most;
5. its ``jti`` was never used. This comes last, so that nobody can use up another's.

``client_secret_basic`` and ``client_secret_post`` (RFC 6749, section 2.3.1), for a platform whose senders
know no more than a secret that we made. Such a client is registered with secrets and without a key, and its
tokens open less (``verifier.model.access.Client.scopes``).

Every failure has the same answer, whatever it is and in whichever way the client tried.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_plus

from aiohttp import web

from verifier.errors import AccessDenied, Code, ConfigurationError, RequestRejected, SignatureRejected
from verifier.model.access import Client, ClientState
from verifier.signatures import client_secret, jws, keys, strict_json
from verifier.web.services import Services

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = timedelta(minutes=5)
"""Of an assertion, and of the token that it is exchanged for."""
SKEW: Final = timedelta(seconds=60)
MAX_TOKEN_BYTES: Final = 8192

_ASSERTION_TYPES: Final = frozenset({None, "JWT", "client-authentication+jwt"})
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_JTI: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_BASIC: Final = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]{4,1024}={0,2})", re.ASCII)
_FORM_ENCODED: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*", re.ASCII)


async def client_of(request: web.Request, services: Services, fields: Mapping[str, str]) -> Client:
    """The client that a token request comes from.

    Args:
        request: for its ``Authorization`` header.
        services: clock and the register of clients.
        fields: of the request's form.

    Raises:
        RequestRejected: SCHEMA_INVALID, more than one way is tried.
        AccessDenied: CLIENT_ASSERTION_REFUSED, for any other cause.
    """
    basic = "Authorization" in request.headers
    post = "client_secret" in fields
    assertion = "client_assertion" in fields or "client_assertion_type" in fields
    if basic + post + assertion > 1:
        raise RequestRejected(Code.SCHEMA_INVALID, "more than one way of authentication")
    try:
        if basic:
            return await _with_secret(services, fields, *_basic(request))
        if post:
            return await _with_secret(services, fields, fields.get("client_id"), fields["client_secret"])
        return await _with_assertion(services, fields)
    except (SignatureRejected, ConfigurationError):
        raise _refused() from None


def claims_of(payload: bytes) -> Mapping[str, Any]:
    """A token's payload as its claims.

    Raises:
        SignatureRejected: it is not one strict JSON object.
    """
    try:
        claims = strict_json.loads(payload, max_bytes=MAX_TOKEN_BYTES)
    except RequestRejected:
        raise SignatureRejected("claims") from None
    if not isinstance(claims, dict):
        raise SignatureRejected("claims")
    return claims


def timely(claims: Mapping[str, Any], now: datetime) -> bool:
    """Whether ``iat`` and ``exp`` are whole numbers, now lies between them, and they are near each other."""
    issued, expires, earliest = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    # A bool is an int in Python, and neither texts nor fractions are taken.
    if type(issued) is not int or type(expires) is not int or type(earliest) is not int:
        return False
    moment = now.timestamp()
    soon = moment + SKEW.total_seconds()
    return issued <= soon and earliest <= soon and moment < expires <= issued + LIFETIME.total_seconds()


def jti_of(claims: Mapping[str, Any]) -> str | None:
    """A token's own id; None where it has none of the form of one."""
    jti = claims.get("jti")
    return jti if isinstance(jti, str) and _JTI.fullmatch(jti) else None


async def active(services: Services, client_id: object) -> Client:
    """A client that may have and use tokens.

    Raises:
        SignatureRejected: there is no such client, or it is revoked.
    """
    if not isinstance(client_id, str) or _CLIENT_ID.fullmatch(client_id) is None:
        raise SignatureRejected("client")
    client = await services.reading.client(client_id)
    if client is None or client.state is not ClientState.ACTIVE:
        raise SignatureRejected("client")
    return client


# A secret


def _basic(request: web.Request) -> tuple[str, str]:
    """Client id and secret of the header; each was form-encoded before they were joined."""
    given = request.headers.getall("Authorization")
    form = _BASIC.fullmatch(given[0]) if len(given) == 1 else None
    if form is None:
        raise _refused()
    try:
        pair = base64.b64decode(form[1], validate=True)
        client_id, _, secret = pair.decode("ascii").partition(":")
        return _form_decoded(client_id), _form_decoded(secret)
    except ValueError:
        raise _refused() from None


def _form_decoded(text: str) -> str:
    if _FORM_ENCODED.fullmatch(text) is None:
        raise ValueError("not form-encoded")
    return unquote_plus(text, errors="strict")


async def _with_secret(
    services: Services, fields: Mapping[str, str], client_id: str | None, secret: str
) -> Client:
    client = await _named(services, fields, client_id)
    if not client_secret.matches(secret, client.secrets):
        raise _refused()
    return client


# An assertion


async def _with_assertion(services: Services, fields: Mapping[str, str]) -> Client:
    if fields.get("client_assertion_type") != ASSERTION_TYPE:
        raise _refused()
    unverified = jws.parse_compact(fields.get("client_assertion", ""), max_bytes=MAX_TOKEN_BYTES)
    if unverified.typ not in _ASSERTION_TYPES:
        raise _refused()
    client = await _named(services, fields, claims_of(unverified.payload).get("iss"))
    key = keys.load_public_jwk(client.jwk)
    if unverified.kid not in {None, key.kid}:
        raise _refused()
    claims = claims_of(jws.verify(unverified, key))
    jti = _assertion_id(claims, client.client_id, services.issuer, services.clock())
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    if not await services.assertions.use_assertion(client.client_id, jti, expires_at):
        raise _refused()
    return client


def _assertion_id(claims: Mapping[str, Any], client_id: str, issuer: str, now: datetime) -> str:
    if (claims.get("iss"), claims.get("sub"), claims.get("aud")) != (client_id, client_id, issuer):
        raise _refused()
    jti = jti_of(claims)
    if jti is None or not timely(claims, now):
        raise _refused()
    return jti


async def _named(services: Services, fields: Mapping[str, str], client_id: object) -> Client:
    """The client of this id, which the form may repeat."""
    if fields.get("client_id", client_id) != client_id:
        raise _refused()
    return await active(services, client_id)


def _refused() -> AccessDenied:
    return AccessDenied(Code.CLIENT_ASSERTION_REFUSED)
