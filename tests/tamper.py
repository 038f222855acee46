"""Random single edits of a well-filled database, each of which the check must find: ``make tamper``.

Whoever owns the database sets one value, exchanges two, deletes a row, puts a copy of one in under another
key, or dates something back by a microsecond. Each edit is made in a savepoint, the check runs over the whole
database, and the edit is taken back. What the check does not cover is listed in ``verifier.store.coverage``;
every other edit that it does not find is a defect.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Column, Connection, LargeBinary, String, Table, UniqueConstraint, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import Date

from tests.functional import world as worlds
from tests.functional.world import BUREAU, FACTORY, ORIGIN, World
from verifier import audit, cosigning, ledger, merging
from verifier.claims import Asked
from verifier.cli.simulator import Person, person
from verifier.model.delivery import DeliveryId, DeliveryOutcome, DeliveryState, PlatformSlug
from verifier.model.facts import Source
from verifier.operations import SourceForm
from verifier.ports.intake import KeptDocument
from verifier.ports.witnessing import Cosigned
from verifier.store import coverage, tables
from verifier.store.auditing import Auditing
from verifier.store.columns import Moment, metadata
from verifier.store.engine import Database
from verifier.store.intake import Intake
from verifier.store.schema import upgrade
from verifier.store.tables_importing import COUNTED
from verifier.store.vault import Vault

COVERED: Final = tuple(
    table for table in metadata.sorted_tables if coverage.COVERED_BY[table.name] != coverage.NOTHING
)
WITNESS_KEY: Final = Ed25519PrivateKey.generate()
WITNESS: Final = cosigning.parse_key(cosigning.cosigner_key("witness.test.invalid", WITNESS_KEY.public_key()))
KINDS: Final = ("set", "swap", "delete", "copy", "back-date")


async def fill(world: World) -> None:
    """Rows of every kind, at moments that differ; all of it under roots and cosigned at the end."""
    people = [
        person(serial, name)
        for serial, name in enumerate(("阿依古丽·买买提", "王小明", "赵伟", "钱芳", "孙丽"), 1)
    ]
    first, second, *_ = people

    def later() -> None:
        world.now += timedelta(minutes=7)

    await world.adopt()
    await world.operations.adopt([SourceForm("policy", "ab" * 32, "content", {})])
    await world.operations.add_client(world.client_parameters("bureau", "subsidy", offices="652301"))
    await world.operations.add_client(world.client_parameters("audit", "auditor"))
    await world.employ(FACTORY, *people)
    for serial, who in enumerate(people):
        later()
        await world.complete(f"N-{serial}", who)
        await world.settle()
    later()
    await world.complete("N-1", second, title="另一门课")
    await world.complete("N-1", second, title="又一门课")
    await world.complete_elsewhere("M-1", first)
    await world.settle()
    records = [one.record_id for one in await world.records()]
    for place, record in enumerate(records[:3]):
        later()
        await world.claims.claim(BUREAU, record, Asked(f"pay-{place}"))
    await world.claims.step(BUREAU, records[0], "paid", "pay-0", "已付")
    await world.claims.step(BUREAU, records[2], "release", "pay-2", "重复")
    later()
    await world.revoke("N-0")
    await world.revoke("N-3")
    await world.complete("N-9", person(9, "周强"))
    await world.settle()
    frozen = {"office": "652301", "month": "2021-03", "operator": "赵", "apply": "yes"}
    await world.accounts.freeze(frozen)
    await about_people(world, *people)
    await world.store.disclose([await world.learner(first)], "bureau", "feed", "record")
    for gone in (person(7, "李强"), person(8, "吴芳")):
        await world.employ(FACTORY, gone)
        asked = {"id_number": gone.id_number, "purpose": "已核验身份证", "operator": "赵"}
        await world.operations.run("learner erase", {**asked, "reason": "本人要求", "apply": "yes"})
    later()
    await world.store.write(Intake, lambda tx: further(tx, world))
    await world.settle()
    note = world.kept.note
    size = (await world.store.feed(-1, 1))[1]
    at = world.now.replace(microsecond=0)
    line = cosigning.cosign(
        note.rpartition(b"\n\n")[0] + b"\n", WITNESS.name, WITNESS_KEY, int(at.timestamp())
    )
    await world.store.keep_cosignature(Cosigned(WITNESS.name, size, note, line, at))


async def about_people(world: World, *people: Person) -> None:
    """A merge, a parting, an objection that is answered, a release."""
    learners = [await world.learner(one) for one in people]
    for pair in (learners[3:5], [learners[0], learners[3]]):
        said = merging.Finding(pair[0], pair[1], "同一人换证", "旧证与新证", Source("operator", "赵"))
        await world.store.merging(partial(merging.merge, finding=said, at=world.now, new_id=world.new_id))
        await world.settle()
    parted = merging.Finding(learners[0], learners[3], "不是同一人", "照片", Source("operator", "赵"))
    await world.store.merging(partial(merging.part, finding=parted, at=world.now, new_id=world.new_id))
    await world.settle()
    asked = {"id_number": people[1].id_number, "purpose": "已核验身份证", "operator": "赵"}
    opened = await world.operations.run(
        "objection open", {**asked, "kind": "objection", "topic": "month", "text": "不是我领的"}
    )
    world.now += timedelta(minutes=1)
    answer = {"number": opened["number"], "outcome": "rejected", "text": "经核实", "operator": "赵"}
    await world.operations.run("objection answer", answer)
    await world.settle()


def further(tx: Intake, world: World) -> None:
    """Rows that come about by rarer ways: a reading, documents, signals with a closing, files taken in."""
    outcome = DeliveryOutcome(DeliveryId("d"), DeliveryState.ACCEPTED, ())
    for serial in range(2):
        row = {"platform": "p", "delivery_id": f"d{serial}", "reading": 1, "cause": "c", "attention": 0}
        encoded = msgspec.json.encode(outcome).decode()
        tx.append(tables.readings, [{**row, "outcome": encoded, "recorded_at": world.now}])
        content = b"a document %d" % serial
        digest = world.keys.digest("document", content)
        kept = KeptDocument(PlatformSlug("p"), f"x{serial}", digest, content, DeliveryId("d"))
        tx.insert_documents([kept])
        signal: dict[str, Any] = {
            "signal_id": f"s{serial}",
            "kind": "k",
            "learner_id": None,
            "uscc": None,
            "about": "[]",
        }
        signal |= {"details": "{}", "subject_digest": bytes([serial]) * 32, "rules": "r", "thresholds": "t"}
        tx.append(tables.signals, [{**signal, "found_at": world.now}])
        place = ("signal_closings.sealed_reason", f"s{serial}")
        key, sealed = tx.vault.seal_apart("signal_closings.sealed_key", *place, b"reason")
        closing = {"signal_id": f"s{serial}", "outcome": "noted", "operator": "o", "closed_at": world.now}
        tx.append(tables.signal_closings, [{**closing, "sealed_reason": sealed, "sealed_key": key}])
        imported: dict[str, Any] = {
            "import_id": f"i{serial}",
            "platform": "p",
            "file_digest": f"{serial}" * 64,
        }
        imported |= {name: number + serial for number, name in enumerate(COUNTED)}
        tx.append(tables.imports, [{**imported, "operator": "o", "recorded_at": world.now}])


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that the database's owner does; ``column`` is empty where it is about a whole row."""

    kind: str
    table: str
    column: str
    statement: str
    values: tuple[Any, ...]


