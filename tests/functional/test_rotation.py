"""Pepper and master key change while people go on completing courses, and nobody becomes two."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from tests.functional.world import FACTORY, Installation, World, over
from verifier import keyfiles, rotation
from verifier.cli.simulator import Person, person
from verifier.errors import Code, ConfigurationError, RequestRejected, Unavailable
from verifier.identity import keyed_index
from verifier.model.facts import RevocationFact
from verifier.model.rotation import Phase, Rotated, Turn, Turns
from verifier.rotation import RotationDesk
from verifier.sealing import FieldKeys
from verifier.store import rotating, tables, turning
from verifier.store.engine import Database
from verifier.store.intake import Intake
from verifier.store.store import Store

T = TypeVar("T")

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
ZHAO = person(3, "赵大海")
SMALL = {name: 2 + place % 2 for place, name in enumerate(rotation.SLICES)}
"""Slices that end in the middle of what a test holds."""


@pytest.fixture
async def turned(url: str, installation: Installation, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose field keys the test may change."""
    built = await over(url, own_keys(installation, tmp_path))
    yield built
    await built.store.database.close()


@pytest.fixture
async def small(sqlite: str, installation: Installation, tmp_path: Path) -> AsyncIterator[World]:
    """The same for what does not depend on the database."""
    built = await over(sqlite, own_keys(installation, tmp_path))
    yield built
    await built.store.database.close()


def own_keys(installation: Installation, directory: Path) -> Installation:
    shutil.copytree(installation.secrets_dir, directory / "secrets")
    return dataclasses.replace(installation, secrets_dir=directory / "secrets")


def desk(world: World) -> RotationDesk:
    return RotationDesk(world.store, world.clock, SMALL)


def add_key(world: World, name: Rotated) -> int:
    return keyfiles.add_version(world.installation.secrets_dir, name, os.urandom)


async def step(world: World, name: Rotated, to: int, **more: str) -> dict[str, Any]:
    return await desk(world).rotate_step({"name": name.value, "to": str(to), **more})


async def until(world: World, name: Rotated, to: int, phase: Phase) -> None:
    """Step until a phase has begun."""
    while (await step(world, name, to))["phase"] != phase:
        pass


async def carry_through(world: World, name: Rotated, **more: str) -> int:
    to = add_key(world, name)
    while (await step(world, name, to, **more))["more"]:
        pass
    return to


async def versions(world: World, table: str = "identifiers") -> dict[int, int]:
    rows = await world.sql(f"select pepper_version, count(*) from {table} group by pepper_version")  # noqa: S608 - a table of ours
    return {version: count for version, count in rows}  # noqa: C416 - rows are no pairs to mypy


async def learners_and_grants(world: World) -> tuple[int, int]:
    [(learners,)] = await world.sql("select count(*) from learners")
    [(grants,)] = await world.sql("select count(*) from slots")
    return learners, grants


async def add_trait(world: World, learner: str, kind: str, value: str) -> None:
    """A trait as intake keeps it: under every version that is written now."""

    def work(tx: Intake) -> None:
        tx.learner_keys({learner})
        sealed = tx.vault.seal(learner, "traits.sealed_value", learner, value.encode())
        tx.insert_missing(
            tables.traits,
            [
                {
                    "kind": kind,
                    "pepper_version": version,
                    "blind_index": keyed_index(kind, value, tx.vault.keys.peppers[version]),
                    "learner_id": learner,
                    "sealed_value": sealed,
                }
                for version in tx.turns.pepper.written
            ],
        )

    await world.store.write(Intake, work)


# --- the pepper


@pytest.mark.untraced
async def test_whoever_came_before_during_and_after_a_rotation_of_the_pepper_is_found_as_one(
    turned: World,
) -> None:
    people = [person(serial, "王小明") for serial in range(10, 24)]
    await turned.employ(FACTORY, *people[:8])
    for number, someone in enumerate(people[:8]):
        await turned.complete(f"N-{number}", someone)
    before = {someone: await turned.learner(someone) for someone in people[:8]}
    for learner in before.values():
        await add_trait(turned, learner, "phone", "13900000000")
    to = add_key(turned, Rotated.PEPPER)
    seen = []
    for number in range(1000):
        answer = await step(turned, Rotated.PEPPER, to)
        seen.append(answer["phase"])
        # Somebody new, and somebody who was there, in every phase and between any two slices.
        await turned.complete(f"M-{number}", people[8 + number % 6])
        await turned.complete(f"O-{number}", people[number % 8])
        if not answer["more"]:
            break
    assert list(dict.fromkeys(seen)) == ["dual", "switched", "drop", "done"]
    assert {someone: await turned.learner(someone) for someone in people[:8]} == before
    assert await versions(turned) == {to: 14}
    # Eight that stand there already, and the name with birth date of each of the fourteen.
    assert await versions(turned, "traits") == {to: 22}
    assert len({await turned.learner(someone) for someone in people}) == 14
    assert await learners_and_grants(turned) == (14, 8)
    turned.now += timedelta(minutes=1)
    await turned.settle()
    assert await turned.fsck(turned.kept.note) == []


