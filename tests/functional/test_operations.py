"""What an operator of the bureau does: named text in, JSON out; nothing is edited."""

from __future__ import annotations

import json

import pytest

from tests.functional.world import FACTORY, WORKSHOP, World
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected, VerifierError
from verifier.model.access import ClientState, Role, Scope
from verifier.signatures import client_secret, keys

LI = person(1, "阿依古丽·买买提")
ADMIT = {"uscc": FACTORY, "name": "沙箱企业", "office": "652301", "from": "2021-01-01", "operator": "赵"}


async def test_every_operation_runs_by_its_name(world: World) -> None:
    assert await world.operations.run("review list", {}) == {"reviews": []}
    with pytest.raises(AccessDenied) as refused:
        await world.operations.run("drop tables", {})
    assert refused.value.code is Code.NOT_FOUND


async def test_an_admission_is_recorded_once_with_its_operator(world: World) -> None:
    answers = [await world.operations.run("enterprises admit", ADMIT) for _ in range(2)]
    assert [answer["changed"] for answer in answers] == [True, False]
    assert await world.sql("select source_reference from facts") == [("赵",)]


async def test_an_admission_may_end(world: World) -> None:
    await world.admissions.admit(ADMIT | {"to": "2021-12-31", "operator": ""})
    [(content, who)] = await world.sql("select content, source_reference from facts")
    assert (json.loads(content)["end"], who) == ("2021-12-31", "unnamed")


@pytest.mark.parametrize(
    ("name", "value"),
    [("office", ""), ("office", "\x07"), ("name", "长" * 9000), ("from", "yesterday"), ("to", "2021-13-01")],
)
async def test_a_missing_or_malformed_parameter_is_named_and_not_repeated(
    small_world: World, name: str, value: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await small_world.admissions.admit(ADMIT | {name: value})
    assert (refused.value.code, refused.value.pointer) == (Code.SCHEMA_INVALID, name)
    assert "yesterday" not in str(refused.value)


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        ("enterprise", {"enterprises": f"{FACTORY}, {WORKSHOP}"}),
        ("subsidy", {"offices": "652301,652302"}),
        ("platform", {"platform": "new_occupation"}),
        ("auditor", {}),
        ("auditor", {"kinds": "evidence, adoption"}),
        ("subsidy", {"offices": "652301", "kinds": "record,clawback"}),
    ],
)
async def test_a_system_is_registered_with_the_scope_of_its_role(
    world: World, role: str, scope: dict[str, str]
) -> None:
    answer = await world.operations.run("clients add", world.client_parameters("system", role, **scope))
    client = await world.store.client("system")
    assert client is not None
    assert (client.role, client.state, client.version) == (Role(role), ClientState.ACTIVE, 1)
    assert answer["key_thumbprint"] == keys.thumbprint(client.jwk)
    assert sorted(client.enterprises) == sorted(
        scope.get("enterprises", "").replace(" ", "").split(",")
    ) * bool(client.enterprises)
    assert client.platform == scope.get("platform", "")
    assert client.kinds == {kind.strip() for kind in scope.get("kinds", "").split(",") if kind}


@pytest.mark.parametrize(
    ("role", "scope", "pointer"),
    [
        ("enterprise", {}, "enterprises"),
        ("subsidy", {}, "offices"),
        ("subsidy", {"offices": "652301", "platform": "new_occupation"}, "platform"),
        ("auditor", {"offices": "652301"}, "offices"),
        ("emperor", {}, "role"),
        ("auditor", {"kinds": "evidence,recrod"}, "kinds"),
        ("enterprise", {"enterprises": FACTORY, "kinds": "record"}, "kinds"),
    ],
)
async def test_a_system_never_gets_more_than_its_role_can_use(
    small_world: World, role: str, scope: dict[str, str], pointer: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await small_world.operations.add_client(small_world.client_parameters("system", role, **scope))
    assert refused.value.pointer == pointer


async def test_a_key_that_is_none_is_refused(small_world: World) -> None:
    parameters = small_world.client_parameters("system", "auditor") | {"jwk": "[]"}
    with pytest.raises(RequestRejected) as refused:
        await small_world.operations.add_client(parameters)
    assert refused.value.pointer == "jwk"


async def test_a_name_is_given_once_and_a_revocation_is_a_new_version(world: World) -> None:
    parameters = world.client_parameters("system", "auditor")
    await world.operations.add_client(parameters)
    with pytest.raises(Conflict):
        await world.operations.add_client(parameters)
    answer = await world.operations.run("clients revoke", {"client": "system"})
    assert answer == {"client": "system", "state": "revoked"}
    client = await world.store.client("system")
    assert client is not None
    assert (client.version, client.state) == (2, ClientState.REVOKED)
    assert await world.sql("select version, state from clients order by version") == [
        (1, "active"),
        (2, "revoked"),
    ]


async def test_a_system_that_does_not_exist_cannot_be_revoked(small_world: World) -> None:
    with pytest.raises(AccessDenied):
        await small_world.operations.revoke_client({"client": "nobody"})


SENDERS = {"client": "lms", "role": "platform", "platform": "new_occupation", "secret": "yes"}


async def test_a_platform_may_have_a_secret_that_is_shown_once_and_stored_as_a_digest(world: World) -> None:
    answer = await world.operations.run("clients add", SENDERS)
    client = await world.store.client("lms")
    assert client is not None
    assert (client.jwk, client.version, client.scopes) == ({}, 1, (Scope.CALLBACK,))
    assert client_secret.matches(answer["client_secret"], client.secrets)
    assert set(answer) == {"client", "role", "client_secret"}
    rows = await world.sql("select * from clients")
    assert answer["client_secret"] not in repr(rows)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"role": "auditor", "platform": ""}, "secret"),
        ({"role": "subsidy", "platform": "", "offices": "652301"}, "secret"),
        ({"jwk": "{}"}, "secret"),
        ({"secret": ""}, "jwk"),
    ],
)
async def test_nobody_else_has_a_secret_and_nobody_has_both(
    small_world: World, changes: dict[str, str], pointer: str
) -> None:
    with pytest.raises(RequestRejected) as refused:
        await small_world.operations.add_client(SENDERS | changes)
    assert refused.value.pointer == pointer


