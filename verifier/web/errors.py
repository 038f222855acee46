"""Codes to HTTP: the one table of statuses, problem documents (RFC 9457), and the boundary around handlers.

A platform gets its own envelope and the token endpoint the form of RFC 6749: their routes set ``ENVELOPE``.
Every 401 has one body for all causes, so it does not even bear the request id: that is in the header
``Request-Id``, as with every answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from verifier.errors import CATALOGUE, Code, Conflict, RequestRejected, SignatureRejected, VerifierError
from verifier.haste import somebody_waits
from verifier.model.delivery import Acknowledgment
from verifier.web.services import Services

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
ServerHandler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

PROBLEM: Final = "application/problem+json"

REQUEST_ID: Final = web.RequestKey("request_id", str)
BODY: Final = web.RequestKey("body", bytes)
ENVELOPE: Final[web.RequestKey[Callable[[Code], Acknowledgment]]] = web.RequestKey("envelope")

STATUS: Final[Mapping[Code, int]] = {
    Code.REQUEST_TOO_LARGE: 413,
    Code.REQUEST_TIMEOUT: 408,
    Code.HEADERS_INVALID: 400,
    Code.CONTENT_TYPE_UNSUPPORTED: 415,
    Code.CONTENT_ENCODING_UNSUPPORTED: 415,
    Code.JSON_INVALID: 400,
    Code.SCHEMA_INVALID: 422,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.NOT_FOUND: 404,
    Code.CURSOR_AHEAD: 409,
    Code.SIGNATURE_REJECTED: 401,
    Code.DELIVERY_CONFLICT: 409,
    Code.DELIVERY_UNREADABLE: 422,
    Code.FIELD_MISSING: 422,
    Code.FIELD_INVALID: 422,
    Code.XML_REFUSED: 422,
    Code.CHARSET_REFUSED: 422,
    Code.PRIVATE_USE_CHARACTER: 422,
    Code.TOO_COMPLEX: 422,
    Code.DOCUMENT_MISSING: 422,
    Code.EVENT_UNKNOWN: 422,
    Code.COMPLETION_CONFLICT: 409,
    Code.CERTIFICATE_MALFORMED: 422,
    Code.CERTIFICATE_HEADER_REFUSED: 422,
    Code.DOCUMENT_ALTERED: 422,
    Code.ISSUER_UNKNOWN: 422,
    Code.ISSUER_NOT_ALLOWED: 422,
    Code.KEY_UNKNOWN: 422,
    Code.CERTIFICATE_CHAIN_REFUSED: 422,
    Code.REVOCATION_UNKNOWN: 422,
    Code.KEY_NOT_VALID_AT_ISSUE: 422,
    Code.KEY_COMPROMISED: 422,
    Code.ALGORITHM_REFUSED: 422,
    Code.CERTIFICATE_SIGNATURE_INVALID: 422,
    Code.CERTIFICATE_CLAIMS_INVALID: 422,
    Code.CERTIFICATE_MISMATCH: 422,
    Code.CERTIFICATE_NOT_YET_VALID: 422,
    Code.IDENTIFIER_INVALID: 422,
    Code.IDENTITY_WEAK: 422,
    Code.NAME_INVALID: 422,
    Code.USCC_INVALID: 422,
    Code.TOKEN_REFUSED: 401,
    Code.CLIENT_ASSERTION_REFUSED: 401,
    Code.SCOPE_INSUFFICIENT: 403,
    Code.QUOTA_EXCEEDED: 429,
    Code.ROSTER_ROW_INVALID: 422,
    Code.ROSTER_UNREADABLE: 422,
    Code.OFFICE_UNKNOWN: 422,
    Code.ALREADY_CLAIMED: 409,
    Code.RECORD_NOT_CURRENT: 409,
    Code.CLAIM_STATE_REFUSED: 409,
    Code.REVIEW_STATE_REFUSED: 409,
    Code.MONTH_NOT_HELD: 409,
    Code.MONTH_CLAIMED: 409,
    Code.CLAIM_DIFFERS: 409,
    Code.PAYEE_NOT_CONFIGURED: 409,
    Code.PAYEE_REFUSED: 409,
    Code.MONTH_FROZEN: 409,
    Code.SIGNED_FILE_REFUSED: 422,
    Code.STATE_REFUSED: 409,
    Code.LEARNER_ERASED: 409,
    Code.DUTY_TO_KEEP: 409,
    Code.KEEP_TERM_NOT_CONFIGURED: 500,
    Code.BODY_NOT_KEPT: 410,
    Code.COPY_REFUSED: 409,
    Code.IMPORT_REFUSED: 422,
    Code.IMPORT_FILE_UNREADABLE: 422,
    Code.IMPORT_FILE_CHANGED: 409,
    Code.IMPORT_LINE_TRUNCATED: 422,
    Code.LEDGER_HEAD_MOVED: 503,
    Code.LEDGER_FORK_REFUSED: 500,
    Code.RECORD_INVALID: 500,
    Code.KIND_UNKNOWN: 422,
    Code.CONFIGURATION_INVALID: 500,
    Code.KEY_REFUSED: 500,
    Code.POLICY_INVALID: 500,
    Code.STORE_LOCKED: 503,
    Code.OVERLOADED: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.OUTCOME_UNKNOWN: 503,
    Code.PLATFORM_UNAVAILABLE: 503,
    Code.INTERNAL: 500,
}

# Of these nothing is said but what the catalogue says: causes must not be told apart.
_GENERIC: Final = frozenset({401, 404, 500})
_RETRY_SECONDS: Final[Mapping[int, int]] = {429: 3600, 503: 1}
"""When to come again: the one quota is a day's, and midnight may be hours away."""
_UNAUTHORISED: Final = 401
_CHALLENGES: Final[Mapping[Code, str]] = {
    Code.TOKEN_REFUSED: "Bearer",
    Code.CLIENT_ASSERTION_REFUSED: 'Basic realm="oauth"',  # RFC 6749, section 5.2
}
_OF_AIOHTTP: Final[Mapping[int, Code]] = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.REQUEST_TOO_LARGE,
    417: Code.HEADERS_INVALID,
}