@dataclass(slots=True)
class Campaign:
    """A database in memory, edited once at a time."""

    connection: Connection
    world: World
    trusted: audit.Trusted
    random: Random
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[Edit] = field(default_factory=list)

    def findings(self) -> list[audit.Finding]:
        """What the check finds now."""
        vault = Vault(self.world.keys, os.urandom, self.world.new_id)
        return audit.check(Auditing(self.connection, vault), self.trusted)

    def run(self, edits: int) -> None:
        """Make so many edits, one after another, each taken back."""
        while self.tried.total() < edits:
            edit = self._drawn()
            if edit is not None:
                self._try(edit)

    def _try(self, edit: Edit) -> None:
        driver = self.connection.exec_driver_sql
        driver("savepoint edit")
        try:
            changed = driver(edit.statement, edit.values).rowcount
        except IntegrityError:
            changed = 0
        if changed:
            self.tried[edit.table, edit.column or edit.kind] += 1
            if not self.findings():
                self.missed.append(edit)
        driver("rollback to edit")
        driver("release edit")

    def _drawn(self) -> Edit | None:
        """An edit that is to be found; None where the draw came to nothing."""
        random, table = self.random, self.random.choice(COVERED)
        found = self.connection.exec_driver_sql(f"select rowid as here, * from {table.name}")  # noqa: S608 - our own name
        rows = found.mappings().all()
        if not rows:
            return None
        kind, row = random.choice(KINDS), random.choice(rows)
        if kind == "copy":
            return self._copy(table, row)
        if kind == "delete":
            gone = f"delete from {table.name} where rowid = ?"  # noqa: S608 - our own name
            may_go = table.name in coverage.ROWS_MAY_GO
            return None if may_go else Edit(kind, table.name, "", gone, (row["here"],))
        return self._set(kind, table, row, random.choice(rows))

    def _set(self, kind: str, table: Table, row: Any, other: Any) -> Edit | None:
        """One column's value: another one, another row's, or an earlier moment."""
        name, column = table.name, self.random.choice(list(table.columns))
        value = row[column.name]
        new = other[column.name] if kind == "swap" else self._other(column, value)
        if kind == "back-date":
            new = value - 1 if isinstance(column.type, Moment) and value is not None else value
        lawful = new is None and column.name in coverage.EMPTIED.get(name, ())
        if new == value or lawful or column.name in coverage.FREE.get(name, ()):
            return None
        statement = f"update {name} set {column.name} = ? where rowid = ?"  # noqa: S608 - our own names
        return Edit(kind, name, column.name, statement, (new, row["here"]))

    def _copy(self, table: Table, row: Any) -> Edit:
        """A copy under another key."""
        values = {column.name: row[column.name] for column in table.columns}
        unique = {column.name for one in table.indexes if one.unique for column in one.columns}
        unique |= {
            column.name
            for one in table.constraints
            if isinstance(one, UniqueConstraint)
            for column in one.columns
        }
        changed = self.random.choice(list(table.primary_key)).name
        for name in {changed, *(unique - {column.name for column in table.primary_key})}:
            values[name] = self._other(table.c[name], values[name])
        places = ", ".join("?" for _ in values)
        statement = f"insert into {table.name} ({', '.join(values)}) values ({places})"  # noqa: S608 - our own names
        return Edit("copy", table.name, "", statement, tuple(values.values()))

    def _other(self, column: Column[Any], value: Any) -> Any:
        """Another value of the column's type, near or far; nothing at all where that may be."""
        random = self.random
        if column.nullable and random.random() < 0.15:
            return None
        if isinstance(column.type, LargeBinary):
            old = bytes(value or b"")
            place = random.randrange(max(len(old), 1))
            flipped = (
                old[:place]
                + bytes([(old[place] if old else 0) ^ 1 << random.randrange(8)])
                + old[place + 1 :]
            )
            return random.choice((flipped, old[:-1], old + b"\0", b"", random.randbytes(32)))
        if isinstance(column.type, Date):
            return random.choice(("2021-02-01", "2021-06-01", "1999-12-31"))
        if isinstance(column.type, String):
            return self._text(value or "")
        return (value or 0) + random.choice((-1, 1, 2, -1000, 10**6, 86_400_000_000, 10**17))

    def _text(self, old: str) -> str:
        random = self.random
        place = random.randrange(max(len(old), 1))
        edited = old[:place] + random.choice("aB3 ~é") + old[place + 1 :]
        return random.choice((edited, old + "x", old[:-1], "", "other", old.upper()))


