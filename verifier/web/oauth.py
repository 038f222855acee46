"""Access tokens (RFC 9068): given for five minutes to a client that proved itself, and used.

How a client proves itself is in ``verifier.web.credentials``; every failure has the same answer.

An access token has its own type, key, issuer and audience; it names the version of the client it was given
to, so that any change of the client ends it; and its ``scope`` says what it opens, which a client may narrow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from verifier.errors import CATALOGUE, AccessDenied, Code, RequestRejected, SignatureRejected
from verifier.model.access import CALLS, Client, Role, Scope
from verifier.model.delivery import Acknowledgment, Bearer, PlatformSlug
from verifier.signatures import jws, strict_json
from verifier.signatures.strict_json import JsonValue
from verifier.web import bodies, credentials
from verifier.web.bodies import FORM, JSON
from verifier.web.credentials import LIFETIME, MAX_TOKEN_BYTES
from verifier.web.errors import STATUS
from verifier.web.routes import TEXT, Call, Envelope, Route, answer
from verifier.web.services import Services

GRANT_TYPE: Final = "client_credentials"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a type, not a secret
MAX_FIELDS: Final = 16

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)", re.ASCII)
_OPAQUE: Final = frozenset(
    {Code.OVERLOADED, Code.STORE_UNAVAILABLE, Code.OUTCOME_UNKNOWN, Code.INTERNAL, Code.STORE_LOCKED}
)


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
        client = await credentials.client_of(call.request, services, fields)
    except AccessDenied:
        services.metrics.auth_failures.labels("assertion").inc()
        raise
    scope = _scope(client, fields.get("scope"))
    if scope is None:
        return _refused("invalid_scope", Code.SCOPE_INSUFFICIENT, 400)
    response = answer(
        {
            "access_token": _access_token(services, client, scope),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": scope,
        }
    )
    response.headers["Pragma"] = "no-cache"  # RFC 6749, section 5.1
    return response


def _scope(client: Client, wanted: str | None) -> str | None:
    """What the token opens: all that is asked for, or all that the client may; None where it may not."""
    allowed = [scope.value for scope in client.scopes]
    if wanted is None:
        return " ".join(allowed)
    asked = set(wanted.split(" "))  # RFC 6749, section 3.3: nothing but single spaces stands between
    return " ".join(scope for scope in allowed if scope in asked) if asked <= set(allowed) else None


def _access_token(services: Services, client: Client, scope: str) -> str:
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
        "scope": scope,
        "ver": client.version,
    }
    return jws.sign_compact(strict_json.canonical(claims), services.token_key, typ=TOKEN_TYPE)


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


@dataclass(frozen=True, slots=True)
class _Token:
    """An access token of ours that holds, and whose client has not changed since."""

    client: Client
    scopes: frozenset[str]
    token_id: str
    issued_at: datetime


async def authenticate(request: web.Request, services: Services, *roles: Role) -> Client:
    """The client whose access token the request bears.

    Args:
        request: any request.
        services: keys, clock and the register of clients, which is read anew each time.
        roles: who may call.

    Raises:
        AccessDenied: TOKEN_REFUSED for whatever is wrong with the token; SCOPE_INSUFFICIENT for a role that
            may not, or a token that does not open the calls of its role.
    """
    try:
        token = await _bearer(request, services)
    except SignatureRejected:
        services.metrics.auth_failures.labels("token").inc()
        raise AccessDenied(Code.TOKEN_REFUSED) from None
    if token.client.role not in roles or CALLS[token.client.role] not in token.scopes:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT)
    return token.client


async def bearer_of(request: web.Request, services: Services, slug: PlatformSlug) -> Bearer:
    """Whose access token a callback bears, for a platform that proves its deliveries by nothing else.

    Args:
        request: to the platform's address.
        services: as for ``authenticate``.
        slug: the platform.

    Raises:
        SignatureRejected: the token does not hold, is another platform's, or does not open callbacks.
    """
    token = await _bearer(request, services)
    if token.client.role is not Role.PLATFORM or token.client.platform != slug:
        raise SignatureRejected("client")
    if Scope.CALLBACK not in token.scopes:
        raise SignatureRejected("scope")
    return Bearer(token.client.client_id, token.token_id, token.issued_at)


async def _bearer(request: web.Request, services: Services) -> _Token:
    given = request.headers.getall("Authorization", [])
    form = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if form is None:
        raise SignatureRejected("header")
    unverified = jws.parse_compact(form[1], max_bytes=MAX_TOKEN_BYTES)
    key = services.token_key.verification_key
    if unverified.typ != TOKEN_TYPE or unverified.kid != key.kid:
        raise SignatureRejected("kind")
    claims = credentials.claims_of(jws.verify(unverified, key))
    if (claims.get("iss"), claims.get("aud")) != (services.issuer, audience(services)):
        raise SignatureRejected("claims")
    token_id, scope = credentials.jti_of(claims), claims.get("scope")
    if token_id is None or not isinstance(scope, str) or not credentials.timely(claims, services.clock()):
        raise SignatureRejected("claims")
    client = await credentials.active(services, claims.get("client_id"))
    if client.version != claims.get("ver"):
        raise SignatureRejected("client")
    return _Token(client, frozenset(scope.split(" ")), token_id, datetime.fromtimestamp(claims["iat"], UTC))


ROUTES: Final = (
    Route(
        "POST",
        "/oauth/token",
        token,
        "以签名断言（或平台的密钥串）换取访问令牌 · "
        "Exchange a signed assertion, or a platform's secret, for an access token",
        takes={
            FORM: {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"const": GRANT_TYPE},
                    "scope": TEXT,
                    "client_assertion_type": {"const": credentials.ASSERTION_TYPE},
                    "client_assertion": {"type": "string", "maxLength": MAX_TOKEN_BYTES},
                    "client_id": TEXT,
                    "client_secret": TEXT,
                },
            }
        },
        gives={
            JSON: {
                "type": "object",
                "required": ["access_token", "token_type", "expires_in", "scope"],
                "properties": {
                    "access_token": {"type": "string"},
                    "token_type": {"const": "Bearer"},
                    "expires_in": {"type": "integer"},
                    "scope": TEXT,
                },
            }
        },
        envelope=_form_of_errors,
    ),
)
