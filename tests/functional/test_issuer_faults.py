"""Law 8, point by point: wherever a step ends, nothing is missing, doubled, or served that is not stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.functional.process import environment
from tests.functional.test_issuer import granted
from tests.functional.world import FACTORY, ORIGIN, Installation, KeptInMemory, World, make_issuer, over
from verifier import ledger
from verifier.cli import main
from verifier.cli.simulator import person
from verifier.errors import Code, LedgerRefused, Unavailable
from verifier.issuer import STATUS_TTL, Issuer, IssuerKeys
from verifier.kept import CheckpointFile
from verifier.ports.issuing import IssuingTransaction

T = TypeVar("T")
LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")


class Ended(BaseException):
    """The process is gone at this point: nothing of it may catch this."""


@dataclass
class Faults:
    """Counts the points of a step, and ends it at one of them."""

    at: int
    passed: list[str] = field(default_factory=list)

    def point(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self.at:
            raise Ended(name)


class FaultyUnits:
    """The store, with a point before and after each transaction."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    async def issuing(self, work: Callable[[IssuingTransaction], T], *, write: bool) -> T:
        name = "write" if write else "read"
        self._faults.point(f"before {name}")

        def within(tx: IssuingTransaction) -> T:
            result = work(tx)
            self._faults.point(f"within {name}")
            return result

        result = await self._world.store.issuing(within, write=write)
        self._faults.point(f"after {name}")
        return result


