from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.feed_log import NOW, TRUST, Log, some, written
from verifier import copying, kept
from verifier.copying import Copy, opened
from verifier.errors import Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.following import Cursor, check, check_cursor

PAGE = 2


@pytest.fixture(params=["sqlite", "directory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/copy.db" if request.param == "sqlite" else str(tmp_path / "copy")


def step(copy: Copy, log: Log, limit: int = PAGE) -> Cursor:
    """One answer, checked and kept."""
    before = copy.cursor()
    lines = written(log.answer(before.next, limit))
    after, taken = check(before, lines, TRUST, now=NOW)
    copy.take(before, after, taken, lines)
    return after


def steps(copy: Copy, log: Log, count: int) -> None:
    for _ in range(count):
        step(copy, log)


def indices(target: str) -> list[int]:
    """What is kept, by index."""
    if target.startswith("sqlite:"):
        return [index for (index,) in rows(target, "select position from entries order by position")]
    lines = [
        line for file in sorted(Path(target).glob("*.ndjson")) for line in file.read_bytes().splitlines()
    ]
    return [said["index"] for line in lines if "index" in (said := json.loads(line))]


def rows(target: str, query: str) -> list[Any]:
    with closing(sqlite3.connect(target.removeprefix("sqlite:"))) as database:
        return database.execute(query).fetchall()


def test_a_copy_goes_on_where_it_was_closed(target: str) -> None:
    log, cursor = some(), Cursor()
    for _ in range(4):
        with closing(opened(target)) as copy:
            cursor = step(copy, log)
    assert indices(target) == list(range(7))
    with closing(opened(target)) as copy:
        assert copy.cursor() == cursor
        check_cursor(copy.cursor(), TRUST)


def test_what_is_kept_is_for_its_owner_alone(target: str, tmp_path: Path) -> None:
    with closing(opened(target)) as copy:
        step(copy, some(), 100)
    for file in tmp_path.rglob("*.*"):
        if file.suffix in {".ndjson", ".db"}:
            assert file.stat().st_mode & 0o077 == 0
            assert "阿依古丽" not in file.name


def test_a_database_shows_records_with_what_became_of_them_and_counts_each_entry_once(tmp_path: Path) -> None:
    target, log = f"sqlite:{tmp_path}/copy.db", some()
    log.add("superseded", supersedes="rec-2", by="rec-9", office="650100")
    log.add("superseded", supersedes=["no name"], office="650100")
    with closing(opened(target)) as copy:
        while copy.cursor().next < 8:
            step(copy, log)
    found = rows(
        target, "select record_id, position, kind, month, office, status from records order by position"
    )
    assert found == [
        ("rec-1", 1, "granted", "2021-06", "650100", "revoked"),
        ("rec-2", 3, "revoked", "2021-06", "650100", "superseded"),
    ]
    assert rows(target, "select * from totals order by kind") == [
        ("adoption", "", "", 1),
        ("claim", "2021-06", "650100", 1),
        ("evidence", "", "", 3),
        ("record", "2021-06", "650100", 2),
        ("superseded", "", "650100", 2),
    ]
    assert [row[0] for row in rows(target, "select body from entries order by position")] == log.bodies


def test_a_directory_holds_the_answers_in_a_row_and_begins_a_new_file_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, target = some(), tmp_path / "copy"
    monkeypatch.setattr(copying, "SEGMENT_BYTES", 3000)
    with closing(opened(str(target))) as copy:
        while copy.cursor().next < 6:
            step(copy, log)
    files = sorted(target.glob("*.ndjson"))
    assert [file.name for file in files][:2] == ["feed-000000000000.ndjson", "feed-000000000004.ndjson"]
    answers = [line for start in (-1, 1, 3, 5) for line in written(log.answer(start, PAGE))]
    assert b"".join(file.read_bytes() for file in files) == b"\n".join([*answers, b""])


class Crash(Exception):
    """The process ends here: nothing more of it runs."""


@pytest.mark.parametrize("call", ["open", "ftruncate", "fsync", "replace", "mark"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_directory_that_crashes_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    log, target = some(), str(tmp_path / "copy")
    monkeypatch.setattr(copying, "SEGMENT_BYTES", 3000)
    with closing(opened(target)) as copy:
        step(copy, log)
        step(copy, log)  # the next answer begins another file
    with closing(opened(target)) as copy, monkeypatch.context() as patch:
        _crash_at(patch, call, nth)
        with pytest.raises(Crash):
            steps(copy, log, 2)
    with closing(opened(target)) as copy:
        check_cursor(copy.cursor(), TRUST)
        assert indices(target) == list(range(copy.cursor().edge.size))
        while copy.cursor().next < 6:
            step(copy, log)
    assert indices(target) == list(range(7))


def _crash_at(patch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    """Before the nth call; ``mark`` is after the cursor file was replaced."""
    owner: Any = kept if call in {"replace", "mark"} else os
    really: Callable[..., Any] = getattr(owner, "replace" if call == "mark" else call)
    seen = 0

    def crashing(*arguments: Any, **options: Any) -> Any:
        nonlocal seen
        seen += 1
        if call == "mark":
            really(*arguments, **options)
        if seen >= min(nth, 2 if call in {"replace", "mark", "ftruncate"} else nth):
            raise Crash
        return None if call == "mark" else really(*arguments, **options)

    patch.setattr(owner, "replace" if call == "mark" else call, crashing)


def test_a_database_that_crashes_within_its_transaction_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, target = some(), f"sqlite:{tmp_path}/copy.db"
    with closing(opened(target)) as copy:
        step(copy, log)
        with monkeypatch.context() as patch:
            patch.setattr(copying, "_write_record", _crash)
            with pytest.raises(Crash):
                step(copy, log)
        assert copy.cursor().next == 1
        while copy.cursor().next < 6:
            step(copy, log)
    assert indices(target) == list(range(7))
    assert sum(count for (count,) in rows(target, "select entries from totals")) == 7


def _crash(*_: object) -> None:
    raise Crash


def test_of_two_that_pull_into_one_database_one_comes_too_late(tmp_path: Path) -> None:
    log, target = some(), f"sqlite:{tmp_path}/copy.db"
    with closing(opened(target)) as one, closing(opened(target)) as other:
        before = one.cursor()
        lines = written(log.answer(-1, 2))
        after, taken = check(before, lines, TRUST, now=NOW)
        other.take(before, after, taken, lines)
        with pytest.raises(LedgerRefused):
            one.take(before, after, taken, lines)
    assert indices(target) == [0, 1]


def test_a_directory_takes_one_puller_at_a_time(tmp_path: Path) -> None:
    with closing(opened(str(tmp_path / "copy"))), pytest.raises(Unavailable) as held:
        opened(str(tmp_path / "copy"))
    assert held.value.code is Code.STORE_LOCKED


@pytest.mark.parametrize(
    "statement",
    [
        "update cursor set next = 0",
        "update cursor set next = 5",
        "update cursor set frontier = '[]'",
        "update cursor set frontier = 'x'",
        "update cursor set checkpoint = '{}'",
        "update cursor set checkpoint = '[]'",
        "delete from cursor",
        "delete from entries where position = 1",
        "delete from entries where position = 3",
        "insert into entries values (4, x'00', null, null)",
        "update entries set position = 9 where position = 0",
    ],
)
def test_a_database_whose_cursor_and_entries_do_not_belong_together_is_refused(
    tmp_path: Path, statement: str
) -> None:
    target = f"sqlite:{tmp_path}/copy.db"
    with closing(opened(target)) as copy:
        step(copy, some(), 4)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        database.execute(statement)
        database.commit()
    with closing(opened(target)) as copy, pytest.raises(LedgerRefused):
        check_cursor(copy.cursor(), TRUST)


FILES: dict[str, Callable[[Path], object]] = {
    "the cursor is gone": lambda path: (path / "cursor.json").unlink(),
    "the cursor is no JSON": lambda path: (path / "cursor.json").write_text("x"),
    "the cursor is a list": lambda path: (path / "cursor.json").write_text("[]"),
    "the cursor counts too much": lambda path: _edit(path, bytes=10**6),
    "the cursor counts backwards": lambda path: _edit(path, bytes=-1),
    "the cursor counts in halves": lambda path: _edit(path, bytes=1.5),
    "the cursor names another file": lambda path: _edit(path, segment="../secret"),
    "the cursor names no text": lambda path: _edit(path, segment=1),
    "the cursor is further back": lambda path: _edit(path, next=0),
    "a file is gone": lambda path: (path / "feed-000000000000.ndjson").unlink(),
    "a file is short": lambda path: (path / "feed-000000000000.ndjson").write_text("x"),
}


def _edit(path: Path, **changes: object) -> None:
    members = json.loads((path / "cursor.json").read_text())
    (path / "cursor.json").write_text(json.dumps(members | changes))


@pytest.mark.parametrize("what", FILES)
def test_a_directory_that_was_edited_is_refused(tmp_path: Path, what: str) -> None:
    with closing(opened(str(tmp_path))) as copy:
        step(copy, some(), 4)
    FILES[what](tmp_path)
    with pytest.raises(LedgerRefused):
        check_cursor(opened(str(tmp_path)).cursor(), TRUST)


def test_what_is_no_copy_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    (tmp_path / "plain").write_text("not a database, and longer than a header of one" * 10)
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("create table customers (name text)")
    taken = (
        str(tmp_path / "letters"), str(tmp_path / "plain"), f"sqlite:{tmp_path}/plain",
        f"sqlite:{tmp_path}/other.db", f"sqlite:{tmp_path}", "sqlite:", f"sqlite:{tmp_path}/no/such/place.db",
        "/proc/no-such-place",
    )  # fmt: skip
    for target in taken:
        with pytest.raises(ConfigurationError) as refused:
            opened(target)
        assert refused.value.pointer == "to"
    assert (tmp_path / "letters" / "dear.txt").read_text() == "x"


def test_what_cannot_be_written_is_tried_again_later(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError if "sqlite:" not in target else sqlite3.OperationalError

    with closing(opened(target)) as copy:
        with monkeypatch.context() as patch:
            patch.setattr(copying, "_write" if "sqlite:" in target else "_append", full)
            with pytest.raises(Unavailable):
                step(copy, some())
        step(copy, some())
    assert indices(target) == [0, 1]


def test_a_record_that_is_there_already_is_an_alteration(tmp_path: Path) -> None:
    log, target = some(), f"sqlite:{tmp_path}/copy.db"
    log.add_record("rec-1")  # a name that was given before
    with closing(opened(target)) as copy, pytest.raises(LedgerRefused):
        step(copy, log, 100)
    assert indices(target) == []
