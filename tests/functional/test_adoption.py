"""A register is tried out without a trace, taken up without a restart, and reaches what was accepted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.functional.process import running, settings
from tests.functional.world import BUREAU, FACTORY, Installation, World, over
from verifier import adoption, evaluator, pipeline
from verifier import replay as replays
from verifier.adoption import AdoptionDesk, Rulebooks
from verifier.claims import Asked
from verifier.cli.sandbox import CVT_ISSUER
from verifier.cli.simulator import ChinaVocationalTraining, person
from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.keyring import Register, load_packed, pack
from verifier.keyring.editing import Entry, Kind, Source
from verifier.model.decision import Entitlement, State
from verifier.model.delivery import DeliveryOutcome, ItemState
from verifier.model.time import iso
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import load
from verifier.ports.intake import IntakeTransaction
from verifier.ports.operating import OperatingTransaction
from verifier.settings import Settings
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.store.tables import metadata

pytestmark = pytest.mark.untraced

T = TypeVar("T")
EARLY, LATE = person(1, "阿依古丽·买买提"), person(2, "王小明")
SINCE: Final = datetime(2021, 7, 2, 4, tzinfo=UTC)
STOLEN: Final = Entry(Kind.KEY, CVT_ISSUER, "cvt-2021")
NEW: Final = SigningKey("cvt-2022", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


def form_of(register: Register, files: Mapping[str, bytes]) -> SourceForm:
    return SourceForm("register", register.digest, pack(files), {})


def source_files(installation: Installation) -> dict[str, bytes]:
    """The register's files, as they stand."""
    register = installation.sandbox.register
    files = {f"issuers/{path.name}": path.read_bytes() for path in (register.parent / "issuers").iterdir()}
    return {"trust.toml": register.read_bytes(), **files}


def changed(
    installation: Installation, *acts: Callable[[Source], None], **files: bytes
) -> tuple[Register, SourceForm]:
    """The sandbox's register with changes."""
    found = source_files(installation) | {f"issuers/{name}.pem": content for name, content in files.items()}
    source = Source(found["trust.toml"])
    for act in acts:
        act(source)
    found["trust.toml"] = source.written()
    secrets = installation.secrets_dir
    register = load_packed(pack(found), lambda name: (secrets / name).read_bytes())
    return register, form_of(register, found)


def compromise(source: Source) -> None:
    source.change(STOLEN, {"state": "compromised", "compromised_since": SINCE})


def successor(source: Source) -> None:
    values = {"algorithm": "ES256", "file": "new.pem", "state": "active"}
    source.add(replace(STOLEN, name=NEW.kid), {**values, "not_before": datetime(2021, 1, 1, tzinfo=UTC)})


def stolen(world: World) -> tuple[Register, SourceForm]:
    return changed(world.installation, compromise)


def policy_form(world: World) -> SourceForm:
    policy = world.rulebook.policy
    return SourceForm("policy", policy.digest, Settings().policy.read_text(encoding="utf-8"), {})


async def lived(world: World) -> None:
    """One completion was received just before the moment of the compromise, one at it; their dates agree."""
    register = changed(world.installation)
    await world.operations.adopt([policy_form(world), register[1]])
    take_up(world, register[0])
    await world.employ(FACTORY, EARLY, LATE)
    world.now = SINCE - timedelta(microseconds=1)
    await world.complete("N-1", EARLY)
    world.now = SINCE
    await world.complete("N-2", LATE)
    await world.issue()
    assert await world.states(EARLY) == await world.states(LATE) == ["granted"]


def take_up(world: World, register: Register) -> None:
    world.register, world.rulebook = register, Rulebook(world.rulebook.policies, register)


async def adopt(world: World, register: Register, form: SourceForm) -> None:
    world.now += timedelta(days=1)
    assert await world.operations.adopt([form], lambda: take_up(world, register))
    await world.settle()


async def tried(world: World, register: Register) -> tuple[int, list[adoption.Change]]:
    people, found = 0, list[adoption.Change]()
    async for part in adoption.preview(world.store, Rulebook(world.rulebook.policies, register), world.clock):
        people += part.people
        found += part.changes
    return people, found


