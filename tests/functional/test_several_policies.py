"""The notice's other subsidies beside the month: each with decisions, slots and records of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest

from adapters import china_vocational_training as cvt
from tests.functional.world import BUREAU, FACTORY, World
from verifier import replay as replays
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.errors import Code, RequestRejected
from verifier.keyring import pack
from verifier.model.access import Role
from verifier.model.certificate import SkillLevel
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.settings import Settings

pytestmark = pytest.mark.untraced

WORKER = person(7, "阿依古丽·买买提")
PARAMETERS: Final = Settings().policy.parent
MAIN: Final = Settings().policy.read_text(encoding="utf-8")
COURSE: Final = "KC-0001"
LISTED: Final = (
    "\n[[parameters.comprehensive_courses]]\nfrom = 1900-01-01\n"
    f'value = ["china_vocational_training/{COURSE}"]\nreference = "测试"\nreading = true\n'
)
COMPREHENSIVE: Final = (PARAMETERS / "comprehensive-training.toml").read_text(encoding="utf-8") + LISTED
EXCLUSIVE: Final = COMPREHENSIVE.replace("value = [] #", 'value = ["online-training-month"] #')
DONE: Final = datetime(2021, 3, 5, 2, tzinfo=UTC)


def form(text: str) -> SourceForm:
    policy = load(text.encode())
    return SourceForm("policy", policy.digest, text, {"policy": policy.pin})


async def take_up(world: World, *texts: str) -> tuple[Policy, ...]:
    """Adopt policies and the register, and decide by them from now on."""
    source = world.installation.sandbox.register
    files = {"trust.toml": source.read_bytes()}
    files |= {f"issuers/{path.name}": path.read_bytes() for path in (source.parent / "issuers").iterdir()}
    policies = tuple(load(text.encode()) for text in texts)
    register = SourceForm("register", world.register.digest, pack(files), {})
    await world.operations.adopt([*map(form, texts), register])
    world.rulebook = Rulebook(policies, world.register)
    await world.evaluate()
    return policies


async def decided(world: World, entitlement: str) -> list[str]:
    rows = await world.sql(
        "select state from decisions where entitlement = :name order by revision", name=entitlement
    )
    return [state for (state,) in rows]


async def sound(world: World) -> bool:
    """Every decision is replayed byte for byte, and the whole store is as it was signed."""
    for (decision,) in await world.sql("select decision_id from decisions"):
        result = await world.store.replaying(lambda tx, one=decision: replays.replay(tx, one))  # type: ignore[misc] # mypy infers no type for such a lambda
        assert result.same is True, result
    return await world.fsck() == []


async def test_one_certificate_may_give_two_entitlements_each_with_a_record_of_its_own(world: World) -> None:
    await take_up(world, MAIN, COMPREHENSIVE)
    await world.employ(FACTORY, WORKER, category="就地过年")
    await world.complete("N-1", WORKER)
    await world.issue()
    assert await decided(world, "online-training-month") == ["granted"]
    assert await decided(world, "comprehensive-training") == ["granted"]
    records = await world.records()
    assert [record.kind for record in records] == ["granted", "granted"]
    rows = await world.sql("select entitlement from records order by entitlement")
    assert [name for (name,) in rows] == ["comprehensive-training", "online-training-month"]
    for record in records:
        claimed = await world.claims.claim(BUREAU, record.record_id, Asked(f"pay-{record.record_id}"))
        assert claimed["amount_fen"] is None
    assert {state for _, state, *_ in await world.slots()} == {"claimed"}
    assert await sound(world)


async def test_exclusion_refuses_the_second_until_the_first_is_given_back(world: World) -> None:
    await take_up(world, MAIN, EXCLUSIVE)
    await world.employ(FACTORY, WORKER, category="就地过年")
    await world.complete("N-1", WORKER, completed_at=DONE)
    assert await decided(world, "comprehensive-training") == ["refused"]
    world.now += timedelta(days=1)
    # A main policy whose period ended before the completion: the month falls free, and the other is granted.
    ended = MAIN.replace("last = 2021-12-31", "last = 2021-02-28")
    await take_up(world, ended, EXCLUSIVE)
    assert await decided(world, "online-training-month") == ["granted", "refused"]
    assert await decided(world, "comprehensive-training") == ["refused", "granted"]
    await world.issue()
    assert await sound(world)


async def test_a_paid_month_excludes_until_it_was_returned(world: World) -> None:
    await take_up(world, MAIN, EXCLUSIVE)
    await world.employ(FACTORY, WORKER, category="就地过年")
    await world.complete("N-1", WORKER, completed_at=DONE, code="DQ-01")
    await world.complete("N-2", WORKER, completed_at=DONE + timedelta(days=1))
    await world.issue()
    record = next(one for one in await world.records() if one.kind == "granted")
    await world.claims.claim(BUREAU, record.record_id, Asked("pay-1"))
    await world.claims.step(BUREAU, record.record_id, "paid", "pay-1", "")
    ended = MAIN.replace("last = 2021-12-31", "last = 2021-02-28")
    world.now += timedelta(minutes=1)  # of two adoptions at one moment none is the newer
    await take_up(world, ended, EXCLUSIVE)
    assert (await decided(world, "online-training-month"))[-1] == "refused"
    assert (await decided(world, "comprehensive-training"))[-1] == "refused"
    await world.issue()
    await world.claims.step(BUREAU, record.record_id, "returned", "pay-1", "已退回")
    await world.evaluate()
    assert (await decided(world, "comprehensive-training"))[-1] == "granted"
    await world.issue()
    assert await sound(world)


async def test_a_skill_certificate_waits_for_its_level_and_is_no_month(small_world: World) -> None:
    world = small_world
    await take_up(world, MAIN, (PARAMETERS / "skill-upgrade.toml").read_text(encoding="utf-8"))
    await world.employ(FACTORY, WORKER)
    await world.complete("N-1", WORKER, document="职业技能等级证书")
    assert await decided(world, "online-training-month") == ["refused"]
    assert await decided(world, "skill-upgrade") == ["pending"]


async def test_a_skill_certificate_that_states_its_level_is_granted_with_its_ceiling(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a platform whose certificates say the level by a number of its own.
    fields = replace(cvt.CERTIFICATE_FIELDS, level="course_code", levels={"3": SkillLevel.SENIOR})
    monkeypatch.setattr(cvt, "FIELDS", replace(cvt.FIELDS, certificate_fields=fields))
    await take_up(world, MAIN, (PARAMETERS / "skill-upgrade.toml").read_text(encoding="utf-8"))
    await world.employ(FACTORY, WORKER)
    await world.complete("N-1", WORKER, document="职业技能等级证书", code="3")
    assert await decided(world, "skill-upgrade") == ["granted"]
    [(decision,)] = await world.sql("select decision_id from decisions where entitlement = 'skill-upgrade'")
    said = await world.operations.explain({"id": decision})
    assert "－ 未评估：补贴金额：通知规定高级工不高于4000.00元；当地标准未配置" in said["explanation"]
    await world.issue()
    assert await sound(world)


async def test_an_enterprise_asks_for_the_standing_under_each_entitlement(small_world: World) -> None:
    world = small_world
    await take_up(world, MAIN, COMPREHENSIVE, (PARAMETERS / "skill-upgrade.toml").read_text(encoding="utf-8"))
    await world.employ(FACTORY, WORKER, category="就地过年")
    await world.complete("N-1", WORKER, code="DQ-01", completed_at=DONE)
    later = DONE + timedelta(days=1)
    await world.complete("N-2", WORKER, document="职业技能等级证书", completed_at=later)
    desk = world.enterprises()
    client = replace(BUREAU, role=Role.ENTERPRISE, enterprises=frozenset({FACTORY}))
    body = json.dumps({"people": [{"id_number": WORKER.id_number, "name": WORKER.name}]}).encode()

    async def told(entitlement: str) -> tuple[str, list[str]]:
        answer = json.loads(b"".join(await desk.status(client, FACTORY, body, entitlement=entitlement)))
        [one] = answer["people"]
        # Both were completed at one moment, so that their order is nobody's.
        return one["state"], sorted(shown["state"] for shown in one["completions"])

    assert (
        await told("") == await told("online-training-month") == ("granted_here", ["granted_here", "refused"])
    )
    # Each policy shows what is its own business alone.
    assert await told("comprehensive-training") == ("refused", ["refused"])
    assert await told("skill-upgrade") == ("refused", ["refused"])
    with pytest.raises(RequestRejected) as refused:
        await desk.status(client, FACTORY, body, entitlement="unheard-of")
    assert (refused.value.code, refused.value.pointer) == (Code.SCHEMA_INVALID, "?entitlement")
    listed = [
        len((await desk.claim_list(client, FACTORY, date(2021, 3, 1), entitlement=entitlement))["people"])
        for entitlement in ("", "online-training-month", "comprehensive-training")
    ]
    assert listed == [1, 1, 0]
    with pytest.raises(RequestRejected):
        await desk.claim_list(client, FACTORY, date(2021, 3, 1), entitlement="unheard-of")
