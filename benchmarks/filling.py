"""Fills a store with millions of learners, as rosters would.

The rows are those that the service itself writes when enterprises upload rosters: a learner with a data key,
an identifier under the blind index, a trait, an employment, and the evidence of each under evidence roots of
the ledger. They are made by the service's own code (``Intake.add_facts``, ``Vault``, ``ledger.row_digest``),
recorded instead of executed, and go to the database in bulk: by COPY, or by ``executemany`` on SQLite.
Everything can be opened, found and decided, and ``ledger fsck`` finds nothing. The same serials
make the same people; keys and salts are drawn from a seed.

What it leaves out: the people's course histories. Completions, decisions and records are what a run sends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
from sqlalchemy import Connection, Table
from sqlalchemy.engine import make_url
from typing_extensions import override

from benchmarks.sending import OF_ONE_EMPLOYER, employer, somebody
from verifier import keyfiles, traits
from verifier.identity import resident_id
from verifier.ledger import evidence_root, row_digest
from verifier.model.facts import Category, EmploymentFact, FactId, Source
from verifier.model.person import Identifier, LearnerId, PersonName, Trait, Uscc
from verifier.model.rotation import Phase, Turn, Turns
from verifier.names import person_name
from verifier.sealing import FieldKeys
from verifier.store import tables
from verifier.store.intake import Intake
from verifier.store.session import SALT_BYTES
from verifier.store.vault import Vault

PIECE: Final = 5_000
"""Learners whose evidence, two rows each, comes under one root."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
AT: Final = datetime(2021, 6, 1, tzinfo=UTC)
START: Final = date(2021, 1, 1)
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def roster_id(uscc: str) -> str:
    """The upload that lists an enterprise's people."""
    return f"bench-{uscc}"


class _Recorder:
    """In a connection's place: the rows that would be inserted, by table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)


def _bound(value: Any) -> Any:
    """A moment as it is stored, in microseconds since 1970; anything else as it is."""
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


def _covered(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a row's evidence covers."""
    names = (str(column.name) for column in table.columns if column.name not in tables.NOT_EVIDENCE)
    return {name: _bound(row.get(name)) for name in names}


