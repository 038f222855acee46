"""The contract's second part: what every adapter accepts as genuine, and what it never does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.contract.deliveries import (
    NOW,
    authenticate,
    callback,
    each_delivery,
    each_keyed_sender,
    each_marked_sender,
    each_raw_sender,
    each_stamped_sender,
    each_timed_sender,
    many,
    some_fixture,
)
from tests.platforms.fixtures import Fixture
from tests.platforms.senders import SENDERS, START, Sender, secret
from verifier.errors import SignatureRejected
from verifier.model.delivery import AuthenticatedCallback, Callback
from verifier.signatures.transport import TransportKey

INSTANT: Final = timedelta(microseconds=1)
GARBAGE: Final = ("", " ", "\t", "签名", "\x00", "\x7f", "a\nb", "\ud800", "０１２", "x" * 1_000_000)


def assert_refused(sender: Sender, request: Callback, *keys: TransportKey, now: datetime = NOW) -> None:
    with pytest.raises(SignatureRejected):
        authenticate(sender, request, *keys, now=now)


@each_delivery
def test_a_genuine_delivery_is_accepted(sender: Sender, fixture: Fixture) -> None:
    request = callback(sender, fixture)
    authenticated = authenticate(sender, request, *sender.keys(0))
    proven = sender.keys(0)[0].key_id if sender.register else request.bearer and request.bearer.client_id
    assert authenticated == AuthenticatedCallback(
        request,
        authenticated.delivery_id,
        str(proven),
        NOW,
        authenticated.sequence,
        authenticated.content,
    )
    assert authenticated.delivery_id == fixture.delivery_id


@pytest.mark.parametrize("sender", [sender for sender in SENDERS if sender.register is None])
def test_without_the_access_token_that_proves_it_nothing_is_accepted(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    assert_refused(sender, replace(request, bearer=None))


@each_raw_sender
@many
@given(body=st.binary(max_size=64))
def test_the_raw_bytes_are_what_is_signed_whatever_they_are(sender: Sender, body: bytes) -> None:
    authenticated = authenticate(sender, sender.callback(body, "any-1", NOW), sender.key(0))
    assert authenticated.callback.body == body
    # Without an id, and without a secret to key a digest with, ``verifier.preparing`` names the delivery.
    assert re.fullmatch(r"[!-~]{0,128}", authenticated.delivery_id)


@each_keyed_sender
@many
@given(data=st.data())
def test_any_changed_byte_of_what_is_signed_is_refused(sender: Sender, data: st.DataObject) -> None:
    request = callback(sender, some_fixture(sender))
    changed = sender.changed(data, request)
    assert changed != request
    assert_refused(sender, changed, sender.key(0))


@each_raw_sender
@pytest.mark.parametrize("change", [b"\n", b" ", b"\x00"])
def test_a_byte_more_or_less_is_refused(sender: Sender, change: bytes) -> None:
    request = callback(sender, some_fixture(sender))
    for body in (request.body + change, change + request.body, request.body[:-1], request.body[1:], b""):
        assert_refused(sender, replace(request, body=body), sender.key(0))


@each_raw_sender
def test_the_same_json_written_anew_is_refused(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    anew = json.dumps(json.loads(request.body), separators=(",", ":")).encode()
    assert_refused(sender, replace(request, body=anew), sender.key(0))


@each_keyed_sender
def test_missing_empty_doubled_and_garbled_values_are_only_refused(sender: Sender) -> None:
    request = callback(sender, some_fixture(sender))
    for place in sender.required:
        genuine = place.get(request)
        assert_refused(sender, place.put(request), sender.key(0))
        for values in ((genuine, genuine), (genuine, "x"), ("x", genuine), *((one,) for one in GARBAGE)):
            assert_refused(sender, place.put(request, *values), sender.key(0))


@each_keyed_sender
@many
@given(data=st.data())
def test_whatever_stands_where_authenticity_depends_is_only_refused(
    sender: Sender, data: st.DataObject
) -> None:
    request = callback(sender, some_fixture(sender))
    for place in sender.required:
        genuine = place.get(request)
        value = data.draw(st.text())
        assume(value.strip(" \t") != genuine)
        assert_refused(sender, place.put(request, value), sender.key(0))


@each_stamped_sender
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
def test_only_the_declared_form_is_a_time(sender: Sender, timestamp: str) -> None:
    assert sender.timestamp is not None
    request = sender.timestamp.put(callback(sender, some_fixture(sender)), timestamp)
    assert_refused(sender, request, sender.key(0))


@each_marked_sender
def test_ten_thousand_signatures_are_refused_without_being_tried(sender: Sender) -> None:
    assert sender.signature is not None
    request = callback(sender, some_fixture(sender))
    many_values = " ".join([sender.signature.get(request)] * 10_000)
    assert_refused(sender, sender.signature.put(request, many_values), sender.key(0))


@each_timed_sender
def test_the_window_includes_its_boundaries_and_nothing_beyond(sender: Sender) -> None:
    assert sender.tolerance is not None
    request, key = callback(sender, some_fixture(sender)), sender.key(0)
    for now in (NOW - sender.tolerance, NOW + sender.tolerance):
        assert authenticate(sender, request, key, now=now).signed_at == NOW
    for now in (NOW - sender.tolerance - INSTANT, NOW + sender.tolerance + INSTANT):
        assert_refused(sender, request, key, now=now)


@each_keyed_sender
def test_in_rotation_either_key_is_accepted_and_named(sender: Sender) -> None:
    keys = sender.key(0), sender.key(1)
    for number, key in enumerate(keys):
        request = callback(sender, some_fixture(sender), key=number)
        for order in (keys, keys[::-1]):
            assert authenticate(sender, request, *order).key_id == key.key_id
        assert_refused(sender, request, keys[1 - number])


@each_marked_sender
def test_signatures_of_several_keys_may_stand_in_one_request_where_the_profile_says_so(
    sender: Sender,
) -> None:
    place = sender.signature
    assert place is not None
    both = [place.get(callback(sender, some_fixture(sender), key=n)) for n in (1, 0)]
    request = place.put(callback(sender, some_fixture(sender)), " ".join(both))
    if sender.joins:
        assert authenticate(sender, request, sender.key(0)).key_id == sender.key(0).key_id
        assert authenticate(sender, request, sender.key(1)).key_id == sender.key(1).key_id
    else:
        assert_refused(sender, request, sender.key(0))


@each_keyed_sender
def test_a_key_counts_from_its_first_moment_until_before_its_last(sender: Sender) -> None:
    request, key = callback(sender, some_fixture(sender)), sender.key(0)
    for_an_instant = replace(key, not_before=NOW, not_after=NOW + INSTANT)
    assert authenticate(sender, request, for_an_instant).key_id == key.key_id
    assert_refused(sender, request, replace(key, not_before=NOW + INSTANT))
    assert_refused(sender, request, replace(key, not_after=NOW))


@each_keyed_sender
def test_no_usable_key_is_never_acceptance(sender: Sender) -> None:
    request, key = callback(sender, some_fixture(sender)), sender.key(0)
    bare = TransportKey(key.key_id, START)
    others = [one for other in SENDERS for one in other.keys(0) if one.key_id != key.key_id]
    renamed = [replace(other, key_id=key.key_id) for other in others]
    stranger = TransportKey(key.key_id, START, secret=secret("stranger", 0))
    for keys in ((), (bare,), (replace(bare, secret=b""),), (stranger,), tuple(others), tuple(renamed)):
        assert_refused(sender, request, *keys)