class FaultyKept:
    """The file outside, with a point before and after it is written."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def read(self) -> bytes:
        return self._world.kept.read()

    def write(self, note: bytes) -> None:
        self._faults.point("before keep")
        self._world.kept.write(note)
        self._faults.point("after keep")


def twin(world: World, kept: Any = None) -> Issuer:
    return make_issuer(world.store, world.issuer_keys, kept or world.kept, world.clock, world.new_id)


def faulty(world: World, at: int) -> tuple[Issuer, Faults]:
    faults = Faults(at)
    issuer = twin(world, FaultyKept(world, faults))
    issuer._units = FaultyUnits(world, faults)
    return issuer, faults


async def started_and_stepped(issuer: Issuer) -> None:
    await issuer.start()
    await issuer.step()


POINTS = (
    *("before read", "within read", "after read", "before write", "within write", "after write"),
    *("before read", "within read", "after read", "before write", "within write", "after write"),
    *("before keep", "after keep"),
)
"""Of taking over and one step."""


async def two_records_and_a_revocation(world: World) -> None:
    """One record is there already; one is to be revoked, one granted, in the step that ends."""
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.issue()
    await world.revoke("N-1")
    await world.complete("N-2", WANG)


async def consistent(world: World) -> None:
    """What is served is stored, dense and signed."""
    assert await world.fsck(world.kept.note) == []
    entries = await world.entries()
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    note = await world.store.checkpoint()
    size = ledger.parse_checkpoint(ledger.verify_note(note, {ORIGIN: world.issuer_keys.known})).size
    assert size == len(entries)


@pytest.mark.parametrize("at", range(len(POINTS)))
async def test_wherever_a_step_ends_the_next_issuer_goes_on_without_gap_or_double(
    small_world: World, at: int
) -> None:
    world = small_world
    await two_records_and_a_revocation(world)
    issuer, faults = faulty(world, at)
    with pytest.raises(Ended):
        await started_and_stepped(issuer)
    assert faults.passed == list(POINTS[: at + 1])
    await consistent(world)
    world.issuer = twin(world)
    await world.issuer.start()
    await world.issue()
    await consistent(world)
    assert sorted(record.kind for record in await world.records()) == ["granted", "granted", "revoked"]
    decided = await world.sql("select count(*), count(distinct decision_id) from records")
    assert [tuple(row) for row in decided] == [(3, 3)]
    assert await world.sql("select 1 from outbox") == []
    token = await world.store.status_token(0)
    assert token is not None
    statuses = await world.sql("select status from status_entries order by status")
    assert [status for (status,) in statuses] == [0, 0, 1]


async def test_every_point_of_a_step_is_tried(small_world: World) -> None:
    await two_records_and_a_revocation(small_world)
    issuer, faults = faulty(small_world, -1)
    await issuer.start()
    await issuer.step()
    assert tuple(faults.passed) == POINTS


@pytest.mark.parametrize("at", range(6))
async def test_wherever_a_list_is_signed_again_nothing_is_lost(small_world: World, at: int) -> None:
    world = small_world
    await granted(world)
    world.now += STATUS_TTL + timedelta(seconds=1)
    issuer, faults = faulty(world, -1)
    await issuer.start()
    faults.passed.clear()
    faults.at = at
    with pytest.raises(Ended):
        await issuer.step()
    assert await world.fsck(world.kept.note) == []
    world.issuer = twin(world)
    await world.issuer.start()
    await world.issue()
    [(taken, signed_at)] = await world.sql("select taken, signed_at from status_lists")
    assert taken == 1
    assert signed_at == int(world.now.timestamp()) * 1_000_000


async def test_on_postgresql_too_a_commit_whose_answer_was_lost_is_not_repeated(world: World) -> None:
    await two_records_and_a_revocation(world)
    issuer, _ = faulty(world, POINTS.index("after write", 6))
    with pytest.raises(Ended):
        await started_and_stepped(issuer)
    world.issuer = twin(world)
    await world.issuer.start()
    await world.issue()
    await consistent(world)
    assert len(await world.records()) == 3


# A paused twin


async def test_a_twin_that_was_paused_after_its_commit_keeps_no_older_checkpoint(small_world: World) -> None:
    world = small_world
    await granted(world)
    await world.complete("N-2", LI)

    first = twin(world)
    await first.start()
    pending = await first._units.issuing(first._read, write=False)
    assert pending is not None
    batch, _ = first._sign(pending, world.now, world.issuer_keys)
    await world.store.issuing(lambda tx: tx.commit(batch), write=True)
    other = twin(world)
    await other.start()
    await world.complete("N-3", WANG)
    assert await other.step()
    newest = world.kept.note
    first._keep(batch.after)
    assert world.kept.note == newest
    with pytest.raises(LedgerRefused) as refused:
        await first.step()
    assert refused.value.code is Code.LEDGER_HEAD_MOVED


async def test_a_disk_that_is_full_stops_the_issuer_and_loses_nothing(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(world.kept, "write", full)
        with pytest.raises(OSError, match="No space"):
            await world.issuer.step()
    await consistent(world)
    world.issuer = twin(world)
    await world.issuer.start()
    assert await world.issuer.step() == 0


# What is kept outside is missing, or is not ours


async def test_a_ledger_without_a_kept_checkpoint_is_not_continued(small_world: World) -> None:
    world = small_world
    await granted(world)
    world.kept.note = b""
    for attempt in (twin(world).start, world.issuer.step):
        await world.complete(f"N-{attempt.__name__}", LI)
        with pytest.raises(LedgerRefused) as refused:
            await attempt()
        assert refused.value.code is Code.LEDGER_FORK_REFUSED
        assert "ledger keep" in refused.value.detail
    assert world.kept.note == b""


@pytest.mark.parametrize("garbled", [b"\xff", b"nonsense", b"\n\n", b"test.invalid/ledger\n0\n"])
async def test_a_kept_checkpoint_that_is_not_ours_is_refused_even_for_an_empty_ledger(
    small_world: World, garbled: bytes
) -> None:
    small_world.kept.note = garbled
    with pytest.raises(LedgerRefused) as refused:
        await twin(small_world).start()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED
    assert small_world.kept.note == garbled


async def test_an_emptied_database_is_not_a_new_ledger(small_world: World) -> None:
    await granted(small_world)
    for table in ("entries", "nodes", "ledger_head", "records", "status_entries"):
        await small_world.sql(f"delete from {table}")  # noqa: S608 - names of a table above
    with pytest.raises(LedgerRefused) as refused:
        await twin(small_world).start()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED


async def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_ledger(
    small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    kept = KeptInMemory()
    issuer = twin(small_world, kept)
    monkeypatch.setattr(issuer._units, "issuing", away)
    with pytest.raises(Unavailable):
        await issuer.start()
    assert kept.note == b""


# The operator's word


@dataclass(frozen=True)
class Lost:
    """A service's directory whose kept checkpoint is gone."""

    directory: Path
    note: bytes
    keys: IssuerKeys

    @property
    def file(self) -> Path:
        return self.directory / "checkpoint.txt"


