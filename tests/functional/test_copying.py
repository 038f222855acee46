"""A database is moved to another engine, and the ledger stays what it is; or the target cannot be used."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table
from typing_extensions import override

from tests.functional.process import environment
from tests.functional.test_fsck import history
from tests.functional.world import ORIGIN, Installation, World, over
from verifier import cli
from verifier.audit import Trusted
from verifier.cli import copying as command
from verifier.cli.simulator import person
from verifier.errors import Code, ConfigurationError, Conflict
from verifier.settings import Settings
from verifier.store import copying, schema, tables
from verifier.store.copying import Copying, Sum
from verifier.store.engine import Database
from verifier.store.moving import Move
from verifier.store.store import Store

LI = person(1, "阿依古丽·买买提")
NEW = person(20, "新来的人")


def trusted(world: World) -> Trusted:
    keys = world.issuer_keys
    known = {key.kid: key.verification_key for key in (keys.record, keys.status)}
    return Trusted(ORIGIN, keys.known, known, world.kept.note)


@asynccontextmanager
async def target(world: World, url: str) -> AsyncIterator[Store]:
    store = Store(Database(url), world.keys, clock=world.clock, randbytes=bytes, new_id=world.new_id)
    try:
        yield store
    finally:
        await store.database.close()


def move(world: World, other: Store, mark: str = "copying-1", told: Any = lambda *_: None) -> Move:
    return Move(world.store, other, trusted(world), mark, told)


async def copied(world: World, url: str) -> dict[str, Any]:
    async with target(world, url) as other:
        return await move(world, other).run(restart=False)


@pytest.fixture
def empty(sqlite: str, tmp_path: Any) -> str:
    """A second SQLite database at this version's schema."""
    copy = tmp_path / "target.db"
    copy.write_bytes((tmp_path / "verifier.db").read_bytes())
    assert sqlite
    return f"sqlite+aiosqlite:///{copy}"


async def goes_on(url: str, before: World, installation: Installation) -> World:
    """A service over the moved database, with the checkpoint that was kept outside it."""
    world = await over(url, installation)
    world.kept.note, world.now = before.kept.note, before.now
    return world


async def test_a_world_moves_from_sqlite_to_postgresql_and_back_and_goes_on_issuing(
    small_world: World, postgresql: str, empty: str, installation: Installation
) -> None:
    pieces: list[tuple[str, str, int, int]] = []
    await history(small_world)
    world = small_world
    for number, url in enumerate((postgresql, empty)):
        entries, records, note = await world.entries(), await world.records(), world.kept.note
        async with target(world, url) as other:
            done = await move(world, other, told=lambda *piece: pieces.append(piece)).run(restart=False)
        assert done["size"] == len(entries)
        assert base64.b64encode(bytes.fromhex(done["root"])) in note
        moved = await goes_on(url, world, installation)
        if world is not small_world:
            await world.store.database.close()
        world = moved
        assert (await world.entries(), await world.records()) == (entries, records)
        assert await world.fsck(note) == []
        await world.complete(f"P-{number}", LI)
        await world.complete(f"Q-{number}", NEW)
        await world.settle()
        assert len(await world.entries()) > len(entries)
        assert await world.fsck(note) == []
    assert {what for what, *_ in pieces} == {"copy", "check"}
    assert pieces[-1][2] == pieces[-1][3] > 0
    await world.store.database.close()


@pytest.mark.untraced
async def test_every_value_arrives_as_it_was(small_world: World, empty: str) -> None:
    await history(small_world)
    await copied(small_world, empty)
    async with target(small_world, empty) as other:
        for table in tables.metadata.sorted_tables:
            mine = await small_world.store.database.read(partial(_rows, table=table))
            assert mine == await other.database.read(partial(_rows, table=table)), table.name


def _rows(connection: Connection, *, table: Table) -> list[str]:
    return sorted(repr(tuple(row)) for row in connection.execute(table.select()))


@pytest.mark.parametrize(
    "statement",
    [
        "update entries set body = cast(replace(body, '2021', '2020') as blob) where position = 1",
        "delete from entries where position = (select max(position) from entries)",
        "update nodes set hash = zeroblob(32) where position = 0 and level = 0",
        "update ledger_head set size = size - 1",
    ],
)
async def test_a_source_whose_ledger_was_tampered_with_is_not_copied(
    small_world: World, empty: str, statement: str
) -> None:
    await history(small_world)
    await small_world.sql(statement)
    with pytest.raises(Conflict) as caught:
        await copied(small_world, empty)
    assert (caught.value.code, caught.value.pointer) == (Code.COPY_REFUSED, "from")
    await assert_untouched(small_world, empty)


