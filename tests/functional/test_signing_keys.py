"""``secrets rotate record | status | checkpoint``: an overlap, cut off anywhere, under a running service."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import aiohttp
import pytest

from tests.functional.process import environment, running, settings
from tests.functional.test_issuer import granted, verified
from tests.functional.world import ORIGIN, Installation, World, make_issuer, over
from verifier import audit, key_rotation, keyfiles, ledger, offline, published
from verifier.app import compose
from verifier.cli import main
from verifier.cli.simulator import person
from verifier.errors import Code, ConfigurationError, LedgerRefused
from verifier.issuer import Issuer, IssuerKeys
from verifier.published import Published, Purpose
from verifier.signatures import jws, keys
from verifier.store.store import Store
from verifier.workers import Crew


@dataclass(frozen=True)
class Place:
    """A directory with keys of its own."""

    directory: Path
    installation: Installation
    capsys: pytest.CaptureFixture[str]

    @property
    def secrets(self) -> Path:
        return self.installation.secrets_dir

    def rotate(self, purpose: str, *more: str, status: int = 0) -> dict[str, Any]:
        assert main(("secrets", "rotate", purpose, *more, "--json")) == status
        shown = self.capsys.readouterr()
        assert shown.err == ""
        answer: dict[str, Any] = json.loads(shown.out)
        return answer

    def private(self, purpose: str) -> bytes:
        return (self.secrets / f"{purpose}.pem").read_bytes()


@pytest.fixture
def place(
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    shutil.copytree(installation.secrets_dir, tmp_path / "secrets")
    own = replace(installation, secrets_dir=tmp_path / "secrets")
    (tmp_path / "data").mkdir()
    for name, value in environment(tmp_path / "data", own).items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path / "data", own, capsys)


# The command


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_key_is_published_first_and_signs_only_when_the_overlap_is_over(
    place: Place, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.private(purpose)
    first = place.rotate(purpose)
    assert (first["finished"], bool(first["next"])) == (False, True)
    assert place.rotate(purpose, status=1) == first
    assert place.rotate(purpose, "--prepare") == first
    assert place.private(purpose) == before
    monkeypatch.setenv("VERIFIER_KEY_OVERLAP_HOURS", "0")
    done = place.rotate(purpose)
    assert (done["finished"], done["in_force"], done["next"]) == (True, first["next"], None)
    assert [one["kid"] for one in done["retired"]] == [first["in_force"]]
    assert done["since"] == done["retired"][0]["signed_until"]
    assert place.private(purpose) != before
    assert before not in [file.read_bytes() for file in place.secrets.iterdir() if file.is_file()]
    assert all(file.stat().st_mode & 0o077 == 0 for file in place.secrets.iterdir() if file.is_file())
    kids = {key.kid for key in keyfiles.published_keys(place.secrets)}
    notes = keyfiles.checkpoint_keys(place.secrets)
    assert (len(kids), len(notes)) == ((2, 2) if purpose is Purpose.CHECKPOINT else (3, 1))


def test_after_a_leak_nothing_is_waited_for(place: Place) -> None:
    done = place.rotate("record", "--now")
    assert done["finished"]
    assert main(("secrets", "rotate", "record")) == 0
    assert main(("secrets", "rotate", "record", "--now")) == 0
    shown = place.capsys.readouterr().out
    assert "published" in shown
    assert "the old private key is gone" in shown
    assert main(("secrets", "status")) == 0
    assert "retired: 2" in place.capsys.readouterr().out
    assert main(("doctor",)) in {0, 1}
    assert f"{done['in_force']} signs" not in place.capsys.readouterr().out


def test_the_status_and_the_doctor_tell_of_a_key_that_is_to_come(place: Place) -> None:
    coming = place.rotate("status")["next"]
    assert main(("secrets", "status", "--json")) == 0
    said = json.loads(place.capsys.readouterr().out)
    assert (said["status"]["next"], said["record"]["next"]) == (coming, None)
    assert main(("secrets", "status")) == 0
    assert f"{coming} is published" in place.capsys.readouterr().out
    main(("doctor", "--json"))
    assert coming in json.loads(place.capsys.readouterr().out)["status key"]


@pytest.mark.parametrize("purpose", list(Purpose))
def test_cut_off_before_the_times_were_written_it_is_finished_and_no_other_is_begun(
    place: Place, purpose: Purpose
) -> None:
    coming = place.rotate(purpose)["next"]
    key_rotation.promote(place.secrets, purpose)
    keyfiles.load_issuer_keys(place.secrets)
    done = place.rotate(purpose)
    assert (done["finished"], done["in_force"], done["next"]) == (True, coming, None)


def test_cut_off_before_it_was_published_a_key_neither_signs_nor_is_lost(place: Place) -> None:
    place.rotate("checkpoint")
    (place.secrets / published.FILE).unlink()
    assert keyfiles.load_issuer_keys(place.secrets).coming is None
    with pytest.raises(ConfigurationError):
        key_rotation.promote(place.secrets, Purpose.CHECKPOINT)
    content = (place.secrets / "checkpoint.next.pem").read_bytes()
    assert place.rotate("checkpoint")["next"]
    assert (place.secrets / "checkpoint.next.pem").read_bytes() == content
    assert keyfiles.load_issuer_keys(place.secrets).coming is not None


def test_nothing_is_signed_with_a_key_that_was_retired(place: Place) -> None:
    old = place.private("record")
    place.rotate("record", "--now")
    (place.secrets / "record.pem").write_bytes(old)
    with pytest.raises(ConfigurationError) as refused:
        keyfiles.load_issuer_keys(place.secrets)
    assert (refused.value.code, refused.value.pointer) == (Code.KEY_REFUSED, "record.pem")


def test_published_keys_that_others_could_write_are_refused(place: Place) -> None:
    place.rotate("record")
    (place.secrets / published.FILE).chmod(0o666)
    assert main(("secrets", "rotate", "record", "--json")) == 2
    assert "key_refused" in place.capsys.readouterr().err


# What was signed


@pytest.fixture
async def own_world(sqlite: str, place: Place) -> Any:
    built = await over(sqlite, place.installation)
    yield built
    await built.store.database.close()


async def step(place: Place, world: World, purpose: Purpose, *, promote: bool) -> None:
    """What the command does, and what the service does then."""
    if promote:
        key_rotation.promote(place.secrets, purpose)
        key_rotation.settle(place.secrets, purpose, world.now)
    else:
        key_rotation.prepare(place.secrets, purpose, world.now)
    given_out = Published((), ORIGIN, world.clock)
    await key_rotation.SigningDesk(place.secrets, world.issuer, given_out).take_up({})
    world.issuer_keys = keyfiles.load_issuer_keys(place.secrets)


async def found(place: Place, world: World) -> list[audit.Finding]:
    known = {key.kid: key for key in keyfiles.published_keys(place.secrets)}
    trusted = audit.Trusted(ORIGIN, keyfiles.checkpoint_keys(place.secrets), known, world.kept.note)
    return await world.store.auditing(lambda tx: audit.check(tx, trusted))


def signers(note: bytes) -> int:
    return note.rpartition(b"\n\n")[2].count(b"\n")


async def test_records_of_before_and_after_a_rotation_both_check_out(place: Place, own_world: World) -> None:
    world = own_world
    await granted(world)
    [before] = await world.records()
    for purpose in Purpose:
        await step(place, world, purpose, promote=False)
        await step(place, world, purpose, promote=True)
    await world.complete("N-2", person(2, "王小明"), document="其他")
    await world.issue()
    after = (await world.records())[-1]
    trusted = keyfiles.published_keys(place.secrets)
    token = await world.store.status_token(0)
    for record in (before, after):
        assert offline.check(record.sd_jwt, trusted, status_token=token, now=world.now).status == "valid"
    kids = [jws.parse_compact(one.sd_jwt.partition("~")[0]).kid for one in (before, after)]
    assert kids[0] != kids[1]
    assert await found(place, world) == []


async def test_while_one_checkpoint_key_follows_another_whoever_knows_either_can_check(
    place: Place, own_world: World
) -> None:
    world = own_world
    old = world.issuer_keys.known
    await granted(world)
    await step(place, world, Purpose.CHECKPOINT, promote=False)
    await world.complete("N-2", person(2, "王小明"), document="其他")
    await world.issue()
    overlapping = await world.store.checkpoint()
    new = ledger.public_of(world.issuer_keys.checkpoints[1])
    assert signers(overlapping) == 2
    assert offline.check_checkpoint(overlapping, ORIGIN, old) == offline.check_checkpoint(
        overlapping, ORIGIN, new
    )
    await step(place, world, Purpose.CHECKPOINT, promote=True)
    # Nothing was appended since: what is kept outside, and served, bears the old key's signature beside.
    assert await found(place, world) == []
    world.issuer = make_issuer(world.store, world.issuer_keys, world.kept, world.clock, world.new_id)
    await world.issuer.start()
    await world.complete("N-3", person(3, "李四"), document="其他")
    await world.issue()
    alone = await world.store.checkpoint()
    assert signers(alone) == 1
    assert offline.check_checkpoint(alone, ORIGIN, new).size == len(await world.entries())
    with pytest.raises(LedgerRefused):
        offline.check_checkpoint(alone, ORIGIN, old)
    assert await found(place, world) == []


async def test_a_kept_checkpoint_of_a_retired_key_still_keeps_the_ledger_from_forking(
    place: Place, own_world: World
) -> None:
    world = own_world
    await granted(world)
    key_rotation.prepare(place.secrets, Purpose.CHECKPOINT, world.now)
    key_rotation.promote(place.secrets, Purpose.CHECKPOINT)
    key_rotation.settle(place.secrets, Purpose.CHECKPOINT, world.now)
    after = keyfiles.load_issuer_keys(place.secrets)
    assert signers(world.kept.note) == 1
    await make_issuer(world.store, after, world.kept, world.clock, world.new_id).start()
    await world.sql("update nodes set hash = :hash", hash=bytes(32))
    with pytest.raises(LedgerRefused):
        await make_issuer(world.store, after, world.kept, world.clock, world.new_id).start()


async def test_a_step_signs_with_the_keys_that_it_began_with(place: Place, own_world: World) -> None:
    world = own_world
    await granted(world)
    assert (await verified(world, 0)).status == "valid"
    old = world.issuer_keys.record.kid
    world.now += timedelta(hours=1)
    await step(place, world, Purpose.RECORD, promote=False)
    assert world.issuer_keys.record.kid == old


# A running service


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def test_a_running_service_publishes_and_takes_up_without_a_restart(place: Place) -> None:
    chosen = settings(place.directory, place.installation)

    async def published_by(address: str) -> tuple[set[str], int]:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{address}/.well-known/jwks.json") as response:
                kids = {key.kid for key in keys.load_jwks(await response.read())}
            async with session.get(f"{address}/ledger/key") as response:
                return kids, len((await response.text()).splitlines())

    async with running(chosen) as (service, address):
        before, lines = await published_by(address)
        assert (len(before), lines) == (3, 1)
        assert await command("secrets", "rotate", "record") == 0
        assert await command("secrets", "rotate", "checkpoint") == 0
        during, lines = await published_by(address)
        [coming] = during - before
        assert lines == 2
        assert service.issuer._keys.record.kid != coming
        assert service.issuer._keys.coming is not None
        assert await command("secrets", "rotate", "record", "--now") == 0
        after, _ = await published_by(address)
        assert after == during
        assert service.issuer._keys.record.kid == coming
        (place.secrets / "status.pem").chmod(0o644)
        assert await command("secrets", "rotate", "record") == 2
    place.capsys.readouterr()


# Law 8: who hears does not issue


def reachable(root: object) -> Iterator[object]:
    """Everything that can be got at from an object, without what every function can: modules and classes."""
    waiting, seen = [root], set[int]()
    while waiting:
        one = waiting.pop()
        # The crew is woken through the store; in embedded mode it runs the issuer too.
        if id(one) in seen or isinstance(one, ModuleType | type | Crew):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, FunctionType):
            waiting += [one.__closure__, one.__defaults__, one.__kwdefaults__]
        else:
            waiting += gc.get_referents(one)


async def test_nothing_that_the_web_is_handed_holds_a_signer(place: Place) -> None:
    # Before it starts: a running task leads to every other.
    service = compose(settings(place.directory, place.installation))
    kinds = (keyfiles.FileSigner, IssuerKeys, Issuer)
    assert any(isinstance(one, Store) for one in reachable(service.services))
    web = {type(one).__name__ for one in reachable(service.services) if isinstance(one, kinds)}
    whole = {type(one).__name__ for one in reachable(service) if isinstance(one, kinds)}
    await service.close()
    assert web == set()
    assert whole == {"FileSigner", "Issuer", "IssuerKeys"}


def test_the_moment_of_a_rotation_is_told_in_utc(place: Place) -> None:
    ready = place.rotate("record")["next_may_sign_from"]
    assert datetime.fromisoformat(ready).utcoffset() == timedelta(0)
