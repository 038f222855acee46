"""The demonstration runs here once the service is reachable over HTTP."""

from __future__ import annotations

from pathlib import Path

from verifier.errors import Code, ConfigurationError


async def run(directory: Path, *, once: bool, port: int) -> int:
    """Refuse: there is nothing to show yet."""
    raise ConfigurationError(Code.CONFIGURATION_INVALID, f"no demonstration yet ({directory}, {once}, {port})")
