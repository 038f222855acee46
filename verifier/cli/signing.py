"""``secrets rotate record | status | checkpoint``: from one signing key to the next, with an overlap."""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from typing import Any

import aiohttp

from verifier import key_rotation
from verifier.app import now
from verifier.cli.operating import ask_service
from verifier.errors import Code, VerifierError
from verifier.published import Purpose
from verifier.settings import Settings


async def rotate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Publish the next key, or put it in force once it was published long enough; 1 while that is not so."""
    purpose, directory = Purpose(arguments.name), settings.secrets_dir
    before = key_rotation.standing(directory, purpose)
    if before.unsettled:
        return await _settle(settings, purpose, arguments)
    if before.coming is None:
        key_rotation.prepare(directory, purpose, now())
        await _take_up(settings)
    found = key_rotation.standing(directory, purpose)
    ready = found.ready_at(_overlap(settings))
    waits = ready is None or now() < ready
    if arguments.prepare or (waits and not arguments.now):
        return _end(
            settings, purpose, arguments, status=0 if before.coming is None or arguments.prepare else 1
        )
    key_rotation.promote(directory, purpose)
    return await _settle(settings, purpose, arguments)


async def _settle(settings: Settings, purpose: Purpose, arguments: argparse.Namespace) -> int:
    """The service first: until it has taken the key up, the old one may still sign."""
    await _take_up(settings)
    key_rotation.settle(settings.secrets_dir, purpose, now())
    await _take_up(settings)
    return _end(settings, purpose, arguments, status=0, finished=True)


async def _take_up(settings: Settings) -> bool:
    """Whether a service runs here, and took the keys up."""
    try:
        status, answer = await ask_service(settings, "secrets take-up", {})
    except aiohttp.ClientConnectionError:
        return False
    if status:
        raise VerifierError(Code(answer["code"]), answer["detail"], pointer=answer["pointer"])
    return True


def _overlap(settings: Settings) -> timedelta:
    return timedelta(hours=settings.key_overlap_hours)


def described(settings: Settings) -> dict[str, dict[str, Any]]:
    """Where each signing key's rotation stands.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    return {
        purpose.value: key_rotation.standing(settings.secrets_dir, purpose).described(_overlap(settings))
        for purpose in Purpose
    }


def line(said: dict[str, Any]) -> str:
    """One signing key's state in one line."""
    parts = [f"密钥 {said['in_force']} 签名中 · {said['in_force']} signs"]
    if said["next"]:
        parts.append(
            f"下一把 {said['next']} 已公布，{said['next_may_sign_from']} 起可启用 · "
            f"{said['next']} is published and may sign from then"
        )
    if said["retired"]:
        parts.append(f"已停用 · retired: {len(said['retired'])}")
    return "；".join(parts)


def _end(
    settings: Settings,
    purpose: Purpose,
    arguments: argparse.Namespace,
    *,
    status: int,
    finished: bool = False,
) -> int:
    said = described(settings)[purpose.value]
    if arguments.json:
        print(json.dumps({"name": purpose.value, **said, "finished": finished}, ensure_ascii=False))
    elif finished:
        print(
            f"轮换完成，由 {said['in_force']} 签名；旧私钥已删除，旧公钥继续公布。请备份密钥目录 · "
            f"done: {said['in_force']} signs; the old private key is gone, its public half stays published; "
            "back the secrets directory up"
        )
    else:
        print(
            f"新公钥 {said['next']} 已公布；{said['next_may_sign_from']} 之后再次运行本命令即启用 · "
            f"the new key is published; given again after that time, this command puts it in force"
        )
    return status
