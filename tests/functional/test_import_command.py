"""``verifier import`` as an operator runs it: its processes, words and exit status, and nonsense files."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from tests.functional import slow_worker
from tests.functional.process import Process, environment, running, settings
from tests.functional.world import Installation
from tests.unit.test_import_sheet import archive
from tests.unit.test_importing import tokens
from verifier import cli, import_pool
from verifier.app import now
from verifier.cli import importing, simulator_imports
from verifier.cli.sandbox import CVT
from verifier.cli.simulator import ChinaVocationalTraining
from verifier.errors import Code, RequestRejected
from verifier.import_file import Line
from verifier.ports.importing import Counts, Progress
from verifier.settings import from_environment


@dataclass(frozen=True)
class Place:
    """A directory in which a service was started once, so that register and policy are adopted."""

    directory: Path
    variables: Mapping[str, str]
    sender: ChinaVocationalTraining

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.directory / 'verifier.db'}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
        status = cli.main(["import", *arguments])
        out, err = capsys.readouterr()
        return status, out, err


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> Path:
    """The directory of a service that was started once, and has ended."""
    directory = tmp_path_factory.mktemp("begun")

    async def once() -> None:
        async with running(settings(directory, installation)):
            pass

    asyncio.run(once())
    return directory


@pytest.fixture
def place(begun: Path, tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Place:
    directory = tmp_path / "service"
    shutil.copytree(begun, directory, ignore=shutil.ignore_patterns("*.sock"))
    variables = environment(directory, installation)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Place(directory, variables, ChinaVocationalTraining(installation.sandbox))


def test_a_back_log_is_taken_in_by_processes_of_their_own_from_every_kind_of_file(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = list(simulator_imports.completions(place.sender, 9))
    for kind, items in ((".ndjson", made[:6]), (".csv", made[:1]), (".xlsx", made)):
        simulator_imports.WRITERS[kind](tmp_path / f"backlog{kind}", items)
    status, out, err = place.run(capsys, CVT, str(tmp_path / "backlog.ndjson"), "--json")
    said = json.loads(out)
    assert (status, err) == (0, "")
    assert (said["taken"], said["lines"], said["errors"]) == (6, 6, None)
    status, out, _ = place.run(capsys, CVT, str(tmp_path / "backlog.csv"), "--json", "--workers", "1")
    said = json.loads(out)
    assert (status, said["taken"], said["unchanged"], said["lines"]) == (0, 0, 1, 2)
    status, out, _ = place.run(capsys, CVT, str(tmp_path / "backlog.xlsx"), "--workers", "1")
    assert status == 0
    assert "已收录 · taken in: 3" in out
    assert "known already: 6" in out
    assert place.rows("select count(*) from facts") == [(9,)]
    assert place.rows("select distinct method from deliveries") == [("IMPORT",)]
    assert not list(tmp_path.glob("*.errors.ndjson"))


def test_what_was_not_taken_in_stands_in_the_side_file_and_in_the_exit_status(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, side = tmp_path / "backlog.ndjson", tmp_path / "elsewhere.ndjson"
    [good] = simulator_imports.completions(place.sender, 1)
    lines = [json.dumps(good), "nonsense", '{"type":"completion.created"', ""]
    path.write_text("\n".join(lines[:3]))
    status, out, err = place.run(capsys, CVT, str(path), "--errors", str(side), "--workers", "1")
    assert status == 1
    assert str(side) in out
    assert "not kept: 2" in out
    said = [json.loads(line) for line in side.read_bytes().splitlines()]
    assert [(one["line"], one["code"], one["party"]) for one in said] == [
        (2, "delivery_unreadable", "platform"),
        (3, "import_line_truncated", "operator"),
    ]
    assert all(one["zh"] and one["en"] for one in said)
    assert "nonsense" not in side.read_text() + out + err


@pytest.mark.untraced
def test_killed_in_the_midst_it_goes_on_where_it_stood(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "backlog.ndjson"
    simulator_imports.write_ndjson(path, simulator_imports.completions(place.sender, 1200))
    arguments = ("-m", "verifier", "import", CVT, str(path), "--json", "--workers", "1")
    killed = Process(place.directory, place.variables, arguments)
    try:
        while place.rows("select count(*) from facts") == [(0,)]:
            time.sleep(0.01)
    finally:
        killed.kill()
    [(position, taken)] = place.rows("select position, taken from import_progress")
    assert 0 < position == taken < 1200
    assert place.rows("select count(*) from facts") == [(position,)]
    status, out, _ = place.run(capsys, CVT, str(path), "--json", "--workers", "1")
    assert status == 0
    assert json.loads(out)["taken"] == 1200
    assert place.rows("select count(*) from facts") == [(1200,)]
    assert place.rows("select count(*) from import_progress") == [(0,)]
    assert place.rows("select taken from imports") == [(1200,)]


# nonsense


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


NONSENSE: Final[Sequence[tuple[str, bytes, str]]] = [
    ("empty.ndjson", b"", "import_file_unreadable"),
    ("wide.ndjson", "{}\n".encode("utf-16"), "charset_refused"),
    ("zero.ndjson", b'{"a":"\x00"}\n', "charset_refused"),
    ("table.txt", b"x\n", "import_refused"),
    ("table.xls", b"\xd0\xcf\x11\xe0", "import_refused"),
    ("columns.csv", b"name,number\nx,y\n", "schema_invalid"),
    ("headless.csv", b"completion.created,2021\n", "schema_invalid"),
    ("missing.csv", b"certificate\nx\n", "schema_invalid"),
    ("latin.csv", b"t\xfcpe\nx\n", "charset_refused"),
    ("no.xlsx", b"no workbook", "schema_invalid"),
    ("bomb.xlsx", archive({f"xl/worksheets/sheet{n}.xml": b"" for n in range(300)}), "request_too_large"),
]


@pytest.mark.parametrize(("name", "raw", "code"), NONSENSE, ids=[name for name, *_ in NONSENSE])
def test_a_file_that_is_none_is_refused_with_a_code_and_nothing_is_left_of_it(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, raw: bytes, code: str
) -> None:
    path = _written(tmp_path / name, raw)
    status, out, err = place.run(capsys, CVT, str(path), "--json")
    assert (status, out) == (2, "")
    assert json.loads(err)["code"] == code
    assert place.rows("select count(*) from deliveries") == [(0,)]
    assert not list(tmp_path.glob("*.errors.ndjson"))


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "unwritable"])
def test_what_is_no_file_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "backlog.ndjson"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unwritable":
        path.write_bytes(b"{}\n")
        path.with_name(f"{path.name}.errors.ndjson").mkdir()
    status, _, err = place.run(capsys, CVT, str(path), "--json")
    assert status == 2
    assert json.loads(err)["code"] == "import_file_unreadable"


def test_what_cannot_be_imported_is_refused_whatever_the_file(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = _written(tmp_path / "backlog.csv", b"x\n")
    status, _, err = place.run(capsys, "nobody", str(path))
    assert status == 2
    assert "not_found" in err
    status, _, err = place.run(capsys, "mohrss_training", str(path))
    assert status == 2
    assert "import_refused" in err
    with pytest.raises(SystemExit):
        place.run(capsys, CVT, str(path), "--workers", "0")
    with pytest.raises(SystemExit):
        place.run(capsys, CVT, str(path), "--charset", "latin-1")


def test_a_platform_without_a_form_of_one_item_is_refused() -> None:
    with pytest.raises(RequestRejected) as refused:
        importing._importable({"some_platform": tokens()}, "some_platform")
    assert refused.value.code is Code.IMPORT_REFUSED


def test_beside_a_running_service_on_sqlite_it_is_refused(
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    path = _written(tmp_path / "backlog.ndjson", b"{}\n")

    async def beside() -> int:
        async with running(settings(tmp_path, installation)):
            return await asyncio.to_thread(cli.main, ["import", CVT, str(path), "--json"])

    assert asyncio.run(beside()) == 2
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == "store_locked"


def test_before_anything_was_adopted_it_is_refused(
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    path = _written(tmp_path / "backlog.ndjson", b"{}\n")
    assert cli.main(["import", CVT, str(path), "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "configuration_invalid"


# processes that prepare lines


async def test_a_line_beyond_the_limits_costs_none_of_the_others(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    lines = [Line(number, b"{}") for number in (12, 13, 14)]
    pool = import_pool.pool(slow_worker.serve, (str(log),), workers=1, clock=now, seconds=0.5)
    async with pool as found:
        readied = await found.ready(lines, {})
        assert [one.line for one in await found.ready(lines[:1], {})] == [12]
    assert [(one.line, [problem.code for problem in one.problems]) for one in readied] == [
        (12, []),
        (13, ["too_complex"]),
        (14, []),
    ]
    assert log.read_text().splitlines()[:4] == ["[12, 13, 14]", "[12]", "[13]", "[14]"]


# how far it is


def progress(position: int) -> Progress:
    return Progress(position, 0, Counts(taken=position))


def test_on_a_terminal_a_bar_shows_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr(importing, "Console", lambda **_: console)
    with importing._progress(200, quiet=False) as told:
        told(progress(0))
        told(progress(100))
    assert "100/200" in shown.getvalue()
    assert "行/s" in shown.getvalue()


def test_elsewhere_a_line_now_and_then_says_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 100.0
    monkeypatch.setattr(importing, "monotonic", lambda: clock)
    with importing._progress(1000, quiet=False) as told:
        told(progress(100))
        clock += 5
        told(progress(200))
        clock += 6
        told(progress(210))
    assert capsys.readouterr().err == "第 210/1000 行，10 行/s，约剩 79 s\n"
    with importing._progress(0, quiet=False) as told:
        clock += 11
        told(progress(5))
        clock += 11
        told(progress(27))
    assert capsys.readouterr().err.splitlines()[-1] == "第 27 行，2 行/s"
    with importing._progress(0, quiet=True) as told:
        told(progress(5))
    assert capsys.readouterr().err == ""


# beside a service, where the database admits several processes


def test_on_postgresql_it_runs_beside_a_service_which_issues_what_was_taken_in(
    tmp_path: Path, installation: Installation, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = environment(tmp_path, installation) | {"VERIFIER_DATABASE_URL": postgresql}
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "backlog.ndjson"
    sender = ChinaVocationalTraining(installation.sandbox)
    simulator_imports.write_ndjson(path, simulator_imports.completions(sender, 3))

    async def beside() -> tuple[int, int]:
        async with running(from_environment(chosen)) as (service, _):
            status = await asyncio.to_thread(cli.main, ["import", CVT, str(path), "--json", "--workers", "1"])
            issued = 0
            while not issued:
                entries, _ = await service.store.feed(-1, 100)
                issued = sum(entry.record is not None for entry in entries)
                await asyncio.sleep(0.05)
            return status, issued

    status, issued = asyncio.run(asyncio.wait_for(beside(), 30))
    assert status == 0
    assert issued > 0
