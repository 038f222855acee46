"""A small sample of ``make chaos``: writer and consumer are killed in the midst of it."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos_feed import Figures, Load, compare, run
from tests.functional.world import Installation, World
from verifier.store.engine import Database

pytestmark = pytest.mark.untraced

LOAD = Load(entries=2500, people=3, every=30.0, page=400)
SPOILT = {
    "update totals set entries = entries + 1 where kind = 'claim'": "an effect did not happen",
    "delete from records": "a record is not in the copy",
    "delete from entries where position = 1000": "the copy has something else at 1000",
    "update entries set body = x'00' where position = 7": "the copy has something else at 7",
    "insert into entries values (999999, x'00', null, null)": "entries that the ledger has not",
    "update cursor set frontier = replace(frontier, 'a', 'b')": "the roots of ledger, copy",
}


async def test_what_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(
    sqlite: str, tmp_path: Path, installation: Installation
) -> None:
    figures = Figures(secrets.randbelow(1 << 32))
    world = await run(sqlite, tmp_path, installation, figures, LOAD)
    assert figures.amiss == [], figures
    assert figures.writer_kills, figures
    assert figures.consumer_kills, figures
    assert (figures.entries > LOAD.entries + LOAD.people, figures.records) == (True, LOAD.people)
    await _finds_what_is_spoilt(sqlite, tmp_path, world)


async def _finds_what_is_spoilt(url: str, directory: Path, world: World) -> None:
    """The comparison fails where it should: it is the only witness of a run that nobody watches."""
    with closing(sqlite3.connect(directory / "copy.db")) as copy:
        copy.execute("pragma wal_checkpoint(truncate)")
    pristine = (directory / "copy.db").read_bytes()
    database = Database(url, read_only=True)
    for statement, said in SPOILT.items():
        (directory / "copy.db").write_bytes(pristine)
        with closing(sqlite3.connect(directory / "copy.db")) as copy:
            copy.execute(statement)
            copy.commit()
        found = Figures(0)
        await compare(database, directory, world, found, LOAD.entries)
        assert any(said in one for one in found.amiss), statement
    await database.close()
