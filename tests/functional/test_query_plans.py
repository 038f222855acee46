"""Every statement of the hot paths finds its rows by an index, on both databases.

The statements are those that the service executed: a small run is listened to. Then every table is filled
with copies of its rows, and of each statement is asked what it reads: PostgreSQL executes it and counts,
having analysed the tables as autovacuum does; SQLite, which nobody analyses, tells its plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
from sqlalchemy import Column, Connection, Date, ExecutionContext, LargeBinary, String, Table, event, text
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.type_api import TypeEngine

from tests.functional.world import BUREAU, FACTORY, WORKSHOP, World, row
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.model.access import Client, ClientState, Role
from verifier.ports.watching import Failure
from verifier.silence import Silence
from verifier.store.columns import metadata
from verifier.watch import BacklogWatch, SilenceWatch

pytestmark = pytest.mark.untraced

ROWS: Final[Mapping[str, int]] = {"postgresql": 20_000, "sqlite": 10}
"""Rows of each table: so many that PostgreSQL finds no list of keys long enough to read the table whole for
it (at 4,000 it now and then did, and was right); SQLite is asked for its plan, which no row changes."""
ENTERPRISE: Final = Client(
    "enterprise", 1, Role.ENTERPRISE, ClientState.ACTIVE, jwk={}, enterprises=frozenset({FACTORY})
)

SMALL: Final = frozenset(
    {
        "account_months", "adoptions", "alembic_version", "clients", "cosignatures", "freezes", "in_force",
        "ledger_head", "rotations", "signal_cursor", "status_lists", "sweeps",
    }
)  # fmt: skip
"""Tables that do not grow with people, certificates or requests: reading one whole is no matter."""

FEW: Final = frozenset(
    {
        "attention", "entitlement", "issuer", "kind", "level", "month", "number_scope", "office",
        "pepper_version", "platform", "purpose", "reading", "revision", "source_kind", "source_table",
        "state",
    }
)  # fmt: skip
"""Columns whose values are few, however many rows there are."""


EXCEPT: Final[Mapping[str, str]] = {
    "SELECT count(DISTINCT due.learner_id)": "counts who waits, every ten seconds: as many rows as wait",
    "SELECT count(DISTINCT facts.learner_id)": "counts whom a sweep has to reach, once for each sweep",
    "facts.reference \nFROM facts": "lists the open questions for a reviewer, when asked to",
}
"""Statements that read much on purpose, by a part of their text, and why they may."""


class Heard:
    """The statements that were executed, with the parameters of the last time."""

    def __init__(self) -> None:
        self.statements: dict[str, Any] = {}
        self.listening = True

    def __call__(
        self,
        _connection: Connection,
        _cursor: DBAPICursor,
        statement: str,
        parameters: Any,
        _context: ExecutionContext | None,
        many: bool,  # noqa: FBT001 - SQLAlchemy calls it so
    ) -> None:
        if self.listening and re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", statement):
            self.statements[statement] = parameters[0] if many else parameters


async def small_run(world: World) -> None:
    """Everything that happens all day: callbacks, rosters, judging, issuing, asking, pulling, claiming."""
    people = [person(number, "张三") for number in range(1, 9)]
    await world.adopt()
    await world.employ(FACTORY, *people)
    await world.roster(FACTORY, [row(one) for one in people[:4]])
    await world.employ(WORKSHOP, person(9, "李四"))
    for number, one in enumerate(people):
        await world.complete(f"N-{number}", one)
    await world.complete("N-0", people[0], title="另一门课")
    await world.complete_elsewhere("M-1", people[1])
    delivery = world.cvt.delivery(world.cvt.completed(world.course("N-9", people[0])), "again", world.now)
    await world.post(delivery)
    await world.post(delivery)
    await world.settle()
    await world.revoke("N-7")
    await world.settle()
    await world.settle()
    await asked(world)
    await world.complete("N-10", person(10, "王五"))
    await world.employ(FACTORY, person(11, "赵六"))


async def asked(world: World) -> None:
    store = world.store
    body = json.dumps({"people": [{"id_number": person(n, "张三").id_number} for n in range(1, 6)]}).encode()
    await world.enterprises().status(ENTERPRISE, FACTORY, body)
    page, _ = await store.feed(-1, 100)
    await store.feed(2, 5)
    records = [one.record for one in page if one.record is not None and one.record.kind == "granted"]
    first = records[0].record_id
    await store.record(first)
    await store.explain(first)
    await world.claims.claim(BUREAU, first, Asked("pay-1"))
    await world.claims.claim(BUREAU, first, Asked("pay-1"))
    await world.claims.step(BUREAU, first, "paid", "pay-1", "")
    await store.checkpoint()
    await store.nodes([(0, 1), (0, 2)])
    await store.bodies(0, 5)
    await store.status_token(0)
    for attention in (False, True):
        await store.deliveries("china_vocational_training", attention=attention, limit=50, before=world.now)
    await store.client("nobody")
    await store.keep_failures({"china_vocational_training": [Failure(world.now, world.new_id(), "x")]})
    await store.failures("china_vocational_training")
    await store.use_assertion("nobody", "jti", world.now + timedelta(minutes=1))
    await store.ready()
    await store.open_reviews()
    await SilenceWatch(store, lambda: world.register, world.clock, _heard, _heard).step()
    await BacklogWatch(store, world.clock, lambda _due, _left: None).step()


def _heard(_: Silence) -> None:
    pass


# --- filling


def fill(connection: Connection) -> None:
    """Multiply every table's rows by copies under other keys; one that has none gets rows all the same."""
    dialect = connection.dialect.name
    for table in metadata.sorted_tables:
        if table.name in SMALL:
            continue
        held = connection.execute(text(f'select count(*) from "{table.name}"')).scalar_one()  # noqa: S608 - our own names
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        made = _copied if held else _made
        values = ", ".join(made(dialect, table, column) for column in table.columns)
        source = f' from "{table.name}" as t, n' if held else " from n"
        last = ROWS[dialect] // (held or 1)
        numbers = f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {last})"  # noqa: S608 - a number
        connection.execute(text(f'{numbers} insert into "{table.name}" ({names}) select {values}{source}'))
    if dialect == "postgresql":
        connection.execute(text("analyze"))