def memory(path: Path) -> Connection:
    """A copy of a database in memory, in which savepoints are ours."""

    def connect() -> sqlite3.Connection:
        target = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with sqlite3.connect(path) as source:
            source.backup(target)
        source.close()
        return target

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


async def prepared(path: Path, installation: worlds.Installation, random: Random) -> Campaign:
    """A campaign over a database that is filled first."""
    world = await worlds.over(f"sqlite+aiosqlite:///{path}", installation)
    await fill(world)
    await world.store.database.close()
    keys = world.issuer_keys
    known = {key.kid: key for key in (one.verification_key for one in (keys.record, keys.status))}
    public = ledger.public_of(keys.checkpoint)
    trusted = audit.Trusted(ORIGIN, [public], known, world.kept.note, [WITNESS])
    return Campaign(memory(path), world, trusted, random)


def shown(campaign: Campaign) -> Iterator[str]:
    """Edits by table and column, and all that were missed."""
    for (table, column), count in sorted(campaign.tried.items()):
        yield f"{table:18} {column:24} {count:6}"
    yield f"edits: {campaign.tried.total()}, missed: {len(campaign.missed)}"
    for edit in campaign.missed:
        yield f"MISSED {edit.kind} {edit.table}.{edit.column}: {edit.values!r}"


async def campaign(edits: int, seed: int) -> bool:
    """Fill, edit, tell; whether every edit was found."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "filled.db"
        database = Database(f"sqlite+aiosqlite:///{path}")
        await database.write(upgrade)
        await database.close()
        made = await prepared(path, worlds.install(Path(directory) / "installation"), Random(seed))  # noqa: S311 - a seed that can be given again
        found = made.findings()
        if found:
            print("the untouched database has findings:", found)
            return False
        began = time.monotonic()
        made.run(edits)
        for line in shown(made):
            print(line)
        print(f"seed {seed}, {(time.monotonic() - began) / edits * 1000:.0f} ms an edit")
        made.connection.close()
        return not made.missed


def main() -> int:
    """Run the campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    return 0 if asyncio.run(campaign(given.edits, given.seed)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
