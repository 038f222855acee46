"""Where a puller keeps what it pulled: a directory of NDJSON files, or a SQLite database.

Both show the one thing that matters to whoever acts on the feed: the cursor is stored with the effects, so
that after a crash at any moment each entry has had its effects exactly once.

- The database: one transaction for entries, records, counts and the cursor. It is taken back or it is there.
- The directory: lines are appended and on disk before the cursor file, which says how long the last file is,
  is replaced as a whole. What a crash left behind that length is cut off at the next start.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from verifier import following, kept
from verifier.errors import Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.following import Cursor, Taken

SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""From this length on the next file is begun."""
_SEGMENT: Final = re.compile(r"feed-([0-9]{12})\.ndjson")
_CURSOR, _LOCK = "cursor.json", ".lock"
_SCHEMA: Final = (
    """CREATE TABLE entries (
        position INTEGER PRIMARY KEY, leaf_hash BLOB NOT NULL, kind TEXT, body BLOB)""",
    """CREATE TABLE records (
        record_id TEXT PRIMARY KEY, position INTEGER NOT NULL UNIQUE, kind TEXT NOT NULL, month TEXT,
        office TEXT, status TEXT NOT NULL, sd_jwt TEXT NOT NULL)""",
    """CREATE TABLE totals (
        kind TEXT NOT NULL, month TEXT NOT NULL, office TEXT NOT NULL, entries INTEGER NOT NULL,
        PRIMARY KEY (kind, month, office))""",
    """CREATE TABLE cursor (
        id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL, frontier TEXT NOT NULL,
        checkpoint TEXT NOT NULL)""",
)
"""``totals`` stands for effects that must happen once: doing them twice shows."""


class Copy(Protocol):
    """Where entries and the cursor are kept."""

    def cursor(self) -> Cursor:
        """Where the copy stands."""
        ...

    def take(self, before: Cursor, after: Cursor, taken: Sequence[Taken], lines: Sequence[bytes]) -> None:
        """Keep an answer that was checked, with its effects and the cursor behind it, or nothing of it.

        Args:
            before: where the copy stood when the answer was asked for.
            after: where the answer leads.
            taken: its entries.
            lines: the answer as it came.

        Raises:
            LedgerRefused: the copy does not stand there any more.
            Unavailable: nothing was kept.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def opened(target: str) -> Copy:
    """Open a copy, or begin one.

    Args:
        target: ``sqlite:FILE`` or a directory.

    Raises:
        ConfigurationError: it is something else, or cannot be written to.
        LedgerRefused: what is there does not belong together.
        Unavailable: somebody else holds it.
    """
    kind, colon, rest = target.partition(":")
    if kind == "sqlite" and colon:
        return _said(lambda: Database(Path(rest)))
    return _said(lambda: Directory(Path(target)))


def _said(make: Callable[[], Copy]) -> Copy:
    try:
        return make()
    except BlockingIOError:
        raise Unavailable(Code.STORE_LOCKED, "another process pulls into this copy") from None
    except (OSError, sqlite3.Error) as failure:
        raise _unusable() from failure


# --- a database ---------------------------------------------------------------------------------------------


class Database:
    """A SQLite file of its own, in place of a subsidy system's database."""

    def __init__(self, path: Path) -> None:
        if not path.name or path.is_dir():
            raise _unusable()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        tables = {
            name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        }
        if not tables:
            self._begin()
        elif not {"entries", "records", "totals", "cursor"} <= tables:
            raise _unusable()

    def _begin(self) -> None:
        with self._database as write:  # commits, or rolls back
            write.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                write.execute(statement)
            write.execute("INSERT INTO cursor VALUES (1, ?, ?, ?)", _columns(Cursor()))

    def cursor(self) -> Cursor:
        """Where the copy stands."""
        rows = self._database.execute("SELECT next, frontier, checkpoint FROM cursor").fetchall()
        [(count, last)] = self._database.execute("SELECT count(*), coalesce(max(position), -1) FROM entries")
        try:
            [(following_index, frontier, checkpoint)] = rows
            edge = {"next": following_index, "frontier": json.loads(frontier)}
            found = following.loaded({**edge, **json.loads(checkpoint)})
        except (ValueError, TypeError):
            raise _altered("the cursor is not as it was stored") from None
        if (count, last) != (found.edge.size, found.next):
            raise _altered("the cursor and the entries do not belong together")
        return found

    def take(self, before: Cursor, after: Cursor, taken: Sequence[Taken], _lines: Sequence[bytes]) -> None:
        """Entries, records, counts and the cursor in one transaction."""
        try:
            with self._database as write:
                write.execute("BEGIN IMMEDIATE")
                _move(write, before, after)
                _write(write, taken)
        except sqlite3.IntegrityError:
            raise _altered("an entry is there already") from None
        except sqlite3.Error as failure:
            raise Unavailable(Code.STORE_UNAVAILABLE, "the copy cannot be written") from failure

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _columns(cursor: Cursor) -> tuple[int, str, str]:
    members = following.dumped(cursor)
    checkpoint = {"end": members["end"], "ahead": members["ahead"]}
    return members["next"], json.dumps(members["frontier"]), json.dumps(checkpoint)


