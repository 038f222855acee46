from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from adapters import mohrss_training as mpx
from adapters.mohrss_training.answers import NUMBERS
from tests.platforms.senders import SENDERS, Sender, encode
from tests.platforms.sending_mohrss_training import milliseconds, password, private, user
from verifier.errors import CATALOGUE, AdapterError, Code, SignatureRejected
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    ItemOutcome,
    ItemState,
    UnreadableItem,
)
from verifier.signatures import pdf, raw_rsa
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)
TIME: Final = milliseconds(NOW)
ADAPTER: Final = mpx.MohrssTraining()
QUERY, SECRET = (sender for sender in SENDERS if sender.slug == ADAPTER.slug)
each_scheme = pytest.mark.parametrize("sender", [QUERY, SECRET], ids=["query", "secret"])


def cancel(item_id: object, **change: object) -> dict[str, Any]:
    common = {"itemId": item_id, "eventTime": TIME}
    return {**common, "issuerId": "issuer", "certNo": "N1", "reason": "r", **change}


def graduation(**change: object) -> dict[str, Any]:
    return {"itemId": "I1", "eventTime": TIME, "fileId": "F-1", "esign": "AAAA", **change}


def upload(file_id: object = "F-1", content: bytes = b"%PDF-1.7\n", **change: object) -> dict[str, Any]:
    return {"fileId": file_id, "content": base64.b64encode(content).decode(), **change}


def message(**members: object) -> dict[str, Any]:
    return {"batchNo": "B1", **(members or {"cancelList": [cancel("I1")]})}


def authenticate(request: Callback, *keys: TransportKey, now: datetime = NOW) -> AuthenticatedCallback:
    return ADAPTER.authenticate(request, keys, now)


def authentic(body: bytes, sender: Sender = QUERY, *, at: datetime = NOW) -> AuthenticatedCallback:
    return authenticate(sender.callback(body, "", at), sender.key(0), now=at)


def read(**members: object) -> tuple[Event | UnreadableItem, ...]:
    return ADAPTER.parse(authentic(encode(message(**members))))


def unreadable(body: bytes) -> str:
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(authentic(body))
    assert caught.value.code is Code.DELIVERY_UNREADABLE
    return caught.value.pointer


def refused(request: Callback, *keys: TransportKey, now: datetime = NOW) -> str:
    with pytest.raises(SignatureRejected) as caught:
        authenticate(request, *keys, now=now)
    return caught.value.step


# --- the two schemes ----------------------------------------------------------------------------------------


def test_leaving_the_query_away_gains_nothing_where_only_a_public_key_is_registered() -> None:
    signed = QUERY.callback(encode(message(privateKey=password(0), sendTime=TIME)), "", NOW)
    assert refused(replace(signed, query=""), QUERY.key(0)) == Step.NO_KEY
    assert authenticate(signed, QUERY.key(0)).key_id == user(0)


def test_a_request_with_a_query_is_proven_by_its_signature_alone() -> None:
    by_secret = SECRET.callback(encode(message()), "", NOW)
    both = (QUERY.key(0), SECRET.key(0))
    assert authenticate(by_secret, *both).key_id == SECRET.key(0).key_id
    for query in ("v=1.0.0.e1", "x", "v=1.0.0.e1&ts=1&sign=AA&user=nobody"):
        refused(replace(by_secret, query=query), *both)
    # And a secret that stands there beside it is not looked at.
    signed = QUERY.callback(encode(message(privateKey="another", cancelList=[cancel("I1")])), "", NOW)
    assert authenticate(signed, *both).key_id == user(0)


@pytest.mark.parametrize("step", ["malformed", "no_key"])
def test_a_query_has_exactly_its_four_parameters(step: str) -> None:
    request = QUERY.callback(encode(message()), "", NOW)
    query = request.query
    assert authenticate(
        replace(request, query="&".join(query.split("&")[::-1])), QUERY.key(0)
    ).key_id == user(0)
    changed = {
        "malformed": [
            query + "&nonce=1",
            query + "&v=1.0.0.e1",
            query.replace("v=1.0.0.e1&", ""),
            query.replace("v=1.0.0.e1", "v=1.0.0.e2"),
            query.replace("sign=", "SIGN="),
            query.replace("user=", "user"),
            query + "&签名=1",
            query.replace("ts=", "ts=0"),
            query.replace(query.split("&")[2], query.split("&")[2].lower()),
        ],
        "no_key": [query + "0", query.replace(f"user={user(0)}", f"user={user(0).lower()}")],
    }
    for one in changed[step]:
        assert refused(replace(request, query=one), QUERY.key(0)) == step


