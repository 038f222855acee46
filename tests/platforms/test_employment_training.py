from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import employment_training as jc
from tests.platforms.places import Form, Query
from tests.platforms.senders import SENDERS, START, secret
from tests.platforms.sending_employment_training import base64url, by_hmac, by_sm2, joined, render, send
from verifier.errors import CATALOGUE, AdapterError, Code, ConfigurationError, SignatureRejected
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
from verifier.signatures import sm2
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)
ADAPTER: Final = jc.EmploymentTraining()
SM2, HMAC, MD5 = (sender for sender in SENDERS if sender.slug == ADAPTER.slug)
REVOKED: Final[dict[str, Any]] = {
    "notify_id": "n-1",
    "event_type": "TRAINING_REVOKED",
    "event_time": "2021-03-16 09:00:05",
    "issuer_id": "jc-issuer",
    "cert_no": "JC-1",
    "reason": "误发",
}
FINISHED: Final[dict[str, Any]] = {
    "notify_id": "n-2",
    "event_type": "TRAINING_FINISHED",
    "event_time": "2021-03-16 09:00:05",
    "cert_data": base64url(b"a=1"),
    "cert_sign": "00",
}


def authenticate(request: Callback, *keys: TransportKey) -> AuthenticatedCallback:
    return ADAPTER.authenticate(request, keys or [HMAC.key(0)], NOW)


def step(request: Callback, *keys: TransportKey) -> str:
    with pytest.raises(SignatureRejected) as caught:
        authenticate(request, *keys)
    return caught.value.step


def by_secret(payload: Mapping[str, Any], **changed: Any) -> Callback:
    return by_hmac(0, render({**payload, **changed}), "", NOW)


def parse_body(body: bytes) -> Event | UnreadableItem:
    genuine = authenticate(by_secret(REVOKED))
    (item,) = ADAPTER.parse(replace(genuine, callback=replace(genuine.callback, body=body)))
    return item


def parse(payload: Mapping[str, Any]) -> Event | UnreadableItem:
    return parse_body(render(payload))


# Authenticity


def test_every_scheme_is_accepted_beside_the_others_and_names_its_key() -> None:
    keys = [sender.key(0) for sender in (SM2, HMAC, MD5)]
    for sender, key in zip((SM2, HMAC, MD5), keys, strict=True):
        request = sender.callback(render(REVOKED), "", NOW)
        assert authenticate(request, *keys).key_id == key.key_id


def test_what_is_sent_again_is_signed_anew_and_has_the_same_body() -> None:
    later = NOW + timedelta(hours=3)
    for by in (by_sm2, by_hmac):
        first, again = by(0, render(REVOKED), "", NOW), by(0, render(REVOKED), "", later)
        assert first.body == again.body
        assert first.query != again.query


def test_md5_counts_only_where_the_register_calls_the_key_legacy() -> None:
    request, key = MD5.callback(render(REVOKED), "", NOW), MD5.key(0)
    assert authenticate(request, key).key_id == key.key_id
    assert step(request, replace(key, legacy="")) == Step.ALGORITHM


def test_a_legacy_key_proves_by_md5_alone_so_that_the_message_has_no_choice() -> None:
    def sign(text: bytes) -> str:
        key = secret("jc-legacy", 0)
        return hmac.new(key, text + b"&key=" + key, hashlib.sha256).hexdigest().upper()

    request = send(render(REVOKED), "jc-md5-0", "HMAC-SHA256", NOW, sign)
    assert step(request, MD5.key(0)) == Step.ALGORITHM
    assert authenticate(request, replace(MD5.key(0), legacy="")).delivery_id == "n-1"


@pytest.mark.parametrize("sender", [SM2, HMAC, MD5], ids=["sm2", "hmac", "md5"])
@pytest.mark.parametrize("word", ["SM3withSM2", "HMAC-SHA256", "MD5", "RSA2", "none", "sm3withsm2"])
def test_the_word_for_the_scheme_must_be_the_registered_ones(sender: Any, word: str) -> None:
    request = sender.callback(render(REVOKED), "", NOW)
    if Query("sign_type").get(request) != word:
        assert step(Query("sign_type").put(request, word), sender.key(0)) == Step.ALGORITHM


@pytest.mark.parametrize("distinguishing_id", [b"", b"ALICE123@YAHOO.COM"])
def test_a_key_registered_with_another_distinguishing_id_verifies_nothing(distinguishing_id: bytes) -> None:
    request, key = SM2.callback(render(REVOKED), "", NOW), SM2.key(0)
    assert isinstance(key.public_key, sm2.Sm2PublicKey)
    other = sm2.Sm2PublicKey(key.public_key.point, distinguishing_id)
    assert step(request, replace(key, public_key=other)) == Step.SIGNATURE


@pytest.mark.parametrize("encoding", [one for one in SignatureEncoding if one != "der+base64"])
def test_a_signature_in_another_encoding_than_the_registered_one_is_malformed(
    encoding: SignatureEncoding,
) -> None:
    request = SM2.callback(render(REVOKED), "", NOW)
    assert step(request, replace(SM2.key(0), encoding=encoding)) == Step.MALFORMED


