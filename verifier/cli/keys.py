"""``keys`` and ``register``: enrol, rotate, retire, declare compromised; adopt.

``keys`` commands change the source form, which counts only once ``register adopt --apply`` adopted it.
Without ``--apply`` each of them says what it would do, whose decisions would change, and writes nothing.
"""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable
from typing import Any

from verifier.app import now
from verifier.cli import entries, operating, running
from verifier.cli.previewing import show_tried
from verifier.cli.proposing import Proposal, tried, wrong
from verifier.keyring import Register
from verifier.keyring.editing import Entry, Kind
from verifier.keyring.listing import issuer_anchor, issuer_key, listing, transport_key
from verifier.model.delivery import PlatformSlug
from verifier.settings import Settings
from verifier.sources import read_register

Edit = Callable[[Proposal, argparse.Namespace, Entry], None]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    keys = commands.add_parser(
        "keys", help="密钥与信任名册 · the service's own keys, and the trust register's"
    )
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    init = actions.add_parser("init", help="生成本服务的全部密钥 · make every key that the service needs")
    init.set_defaults(run=running.init_keys)
    listed = actions.add_parser("list", help="列出名册中的密钥、状态与指纹 · keys, states, fingerprints")
    listed.add_argument("--json", action="store_true", help="机器可读 · for machines")
    listed.set_defaults(run=list_keys)
    _change(actions, "enrol", "登记一把密钥或信任锚 · enrol a key or an anchor", entries.enrol, _material)
    _change(
        actions,
        "rotate",
        "换用新密钥，旧的按期停用 · a new key, and an end for the old one",
        entries.rotate,
        _rotation,
    )
    _change(
        actions,
        "retire",
        "停用；此前所签仍然有效 · end a key; what it signed stays good",
        entries.retire,
        _end,
    )
    _change(actions, "compromise", "宣告失密 · declare a key compromised", entries.compromise, _since)
    register = commands.add_parser("register", help="信任名册 · the trust register")
    adopt = register.add_subparsers(required=True, metavar="ACTION").add_parser(
        "adopt", help="采纳名册，服务无须重启 · adopt the register; a running service takes it up"
    )
    _last(adopt)
    adopt.set_defaults(run=adopt_register)


def _change(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    said: str,
    edit: Edit,
    more: Callable[[argparse.ArgumentParser], None],
) -> None:
    command = actions.add_parser(name, help=said)
    command.add_argument("key", help="密钥号 · the key's id, exactly as certificates or deliveries name it")
    holder = command.add_mutually_exclusive_group(required=True)
    holder.add_argument("--issuer", help="签发者 · an issuer's id: a key that signs certificates")
    holder.add_argument("--platform", help="平台 · a platform's slug: a key that proves deliveries")
    command.add_argument("--anchor", action="store_true", help="证书链的信任锚 · an issuer's anchor")
    more(command)
    _last(command)
    command.set_defaults(run=change, edit=edit)


def _last(command: argparse.ArgumentParser) -> None:
    command.add_argument("--apply", action="store_true", help="写入；否则只试算 · do it; else only try it")
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")


_MOMENT = "带时区的时刻，如 2021-03-01T00:00:00+08:00"


def _material(command: argparse.ArgumentParser) -> None:
    command.add_argument("--file", help="公钥或证书文件 · file with the public key or certificate")
    command.add_argument(
        "--secret", help="密钥目录中的文件名 · a secret, by its file name in the secrets directory"
    )
    command.add_argument("--algorithm", help="ES256 EdDSA RS256 PS256 SM3withSM2；平台另有 raw-RSA")
    command.add_argument("--from", dest="start", help=f"起始 · from when, default now: {_MOMENT}")
    command.add_argument("--until", help="截止 · until when")
    command.add_argument("--encoding", help="der+base64 der+hex raw+base64 raw+hex")
    command.add_argument("--sm2-id", help="default | empty | text:…")
    command.add_argument("--legacy", help="MD5（共享密钥）| RSA-2048（信任锚） · weak, and known to be")
    command.add_argument(
        "--crl", action="append", help="吊销列表文件 · an anchor's revocation list; repeatable"
    )
    command.add_argument(
        "--unpublished", action="store_true", help="该机构不发布吊销列表 · there are no lists"
    )
    command.add_argument("--leaf-subject", help="签名证书的主题 · the subject its leaf must have (RFC 4514)")
    command.add_argument("--number-scope", help="新签发者的编号范围 · of a new issuer: scope of its numbers")
    command.add_argument(
        "--platforms", help="新签发者可由哪些平台转交，逗号分隔 · of a new issuer: its carriers"
    )


