"""``verify``: one file, checked with what is given beside it. Nothing is fetched or need be installed."""

from __future__ import annotations

import argparse
import json
import stat
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from adapters import china_vocational_training, new_occupation, skill_master
from adapters.declared.platform import DeclaredPlatform
from verifier import keyfiles, verifying
from verifier.app import now, profiles
from verifier.cli.moments import moment
from verifier.cosigning import parse_key
from verifier.errors import Code, ConfigurationError, RequestRejected
from verifier.keyring import PUBLIC, Register, load_register
from verifier.model.certificate import CertificateKind
from verifier.settings import Settings
from verifier.signatures import keys
from verifier.signed_file import SUFFIX, Contents, contents
from verifier.verifying.dumps import MAX_LINE_BYTES
from verifier.verifying.dumps import lines as check_lines
from verifier.verifying.given import Given, Reading
from verifier.verifying.verdict import KINDS, POINTS, VALUES, Point, Verdict

_CHUNK: Final = 1 << 20


def declare(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.add_argument("file", type=Path, help="文件，种类按内容识别 · the file; its kind is recognised")
    command.add_argument("--jwks", type=Path, help="本服务公钥集 · the issuer's published keys")
    command.add_argument("--status", type=Path, help="状态列表 · the status list token")
    command.add_argument(
        "--vkey",
        action="append",
        default=[],
        help="账本或见证方公钥，或其文件；可多次 · key of the log or a witness, or its file; repeatable",
    )
    command.add_argument("--checkpoint", type=Path, help="检查点 · the signed checkpoint")
    command.add_argument("--earlier", type=Path, help="较早的检查点 · an earlier checkpoint")
    command.add_argument("--proof", type=Path, help="/ledger/proof 的答复 · an answer of /ledger/proof")
    command.add_argument(
        "--entry", type=Path, help="条目原始字节或数据流的一行 · the entry, or its feed line"
    )
    command.add_argument("--register", type=Path, help="信任名册 trust.toml · a trust register")
    command.add_argument("--at", help="以此时刻为准，RFC 3339；不给为现在 · judge times as of this moment")
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=run)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Check a file; 0 good as far as it was checked, 1 found wanting, 2 not checkable."""
    given = _given(settings, arguments)
    verdict = look(arguments.file, given)
    if arguments.json:
        print(json.dumps(verdict.members, ensure_ascii=False))
    else:
        _print(verdict)
    return verdict.status


def look(path: Path, given: Given) -> Verdict:
    """Check a file, or what is signed beside it.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it cannot be read.
        RequestRejected: KIND_UNKNOWN, or REQUEST_TOO_LARGE.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "not a file", pointer=path.name)
        sidecar = path.with_name(path.name + SUFFIX)
        if path.suffix == SUFFIX or not sidecar.is_file():
            return _look(path, given)
        signature = _look(sidecar, given)
        return (
            signature
            if signature.status or not _is_dump(path)
            else verifying.both(signature, _look(path, given))
        )
    except OSError:
        raise _unreadable(path.name) from None


def _is_dump(path: Path) -> bool:
    with path.open("rb") as file:
        return verifying.is_feed_line(file.readline(_CHUNK).strip())


def _look(path: Path, given: Given) -> Verdict:
    with path.open("rb") as file:
        first = file.readline(_CHUNK)
        if verifying.is_feed_line(first.strip()):
            file.seek(0)
            return check_lines(iter(partial(file.readline, MAX_LINE_BYTES), b""), given)
        if path.stat().st_size > verifying.MAX_BYTES:
            raise RequestRejected(Code.REQUEST_TOO_LARGE, "nothing of this size is checked as a whole")
        content = first + file.read(verifying.MAX_BYTES)
    return verifying.check(content, given)


def _given(settings: Settings, arguments: argparse.Namespace) -> Given:
    register: Path | None = arguments.register
    return Given(
        now=moment(arguments.at, "at") if arguments.at else now(),
        keys=None if arguments.jwks is None else keys.load_jwks(keyfiles.read_public(arguments.jwks)),
        status=None if arguments.status is None else _text(arguments.status),
        note_keys=[parse_key(_vkey(one)) for one in arguments.vkey],
        checkpoint=_bytes(arguments.checkpoint),
        earlier=_bytes(arguments.earlier),
        proof=_bytes(arguments.proof),
        entry=_bytes(arguments.entry),
        register=None if register is None else _register(register),
        readings=() if register is None else readings(settings),
        companion=partial(_companion, arguments.file),
    )


def _bytes(path: Path | None) -> bytes | None:
    return None if path is None else keyfiles.read_public(path)


def _text(path: Path) -> str:
    return keyfiles.read_public(path).decode("utf-8", "replace").strip()


def _vkey(given: str) -> str:
    return given if "+" in given else _text(Path(given))


def _no_secret(name: str) -> bytes:
    """Stands for a transport secret: whoever checks a certificate has none, and needs none."""
    return sha256(name.encode()).hexdigest().encode()


def _register(path: Path) -> Register:
    public = path.parent / PUBLIC
    return load_register(
        keyfiles.read_public(path),
        lambda name: keyfiles.read_public(public / name),
        _no_secret,
    )


def readings(settings: Settings) -> list[Reading]:
    """How each platform's certificates are read, of those that are whole in one file."""
    cvt, xzy, moodle = china_vocational_training, new_occupation, skill_master
    declared, _ = profiles(settings)
    found = [
        Reading(cvt.ChinaVocationalTraining.slug, CertificateKind.JWS, cvt.CERTIFICATE_FIELDS),
        Reading(xzy.NewOccupation.slug, CertificateKind.JWS_X5C, xzy.CERTIFICATE_FIELDS),
        Reading(moodle.SkillMaster.slug, CertificateKind.OPEN_BADGE, moodle.BADGE_FIELDS),
    ]
    for adapter in declared:
        said = adapter.declaration.mapped.certificate if isinstance(adapter, DeclaredPlatform) else None
        if said is not None:
            found.append(Reading(adapter.slug, said.kind, said.fields))
    return found


def _companion(path: Path) -> Contents | None:
    """The file beside its signature: ``x`` beside ``x.jws``."""
    signed = path.with_name(path.name.removesuffix(SUFFIX))
    if (path.suffix != SUFFIX and not path.with_name(path.name + SUFFIX).is_file()) or not signed.is_file():
        return None
    return contents(_chunks(signed))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _CHUNK), b"")


def _unreadable(pointer: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, "the file cannot be read", pointer=pointer)


def _print(verdict: Verdict) -> None:
    print(f"种类 · kind: {KINDS[verdict.kind]}")
    print(f"结论 · verdict: {VALUES[verdict.value]}")
    if verdict.reason:
        print(f"原因 · reason: {verdict.reason}")
    _points("已核验 · checked", verdict.checked)
    _points("未核验 · not checked", verdict.not_checked)
    print("所述 · says:")
    for name, value in _flat(verdict.says):
        print(f"  {name}: {value}")


def _points(title: str, points: Collection[Point]) -> None:
    print(f"{title}:" + ("" if points else " 无 · nothing"))
    for point in points:
        print(f"  {POINTS[point]}")


def _flat(members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        # As JSON: what a file holds must not write to the terminal by itself.
        yield name, json.dumps(value, ensure_ascii=False)
