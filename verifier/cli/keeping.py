"""``ledger keep``: the operator's word that the database holds the newest ledger, where the proof was lost.

The issuer keeps its last checkpoint outside the database, and signs nothing without it: only that shows that
a database is not an older one. Where the file is gone, somebody has to say so who knows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from verifier import keyfiles, offline
from verifier.cli.checking import findings_of, stored
from verifier.errors import Code, ConfigurationError
from verifier.kept import CheckpointFile
from verifier.settings import Settings


def add_to(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    keep = actions.add_parser(
        "keep",
        help="库外检查点丢失时，全库核对后重新保存；默认只核对 · keep a checkpoint anew where it was lost",
    )
    keep.add_argument(
        "--earlier",
        type=Path,
        help="他处保存的较早检查点，核对账本是其延续 · an earlier checkpoint from elsewhere, to compare with",
    )
    keep.add_argument("--apply", action="store_true", help="保存 · keep it; without, it is only checked")
    keep.add_argument("--json", action="store_true", help="机器可读 · for machines")
    keep.set_defaults(run=run)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Check everything, and keep the database's checkpoint; 1 if anything is not as it was signed.

    Raises:
        ConfigurationError: one is kept already: what it refuses is not to be overruled here.
    """
    file = CheckpointFile(settings.kept_checkpoint)
    if file.read():
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "a checkpoint is kept already", pointer=settings.kept_checkpoint.name
        )
    earlier = keyfiles.read_public(arguments.earlier) if arguments.earlier else b""
    findings = await findings_of(settings, earlier)
    async with stored(settings) as store:
        note = await store.checkpoint()
    answer: dict[str, object] = {"findings": len(findings), "kept": False}
    if note and not findings:
        keys = keyfiles.checkpoint_keys(settings.secrets_dir)
        found = offline.check_checkpoint(note, settings.origin, keys)
        answer |= {"size": found.size, "root": found.root.hex(), "kept": bool(arguments.apply)}
        if arguments.apply:
            file.write(note)
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _say(answer, empty=not note)
    return 1 if findings else 0


def _say(answer: dict[str, object], *, empty: bool) -> None:
    if answer["findings"]:
        print(
            f"{answer['findings']} 处不一致，未保存，见 ledger fsck · not as it was signed: nothing is kept"
        )
    elif empty:
        print("账本为空，服务启动时自会保存 · the ledger is empty: the service keeps one when it starts")
    else:
        print(f"账本大小 · size: {answer['size']}\n根 · root: {answer['root']}")
        print(
            "已保存 · kept"
            if answer["kept"]
            else "未保存；确认后加 --apply · not kept: give --apply for that"
        )
