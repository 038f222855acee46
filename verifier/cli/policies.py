"""``policy`` and ``due``: what is adopted, what a file would change, adopt it, and how far that has come."""

from __future__ import annotations

import argparse
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from verifier import adopted
from verifier.cli import operating
from verifier.cli.checking import stored
from verifier.cli.previewing import is_there, policies_in_force, show_tried, tried
from verifier.errors import Code, ConfigurationError
from verifier.model.time import iso
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.policy.comparing import Difference, differences
from verifier.ports.operating import Adoption
from verifier.ports.sweeping import Backlog
from verifier.settings import Settings
from verifier.sources import policy_file, policy_files, read_policy
from verifier.store.store import Store

ADOPTED: Final = "adopted"
"""Stands for the policy in force, in place of a file."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    policy = commands.add_parser("policy", help="政策 · the policies")
    actions = policy.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="列出已采纳的政策与重判进度 · what is adopted, since when")
    listed.set_defaults(run=list_policies)
    diff = actions.add_parser("diff", help="比较两份政策文件 · what separates two parameter files")
    diff.add_argument("before", metavar="A", help=_FILE)
    diff.add_argument("after", metavar="B", help=_FILE)
    diff.add_argument(
        "--dry-run",
        action="store_true",
        help="另列出以 B 代 A 将改变的决定 · and which decisions would change",
    )
    diff.set_defaults(run=compare)
    adopt = actions.add_parser(
        "adopt", help="采纳一份政策文件，服务无须重启 · adopt a file; a running service takes it up"
    )
    adopt.add_argument(
        "file", help="政策文件，或随本服务提供的政策名 · a file, or the name of one that comes along"
    )
    adopt.add_argument("--apply", action="store_true", help="采纳；否则只试算 · do it; else only try it")
    adopt.set_defaults(run=adopt_policy)
    due = commands.add_parser(
        "due", help="待重判的人数与进度 · who is to be judged again, and how far it has come"
    )
    due.set_defaults(run=show_due)
    for command in (listed, diff, adopt, due):
        command.add_argument("--json", action="store_true", help="机器可读 · for machines")


_FILE: Final = "政策文件、随本服务提供的政策名，或 adopted（已采纳者） · a file, a name, or `adopted`"


# --- listing ------------------------------------------------------------------------------------------------


async def list_policies(settings: Settings, arguments: argparse.Namespace) -> int:
    """What is adopted, since when, and how far it has reached everybody."""
    async with stored(settings) as store:
        adoptions = await store.previewing(lambda tx: tx.adoptions("policy"))
        backlog = await store.backlog()
    files = {policy.entitlement: form for policy, form in map(read_policy, policy_files(settings))}
    on = [_listed(adopted.newest_policy(adoptions, name), form) for name, form in files.items()]
    about = {adopted.entitlement_of(one.content): one for one in adoptions}
    off = [_listed(one, None) for name, one in about.items() if name not in files]
    answer = {"policies": [*on, *off], **_backlog(backlog)}
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    for one in answer["policies"]:
        print(f"{one['policy']}  {one['state']}  {one['since'] or ''}\n  {one['digest']}")
        if one["file"] not in {None, one["digest"]}:
            print(
                f"  文件与已采纳者不同，以已采纳者为准 · the file differs and does not count: {one['file']}"
            )
    _show_backlog(answer)
    return 0


def _listed(found: Adoption | None, form: SourceForm | None) -> dict[str, Any]:
    content = found.content if found else form.content if form else ""
    state = "off" if form is None else "adopted" if found else "not adopted yet"
    return {
        "policy": adopted.pin_of(content),
        "entitlement": adopted.entitlement_of(content),
        "state": state,
        "since": iso(found.adopted_at) if found else None,
        "digest": found.digest if found else form.digest if form else "",
        "file": form.digest if form else None,
    }


async def show_due(settings: Settings, arguments: argparse.Namespace) -> int:
    """How much is still to be judged again."""
    async with stored(settings) as store:
        answer = _backlog(await store.backlog())
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _show_backlog(answer)
    return 0


def _backlog(found: Backlog) -> dict[str, Any]:
    return {
        "due": found.due,
        "oldest": iso(found.oldest) if found.oldest else None,
        "later": found.later,
        "sweeps": [
            {
                "cause": sweep.cause,
                "since": iso(sweep.created_at),
                "done": sweep.done,
                "total": max(sweep.total, sweep.done),
            }
            for sweep in found.sweeps
        ],
    }


def _show_backlog(answer: dict[str, Any]) -> None:
    since = f"（{answer['oldest']} 起 · since）" if answer["oldest"] else ""
    print(f"待重判 · due: {answer['due']}{since}；定时 · for later: {answer['later']}")
    for sweep in answer["sweeps"]:
        print(f"全员重判 · sweep: {sweep['cause']} {sweep['since']}: {sweep['done']}/{sweep['total']}")


# --- comparing and adopting ---------------------------------------------------------------------------------


async def compare(settings: Settings, arguments: argparse.Namespace) -> int:
    """What separates two files; 1 if anything does."""
    if arguments.before == arguments.after == ADOPTED:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "one of the two must be a file", pointer="A")
    sides = [_read(name) for name in (arguments.before, arguments.after)]
    wanted = next(policy.entitlement for policy in sides if policy is not None)
    before, after = [policy or await _in_force(settings, wanted) for policy in sides]
    if before.entitlement != after.entitlement:
        detail = "the two files are about different entitlements"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="entitlement")
    found = differences(before, after)
    answer: dict[str, Any] = {"differences": [asdict(one) for one in found]}
    if arguments.dry_run:
        answer["dry_run"] = await _tried(settings, before, after)
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _show_differences(found)
        if arguments.dry_run:
            show_tried(answer["dry_run"])
    return 1 if found or answer.get("dry_run", {}).get("would_change") else 0


def _read(name: str) -> Policy | None:
    return None if name == ADOPTED else read_policy(policy_file(name))[0]


async def _in_force(settings: Settings, entitlement: str) -> Policy:
    async with stored(settings) as store:
        adoptions = await store.previewing(lambda tx: tx.adoptions("policy"))
    for one in reversed(adoptions):
        if adopted.entitlement_of(one.content) == entitlement:
            return load(one.content.encode())
    detail = "no policy about this entitlement was adopted"
    raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=ADOPTED)


async def _tried(settings: Settings, before: Policy, after: Policy) -> dict[str, Any]:
    """With the policy in force in the first place, what is recorded is compared, else what A would say."""
    standing = None
    if await is_there(settings):
        async with stored(settings) as store:
            standing = await _standing(settings, store, before)
    against = None if standing == before.digest else (lambda rulebook: _alone(rulebook, before))
    return await tried(settings, lambda rulebook: _alone(rulebook, after), against=against)


async def _standing(settings: Settings, store: Store, policy: Policy) -> str | None:
    policies = await policies_in_force(settings, store)
    return next((one.digest for one in policies if one.entitlement == policy.entitlement), None)


def _alone(rulebook: Rulebook, policy: Policy) -> Rulebook:
    return Rulebook((policy,), rulebook.register)


def _show_differences(found: list[Difference]) -> None:
    if not found:
        print("两份政策相同 · no difference")
    for one in found:
        print(f"{one.what} {one.name}".rstrip())
        for mark, side in (("-", one.before), ("+", one.after)):
            for item in side if isinstance(side, list) else [side]:
                if item is not None:
                    print(
                        f"  {mark} {item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)}"
                    )


async def adopt_policy(settings: Settings, arguments: argparse.Namespace) -> int:
    """Adopt a file, or say what that would do."""
    path: Path = policy_file(arguments.file)
    policy, form = read_policy(path)
    if arguments.apply:
        parameters = {"content": form.content, "digest": form.digest, "operator": getpass.getuser()}
        status, answer = await operating.ask(settings, "policy adopt", parameters)
        operating.tell(status, answer, as_json=arguments.json)
        return status
    async with stored(settings) as store:
        adoptions = await store.previewing(lambda tx: tx.adoptions("policy"))
        policies = await policies_in_force(settings, store)
    adopted.require_own_revision(policy, adoptions)
    before = next((one for one in policies if one.entitlement == policy.entitlement), None)
    if before is None:
        raise adopted.switched_off()
    found = differences(before, policy)
    tries = await tried(settings, lambda rulebook: _alone(rulebook, policy))
    if arguments.json:
        said = {"applied": False, "differences": [asdict(one) for one in found], "dry_run": tries}
        print(json.dumps(said, ensure_ascii=False))
        return 0
    _show_differences(found)
    show_tried(tries)
    print("未采纳 · nothing was written; --apply adopts it")
    return 0
