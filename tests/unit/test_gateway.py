from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import SignatureRejected
from verifier.signatures import gateway

SECRET = bytes(range(32))
SECONDS = 1_780_000_000
NOW = datetime.fromtimestamp(SECONDS, UTC)
METHOD, PATH, BODY = "POST", "/v1/callbacks/example?batch=1", b'{"n":1}'


class Request(TypedDict, total=False):
    method: str
    path: str
    timestamp: str
    signature_hex: str
    body: bytes
    secret: bytes
    now: datetime
    tolerance_seconds: int


SIGNATURE = gateway.sign(method=METHOD, path=PATH, timestamp=str(SECONDS), body=BODY, secret=SECRET)
REQUEST = Request(
    method=METHOD,
    path=PATH,
    timestamp=str(SECONDS),
    signature_hex=SIGNATURE,
    body=BODY,
    secret=SECRET,
    now=NOW,
)


def verify(changes: Request | None = None) -> datetime:
    merged: Request = {**REQUEST, **(changes or {})}
    return gateway.verify(**merged)


def step(changes: Request) -> str:
    with pytest.raises(SignatureRejected) as caught:
        verify(changes)
    return caught.value.step


def test_the_signature_is_the_documented_one_made_by_hand() -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    by_hand = hmac.new(SECRET, f"{METHOD}\n{PATH}\n{SECONDS}\n{digest}".encode(), "sha256").hexdigest()
    assert by_hand == SIGNATURE
    assert verify() == NOW


def test_every_part_of_the_request_is_signed() -> None:
    changes: list[Request] = [
        {"method": "PUT"},
        {"path": "/v1/callbacks/example?batch=2"},
        {"timestamp": str(SECONDS + 1)},
        {"body": BODY + b"\n"},
        {"secret": bytes(32)},
        {"signature_hex": "0" * 64},
    ]
    assert [step(change) for change in changes] == ["signature"] * len(changes)


@given(st.integers(0, 255))
def test_any_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    flipped = f"{int(SIGNATURE, 16) ^ (1 << bit):064x}"
    assert step({"signature_hex": flipped}) == "signature"


@pytest.mark.parametrize("seconds", [90, -90])
def test_a_time_at_the_boundary_is_accepted_in_both_directions(seconds: int) -> None:
    assert verify({"now": NOW + timedelta(seconds=seconds)}) == NOW


@pytest.mark.parametrize("seconds", [91, -91, 90.000001, -90.000001])
def test_a_time_beyond_the_boundary_is_refused_in_both_directions(seconds: float) -> None:
    assert step({"now": NOW + timedelta(seconds=seconds)}) == "timestamp"


def test_the_window_is_the_callers_choice() -> None:
    late = NOW + timedelta(seconds=91)
    assert verify({"now": late, "tolerance_seconds": 91}) == NOW


@pytest.mark.parametrize(
    "signature", ["", SIGNATURE.upper(), SIGNATURE[1:], SIGNATURE + "0", "é" * 64, SIGNATURE + "\n"]
)
def test_a_signature_of_another_form_is_malformed(signature: str) -> None:
    assert step({"signature_hex": signature}) == "malformed"


@pytest.mark.parametrize(
    "timestamp", ["", "NaN", "1e9", "+5", "-5", "1_000", "１", "007", "1" * 13, f"{SECONDS}\n"]
)
def test_a_timestamp_of_another_form_is_malformed(timestamp: str) -> None:
    assert step({"timestamp": timestamp}) == "malformed"


@pytest.mark.parametrize("method", ["", "post", "PO ST", "POST\n", "ＰＯＳＴ", "P" * 17])
def test_a_method_of_another_form_is_malformed(method: str) -> None:
    assert step({"method": method}) == "malformed"


@pytest.mark.parametrize("path", ["", "v1", "/a b", "/a\n1", "/é", "/a\x00", "/" + "a" * 2048], ids=count())
def test_a_path_that_could_reach_into_another_field_is_malformed(path: str) -> None:
    assert step({"path": path}) == "malformed"


@pytest.mark.parametrize("secret", [b"", bytes(15)])
def test_no_secret_is_never_acceptance(secret: bytes) -> None:
    canonical = gateway.canonical_request(METHOD, PATH, str(SECONDS), BODY)
    signature = hmac.new(secret, canonical, "sha256").hexdigest()
    assert step({"secret": secret, "signature_hex": signature}) == "no_key"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=70))
def test_any_input_raises_only_signature_rejected(
    method: str, path: str, timestamp: str, signature_hex: str
) -> None:
    assert step({"method": method, "path": path, "timestamp": timestamp, "signature_hex": signature_hex})
