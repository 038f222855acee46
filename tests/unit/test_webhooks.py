from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypedDict

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import webhooks

SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(32, 64))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ID = "msg_2026-11.0001"
SECONDS = 1_780_000_000
NOW = datetime.fromtimestamp(SECONDS, UTC)
BODY = '{"event":"course.completed","name":"张三"}'.encode()


class Delivery(TypedDict, total=False):
    message_id: str
    timestamp: str
    signatures: str
    body: bytes
    secrets: list[bytes]
    public_keys: list[Ed25519PublicKey]
    now: datetime


def delivery() -> Delivery:
    return Delivery(
        message_id=ID,
        timestamp=str(SECONDS),
        signatures=v1(),
        body=BODY,
        secrets=[SECRET],
        public_keys=[PRIVATE.public_key()],
        now=NOW,
    )


def v1(secret: bytes = SECRET, timestamp: int = SECONDS) -> str:
    return webhooks.sign_v1(message_id=ID, timestamp=timestamp, body=BODY, secret=secret)


def v1a(private_key: Ed25519PrivateKey = PRIVATE) -> str:
    return webhooks.sign_v1a(message_id=ID, timestamp=SECONDS, body=BODY, private_key=private_key)


def verify(changes: Delivery | None = None) -> datetime:
    merged: Delivery = {**delivery(), **(changes or {})}
    return webhooks.verify(**merged)


def step(changes: Delivery) -> str:
    with pytest.raises(SignatureRejected) as caught:
        verify(changes)
    return caught.value.step


@pytest.mark.parametrize(
    "signatures",
    [v1(), v1a(), f"{v1(OTHER_SECRET)} {v1()}", f"v1a,AAAA v2,AAAA {v1a()}"],
    ids=count(),
)
def test_a_delivery_with_one_good_signature_is_accepted(signatures: str) -> None:
    assert verify({"signatures": signatures}) == NOW


def test_the_fixed_vector_of_the_specification_is_reproduced() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = webhooks.sign_v1(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=body,
        secret=secret,
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_the_reference_library_sends_is_accepted_and_it_accepts_what_we_send() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    sender = standardwebhooks.Webhook("whsec_" + base64.b64encode(SECRET).decode())
    signatures = sender.sign(ID, now, BODY.decode())
    seconds = int(now.timestamp())
    assert verify({"signatures": signatures, "timestamp": str(seconds), "now": now}) == now
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(seconds),
        "webhook-signature": v1(timestamp=seconds),
    }
    assert sender.verify(BODY, headers) == json.loads(BODY)


@pytest.mark.parametrize("signatures", [v1(), v1a()])
@given(data=st.data())
def test_any_flipped_bit_of_what_is_signed_is_refused(signatures: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, 8 * len(BODY) - 1))
    body = bytearray(BODY)
    body[position // 8] ^= 1 << position % 8
    assert step({"signatures": signatures, "body": bytes(body)}) == "signature"


@pytest.mark.parametrize("signatures", [v1(), v1a()])
def test_id_time_and_exact_body_are_signed(signatures: str) -> None:
    assert step({"signatures": signatures, "message_id": ID + "2"}) == "signature"
    assert step({"signatures": signatures, "timestamp": str(SECONDS + 1)}) == "signature"
    assert step({"signatures": signatures, "body": BODY + b"\n"}) == "signature"


@pytest.mark.parametrize("seconds", [300, -300])
def test_a_time_at_the_boundary_is_accepted_in_both_directions(seconds: int) -> None:
    assert verify({"now": NOW + timedelta(seconds=seconds)}) == NOW


@pytest.mark.parametrize("seconds", [301, -301, 300.000001, -300.000001])
def test_a_time_beyond_the_boundary_is_refused_in_both_directions(seconds: float) -> None:
    assert step({"now": NOW + timedelta(seconds=seconds)}) == "timestamp"


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        " ",
        "NaN",
        "1e9",
        "+5",
        "-5",
        "1_000",
        "１７８００００００００",
        "٣",
        "0005",
        "5.0",
        "1" * 13,
        f"{SECONDS}\n",
    ],
)
def test_a_timestamp_that_is_not_plain_digits_is_malformed(timestamp: str) -> None:
    assert step({"timestamp": timestamp}) == "malformed"


@pytest.mark.parametrize("timestamp", ["0", "9" * 12])
def test_a_timestamp_beyond_the_calendar_is_only_outside_the_window(timestamp: str) -> None:
    assert step({"timestamp": timestamp}) == "timestamp"


