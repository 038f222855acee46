"""``secrets``: rotate the pepper, the master key or a signing key, and say where that stands.

``secrets rotate`` may be ended at any moment, also by ``kill -9``, and given again: it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from verifier import keyfiles
from verifier.app import compose
from verifier.cli import signing, versions
from verifier.cli.operating import ask_service
from verifier.errors import Code, Unavailable, VerifierError
from verifier.model.rotation import Rotated
from verifier.published import Purpose
from verifier.settings import Settings

Ask = Callable[[str, Mapping[str, str]], Awaitable[dict[str, Any]]]
_DONE: Final = "done"
_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.5


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    group = commands.add_parser("secrets", help="本服务密钥的轮换 · rotate the service's own keys")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    turn = actions.add_parser(
        "rotate", help="轮换，可中断后续做，服务不停 · rotate while the service runs; resumes where it was"
    )
    names = [name.value for name in (*Rotated, *Purpose)]
    turn.add_argument(
        "name",
        choices=names,
        help="索引密钥、主密钥，或签记录、状态列表、检查点的密钥 · which key",
    )
    turn.add_argument(
        "--prepare",
        action="store_true",
        help="只生成新密钥，先备份、分发 · only make the new key, to be backed up and handed out first",
    )
    turn.add_argument(
        "--now",
        action="store_true",
        help="签名密钥：不等公布期满，密钥泄露时用 · a signing key: do not wait for the overlap; for a leak",
    )
    turn.add_argument(
        "--forget-erased",
        action="store_true",
        help="已依法删除者从索引中一并移除 · drop erased learners from the index",
    )
    turn.add_argument("--json", action="store_true", help="机器可读 · for machines")
    turn.set_defaults(run=rotate)
    status = actions.add_parser("status", help="轮换到哪一步、哪些旧密钥还要用 · where rotations stand")
    status.add_argument("--json", action="store_true", help="机器可读 · for machines")
    status.set_defaults(run=show_status)


async def show_status(settings: Settings, arguments: argparse.Namespace) -> int:
    """Where both rotations stand."""
    async with _operations(settings) as ask:
        answer = await ask("secrets status", {})
    signers = signing.described(settings)
    if arguments.json:
        print(json.dumps({**answer, **signers}, ensure_ascii=False))
        return 0
    for name, said in answer.items():
        print(f"{name}: {versions.line(said)}")
        rows = json.dumps(said["rows"])
        print(f"  各版本行数 · rows by version: {rows}  已配置 · configured: {said['configured']}")
    for name, said in signers.items():
        print(f"{name}: {signing.line(said)}")
    return 0


async def rotate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Carry a rotation through; 1 if it waits for the operator's word or begins to fill in again."""
    if arguments.name in set(Purpose):
        return await signing.rotate(settings, arguments)
    name = Rotated(arguments.name)
    async with _operations(settings) as ask:
        said = (await ask("secrets status", {}))[name.value]
        to = _target(settings, name, said)
        if arguments.prepare or to is None:
            return _end(settings, name, {**said, "to": to or said["to"], "prepared": bool(to)}, arguments)
        parameters = {"name": name.value, "to": str(to)}
        if arguments.forget_erased:
            parameters["forget-erased"] = "yes"
        answer = await _through(ask, parameters, quiet=arguments.json)
    return _end(settings, name, answer, arguments)


def _target(settings: Settings, name: Rotated, said: Mapping[str, Any]) -> int | None:
    """The version to go to; None if a rotation was finished and only its last note is missing."""
    if said["phase"] != _DONE:
        return int(said["to"])
    keys = keyfiles.load_fields(settings.secrets_dir)
    known, first = (
        (keys.peppers, keys.pepper_version)
        if name is Rotated.PEPPER
        else (keys.master_keys, keys.master_version)
    )
    if first < said["to"]:
        return None
    newest = max(known)
    return newest if newest > said["to"] else keyfiles.add_version(settings.secrets_dir, name, os.urandom)


