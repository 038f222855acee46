"""The local admin socket: the command line's writes, while a running service holds the database.

A Unix socket in the data directory, mode 0600: whoever may open it is the operator.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from verifier.errors import CATALOGUE, Code, RequestRejected, VerifierError
from verifier.signatures import strict_json

MAX_BYTES = 16 * 1024 * 1024
"""As much as the rows of the largest manifest take."""


class Operations(Protocol):
    """Runs an operation by its name on the command line."""

    async def run(self, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Run one operation; its errors are those of ``verifier.errors``."""
        ...


def build(operations: Operations) -> web.Application:
    """The socket's application: ``POST /`` with ``{"operation", "parameters"}``."""

    async def handle(request: web.Request) -> web.Response:
        try:
            # Apart from the loop: the callbacks of platforms are answered on it.
            call = await asyncio.to_thread(strict_json.loads, await request.read(), max_bytes=MAX_BYTES)
            answer = await operations.run(*_read(call))
        except VerifierError as error:
            return web.json_response(failure(error), status=400)
        return web.Response(text=json.dumps(answer, ensure_ascii=False), content_type="application/json")

    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_post("/", handle)
    return app


def _read(call: object) -> tuple[str, dict[str, str]]:
    match call:
        case {"operation": str(name), "parameters": dict(parameters)}:
            if all(isinstance(value, str) for value in parameters.values()):
                return name, {key: str(value) for key, value in parameters.items()}
        case _:
            pass
    raise RequestRejected(Code.SCHEMA_INVALID, "operation and text parameters are needed")


def failure(error: VerifierError) -> dict[str, str]:
    """An error as the command line shows it."""
    said = CATALOGUE[error.code]
    return {
        "code": error.code.value,
        "message": said.zh,
        "message_en": said.en,
        "party": said.party.value,
        "detail": error.detail,
        "pointer": error.pointer,
    }


async def listen(app: web.Application, path: Path) -> web.AppRunner:
    """Serve on the socket; a stale one of a process that died is replaced."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # Nobody else may connect, not even between binding and a later chmod.
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return runner