def test_a_key_proves_deliveries_only_as_it_is_registered() -> None:
    request = QUERY.callback(encode(message()), "", NOW)
    key = QUERY.key(0)
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    for other in (
        replace(key, algorithm="RS256"),
        replace(key, algorithm=""),
        replace(key, public_key=elliptic),
        replace(key, public_key=None, secret=password(0).encode()),
        replace(key, key_id="other"),
    ):
        assert refused(request, other) == Step.NO_KEY


def test_the_primitive_signs_what_the_arithmetic_signs() -> None:
    body = encode(message())
    signed = raw_rsa.sign(body=body, timestamp=str(TIME), private_key=private(0))
    assert f"sign={signed}&" in QUERY.callback(body, "", NOW).query


@pytest.mark.parametrize("secret", [None, "", 7, ["x"], "x" * 257, "nearly", "密钥"])
def test_only_a_registered_secret_is_one(secret: object) -> None:
    body = encode({**message(), "privateKey": secret, "sendTime": TIME})
    request = replace(SECRET.callback(b"{}", "", NOW), body=body)
    refused(request, SECRET.key(0), SECRET.key(1))
    # Nor is one of which nothing is registered.
    refused(request, replace(SECRET.key(0), secret=b""))


def test_every_registered_secret_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def equal(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return a == b

    monkeypatch.setattr("verifier.signatures.hmac.equal", equal)
    keys = [SECRET.key(number) for number in range(3)]
    assert authenticate(SECRET.callback(encode(message()), "", NOW), *keys).key_id == keys[0].key_id
    assert compared == [key.secret for key in keys]


@pytest.mark.parametrize("written", [TIME, str(TIME)])
def test_a_time_may_be_written_as_a_number_or_a_text(written: object) -> None:
    body = encode({**message(), "privateKey": password(0), "sendTime": written})
    request = replace(SECRET.callback(b"{}", "", NOW), body=body)
    assert authenticate(request, SECRET.key(0)).signed_at == NOW
    for wrong in (TIME / 1000, True, None, "", f" {TIME}", TIME // 1000):
        assert refused(
            replace(request, body=encode({**message(), "privateKey": password(0), "sendTime": wrong})),
            SECRET.key(0),
        )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"privateKey":"a","privatekey":"b"}'])
def test_what_cannot_be_read_is_not_proven_by_a_secret_in_it(body: bytes) -> None:
    request = replace(SECRET.callback(b"{}", "", NOW), body=body)
    assert refused(request, SECRET.key(0)) == Step.MALFORMED


@each_scheme
def test_the_secret_is_in_no_event_and_no_text(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = encode(message(privateKey=password(0), graduationList=[graduation()], examList=[1], other=2))
    authenticated = authentic(body, sender)
    items = ADAPTER.parse(authenticated)
    extras = json.dumps([dict(item.extra) for item in items if isinstance(item, Event)])
    assert "other" in extras
    assert password(0) not in f"{extras} {authenticated!r} {items!r} {caplog.text}"
    assert password(0).encode() not in authenticated.content


def test_the_same_batch_is_the_same_by_either_scheme_and_at_any_time() -> None:
    body = encode(message())
    contents = {
        authentic(body, sender, at=NOW + timedelta(hours=hours)).content
        for sender in (QUERY, SECRET)
        for hours in (0, 5)
    }
    assert len(contents) == 1
    assert authentic(encode(message(cancelList=[cancel("I2")]))).content not in contents


# --- the delivery as a whole --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["B1", "a.b-c_D9", "x" * 128])
def test_the_delivery_is_named_by_its_batch_number(name: str) -> None:
    assert authentic(encode({**message(), "batchNo": name})).delivery_id == name


@pytest.mark.parametrize("name", [None, "", " ", 1, "x" * 129, "编号", "a b", "a\n", "post:00", ["B1"]])
def test_an_authentic_batch_without_a_number_is_kept_nameless_and_unreadable(name: object) -> None:
    body = encode({**message(), "batchNo": name})
    assert authentic(body).delivery_id == ""
    assert unreadable(body) == "/batchNo"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"batchNo":"B1","batchno":"B2"}', b"\xff", b"1e999"])
def test_a_body_that_is_no_strict_json_object_is_kept_and_unreadable(raw: bytes) -> None:
    authenticated = authentic(raw)
    assert (authenticated.delivery_id, authenticated.sequence, authenticated.content) == ("", None, b"")
    unreadable(raw)


@pytest.mark.parametrize(
    ("written", "number"), [(17, 17), ("17", 17), (0, 0), ("007", 7), (None, None), ("", None)]
)
def test_a_running_number_may_be_written_as_a_number_or_a_text(written: object, number: int | None) -> None:
    body = encode({**message(), "seq": written})
    assert authentic(body).sequence == number
    assert ADAPTER.parse(authentic(body))


@pytest.mark.parametrize("written", [-1, 1.0, True, "x", "１", "1" * 16, 10**15, [1], {}])
def test_another_running_number_is_unreadable(written: object) -> None:
    body = encode({**message(), "seq": written})
    assert authentic(body).sequence is None
    assert unreadable(body) == "/seq"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"other": 1}, ""),
        ({"cancelList": []}, ""),
        ({"cancelList": None, "fileList": []}, ""),
        ({"cancelList": "x"}, "/cancelList"),
        ({"cancelList": {}}, "/cancelList"),
        ({"cancelList": ""}, "/cancelList"),
        ({"cancelList": [1] * 201}, "/cancelList"),
        ({"cancelList": [1] * 101, "amendList": [1] * 100}, ""),
        ({"laterList": [1] * 201}, ""),
        ({"laterList": {}}, ""),
    ],
)
def test_a_batch_has_1_to_200_items(members: dict[str, object], pointer: str) -> None:
    assert unreadable(encode(message(**members))) == pointer


