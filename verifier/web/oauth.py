"""Clients' credentials: a signed assertion (RFC 7523) becomes an access token (RFC 9068) of five minutes.

An assertion passes these steps, and every failure has the same answer:

1. its form is a compact JWS with one of the types in ``_ASSERTION_TYPES`` or none;
2. ``iss`` names a client that is active; ``kid``, where it stands, and ``alg`` are those of its one key;
3. the signature holds under that key;
4. the claims: ``iss`` and ``sub`` are the client, ``aud`` is our issuer address as one text (never the token
   endpoint, never a list), ``exp``, ``iat`` and ``jti`` are there, and it lives five minutes at most;
5. its ``jti`` was never used. This comes last, so that nobody can use up another's.

An access token has its own type, key, issuer and audience; and it names the version of the client it was
given to, so that any change of the client ends it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from verifier.errors import (
    CATALOGUE,
    AccessDenied,
    Code,
    ConfigurationError,
    RequestRejected,
    SignatureRejected,
)
from verifier.model.access import Client, ClientState, Role
from verifier.model.delivery import Acknowledgment
from verifier.signatures import jws, keys, strict_json
from verifier.signatures.strict_json import JsonValue
from verifier.web import bodies
from verifier.web.bodies import FORM, JSON
from verifier.web.errors import STATUS
from verifier.web.routes import Call, Envelope, Route, answer
from verifier.web.services import Services

GRANT_TYPE: Final = "client_credentials"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a type, not a secret
LIFETIME: Final = timedelta(minutes=5)
SKEW: Final = timedelta(seconds=60)
MAX_TOKEN_BYTES: Final = 8192
MAX_FIELDS: Final = 16

_ASSERTION_TYPES: Final = frozenset({None, "JWT", "client-authentication+jwt"})
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_JTI: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)", re.ASCII)
_OPAQUE: Final = frozenset({Code.OVERLOADED, Code.STORE_UNAVAILABLE, Code.INTERNAL, Code.STORE_LOCKED})


# The token endpoint


async def token(call: Call) -> web.StreamResponse:
    """``POST /oauth/token``."""
    services = call.services
    fields = await _form(call)
    if fields.get("grant_type") != GRANT_TYPE:
        if "grant_type" in fields:
            return _refused("unsupported_grant_type", Code.SCHEMA_INVALID, 400)
        raise RequestRejected(Code.SCHEMA_INVALID, "grant_type is missing", pointer="/grant_type")
    try:
        client = await _authenticated(services, fields)
    except AccessDenied:
        services.metrics.auth_failures.labels("assertion").inc()
        raise
    now = int(services.clock().timestamp())
    claims: dict[str, JsonValue] = {
        "iss": services.issuer,
        "sub": client.client_id,
        "client_id": client.client_id,
        "aud": audience(services),
        "iat": now,
        "exp": now + int(LIFETIME.total_seconds()),
        "jti": services.new_id(),
        "role": client.role.value,
        "ver": client.version,
    }
    response = answer(
        {
            "access_token": jws.sign_compact(
                strict_json.canonical(claims), services.token_key, typ=TOKEN_TYPE
            ),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": client.role.value,
        }
    )
    response.headers["Pragma"] = "no-cache"  # RFC 6749, section 5.1
    return response


def audience(services: Services) -> str:
    """The resource that access tokens are for."""
    return f"{services.issuer}/v1"


async def _form(call: Call) -> dict[str, str]:
    bodies.media_type(call.request, FORM)
    limits = call.services.limits
    body = await bodies.read(call.request, limits, limits.form_bytes)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise RequestRejected(Code.SCHEMA_INVALID, "the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RequestRejected(Code.SCHEMA_INVALID, "a field is given twice")  # RFC 6749, section 3.2
    return fields


async def _authenticated(services: Services, fields: Mapping[str, str]) -> Client:
    if fields.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in fields:
        raise _bad_assertion()
    try:
        unverified = jws.parse_compact(fields["client_assertion"], max_bytes=MAX_TOKEN_BYTES)
        if unverified.typ not in _ASSERTION_TYPES:
            raise _bad_assertion()
        client = await _claimed_client(services, unverified)
        if fields.get("client_id", client.client_id) != client.client_id:
            raise _bad_assertion()
        key = keys.load_public_jwk(client.jwk)
        if unverified.kid not in {None, key.kid}:
            raise _bad_assertion()
        claims = _claims(jws.verify(unverified, key))
    except (SignatureRejected, ConfigurationError):
        raise _bad_assertion() from None
    jti, expires_at = _assertion_claims(claims, client.client_id, services.issuer, services.clock())
    if not await services.assertions.use_assertion(client.client_id, jti, expires_at):
        raise _bad_assertion()
    return client


async def _claimed_client(services: Services, unverified: jws.UnverifiedJws) -> Client:
    client_id = _claims(unverified.payload).get("iss")
    if not isinstance(client_id, str) or _CLIENT_ID.fullmatch(client_id) is None:
        raise _bad_assertion()
    client = await services.reading.client(client_id)
    if client is None or client.state is not ClientState.ACTIVE:
        raise _bad_assertion()
    return client


def _assertion_claims(
    claims: Mapping[str, Any], client_id: str, issuer: str, now: datetime
) -> tuple[str, datetime]:
    jti = claims.get("jti")
    if (claims.get("iss"), claims.get("sub"), claims.get("aud")) != (client_id, client_id, issuer):
        raise _bad_assertion()
    if not isinstance(jti, str) or _JTI.fullmatch(jti) is None or not _timely(claims, now):
        raise _bad_assertion()
    return jti, datetime.fromtimestamp(claims["exp"], UTC)


def _timely(claims: Mapping[str, Any], now: datetime) -> bool:
    """Whether ``iat`` and ``exp`` are whole numbers, now lies between them, and they are near each other."""
    issued, expires, earliest = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    # A bool is an int in Python, and neither texts nor fractions are taken.
    if type(issued) is not int or type(expires) is not int or type(earliest) is not int:
        return False
    moment = now.timestamp()
    soon = moment + SKEW.total_seconds()
    return issued <= soon and earliest <= soon and moment < expires <= issued + LIFETIME.total_seconds()


def _claims(payload: bytes) -> dict[str, JsonValue]:
    try:
        claims = strict_json.loads(payload, max_bytes=MAX_TOKEN_BYTES)
    except RequestRejected:
        raise SignatureRejected("claims") from None
    if not isinstance(claims, dict):
        raise SignatureRejected("claims")
    return claims


def _bad_assertion() -> AccessDenied:
    return AccessDenied(Code.CLIENT_ASSERTION_REFUSED)


def _refused(error: str, code: Code, status: int) -> web.Response:
    response = answer(_error(error, code))
    response.set_status(status)
    return response


def _error(error: str, code: Code) -> dict[str, str]:
    explanation = CATALOGUE[code]
    return {"error": error, "error_description": explanation.en, "code": code.value, "title": explanation.zh}


def _form_of_errors(_request: web.Request, _services: Services) -> Envelope:
    """RFC 6749, section 5.2: ``invalid_client`` for every cause of distrust, else ``invalid_request``."""

    def refuse(code: Code) -> Acknowledgment:
        if code is Code.CLIENT_ASSERTION_REFUSED:
            error, status = "invalid_client", 401
        elif code is Code.SCHEMA_INVALID:
            error, status = "invalid_request", 400
        else:
            error = "server_error" if code in _OPAQUE else "invalid_request"
            status = STATUS[code]
        return Acknowledgment(status, JSON, msgspec.json.encode(_error(error, code)))

    return refuse


# Using a token


async def authenticate(request: web.Request, services: Services, *roles: Role) -> Client:
    """The client whose access token the request bears.

    Args:
        request: any request.
        services: keys, clock and the register of clients, which is read anew each time.
        roles: who may call.

    Raises:
        AccessDenied: TOKEN_REFUSED for whatever is wrong with the token; SCOPE_INSUFFICIENT for a role that
            may not.
    """
    try:
        client = await _bearer(request, services)
    except SignatureRejected:
        services.metrics.auth_failures.labels("token").inc()
        raise AccessDenied(Code.TOKEN_REFUSED) from None
    if client.role not in roles:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT)
    return client


async def _bearer(request: web.Request, services: Services) -> Client:
    given = request.headers.getall("Authorization", [])
    form = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if form is None:
        raise SignatureRejected("header")
    unverified = jws.parse_compact(form[1], max_bytes=MAX_TOKEN_BYTES)
    key = services.token_key.verification_key
    if unverified.typ != TOKEN_TYPE or unverified.kid != key.kid:
        raise SignatureRejected("kind")
    claims = _claims(jws.verify(unverified, key))
    if (claims.get("iss"), claims.get("aud")) != (services.issuer, audience(services)):
        raise SignatureRejected("claims")
    if not _timely(claims, services.clock()):
        raise SignatureRejected("claims")
    client = await services.reading.client(str(claims.get("client_id")))
    if client is None or client.state is not ClientState.ACTIVE or client.version != claims.get("ver"):
        raise SignatureRejected("client")
    return client


ROUTES: Final = (
    Route(
        "POST",
        "/oauth/token",
        token,
        "以签名断言换取访问令牌 · Exchange a signed assertion for an access token",
        takes={
            FORM: {
                "type": "object",
                "required": ["grant_type", "client_assertion_type", "client_assertion"],
                "properties": {
                    "grant_type": {"const": GRANT_TYPE},
                    "client_assertion_type": {"const": ASSERTION_TYPE},
                    "client_assertion": {"type": "string", "maxLength": MAX_TOKEN_BYTES},
                },
            }
        },
        gives={
            JSON: {
                "type": "object",
                "required": ["access_token", "token_type", "expires_in"],
                "properties": {
                    "access_token": {"type": "string"},
                    "token_type": {"const": "Bearer"},
                    "expires_in": {"type": "integer"},
                    "scope": {"enum": [role.value for role in Role]},
                },
            }
        },
        envelope=_form_of_errors,
    ),
)
