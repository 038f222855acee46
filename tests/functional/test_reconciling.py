"""A platform's manifest against a real store: compared in its vault, logged, and never repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.functional.world import World
from verifier import manifest, platforms
from verifier.cli.simulator import Person, person
from verifier.errors import AccessDenied, Code, RequestRejected
from verifier.ports.pull import Cells, Column
from verifier.store import reconciling

pytestmark = pytest.mark.untraced

LI, WANG, ZHAO = person(1, "阿依古丽·买买提"), person(2, "王小明"), person(3, "赵大海")
CVT_ISSUER, XZY_ISSUER = "urn:sandbox:china-vocational-training", "urn:sandbox:new-occupation"
DONE = datetime(2021, 3, 5, 2, tzinfo=UTC)


def rows(*said: dict[str, str]) -> str:
    return manifest.pack(
        Cells(number, {Column(name): text for name, text in one.items()})
        for number, one in enumerate(said, 1)
    )


def listed(number: str, learner: Person | None = None, **said: str) -> dict[str, str]:
    personal = {} if learner is None else {"id_number": learner.id_number, "name": learner.name}
    return {"certificate_number": number, **personal, **said}


async def reconcile(world: World, *said: dict[str, str], **parameters: str) -> dict[str, Any]:
    call = {"platform": "china_vocational_training", "operator": "赵", "rows": rows(*said)} | parameters
    return await world.operations.run("reconcile", call)


def numbers(answer: dict[str, Any], kind: str) -> list[str]:
    return [one["certificate_number"] for one in answer[kind]]


async def test_where_both_agree_nothing_is_found_and_who_was_compared_is_logged(world: World) -> None:
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    answer = await reconcile(
        world,
        listed("N-1", LI, completed_at="2021-03-05", status="有效"),
        listed("N-2", completed_at="2021-03-05"),
    )
    assert answer == {
        "compared": True,
        "platform": "china_vocational_training",
        "rows": 2,
        "period": {"from": "2021-03-05", "to": "2021-03-05"},
        "missing": [],
        "differing": [],
        "unknown": [],
    }
    logged = await world.sql("select learner_id, client_id, purpose, what from disclosures")
    assert logged == [(await world.learner(LI), "clerk:赵", "reconcile", "compared: name, id_number")]
    await world.settle()
    assert await world.fsck() == []


async def test_each_kind_of_finding_names_numbers_and_columns_and_no_value(world: World) -> None:
    for serial, learner in enumerate((LI, WANG, ZHAO), 1):
        await world.complete(f"N-{serial}", learner)
    await world.complete("N-4", LI, completed_at=DONE.replace(day=20))
    await world.revoke("N-3")
    answer = await reconcile(
        world,
        listed("N-1", LI, completed_at="2021-03-06"),
        listed("N-2", Person(LI.id_number, ZHAO.name), revision="3"),
        listed("N-3", ZHAO, status="有效"),
        listed("N-9", ZHAO, completed_at="2021-03-31"),
    )
    assert numbers(answer, "missing") == ["N-9"]
    assert answer["differing"] == [
        {"issuer": CVT_ISSUER, "certificate_number": number, "columns": columns}
        for number, columns in (
            ("N-1", ["completed_at"]),
            ("N-2", ["id_number", "name", "revision"]),
            ("N-3", ["status"]),
        )
    ]
    assert (numbers(answer, "unknown"), answer["period"]) == (
        ["N-4"],
        {"from": "2021-03-06", "to": "2021-03-31"},
    )
    told = json.dumps(answer, ensure_ascii=False)
    for learner in (LI, WANG, ZHAO):
        assert learner.name not in told
        assert learner.id_number not in told


async def test_a_corrected_certificate_is_compared_as_it_stands(world: World) -> None:
    await world.complete("N-1", LI)
    corrected = world.cvt.completed(world.course("N-1", WANG, revision=2), event="completion.corrected")
    await world.post(world.cvt.delivery(corrected, "d-2", world.now))
    assert numbers(await reconcile(world, listed("N-1", LI)), "differing") == ["N-1"]
    answer = await reconcile(
        world, listed("N-1", WANG, revision="2"), **{"from": "2021-01-01", "to": "2021-12-31"}
    )
    assert (answer["differing"], answer["unknown"]) == ([], [])


async def test_a_revoked_certificate_of_which_only_the_revocation_came_is_not_missing(world: World) -> None:
    await world.revoke("N-1")
    assert numbers(await reconcile(world, listed("N-1", status="撤销")), "missing") == []
    assert numbers(await reconcile(world, listed("N-1", status="有效")), "missing") == ["N-1"]


async def test_what_another_platform_brought_is_not_unknown_to_this_one(world: World) -> None:
    await world.complete("N-1", LI)
    await world.complete_elsewhere("N-2", WANG)
    period = {"from": "2021-03-01", "to": "2021-03-31", "whole": "yes"}
    assert numbers(await reconcile(world, **period), "unknown") == ["N-1"]
    answer = await reconcile(world, platform="new_occupation", **period)
    assert (numbers(answer, "unknown"), answer["unknown"][0]["issuer"]) == (["N-2"], XZY_ISSUER)


async def test_unknown_numbers_are_found_in_pieces_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "PIECE", 2)
    for serial in range(1, 6):
        await world.complete(f"N-{serial}", LI)
    answer = await reconcile(world, listed("N-2", completed_at="2021-03-05"))
    assert numbers(answer, "unknown") == ["N-1", "N-3", "N-4", "N-5"]


async def test_the_access_log_is_written_in_pieces_before_anything_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "_LOGGED_AT_ONCE", 2)
    people = [person(serial, "王小明") for serial in range(1, 6)]
    for serial, learner in enumerate(people):
        await world.complete(f"N-{serial}", learner)
    await reconcile(
        world, *(listed(f"N-{serial}", learner) for serial, learner in enumerate(people)), operator=""
    )
    logged = await world.sql("select learner_id, client_id from disclosures")
    expected = [(await world.learner(one), "clerk:unnamed") for one in people]
    assert sorted(logged) == sorted(expected)


async def test_without_personal_columns_nothing_is_opened_and_nothing_logged(world: World) -> None:
    await world.complete("N-1", LI)
    await world.sql("update facts set sealed = :spoilt", spoilt=b"\x00\x00\x00\x01" + bytes(60))
    answer = await reconcile(world, listed("N-1", completed_at="2021-03-05T10:00:00+08:00"))
    assert answer["differing"] == []
    assert await world.sql("select * from disclosures") == []


async def test_of_an_erased_learner_nothing_personal_is_compared(world: World) -> None:
    await world.complete("N-1", LI)
    await world.sql("update learners set sealed_key = null")
    assert (await reconcile(world, listed("N-1", WANG)))["differing"] == []
    answer = await reconcile(world, listed("N-1", WANG, completed_at="2021-03-06"))
    assert answer["differing"][0]["columns"] == ["completed_at"]


async def test_rows_that_break_a_rule_are_told_and_nothing_is_compared(world: World) -> None:
    await world.complete("N-1", LI)
    answer = await reconcile(world, listed("N-1", LI), listed("N-2", issuer=XZY_ISSUER), listed("", LI))
    assert answer["compared"] is False
    assert [(one["row"], one["column"], one["code"]) for one in answer["problems"]] == [
        (2, "issuer", "issuer_unknown"),
        (3, "certificate_number", "field_missing"),
    ]
    assert await world.sql("select * from disclosures") == []


async def test_a_platform_with_several_issuers_must_be_told_which(world: World) -> None:
    await world.complete("N-1", LI)
    issuers = {
        name: replace(issuer, platforms=frozenset(world.register.platforms))
        for name, issuer in world.register.issuers.items()
    }
    world.register = replace(world.register, issuers=issuers)
    assert (await reconcile(world, listed("N-1")))["problems"][0]["code"] == "field_missing"
    answer = await reconcile(world, listed("N-1", issuer=CVT_ISSUER), listed("N-1", issuer=XZY_ISSUER))
    assert answer["missing"] == [{"issuer": XZY_ISSUER, "certificate_number": "N-1"}]
    # The other platform may speak for the issuer too, but did not bring this certificate.
    period = {"from": "2021-03-01", "to": "2021-03-31", "whole": "yes"}
    assert (await reconcile(world, platform="new_occupation", **period))["unknown"] == []


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"from": "2021-03-01"}, "to"),
        ({"to": "2021-03-01"}, "to"),
        ({"from": "2021-03-02", "to": "2021-03-01"}, "to"),
        ({"from": "yesterday", "to": "2021-03-01"}, "from"),
        ({"rows": "!"}, "rows"),
    ],
)
async def test_a_malformed_parameter_is_named(
    small_world: World, parameters: dict[str, str], pointer: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await reconcile(small_world, **parameters)
    assert (refused.value.code, refused.value.pointer) == (Code.SCHEMA_INVALID, pointer)


async def test_a_platform_that_no_register_names_has_nothing_to_compare(small_world: World) -> None:
    with pytest.raises(AccessDenied):
        await reconcile(small_world, platform="nobody")


async def test_twenty_thousand_rows_are_compared_in_one_go(small_world: World) -> None:
    await small_world.complete("N-1", LI)
    many = (listed(f"M-{serial}", completed_at="2021-03-05") for serial in range(19_999))
    answer = await reconcile(small_world, listed("N-1", LI), *many)
    assert (answer["rows"], len(answer["missing"]), answer["differing"]) == (20_000, 19_999, [])