def test_a_batch_of_200_over_several_lists_is_read_whole_and_in_order() -> None:
    read_whole = read(
        amendList=None,
        laterList=[{"itemId": f"L{n}"} for n in range(100)],
        cancelList=[cancel(f"I{n}") for n in range(100)],
        graduationList=[],
    )
    assert [item.item for item in read_whole] == [f"{c}{n}" for c in "LI" for n in range(100)]
    assert [item.kind for item in read_whole if isinstance(item, Event)] == (
        [EventKind.UNKNOWN] * 100 + [EventKind.REVOKED] * 100
    )


@given(
    st.lists(
        st.sampled_from(["A", "B", "A#0", "", None, 7, "C" * 65]) | st.text("aA1#.一 ", max_size=3),
        min_size=1,
    )
)
def test_no_two_items_ever_share_a_name(ids: list[object]) -> None:
    names = [item.item for item in read(cancelList=[cancel(one) for one in ids], fileList=[upload("A")])]
    assert len(set(names)) == len(ids) + 1


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_batch_with_k_bad_items_keeps_exactly_the_others_with_k_reasons(good: list[bool]) -> None:
    rows = [cancel(f"I{n}", **({} if ok else {"reason": None})) for n, ok in enumerate(good)]
    found = read(cancelList=rows)
    assert [isinstance(item, Event) for item in found] == good
    bad = [(f"I{n}", f"/cancelList/{n}/reason") for n, ok in enumerate(good) if not ok]
    assert [item for item in found if isinstance(item, UnreadableItem)] == [
        UnreadableItem(name, Code.FIELD_MISSING, pointer) for name, pointer in bad
    ]


# --- the items ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "stated"),
    [
        ({"name": "测试甲"}, "测试甲"),
        ({"stuName": "测试甲"}, "测试甲"),
        ({"stuName": "测试甲", "name": "测试甲"}, "测试甲"),
        ({"stuName": "", "name": "测试甲"}, "测试甲"),
        ({"stuName": "测试甲", "name": None}, "测试甲"),
        ({}, None),
    ],
)
def test_the_name_comes_under_its_former_or_its_present_member(
    names: dict[str, object], stated: str | None
) -> None:
    for kept_in in ("graduationList", "amendList"):
        (event,) = read(**{kept_in: [graduation(**names)]})
        assert isinstance(event, Event)
        assert event.stated.get("holder_name") == stated
        assert event.extra == {}


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"stuName": "测试甲", "name": "测试乙"}, Code.FIELD_INVALID, "/stuName"),
        ({"stuName": 7}, Code.FIELD_INVALID, "/stuName"),
        ({"itemId": None}, Code.FIELD_MISSING, "/itemId"),
        ({"eventTime": "2021-06-01"}, Code.FIELD_INVALID, "/eventTime"),
        ({"eventTime": TIME // 1000}, Code.FIELD_INVALID, "/eventTime"),
        ({"fileId": ""}, Code.FIELD_MISSING, "/fileId"),
        ({"fileId": "a/b"}, Code.FIELD_INVALID, "/fileId"),
        ({"fileId": 7}, Code.FIELD_INVALID, "/fileId"),
        ({"esign": None}, Code.FIELD_MISSING, "/esign"),
        ({"esign": "A" * 2049}, Code.FIELD_INVALID, "/esign"),
        ({"reason": "x" * 501}, Code.FIELD_INVALID, "/reason"),
    ],
)
def test_what_cannot_be_read_names_its_place(change: dict[str, Any], code: Code, pointer: str) -> None:
    (item,) = read(amendList=[graduation(**change)])
    name = "#0" if change.get("itemId", "I1") is None else "I1"
    assert item == UnreadableItem(name, code, f"/amendList/0{pointer}")


