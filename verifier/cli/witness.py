"""``witness``: an audit bureau's own witness, on its own machine; of this service it needs a key alone."""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from verifier import witness, witnessing
from verifier.errors import Code, ConfigurationError, RequestRejected, Unavailable
from verifier.settings import Settings
from verifier.witness import WitnessService
from verifier.witnessing import Refusal

log = logging.getLogger("verifier.witness")

_PLAIN: Final = "text/plain; charset=utf-8"
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SECONDS: Final = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def declare(command: argparse.ArgumentParser) -> None:
    """The three things that can be done."""
    actions = command.add_subparsers(required=True, metavar="ACTION")
    init = actions.add_parser("init", help="生成见证密钥与空状态 · make the key and an empty memory")
    init.add_argument("--name", required=True, help="见证方名称，如 audit.example/w1 · the witness's name")
    init.add_argument(
        "--log", action="append", required=True, help="账本公钥 vkey，可多次 · a log's key; repeatable"
    )
    init.set_defaults(run=init_witness)
    serve = actions.add_parser("serve", help="运行见证服务 · run the witness")
    serve.add_argument("--host", default="127.0.0.1", help="监听地址 · address to listen on")
    serve.add_argument("--port", type=int, default=8090, help="端口，0 为任意 · port, 0 takes a free one")
    serve.set_defaults(run=serve_witness)
    show = actions.add_parser("show", help="出示公钥与已签到的大小 · show the key and what was cosigned")
    show.set_defaults(run=show_witness)
    for action in (init, serve, show):
        action.add_argument(
            "--directory", type=Path, default=Path("var/witness"), help="见证方目录 · the witness's directory"
        )


async def init_witness(_: Settings, arguments: argparse.Namespace) -> int:
    """Make a witness, and say what logs and auditors are to be given."""
    made = witness.create(arguments.directory, arguments.name, arguments.log)
    print(made.vkey)
    return 0


async def show_witness(_: Settings, arguments: argparse.Namespace) -> int:
    """Show a witness's key, and how far it cosigned each log."""
    directory: Path = arguments.directory
    print(witness.load_identity(directory).vkey)
    logs, state = witness.load_logs(directory), witness.load_state(directory)
    for origin in sorted({key.name for key in logs} | set(state)):
        if origin in state:
            found = witness.remembered(state[origin])
            print(f"{origin}: {found.size} {found.root.hex()}")
        else:
            print(f"{origin}: 尚未签过 · nothing cosigned yet")
    return 0


async def serve_witness(_: Settings, arguments: argparse.Namespace) -> int:
    """Run the witness until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with witness.opened(arguments.directory, lambda: int(time.time())) as service:
        runner = await listening(service, arguments.host, arguments.port)
        try:
            print(f"listening on http://{arguments.host}:{runner.addresses[0][1]}", flush=True)
            await stopped.wait()
        finally:
            await runner.cleanup()
    return 0


async def listening(service: WitnessService, host: str, port: int) -> web.AppRunner:
    """A witness that listens; the caller cleans it up.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, the address cannot be listened on.
    """
    app = web.Application(client_max_size=witnessing.MAX_BYTES)
    app.router.add_post("/add-checkpoint", _adding(service))
    app.router.add_get("/{origin_hash}/checkpoint", _reading(service))
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, handler_cancellation=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the address cannot be listened on", pointer="port"
        ) from None
    return runner


def _adding(service: WitnessService) -> Handler:
    async def add(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_SECONDS):
                raw = await request.read()
        except TimeoutError:
            return _answer(408, b"the request came too slowly\n")
        try:
            answer = await asyncio.to_thread(service.add, raw)
        except RequestRejected:
            return _answer(400, b"not a request of tlog-witness\n")
        except Unavailable:
            log.critical("what was accepted could not be remembered; nothing was signed")
            return _answer(503, b"the witness cannot remember; nothing was signed\n")
        if isinstance(answer, Refusal):
            log.warning("refused with %d", answer.status)
            return _answer(answer.status, answer.body, answer.media_type)
        return _answer(200, answer)

    return add


def _reading(service: WitnessService) -> Handler:
    async def read(request: web.Request) -> web.StreamResponse:
        origin_hash = request.match_info["origin_hash"]
        note = service.latest(origin_hash) if _HASH.fullmatch(origin_hash) else None
        return _answer(404, b"nothing cosigned yet\n") if note is None else _answer(200, note)

    return read


def _answer(status: int, body: bytes, media_type: str = _PLAIN) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": media_type})
