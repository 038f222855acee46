"""``learner export``: writes a person's own data to files that nobody else can read."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from pathlib import Path

from verifier.cli import identifying
from verifier.cli.operating import ask, tell
from verifier.cli.own_data import PURPOSE
from verifier.errors import Code, ConfigurationError
from verifier.own_data_page import page
from verifier.settings import Settings


def declare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    export = actions.add_parser(
        "export",
        help="导出本人全部信息：JSON 与可打印的网页；号码从标准输入读取 · "
        "all held on one person, as JSON and as a page to print; id number from stdin",
    )
    for parameter in (*identifying.DOCUMENT, PURPOSE):
        parameter.add_to(export)
    export.add_argument(
        "--to", type=Path, required=True, help="JSON 文件；网页为同名加 .html · the page is FILE.html"
    )
    export.add_argument("--json", action="store_true", help="错误为机器可读 · errors for machines")
    export.set_defaults(run=run)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Export, and write both files; an existing one is never overwritten.

    Raises:
        ConfigurationError: a file exists or cannot be written; nothing was asked for then.
    """
    files = (arguments.to, arguments.to.with_name(arguments.to.name + ".html"))
    parameters = {"operator": getpass.getuser(), "id_number": sys.stdin.readline()}
    for name in ("purpose", *(one.name for one in identifying.DOCUMENT)):
        if getattr(arguments, name):
            parameters[name] = getattr(arguments, name)
    done, handles = False, list[int]()
    try:
        # Made before anything is asked for: a showing that comes to nothing need not be in the person's log.
        for file in files:
            handles.append(_new(file))
        status, answer = await ask(settings, "learner export", parameters)
        if status:
            tell(status, answer, as_json=arguments.json)
            return status
        texts = (json.dumps(answer, ensure_ascii=False, indent=1) + "\n", page(answer))
        for handle, text in zip(handles, texts, strict=True):
            with os.fdopen(os.dup(handle), "w", encoding="utf-8") as writing:
                writing.write(text)
        done = True
    finally:
        for handle, path in zip(handles, files, strict=False):
            os.close(handle)
            if not done:
                path.unlink(missing_ok=True)
    print(f"已写出，请当面交付，用后删除 · written: {files[0]} {files[1]}")
    return 0


def _new(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        detail = "the file exists or cannot be written"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="to") from None