async def assert_untouched(world: World, url: str) -> None:
    async with target(world, url) as other:
        await other.database.read(schema.require_current)
        counts = await other.read(Copying, lambda tx: tx.counts())
    assert {name for name, count in counts.items() if count} == {"rotations"}


async def test_another_ledger_than_the_kept_checkpoints_is_not_copied(small_world: World, empty: str) -> None:
    await history(small_world)
    await small_world.sql("delete from entries")
    await small_world.sql("delete from nodes")
    await small_world.sql("delete from ledger_head")
    with pytest.raises(Conflict):
        await copied(small_world, empty)


async def test_a_database_without_a_ledger_is_copied_too(small_world: World, empty: str) -> None:
    await small_world.complete("N-1", LI)
    done = await copied(small_world, empty)
    assert done["size"] == 0
    assert done["rows"] > 5


@pytest.mark.untraced
async def test_a_target_that_holds_anything_is_refused_also_with_restart(
    small_world: World, empty: str
) -> None:
    await history(small_world)
    await copied(small_world, empty)
    async with target(small_world, empty) as other:
        for restart in (False, True):
            with pytest.raises(Conflict) as caught:
                await move(small_world, other).run(restart=restart)
            assert (caught.value.code, caught.value.pointer) == (Code.COPY_REFUSED, "to")
        await other.database.read(schema.require_current)


async def test_a_target_of_another_schema_or_none_is_refused(
    small_world: World, empty: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError):
        await copied(small_world, f"sqlite+aiosqlite:///{tmp_path / 'blank.db'}")
    async with target(small_world, empty) as other:
        await other.database.write(
            lambda one: one.exec_driver_sql("update alembic_version set version_num = '0001'")
        )
        with pytest.raises(ConfigurationError):
            await move(small_world, other).run(restart=False)


class Cut(Exception):
    """The copy ends here."""


def cut_at(name: str) -> Any:
    def told(what: str, table: str, done: int, total: int) -> None:
        assert done <= total
        if (what, table) == ("copy", name):
            raise Cut

    return told


@pytest.mark.parametrize("name", ["assertions", "evidence", "waiting"])
async def test_after_a_copy_was_cut_off_no_service_starts_and_a_restart_begins_anew(
    small_world: World, postgresql: str, installation: Installation, name: str
) -> None:
    await history(small_world)
    async with target(small_world, postgresql) as other:
        with pytest.raises(Cut):
            await move(small_world, other, told=cut_at(name)).run(restart=False)
        for start in (schema.require_current, schema.upgrade):
            with pytest.raises(ConfigurationError) as caught:
                await other.database.write(start)
            assert caught.value.code is Code.COPY_REFUSED
        with pytest.raises(Conflict) as refused:
            await move(small_world, other, "copying-2").run(restart=False)
        assert refused.value.code is Code.COPY_REFUSED
        await move(small_world, other, "copying-2").run(restart=True)
    moved = await goes_on(postgresql, small_world, installation)
    assert await moved.fsck(moved.kept.note) == []
    await moved.store.database.close()


async def test_of_two_copies_into_one_target_the_first_stops(small_world: World, empty: str) -> None:
    await history(small_world)
    async with target(small_world, empty) as other:
        first = move(small_world, other)
        await other.write(Copying, lambda tx: tx.claim("copying-1", restart=False))
        await other.write(Copying, lambda tx: tx.claim("copying-2", restart=True))
        table = copying.copied()[0]
        with pytest.raises(Conflict) as caught:
            await first._clear(table)
        assert caught.value.detail == "another copy took the target over"


async def test_what_is_written_to_the_source_meanwhile_is_noticed(small_world: World, empty: str) -> None:
    await history(small_world)

    class Busy(Move):
        @override
        async def _through(self, what: str, counts: Any, step: Any) -> Any:
            found = await super()._through(what, counts, step)
            await small_world.complete("N-99", NEW)
            return found

    async with target(small_world, empty) as other:
        with pytest.raises(Conflict) as caught:
            await Busy(small_world.store, other, trusted(small_world), "copying-1", lambda *_: None).run(
                restart=False
            )
        assert caught.value.pointer == "from"
        with pytest.raises(ConfigurationError):
            await other.database.read(schema.require_current)


