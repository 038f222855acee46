"""Answers of the feed that last: those that wait for an entry, and those sent in pieces."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.functional.web_fakes import Web, assert_problem, entry, serving
from verifier.errors import Code, Unavailable
from verifier.merkle import leaf_hash
from verifier.ports.reading import FeedEntry, Shows, every
from verifier.web import waiting
from verifier.web.services import HttpLimits
from verifier.web.waiting import Growth, Places

LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with feeding() as made:
        yield made


@asynccontextmanager
async def feeding(entries: int = 5, **limits: Any) -> AsyncIterator[Web]:
    async with serving(limits=HttpLimits(linger_seconds=0.1, **limits)) as made:
        made.reading.entries = [entry(index, "evidence", "") for index in range(entries)]
        made.reading.publish()
        yield made


def append(served: Web) -> None:
    served.reading.entries.append(entry(len(served.reading.entries), "evidence", ""))
    served.reading.publish()


async def pull(served: Web, query: str) -> dict[str, Any]:
    status, _, body = await served.call("GET", f"/v1/feed{query}", client="aud")
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never")


async def until_waiting(served: Web, count: int = 1) -> None:
    await until(lambda: len(served.services.waiters) >= count)


def at_rest(served: Web) -> bool:
    growth = served.services.growth
    idle = not growth._waiters and growth._watch is None and growth._loop is None
    return idle and len(served.services.waiters) == len(served.services.streams) == 0


# --- waiting ------------------------------------------------------------------------------------------------


async def test_who_has_something_behind_the_cursor_does_not_wait(served: Web) -> None:
    started = time.monotonic()
    assert (await pull(served, "?after=3&wait=30"))["next"] == 4
    assert time.monotonic() - started < 5


async def test_who_waits_is_answered_as_soon_as_something_is_appended(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 60)
    asked = asyncio.create_task(pull(served, "?after=4&wait=30"))
    await until_waiting(served)
    append(served)
    await asyncio.to_thread(served.services.growth.appended)
    answer = await asyncio.wait_for(asked, 5)
    assert ([one["index"] for one in answer["entries"]], answer["next"], answer["size"]) == ([5], 5, 6)
    assert at_rest(served)


async def test_what_another_process_appends_is_found_by_looking(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    asked = asyncio.create_task(pull(served, "?after=4&wait=30"))
    await until_waiting(served)
    append(served)
    assert (await asyncio.wait_for(asked, 5))["next"] == 5


async def test_when_time_is_up_the_answer_is_empty_and_the_cursor_stays(served: Web) -> None:
    answer = await pull(served, "?after=4&wait=1")
    assert (answer["entries"], answer["next"], answer["size"]) == ([], 4, 5)
    assert at_rest(served)


async def test_many_who_wait_share_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 60)
    async with feeding(waiters_per_client=20) as served:
        looks = 0
        really = served.reading.checkpoint

        async def counted() -> bytes:
            nonlocal looks
            looks += 1
            return await really()

        monkeypatch.setattr(served.reading, "checkpoint", counted)
        asked = [asyncio.create_task(pull(served, "?after=4&wait=30")) for _ in range(20)]
        await until_waiting(served, 20)
        await asyncio.sleep(0.05)
        before = looks
        assert before == 21  # each looked once for itself, and one for all
        append(served)
        served.services.growth.appended()
        assert {(await one)["next"] for one in asked} == {5}
        assert looks == before + 21


@pytest.mark.parametrize("limits", [{"waiters": 2}, {"waiters_per_client": 2}])
async def test_more_than_may_wait_are_told_to_come_again(limits: dict[str, int]) -> None:
    async with feeding(**limits) as served:
        asked = [asyncio.create_task(pull(served, "?after=4&wait=30")) for _ in range(2)]
        await until_waiting(served, 2)
        status, headers, body = await served.call("GET", "/v1/feed?after=4&wait=30", client="aud")
        assert_problem(status, headers, body, Code.OVERLOADED)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert (await pull(served, "?after=4"))["next"] == 4  # who does not wait needs no place
        append(served)
        served.services.growth.appended()
        assert [(await one)["next"] for one in asked] == [5, 5]


async def test_one_client_that_fills_its_places_leaves_others_theirs() -> None:
    async with feeding(waiters_per_client=1) as served:
        asked = asyncio.create_task(pull(served, "?after=4&wait=30"))
        await until_waiting(served)
        other = asyncio.create_task(served.call("GET", "/v1/feed?after=4&wait=30", client="sub"))
        await until_waiting(served, 2)
        append(served)
        served.services.growth.appended()
        assert ((await asked)["next"], (await other)[0]) == (5, 200)


async def test_who_goes_away_while_waiting_leaves_nothing_behind(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    asked = asyncio.create_task(pull(served, "?after=4&wait=30"))
    await until_waiting(served)
    asked.cancel()
    await until(lambda: at_rest(served))


async def test_a_service_that_ends_lets_everybody_go(served: Web) -> None:
    asked = asyncio.create_task(pull(served, "?after=4&wait=30"))
    await until_waiting(served)
    served.services.growth.close()
    assert (await asyncio.wait_for(asked, 5))["entries"] == []
    assert (await asyncio.wait_for(pull(served, "?after=4&wait=30"), 5))["entries"] == []


async def test_a_database_that_does_not_answer_keeps_them_waiting_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.01)
    growth, sizes = Growth(), iter([None, None, 7])

    async def size() -> int:
        found = next(sizes)
        if found is None:
            raise Unavailable(Code.STORE_UNAVAILABLE)
        return found

    await asyncio.wait_for(growth.beyond(size, 6, 60, lambda: False), 5)
    assert next(sizes, "all were asked") == "all were asked"


def test_what_nobody_waits_for_wakes_nobody() -> None:
    Growth().appended()


def test_a_place_is_given_back_whatever_happens() -> None:
    places = Places()
    with pytest.raises(LookupError), places.taken("a", most=1, of_one=1):
        raise LookupError
    assert len(places) == 0
    with places.taken("a", most=1, of_one=1), pytest.raises(Unavailable), places.taken("b", most=1, of_one=1):
        pass


# --- in pieces ----------------------------------------------------------------------------------------------


async def test_a_long_answer_is_read_page_by_page_and_stands_on_one_checkpoint() -> None:
    async with feeding(1201) as served:
        really = served.reading.feed

        async def grows(
            after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
        ) -> tuple[Sequence[FeedEntry], int]:
            page = await really(after, limit, shows, disclosed=disclosed)
            append(served)
            return page

        served.reading.feed = grows  # type: ignore[method-assign] # the ledger grows while it is read
        note = served.reading.note
        _, _, body = await served.call("GET", "/v1/feed?limit=100000", client="aud", headers=LINES)
        *entries, end = map(json.loads, body.splitlines())
        assert [one["index"] for one in entries] == list(range(1201))
        assert (end["next"], end["size"], end["checkpoint"].encode()) == (1200, 1201, note)
        assert served.reading.pages == [(-1, 1000), (999, 201)]


async def test_what_fails_within_an_answer_leaves_it_without_an_end() -> None:
    async with feeding(2000) as served:
        really = served.reading.feed

        async def fails(
            after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
        ) -> tuple[Sequence[FeedEntry], int]:
            if after >= 0:
                raise Unavailable(Code.STORE_UNAVAILABLE)
            return await really(after, limit, shows, disclosed=disclosed)

        served.reading.feed = fails  # type: ignore[method-assign] # the database goes away within an answer
        with pytest.raises(aiohttp.ClientPayloadError):
            await served.call("GET", "/v1/feed?limit=2000", client="aud", headers=LINES)
        assert at_rest(served)


async def test_what_fails_before_the_first_piece_is_an_answer_like_any_other(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(served.reading, "feed", fails)
    status, headers, body = await served.call("GET", "/v1/feed", client="aud", headers=LINES)
    assert_problem(status, headers, body, Code.STORE_UNAVAILABLE)


async def test_who_does_not_read_is_cut_off_and_holds_no_more_than_a_piece() -> None:
    async with feeding(stall_seconds=0.2) as served:
        body = b'{"kind":"evidence","pad":"%s"}' % (b"x" * 60_000)
        served.reading.entries = [
            FeedEntry(index, "evidence", body, leaf_hash(body), "", None) for index in range(2000)
        ]
        served.reading.publish()
        token = served.access_token("aud")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(
            b"GET /v1/feed?limit=2000 HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        await writer.drain()
        await until(lambda: bool(served.reading.pages) and at_rest(served))
        assert len(served.reading.pages) < 4  # it was not read on for somebody who does not read
        received = 0
        try:
            while piece := await reader.read(1 << 20):
                received += len(piece)
        except ConnectionError:
            pass
        assert received < 2000 * 120_000
        writer.close()


async def test_an_answer_that_lasts_ends_early_with_a_cursor_to_go_on_from() -> None:
    async with feeding(1200, stream_seconds=0.0) as served:
        found, after = [], -1
        for _ in range(3):
            query = f"?limit=100000&after={after}"
            _, _, body = await served.call("GET", f"/v1/feed{query}", client="aud", headers=LINES)
            *entries, end = map(json.loads, body.splitlines())
            found += [one["index"] for one in entries]
            after = end["next"]
        assert found == list(range(1200))


async def test_a_client_that_is_revoked_meanwhile_sees_no_further_page() -> None:
    async with feeding(1200) as served:
        really = served.reading.feed

        async def revoked(
            after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
        ) -> tuple[Sequence[FeedEntry], int]:
            client = served.reading.clients["aud"]
            served.reading.clients["aud"] = replace(client, version=client.version + 1)
            return await really(after, limit, shows, disclosed=disclosed)

        served.reading.feed = revoked  # type: ignore[method-assign] # the operator revokes within an answer
        _, _, body = await served.call("GET", "/v1/feed?limit=100000", client="aud", headers=LINES)
        assert json.loads(body.splitlines()[-1])["next"] == 999


async def test_a_service_that_ends_brings_long_answers_to_their_end() -> None:
    async with feeding(1200) as served:
        served.services.growth.close()
        _, _, body = await served.call("GET", "/v1/feed?limit=100000", client="aud", headers=LINES)
        assert json.loads(body.splitlines()[-1])["next"] == 999


async def test_more_long_answers_than_places_are_told_to_come_again() -> None:
    async with feeding(streams=0) as served:
        status, headers, body = await served.call("GET", "/v1/feed", client="aud", headers=LINES)
        assert_problem(status, headers, body, Code.OVERLOADED)