async def everything(world: World) -> dict[str, list[Any]]:
    """Every row of every table."""
    return {
        table.name: sorted(map(repr, await world.sql(f"select * from {table.name}")))  # noqa: S608 - our own names
        for table in metadata.sorted_tables
    }


async def replayed(world: World) -> list[bool | None]:
    decisions = [one for (one,) in await world.sql("select decision_id from decisions")]
    return [
        (await world.store.replaying(lambda tx, one=one: replays.replay(tx, one))).same  # type: ignore[misc] # mypy infers no type for such a lambda
        for one in decisions
    ]


# --- what was accepted already


async def test_what_was_first_received_since_the_compromise_falls_whatever_date_it_bears(
    world: World,
) -> None:
    await lived(world)
    await adopt(world, *stolen(world))
    assert await world.states(EARLY) == ["granted"]
    assert await world.states(LATE) == ["granted", "refused"]
    [*_, record] = await world.records()
    assert (record.learner_id, record.kind) == (await world.learner(LATE), "revoked")
    [(_, _, number, _)] = await world.slots()
    assert number == "N-1"
    assert await replayed(world) == [True, True, True]
    assert await world.fsck() == []


async def test_the_refusal_names_the_key_as_the_reason_and_nobody(small_world: World) -> None:
    await lived(small_world)
    await adopt(small_world, *stolen(small_world))
    [*_, record] = await small_world.records()
    said = await small_world.operations.explain({"id": record.record_id})
    proof = next(clause for clause in said["trace"]["clauses"] if clause["clause"] == "course-proof")
    assert (proof["revision"], proof["outcome"]["answer"]) == (2, "not_met")
    assert "失密" in proof["outcome"]["why"]
    assert LATE.name not in str(said)


async def test_a_paid_month_is_asked_back(small_world: World) -> None:
    world = small_world
    await lived(world)
    late = await world.learner(LATE)
    [record] = [one for one in await world.records() if one.learner_id == late]
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.claims.step(BUREAU, record.record_id, "paid", "pay-1", "")
    await adopt(world, *stolen(world))
    assert await world.states(LATE) == ["granted", "refused"]
    [state] = [state for learner, state, *_ in await world.slots() if learner == record.learner_id]
    assert state == "clawback_due"


async def test_a_second_completion_by_a_sound_key_takes_the_month(small_world: World) -> None:
    world = small_world
    await lived(world)
    await world.complete_elsewhere("X-1", LATE)
    await adopt(world, *stolen(world))
    assert await world.states(LATE) == ["granted", "granted"]
    assert [number for _, _, number, _ in await world.slots()].count("X-1") == 1


async def test_an_issuer_mends_it_by_signing_the_same_certificate_with_a_new_key(world: World) -> None:
    await lived(world)
    public = NEW.verification_key.public
    assert isinstance(public, ec.EllipticCurvePublicKey)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    await adopt(world, *changed(world.installation, compromise, successor, new=pem))
    sandbox = world.installation.sandbox
    keys = {**sandbox.certificate_keys, NEW.kid: NEW}
    cvt = ChinaVocationalTraining(replace(sandbox, certificate_keys=keys))
    course = world.course("N-2", LATE)
    for kid, state in ((STOLEN.name, ItemState.REFUSED), (NEW.kid, ItemState.ACCEPTED)):
        message = cvt.completed(course, certificate=cvt.certificate(course, kid=kid))
        [outcome] = await world.post(cvt.delivery(message, world.new_id(), world.now))
        assert [item.state for item in outcome.items] == [state]
    assert await world.states(LATE) == ["granted", "refused", "granted"]
    assert await replayed(world) == [True] * 4


async def test_a_register_that_takes_the_compromise_back_grants_again(small_world: World) -> None:
    world = small_world
    await lived(world)
    await adopt(world, *stolen(world))
    await adopt(world, *changed(world.installation))
    assert await world.states(LATE) == ["granted", "refused", "granted"]
    assert await replayed(world) == [True] * 4


