"""``review show|apart|close|report`` and ``learner link`` as a reviewer and a clerk type them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import environment
from tests.functional.world import FACTORY, Installation, over
from verifier.cli import main
from verifier.cli.simulator import Person, person

pytestmark = pytest.mark.untraced

LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
UNKNOWN = Person("13800000000", "阿依古丽", "手机号码")
Run = Callable[..., dict[str, Any]]


async def happened(url: str, installation: Installation) -> str:
    world = await over(url, installation)
    await world.employ(FACTORY, LI)
    await world.complete("N-1", UNKNOWN)
    await world.complete("N-2", UNKNOWN)
    who = await world.learner(LI)
    await world.store.database.close()
    return who


@pytest.fixture
def who(sqlite: str, tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> str:
    """Our id of LI, beside two certificates that name nobody for certain."""
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    return asyncio.run(happened(sqlite, installation))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str, stdin: str = "", status: int = 0) -> dict[str, Any]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        assert main([*arguments, "--json"]) == status
        shown = capsys.readouterr()
        answer: dict[str, Any] = json.loads(shown.err if status else shown.out)
        return answer

    return command


ANSWER = ("--reason", "核实", "--evidence", "看过身份证")


def test_a_reviewer_looks_tells_apart_tries_and_answers(who: str, run: Run) -> None:
    first, second = (review["review_id"] for review in run("review", "list")["reviews"])
    shown = run("review", "show", first)
    assert (shown["holder"], shown["named_by"]) == (
        "阿依古丽",
        {"kind": "phone", "value": "*******0000"},
    )
    tried = run("review", "close", first, "--outcome", who, *ANSWER)
    assert (tried["dry_run"], tried["would_change"]) == (True, 2)
    done = run("review", "close", first, "--outcome", who, *ANSWER, "--apply")
    assert (done["applied"], done["outcome"]) == (True, who)
    # The phone number is now known to be that person's, and proposes them for the other certificate.
    assert [one["learner"] for one in run("review", "show", second)["proposed"]] == [who]
    run("review", "apart", second, who, *ANSWER)
    assert run("review", "close", second, "--outcome", who, *ANSWER, "--apply", status=2)["code"] == (
        "review_state_refused"
    )
    number = ("--id-number", *ANSWER, "--apply")
    made = run("review", "close", second, *number, stdin=f"{WANG.id_number}\n")
    assert made["outcome"] not in {who, ""}
    assert run("review", "list") == {"reviews": []}


def test_an_id_number_stands_on_standard_input_and_in_no_argument(who: str, run: Run) -> None:
    del who
    [review, _] = run("review", "list")["reviews"]
    refused = run("review", "close", review["review_id"], "--id-number", *ANSWER, stdin="", status=2)
    assert (refused["code"], refused["pointer"]) == ("schema_invalid", "outcome")
    kinds = ("--id-kind", "passport", "--id-country", "KZ")
    refused = run(
        "review", "close", review["review_id"], "--id-number", *kinds, *ANSWER, stdin="N1234567\n", status=2
    )
    assert (refused["code"], refused["pointer"]) == ("identifier_invalid", "id_country")


def test_a_clerk_links_two_cards_read_from_two_lines(who: str, run: Run) -> None:
    del who
    kinds = ("--kind", "foreign_card", "--old-kind", "foreign_card")
    said = (*kinds, "--purpose", "换证，已核验两证", "--evidence", "新旧两证")
    refused = run("learner", "link", *said, stdin="999901199003070025\n", status=2)
    assert (refused["code"], refused["pointer"]) == ("schema_invalid", "old_number")
    lines = "999901199003070025\nKAZ652301190001\n"
    assert run("learner", "link", *said, stdin=lines)["dry_run"]
    done = run("learner", "link", *said, "--apply", stdin=lines)
    assert done["learner"] != done["old_learner"]


def test_a_foreigner_is_shown_what_is_held_under_a_passport(who: str, run: Run) -> None:
    del who
    passport = ("--kind", "passport", "--country", "KAZ", "--old-kind", "passport", "--old-country", "KAZ")
    said = (*passport, "--purpose", "换发护照", "--evidence", "两本护照", "--apply")
    run("learner", "link", *said, stdin="N7654321\nN1234567\n")
    card = ("--id-kind", "passport", "--id-country", "KAZ", "--purpose", "本人查询，已核验护照")
    shown = run("learner", "show", *card, stdin="N1234567\n")
    assert (shown["id_number"], shown["traits"]) == ("KAZ/******67", [])
    shown = run("learner", "show", "--purpose", "本人查询，已核验身份证", stdin=f"{LI.id_number}\n")
    assert shown["traits"] == [{"kind": "name_birth", "value": "阿依古丽/1990-01-01"}]


def test_the_report_says_nothing_of_so_few_people(who: str, run: Run) -> None:
    del who
    report = run("review", "report")
    assert report["fewest"] == 5
    assert {one["form"]: one["people"] for one in report["forms"]} == {
        "han": None,
        "two_components": None,
        "three_components": 0,
        "other_letters": 0,
        "illegible": 0,
    }