async def test_after_the_old_pepper_is_taken_out_of_the_file_everybody_is_still_found(turned: World) -> None:
    await turned.complete("N-1", LI)
    learner = await turned.learner(LI)
    to = await carry_through(turned, Rotated.PEPPER)
    directory = turned.installation.secrets_dir
    keyfiles.put_in_force(directory, Rotated.PEPPER, to)
    turned.store._keys = without(keyfiles.load_fields(directory), peppers={1})
    await turned.complete("N-2", LI)
    assert await turned.learner(LI) == learner
    assert (await learners_and_grants(turned))[0] == 1


def without(keys: FieldKeys, *, peppers: Collection[int] = (), masters: Collection[int] = ()) -> FieldKeys:
    """Field keys as after an operator took old versions out of the file."""
    return dataclasses.replace(
        keys,
        peppers={version: key for version, key in keys.peppers.items() if version not in peppers},
        master_keys={version: key for version, key in keys.master_keys.items() if version not in masters},
    )


async def patiently(act: Callable[[], Awaitable[T]]) -> T:
    """Do something again while every connection to the database is in use."""
    while True:
        with contextlib.suppress(Unavailable):
            return await act()


async def pushed(world: World, number: str, who: Person) -> None:
    await patiently(lambda: world.complete(number, who))


@pytest.mark.untraced
async def test_64_first_completions_of_one_person_make_one_learner_in_whatever_phase_they_come(
    turned: World,
) -> None:
    await turned.employ(FACTORY, WANG)
    to = add_key(turned, Rotated.PEPPER)
    ended = asyncio.Event()
    come: list[Person] = []
    seen: list[str] = []

    async def newcomers() -> None:
        while not ended.is_set():
            come.append(person(100 + len(come), "王小明"))
            await pushed(turned, f"C-{len(come)}", come[-1])

    async def rotate() -> None:
        more = True
        while more:
            answer = await patiently(lambda: step(turned, Rotated.PEPPER, to))
            seen.append(answer["phase"])
            more = answer["more"]

    traffic = asyncio.create_task(newcomers())
    # Begun while 64 are on their way; then some for each phase, for as long as it takes. SQLite has one
    # writer: more of them would only wait longer there.
    many = 64 if turned.store.database.dialect == "postgresql" else 16
    steps: asyncio.Task[None] | None = None
    who: list[Person] = []
    while steps is None or not steps.done():
        who.append(person(50_000 + len(who), "李四"))
        wave = asyncio.gather(
            *(pushed(turned, f"W-{len(who)}-{n}", who[-1]) for n in range(many if len(who) < 3 else 8))
        )
        steps = steps or asyncio.create_task(rotate())
        await wave
    await steps
    ended.set()
    await traffic
    assert list(dict.fromkeys(seen)) == ["dual", "switched", "drop", "done"]
    await turned.employ(FACTORY, *who, *come)
    learners, grants = await learners_and_grants(turned)
    assert (learners, grants) == (1 + len(who) + len(come), len(who) + len(come))
    assert await versions(turned) == {to: learners}
    assert len({await turned.learner(someone) for someone in [*who, *come]} - {""}) == len(who) + len(come)
    await turned.issue()
    assert await turned.fsck(turned.kept.note) == []


async def apart(world: World, url: str) -> Store:
    """A store on connections and a loop of its own, so that a transaction of it may stand still."""
    read_keys = partial(keyfiles.load_fields, world.installation.secrets_dir)
    return Store(
        Database(url),
        read_keys(),
        clock=world.clock,
        randbytes=os.urandom,
        new_id=world.new_id,
        read_keys=read_keys,
    )


