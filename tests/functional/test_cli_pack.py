"""``ledger pack`` and what belongs to it, as an operator and an auditor run them."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional import packs
from tests.functional.packs import CHECKER
from tests.functional.process import environment, running, settings
from tests.functional.world import WORKSHOP, Installation, over
from verifier.cli import main
from verifier.cli.operating import ask
from verifier.errors import RequestRejected
from verifier.settings import from_environment
from verifier.store.engine import Database
from verifier.store.schema import upgrade


@dataclass(frozen=True)
class Console:
    """A directory with a past, and the command line in it."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        out, err = self.capsys.readouterr()
        return status, out, err

    def pack(self, *more: str, name: str = "pack.zip", **given: str) -> list[str]:
        """The arguments of a complete call, some of them changed."""
        options = {
            "from": "2021-07-01",
            "to": "2021-07-01",
            "auditor-key": str(self.directory / "auditor.pub.pem"),
            "auditor": "audit-bureau",
            "purpose": "年度审计",
            "to-file": str(self.directory / name),
        }
        options |= {key.replace("_", "-").rstrip("-"): value for key, value in given.items()}
        return [
            "ledger",
            "pack",
            *(part for key, value in options.items() for part in (f"--{key}", value)),
            *more,
        ]


@pytest.fixture(scope="module")
def past(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("past")

    async def write() -> None:
        url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
        database = Database(url)
        await database.write(upgrade)
        await database.close()
        world = await over(url, installation)
        (directory / "earlier.txt").write_bytes(await packs.history(world))
        (directory / "checkpoint.txt").write_bytes(world.kept.note)
        await world.store.database.close()

    asyncio.run(write())
    return directory


@pytest.fixture
def console(
    past: Path,
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Console:
    directory = tmp_path / "data"
    shutil.copytree(past, directory)
    for name, value in environment(directory, installation).items():
        monkeypatch.setenv(name, value)
    found = Console(directory, capsys)
    private, public = str(directory / "auditor.pem"), str(directory / "auditor.pub.pem")
    assert found.run("ledger", "auditor-key", "--private", private, "--public", public)[0] == 0
    return found


def check(console: Console, name: str, trust: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-I", str(CHECKER), str(console.directory / name), "--json"]
    arguments += ["--checkpoint", str(console.directory / "earlier.txt")]
    arguments += ["--private-key", str(console.directory / "auditor.pem")]
    for kind in ("ledger_key", "record_key"):
        for value in trust[kind]:
            arguments += [f"--{kind.replace('_', '-')}", value]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_a_pack_is_made_and_checked_by_days_and_everybody_in_it_can_see_it(console: Console) -> None:
    status, out, err = console.run(*console.pack("--json"))
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["first"] == 0
    assert told["counts"]["claims"] == 7
    assert told["counts"]["certificates"] == {"jws": 5, "jws+x5c": 1, "pdf": 1}
    path = console.directory / "pack.zip"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = check(console, "pack.zip", told)
    assert (done.returncode, json.loads(done.stdout)["findings"]) == (0, [])
    assert (
        console.run("ledger", "keys", "--json")[1]
        == json.dumps({"ledger_key": told["ledger_key"], "record_key": told["record_key"]}) + "\n"
    )


def test_whoever_is_shown_sees_it_in_their_own_data(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console.run(*console.pack())[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{packs.LI.id_number}\n"))
    status, out, _ = console.run("learner", "show", "--purpose", "本人查询", "--json")
    assert status == 0
    shown = [one for one in json.loads(out)["shown_to"] if one["what"] == "audit pack"]
    assert [(one["client_id"], one["purpose"]) for one in shown] == [("auditor:audit-bureau", "年度审计")]


async def test_a_pack_is_made_beside_a_running_service(console: Console, installation: Installation) -> None:
    async with running(settings(console.directory, installation)):
        status, out, err = await asyncio.to_thread(
            console.run, *console.pack("--json", **{"from": "0", "to": "5"})
        )
        assert (status, err) == (0, "")
        assert json.loads(out)["last"] == 5
    assert check(console, "pack.zip", json.loads(out)).returncode == 0


def test_a_pack_of_one_enterprise_is_told_to_be_one(console: Console) -> None:
    status, out, _ = console.run(*console.pack("--enterprise", WORKSHOP))
    assert status == 0
    assert "narrowed: True" in out
    assert "--ledger-key test.invalid/ledger+" in out
    status, out, _ = console.run(*console.pack("--office", "652302", "--json", name="other.zip"))
    assert json.loads(out)["counts"]["records"] == 0


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "0"}, "to"),
        ({"from": "0", "to": "999999"}, "from"),
        ({"from": "5", "to": "4"}, "from"),
        ({"from": "2001-01-01", "to": "2001-01-02"}, "from"),
        ({"enterprise": "X"}, "enterprise"),
        ({"auditor": "两 字"}, "auditor"),
        ({"purpose": " "}, "purpose"),
        ({"auditor_key": "/nonexistent"}, "nonexistent"),
        ({"to_file": "/nonexistent/x.zip"}, "to-file"),
    ],
)
def test_nonsense_is_refused_and_leaves_no_file(
    console: Console, changed: dict[str, str], pointer: str
) -> None:
    status, _, err = console.run(*console.pack("--json", **changed))
    assert (status, json.loads(err)["pointer"]) == (2, pointer)
    assert list(console.directory.glob("pack.zip*")) == []


def test_a_key_that_is_not_an_auditors_is_refused(console: Console) -> None:
    (console.directory / "auditor.pub.pem").write_text("no key")
    status, _, err = console.run(*console.pack("--json"))
    assert (status, json.loads(err)["code"], json.loads(err)["pointer"]) == (2, "key_refused", "auditor-key")


def test_no_file_is_ever_overwritten(console: Console) -> None:
    (console.directory / "pack.zip").write_text("something")
    status, _, err = console.run(*console.pack("--json"))
    assert (status, json.loads(err)["pointer"]) == (2, "to-file")
    assert (console.directory / "pack.zip").read_text() == "something"
    private, public = str(console.directory / "auditor.pem"), str(console.directory / "x" / "y.pem")
    assert console.run("ledger", "auditor-key", "--private", private, "--public", public)[0] == 2
    private = str(console.directory / "second.pem")
    assert console.run("ledger", "auditor-key", "--private", private, "--public", public)[0] == 2


def test_the_checker_that_is_printed_is_the_one_that_is_tested(console: Console) -> None:
    assert console.run("ledger", "checker")[:2] == (0, CHECKER.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("console")
def test_what_nobody_calls_by_hand_is_refused_without_its_parameters() -> None:
    for learners in ("", "{", "{}"):
        with pytest.raises(RequestRejected):
            asyncio.run(ask(from_environment(os.environ), "ledger shown", {"learners": learners}))


def test_the_keys_are_told_for_people_too(console: Console) -> None:
    status, out, _ = console.run("ledger", "keys")
    assert status == 0
    assert out.count("--record-key ") == 2
    assert out.count("--ledger-key ") == 1
