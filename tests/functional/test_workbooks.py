"""Workbooks that hang a reader, eat memory or inflate without end: refused, and the next one is read."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import openpyxl
import pytest

from verifier import confinement, workbooks
from verifier.confinement import Worker
from verifier.errors import Code, RequestRejected, Unavailable
from verifier.spreadsheet import Bounds, Cell
from verifier.workbooks import Workbooks


def hostile(connection: Connection) -> None:
    """A worker with a reader that lacks a measure somewhere."""
    confinement.limit(confinement.MEMORY_BYTES)

    def reply(raw: bytes, bounds: Bounds) -> None:
        if raw == b"hangs":
            time.sleep(600)
        if raw == b"eats":
            list(range(10**9))
        if raw == b"dies":
            os._exit(1)
        connection.send([(raw.decode(), bounds.rows)])

    confinement.answer(connection, reply)


@pytest.fixture(scope="module")
def spoilt() -> Iterator[Workbooks]:
    reader = Workbooks(hostile, seconds=1.0)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def reader() -> Iterator[Workbooks]:
    made = Workbooks()
    yield made
    made.close()


def workbook(*rows: tuple[Any, ...]) -> bytes:
    made = openpyxl.Workbook()
    for row in rows:
        made.worksheets[0].append(row)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def bomb() -> bytes:
    """An honest workbook with a part of zeros that inflates to more than any workbook may."""
    file = io.BytesIO(workbook(("a",)))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/x.xml", "w") as part:
        for _ in range(1 + Bounds().inflated_bytes // 2**22):
            part.write(bytes(2**22))
    return file.getvalue()


@pytest.mark.parametrize("raw", [b"hangs", b"eats", b"dies"])
def test_what_cannot_be_read_within_the_limits_is_refused_and_the_next_is_read(
    spoilt: Workbooks, raw: bytes
) -> None:
    with pytest.raises(RequestRejected) as refused:
        spoilt.read(raw, Bounds())
    assert refused.value.code is Code.ROSTER_UNREADABLE
    assert spoilt.read(b"fine", Bounds(rows=7)) == [("fine", 7)]


def test_who_comes_while_the_reader_is_busy_is_asked_to_come_again(spoilt: Workbooks) -> None:
    with spoilt._workers.free() as worker:
        assert isinstance(worker, Worker)
        with pytest.raises(Unavailable) as refused:
            spoilt.read(b"fine", Bounds())
    assert refused.value.code is Code.OVERLOADED


def test_a_workbook_is_read_as_it_would_be_here(reader: Workbooks) -> None:
    rows: list[tuple[Cell, ...]] = [("姓名", "号"), ("甲", 7)]
    assert reader.read(workbook(*rows), Bounds()) == rows


@pytest.mark.parametrize(
    ("made", "code"),
    [(lambda: b"PK nonsense", Code.SCHEMA_INVALID), (bomb, Code.REQUEST_TOO_LARGE)],
    ids=["nonsense", "bomb"],
)
def test_what_is_refused_here_is_refused_there_for_the_same_reason(
    reader: Workbooks, made: Callable[[], bytes], code: Code
) -> None:
    raw = made()
    before = time.monotonic()
    with pytest.raises(RequestRejected) as refused:
        reader.read(raw, Bounds())
    assert (refused.value.code, bool(refused.value.detail)) == (code, True)
    assert time.monotonic() - before < workbooks.SECONDS