class Held:
    """A first completion whose transaction stands still before it commits."""

    def __init__(self, world: World, store: Store, number: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        prepared = world.prepared(
            world.cvt.delivery(world.cvt.completed(world.course(number, LI)), number, world.now)
        )

        def work(tx: Any) -> None:
            from verifier import pipeline

            pipeline.record(tx, [prepared], world.rulebook, world.now, world.new_id)
            self.reached.set()
            assert self.go_on.wait(30)

        self.task = asyncio.create_task(store.intake(work))

    async def stands_still(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 30)

    async def commit(self) -> None:
        self.go_on.set()
        await self.task


async def learners_of_li(world: World) -> int:
    [(count,)] = await world.sql("select count(*) from learners")
    return int(count)


async def test_a_rotation_waits_for_whoever_saw_the_phase_before(
    postgresql: str, installation: Installation, tmp_path: Path
) -> None:
    world = await over(postgresql, own_keys(installation, tmp_path))
    store = await apart(world, postgresql)
    to = add_key(world, Rotated.PEPPER)
    held = Held(world, store, "N-1")
    await held.stands_still()
    begun = asyncio.create_task(step(world, Rotated.PEPPER, to))
    done, _ = await asyncio.wait([begun], timeout=0.5)
    assert not done
    # Meanwhile nobody else waits: whoever comes sees the phase that still is.
    await asyncio.wait_for(world.complete("N-9", WANG), 10)
    await held.commit()
    assert (await begun)["phase"] == Phase.DUAL
    while (await step(world, Rotated.PEPPER, to))["more"]:
        pass
    await world.complete("N-2", LI)
    assert await learners_of_li(world) == 2  # LI and WANG
    await store.database.close()
    await world.store.database.close()


@pytest.mark.untraced
async def test_two_transactions_about_one_person_take_turns_before_and_after_every_step(
    postgresql: str, installation: Installation, tmp_path: Path
) -> None:
    """One knows the person by learner id, as the evaluator does, the other by number, as a callback does."""
    world = await over(postgresql, own_keys(installation, tmp_path))
    store = await apart(world, postgresql)
    await world.complete("N-0", LI)
    learner = await world.learner(LI)
    to = add_key(world, Rotated.PEPPER)
    phases: list[str] = []
    more = True
    while more:
        reached, go_on = threading.Event(), threading.Event()

        def hold(tx: Intake, reached: threading.Event = reached, go_on: threading.Event = go_on) -> None:
            tx.lock({learner})
            reached.set()
            assert go_on.wait(30)

        first = asyncio.create_task(store.write(Intake, hold))
        assert await asyncio.to_thread(reached.wait, 30)
        second = asyncio.create_task(world.complete(f"N-{len(phases) + 1}", LI))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done, phases
        go_on.set()
        await asyncio.gather(first, second)
        answer = await step(world, Rotated.PEPPER, to)
        phases.append(answer["phase"])
        more = answer["more"]
    assert set(phases) == {"dual", "switched", "drop", "done"}
    await store.database.close()
    await world.store.database.close()


async def test_without_the_shared_lock_one_person_becomes_two(
    postgresql: str, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the test above shows rests on the lock, and on nothing else."""

    def unheld(connection: Connection, keys: FieldKeys) -> Turns:
        statement = "select phase, from_version, to_version from rotations where name = 'pepper'"
        phase, old, new = connection.exec_driver_sql(statement).one()
        pepper = Turn(Phase(phase), old, new) if new else Turn(Phase.DONE, 1, 1)
        assert set(pepper.present) <= set(keys.peppers) or connection.info is None
        return Turns(pepper, Turn(Phase.DONE, 1, 1))

    world = await over(postgresql, own_keys(installation, tmp_path))
    to = add_key(world, Rotated.PEPPER)
    store = await apart(world, postgresql)
    world.store._keys = keyfiles.load_fields(world.installation.secrets_dir)
    monkeypatch.setattr(turning, "hold", unheld)
    held = Held(world, store, "N-1")
    await held.stands_still()
    while (await asyncio.wait_for(step(world, Rotated.PEPPER, to), 10))["more"]:
        pass
    await world.complete("N-2", LI)
    await held.commit()
    assert await learners_of_li(world) == 2
    monkeypatch.undo()
    await world.settle()
    assert {finding.kind for finding in await world.fsck()} >= {"learner_not_found", "identifier_altered"}
    await store.database.close()
    await world.store.database.close()


async def test_a_transaction_reads_the_phase_once_and_one_without_people_never(turned: World) -> None:
    await turned.employ(FACTORY, LI, WANG)
    read: list[str] = []
    engine = turned.store.database._writer.sync_engine

    def watch(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM rotations" in statement:
            read.append(statement)

    event.listen(engine, "before_cursor_execute", watch)
    course = turned.cvt.completed(turned.course("N-1", LI))
    other = turned.cvt.completed(turned.course("N-2", ZHAO))
    await turned.post(
        turned.cvt.delivery(course, turned.new_id(), turned.now),
        turned.cvt.delivery(other, turned.new_id(), turned.now),
    )
    assert len(read) == 1
    assert ("FOR SHARE" in read[0]) == (turned.store.database.dialect == "postgresql")
    await turned.store.ready()
    await turned.store.client("bureau")
    assert len(read) == 1
    event.remove(engine, "before_cursor_execute", watch)


async def test_an_erased_learner_is_dropped_from_the_index_only_on_the_operators_word(turned: World) -> None:
    await turned.complete("N-1", LI)
    await turned.complete("N-2", WANG)
    await turned.sql(
        "update learners set sealed_key = null where learner_id = :who", who=await turned.learner(LI)
    )
    to = add_key(turned, Rotated.PEPPER)
    while (answer := await step(turned, Rotated.PEPPER, to))["more"]:
        pass
    assert (answer["phase"], answer["waits"], answer["erased"]) == ("switched", True, 1)
    assert (await desk(turned).status({}))["pepper"]["erased"] == 1
    assert await versions(turned) == {1: 2, to: 1}
    while (answer := await step(turned, Rotated.PEPPER, to, **{"forget-erased": "yes"}))["more"]:
        pass
    assert answer["phase"] == "done"
    assert await versions(turned) == {to: 1}
    await turned.complete("N-3", LI)
    assert await turned.learner(LI) != ""
    await turned.settle()
    # No ``learner erase`` destroyed that key, and the ledger says so.
    assert [one.kind for one in await turned.fsck()] == ["emptied_unlawfully"]


async def test_an_index_that_does_not_follow_from_its_number_stops_the_rotation_and_nothing_else(
    turned: World,
) -> None:
    await turned.complete("N-1", LI)
    await turned.complete("N-2", WANG)
    who = await turned.learner(LI)
    await turned.sql(
        "update identifiers set blind_index = :index where learner_id = :who", index=bytes(32), who=who
    )
    to = add_key(turned, Rotated.PEPPER)
    await step(turned, Rotated.PEPPER, to)
    with pytest.raises(ConfigurationError, match="index") as refused:
        await step(turned, Rotated.PEPPER, to)
    assert refused.value.code is Code.KEY_REFUSED
    await turned.complete("N-3", WANG)
    await turned.issue()
    assert [(one.kind, one.where) for one in await turned.fsck()] == [
        ("identifier_altered", f"learners {who}")
    ]
    await turned.sql("delete from learners where learner_id = :who", who=who)
    with pytest.raises(ConfigurationError, match="index"):
        await step(turned, Rotated.PEPPER, to)
    assert ("identifier_altered", f"learners {who}") in [(one.kind, one.where) for one in await turned.fsck()]


async def test_a_row_that_lost_its_twin_is_filled_in_again_before_anything_is_dropped(turned: World) -> None:
    for number, someone in enumerate((LI, WANG, ZHAO)):
        await turned.complete(f"N-{number}", someone)
    to = add_key(turned, Rotated.PEPPER)
    await until(turned, Rotated.PEPPER, to, Phase.SWITCHED)
    await turned.sql("delete from identifiers where pepper_version = :version", version=to)
    answer = await step(turned, Rotated.PEPPER, to)
    assert (answer["phase"], answer["lacking"]) == ("dual", 3)
    assert await turned.learner(LI)
    while (answer := await step(turned, Rotated.PEPPER, to))["part"]:
        pass
    await turned.sql("delete from identifiers where pepper_version = :version", version=to)
    answer = await step(turned, Rotated.PEPPER, to)
    assert (answer["phase"], answer["lacking"], answer["part"]) == ("dual", 3, "identifiers")
    while (await step(turned, Rotated.PEPPER, to))["more"]:
        pass
    assert await versions(turned) == {to: 3}


async def test_rows_that_somebody_put_back_are_dropped_before_the_rotation_ends(small: World) -> None:
    for number, someone in enumerate((LI, WANG, ZHAO)):
        await small.complete(f"N-{number}", someone)
    await small.sql("create table kept as select * from identifiers")
    to = add_key(small, Rotated.PEPPER)
    await until(small, Rotated.PEPPER, to, Phase.DROP)
    while (await step(small, Rotated.PEPPER, to))["part"]:
        pass
    await small.sql("insert into identifiers select * from kept")
    answer = await step(small, Rotated.PEPPER, to)
    assert (answer["phase"], answer["lacking"], answer["part"]) == ("drop", 3, "identifiers")
    while (await step(small, Rotated.PEPPER, to))["more"]:
        pass
    assert await versions(small) == {to: 3}


ACTS = st.lists(st.sampled_from(["pepper", "master", "first", "second", "third"]), max_size=30)


@pytest.mark.untraced
@given(acts=ACTS)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_however_steps_and_completions_follow_each_other_everybody_stays_one(
    sqlite_pattern: Path, installation: Installation, acts: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(interleaved(Path(directory), sqlite_pattern, installation, acts))


async def interleaved(directory: Path, pattern: Path, installation: Installation, acts: list[str]) -> None:
    shutil.copyfile(pattern, directory / "verifier.db")
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    world = await over(url, own_keys(installation, directory))
    target = {name: add_key(world, name) for name in Rotated}
    who = {"first": LI, "second": WANG, "third": ZHAO}
    told: dict[str, str] = {}
    for number, act in enumerate(acts):
        if act in who:
            await world.complete(f"N-{number}", who[act])
            learner = await world.learner(who[act])
            assert told.setdefault(act, learner) == learner != ""
        else:
            await step(world, Rotated(act), target[Rotated(act)])
    for name, to in target.items():
        while (await step(world, name, to))["more"]:
            pass
    assert {act: await world.learner(who[act]) for act in told} == told
    assert await versions(world) == ({target[Rotated.PEPPER]: len(told)} if told else {})
    assert (await learners_and_grants(world))[0] == len(told)
    await world.issue()
    assert await world.fsck() == []
    await world.store.database.close()


async def test_a_second_rotation_begins_where_the_first_ended(small: World) -> None:
    await small.complete("N-1", LI)
    learner = await small.learner(LI)
    assert await carry_through(small, Rotated.PEPPER) == 2
    assert await carry_through(small, Rotated.PEPPER) == 3
    assert await versions(small) == {3: 1}
    assert await small.learner(LI) == learner
    with pytest.raises(RequestRejected):
        await step(small, Rotated.PEPPER, 2)
    assert (await step(small, Rotated.PEPPER, 3))["phase"] == "done"
    assert (await desk(small).status({}))["pepper"]["removable"] == [1, 2]


async def test_two_rotations_of_one_key_do_not_run_at_once_and_unknown_versions_are_refused(
    small: World,
) -> None:
    to = add_key(small, Rotated.PEPPER)
    with pytest.raises(ConfigurationError):
        await step(small, Rotated.PEPPER, to + 1)
    await step(small, Rotated.PEPPER, to)
    with pytest.raises(RequestRejected):
        await step(small, Rotated.PEPPER, to + 1)
    for parameters in ({}, {"name": "digest"}, {"name": "pepper"}, {"name": "pepper", "to": "一"}):
        with pytest.raises(RequestRejected):
            await desk(small).rotate_step(parameters)


async def test_what_a_phase_writes_is_what_the_next_one_looks_up() -> None:
    """Also for two neighbouring phases at once, on an engine that shares no lock."""
    phases = [
        Turn(Phase.DONE, 1, 1),
        *(Turn(phase, 1, 2) for phase in (Phase.DUAL, Phase.SWITCHED, Phase.DROP)),
    ]
    phases.append(Turn(Phase.DONE, 2, 2))
    for before, after in itertools.pairwise(phases[1:]):
        assert after.lookup in before.written
        assert set(before.present) & set(after.present)
    for turn in phases:
        assert turn.lookup in turn.written
        assert {turn.lookup, *turn.written} <= set(turn.present)
        assert list(turn.written) == sorted(turn.written)


# --- the master key


@pytest.mark.untraced
async def test_after_a_rotation_of_the_master_key_the_old_one_opens_nothing_that_is_left(
    turned: World,
) -> None:
    people = [person(serial, "王小明") for serial in range(10, 18)]
    await turned.employ(FACTORY, *people)
    for number, someone in enumerate(people):
        await turned.complete(f"N-{number}", someone)
    await turned.revoke("N-7")  # its reason is under no learner's key
    await turned.settle()
    newest = "select max(delivery_id) from deliveries"
    await turned.sql(f"update deliveries set sealed_body = null where delivery_id = ({newest})")  # noqa: S608 - ours
    erased = await turned.learner(people[0])
    await turned.sql("update learners set sealed_key = null where learner_id = :who", who=erased)
    before = await turned.sql("select learner_id, sealed_key from learners order by learner_id")
    to = add_key(turned, Rotated.MASTER)
    number = 0
    while (await step(turned, Rotated.MASTER, to))["more"]:
        number += 1
        await turned.complete(f"M-{number}", person(100 + number, "李四"))
    status = (await desk(turned).status({}))["master"]
    assert status["rows"].keys() == {str(to)}
    assert status["removable"] == [1]
    assert number > 5
    after = dict(await turned.sql("select learner_id, sealed_key from learners"))
    assert all(after[learner] != sealed for learner, sealed in before if sealed is not None)
    assert after[erased] is None
    directory = turned.installation.secrets_dir
    keyfiles.put_in_force(directory, Rotated.MASTER, to)
    turned.store._keys = without(keyfiles.load_fields(directory), masters={1})
    kind = tables.facts.c.kind == "revocation"
    [revocation] = await turned.store.read(Intake, lambda tx: tx.facts_where(kind))
    assert isinstance(revocation, RevocationFact)
    assert (revocation.number, revocation.reason) == ("N-7", "误发")
    await turned.complete("Z-1", people[1])
    await turned.settle()
    by_hand = {"record_signature_invalid", "emptied_unlawfully"}
    assert {one.kind for one in await turned.fsck(turned.kept.note)} <= by_hand


async def test_a_key_erased_while_it_is_wrapped_anew_stays_erased(
    postgresql: str, installation: Installation, tmp_path: Path
) -> None:
    world = await over(postgresql, own_keys(installation, tmp_path))
    await world.complete("N-1", LI)
    who = await world.learner(LI)
    to = add_key(world, Rotated.MASTER)
    await step(world, Rotated.MASTER, to)
    store = await apart(world, postgresql)
    reached, go_on = threading.Event(), threading.Event()

    def erase(connection: Connection) -> None:
        connection.exec_driver_sql("update learners set sealed_key = null")
        reached.set()
        assert go_on.wait(30)

    erasing = asyncio.create_task(store.database.write(erase))
    assert await asyncio.to_thread(reached.wait, 30)
    wrapping = asyncio.create_task(step(world, Rotated.MASTER, to))
    await asyncio.wait([wrapping], timeout=0.5)
    go_on.set()
    await erasing
    await wrapping
    assert await world.sql("select learner_id, sealed_key from learners") == [(who, None)]
    await store.database.close()
    await world.store.database.close()


async def test_a_data_key_left_under_the_old_master_key_is_wrapped_before_the_rotation_ends(
    small: World,
) -> None:
    await small.complete("N-1", LI)
    [(sealed,)] = await small.sql("select sealed_key from learners")
    to = add_key(small, Rotated.MASTER)
    while (answer := await step(small, Rotated.MASTER, to))["part"]:
        pass
    await small.sql("update learners set sealed_key = :sealed", sealed=sealed)
    answer = await step(small, Rotated.MASTER, to)
    assert (answer["phase"], answer["lacking"], answer["part"]) == ("rewrap", 1, "learners")
    while (answer := await step(small, Rotated.MASTER, to))["more"]:
        assert not answer["lacking"]
    assert answer["phase"] == "done"


# --- keys that come while the service runs


async def test_a_store_takes_a_new_version_up_when_a_transaction_first_meets_it(turned: World) -> None:
    await turned.complete("N-1", LI)
    other = (
        dataclasses.replace(turned, store=await apart(turned, str(turned.store.database._writer.url)))
        if turned.store.database.dialect == "postgresql"
        else turned
    )
    to = add_key(turned, Rotated.PEPPER)
    await step(other, Rotated.PEPPER, to)
    assert to in other.store._keys.peppers
    # The first store has not heard of the version, and finds it in the file.
    await turned.complete("N-2", WANG)
    assert to in turned.store._keys.peppers
    assert await versions(turned) == {1: 2, to: 1}
    if other is not turned:
        await other.store.database.close()


async def test_a_store_that_finds_no_key_for_a_version_refuses_to_work(turned: World) -> None:
    await turned.complete("N-1", LI)
    old = turned.store._keys
    to = add_key(turned, Rotated.PEPPER)
    await step(turned, Rotated.PEPPER, to)
    calls: list[None] = []

    def read_keys() -> FieldKeys:
        calls.append(None)
        return old

    turned.store._keys, turned.store.read_keys = old, read_keys
    with pytest.raises(ConfigurationError) as refused:
        await turned.complete("N-2", WANG)
    assert refused.value.code is Code.KEY_REFUSED
    assert len(calls) == 1
    turned.store.read_keys = None
    with pytest.raises(ConfigurationError):
        await turned.complete("N-2", WANG)
    assert await versions(turned) == {1: 1}


async def test_a_database_without_the_phase_rows_is_refused(small: World) -> None:
    await small.sql("delete from rotations where name = 'pepper'")
    with pytest.raises(ConfigurationError):
        await small.complete("N-1", LI)


async def test_a_database_restored_beside_newer_keys_is_read_by_its_own_version(small: World) -> None:
    await small.complete("N-1", LI)
    learner = await small.learner(LI)
    directory = small.installation.secrets_dir
    for name in Rotated:
        keyfiles.put_in_force(directory, name, add_key(small, name))
    small.store._keys = keyfiles.load_fields(directory)
    await small.complete("N-2", LI)
    assert await small.learner(LI) == learner
    status = await desk(small).status({})
    assert [status[name]["to"] for name in ("pepper", "master")] == [1, 1]
    assert status["pepper"]["removable"] == []


async def test_an_empty_database_begins_with_the_newest_version_in_force(small: World) -> None:
    directory = small.installation.secrets_dir
    for name in Rotated:
        keyfiles.put_in_force(directory, name, add_key(small, name))
    small.store._keys = keyfiles.load_fields(directory)
    await small.complete("N-1", LI)
    assert await versions(small) == {2: 1}
    assert (await desk(small).status({}))["master"]["rows"] == {"2": 2}


# --- completeness


def test_every_column_that_begins_with_a_wrapped_key_is_wrapped_anew() -> None:
    root = Path(__file__).parents[2] / "verifier"
    sealed = {
        place
        for path in root.rglob("*.py")
        for place in re.findall(r'(?:seal|open)\(None, "([a-z_.]+)"', path.read_text(encoding="utf-8"))
    }
    found = {wrapped.place for wrapped in rotating.WRAPPED.values()}
    apart = {
        f"{table.name}.sealed_key" for table in tables.metadata.tables.values() if "sealed_key" in table.c
    }
    assert found == {*sealed, *apart}
    assert set(rotation.PARTS[Rotated.MASTER]) == set(rotating.WRAPPED)
    assert {wrapped.column for wrapped in rotating.WRAPPED.values()} <= tables.NOT_EVIDENCE


def test_every_table_with_a_pepper_is_rotated() -> None:
    peppered = {name for name, table in tables.metadata.tables.items() if "pepper_version" in table.columns}
    assert peppered == set(rotating.PEPPERED) == set(rotation.PARTS[Rotated.PEPPER])
    assert set(rotation.SLICES) == {*rotating.PEPPERED, *rotating.WRAPPED}
    for one in rotating.PEPPERED.values():
        assert {*one.key, "pepper_version"} == {column.name for column in one.table.primary_key}


async def test_a_learner_whom_no_index_leads_to_is_a_finding(small: World) -> None:
    await small.complete("N-1", LI)
    who = await small.learner(LI)
    await small.sql("delete from identifiers")
    await small.issue()
    assert [(one.kind, one.where) for one in await small.fsck()] == [("learner_not_found", f"learners {who}")]


async def test_a_number_sealed_with_another_key_is_a_finding(small: World) -> None:
    await small.complete("N-1", LI)
    await small.complete("N-2", WANG)
    one, two = await small.learner(LI), await small.learner(WANG)
    await small.issue()
    [(sealed,)] = await small.sql("select sealed_value from identifiers where learner_id = :who", who=one)
    await small.sql(
        "update identifiers set sealed_value = :sealed where learner_id = :who", sealed=sealed, who=two
    )
    assert [one.where for one in await small.fsck()] == [f"learners {two}"]