@pytest.mark.parametrize(
    "message_id",
    ["", " ", "a b", "a\n", "a\x00", "ｍsg", "а", "a/b", "x" * 129, "x" * 1_000_000],
    ids=count(),
)
def test_an_id_with_foreign_characters_or_length_is_malformed(message_id: str) -> None:
    assert step({"message_id": message_id}) == "malformed"


@pytest.mark.parametrize(
    "signatures",
    [
        *("", " ", "v1", "v1,", ",AAAA", v1().removeprefix("v1,")),
        *(v1() + " ", " " + v1(), v1().replace(",", "  "), v1() + "\n", f"{v1()}\t{v1()}"),
        *("v1,é", "v1,ＡＡＡＡ", "V1,AAAA", "v1,AA-_", "v1," + "A" * 129),
        " ".join([v1()] * 6),
        " ".join([v1()] * 10_000),
    ],
    ids=count(),
)
def test_a_signature_header_of_another_form_is_malformed(signatures: str) -> None:
    assert step({"signatures": signatures}) == "malformed"


def test_five_signatures_are_tried() -> None:
    assert verify({"signatures": " ".join([v1(OTHER_SECRET)] * 4 + [v1()])}) == NOW


@pytest.mark.parametrize(
    "signatures",
    [
        v1(OTHER_SECRET),
        v1a(OTHER_PRIVATE),
        v1().replace("v1,", "v1a,"),
        v1a().replace("v1a,", "v1,"),
        v1().replace("v1,", "v2,"),
        v1().rstrip("="),
        v1() + "=",
        v1a().rstrip("="),
        v1a() + "AAAA",
        "v1a,====",
        "v1," + base64.b64encode(bytes(32)).decode(),
        "v1a," + base64.b64encode(bytes(64)).decode(),
    ],
    ids=count(),
)
def test_a_signature_that_does_not_hold_is_refused(signatures: str) -> None:
    assert step({"signatures": signatures}) == "signature"


def test_a_v1a_signature_has_one_spelling_only() -> None:
    text = v1a()
    last = text[-3]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) ^ 1]
    assert base64.b64decode(text[4:-3] + other + "==") == base64.b64decode(text[4:])
    assert step({"signatures": text[:-3] + other + "=="}) == "signature"


def test_old_and_new_keys_are_accepted_during_rotation() -> None:
    for signatures in (v1(), v1(OTHER_SECRET), v1a(), v1a(OTHER_PRIVATE)):
        keys = [OTHER_PRIVATE.public_key(), PRIVATE.public_key()]
        assert (
            verify({"signatures": signatures, "secrets": [OTHER_SECRET, SECRET], "public_keys": keys}) == NOW
        )


@pytest.mark.parametrize("secrets", [[], [b""], [bytes(23)], [b"", bytes(23)]])
def test_no_secret_configured_is_never_acceptance(secrets: list[bytes]) -> None:
    signatures = v1(secrets[0]) if secrets else v1()
    assert step({"signatures": signatures, "secrets": secrets, "public_keys": []}) == "no_key"
    assert step({"signatures": signatures, "secrets": secrets}) == "signature"


def test_public_keys_alone_are_enough() -> None:
    assert verify({"signatures": v1a(), "secrets": []}) == NOW


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80), st.binary(max_size=80))
def test_any_input_raises_only_signature_rejected(
    message_id: str, timestamp: str, signatures: str, body: bytes
) -> None:
    assert step({"message_id": message_id, "timestamp": timestamp, "signatures": signatures, "body": body})


@given(st.text(alphabet="v1a,= +/AZaz09", max_size=100))
def test_any_signature_header_raises_only_signature_rejected(signatures: str) -> None:
    assert step({"signatures": signatures}) in {"malformed", "signature"}


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_in_the_form_of_the_specification_is_decoded(size: int) -> None:
    secret = bytes(range(size))
    assert webhooks.decode_secret("whsec_" + base64.b64encode(secret).decode()) == secret


@pytest.mark.parametrize(
    "text",
    [
        *("", "whsec_", base64.b64encode(SECRET).decode(), "whsec_é", "whsec_AAAA\n", "WHSEC_" + "A" * 32),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_" + base64.b64encode(SECRET).decode().rstrip("="),
        "whsec_" + base64.b64encode(bytes(25)).decode()[:-3] + "B==",
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    ],
)
def test_a_secret_of_another_form_or_one_that_everyone_knows_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        webhooks.decode_secret(text)
    assert caught.value.code is Code.KEY_REFUSED
