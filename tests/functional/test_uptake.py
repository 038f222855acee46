"""What is adopted reaches every process: those that decide, those that verify, and what was under way."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.functional.test_adoption import LATE, changed, compromise, lived, policy_form, stolen
from tests.functional.world import BY_SLUG, World
from verifier import evaluator, parts
from verifier.adoption import Rulebooks
from verifier.cli.simulator import person
from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.model.delivery import DeliveryOutcome, ItemState
from verifier.pipeline import Rulebook
from verifier.preparing import HERE, Prepared
from verifier.receiving import ATTEMPTS, Receiving, Threads
from verifier.store.store import Store
from verifier.uptake import Uptake

SOMEBODY = person(9, "学员乙")


class Process:
    """A further process over the world's database, which began while its register was in force."""

    def __init__(self, world: World) -> None:
        self.world, self.rulebooks, self.secrets = world, Rulebooks(world.rulebook), True
        self.store = Store(
            world.store.database, world.keys, clock=world.clock, randbytes=os.urandom, new_id=world.new_id
        )
        forms = (policy_form(world), changed(world.installation)[1])
        self.uptake = Uptake(self.rulebooks, world.rulebook, forms, self.secret)
        self.store.take_up = self.uptake.take_up
        self.commit = parts.group_commit(self.store, self.rulebooks).submit

    def secret(self, name: str) -> bytes:
        if not self.secrets:
            raise ConfigurationError(Code.KEY_REFUSED, "the key file cannot be read", pointer=name)
        return (self.world.installation.secrets_dir / name).read_bytes()

    async def submit(
        self, number: str, commit: Callable[[Prepared], Awaitable[DeliveryOutcome | None]] | None = None
    ) -> DeliveryOutcome:
        """A completion on its way through this process."""
        world, threads = self.world, Threads()
        message = world.cvt.completed(world.course(number, SOMEBODY))
        prepared = world.prepared(world.cvt.delivery(message, f"d-{number}", world.now))
        callback = prepared.claim.authenticated.callback
        receiving = Receiving(
            self.store.documents,
            commit or self.commit,
            self.rulebooks,
            world.keys.digest,
            world.clock,
            HERE,
            threads,
        )
        try:
            return await receiving.submit(BY_SLUG[callback.platform], callback)
        finally:
            threads.close()

    @property
    def register(self) -> str:
        return self.rulebooks().register.digest


async def adopt_elsewhere(world: World) -> str:
    """Another process adopts the register in which a key is stolen."""
    register, form = stolen(world)
    assert await world.operations.adopt([form], lambda: None)
    world.register, world.rulebook = register, Rulebook(world.rulebook.policies, register)
    return register.digest


async def test_what_was_verified_before_an_adoption_is_verified_again_and_not_recorded_as_if_after(
    world: World,
) -> None:
    await lived(world)
    process, seen = Process(world), list[str]()

    async def adopted_meanwhile(prepared: Prepared) -> DeliveryOutcome | None:
        seen.append(prepared.register)
        if len(seen) == 1:
            seen.append(await adopt_elsewhere(world))
        return await process.commit(prepared)

    outcome = await process.submit("N-9", adopted_meanwhile)
    before, adopted, after = seen
    assert before != adopted == after == process.register
    assert [(item.state, item.code) for item in outcome.items] == [(ItemState.REFUSED, Code.KEY_COMPROMISED)]
    assert await world.sql("select number from completions where number = 'N-9'") == []


async def test_a_register_that_never_rests_is_told_as_too_much_to_do(small_world: World) -> None:
    process, tries = Process(small_world), list[str]()

    async def outdated(prepared: Prepared) -> None:
        tries.append(prepared.register)

    with pytest.raises(Unavailable) as refused:
        await process.submit("N-9", outdated)
    assert (refused.value.code, len(tries)) == (Code.OVERLOADED, ATTEMPTS)


async def test_whoever_decides_takes_up_what_another_process_adopted_and_goes_on_at_once(
    world: World,
) -> None:
    await lived(world)
    process = Process(world)
    digest = await adopt_elsewhere(world)
    assert process.register != digest
    while await evaluator.step(process.store, process.rulebooks, clock=world.clock, new_id=world.new_id):
        pass
    assert process.register == digest
    assert await world.states(LATE) == ["granted", "refused"]
    pins = await world.sql("select trace from decisions order by decided_at desc, revision desc limit 1")
    assert json.loads(pins[0][0])["pins"]["register"] == digest


async def test_who_only_looks_finds_it_too_and_exchanges_nothing_without_need(small_world: World) -> None:
    world = small_world
    process = Process(world)
    assert await process.uptake.step(process.store) == 0
    assert process.rulebooks.exchanged == 0  # nothing was adopted yet
    await lived(world)
    process = Process(world)
    await process.uptake.step(process.store)
    assert process.rulebooks.exchanged == 0
    digest = await adopt_elsewhere(world)
    await process.uptake.step(process.store)
    assert (process.register, process.rulebooks.exchanged) == (digest, 1)
    await process.uptake.step(process.store, anew=True)
    assert (process.register, process.rulebooks.exchanged) == (digest, 2)


async def test_what_is_in_force_counts_also_where_the_clock_of_whoever_adopted_it_is_behind(
    small_world: World,
) -> None:
    world = small_world
    await lived(world)
    process = Process(world)
    world.now -= timedelta(days=1)
    digest = await adopt_elsewhere(world)
    await process.uptake.step(process.store)
    assert process.register == digest


async def test_what_cannot_be_taken_up_is_never_decided_by_and_is_said_until_it_can(
    small_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = small_world
    await lived(world)
    process = Process(world)
    digest = await adopt_elsewhere(world)
    process.secrets = False
    for _ in range(2):
        await process.uptake.step(process.store)
    assert process.uptake.failures() == ("rules: key_refused",)
    assert caplog.text.count("cannot be taken up") == 1
    with pytest.raises(ConfigurationError):
        await process.submit("N-9")
    assert await world.sql("select delivery_id from deliveries where delivery_id = 'd-N-9'") == []
    process.secrets = True
    await process.uptake.step(process.store)
    assert (process.uptake.failures(), process.register) == ((), digest)


async def test_reading_processes_are_started_anew_with_another_register_even_if_nothing_was_counted(
    small_world: World,
) -> None:
    secrets = small_world.installation.secrets_dir
    rulebooks = Rulebooks(small_world.rulebook)
    before = parts.rules_apart(rulebooks, (), secrets).version
    register = replace(changed(small_world.installation, compromise)[0], packed="packed")
    rulebooks._in_force = Rulebook(small_world.rulebook.policies, register)  # between the two halves of it
    half = parts.rules_apart(rulebooks, (), secrets).version
    rulebooks.take_up(rulebooks())  # its secrets may be others
    assert len({before, half, parts.rules_apart(rulebooks, (), secrets).version}) == 3
