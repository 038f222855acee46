"""Account months: what a freeze closes, totals that both sides can count, amounts and payees as adopted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from tests.functional.world import BUREAU, FACTORY, WORKSHOP, World
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, Code, ConfigurationError, Conflict, RequestRejected, Unavailable
from verifier.model.access import Role
from verifier.model.facts import Category
from verifier.model.standards import Payee
from verifier.record import VCT
from verifier.signatures import jws, strict_json
from verifier.totals import By

ENTERPRISE = replace(BUREAU, client_id="enterprise", role=Role.ENTERPRISE, offices=frozenset())
MONTH, OFFICE = "2021-03", "652301"
MARCH = date(2021, 3, 1)
ENTITLEMENT = "online-training-month"
TABLE = """
revision = 1
[[standard]]
entitlement = "online-training-month"
from = "2021-01"
amount_fen = 51000
currency = "CNY"
reference = "测试文号"
[[payee]]
office = "652301"
from = "2021-01"
payee = "dispatcher"
reference = "测试文号"
"""
"""Made up for tests, as every amount here is."""


async def grants(world: World, count: int) -> list[str]:
    """So many workers of the factory with a grant of March; their records."""
    people = [person(number, f"工人{number}") for number in range(1, count + 1)]
    await world.employ(FACTORY, *people)
    for number, one in enumerate(people, 1):
        await world.complete(f"N-{number}", one)
    await world.settle()
    return [record.record_id for record in await world.records() if record.kind == "granted"]


async def adopt(world: World, table: str = TABLE) -> dict[str, Any]:
    return await world.accounts.adopt_standards({"file": table, "apply": "yes"})


async def freeze(world: World, *, apply: bool = True, **more: str) -> dict[str, Any]:
    wanted = {"month": MONTH, "office": OFFICE, "operator": "赵", **more}
    return await world.accounts.freeze(wanted | ({"apply": "yes"} if apply else {}))


async def counted(world: World, by: By) -> dict[str, Any]:
    found = await world.claims.totals(BUREAU, OFFICE, MARCH, by)
    totals: dict[str, Any] = found["totals"]
    assert found["totals_sha256"] == sha256(rfc8785.dumps(totals)).hexdigest()
    return totals


def signed(sd_jwt: str) -> Mapping[str, Any]:
    payload = strict_json.loads(jws.parse_compact(sd_jwt.split("~", maxsplit=1)[0]).payload, max_bytes=10**6)
    assert isinstance(payload, dict)
    assert payload["vct"] == VCT
    return payload


# Amounts and payees


async def test_nothing_is_configured_until_it_is_adopted_and_records_say_so(world: World) -> None:
    [record] = await grants(world, 1)
    payload = signed((await world.records())[0].sd_jwt)
    assert payload["standard"] == "not_configured"
    assert payload["not_evaluated"][0] == "当地现行标准（未配置）"
    answer = await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert (answer["amount_fen"], answer["standard"]) == (None, "not_configured")
    assert await world.accounts.show_standards({}) == {"adopted": False, "standards": [], "payees": []}


async def test_what_is_adopted_is_in_records_claims_and_the_ledger(world: World) -> None:
    tried = await world.accounts.adopt_standards({"file": TABLE})
    assert (tried["adopted"], tried["hint"], tried["rows"]) == (False, "--apply", 1)
    done = await adopt(world)
    assert done["adopted"] is True
    [record] = await grants(world, 1)
    payload = signed((await world.records())[0].sd_jwt)
    said = {"amount_fen": 51000, "currency": "CNY", "reference": "测试文号", "digest": done["standards"]}
    assert payload["standard"] == said
    assert payload["not_evaluated"]
    assert not any("未配置" in text for text in payload["not_evaluated"])
    answer = await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert (answer["amount_fen"], answer["standard"]) == (51000, done["standards"])
    await world.issue()
    [entry] = await world.entries("claim")
    assert (entry["amount_fen"], entry["standard"], entry["payee"]) == (51000, done["standards"], "employer")
    assert (entry["booked_in"], entry["entitlement"]) == (MONTH, ENTITLEMENT)
    [adoption] = await world.entries("adoption")
    assert (adoption["adopts"], adoption["digest"]) == ("standards", done["standards"])
    shown = await world.accounts.show_standards({})
    assert (shown["standards"][0]["amount_fen"], shown["payees"][0]["payee"]) == (51000, "dispatcher")
    assert await world.fsck() == []


async def test_later_standards_change_no_claim_and_need_a_higher_revision(small_world: World) -> None:
    world = small_world
    await adopt(world)
    first, second = await grants(world, 2)
    before = await world.claims.claim(BUREAU, first, Asked("pay-1"))
    other = TABLE.replace("51000", "99900")
    with pytest.raises(ConfigurationError) as refused:
        await adopt(world, other)
    assert refused.value.pointer == "revision"
    assert (await adopt(world))["adopted"] is False
    world.now += timedelta(seconds=1)
    assert (await adopt(world, other.replace("revision = 1", "revision = 2")))["adopted"] is True
    assert await world.claims.claim(BUREAU, first, Asked("pay-1")) == before
    assert (await world.claims.step(BUREAU, first, "paid", "pay-1", "x"))["amount_fen"] == 51000
    assert (await world.claims.claim(BUREAU, second, Asked("pay-2")))["amount_fen"] == 99900
    await world.revoke("N-2")
    await world.issue()
    assert signed((await world.records())[-1].sd_jwt)["standard"] is None


async def test_a_dispatched_workers_payee_is_configured_or_said(world: World) -> None:
    await world.employ(FACTORY, person(1, "工人"), category=Category.DISPATCHED.value, dispatched_by=WORKSHOP)
    scope = json.dumps({"from": "2021-01-01"}).encode()
    await world.enterprises().declare_scope(ENTERPRISE, FACTORY, scope)
    await world.complete("N-1", person(1, "工人"))
    await world.settle()
    record = (await world.records())[-1].record_id
    with pytest.raises(Conflict) as refused:
        await world.claims.claim(BUREAU, record, Asked("pay-1"))
    assert refused.value.code is Code.PAYEE_NOT_CONFIGURED
    await adopt(world)
    with pytest.raises(Conflict) as refused:
        await world.claims.claim(BUREAU, record, Asked("pay-1", Payee.EMPLOYER))
    assert refused.value.code is Code.PAYEE_REFUSED
    assert (await world.claims.claim(BUREAU, record, Asked("pay-1")))["payee"] == "dispatcher"
    await world.issue()
    [entry] = await world.entries("claim")
    assert entry["payee"] == "dispatcher"
    assert WORKSHOP not in json.dumps(entry)


# Totals


async def test_totals_of_both_kinds_are_by_enterprise_and_entitlement(world: World) -> None:
    one, two, three, _ = await grants(world, 4)
    await world.claims.claim(BUREAU, one, Asked("pay-1"))  # before anything was configured
    await adopt(world)
    for record, payment in ((two, "pay-2"), (three, "pay-3")):
        await world.claims.claim(BUREAU, record, Asked(payment))
        await world.claims.step(BUREAU, record, "paid", payment, "已支付")
    await world.revoke("N-3")
    await world.settle()
    about = {"uscc": FACTORY, "entitlement": ENTITLEMENT}
    assert await counted(world, By.SUBSIDY) == {
        "by": "subsidy",
        "month": MONTH,
        "office": OFFICE,
        "entitlement": None,
        "rows": [
            {
                **about,
                "granted": 3,
                "claimed": 1,
                "paid": 1,
                "clawback_due": 1,
                "returned": 0,
                "amounts_fen": {"claimed": 0, "paid": 51000, "clawback_due": 51000, "returned": 0},
                "without_amount": 1,
            }
        ],
    }
    await world.claims.step(BUREAU, three, "returned", "pay-3", "已退回")
    await world.claims.step(BUREAU, one, "release", "pay-1", "填错")
    [row] = (await counted(world, By.ACCOUNT))["rows"]
    assert row == {
        **about,
        "subsidy_month": MONTH,
        "claimed": 3,
        "paid": 2,
        "released": 1,
        "returned": 1,
        "amounts_fen": {"claimed": 102000, "paid": 102000, "released": 0, "returned": 51000},
        "without_amount": 2,
    }
    [row] = (await counted(world, By.SUBSIDY))["rows"]
    assert (row["granted"], row["claimed"], row["paid"], row["clawback_due"], row["returned"]) == (
        3,
        0,
        1,
        0,
        1,
    )


async def test_an_office_that_is_not_the_clients_has_no_totals(small_world: World) -> None:
    with pytest.raises(AccessDenied):
        await small_world.claims.totals(BUREAU, "659999", MARCH, By.SUBSIDY)
    auditor = replace(BUREAU, role=Role.AUDITOR, offices=frozenset())
    found = await small_world.claims.totals(auditor, "659999", MARCH, By.SUBSIDY)
    assert found["totals"]["rows"] == []


async def test_the_operators_totals_are_the_same_and_nonsense_is_refused(small_world: World) -> None:
    await grants(small_world, 1)
    about = {"month": MONTH, "office": OFFICE}
    found = await small_world.accounts.totals({**about, "entitlement": ENTITLEMENT})
    assert (found["by"], found["rows"][0]["granted"]) == ("subsidy", 1)
    assert (await small_world.accounts.totals({**about, "entitlement": "other"}))["rows"] == []
    for wrong in ({"month": "2021-13"}, {"month": ""}, {"office": ""}, {"by": "year"}):
        with pytest.raises(RequestRejected):
            await small_world.accounts.totals(about | wrong)


# Freezes


async def test_a_freeze_is_tried_first_and_then_closes_the_month_for_good(world: World) -> None:
    one, two = await grants(world, 2)
    await world.claims.claim(BUREAU, one, Asked("pay-1"))
    tried = await freeze(world, apply=False)
    [shown] = tried["freezes"]
    assert (tried["frozen"], tried["hint"]) == (0, "--apply")
    assert (shown["granted"], shown["unclaimed"], shown["booked"]["claimed"]) == (2, 1, 1)
    assert await world.sql("select count(*) from freezes") == [(0,)]
    done = await freeze(world)
    assert (done["frozen"], done["freezes"][0]["totals_sha256"]) == (1, shown["totals_sha256"])
    world.now = world.now.replace(hour=9)
    again = await freeze(world)
    assert (again["frozen"], again["freezes"][0]["already"]) == (0, True)
    assert again["freezes"][0]["frozen_at"] == done["freezes"][0]["frozen_at"]
    await world.issue()
    [entry] = await world.entries("freeze")
    assert {name: entry[name] for name in ("office", "month", "entitlement", "granted", "unclaimed")} == {
        "office": OFFICE,
        "month": MONTH,
        "entitlement": ENTITLEMENT,
        "granted": 2,
        "unclaimed": 1,
    }
    with pytest.raises(Conflict) as refused:
        await world.claims.claim(BUREAU, two, Asked("pay-2"))
    assert refused.value.code is Code.MONTH_FROZEN
    assert refused.value.recorded == {"frozen": MONTH, "open": "2021-04"}
    assert await world.fsck() == []


async def test_after_a_freeze_its_totals_stay_and_what_follows_falls_into_the_next_month(
    world: World,
) -> None:
    one, two = await grants(world, 2)
    await world.claims.claim(BUREAU, one, Asked("pay-1"))
    await freeze(world)
    paid = await world.claims.step(BUREAU, one, "paid", "pay-1", "已支付")
    assert (paid["settled_in"], paid["booked_in"]) == (MONTH, "2021-04")
    late = await world.claims.claim(BUREAU, two, Asked("pay-2", settled_in=date(2021, 4, 1)))
    assert (late["month"], late["settled_in"]) == (MONTH, "2021-04")
    await world.issue()
    [entry] = await world.entries("freeze")
    document = await world.claims.totals(BUREAU, OFFICE, MARCH, By.ACCOUNT, ENTITLEMENT)
    assert document["totals_sha256"] == entry["totals_sha256"]
    assert document["frozen"][0]["totals_sha256"] == entry["totals_sha256"]
    april = await world.claims.totals(BUREAU, OFFICE, date(2021, 4, 1), By.ACCOUNT)
    [row] = april["totals"]["rows"]
    assert (row["subsidy_month"], row["claimed"], row["paid"]) == (MONTH, 1, 1)
    # Both sides can count it: every step is in the ledger with its account month.
    booked = [(one["step"], one["booked_in"]) for one in await world.entries("claim")]
    assert booked == [("claim", MONTH), ("paid", "2021-04"), ("claim", "2021-04")]


async def test_a_month_that_has_not_begun_or_nonsense_is_not_frozen(small_world: World) -> None:
    for wrong in ({"month": "2021-08"}, {"entitlement": "no-such"}, {"office": " "}, {"month": "３"}):
        with pytest.raises(RequestRejected):
            await small_world.accounts.freeze({"month": MONTH, "office": OFFICE, "apply": "yes", **wrong})
    assert (await freeze(small_world, month="2021-07", entitlement=ENTITLEMENT))["frozen"] == 1


async def test_a_claim_that_races_with_a_freeze_is_in_its_totals_or_refused(world: World) -> None:
    records = await grants(world, 8)

    async def claimed(record: str) -> Code | None:
        while True:
            try:
                await world.claims.claim(BUREAU, record, Asked(f"pay-{record}"))
            except Conflict as refused:
                return refused.code
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                return None

    async def frozen() -> dict[str, Any]:
        while True:
            await asyncio.sleep(0.02)
            with suppress(Unavailable):
                return await freeze(world)

    *claims, done = await asyncio.gather(*map(claimed, records), frozen())
    assert isinstance(done, dict)
    [shown] = done["freezes"]
    assert shown["booked"]["claimed"] == claims.count(None)
    assert set(claims) <= {None, Code.MONTH_FROZEN}
    [row] = await world.sql("select digest, totals from freezes")
    assert row[0] == sha256(row[1].encode()).hexdigest()


async def test_a_subsidy_system_computes_the_same_digest_from_its_own_books_as_the_guide_shows(
    small_world: World,
) -> None:
    world = small_world
    one, two = await grants(world, 2)
    await world.claims.claim(BUREAU, one, Asked("pay-1"))
    await adopt(world)
    await world.claims.claim(BUREAU, two, Asked("pay-2"))
    await world.claims.step(BUREAU, two, "paid", "pay-2", "已支付")
    await world.claims.step(BUREAU, one, "release", "pay-1", "填错")
    await world.issue()
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "subsidy.md").read_text(encoding="utf-8")
    snippet = guide.split("```python\n")[1].split("```")[0]
    books: dict[str, Any] = {
        "claim_entries": await world.entries("claim"),
        "uscc_of": {record.record_id: FACTORY for record in await world.records()},
        "office": OFFICE,
        "month": MONTH,
    }
    exec(snippet, books)  # noqa: S102 - our own guide's example, run as a reader would
    found = await world.claims.totals(BUREAU, OFFICE, MARCH, By.ACCOUNT)
    assert books["totals"] == found["totals"]
    assert books["totals_sha256"] == found["totals_sha256"]
