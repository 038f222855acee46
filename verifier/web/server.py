"""Puts the routes together: ``build`` makes the application, ``runner`` what listens.

Before a handler sees a request:

1. its version is one we speak, and its host is ours, where ``HttpLimits.hosts`` names ours;
2. its headers are not too long, name no protocol to change to, and no transfer coding but ``chunked``;
3. not too many others are being worked on;
4. its query is as documented, and its caller has one of the route's roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web

from verifier.errors import Code, RequestRejected, Unavailable
from verifier.web import callbacks, claims, employers, enterprises, errors, feed, ledger, oauth, openapi
from verifier.web.connections import Runner
from verifier.web.routes import OBJECT, Call, Route, answer, query
from verifier.web.services import HttpLimits, Services

SERVICES: Final = web.AppKey("services", Services)
MAX_HEADERS: Final = 64
MAX_LINE_BYTES: Final = 8190


async def _described(call: Call) -> web.StreamResponse:
    """``GET /openapi.json``."""
    return answer(openapi.document(ROUTES, call.services.issuer), max_age=300)


ROUTES: Final[tuple[Route, ...]] = (
    *callbacks.ROUTES,
    *oauth.ROUTES,
    *enterprises.ROUTES,
    *employers.ROUTES,
    *feed.ROUTES,
    *claims.ROUTES,
    *ledger.ROUTES,
    Route("GET", "/openapi.json", _described, "本文档 · This document", gives={"application/json": OBJECT}),
)


@dataclass(slots=True)
class _Load:
    """How many requests are being worked on."""

    requests: int = 0


def build(services: Services, routes: Sequence[Route] = ROUTES) -> web.Application:
    """The application.

    Args:
        services: what it needs of the others.
        routes: ``ROUTES``, or ``ledger.HEALTH`` for a listener that answers when the other is full.
    """
    app = web.Application(
        middlewares=[errors.boundary(services)], client_max_size=services.limits.roster_bytes
    )
    app[SERVICES] = services

    async def let_go(_: web.Application) -> None:
        services.growth.close()

    app.on_shutdown.append(let_go)
    load = _Load()
    for route in routes:
        app.router.add_route(
            route.method, route.path, _dispatcher(route, services, load), expect_handler=_expected_later
        )
    return app


def runner(app: web.Application) -> web.AppRunner:
    """What listens for an application of ``build``; the caller adds sites to it.

    A handler is not cancelled when its client goes away: what was begun is committed, and the client's next
    try gets the stored answer.
    """
    services = app[SERVICES]
    return Runner(
        app,
        services,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=False,
        keepalive_timeout=services.limits.idle_seconds,
        lingering_time=services.limits.linger_seconds,
        max_headers=MAX_HEADERS,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        shutdown_timeout=10.0,
    )


async def _expected_later(_request: web.Request) -> None:
    """``Expect`` is looked at by ``_admit``, and answered when the body is wanted."""


def _dispatcher(route: Route, services: Services, load: _Load) -> errors.Handler:
    async def dispatch(request: web.Request) -> web.StreamResponse:
        if route.envelope is not None and (envelope := route.envelope(request, services)) is not None:
            request[errors.ENVELOPE] = envelope
        _admit(request, services.limits)
        if load.requests >= services.limits.requests:
            raise Unavailable(Code.OVERLOADED, "too many requests at once")
        load.requests += 1
        try:
            foreign = route.any_query or route.envelope is not None
            numbers, words = ({}, {}) if foreign else query(request, route.parameters)
            client = await oauth.authenticate(request, services, *route.roles) if route.roles else None
            return await route.handler(Call(request, services, client, numbers, words))
        finally:
            load.requests -= 1

    return dispatch


def _admit(request: web.Request, limits: HttpLimits) -> None:
    headers = request.headers
    if request.version not in {HttpVersion10, HttpVersion11}:
        raise RequestRejected(Code.HEADERS_INVALID, "HTTP/1.1 or 1.0")
    if limits.hosts and headers.get("Host", "").lower() not in limits.hosts:
        raise RequestRejected(Code.HEADERS_INVALID, "not our host", pointer="host")
    if sum(len(name) + len(value) for name, value in request.raw_headers) > limits.header_bytes:
        raise RequestRejected(Code.HEADERS_INVALID, "the headers are too long together")
    if "Upgrade" in headers:
        raise RequestRejected(Code.HEADERS_INVALID, "no other protocol is spoken", pointer="upgrade")
    if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise RequestRejected(Code.HEADERS_INVALID, "no coding but chunked", pointer="transfer-encoding")
    if headers.get("Expect", "100-continue").lower() != "100-continue":
        raise web.HTTPExpectationFailed
