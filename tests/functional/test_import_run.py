"""Taking a back-log in from a file: under the laws of callbacks, once, and on from wherever it was killed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.functional import world as worlds
from tests.functional.imports import Importer, Killed, Units
from tests.functional.world import FACTORY, World
from verifier import pipeline
from verifier.cli.simulator import Person, person
from verifier.cli.simulator_documents import MohrssTraining
from verifier.errors import (
    Code,
    ConfigurationError,
    Conflict,
    RequestRejected,
    Unavailable,
    VerifierError,
)
from verifier.import_run import ImportRun
from verifier.import_source import ErrorsFile
from verifier.keyring import Register
from verifier.ports.importing import Counts, Progress

PEOPLE: Final = [person(serial, "阿依古丽") for serial in range(10)]
REVOKED: Final = 9


@pytest.fixture
def importer(world: World, tmp_path: Path) -> Importer:
    return Importer(world, tmp_path)


@pytest.fixture
def small(small_world: World, tmp_path: Path) -> Importer:
    return Importer(small_world, tmp_path)


Another = Callable[[Path], Awaitable[World]]


@pytest.fixture
def another(sqlite_pattern: Path, installation: worlds.Installation) -> Iterator[Another]:
    """Further worlds, each over a fresh database in a directory."""
    made: list[World] = []

    def copied(directory: Path) -> str:
        directory.mkdir()
        return str(shutil.copyfile(sqlite_pattern, directory / "verifier.db"))

    async def make(directory: Path) -> World:
        made.append(await worlds.over(f"sqlite+aiosqlite:///{copied(directory)}", installation))
        return made[-1]

    yield make
    for one in made:
        asyncio.run(one.store.database.close())


def items(world: World, count: int = 10) -> list[dict[str, Any]]:
    """Completions of as many people; the last one is revoked afterwards."""
    made = [world.cvt.completed(world.course(f"N-{n}", who)) for n, who in enumerate(PEOPLE[:count])]
    return [*made, world.cvt.revoked(f"N-{count - 1}", "误发", datetime(2021, 6, 1, tzinfo=UTC))]


def forged(world: World, number: str = "N-99") -> dict[str, Any]:
    """A completion by a key that nobody registered under this name."""
    item = world.cvt.completed(world.course(number, PEOPLE[0]))
    token = item["data"]["certificate"]
    item["data"]["certificate"] = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")
    return item


async def gist(world: World) -> list[Any]:
    """What everything comes to: facts and decisions without ids and moments, by number and by person."""
    facts = await world.sql("select kind, reference, content from facts order by kind, reference")
    ids = {
        "fact_id",
        "content_digest",
        "recorded_at",
        "first_received_at",
        "source",
        "supersedes",
        "learner_id",
    }
    kept = [
        (kind, reference, {name: value for name, value in json.loads(content).items() if name not in ids})
        for kind, reference, content in facts
        if kind in {"completion", "revocation"}
    ]
    return [kept, [await world.states(who) for who in PEOPLE], [slot[1:] for slot in await slots(world)]]


async def slots(world: World) -> list[Any]:
    rows = await world.sql("select learner_id, state, number, uscc from slots order by number")
    return [tuple(row) for row in rows]


async def database(world: World) -> list[Any]:
    """Everything that two runs over the same file have in common."""
    deliveries = await world.sql(
        "select platform, delivery_id, key_id, state, attention, outcome, method, target from deliveries"
        " order by delivery_id"
    )
    imports = await world.sql(
        "select file_digest, operator, taken, unchanged, review, waiting, refused, rejected from imports"
    )
    progress = await world.sql("select count(*) from import_progress")
    count = await world.sql("select count(*) from learners")
    return [
        [tuple(row) for row in deliveries],
        [tuple(row) for row in imports],
        [tuple(row) for row in (*progress, *count)],
        await gist(world),
    ]


async def test_an_import_decides_what_callbacks_decide(importer: Importer, another: Another) -> None:
    world = importer.world
    await world.employ(FACTORY, *PEOPLE[:5])
    made = items(world)
    counts = await importer.take(importer.write(made))
    assert counts == Counts(taken=11)
    imported = await gist(world)
    other = await another(importer.directory / "other")
    await other.employ(FACTORY, *PEOPLE[:5])
    for first in range(0, len(made), importer.batch):
        # In the same transactions, so that everybody is decided as often.
        group = made[first : first + importer.batch]
        await other.post(*(other.cvt.delivery(item, other.new_id(), other.now) for item in group))
    assert imported == await gist(other)
    assert imported[1] == [["granted"]] * 5 + [["pending"]] * 4 + [["refused"]]


async def test_the_evidence_says_which_file_brought_a_line_and_who_handed_it_over(small: Importer) -> None:
    world = small.world
    path = small.write([b"", *items(world, 1)])
    await small.take(path)
    [(digest, operator, taken)] = await world.sql("select file_digest, operator, taken from imports")
    assert (operator, taken) == ("clerk", 2)
    rows = await world.sql("select target, key_id, method from deliveries order by target")
    assert rows == [(f"/import/{digest}/{n}", "operator:clerk", "IMPORT") for n in (2, 3)]
    await world.settle()
    assert await world.fsck() == []
    await world.sql("update imports set taken = 7")
    assert await world.fsck() != []


async def test_the_same_file_again_changes_nothing(importer: Importer) -> None:
    world = importer.world
    path = importer.write([*items(world), forged(world), b"{"])
    first = await importer.take(path)
    assert first == Counts(taken=11, rejected=2)
    before, said = await database(world), importer.errors(path)
    assert [(one["line"], one["code"]) for one in said] == [
        (12, "certificate_signature_invalid"),
        (13, "delivery_unreadable"),
    ]
    assert await importer.take(path) == Counts(unchanged=11, rejected=2)
    after = await database(world)
    assert (after[0], after[2], after[3]) == (before[0], before[2], before[3])
    assert importer.errors(path) == said


async def test_what_came_as_a_callback_already_is_known(small: Importer) -> None:
    world = small.world
    made = items(world, 4)
    for item in made:
        await world.post(world.cvt.delivery(item, world.new_id(), world.now))
    before = await gist(world)
    assert await small.take(small.write(made)) == Counts(unchanged=5)
    assert await gist(world) == before


async def test_a_callback_behind_an_import_is_known_too(small: Importer) -> None:
    world = small.world
    made = items(world, 4)
    await small.take(small.write(made))
    before = await gist(world)
    for item in made:
        [outcome] = await world.post(world.cvt.delivery(item, world.new_id(), world.now))
        assert outcome.items[0].state.value == "duplicate"
    assert await gist(world) == before


async def test_of_what_nothing_proves_nothing_is_stored(small: Importer) -> None:
    world = small.world
    path = small.write([forged(world), b"nonsense", b'{"type":"x","timestamp":"2021-05-01T11:00:00+08:00"}'])
    assert await small.take(path) == Counts(rejected=3)
    for table in ("deliveries", "facts", "learners"):
        assert await world.sql(f"select count(*) from {table}") == [(0,)]  # noqa: S608 - names of ours
    assert [one["state"] for one in small.errors(path)] == ["rejected"] * 3
    text = small.errors_of(path).read_text()
    assert "N-99" not in text
    assert PEOPLE[0].id_number not in text


async def test_what_is_genuine_and_cannot_be_placed_is_kept_as_of_a_callback(small: Importer) -> None:
    world = small.world
    broken = Person("999901199001010000", "阿依古丽")
    lines = [
        world.cvt.completed(world.course("N-1", PEOPLE[0])),
        # The same number with other content and no correction: a reviewer is asked.
        world.cvt.completed(world.course("N-1", PEOPLE[0], title="另一门课程")),
        world.cvt.completed(world.course("N-2", broken)),
    ]
    path = small.write(lines)
    assert await small.take(path) == Counts(taken=1, review=1, refused=1)
    assert [(one["line"], one["state"], one["code"]) for one in small.errors(path)] == [
        (2, "in_review", "completion_conflict"),
        (3, "refused", "identifier_invalid"),
    ]
    assert await world.sql("select attention from deliveries order by target") == [(0,), (1,), (1,)]
    assert len(await world.store.open_reviews()) == 1


def lines_with_faults(world: World) -> list[bytes | Mapping[str, Any]]:
    made = items(world)
    return [*made[:4], forged(world), *made[4:8], b"{", *made[8:], b'{"a"']


async def undisturbed(another: Another, directory: Path, lines: Sequence[Any]) -> tuple[list[Any], bytes]:
    importer = Importer(await another(directory), directory)
    path = importer.write(lines)
    await importer.take(path)
    return await database(importer.world), importer.errors_of(path).read_bytes()


@pytest.mark.untraced
@pytest.mark.parametrize("dies", ["before", "after"])
async def test_killed_at_any_commit_the_next_run_ends_with_the_same_database(
    small_world: World, another: Another, tmp_path: Path, dies: str
) -> None:
    lines = lines_with_faults(small_world)
    expected = await undisturbed(another, tmp_path / "undisturbed", lines)
    # The first transaction begins the import, the last one finishes it; five groups of three lines between.
    for commits in range(7 if dies == "before" else 6):
        importer = Importer(await another(tmp_path / str(commits)), tmp_path / str(commits))
        path = importer.write(lines)
        store = importer.world.store
        units = Units(store, commits) if dies == "before" else Units(store, after=commits)
        with pytest.raises(Killed):
            await importer.take(path, units)
        importer.seen.clear()
        await importer.take(path)
        assert await database(importer.world) == expected[0]
        assert importer.errors_of(path).read_bytes() == expected[1]
        # What was committed is not read again, though nobody may have heard of the last commit.
        committed = min(5, commits - (dies == "before")) if commits else 0
        assert importer.seen == list(range(3 * committed + 1, len(lines) + 1))


async def test_killed_again_and_again_it_comes_to_its_end(small: Importer, another: Another) -> None:
    world = small.world
    lines = lines_with_faults(world)
    expected = await undisturbed(another, small.directory / "undisturbed", lines)
    path = small.write(lines)
    for _ in range(5):
        with pytest.raises(Killed):
            await small.take(path, Units(world.store, after=1))
    await small.take(path)
    assert await database(world) == expected[0]
    assert small.errors_of(path).read_bytes() == expected[1]


async def test_killed_behind_its_end_it_is_done_and_done_again_changes_nothing(small: Importer) -> None:
    path = small.write(items(small.world, 2))
    with pytest.raises(Killed):
        await small.take(path, Units(small.world.store, after=2))
    assert await small.take(path) == Counts(unchanged=3)


async def test_without_its_side_file_an_import_begins_anew(small: Importer) -> None:
    world = small.world
    path = small.write([forged(world), *items(world)])
    with pytest.raises(Killed):
        await small.take(path, Units(world.store, after=2))
    small.errors_of(path).unlink()
    assert await small.take(path) == Counts(taken=6, unchanged=5, rejected=1)
    assert [one["line"] for one in small.errors(path)] == [1]


async def test_a_side_file_that_says_too_much_is_cut_where_the_import_stands(small: Importer) -> None:
    world = small.world
    path = small.write([forged(world), *items(world)])
    with pytest.raises(Killed):
        await small.take(path, Units(world.store, after=2))
    with small.errors_of(path).open("ab") as side:
        side.write(b"of a transaction that never was\n")
    await small.take(path)
    assert [one["line"] for one in small.errors(path)] == [1]


async def test_a_clean_import_leaves_no_side_file(small: Importer) -> None:
    path = small.write(items(small.world, 2))
    small.errors_of(path).write_text("of an earlier file of this name\n")
    await small.take(path)
    assert not small.errors_of(path).exists()


async def test_another_process_that_moves_the_same_import_on_ends_this_one(small: Importer) -> None:
    world = small.world
    path = small.write(items(world))

    async def raced(done: object) -> None:
        if isinstance(done, Progress):
            await world.sql("update import_progress set position = position + 1")

    with pytest.raises(Conflict) as refused:
        await small.take(path, Units(world.store, heard=raced))
    assert refused.value.code is Code.STATE_REFUSED


async def test_two_processes_cannot_write_one_side_file(small: Importer) -> None:
    path = small.write(items(small.world, 1))
    held = ErrorsFile(small.errors_of(path))
    with pytest.raises(Conflict) as refused:
        await small.take(path)
    assert refused.value.code is Code.STATE_REFUSED
    held.close()


async def test_a_file_that_changes_while_it_is_read_ends_the_import_and_what_was_taken_stands(
    small: Importer,
) -> None:
    world = small.world
    path = small.write(items(world))

    async def writes(done: object) -> None:
        if isinstance(done, Progress) and done.position == 6:
            with path.open("ab") as file:
                file.write(b"\n")

    with pytest.raises(ConfigurationError) as refused:
        await small.take(path, Units(world.store, heard=writes))
    assert refused.value.code is Code.IMPORT_FILE_CHANGED
    assert await world.sql("select count(*) from deliveries") == [(6,)]
    # It is another file now, and so another import.
    assert await small.take(path) == Counts(taken=5, unchanged=6)


async def test_a_file_that_changed_without_a_trace_is_found_out_at_the_end(small: Importer) -> None:
    world = small.world
    path = small.write([*items(world, 1), b"{ }"])

    async def writes(done: object) -> None:
        if isinstance(done, Progress) and done.position == 3:
            before = path.stat()
            with path.open("r+b") as file:
                file.seek(-3, os.SEEK_END)
                file.write(b"[]\n")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(ConfigurationError) as refused:
        await small.take(path, Units(world.store, heard=writes))
    assert refused.value.code is Code.IMPORT_FILE_CHANGED
    assert await world.sql("select count(*) from imports") == [(0,)]


async def test_what_a_file_is_not_is_said_before_anything_is_written(small: Importer) -> None:
    path = small.directory / "backlog.csv"
    path.write_bytes(b"colour\nred\n")
    with pytest.raises(RequestRejected) as refused:
        await small.take(path)
    assert refused.value.code is Code.SCHEMA_INVALID
    assert await small.world.sql("select count(*) from import_progress") == [(0,)]


async def test_a_line_that_cannot_be_recorded_costs_none_of_the_others(
    small: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small.world
    path = small.write(items(world))
    record = pipeline.record

    def poisoned(tx: Any, group: Any, *arguments: Any) -> Any:
        if any(one.claim.authenticated.callback.path.endswith("/5") for one in group):
            raise LookupError
        return record(tx, group, *arguments)

    monkeypatch.setattr(pipeline, "record", poisoned)
    assert await small.take(path) == Counts(taken=10, rejected=1)
    [said] = small.errors(path)
    assert (said["line"], said["code"]) == (5, "internal")


async def test_what_fails_for_every_line_is_no_fault_of_a_line(
    small: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.write(items(small.world, 1))

    def broken(*_: Any) -> Any:
        raise LookupError

    monkeypatch.setattr(pipeline, "record", broken)
    with pytest.raises(LookupError):
        await small.take(path)


async def test_a_database_that_does_not_answer_ends_the_import_and_blames_no_line(
    small: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.write(items(small.world, 4))

    def gone(*_: Any) -> Any:
        raise VerifierError(Code.STORE_UNAVAILABLE)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "record", gone)
        with pytest.raises(VerifierError):
            await small.take(path)
    assert await small.take(path) == Counts(taken=5)


def changed(world: World) -> Register:
    """The register with another digest, as one that was adopted meanwhile."""
    return replace(world.register, digest="c" * 64)


async def test_what_is_adopted_meanwhile_is_what_the_rest_is_decided_by(importer: Importer) -> None:
    world = importer.world
    await world.adopt()
    path = importer.write(items(world))
    rules = [world.rulebook, replace(world.rulebook, register=changed(world))]
    asked: list[int] = []

    def in_force() -> Any:
        asked.append(len(importer.seen))
        return rules[min(len(asked), 2) - 1]

    importer.rulebook = in_force

    async def adopts(done: object) -> None:
        if isinstance(done, Progress) and done.position == 6:
            await world.sql("update in_force set digest = :digest where name = 'register'", digest="c" * 64)

    assert await importer.take(path, Units(world.store, heard=adopts)) == Counts(taken=11)
    assert len(asked) == 2
    traces = await world.sql("select trace from decisions order by decided_at, decision_id")
    pinned = {json.loads(trace)["pins"]["register"] for (trace,) in traces}
    assert pinned == {world.register.digest, "c" * 64}


async def test_no_more_groups_are_prepared_ahead_than_the_bound_says(
    small: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small.world
    most, ahead = 0, 0
    write = ImportRun._write

    async def written(run: ImportRun, readied: Any, rulebook: Any) -> bool:
        nonlocal most, ahead
        ahead = max(ahead, run.ahead)
        most = max(most, len(small.seen) - run.progress.position)
        return await write(run, readied, rulebook)

    monkeypatch.setattr(ImportRun, "_write", written)
    path = small.write([{}] * 300)
    assert await small.take(path) == Counts(rejected=300)
    # The groups that wait, and the one that is being written: however many lines the file has.
    assert most <= small.batch * (ahead + 1)
    assert await world.sql("select count(*) from learners") == [(0,)]


# documents that stand apart


async def test_a_record_finds_its_document_in_the_same_line_in_an_earlier_one_and_when_it_comes(
    small: Importer,
) -> None:
    small.slug, small.batch = "mohrss_training", 1
    world = small.world
    sender = MohrssTraining(world.installation.sandbox)
    courses = [world.course(f"M-{n}", who) for n, who in enumerate(PEOPLE[:3])]
    files = [sender.certificate(course) for course in courses]
    records = [sender.completed(course, "1", file) for course, file in zip(courses, files, strict=True)]
    uploads = [sender.uploaded(course, file) for course, file in zip(courses, files, strict=True)]
    path = small.write(
        [
            {"batchNo": "A", "fileList": uploads[:1], "graduationList": records[:1]},
            {"batchNo": "B", "fileList": uploads[1:2]},
            {"batchNo": "C", "graduationList": records[1:2]},
            {"batchNo": "D", "graduationList": records[2:]},
        ]
    )
    counts = await small.take(path)
    assert counts == Counts(taken=4, waiting=1)
    [said] = small.errors(path)
    assert (said["line"], said["state"], said["code"]) == (4, "waiting", "document_missing")
    assert base64.b64encode(files[0]).decode()[:20] not in small.errors_of(path).read_text()


async def test_a_rulebook_that_keeps_changing_ends_the_import(small: Importer) -> None:
    world = small.world
    await world.adopt()
    await world.sql("update in_force set digest = :digest where name = 'register'", digest="c" * 64)
    with pytest.raises(Unavailable) as refused:
        await small.take(small.write(items(world, 1)))
    assert refused.value.code is Code.OVERLOADED
    assert await world.sql("select count(*) from deliveries") == [(0,)]


def test_a_side_file_that_cannot_be_written_ends_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = ErrorsFile(tmp_path / "side")
    with pytest.raises(ConfigurationError) as refused:
        held.put(7, b"behind what was cut away")
    assert refused.value.code is Code.IMPORT_FILE_UNREADABLE

    def full(*_: object) -> int:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(ConfigurationError) as refused:
            held.put(0, b"x")
    assert refused.value.code is Code.IMPORT_FILE_UNREADABLE
    held.put(0, b"one\n")
    held.put(4, b"two\n")
    held.put(4, b"2\n")
    assert (tmp_path / "side").read_bytes() == b"one\n2\n"
    assert held.close()