def test_without_sm2_in_libcrypto_nothing_is_decided_about_a_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "no such libcrypto is installed")

    request = SM2.callback(render(REVOKED), "", NOW)
    monkeypatch.setattr(sm2, "_libcrypto", missing)
    with pytest.raises(ConfigurationError):
        authenticate(request, SM2.key(0))


@pytest.mark.parametrize(
    "change",
    [
        lambda query: [*query, ("version", "1")],
        lambda query: [*query, query[0]],
        lambda query: query[1:],
        lambda query: query[:0],
        lambda query: [*query[1:], ("appId", "jc-hmac-0")],
    ],
)
def test_the_query_has_exactly_its_five_parameters(change: Any) -> None:
    request = by_secret(REVOKED)
    changed = urlencode(change(parse_qsl(request.query)))
    assert step(replace(request, query=changed)) == Step.MALFORMED


@pytest.mark.parametrize("query", ["%", "app_id", "&", "app_id=结", "app_id=\udc80", "a=%ff"])
def test_a_query_that_is_none_is_malformed(query: str) -> None:
    assert step(replace(by_secret(REVOKED), query=query)) == Step.MALFORMED


@pytest.mark.parametrize(
    "body", [b"%", b"notify_id", b"a=\xff", b"a=%FF", b"a=1;b=2", b"&".join([b"a=1"] * 65)]
)
def test_a_body_that_is_no_form_is_malformed(body: bytes) -> None:
    assert step(replace(by_secret(REVOKED), body=body)) == Step.MALFORMED


@pytest.mark.parametrize("name", ["app_id", "timestamp", "nonce", "sign", "sign_type"])
def test_no_parameter_stands_in_query_and_body(name: str) -> None:
    assert step(by_secret(REVOKED, **{name: "x"})) == Step.MALFORMED


@pytest.mark.parametrize("name", ["key", "a b", "", "名", "a&b", "a=b", "x" * 65])
def test_a_name_that_could_be_taken_for_something_else_is_malformed(name: str) -> None:
    assert step(by_secret(REVOKED, **{name: "x"})) == Step.MALFORMED


def test_a_value_with_a_separator_is_malformed_since_two_messages_would_sign_alike() -> None:
    one, two = {**REVOKED, "reason": "1&z=2"}, {**REVOKED, "reason": "1", "z": "2"}
    assert joined(one) == joined(two)
    assert step(by_secret(one)) == Step.MALFORMED
    assert authenticate(by_secret(two)).delivery_id == "n-1"


@pytest.mark.parametrize("value", ["a\nb", "\x00", "\x7f"])
def test_a_value_with_a_control_character_is_malformed(value: str) -> None:
    assert step(by_secret(REVOKED, reason=value)) == Step.MALFORMED


def test_nothing_can_be_added_to_what_is_signed_not_even_without_a_value() -> None:
    request = by_secret(REVOKED)
    for more in (b"&added=", b"&added=1"):
        assert step(replace(request, body=request.body + more)) == Step.SIGNATURE


def test_sixty_four_parameters_can_be_signed_and_no_more() -> None:
    # Six of the event, five of the query.
    more = {f"later_{n}": "" for n in range(53)}
    assert authenticate(by_secret({**REVOKED, **more})).delivery_id == "n-1"
    assert step(by_secret({**REVOKED, **more, "later_53": ""})) == Step.MALFORMED


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_.\-]{1,8}", fullmatch=True).filter(lambda name: name not in {*jc.QUERY, "key"}),
        st.text(
            st.characters(exclude_characters="&=\x7f", min_codepoint=32, exclude_categories=["Cs"]),
            max_size=8,
        ),
        max_size=8,
    )
)
def test_whatever_else_is_signed_is_accepted_however_the_form_is_written(more: dict[str, str]) -> None:
    request = by_secret({**more, "notify_id": "n-1"})
    assert authenticate(request).delivery_id == "n-1"
    # Percent-encoded throughout, in another order: what is signed are the values.
    pairs = [
        (name, value) for name, value in reversed(parse_qsl(request.body.decode(), keep_blank_values=True))
    ]
    anew = "&".join(
        "=".join("".join(f"%{byte:02x}" for byte in text.encode()) for text in pair) for pair in pairs
    )
    assert authenticate(replace(request, body=anew.encode())).delivery_id == "n-1"


@pytest.mark.parametrize("name", ["n-1", "a.b-c_D9", "x" * 128])
def test_the_delivery_is_named_by_its_signed_notify_id(name: str) -> None:
    assert authenticate(by_secret(REVOKED, notify_id=name)).delivery_id == name


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "编号", "a b", "n#1"])
def test_without_a_usable_notify_id_nothing_is_authentic(name: str) -> None:
    assert step(by_secret(REVOKED, notify_id=name)) == Step.MALFORMED


