"""The benchmarks run for anyone, and what they fill, send and compare is real."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as everything
from benchmarks import (
    filling,
    founding,
    growth,
    importing,
    instead,
    limits,
    load,
    ours,
    places,
    profiling,
    sending,
)
from benchmarks.books import Books, compare, look
from benchmarks.figures import Figure, Goal
from benchmarks.founding import DiskTooSmall
from benchmarks.load import Outcome
from benchmarks.report import Report
from tests.functional import world as worlds
from verifier.model.delivery import DeliveryState
from verifier.settings import Settings

pytestmark = pytest.mark.untraced

PAGE = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")


def settings(url: str, directory: Path, installation: worlds.Installation) -> Settings:
    return Settings(
        data_dir=directory,
        database_url=url,
        secrets_dir=installation.secrets_dir,
        register=installation.sandbox.register,
        origin=worlds.ORIGIN,
    )


async def test_who_is_filled_in_is_found_decided_and_stands_under_the_ledger(
    url: str, installation: worlds.Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "PIECE", 5)
    chosen = settings(url, tmp_path, installation)
    await founding.fill(chosen, range(12), 1)
    await founding.fill(chosen, range(12, 20), 1)
    world = await worlds.over(url, installation)
    assert await world.fsck(chosen.kept_checkpoint.read_bytes()) == []
    roots = [one for one in await world.entries("evidence") if one["count"] in {6, 10, 4}]
    assert sum(one["count"] for one in roots) == 40
    numbers = ["a", "b"]
    for number, serial in zip(numbers, (3, 17), strict=True):
        outcome = await world.complete(number, sending.somebody(serial))
        assert outcome.state is DeliveryState.ACCEPTED
    await world.settle()
    assert [record.kind for record in await world.records()] == ["granted", "granted"]
    assert await world.fsck() == []
    await world.store.database.close()
    books = Books(numbers=set(numbers), deliveries=set())
    found = await look(url)
    assert [wrong for wrong in compare(books, found) if "delivery" not in wrong] == []
    books.numbers.add("c")
    assert len(compare(books, found)) == 3


async def test_the_same_serials_make_the_same_rows(installation: worlds.Installation) -> None:
    from verifier import keyfiles

    keys = keyfiles.load_fields(installation.secrets_dir)
    once, again = (filling.rows_of(keys, range(3), 7) for _ in range(2))
    assert once == again
    assert {name: len(rows) for name, rows in once[0].items()} == {
        "identifiers": 3,
        "learners": 3,
        "traits": 3,
        "facts": 3,
        "evidence": 6,
    }


async def test_bare_inserts_write_what_they_say(postgresql: str, sqlite: str) -> None:
    rows = [("i", "s", f"n{n}", 0) for n in range(3)]
    for address, write in ((postgresql, limits._into_postgresql), (sqlite, limits._into_sqlite)):
        await write(address, [[("certificates", rows[:2])], [("certificates", rows[2:])]])
        sample = await limits.sample(address)
        assert len(sample["certificates"]) == 3


def test_everything_runs_and_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not under tmp_path: the address of a socket may be 107 characters long.
    monkeypatch.delenv("BENCH_DIR", raising=False)
    out = tmp_path / "out"
    arguments = ["--tiny", "--stores", "sqlite", "--sizes", "60", "--out", str(out), "--json"]
    assert everything.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["wrong"] == []
    assert {one["group"] for one in said["figures"]} == {"limits", "usual", "ours", "growth"}
    names = [one["name"] for one in said["figures"]]
    for word in (limits.ENDPOINT, limits.VERIFICATION, limits.INSERTS, instead.NAME, ours.CALLBACKS):
        assert any(name.startswith(word) for name in names), word
    assert {importing.NAME, importing.FLAT} <= set(names)
    measured = [one for one in said["figures"] if one["value"] is not None]
    assert all(one["value"] > 0 for one in measured)
    assert all(set(one["statuses"]) <= {"200"} for one in said["figures"])
    assert {path.name for path in out.iterdir()} == {
        "bench.json",
        "tables.md",
        "rates.png",
        "latency.png",
    }
    for one in said["figures"]:
        if one["goal"]:
            assert one["goal"] in PAGE, one["name"]


@pytest.mark.parametrize(("wrong", "status"), [([], 0), (["1 × record acknowledged and lost: n1"], 1)])
def test_only_a_wrong_result_fails_the_run(
    wrong: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    goal = Goal("≥", 8)
    made = Report({"p50": 1.0}, "made up", figures=[Figure("ours", "a", 7, goal=goal)], wrong=wrong)
    monkeypatch.setattr(everything, "run", lambda *_: made)
    assert everything.main(["--out", str(tmp_path)]) == status
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert ("lost" in shown) is bool(wrong)


def test_sizes_that_do_not_fit_are_said_and_not_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> Report:
        raise DiskTooSmall("10,000,000 more learners need 20 GB")

    monkeypatch.setattr(everything, "run", refused)
    assert everything.main([]) == 2
    assert "need 20 GB" in capsys.readouterr().err


def test_growth_alone_measures_nothing_else_and_has_files_and_a_place_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[int]] = []

    def measured(*arguments: Any) -> tuple[list[Figure], list[str]]:
        asked.append(arguments[2])
        return [Figure("growth", ours.CALLBACKS, 5.0, learners=size) for size in arguments[2]], []

    monkeypatch.setattr(growth, "measure", measured)
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n<!-- /run -->\n<!-- growth -->\n<!-- /growth -->\n", encoding="utf-8")
    out = ["--stores", "postgresql", "--out", str(tmp_path / "page")]
    assert everything.main(["--growth", "--sizes", "10,1000", *out]) == 0
    assert everything.main(["--growth", *out]) == 0
    assert asked == [[10, 1000], list(growth.SIZES)]
    assert {path.name for path in (tmp_path / "page").iterdir()} == {
        "growth-bench.json",
        "growth-tables.md",
        "growth.png",
    }
    before, _, after = page.read_text(encoding="utf-8").partition("<!-- growth -->")
    assert before == "<!-- run -->\n<!-- /run -->\n"
    assert "10,000,000" in after


def test_a_growth_of_one_size_has_no_ratio() -> None:
    rates = [Figure("growth", ours.CALLBACKS, 5.0, learners=size) for size in (10, 1000)]
    assert growth._held(rates[:1]) == []
    [held] = growth._held(rates)
    assert (held.value, held.learners) == (1.0, 1000)


def test_people_are_listed_by_what_a_user_would_write_or_the_run_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object) -> Outcome:
        return Outcome(statuses=Counter({422: 1}))

    monkeypatch.setattr(load, "closed", refused)
    with pytest.raises(RuntimeError, match="422"):
        asyncio.run(instead._listed(1, range(1)))


def test_the_callback_path_is_profiled_thread_by_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not under tmp_path: the address of a socket may be 107 characters long.
    monkeypatch.delenv("BENCH_DIR", raising=False)
    with places.place() as made:
        timings = profiling.measure(made, places.SQLITE, 20, 4)
    monkeypatch.setattr(profiling, "measure", lambda _made, _store, count, _: timings if count else {})
    assert profiling.main(["--callbacks", "20", "--rows", "4000", "--json"]) == 0
    rows = {one["where"].rpartition(" ")[2]: one for one in json.loads(capsys.readouterr().out)}
    # In the web's thread, and in the database's.
    assert {"receive", "insert_deliveries"} <= set(rows)
    assert 0 < rows["insert_deliveries"]["calls"] <= 1
    page = tmp_path / "page.md"
    page.write_text("<!-- profile -->\n<!-- /profile -->\n", encoding="utf-8")
    assert profiling.main(["--callbacks", "20", "--rows", "3", "--page", str(page)]) == 0
    assert page.read_text(encoding="utf-8").count("\n| ") == 4
