"""``serve``, ``demo``, ``keys init``: commands that run something."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace

from verifier import keyfiles, many
from verifier.app import compose
from verifier.cli import demo as demonstration
from verifier.errors import Code, ConfigurationError, VerifierError
from verifier.loops import collect_seldom, share_heaps
from verifier.settings import Settings

_LOGGED = "%(asctime)s %(levelname)s %(name)s %(message)s"
_LOGGED_BY_MANY = "%(asctime)s %(levelname)s %(process)d %(name)s %(message)s"


def serve(
    settings: Settings, arguments: argparse.Namespace, complain: Callable[[VerifierError], None]
) -> int:
    """Run the service until it is told to stop, in one process or in several.

    Raises:
        VerifierError: it cannot start.
    """
    workers = settings.workers if arguments.workers is None else arguments.workers
    if workers < 0:
        detail = "a number from 0 on is needed"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="workers")
    share_heaps()
    logging.basicConfig(level=logging.INFO, format=_LOGGED_BY_MANY if workers else _LOGGED)
    if workers:
        return many.serve(replace(settings, workers=workers), workers, complain)
    return asyncio.run(_alone(settings))


async def _alone(settings: Settings) -> int:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    stopped = asyncio.Event()
    # Before anything is begun: a signal that comes while it starts ends it as cleanly as a later one.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    service = compose(settings)
    try:
        address = await service.start()
        collect_seldom()
        print(f"listening on {address}", flush=True)
        await stopped.wait()
    finally:
        await service.close()
    return 0


async def demo(_: Settings, arguments: argparse.Namespace) -> int:
    """Show the whole main job in a sandbox of its own."""
    return await demonstration.run(arguments.directory, once=arguments.once, port=arguments.port)


async def init_keys(settings: Settings, _: argparse.Namespace) -> int:
    """Make every key that the service needs; none is ever overwritten."""
    keyfiles.create(settings.secrets_dir, os.urandom)
    print(f"密钥已生成 · keys made: {settings.secrets_dir}")
    return 0