def test_a_key_of_another_kind_or_name_is_no_key() -> None:
    request = SM2.callback(render(REVOKED), "", NOW)
    bare = TransportKey(SM2.key(0).key_id, START, algorithm="SM3withSM2")
    assert step(request, bare) == Step.NO_KEY
    assert step(request, HMAC.key(0)) == Step.NO_KEY
    assert step(Form("notify_id").put(request, "n-2"), SM2.key(0)) == Step.SIGNATURE


# Reading


@pytest.mark.parametrize(
    "body",
    [b"", b"a", b"event_type=", b"event_type=x&event_type=x", b"event_type=%ff", b"event_type=" + b"x" * 65],
)
def test_a_body_without_a_readable_event_type_is_unreadable_as_a_whole(body: bytes) -> None:
    with pytest.raises(AdapterError) as caught:
        parse_body(body)
    assert caught.value.code is Code.DELIVERY_UNREADABLE


def test_an_unknown_event_is_recorded_with_all_it_holds() -> None:
    item = parse({**FINISHED, "event_type": "LATER_INVENTED"})
    assert isinstance(item, Event)
    assert item.kind is EventKind.UNKNOWN
    assert item.extra == {
        "message": {"event_type": "LATER_INVENTED", "cert_data": base64url(b"a=1"), "cert_sign": "00"}
    }


@pytest.mark.parametrize(
    ("payload", "change", "code", "pointer"),
    [
        (REVOKED, {"event_time": ""}, Code.FIELD_MISSING, "/event_time"),
        (REVOKED, {"event_time": "20210316090005"}, Code.FIELD_INVALID, "/event_time"),
        (REVOKED, {"issuer_id": ""}, Code.FIELD_MISSING, "/issuer_id"),
        (REVOKED, {"cert_no": " JC-1"}, Code.FIELD_INVALID, "/cert_no"),
        (REVOKED, {"reason": ""}, Code.FIELD_MISSING, "/reason"),
        (FINISHED, {"cert_data": ""}, Code.FIELD_MISSING, "/cert_data"),
        (FINISHED, {"cert_data": "YT0x="}, Code.FIELD_INVALID, "/cert_data"),
        (FINISHED, {"cert_data": "YT1"}, Code.FIELD_INVALID, "/cert_data"),
        (FINISHED, {"cert_data": "证"}, Code.FIELD_INVALID, "/cert_data"),
        (FINISHED, {"cert_data": "a" * 11_265}, Code.FIELD_INVALID, "/cert_data"),
        (FINISHED, {"cert_sign": ""}, Code.FIELD_MISSING, "/cert_sign"),
        (FINISHED, {"cert_sign": "0" * 2049}, Code.FIELD_INVALID, "/cert_sign"),
        (FINISHED, {"cert_chain": "AAAA,*"}, Code.FIELD_INVALID, "/cert_chain"),
        (FINISHED, {"cert_chain": "A" * 32_769}, Code.FIELD_INVALID, "/cert_chain"),
        (FINISHED, {"reason": "长" * 501}, Code.FIELD_INVALID, "/reason"),
    ],
)
def test_what_cannot_be_read_names_its_place(
    payload: dict[str, Any], change: dict[str, str], code: Code, pointer: str
) -> None:
    assert parse({**payload, **change}) == UnreadableItem("0", code, pointer)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [("", ()), ("_-8", ("/+8=",)), ("AAAA,_-8", ("AAAA", "/+8=")), ("AAAA,", ("AAAA", ""))],
)
def test_the_chain_is_handed_on_in_standard_base64(chain: str, expected: tuple[str, ...]) -> None:
    item = parse({**FINISHED, "cert_chain": chain})
    assert isinstance(item, Event)
    assert item.certificate is not None
    assert (item.certificate.content, item.certificate.signature) == (b"a=1", "00")
    assert item.certificate.chain == expected


# Answers


def outcome(state: DeliveryState = DeliveryState.ACCEPTED, *items: ItemOutcome) -> DeliveryOutcome:
    return DeliveryOutcome(DeliveryId("n-1"), state, items)


@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.REFUSED])
def test_what_is_kept_is_answered_with_the_literal_success(state: ItemState) -> None:
    answer = ADAPTER.acknowledge(outcome(DeliveryState.ACCEPTED, ItemOutcome("0", state)))
    assert (answer.status, answer.content_type, answer.body) == (
        200,
        "text/plain; charset=utf-8",
        b"SUCCESS",
    )


def test_a_refused_event_is_a_refused_delivery_in_one_line() -> None:
    refused = ItemOutcome("0", ItemState.REFUSED, Code.KEY_COMPROMISED, 10)
    answer = ADAPTER.acknowledge(outcome(DeliveryState.ACCEPTED, refused))
    assert answer.status == 422
    assert answer.body.decode() == f"FAIL:key_compromised {CATALOGUE[Code.KEY_COMPROMISED].zh}"
    unsaid = ADAPTER.acknowledge(outcome(DeliveryState.ACCEPTED, replace(refused, code=None)))
    assert unsaid.body.decode().startswith("FAIL:field_invalid ")


def test_no_answer_but_success_holds_that_word() -> None:
    for code in Code:
        assert b"SUCCESS" not in ADAPTER.refuse(code).body
        assert b"\n" not in ADAPTER.refuse(code).body
