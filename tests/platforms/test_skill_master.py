"""技能大师在线培训: what is special about statements of xAPI."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import skill_master as skm
from tests.platforms import fixtures, sending_skill_master
from tests.platforms.sending_skill_master import SLUG, certify, render, send
from verifier import certificates
from verifier.errors import AdapterError, CertificateRejected, Code, SignatureRejected
from verifier.model.certificate import CertificateKind
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    Headers,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    UnreadableItem,
)
from verifier.signatures.steps import Step

NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)
ADAPTER: Final = skm.SkillMaster()
BADGE_ISSUER: Final = "https://skill-master.invalid/issuer"
EXTENSIONS: Final = "https://skill-master.invalid/xapi/extensions/"
AT_EXTENSIONS: Final = "/context/extensions/https:~1~1skill-master.invalid~1xapi~1extensions~1"


def fixture(name: str) -> Any:
    return next(one.payload for one in fixtures.load(SLUG) if one.name == name)


VOIDED: Final = fixture("revoked")
BADGED: Final = fixture("completed")
SIGNED: Final = fixture("completed_signed_statement")
PLAIN: Final = {name: value for name, value in SIGNED.items() if name != "attachments"}


def statement_id(number: int) -> str:
    return f"6b1d2f60-0000-4000-8000-{number:012x}"


def voided(number: int, **changes: Any) -> dict[str, Any]:
    made = {**VOIDED, "id": statement_id(number), **changes}
    return {name: value for name, value in made.items() if value is not ...}


def parse(payload: Any, *, method: str = "POST", query: str = "") -> tuple[Event | UnreadableItem, ...]:
    body = render(fixtures.signed(payload, sending_skill_master.SKILL_MASTER[0].profile))
    return read(send(body, NOW, method=method, query=query))


def read(callback: Callback) -> tuple[Event | UnreadableItem, ...]:
    return ADAPTER.parse(ADAPTER.authenticate(callback, (), NOW))


def one(payload: Any) -> Event:
    (event,) = parse(payload)
    assert isinstance(event, Event)
    return event


def unreadable(callback: Callback) -> tuple[Code, str]:
    with pytest.raises(AdapterError) as caught:
        read(callback)
    return caught.value.code, caught.value.pointer


# The request


def test_the_client_of_the_token_is_who_sent_it_and_the_delivery_has_no_id_of_its_own() -> None:
    request = send(b"", NOW, client="skm-lms")
    assert ADAPTER.authenticate(request, (), NOW) == AuthenticatedCallback(
        request, DeliveryId(""), "skm-lms", NOW
    )


def test_without_a_token_nobody_sent_it() -> None:
    with pytest.raises(SignatureRejected) as caught:
        ADAPTER.authenticate(replace(send(b"", NOW), bearer=None), (), NOW)
    assert caught.value.step == Step.NO_KEY


def with_versions(*versions: str) -> Callback:
    request = send(json.dumps(VOIDED).encode(), NOW)
    pairs = (("content-type", "application/json"), *((skm.VERSION_HEADER, one) for one in versions))
    return replace(request, headers=Headers(pairs))


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1.0.1", "1.0.3", "1.0.9"])
def test_every_patch_of_1_0_is_understood(version: str) -> None:
    assert len(read(with_versions(version))) == 1


@pytest.mark.parametrize(
    ("versions", "code"),
    [
        ((), Code.FIELD_MISSING),
        (("",), Code.FIELD_INVALID),
        (("0.95",), Code.FIELD_INVALID),
        (("1.1.0",), Code.FIELD_INVALID),
        (("2.0.0",), Code.FIELD_INVALID),
        (("1.0.3 ",), Code.FIELD_INVALID),
        (("1.0.\u0663",), Code.FIELD_INVALID),
        (("1.0.3", "1.0.3"), Code.FIELD_INVALID),
    ],
)
def test_no_version_or_another_is_kept_and_unreadable(versions: tuple[str, ...], code: Code) -> None:
    assert unreadable(with_versions(*versions)) == (code, skm.VERSION_HEADER)


def test_what_is_read_again_has_said_its_version_before() -> None:
    authenticated = ADAPTER.authenticate(with_versions("0.95"), (), NOW)
    stored = replace(authenticated, callback=replace(authenticated.callback, bearer=None))
    assert len(ADAPTER.parse(stored)) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", "offset 0"),
        (b"{", "offset 1"),
        (b"\xff", ""),
        (b"[]", ""),
        (b"1", ""),
        (b"null", ""),
        (b'"x"', ""),
        (b'{"id":1,"ID":2}', ""),
        (json.dumps([VOIDED] * 201).encode(), ""),
    ],
)
def test_other_bodies_are_kept_and_unreadable(body: bytes, pointer: str) -> None:
    assert unreadable(send(body, NOW)) == (Code.DELIVERY_UNREADABLE, pointer)


def test_a_batch_of_200_is_read_whole() -> None:
    items = parse([voided(number) for number in range(200)])
    assert [item.item for item in items] == [statement_id(number) for number in range(200)]
    assert all(isinstance(item, Event) for item in items)


@pytest.mark.parametrize("change", ["no part", "no json first", "not packed"])
def test_what_is_packed_badly_is_unreadable(change: str) -> None:
    body = render(fixtures.signed(SIGNED, sending_skill_master.SKILL_MASTER[0].profile))
    request = send(body, NOW)
    if change == "no part":
        body = body[-30:]
    elif change == "no json first":
        body = body.replace(b"Content-Type: application/json\r\n", b"Content-Type: text/plain\r\n")
    else:
        body = json.dumps(VOIDED).encode()
    assert unreadable(replace(request, body=body))[0] is Code.DELIVERY_UNREADABLE


def test_a_put_names_its_statement_which_may_leave_its_id_out() -> None:
    name = statement_id(7)
    for payload in (VOIDED, {**VOIDED, "id": None}, voided(7, id=...), {**VOIDED, "id": name.upper()}):
        (event,) = parse(payload, method="PUT", query=f"statementId={name}")
        assert isinstance(event, Event)
        assert event.own_id is not None
        assert (event.item, event.own_id.value) == (name, name)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "statementid=6b1d2f60-0000-4000-8000-000000000007",
        "statementId=",
        "statementId=6b1d2f60-0000-4000-8000-000000000008",
        "statementId=6b1d2f60-0000-4000-8000-000000000007&statementId=6b1d2f60-0000-4000-8000-000000000007",
    ],
)
def test_a_put_of_another_statement_is_unreadable(query: str) -> None:
    request = send(json.dumps(VOIDED).encode(), NOW, method="PUT", query=query)
    assert unreadable(request) == (Code.DELIVERY_UNREADABLE, "?statementId")


def test_a_put_holds_one_statement() -> None:
    request = send(json.dumps([VOIDED]).encode(), NOW, method="PUT", query=f"statementId={VOIDED['id']}")
    assert unreadable(request) == (Code.DELIVERY_UNREADABLE, "")
    request = send(json.dumps({**VOIDED, "id": 7}).encode(), NOW, method="PUT", query="statementId=7")
    assert unreadable(request) == (Code.DELIVERY_UNREADABLE, "?statementId")
    (item,) = parse(voided(7, id=...), method="PUT", query="statementId=7")
    assert item == UnreadableItem("#0", Code.FIELD_INVALID, "/id")


# A statement


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Code.FIELD_MISSING),
        ("", Code.FIELD_MISSING),
        (7, Code.FIELD_INVALID),
        ("7", Code.FIELD_INVALID),
        ("{6b1d2f60-0000-4000-8000-000000000007}", Code.FIELD_INVALID),
        ("6b1d2f60000040008000000000000007", Code.FIELD_INVALID),
        ("6b1d2f60-0000-4000-8000-00000000000\uff17", Code.FIELD_INVALID),
    ],
)
def test_a_statement_without_an_id_cannot_be_told_from_its_repetition(value: Any, code: Code) -> None:
    assert parse([voided(1), {**VOIDED, "id": value}])[1] == UnreadableItem("#1", code, "/1/id")


def test_an_id_stands_for_one_content_however_it_is_written() -> None:
    event, upper = one(VOIDED), one({**VOIDED, "id": VOIDED["id"].upper()})
    assert event.own_id == upper.own_id
    assert (event.item, upper.item) == (VOIDED["id"], VOIDED["id"].upper())
    same = {
        "version": "1.0.0",
        "stored": "2021-05-10T02:00:01Z",
        "authority": {"mbox": "mailto:lrs@example.com"},
        "timestamp": "2021-05-10T02:00:00.000Z",
        "verb": {**VOIDED["verb"], "display": {"en": "voided"}},
    }
    for name, value in same.items():
        assert one({**VOIDED, name: value}).own_id == event.own_id, name
    others = {
        "timestamp": "2021-05-10T10:00:01+08:00",
        "actor": {**VOIDED["actor"], "name": "x"},
        "object": {"objectType": "StatementRef", "id": statement_id(99)},
        "result": {"response": "x"},
    }
    for name, value in others.items():
        assert one({**VOIDED, name: value}).own_id != event.own_id, name


@pytest.mark.parametrize("verb", ["http://adlnet.gov/expapi/verbs/passed", "x", "已完成", "completed"])
def test_a_verb_that_is_not_declared_is_recorded_with_all_that_it_came_with(verb: str) -> None:
    event = one({**BADGED, "verb": {"id": verb}})
    assert (event.kind, event.certificate, event.stated) == (EventKind.UNKNOWN, None, {})
    assert event.extra["item"]["verb"] == {"id": verb}
    assert event.extra["item"]["actor"] == BADGED["actor"]


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"verb": ...}, Code.FIELD_MISSING, "/verb"),
        ({"verb": "voided"}, Code.FIELD_INVALID, "/verb"),
        ({"verb": {}}, Code.FIELD_MISSING, "/verb/id"),
        ({"timestamp": ...}, Code.FIELD_MISSING, "/timestamp"),
        ({"timestamp": "2021-05-10T10:00:00"}, Code.FIELD_INVALID, "/timestamp"),
        ({"context": ...}, Code.FIELD_MISSING, "/context"),
        ({"context": []}, Code.FIELD_INVALID, "/context"),
        ({"context": {}}, Code.FIELD_MISSING, "/context/extensions"),
        ({"context": {"extensions": {}}}, Code.FIELD_MISSING, f"{AT_EXTENSIONS}issuer"),
    ],
)
def test_what_cannot_be_read_names_its_place(change: dict[str, Any], code: Code, pointer: str) -> None:
    assert parse(voided(7, **change)) == (UnreadableItem(statement_id(7), code, pointer),)


@pytest.mark.parametrize("name", ["issuer", "certificate-number", "reason"])
def test_a_voided_statement_names_the_certificate_that_it_revokes(name: str) -> None:
    said = {key: value for key, value in VOIDED["context"]["extensions"].items() if key != EXTENSIONS + name}
    assert parse({**VOIDED, "context": {"extensions": said}}) == (
        UnreadableItem(VOIDED["id"], Code.FIELD_MISSING, AT_EXTENSIONS + name),
    )


def test_what_is_voided_is_kept_and_not_read() -> None:
    assert one(VOIDED).extra["item"]["object"] == VOIDED["object"]


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_batch_with_k_bad_items_keeps_exactly_the_others_with_k_reasons(good: list[bool]) -> None:
    items = parse([voided(n, **({} if ok else {"verb": ...})) for n, ok in enumerate(good)])
    assert [isinstance(item, Event) for item in items] == good
    bad = [(statement_id(n), f"/{n}/verb") for n, ok in enumerate(good) if not ok]
    assert [item for item in items if isinstance(item, UnreadableItem)] == [
        UnreadableItem(name, Code.FIELD_MISSING, pointer) for name, pointer in bad
    ]


# Certificates


def verify(event: Event, issuer: str) -> None:
    assert event.certificate is not None
    verified = certificates.verify(
        event.certificate,
        platform=PlatformSlug(SLUG),
        register=sending_skill_master.trusting(issuer),
        first_received_at=NOW,
    )
    certificates.check_stated(event.stated, verified)


def refusal(event: Event, issuer: str = "skm-issuer") -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as caught:
        verify(event, issuer)
    return caught.value.code, caught.value.step


def test_a_statement_without_a_signature_or_credential_is_no_certificate() -> None:
    assert parse(PLAIN) == (UnreadableItem(PLAIN["id"], Code.FIELD_MISSING, "/attachments"),)
    unpacked = {**PLAIN, "attachments": [{**sending_skill_master.attachment("a.b.c"), "jws": None}]}
    assert parse(unpacked) == (UnreadableItem(PLAIN["id"], Code.FIELD_MISSING, "/attachments/0/sha2"),)


def test_a_signature_and_a_credential_are_one_certificate_too_many() -> None:
    both = {**BADGED, "attachments": [{"sign": BADGED}]}
    assert parse(both) == (UnreadableItem(BADGED["id"], Code.FIELD_INVALID, "/attachments"),)
    other = {"usageType": "http://id.tincanapi.com/attachment/supporting_media"}
    event = one({**BADGED, "attachments": [other]})
    assert event.certificate is not None
    assert event.certificate.kind is CertificateKind.OPEN_BADGE


@pytest.mark.parametrize(
    "change",
    [
        {"actor": {**PLAIN["actor"], "name": "测试·乙"}},
        {"result": {**PLAIN["result"], "success": False}},
        {"timestamp": "2021-04-21T08:30:06+08:00"},
        {"id": statement_id(99)},
        {"context": {**PLAIN["context"], "platform": "x"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_statement_that_is_not_the_one_that_was_signed_is_told_apart(change: dict[str, Any]) -> None:
    assert refusal(one({**SIGNED, **change})) == (Code.CERTIFICATE_MISMATCH, 2)


def test_a_signature_that_is_anothers_does_not_hold() -> None:
    signature = certify(PLAIN)["jws"].split(".")
    other = certify({**PLAIN, "timestamp": "2021-04-21T08:30:06+08:00"})["jws"].split(".")
    forged = sending_skill_master.attachment(".".join([*signature[:2], other[2]]))
    assert refusal(one({**PLAIN, "attachments": [forged]})) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({f"{EXTENSIONS}id-number": "999901199003070017"}, (Code.CERTIFICATE_MISMATCH, 2)),
        # Nobody says what the digest is of, so that the certificate names no one.
        ({f"{EXTENSIONS}id-number": None}, (Code.CERTIFICATE_CLAIMS_INVALID, 8)),
    ],
)
def test_a_digest_is_of_what_the_statement_says_beside_it(change: dict[str, Any], expected: Any) -> None:
    hashed = fixture("completed_hashed_badge")
    said = {**hashed["context"]["extensions"], **change}
    verify(one(hashed), BADGE_ISSUER)
    assert refusal(one({**hashed, "context": {"extensions": said}}), BADGE_ISSUER) == expected


@pytest.mark.parametrize("name", ["certificate-number", "id-number", "actor"])
def test_what_is_stated_beside_a_credential_is_compared(name: str) -> None:
    verify(one(BADGED), BADGE_ISSUER)
    if name == "actor":
        changed = {**BADGED, "actor": {"name": "测试·乙"}}
    else:
        said = {**BADGED["context"]["extensions"], EXTENSIONS + name: "another"}
        changed = {**BADGED, "context": {"extensions": said}}
    assert refusal(one(changed), BADGE_ISSUER) == (Code.CERTIFICATE_MISMATCH, 12)


# Answers


def answered(*items: ItemOutcome, delivery_id: str = "post:1", **others: Any) -> Any:
    state = others.pop("state", DeliveryState.ACCEPTED)
    answer = ADAPTER.acknowledge(DeliveryOutcome(DeliveryId(delivery_id), state, items, **others))
    return answer.status, json.loads(answer.body) if answer.body else None


KEPT: Final = ItemOutcome("a", ItemState.ACCEPTED)
CONFLICT: Final = ItemOutcome("b", ItemState.REFUSED, Code.DELIVERY_CONFLICT)
REFUSED: Final = ItemOutcome("c", ItemState.REFUSED, Code.ISSUER_UNKNOWN, 3)


def test_a_post_is_answered_with_the_ids_and_a_put_with_nothing() -> None:
    again = ItemOutcome("a#1", ItemState.DUPLICATE)
    assert answered(replace(KEPT, item="a#0"), again) == (200, ["a", "a"])
    assert answered(KEPT, delivery_id="put:1") == (204, None)


@pytest.mark.parametrize("delivery_id", ["put:1", "post:1"])
def test_what_is_refused_is_said_and_a_conflict_before_all(delivery_id: str) -> None:
    status, body = answered(KEPT, REFUSED, delivery_id=delivery_id)
    assert (status, body["code"]) == (400, "issuer_unknown")
    assert [item["state"] for item in body["data"]["items"]] == ["accepted", "refused"]
    assert answered(REFUSED, CONFLICT, delivery_id=delivery_id)[0] == 409
    assert answered(delivery_id=delivery_id, state=DeliveryState.QUARANTINED)[0] == 400
    assert answered(delivery_id=delivery_id, state=DeliveryState.CONFLICT)[0] == 409


def test_only_a_missing_token_is_asked_for() -> None:
    for code in Code:
        answer = ADAPTER.refuse(code)
        asked = ("WWW-Authenticate", "Bearer") in answer.headers
        assert asked == (code is Code.SIGNATURE_REJECTED)
        assert answer.status != 422
