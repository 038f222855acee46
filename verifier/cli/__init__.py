"""The command line: thin. Exit status 0 done, 1 checked and found wanting, 2 could not run.

Commands that write reach a running service through its local admin socket; without one they open the
database themselves. ``--json`` prints answers and errors for machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from verifier.cli import (
    checking,
    copying,
    exporting,
    files,
    following,
    importing,
    keeping,
    keys,
    operating,
    packing,
    platforms,
    policies,
    reconciling,
    replaying,
    running,
    secrets,
    templates,
    verifying,
    watching,
    witness,
)
from verifier.errors import CATALOGUE, VerifierError
from verifier.settings import from_environment
from verifier.web.admin import failure


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; the process's own if None.

    Returns:
        The exit status.
    """
    arguments = parser().parse_args(argv)
    try:
        settings = from_environment(os.environ)
        if arguments.run is running.serve:
            # It may become several processes, which none can that has a loop already.
            status: int = running.serve(settings, arguments, partial(_complain, as_json=False))
            return status
        result: int = asyncio.run(arguments.run(settings, arguments))
    except VerifierError as error:
        _complain(error, as_json=getattr(arguments, "json", False))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is still buffered must not fail at the end again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result


def _complain(error: VerifierError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(failure(error), ensure_ascii=False), file=sys.stderr)
        return
    said = CATALOGUE[error.code]
    where = f" [{error.pointer}]" if error.pointer else ""
    print(f"{error.code}{where}: {said.zh}\n  {said.en}\n  {error.detail}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    root = argparse.ArgumentParser(
        prog="verifier",
        description="线上培训结业记录核验与补贴资格签发 · verifies completions, issues eligibility records",
        epilog="设置来自 VERIFIER_* 环境变量，见 docs/settings.md · settings come from VERIFIER_* variables",
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    _running(commands)
    _operating(commands)
    _checking(commands)
    return root


def _running(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="运行服务 · run the service")
    serve.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="接收进程数，0 为单进程，需 PostgreSQL · web processes, 0: all in one; needs PostgreSQL",
    )
    serve.set_defaults(run=running.serve)
    demo = commands.add_parser("demo", help="在沙箱中演示全过程 · show the whole main job in a sandbox")
    demo.add_argument("--once", action="store_true", help="演示后退出 · end after the demonstration")
    demo.add_argument("--directory", type=Path, default=Path("var/demo"), help="沙箱目录 · the sandbox")
    demo.add_argument("--port", type=int, default=0, help="端口，0 为任意 · port, 0 takes a free one")
    demo.set_defaults(run=running.demo)
    keys.add_to(commands)
    policies.add_to(commands)
    secrets.add_to(commands)


def _operating(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for name, operation in operating.OPERATIONS.items():
        head, _, action = name.partition(" ")
        if action:
            if head not in groups:
                group = commands.add_parser(head, help=operating.GROUPS[head])
                groups[head] = group.add_subparsers(required=True, metavar="ACTION")
            command = groups[head].add_parser(action, help=operation.help)
        else:
            command = commands.add_parser(head, help=operation.help)
        for parameter in operation.parameters:
            parameter.add_to(command)
        command.add_argument("--json", action="store_true", help="机器可读 · for machines")
        command.set_defaults(run=operating.run, operation=name)
    platforms.declare(groups["platforms"])
    templates.declare(groups["enterprises"])
    files.declare(commands, groups["claims"])
    exporting.declare(groups["learner"])
    importing.declare(
        commands.add_parser(
            "import", help="从文件收录平台存量，规则与回调相同 · take in a platform's back-log from a file"
        )
    )
    reconciling.declare(
        commands.add_parser(
            "reconcile",
            help="与平台自己的签发清单比对 · compare with a platform's own list of what it issued",
        )
    )


def _checking(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ledger = commands.add_parser("ledger", help="账本 · the ledger")
    about = ledger.add_subparsers(required=True, metavar="ACTION")
    keeping.add_to(about)
    packing.declare(about)
    watching.declare(
        about.add_parser(
            "watch", help="取检查点并与上次保存的比对 · keep the newest checkpoint if it continues"
        )
    )
    witness.declare(commands.add_parser("witness", help="见证方 · a witness of checkpoints"))
    fsck = about.add_parser(
        "fsck", help="按库中原值重算并比对全部记录 · recompute all from the stored values and compare"
    )
    fsck.add_argument("--json", action="store_true", help="机器可读 · for machines")
    fsck.set_defaults(run=checking.fsck)
    replay = commands.add_parser(
        "replay", help="按当时依据复算一项决定并逐字节比对 · take a decision again and compare the bytes"
    )
    replay.add_argument("id", help="决定或记录编号 · id of the decision or of its record")
    replay.add_argument("--json", action="store_true", help="机器可读 · for machines")
    replay.set_defaults(run=replaying.replay)
    following.declare(commands)
    verifying.declare(
        commands.add_parser("verify", help="离线核验一个文件，种类按内容识别 · verify one file offline")
    )
    database = commands.add_parser("db", help="数据库结构 · the database's schema")
    actions = database.add_subparsers(required=True, metavar="ACTION")
    upgrade = actions.add_parser("upgrade", help="升级到本版本 · bring it up to this version")
    upgrade.set_defaults(run=checking.upgrade_schema)
    copying.declare(actions)
    check = actions.add_parser(
        "check", help="核对迁移脚本与表定义 · compare migrations with the tables in code"
    )
    check.set_defaults(run=checking.check_schema)
    doctor = commands.add_parser("doctor", help="检查安装 · look over the installation")
    doctor.add_argument("--json", action="store_true", help="机器可读 · for machines")
    doctor.set_defaults(run=checking.doctor)
