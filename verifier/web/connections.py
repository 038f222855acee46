"""Below the handlers: connections are counted, and what is no HTTP is answered without repeating it.

aiohttp's own answer to a malformed request quotes the request; here it is a problem document like any other.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.http_parser import RawRequestMessage
from typing_extensions import override

from verifier.errors import Code, RequestRejected, VerifierError
from verifier.web import errors
from verifier.web.services import Services

_log = logging.getLogger("verifier.web")


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("_services",)

    def __init__(self, server: web.Server, services: Services, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._services = services

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Where the framing breaks within a body, aiohttp queues the error behind the request whose handler
        # still waits for that body: it has to be told.
        broken = self._messages and not isinstance(self._messages[-1][0], RawRequestMessage)
        if broken and self._current_request is not None and not self._current_request.content.is_eof():
            self._current_request.content.set_exception(web.RequestPayloadError("framing"))

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status >= errors.STATUS[Code.INTERNAL]:
            error = VerifierError(Code.INTERNAL)
        elif isinstance(exc, BadHttpMethod):
            error = RequestRejected(Code.METHOD_NOT_ALLOWED)
        else:
            error = RequestRejected(Code.HEADERS_INVALID)
        return errors.unframed(self._services, error, request.remote)

    @override
    def log_exception(self, *args: Any, **kw: Any) -> None:
        # The message of an exception may hold what came in: its type must do.
        _log.error("connection failed: %s", type(kw.get("exc_info")).__name__)


class Server(web.Server):
    """All connections of a listener; those over a limit are closed at once."""

    def __init__(self, services: Services, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._services = services
        self._peers: Counter[str] = Counter()
        self._peer_of: dict[web.RequestHandler, str] = {}

    @override
    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._services, loop=self._loop, **self._kwargs)

    @override
    def connection_made(self, handler: web.RequestHandler, transport: Any) -> None:
        super().connection_made(handler, transport)
        address = transport.get_extra_info("peername")
        peer = str(address[0]) if address else ""  # a Unix socket's peer has no address
        self._peer_of[handler] = peer
        self._peers[peer] += 1
        limits = self._services.limits
        crowded = peer not in limits.proxies and 0 < limits.connections_per_peer < self._peers[peer]
        if crowded or len(self._peer_of) > limits.connections:
            transport.abort()

    @override
    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        peer = self._peer_of.pop(handler)
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]


class Runner(web.AppRunner):
    """Runs an application behind ``Server``."""

    def __init__(self, app: web.Application, services: Services, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._services = services

    @override
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(
            self._services,
            handler=errors.outermost(self._services, made.request_handler),
            request_factory=made.request_factory,
            **self._kwargs,
        )
