"""``ledger watch``: for an auditor without a server. Keeps the newest checkpoint, if it continues the last.

What does not continue it is kept as evidence beside the file, and the file stays as it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from verifier import cosigning, kept, merkle
from verifier.cosigning import NoteKey
from verifier.errors import Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.model.ledger import Checkpoint
from verifier.model.time import iso
from verifier.posting import get
from verifier.settings import Settings
from verifier.verifying.given import signed_checkpoint
from verifier.verifying.proofs import Consistency, read_proof


def declare(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.add_argument("url", help="服务地址 · the service's address")
    command.add_argument(
        "--vkey",
        action="append",
        required=True,
        help="账本公钥，另可加见证方公钥；可多次 · the log's key; also keys of witnesses; repeatable",
    )
    command.add_argument("--keep", type=Path, required=True, help="保存检查点的文件 · where it is kept")
    command.add_argument(
        "--quorum", type=int, default=0, help="至少几个见证方签名 · at least so many witnesses' cosignatures"
    )
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=run)


async def run(_: Settings, arguments: argparse.Namespace) -> int:
    """Fetch, compare, keep; 1 if the log does not continue what was kept, 2 if nothing could be fetched."""
    keys = [cosigning.parse_key(one) for one in arguments.vkey]
    if not any(key.kind == cosigning.LOG for key in keys):
        raise ConfigurationError(Code.KEY_REFUSED, "the log's own key is needed", pointer="vkey")
    place: Path = arguments.keep
    address = arguments.url.rstrip("/")
    path = "/ledger/checkpoint/witnessed" if arguments.quorum else "/ledger/checkpoint"
    note, last = await _fetched(address + path), kept.CheckpointFile(place).read()
    proof = b""
    try:
        found = signed_checkpoint(note, keys)
        said = _said(found, note, keys, arguments.quorum)
        if last:
            before = signed_checkpoint(last, keys)
            proof = await _proof(address, before, found)
            _continues(before, found, proof)
            said["continues"] = before.size
    except LedgerRefused as error:
        where = _evidence(place, last, note, proof)
        _tell(
            {"result": "inconsistent", "reason": error.detail, "evidence": str(where)}, as_json=arguments.json
        )
        return 1
    kept.replace(place, note)
    _tell({"result": "kept", **said}, as_json=arguments.json)
    return 0


def _said(found: Checkpoint, note: bytes, keys: Sequence[NoteKey], quorum: int) -> dict[str, Any]:
    witnesses = {one.witness: one.at for one in cosigning.cosignatures(note, keys)}
    if len(witnesses) < quorum:
        raise LedgerRefused(Code.RECORD_INVALID, "fewer witnesses cosigned than are asked for")
    times = {name: iso(datetime.fromtimestamp(min(at, 1 << 36), UTC)) for name, at in witnesses.items()}
    return {"size": found.size, "root": found.root.hex(), "witnesses": times}


async def _proof(address: str, before: Checkpoint, found: Checkpoint) -> bytes:
    if not 0 < before.size < found.size:
        return b""
    return await _fetched(f"{address}/ledger/proof?from={before.size}&to={found.size}")


def _continues(before: Checkpoint, found: Checkpoint, proof: bytes) -> None:
    if before.origin != found.origin:
        raise LedgerRefused(Code.RECORD_INVALID, "it is another log's")
    if found.size < before.size:
        raise LedgerRefused(Code.RECORD_INVALID, "the ledger has fewer entries than it had")
    path: Sequence[bytes] = ()
    if proof:
        read = read_proof(proof)
        path = read.path if isinstance(read, Consistency) else ()
    merkle.verify_consistency(before.size, found.size, before.root, found.root, path)


async def _fetched(url: str) -> bytes:
    answer = await get(url)
    if answer is None or answer.status != 200:  # noqa: PLR2004 - of HTTP
        raise Unavailable(Code.STORE_UNAVAILABLE, "the service did not answer with what was asked for")
    return answer.body


def _evidence(place: Path, last: bytes, note: bytes, proof: bytes) -> Path:
    """Keep both notes and the proof; what was kept before stays."""
    name = sha256(last + b"\0" + note).hexdigest()[:16]
    directory = place.with_name(f"{place.name}.evidence-{name}")
    directory.mkdir(exist_ok=True)
    for part, content in (("earlier", last), ("later", note), ("proof.json", proof)):
        kept.replace(directory / part, content)
    return directory


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    words = {
        "kept": "与上次保存的一致，已更新 · it continues what was kept; kept",
        "inconsistent": "与上次保存的不一致，均已留证 · it does NOT continue what was kept; both are kept",
    }
    print(words[answer["result"]])
    for member, value in answer.items():
        if member != "result":
            print(f"  {member}: {json.dumps(value, ensure_ascii=False)}")