class _Roster(Intake):
    """The statements of a roster upload by people whom nobody knew, recorded."""

    def __init__(self, recorder: _Recorder, vault: Vault, turns: Turns) -> None:
        super().__init__(cast("Connection", recorder), vault)
        self._recorder = recorder
        self._fixed = turns

    @property
    @override
    def turns(self) -> Turns:
        return self._fixed

    @override
    def insert_missing(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        self._recorder.rows[table.name] += rows

    @override
    def append(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        self.insert_missing(table, rows)
        for row in rows:
            salt = self.vault.randbytes(SALT_BYTES)
            self._recorder.rows["evidence"].append(
                {
                    "evidence_id": self.vault.new_id(),
                    "source_table": table.name,
                    "source_key": json.dumps([row[column.name] for column in table.primary_key]),
                    "salt": salt,
                    "digest": row_digest(salt, str(table.name), _covered(table, row)),
                }
            )

    @override
    def touch_enterprises(self, uscc: object) -> None:
        """An admission has touched them."""

    def list_people(self, serials: Sequence[int]) -> None:
        """Everything that is written about these people."""
        today = AT.date()
        people = [(serial, resident_id(who.id_number, today=today), person_name(who.name))
                  for serial, who in zip(serials, map(somebody, serials), strict=True)]  # fmt: skip
        learners = {serial: LearnerId(self.vault.new_id()) for serial in serials}
        for learner in learners.values():
            self.vault.create_key(learner)
        self.insert_missing(
            tables.identifiers, [self._identifier(learners[serial], item) for serial, item, _ in people]
        )
        self.append(
            tables.learners,
            [
                {"learner_id": one, "sealed_key": self.vault.sealed_key(one), "created_at": AT}
                for one in learners.values()
            ],
        )
        self.insert_missing(
            tables.traits,
            [
                self._trait(learners[serial], trait)
                for serial, item, name in people
                for trait in traits.of_identified(item, name)
            ],
        )
        self.add_facts([self._employment(learners[serial], serial, name) for serial, _, name in people])

    def _identifier(self, learner: LearnerId, item: Identifier) -> dict[str, Any]:
        version = self.turns.pepper.new
        return {
            "kind": item.kind.value,
            "pepper_version": version,
            "blind_index": self.vault.blind_index(item, version),
            "learner_id": learner,
            "sealed_value": self.vault.seal(
                learner, "identifiers.sealed_value", learner, item.value.encode()
            ),
            "touched": 0,
        }

    def _trait(self, learner: LearnerId, trait: Trait) -> dict[str, Any]:
        version = self.turns.pepper.new
        return {
            "kind": trait.kind.value,
            "pepper_version": version,
            "blind_index": self.vault.blind_index(trait, version),
            "learner_id": learner,
            "sealed_value": self.vault.seal(learner, "traits.sealed_value", learner, trait.value.encode()),
        }

    def _employment(self, learner: LearnerId, serial: int, name: PersonName) -> EmploymentFact:
        uscc = Uscc(employer(serial))
        return EmploymentFact(
            fact_id=FactId(self.vault.new_id()),
            learner_id=learner,
            uscc=uscc,
            start=START,
            end=None,
            category=Category.AT_POST,
            post="",
            dispatched_by=None,
            name=name,
            recorded_at=AT,
            source=Source("roster", roster_id(uscc)),
        )


def rows_of(keys: FieldKeys, serials: Sequence[int], position: int) -> tuple[Rows, list[bytes]]:
    """The rows about some people, and the digests of the evidence under the root at an index."""
    # The same people, the same bytes: nothing here is kept secret by chance.
    chance = random.Random(f"filling {serials[0]}")  # noqa: S311 - as said
    start = int(AT.timestamp() * 1000) + serials[0]
    drawn = iter(range(1 << 60))

    def new_id() -> str:
        return f"{start + next(drawn) // 8:012x}{chance.randbytes(10).hex()}"

    turns = Turns(
        Turn(Phase.DONE, keys.pepper_version, keys.pepper_version),
        Turn(Phase.DONE, keys.master_version, keys.master_version),
    )
    recorder = _Recorder()
    _Roster(recorder, Vault(keys, chance.randbytes, new_id), turns).list_people(serials)
    evidence = [{**row, "position": position} for row in recorder.rows["evidence"]]
    return {**recorder.rows, "evidence": evidence}, [row["digest"] for row in evidence]


def _records(table: Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    names = [column.name for column in table.columns]
    for row in rows:
        yield tuple(_bound(row.get(name)) for name in names)


async def copy_in(url: str, rows: Rows) -> None:
    """Bulk insert by PostgreSQL's COPY, all of it or nothing."""
    address = make_url(url)
    connection = await asyncpg.connect(
        host=address.query["host"], user=address.username, database=address.database
    )
    try:
        async with connection.transaction():
            for name, some in rows.items():
                table = tables.metadata.tables[name]
                columns = [column.name for column in table.columns]
                await connection.copy_records_to_table(name, records=_records(table, some), columns=columns)
    finally:
        await connection.close()


def insert_in(url: str, rows: Rows) -> None:
    """Bulk insert into an SQLite file, all of it or nothing."""
    connection = sqlite3.connect(Path(url.partition("///")[2]))
    try:
        with connection:
            for name, some in rows.items():
                table = tables.metadata.tables[name]
                places = ", ".join("?" * len(table.columns))
                connection.executemany(f"insert into {name} values ({places})", _records(table, some))  # noqa: S608 - our own names
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some people, and the index of the ledger entry that their evidence comes under."""

    url: str
    secrets_dir: Path
    start: int
    end: int
    position: int

    def fill(self) -> tuple[bytes, int]:
        """Write it; the root of its evidence, and how much that covers."""
        keys = keyfiles.load_fields(self.secrets_dir)
        rows, digests = rows_of(keys, range(self.start, self.end), self.position)
        if self.url.startswith("sqlite"):
            insert_in(self.url, rows)
        else:
            asyncio.run(copy_in(self.url, rows))
        return evidence_root(digests), len(digests)


def pieces(url: str, secrets_dir: Path, span: range, position: int) -> list[Piece]:
    """A range of serials in pieces, whose roots come at this index and behind it."""
    starts = range(span.start, span.stop, PIECE)
    return [
        Piece(url, secrets_dir, start, min(start + PIECE, span.stop), position + place)
        for place, start in enumerate(starts)
    ]


def fill(work: Sequence[Piece], processes: int) -> Iterator[tuple[bytes, int]]:
    """Write all pieces, on so many cores; what ``Piece.fill`` tells, in order. SQLite has one writer."""
    if processes < 2 or work[0].url.startswith("sqlite"):  # noqa: PLR2004 - more than one
        yield from map(Piece.fill, work)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(Piece.fill, work)


def employers(span: range) -> list[str]:
    """The enterprises that list these people."""
    return [
        employer(serial)
        for serial in range(span.start - span.start % OF_ONE_EMPLOYER, span.stop, OF_ONE_EMPLOYER)
    ]