async def happened(url: str, installation: Installation, people: int) -> World:
    world = await over(url, installation)
    if people:
        await granted(world, people)
    await world.store.database.close()
    return world


@pytest.fixture(params=[2])
def lost(
    request: pytest.FixtureRequest,
    sqlite: str,
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Lost:
    world = asyncio.run(happened(sqlite, installation, request.param))
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    return Lost(tmp_path, world.kept.note, world.issuer_keys)


def keep(*arguments: str) -> int:
    return main(("ledger", "keep", *arguments))


def test_a_lost_checkpoint_is_kept_again_on_the_operators_word(
    lost: Lost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep() == 0
    assert "not kept" in capsys.readouterr().out
    assert not lost.file.exists()
    earlier = lost.directory / "earlier.txt"
    earlier.write_bytes(lost.note)
    assert keep("--apply", "--earlier", str(earlier), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kept"], said["findings"], said["size"]) == (True, 0, 3)
    assert CheckpointFile(lost.file).read() == lost.note
    assert keep("--apply") == 2
    assert "kept already" in capsys.readouterr().err


def test_a_ledger_that_does_not_continue_what_others_hold_is_not_kept(
    lost: Lost, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ledger.checkpoint_body(ORIGIN, 900, bytes(32))
    earlier = lost.directory / "earlier.txt"
    earlier.write_bytes(ledger.sign_note(text, ORIGIN, lost.keys.checkpoint))
    assert keep("--apply", "--earlier", str(earlier)) == 1
    assert "nothing is kept" in capsys.readouterr().out
    assert not lost.file.exists()


@pytest.mark.parametrize("lost", [0], indirect=True)
def test_of_an_empty_ledger_there_is_nothing_to_keep(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    assert keep("--apply") == 0
    assert "empty" in capsys.readouterr().out
    assert not lost.file.exists()


async def test_what_an_issuer_remembers_is_what_the_store_holds(small_world: World) -> None:
    world = small_world
    await two_records_and_a_revocation(world)
    await world.issue()
    stored = world.issuer._stored
    assert stored is not None
    assert stored.lists
    fresh = twin(world)
    await fresh.start()

    def read(tx: IssuingTransaction) -> dict[int, bytes]:
        return {list_id: fresh._packed(tx, tx.head(), list_id) for list_id in stored.lists}

    assert await world.store.issuing(read, write=False) == stored.lists
    edge = await world.store.issuing(lambda tx: fresh._frontier(tx, tx.head()), write=False)
    assert edge == stored.frontier


async def test_an_older_database_under_a_running_issuer_is_not_taken_for_what_it_remembers(
    small_world: World,
) -> None:
    world = small_world
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    before = await world.sql("select size, checkpoint from ledger_head")
    await world.complete("N-2", LI)
    await world.issue()
    [(size, checkpoint)] = before
    await world.sql(
        "update ledger_head set size = :size, checkpoint = :note", size=size, note=bytes(checkpoint)
    )
    await world.complete("N-3", LI)
    with pytest.raises(LedgerRefused) as refused:
        await world.issuer.step()
    assert refused.value.code is Code.LEDGER_FORK_REFUSED