async def test_while_a_secret_is_replaced_both_hold_until_the_old_one_is_dropped(world: World) -> None:
    first = (await world.operations.add_client(SENDERS))["client_secret"]
    rotated = await world.operations.run("clients rotate-secret", {"client": "lms"})
    second = rotated["client_secret"]
    client = await world.store.client("lms")
    assert client is not None
    assert (client.version, rotated["secrets"], first == second) == (2, 2, False)
    assert all(client_secret.matches(secret, client.secrets) for secret in (first, second))
    with pytest.raises(Conflict):
        await world.operations.rotate_secret({"client": "lms"})
    assert await world.operations.run("clients drop-secret", {"client": "lms"}) == {
        "client": "lms",
        "secrets": 1,
    }
    client = await world.store.client("lms")
    assert client is not None
    held = [client_secret.matches(secret, client.secrets) for secret in (first, second)]
    assert (client.version, held) == (3, [False, True])
    with pytest.raises(Conflict):
        await world.operations.drop_secret({"client": "lms"})


async def test_a_client_with_a_key_has_no_secret_to_replace(world: World) -> None:
    await world.operations.add_client(world.client_parameters("system", "auditor"))
    for operation in (world.operations.rotate_secret, world.operations.drop_secret):
        with pytest.raises(Conflict):
            await operation({"client": "system"})
    with pytest.raises(AccessDenied):
        await world.operations.rotate_secret({"client": "nobody"})


async def test_a_revoked_client_stays_revoked_whatever_becomes_of_its_secret(world: World) -> None:
    await world.operations.add_client(SENDERS)
    await world.operations.revoke_client({"client": "lms"})
    await world.operations.rotate_secret({"client": "lms"})
    client = await world.store.client("lms")
    assert client is not None
    assert (client.state, client.version) == (ClientState.REVOKED, 3)


async def two_rosters(world: World) -> dict[str, str]:
    for code in (FACTORY, WORKSHOP):
        await world.employ(code, LI)
    await world.complete("N-1", LI)
    [review] = (await world.operations.reviews({}))["reviews"]
    assert review["opened_at"] == "2021-07-01T04:00:00Z"
    return {"review": review["review_id"], "reason": "核实", "operator": "赵"}


async def test_a_review_takes_only_outcomes_that_answer_its_question(world: World) -> None:
    answer = await two_rosters(world)
    for outcome in ("keep", "same"):
        with pytest.raises(VerifierError):
            await world.operations.close_review(answer | {"outcome": outcome})
    assert len(await world.store.open_reviews()) == 1
    await world.operations.run("review close", answer | {"outcome": FACTORY})
    with pytest.raises(Conflict) as refused:
        await world.operations.close_review(answer | {"outcome": FACTORY})
    assert refused.value.code is Code.REVIEW_STATE_REFUSED


async def test_a_name_is_not_decided_by_an_employers_code(world: World) -> None:
    await world.employ(FACTORY, person(1, "完全不同"))
    await world.complete("N-1", LI)
    with pytest.raises(Conflict) as refused:
        await world.close("name_mismatch", FACTORY)
    assert (refused.value.code, refused.value.pointer) == (Code.REVIEW_STATE_REFUSED, "outcome")


async def test_a_question_about_what_has_changed_meanwhile_is_not_answered(world: World) -> None:
    answer = await two_rosters(world)
    better = world.course("N-1", LI, revision=2, title="更正")
    await world.post(world.cvt.delivery(world.cvt.completed(better), "c-1", world.now))
    with pytest.raises(Conflict) as refused:
        await world.operations.close_review(answer | {"outcome": FACTORY})
    assert refused.value.pointer == "review"


async def test_a_conflicting_certificate_may_be_left_as_it_is(world: World) -> None:
    await world.complete("N-1", LI)
    await world.complete("N-1", LI, title="另一门课")
    await world.close("completion_conflict", "keep")
    assert await world.store.open_reviews() == []
    assert len(await world.sql("select 1 from facts where kind = 'completion'")) == 1


async def test_a_decision_is_explained_by_its_own_id_or_its_records(world: World) -> None:
    await world.employ(FACTORY, LI)
    await world.complete("N-1", LI)
    await world.issue()
    [record] = await world.records()
    by_record = await world.operations.run("explain", {"id": record.record_id})
    assert by_record == await world.operations.explain({"id": by_record["decision"]})
    assert (by_record["state"], by_record["records"]) == ("granted", [record.record_id])
    assert LI.id_number not in str(by_record)
    assert LI.name not in str(by_record)
    assert [fact["fact"] for fact in by_record["facts"]] == by_record["trace"]["facts"]
    facts = {fact["kind"]: fact for fact in by_record["facts"]}
    assert facts.keys() == {"completion", "employment", "admission"}
    assert facts["completion"]["source"].startswith("delivery:china_vocational_training/")
    assert (facts["employment"]["uscc"], facts["admission"]["office"]) == (FACTORY, "652301")
    assert facts["admission"]["source"] == "operator:test"
    with pytest.raises(AccessDenied):
        await world.operations.explain({"id": "nothing"})
