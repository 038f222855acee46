"""A person sees, and takes along, everything that is held on them."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import settings
from tests.functional.test_acts import WANG as OTHER
from tests.functional.test_acts import logged, run, worker
from tests.functional.world import BUREAU, FACTORY, Installation, World, over
from verifier import cli, own_data_page
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.errors import AccessDenied
from verifier.store import held, tables

LI = person(1, "阿依古丽·买买提")


async def lived(world: World) -> dict[str, Any]:
    """Somebody with something in every table, as they are shown it."""
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.complete("N-1", LI, title="另一门课")
    await world.complete("N-2", OTHER)
    await world.settle()
    [record, *_] = await world.records()
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.store.disclose([record.learner_id], "bureau", "subsidy", "record")
    await worker(world, "learner contest", LI, FACTORY)
    opened = await run(
        world,
        "objection open",
        kind="correction",
        topic="data",
        id_number=LI.id_number,
        text="<b>我的名字</b>",
        purpose="已核验身份证",
    )
    who, other = await world.learner(LI), await world.learner(OTHER)
    seen = {"reason": "换证", "evidence": "两证", "apply": "yes"}
    await run(world, "learner merge", first=who, second=other, **seen)
    await run(world, "learner hold", learner=who, until="2021-07-10", reason="核查", apply="yes")
    await world.issue()
    await world.sql(
        "insert into signals (signal_id, kind, learner_id, about, details, subject_digest, rules, thresholds,"
        " found_at) values ('s', 'day_overfull', :who, '[]', :details, :digest, 'r', 't', 0)",
        who=who,
        details=json.dumps({"certificates": 3, "minutes": 2000, "day": "2021-03-05"}),
        digest=b"d" * 32,
    )
    shown = await run(world, "learner export", id_number=LI.id_number, purpose="本人索取")
    assert opened["number"] in {one["number"] for one in shown["objections"]}
    return shown


async def test_the_view_holds_something_of_every_table_that_does(world: World) -> None:
    shown = await lived(world)
    for table, member in held.SHOWN.items():
        assert shown[member], (table, member)
    assert shown["format"] == "training-verifier/own-data/1"
    assert shown["identifiers"] == sorted(
        [{"kind": "resident_id", "number": one.id_number} for one in (LI, OTHER)],
        key=lambda one: one["number"],
    )
    granted = next(one for one in shown["records"] if one["kind"] == "granted")
    assert granted["discloses"] == ["employer", "id_number", "name"]
    assert {one["status"] for one in shown["records"]} <= {"valid", "invalid", "superseded"}
    assert [one["state"] for one in shown["months"]] == ["claimed"]
    assert [(one["step"], one["payment_reference"]) for one in shown["claims"]] == [("claim", "pay-1")]
    assert {one["raw_body"] for one in shown["deliveries"]} == {"kept"}
    assert len(shown["deliveries"]) == 3
    [correction] = [one for one in shown["objections"] if one["kind"] == "correction"]
    assert correction["state"] == "open"
    assert ("bureau", "subsidy", "record") in {
        (one["client_id"], one["purpose"], one["what"]) for one in shown["shown_to"]
    }
    assert (await logged(world, LI))[-1] == ("clerk:赵", "本人索取", "export")


def test_no_table_with_a_learners_id_is_forgotten() -> None:
    """A new table has to be shown to the person, or to say why not."""
    found = {name for name, table in tables.metadata.tables.items() if "learner_id" in table.c}
    assert found == {*held.SHOWN, *held.NOT_SHOWN}
    assert not set(held.SHOWN) & set(held.NOT_SHOWN)
    assert all(held.NOT_SHOWN.values())


async def test_a_claim_is_shown_with_its_terms_and_its_reason(small_world: World) -> None:
    await small_world.employ(FACTORY, LI)
    await small_world.complete("N-1", LI)
    await small_world.settle()
    [record] = await small_world.records()
    await small_world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await small_world.claims.step(BUREAU, record.record_id, "release", "pay-1", "账号有误")
    shown = await run(small_world, "learner show", id_number=LI.id_number, purpose="本人查询")
    claimed, released = shown["claims"]
    terms = {"payee": "employer", "amount_fen": None, "standard": "not_configured", "booked_in": "2021-03-01"}
    assert claimed.items() >= {"step": "claim", **terms}.items()
    assert released.items() >= {"step": "release", "reason": "账号有误"}.items()
    assert not {"sealed_reason", "learner_id"} & {*claimed, *released}


async def test_on_a_screen_numbers_are_covered(small_world: World) -> None:
    await small_world.complete("N-1", LI)
    shown = await run(small_world, "learner show", id_number=LI.id_number, purpose="本人查询")
    [one] = shown["identifiers"]
    assert one["number"] == LI.id_number[:6] + "********" + LI.id_number[-4:]
    assert LI.id_number not in json.dumps(shown)
    with pytest.raises(AccessDenied):
        await run(small_world, "learner export", id_number=OTHER.id_number, purpose="本人索取")


async def test_the_page_says_every_value_as_text(small_world: World) -> None:
    shown = await lived(small_world)
    text = own_data_page.page(shown)
    assert "<b>我的名字</b>" not in text
    assert "&lt;b&gt;我的名字&lt;/b&gt;" in text
    for word in ("谁看过您的信息", "pay-1", LI.id_number, LI.name, "claimed"):
        assert word in text
    empty = own_data_page.page({"format": "x", "as_of": "2021", "identifiers": [], "learner": None})
    assert "<script" not in text
    assert empty.count("<p>无</p>") == 13


@pytest.fixture
async def place(sqlite: str, installation: Installation) -> None:
    world = await over(sqlite, installation)
    await world.complete("N-1", LI)
    await world.store.database.close()


async def export(place_: Path, installation: Installation, number: str, to: Path) -> int:
    arguments = cli.parser().parse_args(["learner", "export", "--to", str(to), "--purpose", "本人索取"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(number + "\n"))
        status: int = await arguments.run(settings(place_, installation), arguments)
    return status


@pytest.mark.usefixtures("place")
async def test_by_command_two_files_are_written_for_nobody_else(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "本人.json"
    assert await export(tmp_path, installation, LI.id_number, to) == 0
    page = to.with_name("本人.json.html")
    assert json.loads(to.read_text())["identifiers"][0]["number"] == LI.id_number
    assert LI.name in page.read_text()
    assert {stat.S_IMODE(one.stat().st_mode) for one in (to, page)} == {0o600}
    assert LI.id_number not in capsys.readouterr().out
    # Neither file is ever written over, and then nothing is asked for.
    page.rename(tmp_path / "other.html")
    with pytest.raises(Exception, match="configuration_invalid"):
        await export(tmp_path, installation, LI.id_number, to)
    to.rename(tmp_path / "other.json")
    page.write_text("mine")
    with pytest.raises(Exception, match="configuration_invalid"):
        await export(tmp_path, installation, LI.id_number, to)
    assert (to.exists(), page.read_text()) == (False, "mine")


@pytest.mark.usefixtures("place")
async def test_of_whom_nothing_is_held_no_file_is_left(installation: Installation, tmp_path: Path) -> None:
    to = tmp_path / "x.json"
    with pytest.raises(AccessDenied):
        await export(tmp_path, installation, OTHER.id_number, to)
    assert not to.exists()
    assert not to.with_name("x.json.html").exists()