_log = logging.getLogger("verifier.web")
_audit = logging.getLogger("verifier.web.audit")


def audit(event: str, **members: str | int) -> None:
    """Write one audit line: JSON in ASCII, so that nothing in it can break the line or drive a terminal."""
    _audit.info("%s", json.dumps({"event": event, **members}))


def problem(error: VerifierError, request_id: str, *, status: int | None = None) -> web.Response:
    """An error as a problem document (RFC 9457, section 3.1). Nothing of the request is in it.

    Args:
        error: what happened.
        request_id: ours.
        status: instead of the table's.
    """
    status = status or STATUS[error.code]
    explanation = CATALOGUE[error.code]
    body: dict[str, Any] = {
        "type": f"urn:training-verifier:error:{error.code.value}",
        "title": explanation.zh,
        "status": status,
        "code": error.code.value,
        "detail_en": explanation.en,
        "party": explanation.party.value,
        "reason": "" if status in _GENERIC else error.detail,
        "pointer": "" if status in _GENERIC else error.pointer,
    }
    if status != _UNAUTHORISED:
        body["request_id"] = request_id
    if isinstance(error, Conflict) and error.recorded is not None:
        body["recorded"] = error.recorded
    response = web.Response(status=status, body=msgspec.json.encode(body), content_type=PROBLEM)
    return _challenging(response, error.code)


def _challenging(response: web.Response, code: Code) -> web.Response:
    if code in _CHALLENGES:
        response.headers["WWW-Authenticate"] = _CHALLENGES[code]
    return response


def acknowledged(answer: Acknowledgment) -> web.Response:
    """An answer in a form of somebody else's."""
    response = web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
    if answer.content_type:
        response.headers["Content-Type"] = answer.content_type
    return response


def boundary(services: Services) -> Middleware:
    """The middleware that names each request, turns each error into its answer, and seals each answer."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = services.new_id()
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            with somebody_waits():
                response = await handler(request)
        except VerifierError as error:
            response = _refusal(request, services, error)
        except web.HTTPException as error:
            response = _from_aiohttp(request, services, error)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever was not foreseen becomes INTERNAL
            _log_unexpected(error, request[REQUEST_ID])
            response = _refusal(request, services, VerifierError(Code.INTERNAL))
        seal(response, request[REQUEST_ID])
        if request.can_read_body:
            response.force_close()  # what is left of the body is not the next request
        services.metrics.durations.labels(_route(request), response.status).observe(loop.time() - started)
        return response

    return guard


def outermost(services: Services, handler: ServerHandler) -> ServerHandler:
    """A handler for what aiohttp refuses before any middleware, such as ``Expect`` with another value."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            code = _OF_AIOHTTP.get(error.status, Code.HEADERS_INVALID)
            return unframed(services, RequestRejected(code), request.remote, error.status)

    return answer


def unframed(
    services: Services, error: VerifierError, source: str | None, status: int | None = None
) -> web.Response:
    """The answer to what never became a request, after which the connection is closed."""
    request_id = services.new_id()
    response = problem(error, request_id, status=status)
    audit(
        "refused",
        code=error.code.value,
        status=response.status,
        request_id=request_id,
        route="-",
        source=source or "-",
    )
    seal(response, request_id)
    response.force_close()
    return response


def seal(response: web.StreamResponse, request_id: str) -> None:
    """Set the headers that every answer bears."""
    headers = response.headers
    headers["Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Server"] = "training-verifier"
    headers.setdefault("Cache-Control", "no-store")
    if response.status in _RETRY_SECONDS:
        headers["Retry-After"] = str(_RETRY_SECONDS[response.status])


def _refusal(
    request: web.Request, services: Services, error: VerifierError, status: int | None = None
) -> web.Response:
    envelope = request.get(ENVELOPE)
    if envelope is None:
        response = problem(error, request[REQUEST_ID], status=status)
    else:
        response = _challenging(acknowledged(envelope(error.code)), error.code)
    members: dict[str, str | int] = {
        "code": error.code.value,
        "status": response.status,
        "request_id": request[REQUEST_ID],
        "route": _route(request),
        "source": request.remote or "-",
    }
    if isinstance(error, SignatureRejected):
        members["step"] = error.step
    if (body := request.get(BODY)) is not None:
        members["payload"] = services.digest("audit", body)[:16].hex()
    audit("refused", **members)
    if error.code is Code.HEADERS_INVALID:
        response.force_close()  # what stands behind such headers is not to be trusted as the next request
    return response


def _from_aiohttp(request: web.Request, services: Services, error: web.HTTPException) -> web.Response:
    code = _OF_AIOHTTP.get(error.status)
    if code is None:
        _log_unexpected(error, request[REQUEST_ID])
        return _refusal(request, services, VerifierError(Code.INTERNAL))
    response = _refusal(request, services, RequestRejected(code), error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response


def _log_unexpected(error: BaseException, request_id: str) -> None:
    # The message of an unforeseen exception may hold input: only its type and place are logged.
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "-"
    _log.error("unexpected %s in %s, request %s", type(error).__name__, place, request_id)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "-" if resource is None else resource.canonical
