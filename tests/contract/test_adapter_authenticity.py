"""The contract's second part: what every adapter accepts as genuine, and what it never does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.deliveries import (
    NOW,
    authenticate,
    callback,
    each_delivery,
    each_sender,
    many,
    some_fixture,
)
from tests.platforms.fixtures import Fixture
from tests.platforms.senders import SENDERS, START, Sender, secret
from verifier.errors import SignatureRejected
from verifier.model.delivery import AuthenticatedCallback, Callback, Headers
from verifier.model.trust import TransportKey

INSTANT: Final = timedelta(microseconds=1)
GARBAGE: Final = ("", " ", "\t", "签名", "\x00", "\x7f", "a\nb", "\ud800", "０１２", "x" * 1_000_000)


def named(sender: Sender, word: str) -> str:
    """The header of a sender that holds its time, or its signatures."""
    return next(header for header in sender.required if word in header)


def assert_refused(sender: Sender, request: Callback, *keys: TransportKey, now: datetime = NOW) -> None:
    with pytest.raises(SignatureRejected):
        authenticate(sender, request, *keys, now=now)


def with_header(request: Callback, name: str, *values: str) -> Callback:
    """The request with a header's place taken by any number of others of its name."""
    pairs: list[tuple[str, str]] = []
    for pair in request.headers.pairs:
        pairs.extend([(name, value) for value in values] if pair[0] == name else [pair])
    return replace(request, headers=Headers(tuple(pairs)))


def with_part(request: Callback, part: str, value: str) -> Callback:
    if part == "method":
        return replace(request, method=value)
    return replace(request, path=value) if part == "path" else with_header(request, part, value)


@each_delivery
def test_a_genuine_delivery_is_accepted(sender: Sender, fixture: Fixture) -> None:
    request = callback(sender, fixture)
    authenticated = authenticate(sender, request, sender.register(0))
    assert authenticated == AuthenticatedCallback(
        request, authenticated.delivery_id, sender.register(0).key_id, NOW
    )
    assert authenticated.delivery_id == fixture.delivery_id


@each_sender
@many
@given(body=st.binary(max_size=64))
def test_the_raw_bytes_are_what_is_signed_whatever_they_are(sender: Sender, body: bytes) -> None:
    authenticated = authenticate(sender, sender.callback(body, "any-1", NOW), sender.register(0))
    assert authenticated.callback.body == body
    assert re.fullmatch(r"[!-~]{1,128}", authenticated.delivery_id)


@each_sender
@many
@given(data=st.data())
def test_any_changed_byte_of_what_is_signed_is_refused(sender: Sender, data: st.DataObject) -> None:
    request = callback(sender, some_fixture(sender))
    part = data.draw(st.sampled_from(sorted({*sender.covered, *sender.required})))
    if part == "body":
        at = data.draw(st.integers(0, len(request.body) - 1))
        change = data.draw(st.integers(1, 255))
        body = request.body[:at] + bytes([request.body[at] ^ change]) + request.body[at + 1 :]
        changed = replace(request, body=body)
    else:
        value = request.headers.get(part) or str(getattr(request, part, ""))
        at = data.draw(st.integers(0, len(value) - 1))
        other = data.draw(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=value[at]))
        value = value[:at] + other + value[at + 1 :]
        changed = with_part(request, part, value)
    assert_refused(sender, changed, sender.register(0))


@each_sender
@pytest.mark.parametrize("change", [b"\n", b" ", b"\x00"])
def test_a_byte_more_or_less_is_refused(sender: Sender, change: bytes) -> None:
    request = callback(sender, some_fixture(sender))
    for body in (request.body + change, change + request.body, request.body[:-1], request.body[1:], b""):
        assert_refused(sender, replace(request, body=body), sender.register(0))