async def test_a_target_that_was_altered_while_it_was_filled_is_refused(
    small_world: World, empty: str
) -> None:
    await history(small_world)
    async with target(small_world, empty) as other:

        class Altered(Move):
            @override
            async def _through(self, what: str, counts: Any, step: Any) -> Any:
                found = await super()._through(what, counts, step)
                await other.database.write(
                    lambda one: one.exec_driver_sql("update claims set payment_reference = 'pay-2'")
                )
                return found

        with pytest.raises(Conflict) as caught:
            await Altered(small_world.store, other, trusted(small_world), "copying-1", lambda *_: None).run(
                restart=False
            )
        assert caught.value.detail == "the target does not hold what was copied"


async def test_a_ledger_that_arrived_otherwise_is_refused_and_the_head_is_not_there(
    small_world: World, empty: str
) -> None:
    await history(small_world)
    async with target(small_world, empty) as other:
        await other.write(Copying, lambda tx: tx.claim("copying-1", restart=False))
        head = await small_world.store.read(Copying, lambda tx: tx.head())
        with pytest.raises(Conflict) as caught:
            await other.write(
                Copying, lambda tx: tx.finish(head, "copying-1", trusted(small_world), (1, bytes(32)))
            )
        assert caught.value.detail == "the copied ledger is not the source's"
        assert await other.read(Copying, lambda tx: tx.head()) == []


async def test_a_value_that_the_other_engine_does_not_take_is_told_by_its_table(
    small_world: World, postgresql: str
) -> None:
    await history(small_world)
    await small_world.sql("update failures set step = 'x'")
    await small_world.sql(
        "insert into failures (platform, request_id, at, step) values ('p', 'r', 0, :step)", step="a\x00b"
    )
    with pytest.raises(Conflict) as caught:
        await copied(small_world, postgresql)
    assert caught.value.detail == "the target does not take a value of the table failures"


def test_sums_do_not_depend_on_the_order_and_tell_any_difference() -> None:
    rows: Sequence[dict[str, Any]] = [{"a": 1, "b": b"x"}, {"a": 2, "b": None}]
    assert Sum().plus(rows) == Sum().plus(rows[:1]).plus(rows[1:]) == Sum().plus(list(reversed(rows)))
    assert Sum().plus(rows) != Sum().plus([rows[0], {"a": 2, "b": b""}])
    assert Sum().plus(rows) != Sum().plus([*rows, rows[0]])


# --- the command


def environ(monkeypatch: pytest.MonkeyPatch, directory: Path, installation: Installation) -> None:
    for name, value in environment(directory, installation).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VERIFIER_ORIGIN", ORIGIN)


async def test_by_command_with_progress_and_only_while_nobody_works_on_it(
    sqlite: str,
    empty: str,
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = await over(sqlite, installation)
    await history(world)
    environ(monkeypatch, tmp_path, installation)

    def run(*arguments: str) -> tuple[int, str, str]:
        with ThreadPoolExecutor(1) as threads:  # the command has an event loop of its own
            status = threads.submit(cli.main, ["db", "copy", *arguments]).result()
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    status, _, err = run("--from", sqlite, "--to", empty)
    assert (status, "store_locked" in err) == (2, True)
    await world.store.database.close()
    for other in (sqlite, f"sqlite+aiosqlite:///{tmp_path / 'nothing.db'}"):
        status, _, err = run("--from", sqlite, "--to", other)
        assert (status, "configuration_invalid [to]" in err) == (2, True)
    assert not (tmp_path / "nothing.db").exists()
    status, out, err = run("--to", empty)
    assert (status, "root" in out or "根" in out, "copying" in err) == (0, True, True)
    status, _, err = run("--to", empty, "--json")
    assert (status, json.loads(err)["code"]) == (2, "copy_refused")


async def test_a_service_that_works_on_the_database_is_stopped_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def answers(*_: object) -> tuple[int, dict[str, Any]]:
        return 0, {}

    monkeypatch.setattr("verifier.cli.copying.ask_service", answers)
    settings = Settings(data_dir=tmp_path, database_url="postgresql+asyncpg://db/a")
    with pytest.raises(ConfigurationError) as caught:
        await command._refuse_running(settings, "postgresql+asyncpg://db/a", "sqlite+aiosqlite:///b")
    assert caught.value.code is Code.STORE_LOCKED
    await command._refuse_running(settings, "sqlite+aiosqlite:///c", "sqlite+aiosqlite:///b")
