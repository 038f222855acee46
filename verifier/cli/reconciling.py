"""``reconcile``: a platform's own list of what it issued, from a file or pulled, against what is held."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapters import ADAPTERS
from verifier import keyfiles, manifest, manifest_rows
from verifier.app import now
from verifier.cli.operating import ask
from verifier.cli.pulling import pull
from verifier.errors import Code, ConfigurationError
from verifier.manifest import Charset, Manifest
from verifier.model.time import beijing_date
from verifier.ports.pull import Pull
from verifier.settings import Settings
from verifier.sources import rulebook

_TITLES: Final = {
    "missing": "平台已签发、本系统未收到 · issued, not received here",
    "differing": "内容不一致 · differing",
    "unknown": "本系统有、清单没有 · here, not in the manifest",
}


def declare(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("platform", metavar="PLATFORM", help="平台 · its slug")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, help="清单 · manifest: .csv, .xlsx or .ndjson")
    source.add_argument("--pull", metavar="URL", help="向平台拉取 · ask the platform at this https address")
    command.add_argument(
        "--charset",
        type=Charset,
        choices=list(Charset),
        default=Charset.UTF_8,
        help="CSV 的字符集 · the charset of a CSV file",
    )
    for name, title in (("from", "结业起始日 · first day"), ("to", "结业截止日 · last day")):
        command.add_argument(
            f"--{name}", dest=name, type=date.fromisoformat, metavar="DATE", help=f"{title}, YYYY-MM-DD"
        )
    command.add_argument("--ca", type=Path, help="拉取时信任的根证书 · authorities to believe when pulling")
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=reconcile)


async def reconcile(settings: Settings, arguments: argparse.Namespace) -> int:
    """Compare; 1 if anything is missing, differing or unknown, 2 if it could not be compared."""
    first, last = getattr(arguments, "from"), arguments.to
    listed = await _pulled(settings, arguments, first, last) if arguments.pull else _read_file(arguments)
    # Every rule is asked here too, so that all problems of a file are told at once.
    checked = manifest_rows.check(listed.rows, None, beijing_date(now()))
    problems = sorted((*listed.problems, *checked.problems), key=lambda one: one.row)
    if problems:
        return _refuse([asdict(problem) for problem in problems], as_json=arguments.json)
    parameters = {
        "operator": getpass.getuser(),
        "platform": arguments.platform,
        "rows": manifest.pack(listed.rows),
        "whole": "yes" if arguments.pull else "",
        "from": first.isoformat() if first else "",
        "to": last.isoformat() if last else "",
    }
    status, answer = await ask(settings, "reconcile", parameters)
    if status:
        print(json.dumps(answer, ensure_ascii=False), file=sys.stderr)
        return status
    if not answer["compared"]:
        return _refuse(answer["problems"], as_json=arguments.json)
    return _tell(answer, as_json=arguments.json)


def _read_file(arguments: argparse.Namespace) -> Manifest:
    readers: Mapping[str, Callable[[bytes], Manifest]] = {
        **manifest.FORMATS,
        ".csv": partial(manifest.read_csv, charset=arguments.charset),
    }
    read = readers.get(arguments.file.suffix.lower())
    if read is None:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the name ends in .csv, .xlsx or .ndjson", pointer="file"
        )
    return read(keyfiles.read_public(arguments.file))


async def _pulled(
    settings: Settings, arguments: argparse.Namespace, first: date | None, last: date | None
) -> Manifest:
    if first is None or last is None or last < first:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "pulling needs a first and a last day", pointer="from"
        )
    adapter = next((one for one in ADAPTERS if one.slug == arguments.platform), None)
    if not isinstance(adapter, Pull):
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "this platform offers no list to pull", pointer="platform"
        )
    platform = rulebook(settings)[0].register.platforms.get(adapter.slug)
    keys = platform.transport_at(now()) if platform is not None else ()
    rows = await pull(adapter, arguments.pull, (first, last), keys, now, arguments.ca)
    return Manifest(tuple(rows))


def _refuse(problems: Sequence[Mapping[str, Any]], *, as_json: bool) -> int:
    if as_json:
        print(
            json.dumps({"compared": False, "problems": list(problems)}, ensure_ascii=False), file=sys.stderr
        )
    else:
        for problem in problems:
            where = f"第 {problem['row']} 行 · row {problem['row']}"
            column = f" [{problem['column']}]" if problem["column"] else ""
            print(f"{where}{column}: {problem['zh']} · {problem['en']}", file=sys.stderr)
        print("未作比对 · nothing was compared", file=sys.stderr)
    return 2


def _tell(answer: Mapping[str, Any], *, as_json: bool) -> int:
    found = sum(len(answer[kind]) for kind in _TITLES)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return 1 if found else 0
    for kind, title in _TITLES.items():
        print(f"{title}: {len(answer[kind])}")
        for one in answer[kind]:
            columns = f"  ({', '.join(one['columns'])})" if "columns" in one else ""
            print(f"  {one['issuer']}  {one['certificate_number']}{columns}")
    if answer["period"] is None:
        print("清单没有结业时间，未查“本系统有、清单没有” · no period, so nothing was called unknown")
    verdict = "发现差异 · differences" if found else "一致 · the same"
    print(f"{answer['rows']} 行已比对 · rows compared: {verdict}")
    return 1 if found else 0