@each_sender
def test_the_same_json_written_anew_is_refused(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    anew = json.dumps(json.loads(request.body), separators=(",", ":")).encode()
    assert_refused(sender, replace(request, body=anew), sender.register(0))


@each_sender
def test_missing_empty_doubled_and_garbled_headers_are_only_refused(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    for name in sender.required:
        genuine = request.headers.one(name)
        assert_refused(sender, with_header(request, name), sender.register(0))
        for values in ((genuine, genuine), (genuine, "x"), ("x", genuine), *((one,) for one in GARBAGE)):
            assert_refused(sender, with_header(request, name, *values), sender.register(0))


@each_sender
@many
@given(data=st.data())
def test_whatever_stands_in_a_header_is_only_refused(sender: Sender, data: st.DataObject) -> None:
    request = callback(sender, some_fixture(sender))
    name = data.draw(st.sampled_from(sender.required))
    genuine = request.headers.one(name)
    value = data.draw(st.text().filter(lambda text: text.strip(" \t") != genuine))
    assert_refused(sender, with_header(request, name, value), sender.register(0))


@each_sender
@pytest.mark.parametrize(
    "timestamp",
    [
        "NaN",
        "1e9",
        "+5",
        "-1",
        "1_000",
        "１６２２５２００００",
        "1" + "0" * 30,
        "0x10",
        "1622520000.0",
        "01622520000",
    ],
)
def test_only_plain_unix_seconds_are_a_time(sender: Sender, timestamp: str) -> None:
    name = named(sender, "timestamp")
    request = with_header(callback(sender, some_fixture(sender)), name, timestamp)
    assert_refused(sender, request, sender.register(0))


@each_sender
def test_ten_thousand_signatures_are_refused_without_being_tried(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    name = named(sender, "signature")
    many_values = " ".join([request.headers.one(name)] * 10_000)
    assert_refused(sender, with_header(request, name, many_values), sender.register(0))


@each_sender
def test_the_window_includes_its_boundaries_and_nothing_beyond(sender: Sender) -> None:
    request, key = callback(sender, some_fixture(sender)), sender.register(0)
    for now in (NOW - sender.tolerance, NOW + sender.tolerance):
        assert authenticate(sender, request, key, now=now).signed_at == NOW
    for now in (NOW - sender.tolerance - INSTANT, NOW + sender.tolerance + INSTANT):
        assert_refused(sender, request, key, now=now)


@each_sender
def test_in_rotation_either_key_is_accepted_and_named(sender: Sender) -> None:
    keys = sender.register(0), sender.register(1)
    for number, key in enumerate(keys):
        request = callback(sender, some_fixture(sender), key=number)
        for order in (keys, keys[::-1]):
            assert authenticate(sender, request, *order).key_id == key.key_id
        assert_refused(sender, request, keys[1 - number])


@each_sender
def test_signatures_of_several_keys_may_stand_in_one_request_where_the_profile_says_so(
    sender: Sender,
) -> None:
    name = named(sender, "signature")
    both = [callback(sender, some_fixture(sender), key=n).headers.one(name) for n in (1, 0)]
    request = with_header(callback(sender, some_fixture(sender)), name, " ".join(both))
    if sender.joins:
        assert authenticate(sender, request, sender.register(0)).key_id == sender.register(0).key_id
        assert authenticate(sender, request, sender.register(1)).key_id == sender.register(1).key_id
    else:
        assert_refused(sender, request, sender.register(0))


@each_sender
def test_a_key_counts_from_its_first_moment_until_before_its_last(sender: Sender) -> None:
    request, key = callback(sender, some_fixture(sender)), sender.register(0)
    for_an_instant = replace(key, not_before=NOW, not_after=NOW + INSTANT)
    assert authenticate(sender, request, for_an_instant).key_id == key.key_id
    assert_refused(sender, request, replace(key, not_before=NOW + INSTANT))
    assert_refused(sender, request, replace(key, not_after=NOW))


@each_sender
def test_no_usable_key_is_never_acceptance(sender: Sender) -> None:
    request, key = callback(sender, some_fixture(sender)), sender.register(0)
    bare = TransportKey(key.key_id, START)
    others = [other.register(0) for other in SENDERS if other.register(0).key_id != key.key_id]
    renamed = [replace(other, key_id=key.key_id) for other in others]
    stranger = TransportKey(key.key_id, START, secret=secret("stranger", 0))
    for keys in ((), (bare,), (replace(bare, secret=b""),), (stranger,), tuple(others), tuple(renamed)):
        assert_refused(sender, request, *keys)
