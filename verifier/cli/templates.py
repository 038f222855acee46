"""``enterprises template``: writes the roster's template; nothing else is needed for it."""

from __future__ import annotations

import argparse
from pathlib import Path

from verifier import roster_template
from verifier.errors import Code, ConfigurationError
from verifier.settings import Settings


def declare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    template = actions.add_parser("template", help="写出花名册模板 · write the roster's template, XLSX")
    template.add_argument("--out", type=Path, required=True, help="文件 · the file to write")
    template.set_defaults(run=run)


async def run(_: Settings, arguments: argparse.Namespace) -> int:
    """Write the template.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        arguments.out.write_bytes(roster_template.workbook())
    except OSError:
        detail = "the file cannot be written"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="out") from None
    print(f"已写出模板 · written: {arguments.out}")
    return 0