def _move(write: sqlite3.Connection, before: Cursor, after: Cursor) -> None:
    """The cursor moves from where it was read: of two that pull at once, one comes too late."""
    moved = write.execute(
        "UPDATE cursor SET next = ?, frontier = ?, checkpoint = ? WHERE next = ?",
        (*_columns(after), before.next),
    )
    if moved.rowcount != 1:
        raise _altered("another process has moved the cursor")


def _write(write: sqlite3.Connection, taken: Sequence[Taken]) -> None:
    write.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?)",
        [(one.index, one.leaf, one.kind or None, one.raw or None) for one in taken],
    )
    for one in taken:
        if one.kind:
            key = (one.kind, one.body.get("month") or "", one.body.get("office") or "")
            write.execute(
                "INSERT INTO totals VALUES (?, ?, ?, 1)"
                " ON CONFLICT (kind, month, office) DO UPDATE SET entries = entries + 1",
                key,
            )
        if one.claims is not None:
            _write_record(write, one)
        elif one.kind == "superseded":
            _end_record(write, one.body.get("supersedes"), "superseded")


def _write_record(write: sqlite3.Connection, one: Taken) -> None:
    body, result = one.body, one.body.get("result")
    row = (body["record"], one.index, result, body.get("month"), body.get("office"), "current", one.sd_jwt)
    write.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    _end_record(write, body.get("supersedes"), "revoked" if result == "revoked" else "superseded")


def _end_record(write: sqlite3.Connection, record_id: object, status: str) -> None:
    if isinstance(record_id, str):
        write.execute("UPDATE records SET status = ? WHERE record_id = ?", (status, record_id))


# --- a directory --------------------------------------------------------------------------------------------


class Directory:
    """Files ``feed-<first index>.ndjson`` of answers as they came, in a row, and ``cursor.json``."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        found = {one.name for one in path.iterdir()}
        segments = {name for name in found if _SEGMENT.fullmatch(name)}
        if found - segments - {_CURSOR, f"{_CURSOR}.new", _LOCK}:
            raise ConfigurationError(
                Code.CONFIGURATION_INVALID, "the directory holds something else than a copy", pointer="to"
            )
        with ExitStack() as stack:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _CURSOR not in found:
                self._begin(segments)
            self._stored, self._segment, self._bytes = self._read()
            self._tidy(segments)
            self._held = stack.pop_all()

    def _begin(self, segments: set[str]) -> None:
        if segments:
            raise _altered("the cursor file is missing")
        self._keep(Cursor(), "", 0)

    def _read(self) -> tuple[Cursor, str, int]:
        try:
            members = json.loads((self._path / _CURSOR).read_bytes())
            segment, length = members.pop("segment"), members.pop("bytes")
        except (ValueError, TypeError, AttributeError, KeyError):
            raise _altered("the cursor is not as it was stored") from None
        named = isinstance(segment, str) and (segment == "" or _SEGMENT.fullmatch(segment))
        if not named or type(length) is not int or length < 0:
            raise _altered("the cursor is not as it was stored")
        return following.loaded(members), segment, length

    def _tidy(self, segments: set[str]) -> None:
        """Cut off what a crash left behind the cursor."""
        for name in segments:
            if name > self._segment:
                (self._path / name).unlink()
        if self._segment:
            path = self._path / self._segment
            if not path.is_file() or path.stat().st_size < self._bytes:
                raise _altered("a file of the copy is missing or too short")
            os.truncate(path, self._bytes)

    def cursor(self) -> Cursor:
        """Where the copy stands."""
        return self._stored

    def take(self, before: Cursor, after: Cursor, _taken: Sequence[Taken], lines: Sequence[bytes]) -> None:
        """First the lines, then the cursor that counts them."""
        assert before == self._stored  # the lock lets nobody else move it
        segment, length = self._segment, self._bytes
        if not segment or length >= SEGMENT_BYTES:
            segment, length = f"feed-{before.edge.size:012}.ndjson", 0
        content = b"\n".join([*lines, b""])
        try:
            _append(self._path / segment, length, content)
            self._keep(after, segment, length + len(content))
        except OSError as failure:
            raise Unavailable(Code.STORE_UNAVAILABLE, "the copy cannot be written") from failure
        self._stored, self._segment, self._bytes = after, segment, length + len(content)

    def _keep(self, cursor: Cursor, segment: str, length: int) -> None:
        members: dict[str, Any] = {**following.dumped(cursor), "segment": segment, "bytes": length}
        kept.replace(self._path / _CURSOR, json.dumps(members, indent=1).encode())

    def close(self) -> None:
        """Free the lock."""
        self._held.close()


def _append(path: Path, length: int, content: bytes) -> None:
    """Write behind what the cursor counts, over what an attempt that failed half-way left there."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.ftruncate(handle, length)
        file.seek(length)
        file.write(content)
        file.flush()
        os.fsync(handle)


def _unusable() -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, "no copy can be kept there", pointer="to")


def _altered(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
