"""Lists of keys: the same rows as by an IN list, by a statement whose text no list changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event, select, tuple_

from tests.functional.world import FACTORY, World, row
from verifier.cli.simulator import person
from verifier.store import tables
from verifier.store.keys import KEYS
from verifier.store.session import Session

_DELIVERIES = tables.deliveries.c
_IDENTIFIERS = tables.identifiers.c
ONE = select(tables.learners.c.learner_id).where(tables.learners.c.learner_id.in_(KEYS))
EITHER = select(_IDENTIFIERS.learner_id).where(
    _IDENTIFIERS.learner_id.in_(KEYS) | (_IDENTIFIERS.learner_id.in_(KEYS) & (_IDENTIFIERS.kind == "none"))
)
SEVERAL = select(_DELIVERIES.platform, _DELIVERIES.delivery_id).where(
    tuple_(_DELIVERIES.platform, _DELIVERIES.delivery_id).in_(KEYS)
)
BYTES = select(_IDENTIFIERS.blind_index).where(_IDENTIFIERS.blind_index.in_(KEYS))


async def among(world: World, statement: Select[Any], keys: Collection[Any]) -> list[tuple[Any, ...]]:
    """Rows as a transaction finds them, sorted."""

    def work(tx: Session) -> list[tuple[Any, ...]]:
        return sorted(tuple(one) for one in tx.among(statement, keys))

    return await world.store.read(Session, work)


@pytest.fixture
async def filled(world: World) -> World:
    people = [person(n, "张三") for n in range(1, 6)]
    await world.roster(FACTORY, [row(one) for one in people])
    for number, one in enumerate(people):
        await world.complete(f"编号-{number}", one)
    return world


@pytest.mark.parametrize(
    "statement", [ONE, EITHER, SEVERAL, BYTES], ids=["one", "either", "several", "bytes"]
)
async def test_a_list_finds_what_stands_in_it_and_nothing_else(filled: World, statement: Select[Any]) -> None:
    columns = [
        column.element if hasattr(column, "element") else column for column in statement.selected_columns
    ]
    everything = select(*columns).distinct()
    every = await filled.store.database.read(
        lambda connection: sorted(tuple(one) for one in connection.execute(everything))
    )
    assert len(every) > 4
    for wanted in (every, every[:1], every[1:4], []):
        keys = [one if len(one) > 1 else one[0] for one in wanted]
        assert sorted(set(await among(filled, statement, keys))) == wanted


async def test_a_key_that_is_too_long_or_strange_is_found_nowhere(filled: World) -> None:
    (known,) = (await filled.sql("select learner_id from learners order by learner_id"))[0]
    strange = [f"{known}-", f"{known}{'x' * 200}", '"', "']", "张三", "\\u0041", "[1]", "$"]
    assert await among(filled, ONE, strange) == []
    assert await among(filled, ONE, [*strange, known]) == [(known,)]
    (platform, delivery) = (await filled.sql("select platform, delivery_id from deliveries"))[0]
    assert (
        await among(filled, SEVERAL, [(platform, delivery + "x" * 400), (platform + "x" * 99, delivery)])
        == []
    )
    assert await among(filled, SEVERAL, [(delivery, platform), (platform, delivery)]) == [
        (platform, delivery)
    ]


async def test_a_statement_has_one_text_however_long_its_list(filled: World) -> None:
    texts: set[str] = set()

    def heard(_connection: Connection, _cursor: object, text: str, *_: object) -> None:
        texts.add(text)

    engine = filled.store.database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", heard)
    for length in (1, 2, 7, 31):
        await among(filled, ONE, [f"{n:032x}" for n in range(length)])
        await among(filled, SEVERAL, [("p", str(n)) for n in range(length)])
    event.remove(engine, "before_cursor_execute", heard)
    assert len({text for text in texts if text.startswith("SELECT")}) == 2
