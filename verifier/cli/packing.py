"""``ledger pack``, ``ledger checker``, ``ledger auditor-key``: what an auditor needs to work alone."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters import ADAPTERS, named
from verifier import identity, keyfiles, ledger, pack_plan, packing
from verifier.app import now, profiles
from verifier.cli.checking import stored
from verifier.cli.operating import ask
from verifier.errors import Code, ConfigurationError, IdentityRejected, RequestRejected, VerifierError
from verifier.originals import Originals
from verifier.pack_file import PackWriter, load_auditor_key
from verifier.pack_plan import Part
from verifier.packing import About
from verifier.ports.packing import PackTransaction
from verifier.preparing import HERE
from verifier.settings import Settings
from verifier.signatures import keys

_AT_ONCE: Final = 5_000
"""People that one call to the service logs."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,48}")
_INDEX: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def declare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    pack = actions.add_parser(
        "pack", help="为审计导出一个可离线核验的包 · a pack that an auditor checks offline"
    )
    for name, said in (("from", "起始"), ("to", "截止")):
        form = "北京日期 YYYY-MM-DD 或条目序号，含 · a day in Beijing or an index, included"
        pack.add_argument(f"--{name}", dest=f"range_{name}", required=True, help=f"{said}：{form}")
    pack.add_argument("--enterprise", default="", help="只含该企业的 · only what concerns this enterprise")
    pack.add_argument("--office", default="", help="只含该受理机构的 · only this acceptance office's")
    pack.add_argument(
        "--auditor-key", type=Path, required=True, help="审计方公钥 · the auditor's public key, X25519, PEM"
    )
    pack.add_argument(
        "--auditor", required=True, help="审计方名称，记入每个人的查阅日志 · who gets it; logged"
    )
    pack.add_argument(
        "--purpose", required=True, help="用途，记入查阅日志 · what for; logged for everyone shown"
    )
    pack.add_argument("--to-file", type=Path, required=True, help="写入的文件，不得已存在 · a new file")
    pack.add_argument("--json", action="store_true", help="机器可读 · for machines")
    pack.set_defaults(run=make)
    checker = actions.add_parser(
        "checker", help="打印独立的核验脚本 · print the separate script that checks packs"
    )
    checker.set_defaults(run=show_checker)
    shown = actions.add_parser("keys", help="审计方应信任的公钥与指纹 · keys that an auditor is to trust")
    shown.add_argument("--json", action="store_true", help="机器可读 · for machines")
    shown.set_defaults(run=show_keys)
    made = actions.add_parser("auditor-key", help="为审计方生成密钥对 · make an auditor's pair of keys")
    made.add_argument(
        "--private", type=Path, required=True, help="私钥文件，不得已存在 · a new file, mode 0600"
    )
    made.add_argument(
        "--public", type=Path, required=True, help="公钥文件，交给运营方 · give it to the operator"
    )
    made.set_defaults(run=make_auditor_key)