def _rotation(command: argparse.ArgumentParser) -> None:
    command.add_argument("--new", required=True, help="新密钥号 · the new key's id")
    command.add_argument("--old-until", required=True, help=f"旧密钥截止 · when the old one ends: {_MOMENT}")
    _material(command)


def _end(command: argparse.ArgumentParser) -> None:
    command.add_argument("--at", help=f"截止，缺省为现在 · when it ends, default now: {_MOMENT}")


def _since(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", required=True, help=f"最早可能失密之时 · since when: {_MOMENT}")


# --- what they do -------------------------------------------------------------------------------------------


async def list_keys(settings: Settings, arguments: argparse.Namespace) -> int:
    """Every key of the source form as it stands."""
    register, _ = read_register(settings)
    found = listing(register, now())
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    for platform in found["platforms"]:
        print(f"{platform['platform']}  {platform['name']}")
        _show_keys(platform["transport"])
    for issuer in found["issuers"]:
        print(f"{issuer['issuer']}  ({', '.join(issuer['platforms'])})")
        _show_keys([*issuer["keys"], *issuer["anchors"]])
    return 0


def _show_keys(keys: list[dict[str, Any]]) -> None:
    for key in keys:
        print(
            f"  {key['key']}  {key['kind']}  {key['state']}  {key['not_before']} … {key.get('not_after', '')}"
        )
        for name, value in key.items():
            if value and name not in {"key", "kind", "state", "not_before", "not_after"}:
                print(f"    {name}: {value if isinstance(value, str) else ', '.join(value)}")


async def change(settings: Settings, arguments: argparse.Namespace) -> int:
    """Change the source form, or say what that would do."""
    kind = _kind(arguments)
    entry = Entry(kind, arguments.platform or arguments.issuer, arguments.key)
    proposal = Proposal.of(settings)
    arguments.edit(proposal, arguments, entry)
    register = proposal.register()
    shown = Entry(kind, entry.holder, getattr(arguments, "new", None) or entry.name)
    answer: dict[str, Any] = {
        "applied": arguments.apply,
        "key": _described(register, shown),
        "source_form": proposal.difference(),
        "files": sorted(proposal.files),
    }
    if arguments.apply:
        proposal.write()
    else:
        answer["dry_run"] = await tried(settings, register)
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _show(answer)
    return 0


def _kind(arguments: argparse.Namespace) -> Kind:
    if arguments.platform is None:
        return Kind.ANCHOR if arguments.anchor else Kind.KEY
    if arguments.anchor:
        raise wrong("only issuers have anchors", "anchor")
    return Kind.TRANSPORT


def _described(register: Register, entry: Entry) -> dict[str, Any]:
    if entry.kind is Kind.TRANSPORT:
        platform = register.platforms[PlatformSlug(entry.holder)]
        return next(transport_key(key, now()) for key in platform.transport if key.key_id == entry.name)
    issuer = register.issuers[entry.holder]
    if entry.kind is Kind.KEY:
        return issuer_key(issuer.keys[entry.name])
    return next(issuer_anchor(anchor) for anchor in issuer.anchors if anchor.anchor_id == entry.name)


def _show(answer: dict[str, Any]) -> None:
    _show_keys([answer["key"]])
    for line in answer["source_form"]:
        print(f"  {line}")
    for name in answer["files"]:
        print(f"  + {name}")
    if answer["applied"]:
        print("已写入，尚未采纳 · written, not adopted yet: verifier register adopt")
        return
    show_tried(answer["dry_run"])
    print("未写入任何内容 · nothing was written; --apply writes the source form")


async def adopt_register(settings: Settings, arguments: argparse.Namespace) -> int:
    """Adopt the source form as it stands, or say what that would do."""
    register, _ = read_register(settings)
    if not arguments.apply:
        found = await tried(settings, register)
        if arguments.json:
            print(json.dumps({"applied": False, "dry_run": found}, ensure_ascii=False))
            return 0
        show_tried(found)
        print("未采纳 · nothing was written; --apply adopts it")
        return 0
    parameters = {"digest": register.digest, "operator": getpass.getuser()}
    status, answer = await operating.ask(settings, "register adopt", parameters)
    operating.tell(status, answer, as_json=arguments.json)
    return status
