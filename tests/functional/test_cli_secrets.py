"""``secrets``: rotating from the command line, through a service or without, cut off anywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import PATIENCE_SECONDS, Process, environment, process, running, settings
from tests.functional.world import Installation, over
from verifier import keyfiles
from verifier.cli import main, secrets
from verifier.cli.simulator import person
from verifier.errors import Code, Unavailable, VerifierError
from verifier.identity import resident_id
from verifier.model.rotation import Rotated
from verifier.model.time import beijing_date
from verifier.store.engine import Database
from verifier.store.intake import Intake
from verifier.store.schema import upgrade


@dataclass(frozen=True)
class Place:
    """A service's directory with some people in it, and keys of its own."""

    directory: Path
    installation: Installation
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        shown = self.capsys.readouterr()
        return status, shown.out, shown.err

    def json(self, *arguments: str) -> dict[str, Any]:
        status, out, err = self.run(*arguments, "--json")
        assert (status, err) == (0, "")
        answer: dict[str, Any] = json.loads(out)
        return answer

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.directory / "verifier.db")) as database, database:
            return database.execute(statement).fetchall()

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.installation.secrets_dir / "fields.json").read_text())
        return found

    @property
    def variables(self) -> Mapping[str, str]:
        return environment(self.directory, self.installation)


async def populated(directory: Path, installation: Installation, count: int) -> None:
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    world = await over(url, installation)
    today = beijing_date(world.now)
    who = [resident_id(person(serial, "王小明").id_number, today=today) for serial in range(count)]
    await world.store.write(Intake, lambda tx: tx.learners(who, world.now))
    await world.store.database.close()


@pytest.fixture
def place(
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    shutil.copytree(installation.secrets_dir, tmp_path / "secrets")
    own = dataclasses.replace(installation, secrets_dir=tmp_path / "secrets")
    (tmp_path / "data").mkdir()
    asyncio.run(populated(tmp_path / "data", own, 3))
    for name, value in environment(tmp_path / "data", own).items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path / "data", own, capsys)


@pytest.mark.parametrize(("name", "keys"), [("pepper", "peppers"), ("master", "master_keys")])
def test_a_key_is_rotated_without_a_service_and_the_old_one_may_go(
    place: Place, name: str, keys: str
) -> None:
    answer = place.json("secrets", "rotate", name)
    assert (answer["phase"], answer["to"], answer["finished"]) == ("done", 2, True)
    fields = place.fields()
    assert (set(fields[keys]), fields[f"{name}_version"]) == ({"1", "2"}, 2)
    status = place.json("secrets", "status")
    assert (status[name]["rows"], status[name]["removable"]) == ({"2": 3}, [1])
    del fields[keys]["1"]
    (place.installation.secrets_dir / "fields.json").write_text(json.dumps(fields))
    status = place.json("secrets", "status")
    assert (status[name]["configured"], status[name]["removable"]) == ([2], [])
    assert place.run("ledger", "fsck")[0] == 0
    # And once more, from where it is.
    assert place.json("secrets", "rotate", name)["to"] == 3


def test_progress_is_shown_and_the_end_says_what_may_be_removed_and_what_still_needs_it(place: Place) -> None:
    status, out, err = place.run("secrets", "rotate", "pepper")
    assert status == 0
    assert "fields.json" in out
    assert "backups made before still need it" in out
    phases = [line.split(" ", 1)[0] for line in err.splitlines()]
    assert list(dict.fromkeys(phases)) == ["dual", "switched", "drop", "done"]
    assert "dual identifiers 0/3" in err
    assert "rows/s" in err


def test_a_key_can_be_made_first_and_rotated_to_once_it_is_handed_out(place: Place) -> None:
    status, out, _ = place.run("secrets", "rotate", "pepper", "--prepare")
    assert status == 0
    assert "back it up" in out
    assert place.json("secrets", "rotate", "pepper", "--prepare")["to"] == 2
    assert set(place.fields()["peppers"]) == {"1", "2"}
    assert place.sql("select distinct pepper_version from identifiers") == [(1,)]
    _, out, _ = place.run("secrets", "status")
    assert "back fields.json up first: 2" in out
    assert place.json("secrets", "rotate", "pepper")["to"] == 2


def test_whoever_was_cut_off_before_the_last_note_finishes_and_begins_no_other_rotation(place: Place) -> None:
    place.json("secrets", "rotate", "pepper")
    keyfiles.put_in_force(place.installation.secrets_dir, Rotated.PEPPER, 1)
    answer = place.json("secrets", "rotate", "pepper")
    assert (answer["to"], answer["finished"]) == (2, True)
    assert place.fields()["pepper_version"] == 2


def test_erased_learners_wait_for_the_operators_word(place: Place) -> None:
    place.sql(
        "update learners set sealed_key = null where learner_id = (select min(learner_id) from learners)"
    )
    status, out, _ = place.run("secrets", "rotate", "pepper")
    assert status == 1
    assert "1 identifiers are of erased learners" in out
    assert place.run("secrets", "rotate", "pepper", "--forget-erased")[0] == 0
    assert place.sql("select count(*) from identifiers") == [(2,)]