async def make(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make a pack: plan it, log whom it shows, write it."""
    auditor = load_auditor_key(keyfiles.read_public(arguments.auditor_key))
    asked, about = _asked(arguments), _about(settings, arguments)
    declared, _ = profiles(settings)
    async with stored(settings) as store:
        plan = await store.packing(lambda tx: pack_plan.make(tx, asked))
    people = sorted(plan.learners)
    found = Originals(
        named((*ADAPTERS, *declared)), HERE.read, keyfiles.load_fields(settings.secrets_dir).digest
    )
    with _new_file(arguments.to_file) as file:
        for start in range(0, len(people), _AT_ONCE):
            await _log(settings, arguments, people[start : start + _AT_ONCE])

        def write(tx: PackTransaction) -> dict[str, Any]:
            # It may run twice: what was begun is forgotten.
            file.seek(0)
            file.truncate()
            return packing.write(tx, plan, about, found, PackWriter(file, auditor, secrets.token_hex(16)))

        async with stored(settings) as store:
            said = await store.packing(write)
    _print(settings, said, arguments.to_file, as_json=arguments.json)
    return 0


async def _log(settings: Settings, arguments: argparse.Namespace, people: Sequence[str]) -> None:
    """Log whom the pack shows, before any of it is written.

    Raises:
        VerifierError: as the service answered.
    """
    parameters = {
        "learners": json.dumps(people),
        "auditor": arguments.auditor,
        "purpose": arguments.purpose,
    }
    status, answer = await ask(settings, "ledger shown", parameters)
    if status:
        raise VerifierError(Code(answer["code"]), answer["detail"], pointer=answer["pointer"])


def _asked(arguments: argparse.Namespace) -> Part:
    if _NAME.fullmatch(arguments.auditor) is None:
        raise _wrong("1 to 48 of A-Z a-z 0-9 . _ - are needed", "auditor")
    if not arguments.purpose.strip() or not arguments.purpose.isprintable():
        raise _wrong("the purpose is empty or not printable", "purpose")
    try:
        enterprise = identity.uscc(arguments.enterprise) if arguments.enterprise else ""
    except IdentityRejected:
        raise _wrong("not a unified social credit code", "enterprise") from None
    return Part(
        _edge(arguments.range_from, "from"), _edge(arguments.range_to, "to"), enterprise, arguments.office
    )


def _edge(text: str, name: str) -> date | int:
    if _INDEX.fullmatch(text):
        return int(text)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _wrong("a day YYYY-MM-DD or an index is needed", name) from None


def _wrong(detail: str, pointer: str) -> RequestRejected:
    return RequestRejected(Code.SCHEMA_INVALID, detail, pointer=pointer)


def _about(settings: Settings, arguments: argparse.Namespace) -> About:
    asked = {
        "from": arguments.range_from,
        "to": arguments.range_to,
        "enterprise": arguments.enterprise,
        "office": arguments.office,
    }
    return About(
        auditor=arguments.auditor,
        purpose=arguments.purpose,
        made_at=now(),
        asked={name: value for name, value in asked.items() if value},
        keys=_published(settings),
    )


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner may read, under its name once it is whole.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, there is such a file, or it cannot be written.
    """
    beside = path.with_name(f"{path.name}.part")
    try:
        if path.exists():
            raise FileExistsError
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the file exists, or cannot be written", pointer="to-file"
        ) from None
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def _published(settings: Settings) -> dict[str, bytes]:
    """The public keys of records and status lists, by ``kid``, as SubjectPublicKeyInfo in DER.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    published = keyfiles.published_keys(settings.secrets_dir)
    return {key.kid: keys.spki(key.public) for key in published if not isinstance(key.public, bytes)}


def _trust(settings: Settings) -> dict[str, list[str]]:
    """What an auditor is given by another way than the pack."""
    checkpoints = keyfiles.checkpoint_keys(settings.secrets_dir)
    return {
        "ledger_key": [ledger.verifier_key(settings.origin, key) for key in checkpoints],
        "record_key": [sha256(spki).hexdigest() for spki in _published(settings).values()],
    }


async def show_keys(settings: Settings, arguments: argparse.Namespace) -> int:
    """Say which keys an auditor is to trust, to be handed over on paper."""
    trust = _trust(settings)
    if arguments.json:
        print(json.dumps(trust))
    else:
        _print_trust(trust)
    return 0


def _print_trust(trust: dict[str, list[str]]) -> None:
    print("请由其他渠道（当面、盖章纸件）把下列各项交给审计方 · hand these over by another channel:")
    for name, values in trust.items():
        for value in values:
            print(f"  --{name.replace('_', '-')} {value}")


def _print(settings: Settings, said: dict[str, Any], path: Path, *, as_json: bool) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    trust = _trust(settings)
    if as_json:
        print(json.dumps({"file": str(path), "sha256": digest, **said, **trust}, ensure_ascii=False))
        return
    print(f"已写入 · written: {path}（{path.stat().st_size} 字节 bytes，SHA-256 {digest}）")
    print(f"条目 · entries {said['first']}–{said['last']} of {said['size']}, narrowed: {said['narrowed']}")
    for name, value in said["counts"].items():
        print(f"  {name}: {json.dumps(value, ensure_ascii=False)}")
    _print_trust(trust)


async def show_checker(_: Settings, __: argparse.Namespace) -> int:
    """Print the checker as it comes with this version."""
    print(resources.files("verifier").joinpath("check_pack.py").read_text(encoding="utf-8"), end="")
    return 0


async def make_auditor_key(_: Settings, arguments: argparse.Namespace) -> int:
    """Make an auditor's pair of keys; openssl makes the same."""
    private = X25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keyfiles.write_secret(arguments.private, pem)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        arguments.public.write_bytes(public)
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the file cannot be written", pointer="public"
        ) from None
    print(f"私钥 · private: {arguments.private}\n公钥 · public: {arguments.public}")
    return 0