def test_a_certificate_is_named_and_not_brought() -> None:
    (event,) = read(graduationList=[graduation(eventTime=str(TIME))])
    assert isinstance(event, Event)
    assert event.occurred_at == NOW
    assert event.certificate is not None
    assert (event.certificate.content, event.certificate.document, event.certificate.signature) == (
        b"",
        "F-1",
        "AAAA",
    )


def test_an_unknown_list_is_recorded_whatever_is_in_it() -> None:
    found = read(laterList=[{"itemId": "I1"}, None, 7, {"itemId": "I 1"}], laterText="x", laterLists=[1])
    assert [(item.item, item.kind) for item in found if isinstance(item, Event)] == [
        (name, EventKind.UNKNOWN) for name in ("I1", "#1", "#2", "#3")
    ]
    around = {"laterText": "x", "laterLists": [1]}
    assert found[0] == Event(
        EventKind.UNKNOWN, "I1", extra={"list": "laterList", "message": around, "item": {"itemId": "I1"}}
    )


def test_a_file_of_up_to_four_mebibytes_is_taken() -> None:
    most = b"%PDF-1.7\n".ljust(pdf.MAX_BYTES, b"0")
    (event,) = read(fileList=[upload(content=most)])
    assert isinstance(event, Event)
    assert event.document is not None
    assert (event.document.document_id, event.document.content) == ("F-1", most)
    assert len(encode(message(fileList=[upload(content=most)]))) < ADAPTER.accepts.body_bytes
    for more in (most + b"0", most + b"0000"):
        assert read(fileList=[upload(content=more)]) == (
            UnreadableItem("F-1", Code.FIELD_INVALID, "/fileList/0/content"),
        )


@pytest.mark.parametrize("content", ["JVBERi0x*", "JVBERi0", "JVBE\nRi0x", "签名", "UEsDBA==", "JVBER"])
def test_what_is_no_pdf_takes_no_id(content: str) -> None:
    (item,) = read(fileList=[{"fileId": "F-1", "content": content}])
    assert item == UnreadableItem("F-1", Code.FIELD_INVALID, "/fileList/0/content")


def test_two_files_under_one_id_are_both_refused_and_an_item_of_that_name_is_not() -> None:
    found = read(fileList=[upload("F-1"), upload("F-1"), upload("F-2")], cancelList=[cancel("F-2")])
    assert found[:2] == tuple(
        UnreadableItem(f"F-1#{n}", Code.FIELD_INVALID, f"/fileList/{n}/fileId") for n in range(2)
    )
    assert [(item.item, type(item)) for item in found[2:]] == [("F-2#2", Event), ("F-2#3", Event)]


# --- the answer ---------------------------------------------------------------------------------------------


def test_every_reason_has_a_number_of_its_own() -> None:
    assert set(NUMBERS) == set(Code)
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    assert all(100 < number < 10_000 for number in NUMBERS.values())


@pytest.mark.parametrize(
    ("outcome", "c"),
    [
        (DeliveryOutcome(DeliveryId("B1"), DeliveryState.CONFLICT), NUMBERS[Code.DELIVERY_CONFLICT]),
        (DeliveryOutcome(DeliveryId("B1"), DeliveryState.QUARANTINED), NUMBERS[Code.DELIVERY_UNREADABLE]),
        (
            DeliveryOutcome(DeliveryId("B1"), DeliveryState.QUARANTINED, code=Code.TOO_COMPLEX),
            NUMBERS[Code.TOO_COMPLEX],
        ),
    ],
)
def test_whatever_became_of_an_authentic_batch_is_answered_in_http_200(
    outcome: DeliveryOutcome, c: int
) -> None:
    answer = ADAPTER.acknowledge(outcome)
    said = json.loads(answer.body)
    assert (answer.status, said["c"], said["ctt"]) == (200, c, [])


def test_what_was_not_kept_is_answered_with_its_status_in_the_same_envelope() -> None:
    answer = ADAPTER.refuse(Code.SIGNATURE_REJECTED)
    expected = {"c": 201, "msg": CATALOGUE[Code.SIGNATURE_REJECTED].zh, "ctt": []}
    assert (answer.status, json.loads(answer.body)) == (401, expected)


def test_an_item_that_waits_for_its_file_says_so() -> None:
    waiting = ItemOutcome("I1", ItemState.WAITING, Code.DOCUMENT_MISSING)
    answer = ADAPTER.acknowledge(DeliveryOutcome(DeliveryId("B1"), DeliveryState.ACCEPTED, (waiting,)))
    assert json.loads(answer.body) == {
        "c": 0,
        "msg": "成功",
        "ctt": [
            {
                "itemId": "I1",
                "state": "waiting",
                "c": NUMBERS[Code.DOCUMENT_MISSING],
                "msg": CATALOGUE[Code.DOCUMENT_MISSING].zh,
                "party": "platform",
                "pointer": "",
                "step": 0,
            }
        ],
    }