def test_rows_that_were_lacking_are_told_of() -> None:
    answer = {"phase": "dual", "to": 2, "waits": False, "lacking": 7}
    assert "7 rows were lacking" in secrets._verdict(answer, finished=False)


def test_the_doctor_says_that_a_rotation_is_under_way_and_what_backups_need(place: Place) -> None:
    async def two_steps() -> None:
        async with secrets._operations(settings(place.directory, place.installation)) as ask:
            for _ in range(2):
                await ask("secrets rotate-step", {"name": "pepper", "to": "2"})

    keyfiles.add_version(place.installation.secrets_dir, Rotated.PEPPER, os.urandom)
    _, before, _ = place.run("doctor", "--json")
    assert "back fields.json up first: 2" in json.loads(before)["pepper"]
    asyncio.run(two_steps())
    _, under_way, _ = place.run("doctor", "--json")
    said = json.loads(under_way)
    assert "a backup of the secrets directory needs the new fields.json" in said["pepper"]
    assert "dual 1 → 2, 3/3" in said["pepper"]
    assert "version 1 is in force" in said["master"]
    place.run("secrets", "rotate", "pepper")
    _, after, _ = place.run("doctor", "--json")
    assert "nothing here needs version 1, older backups do" in json.loads(after)["pepper"]


async def test_a_running_service_rotates_without_a_restart(place: Place) -> None:
    arguments = ("secrets", "rotate", "pepper", "--json")
    async with running(settings(place.directory, place.installation)) as (service, _):
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "verifier", *arguments),
            env={**os.environ, **place.variables},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await started.communicate()
        assert json.loads(out)["finished"]
        assert set(service.store._keys.peppers) == {1, 2}
        refused = {"name": "pepper", "to": "9"}
        chosen = settings(place.directory, place.installation)
        with pytest.raises(VerifierError) as error:
            await secrets._asked(chosen, "secrets rotate-step", refused)
        assert error.value.code is Code.KEY_REFUSED
    with pytest.raises(Unavailable):
        await secrets._asked(chosen, "secrets status", {})


async def test_a_busy_database_is_asked_again_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_PAUSE_SECONDS", 0)
    busy = 0

    async def ask(_: str, __: Mapping[str, str]) -> dict[str, Any]:
        nonlocal busy
        busy += 1
        if busy < 3:
            raise Unavailable(Code.OVERLOADED)
        return {"phase": "done"}

    assert await secrets._patiently(ask, {}) == {"phase": "done"}

    async def always(_: str, __: Mapping[str, str]) -> dict[str, Any]:
        nonlocal busy
        busy += 1
        raise Unavailable(Code.OVERLOADED)

    with pytest.raises(Unavailable):
        await secrets._patiently(always, {})
    assert busy == 3 + secrets._ATTEMPTS + 1

    async def other(_: str, __: Mapping[str, str]) -> dict[str, Any]:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    with pytest.raises(Unavailable):
        await secrets._patiently(other, {})


# --- cut off


def wait_for(text: str, started: Process) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in started.said:
        assert time.monotonic() < deadline, started.said
        time.sleep(0.002)


ROTATE = ("-m", "verifier", "secrets", "rotate", "pepper")


@pytest.mark.untraced
def test_killed_anywhere_a_rotation_goes_on_where_it_was(tmp_path: Path, place: Place) -> None:
    asyncio.run(populated(place.directory, place.installation, 1_500))
    [(learners,)] = place.sql("select count(*) from learners")
    before = place.sql("select distinct learner_id from identifiers order by learner_id")
    # Without a service: the command itself is killed while it fills in.
    with process(tmp_path, place.variables, ROTATE) as command:
        wait_for("dual identifiers 500/", command)
        command.kill()
    [(phase, to)] = place.sql("select phase, to_version from rotations where name = 'pepper'")
    assert (phase, to) != ("done", 1)
    assert place.run("ledger", "fsck")[0] == 0
    # With a service: first the command is killed, then the service while rows are dropped.
    with process(tmp_path, place.variables) as service:
        service.address()
        with process(tmp_path, place.variables, ROTATE) as command:
            wait_for("identifiers", command)
            command.kill()
        with process(tmp_path, place.variables, ROTATE) as command:
            wait_for("drop identifiers", command)
            service.kill()
            ended = command.wait()
    assert ended in {0, 2}
    assert place.run("ledger", "fsck")[0] == 0
    answer = place.json("secrets", "rotate", "pepper")
    assert (answer["to"], answer["finished"]) == (2, True)
    assert place.sql("select pepper_version, count(*) from identifiers group by 1") == [(2, learners)]
    assert place.sql("select distinct learner_id from identifiers order by learner_id") == before
    assert set(place.fields()["peppers"]) == {"1", "2"}
    assert place.run("ledger", "fsck")[0] == 0
