"""``platforms check``: what a profile would make of a sample request. Nothing is sent, stored or decided."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from adapters import ADAPTERS
from adapters.declared import load
from verifier import keyfiles
from verifier.app import now
from verifier.cli import samples, trying, trying_print
from verifier.cli.moments import moment
from verifier.settings import Settings
from verifier.sources import read_register


def declare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    check = actions.add_parser(
        "check", help="用样例请求试一份平台配置 · try a platform's profile on a sample request"
    )
    check.add_argument("profile", type=Path, help="配置文件 · the profile, a TOML file")
    check.add_argument(
        "--sample", type=Path, required=True, help="请求行、请求头、空行、请求体 · the request, as a file"
    )
    check.add_argument(
        "--register", type=Path, help="信任名册；不给则不核对签名 · trust register; none: nothing is proven"
    )
    check.add_argument("--secrets", type=Path, help="传输密钥目录 · directory of the transport secrets")
    check.add_argument("--at", help="视为此刻收到，RFC 3339 · as if received at this time")
    check.add_argument(
        "--show-personal", action="store_true", help="显示姓名与证件号码 · show names and id numbers"
    )
    check.add_argument("--json", action="store_true", help="机器可读 · for machines")
    check.set_defaults(run=run)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Try a profile on a sample; 1 if anything would be refused."""
    taken = {adapter.slug for adapter in ADAPTERS}
    platform = load(keyfiles.read_public(arguments.profile), taken=taken)
    sample = samples.read(keyfiles.read_public(arguments.sample))
    register = None
    if arguments.register is not None:
        secrets_dir = arguments.secrets or settings.secrets_dir
        register, _ = read_register(replace(settings, register=arguments.register, secrets_dir=secrets_dir))
    at = moment(arguments.at, "at") if arguments.at else now()
    trial = trying.attempt(platform, sample, register, at)
    report = trying_print.describe(trial, sample, show_personal=arguments.show_personal)
    print(json.dumps(report, ensure_ascii=False) if arguments.json else "\n".join(trying_print.lines(report)))
    return 0 if trial.good else 1