async def test_decisions_by_the_clauses_first_revision_are_replayed_by_it(small_world: World) -> None:
    world = small_world
    released = Path(__file__).parents[1] / "policy" / "online-training-month-2.toml"
    written = released.read_text(encoding="utf-8")
    for now in ("revision = 2\nentitlement", '"course-proof", revision = 2'):
        assert now in written
        written = written.replace(now, now.replace("2", "1"))
    first, (register, form) = load(written.encode()), stolen(world)
    await world.operations.adopt([SourceForm("policy", first.digest, written, {}), form])
    world.rulebook = Rulebook((first,), register)
    await world.employ(FACTORY, LATE)
    # Verified under the register before, decided under this one; the first revision does not ask about keys.
    world.now = SINCE
    await world.complete("N-1", LATE)
    assert await world.states(LATE) == ["granted"]
    assert await replayed(world) == [True]


# --- trying it out


async def test_a_trial_lists_exactly_what_adopting_changes_and_leaves_no_trace(world: World) -> None:
    await lived(world)
    before, entries = await everything(world), await world.entries()
    register, form = stolen(world)
    people, found = await tried(world, register)
    assert await everything(world) == before
    assert await world.entries() == entries
    [(decision,)] = await world.sql(
        "select decision_id from decisions where learner_id = :who", who=await world.learner(LATE)
    )
    assert people == 2
    month = Entitlement("online-training-month")
    fall = adoption.Change(decision, await world.learner(LATE), State.GRANTED, State.REFUSED, month)
    assert found == [fall]
    await adopt(world, register, form)
    assert await world.states(LATE) == ["granted", "refused"]
    assert await tried(world, register) == (2, [])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
async def test_everyone_is_tried_once_in_slices_of_any_size(
    small_world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    world = small_world
    people = [person(serial, "学员甲") for serial in range(10, 15)]
    await world.employ(FACTORY, *people)
    world.now = SINCE
    for serial, one in enumerate(people):
        await world.complete(f"N-{serial}", one)
    monkeypatch.setattr(adoption, "SLICE", size)
    tried_on, found = await tried(world, stolen(world)[0])
    assert (tried_on, len(found)) == (5, 5)
    assert [change.learner_id for change in found] == sorted(change.learner_id for change in found)


async def test_with_nobody_judged_nothing_is_tried(small_world: World) -> None:
    assert await tried(small_world, stolen(small_world)[0]) == (0, [])


# --- taking it up


@dataclass
class Quick:
    """A store whose evaluator works before whoever adopts hears that the transaction was committed."""

    world: World
    rulebooks: Rulebooks

    async def operating(self, work: Callable[[OperatingTransaction], T]) -> T:
        result = await self.world.store.operating(work)
        await evaluator.step(
            self.world.store, self.rulebooks, clock=self.world.clock, new_id=self.world.new_id
        )
        return result


def desk(world: World, units: Any, rulebooks: Rulebooks) -> tuple[AdoptionDesk, str]:
    register, form = stolen(world)

    async def read() -> tuple[Register, SourceForm]:
        return register, form

    operations = replace(world.operations, units=units)
    return AdoptionDesk(operations, rulebooks, read), form.digest


async def test_an_evaluator_that_is_quick_judges_by_the_new_register_already(small_world: World) -> None:
    world = small_world
    await lived(world)
    rulebooks = Rulebooks(world.rulebook)
    adopting, digest = desk(world, Quick(world, rulebooks), rulebooks)
    answer = await adopting.adopt_register({"digest": digest})
    assert answer == {"register": digest, "adopted": True, "before": world.register.digest}
    assert rulebooks().register.digest == digest
    assert await world.states(LATE) == ["granted", "refused"]


async def test_nobody_decides_by_a_rulebook_that_was_replaced(world: World) -> None:
    await lived(world)
    before, (register, form) = world.rulebook, stolen(world)
    first, second = [
        world.prepared(world.cvt.delivery(world.cvt.completed(course), f"d-{course.number}", world.now))
        for course in (world.course("N-9", person(9, "学员乙")), world.course("N-8", LATE))
    ]
    await adopt(world, register, form)
    rulebooks = [before, before, world.rulebook]

    def by_turns(tx: IntakeTransaction) -> list[DeliveryOutcome]:
        rulebook = rulebooks.pop(0) if len(rulebooks) > 1 else rulebooks[0]
        return pipeline.record(tx, prepared, rulebook, world.now, world.new_id)

    # The process has not taken the new one up yet: tried again until it has.
    prepared = [first]
    [outcome] = await world.store.intake(by_turns)
    assert [(item.state, item.code) for item in outcome.items] == [(ItemState.ACCEPTED, None)]
    [(trace,)] = await world.sql(
        "select trace from decisions where learner_id = :who", who=await world.learner(person(9, "学员乙"))
    )
    assert json.loads(trace)["pins"]["register"] == register.digest
    rulebooks[:], prepared = [before], [second]
    with pytest.raises(Unavailable):
        await world.store.intake(by_turns)
    assert await world.sql("select 1 from deliveries where delivery_id = 'd-N-8'") == []


async def test_an_adoption_waits_for_whoever_decides(postgresql: str, installation: Installation) -> None:
    world = await over(postgresql, installation)
    await lived(world)
    register, form = stolen(world)
    engine = create_async_engine(postgresql)
    async with engine.connect() as deciding:
        await deciding.execute(text("select * from in_force for share"))
        adopting = asyncio.create_task(adopt(world, register, form))
        _, waiting = await asyncio.wait([adopting], timeout=0.3)
        assert waiting
        # Others may decide meanwhile: they share it.
        await world.complete("N-9", person(9, "学员乙"))
        await deciding.rollback()
        await adopting
    await engine.dispose()
    assert await world.states(LATE) == ["granted", "refused"]
    await world.store.database.close()


@dataclass
class Both:
    world: World
    operating: Any


async def test_what_cannot_be_written_is_not_in_force(small_world: World) -> None:
    world = small_world
    await lived(world)
    rulebooks = Rulebooks(world.rulebook)

    async def operating(work: Callable[[OperatingTransaction], T]) -> T:
        await world.store.operating(work)
        raise Unavailable(Code.STORE_UNAVAILABLE)

    adopting, digest = desk(world, Both(world, operating), rulebooks)
    with pytest.raises(Unavailable):
        await adopting.adopt_register({"digest": digest})
    assert rulebooks() == world.rulebook


async def test_only_what_the_operator_looked_at_is_adopted(small_world: World) -> None:
    rulebooks = Rulebooks(small_world.rulebook)
    adopting, _ = desk(small_world, small_world.store, rulebooks)
    for parameters in ({}, {"digest": "0" * 64}):
        with pytest.raises(ConfigurationError) as refused:
            await adopting.adopt_register(parameters)
        assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, "register")
    assert rulebooks() is small_world.rulebook
    assert await small_world.sql("select 1 from adoptions") == []


