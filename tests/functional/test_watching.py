"""What is watched of the platforms, on both databases and over HTTP: failures, silence, missing numbers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional import process, web_fakes
from tests.functional.process import CLIENT_JWK, Caller, eventually, running
from tests.functional.world import Installation, World, over
from verifier import watch
from verifier.cli.simulator import person
from verifier.errors import Code, Unavailable
from verifier.model.delivery import PlatformSlug
from verifier.ports.watching import KEPT_FAILURES, SHOWN_GAPS, Failure, Gap
from verifier.watch import FailureWriter, SilenceWatch
from verifier.web.services import Failures

pytestmark = pytest.mark.untraced

CVT, XZY = PlatformSlug("china_vocational_training"), PlatformSlug("new_occupation")
LI = person(1, "阿依古丽·买买提")


def failure(serial: int, at: datetime = datetime(2021, 7, 1, tzinfo=UTC)) -> Failure:
    return Failure(at + timedelta(seconds=serial), f"request-{serial:04d}", "timestamp")


# --- failures


async def test_the_newest_hundred_failures_of_each_platform_are_kept(world: World) -> None:
    for start in range(0, 250, 50):
        await world.store.keep_failures({CVT: [failure(serial) for serial in range(start, start + 50)]})
    await world.store.keep_failures({XZY: [failure(7)]})
    kept = await world.store.failures(CVT)
    assert kept == [failure(serial) for serial in range(249, 249 - KEPT_FAILURES, -1)]
    assert await world.store.failures(XZY) == [failure(7)]
    assert await world.sql("select count(*) from failures") == [(KEPT_FAILURES + 1,)]
    assert await world.store.failures("nobody") == []


async def test_failures_of_one_moment_are_bounded_too_and_one_written_again_is_one(world: World) -> None:
    same = [replace(failure(serial), at=world.now) for serial in range(KEPT_FAILURES + 20)]
    for _ in range(2):
        await world.store.keep_failures({CVT: same})
    kept = await world.store.failures(CVT)
    assert kept == sorted(same, key=lambda one: one.request_id, reverse=True)[:KEPT_FAILURES]


async def test_a_step_of_any_length_is_written(world: World) -> None:
    await world.store.keep_failures({CVT: [replace(failure(1), step="x" * 100)]})
    assert [one.step for one in await world.store.failures(CVT)] == ["x" * 64]


async def test_failures_are_no_evidence(world: World) -> None:
    await world.complete("N-1", LI)
    await world.store.keep_failures({CVT: [failure(1), failure(2)]})
    await world.settle()
    before = await world.sql("select count(*) from evidence")
    await world.sql("delete from failures where step = 'timestamp'")
    assert await world.sql("select count(*) from evidence") == before
    assert await world.fsck() == []


async def test_failures_survive_a_restart_and_those_of_all_processes_are_listed(
    url: str, installation: Installation
) -> None:
    one = await over(url, installation)
    buffers = Failures(), Failures()
    for serial, buffer in enumerate(buffers):
        buffer.note(CVT, failure(serial))
        await FailureWriter(one.store, buffer, one.clock).step()
    await one.store.database.close()
    again = await over(url, installation)
    assert await again.store.failures(CVT) == [failure(1), failure(0)]
    await again.store.database.close()


async def test_two_processes_may_write_at_once(world: World) -> None:
    batches: list[dict[str, list[Failure]]] = [
        {slug: [failure(n * 1000 + serial) for serial in range(60)] for slug in slugs}
        for n, slugs in enumerate([(CVT, XZY), (XZY, CVT)] * 3)
    ]
    await asyncio.gather(*(world.store.keep_failures(batch) for batch in batches))
    for slug in (CVT, XZY):
        assert await world.store.failures(slug) == [
            failure(5000 + serial) for serial in reversed(range(60))
        ] + [failure(4000 + serial) for serial in reversed(range(20, 60))]


# --- sequence numbers


async def deliver(world: World, *sequences: int | None) -> None:
    """One delivery for each number, of the same completion: only the numbers matter."""
    message = world.cvt.completed(world.course("N-1", LI))
    group = []
    for sequence in sequences:
        prepared = world.prepared(world.cvt.delivery(message, world.new_id(), world.now))
        numbered = replace(prepared.claim.authenticated, sequence=sequence)
        group.append(replace(prepared, claim=replace(prepared.claim, authenticated=numbered)))
    await world.commit(group)


async def test_missing_numbers_are_those_between_the_smallest_and_the_largest(world: World) -> None:
    assert await world.store.gaps(CVT) == []
    await deliver(world, 1_000_007, 5, None)
    await deliver(world, 9, 6)
    assert await world.store.gaps(CVT) == [Gap(7, 8), Gap(10, 1_000_006)]
    assert await world.store.gaps(XZY) == []
    await deliver(world, 8, 8, 7, 2**53 - 1)
    assert await world.store.gaps(CVT) == [Gap(10, 1_000_006), Gap(1_000_008, 2**53 - 2)]
    # A number that cannot be counted with is no reason to turn a delivery away.
    await deliver(world, -1, 2**53, 2**70)
    assert (await world.store.gaps(CVT))[-1] == Gap(1_000_008, 2**53 - 2)
    assert (await world.store.tally(CVT)).states == {"accepted": 12}
    await world.settle()
    assert await world.fsck() == []


async def test_the_sequence_is_evidence(world: World) -> None:
    await deliver(world, 5)
    await world.settle()
    await world.sql("update deliveries set sequence = 6")
    assert [finding.kind for finding in await world.fsck()] == ["row_altered"]


async def test_at_most_a_hundred_ranges_are_named_the_lowest_first(world: World) -> None:
    await deliver(world, *range(0, 2 * SHOWN_GAPS + 20, 2))
    found = await world.store.gaps(CVT)
    assert found == [Gap(number, number) for number in range(1, 2 * SHOWN_GAPS, 2)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.sets(st.integers(0, 40), min_size=1, max_size=15))
async def test_ranges_hold_exactly_what_did_not_come(small_world: World, numbers: set[int]) -> None:
    await small_world.sql("delete from deliveries where sequence is not null")
    await deliver(small_world, *numbers)
    named = {number for gap in await small_world.store.gaps(CVT) for number in range(gap.first, gap.last + 1)}
    assert named == set(range(min(numbers), max(numbers) + 1)) - numbers


# --- silence


async def test_the_last_delivery_counts_whatever_became_of_it(world: World) -> None:
    assert await world.store.last_deliveries([CVT, XZY]) == {}
    start = world.now
    await world.complete("N-1", LI)
    world.now += timedelta(hours=1)
    [refused] = await world.post(world.cvt.delivery({"type": 1}, "d-2", world.now))
    assert refused.code is Code.DELIVERY_UNREADABLE
    assert await world.store.last_deliveries([CVT, XZY]) == {CVT: start + timedelta(hours=1)}
    world.now += timedelta(hours=1)
    await world.complete_elsewhere("N-2", LI)
    await world.complete("N-3", LI)
    assert await world.store.last_deliveries([CVT]) == {CVT: start + timedelta(hours=2)}
    tally = await world.store.tally(CVT)
    assert (tally.states, tally.attention) == ({"accepted": 2, "quarantined": 1}, 1)
    assert (await world.store.tally("nobody")).states == {}


async def test_silence_is_noticed_in_what_is_stored(world: World) -> None:
    alarms: list[str] = []
    registered = world.register.platforms
    platforms = {slug: replace(registered[slug], silence_hours=24) for slug in (CVT, XZY)}
    register = replace(world.register, platforms=platforms)
    looking = SilenceWatch(
        world.store,
        lambda: register,
        world.clock,
        lambda _: None,
        lambda found: alarms.append(found.platform),
    )
    await world.complete("N-1", LI)
    await looking.step()
    assert alarms == [XZY]
    world.now += timedelta(hours=24)
    await looking.step()
    assert alarms == [XZY, CVT]


async def test_an_operator_sees_what_came_of_each_platform_and_what_did_not(world: World) -> None:
    await deliver(world, 1, 4)
    listed = await world.operations.run("platforms list", {})
    [mine] = [one for one in listed["platforms"] if one["platform"] == CVT]
    assert mine == {
        "platform": "china_vocational_training",
        "name": "中国职业培训在线",
        "profile": "assumed",
        "registered": True,
        "recognised": True,
        "last_delivery": "2021-07-01T04:00:00Z",
        "deliveries": {"accepted": 2},
        "attention": 0,
        "silence_hours": None,
        "silent": False,
        "missing_sequences": [{"from": 2, "to": 3}],
    }
    [other] = [one for one in listed["platforms"] if one["platform"] == XZY]
    assert (other["last_delivery"], other["deliveries"], other["missing_sequences"]) == (None, {}, [])


async def test_a_platform_that_no_register_names_is_listed_as_such(world: World) -> None:
    world.register = replace(world.register, platforms={}, issuers={})
    listed = await world.operations.run("platforms list", {})
    assert {(one["registered"], one["recognised"], one["silent"]) for one in listed["platforms"]} == {
        (False, False, False)
    }


# --- the service


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def forge(session: aiohttp.ClientSession, address: str, times: int) -> None:
    """Deliveries that nobody signed."""
    for _ in range(times):
        path = f"{address}/v1/callbacks/{CVT}"
        headers = {"Content-Type": "application/json"}
        async with session.post(path, data=b"{}", headers=headers) as answer:
            assert answer.status == 401


async def listed(session: aiohttp.ClientSession, address: str) -> Any:
    return await Caller(session, address, "sender").get(f"/v1/platforms/{CVT}/deliveries")


async def test_a_platform_sees_its_failures_after_a_restart_and_a_flood_writes_a_bounded_number(
    tmp_path: Path,
    sqlite: str,
    installation: Installation,
    session: aiohttp.ClientSession,
) -> None:
    made = process.settings(tmp_path, installation)
    assert made.database_url == sqlite
    async with running(made) as (service, address):
        client = {"client": "sender", "role": "platform", "platform": CVT, "jwk": CLIENT_JWK}
        await service.operations.run("clients add", client)
        await forge(session, address, KEPT_FAILURES + 20)
        before = (await listed(session, address))["authentication_failures"]
    async with running(made) as (service, address):
        after = await listed(session, address)
        assert after["authentication_failures"] == before
        assert len(before) == KEPT_FAILURES
        assert {one["step"] for one in before} == {"header_missing"}
        assert after["missing_sequences"] == []
        await forge(session, address, 1)
        # This one waits in memory, and is listed before it is written.
        newest = (await listed(session, address))["authentication_failures"]
        assert (newest[1:], len(newest)) == (before[:-1], KEPT_FAILURES)
        rows = await service.store.failures(CVT)
        assert len(rows) == KEPT_FAILURES


async def test_a_worker_writes_failures_and_measures_silence(
    tmp_path: Path,
    installation: Installation,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "WRITTEN_EVERY", timedelta())
    register = tmp_path / "register" / "trust.toml"
    register.parent.mkdir()
    text = installation.sandbox.register.read_text(encoding="utf-8")
    named = f'slug = "{XZY}"\n'
    register.write_text(text.replace(named, f"{named}silence_hours = 1\n"), encoding="utf-8")
    (register.parent / "issuers").symlink_to(installation.sandbox.register.parent / "issuers")
    made = replace(process.settings(tmp_path, installation), register=register)
    with caplog.at_level(logging.INFO, "verifier.web.audit"):
        async with running(made) as (service, address):
            await forge(session, address, 1)

            async def written() -> bool:
                return len(await service.store.failures(CVT)) == 1

            await eventually(written, "the failure is written")

            async def measured() -> bool:
                async with session.get(f"{address}/metrics") as answer:
                    return f'platform_silent{{platform="{XZY}"}} 1.0' in await answer.text()

            await eventually(measured, "the silence is measured")
            async with session.get(f"{address}/metrics") as answer:
                metrics = await answer.text()
    assert f'platform_silent{{platform="{CVT}"}} 0.0' in metrics
    assert "platform_seconds_since_delivery{" not in metrics
    alarms = [json.loads(one.message) for one in caplog.records if '"alarm"' in one.message]
    assert alarms == [{"event": "alarm", "code": "platform_silent", "platform": XZY}]


async def test_without_a_database_the_last_failures_are_given_up_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Nothing:
        async def keep_failures(self, failures: object) -> None:
            del failures
            raise Unavailable(Code.STORE_UNAVAILABLE)

    buffer = Failures()
    buffer.note(CVT, failure(1))
    await FailureWriter(Nothing(), buffer, lambda: datetime.now(UTC)).finish()
    assert "were not written" in caplog.text


async def test_a_platform_is_told_its_missing_numbers_and_its_failures_of_every_process_in_one_order() -> (
    None
):
    async with web_fakes.serving() as served:
        stored = [replace(failure(serial), at=web_fakes.NOW + timedelta(seconds=serial)) for serial in (3, 1)]
        waiting = replace(failure(2), at=web_fakes.NOW + timedelta(seconds=2))
        served.reading.written, served.reading.missing = stored, [Gap(7, 8), Gap(12, 12)]
        for one in (waiting, stored[0]):
            served.services.failures.note("fake_platform", one)
        status, _, body = await served.call("GET", "/v1/platforms/fake_platform/deliveries", client="plat")
        told = json.loads(body)
    assert status == 200
    assert told["missing_sequences"] == [{"from": 7, "to": 8}, {"from": 12, "to": 12}]
    assert [one["request_id"] for one in told["authentication_failures"]] == [
        "request-0003",
        "request-0002",
        "request-0001",
    ]


async def test_postgresql_looks_at_the_tables_when_it_is_told_and_sqlite_is_left_alone(world: World) -> None:
    await world.complete("N-1", person(1, "张三"))
    await world.settle()
    assert await world.store.entries() == len(await world.sql("select position from entries"))
    await world.store.analyse()
    if world.store.database.dialect == "sqlite":
        assert await world.sql("select name from sqlite_master where name like 'sqlite_stat%'") == []
    else:
        known = await world.sql("select reltuples from pg_class where relname in ('deliveries', 'learners')")
        assert known == [(1.0,), (1.0,)]