async def _through(ask: Ask, parameters: Mapping[str, str], *, quiet: bool) -> dict[str, Any]:
    begun, stage, done = time.monotonic(), "", 0
    while True:
        answer = await _patiently(ask, parameters)
        if answer["phase"] != stage:
            begun, stage, done = time.monotonic(), answer["phase"], answer["done"]
        if not quiet:
            _progress(answer, (answer["done"] - done) / max(time.monotonic() - begun, 1e-6))
        if not answer["more"] or answer["lacking"]:
            return answer


async def _patiently(ask: Ask, parameters: Mapping[str, str]) -> dict[str, Any]:
    """One step; where the database is busy with its traffic, a little later."""
    for _ in range(_ATTEMPTS):
        try:
            return await ask("secrets rotate-step", parameters)
        except VerifierError as error:
            if error.code is not Code.OVERLOADED:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
    return await ask("secrets rotate-step", parameters)


def _progress(answer: Mapping[str, Any], rate: float) -> None:
    left = (answer["total"] - answer["done"]) / rate if rate else 0.0
    print(
        f"{answer['phase']} {answer['part']} {answer['done']}/{answer['total']}"
        f"  {rate:.0f} 行/秒 · rows/s  余 · left {left:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _end(settings: Settings, name: Rotated, answer: dict[str, Any], arguments: argparse.Namespace) -> int:
    finished = answer["phase"] == _DONE and not answer.get("prepared")
    if finished:
        keyfiles.put_in_force(settings.secrets_dir, name, answer["to"])
    if arguments.json:
        print(json.dumps({"name": name.value, **answer, "finished": finished}, ensure_ascii=False))
    else:
        print(_verdict(answer, finished=finished))
    return 0 if finished or answer.get("prepared") else 1


def _verdict(answer: Mapping[str, Any], *, finished: bool) -> str:
    if finished:
        return (
            f"轮换完成，版本 {answer['to']} 有效；旧密钥库中已不用，可从 fields.json 删除，旧备份仍要用 · "
            f"done: version {answer['to']} is in force; nothing in this database needs the old key any more, "
            "so it may be removed from fields.json; backups made before still need it"
        )
    if answer.get("prepared"):
        return (
            f"版本 {answer['to']} 已写入 fields.json，请先备份、分发到各主机，再轮换 · "
            f"version {answer['to']} stands in fields.json: back it up and hand it out before rotating"
        )
    if answer.get("waits"):
        return (
            f"{answer['erased']} 个证件号码属已依法删除者，无法重建索引；确认移除请加 --forget-erased · "
            f"{answer['erased']} identifiers are of erased learners and cannot be indexed anew: "
            "--forget-erased drops them, and whoever comes again is then a new learner"
        )
    return (
        f"{answer['lacking']} 行尚缺，将重新补写；请运行 ledger fsck 后再试 · "
        f"{answer['lacking']} rows were lacking, all are gone through again: ledger fsck, then this command"
    )


@asynccontextmanager
async def _operations(settings: Settings) -> AsyncIterator[Ask]:
    """Through a running service, or on the database itself, opened once for all steps."""
    try:
        await ask_service(settings, "secrets status", {})
    except aiohttp.ClientConnectionError:
        pass
    else:
        yield lambda name, parameters: _asked(settings, name, parameters)
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    service = compose(settings)
    try:
        await service.prepare()
        yield service.operations.run
    finally:
        await service.close()


async def _asked(settings: Settings, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    try:
        status, answer = await ask_service(settings, name, parameters)
    except aiohttp.ClientConnectionError:
        raise Unavailable(
            Code.STORE_UNAVAILABLE, "the service went away: give the command again to go on"
        ) from None
    if status:
        raise VerifierError(Code(answer["code"]), answer["detail"], pointer=answer["pointer"])
    return answer