async def test_a_running_service_takes_it_up_and_keeps_the_old_one_while_the_new_one_is_wrong(
    installation: Installation, tmp_path: Path
) -> None:
    directory = tmp_path / "register"
    (directory / "issuers").mkdir(parents=True)
    for name, content in source_files(installation).items():
        (directory / name).write_bytes(content)
    chosen = replace(settings(tmp_path, installation), register=directory / "trust.toml")
    async with running(chosen) as (service, _):
        before = service.rules
        (directory / "trust.toml").write_bytes(b"[[platform]]")
        with pytest.raises(ConfigurationError):
            await service.operations.run("register adopt", {"digest": before.register.digest})
        assert service.rules is before
        register, form = changed(installation, compromise)
        (directory / "trust.toml").write_bytes(json.loads(form.content)["trust.toml"].encode())
        answer = await service.operations.run("register adopt", {"digest": register.digest})
        assert answer == {
            "register": register.digest,
            "adopted": True,
            "before": before.register.digest,
        }
        assert service.rules.register == register
        again = await service.operations.run("register adopt", {"digest": register.digest})
        assert again["adopted"] is False
        *_, adopted = await service.store.previewing(lambda tx: tx.adoptions("register"))
        assert (adopted.digest, json.loads(adopted.content)) == (register.digest, json.loads(form.content))


async def test_the_ledger_says_which_keys_are_compromised(
    installation: Installation, tmp_path: Path, small_world: World
) -> None:
    from verifier.sources import read_register

    _, form = changed(installation, compromise)
    (tmp_path / "issuers").mkdir()
    for name, content in json.loads(form.content).items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    chosen = replace(settings(tmp_path, installation), register=tmp_path / "trust.toml")
    _, read = read_register(chosen)
    await small_world.operations.adopt([read])
    await small_world.issue()
    [entry] = await small_world.entries("adoption")
    assert entry["compromised"] == [{"issuer": CVT_ISSUER, "key": STOLEN.name, "since": iso(SINCE)}]