def _copied(dialect: str, table: Table, column: Column[Any]) -> str:
    held, kind = f't."{column.name}"', _plain(column)
    if not _varies(table, column):
        return held
    if isinstance(kind, LargeBinary):
        return f"{held} || {_number(dialect)}" if dialect == "postgresql" else f"cast({held} || n.i as blob)"
    if isinstance(kind, String):
        return f"substr({held}, 1, {(kind.length or 400) - 6}) || '-' || cast(n.i as varchar)"
    return f"{held} + 1000 * n.i"


def _made(dialect: str, table: Table, column: Column[Any]) -> str:
    kind = _plain(column)
    if isinstance(kind, LargeBinary):
        return _number(dialect)
    if isinstance(kind, String):
        return "'x-' || cast(n.i as varchar)" if _varies(table, column) else "'x'"
    if isinstance(kind, Date):
        return "cast(null as date)"
    return "n.i" if _varies(table, column) else "1"


def _number(dialect: str) -> str:
    return "convert_to(n.i::text, 'UTF8')" if dialect == "postgresql" else "cast(n.i as blob)"


def _plain(column: Column[Any]) -> TypeEngine[Any]:
    kind: TypeEngine[Any] = getattr(column.type, "impl_instance", column.type)
    return kind


def _varies(table: Table, column: Column[Any]) -> bool:
    if column.name in FEW or isinstance(_plain(column), Date):
        return False
    indexed = {one.name for index in table.indexes for one in index.columns}
    unique = {one.name for constraint in table.constraints for one in getattr(constraint, "columns", ())}
    return column.name in indexed | unique or column.name.endswith("_id")


# --- plans


def whole(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """The growing tables of which a statement reads most rows."""
    if connection.dialect.name == "postgresql":
        explained = connection.exec_driver_sql(
            "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement, parameters
        ).scalar_one()
        plan = explained if isinstance(explained, list) else json.loads(explained)
        return list(_of_postgresql(plan[0]["Plan"]))
    rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()
    return list(_of_sqlite(statement, [str(one[3]) for one in rows]))


def _of_postgresql(node: dict[str, Any]) -> Iterator[str]:
    table = node.get("Relation Name")
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    if table is not None and table not in SMALL and read * node["Actual Loops"] > ROWS["postgresql"] / 2:
        yield f"{table}: {node['Node Type']}, {read} rows"
    for child in node.get("Plans", ()):
        yield from _of_postgresql(child)


def _of_sqlite(statement: str, lines: Sequence[str]) -> Iterator[str]:
    aliases = {alias: table for table, alias in re.findall(r"(\w+) AS (\w+)", statement)}
    # In the order of an index, up to a limit.
    bounded = "LIMIT" in statement and "USE TEMP B-TREE FOR ORDER BY" not in lines
    for line in lines:
        found = re.match(r"SCAN (\w+)(.*)", line)
        if found is None:
            continue
        table = aliases.get(found[1], found[1])
        if table in metadata.tables and table not in SMALL and not (bounded and "USING" in found[2]):
            yield f"{table}: {line}"


async def test_no_hot_statement_reads_a_growing_table_whole(world: World) -> None:
    heard = Heard()
    database = world.store.database
    for engine in {database._writer, database._reader}:
        event.listen(engine.sync_engine, "before_cursor_execute", heard)
    await small_run(world)
    heard.listening = False
    assert len(heard.statements) > 60
    await database.write(fill)
    found: dict[str, list[str]] = {}
    for statement, parameters in heard.statements.items():
        if any(part in statement for part in EXCEPT):
            continue
        # Each in a transaction of its own, of which nothing stays.
        read = await database.try_out(partial(whole, statement=statement, parameters=parameters))
        if read:
            found[statement] = read
    for statement, read in found.items():
        print(read, statement, "\n")  # noqa: T201 - what is to be mended
    assert not found
    unused = [part for part in EXCEPT if not any(part in statement for statement in heard.statements)]
    assert not unused
