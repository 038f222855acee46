"""Public keys and their times: nobody loses an old one, and no time says more than was so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import ledger, published
from verifier.errors import Code, ConfigurationError
from verifier.published import Published, PublishedKey, Purpose
from verifier.signatures import keys
from verifier.signatures.jws import PrivateKey, SigningKey, VerificationKey

NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORIGIN = "test.invalid/ledger"


def key(purpose: Purpose = Purpose.RECORD) -> VerificationKey:
    made: PrivateKey = (
        Ed25519PrivateKey.generate()
        if purpose is Purpose.CHECKPOINT
        else ec.generate_private_key(ec.SECP256R1())
    )
    unnamed = SigningKey("unnamed", published.ALGORITHMS[purpose], made).verification_key
    return replace(unnamed, kid=keys.thumbprint(keys.public_jwk(unnamed)))


OLD, NEW = key(), key()


def test_what_is_written_is_read_again() -> None:
    every = [
        PublishedKey(Purpose.RECORD, OLD, None, None, NOW),
        PublishedKey(Purpose.RECORD, NEW, NOW - HOUR, NOW),
        PublishedKey(Purpose.CHECKPOINT, key(Purpose.CHECKPOINT), NOW),
    ]
    content = published.write(every)
    assert published.read(content) == every
    assert b'"d"' not in content


def altered(**changes: Any) -> bytes:
    [one] = json.loads(published.write([PublishedKey(Purpose.RECORD, OLD)]))["keys"]
    return json.dumps({"keys": [{**one, **changes}]}).encode()


MALFORMED = {
    "nothing": b"",
    "no object": b"[]",
    "no keys": b"{}",
    "no list": b'{"keys": 1}',
    "another purpose": altered(purpose="token"),
    "a key of another kind": altered(purpose="checkpoint"),
    "a time that is none": altered(signed_until="yesterday"),
    "another id": altered(jwk={**keys.public_jwk(OLD), "kid": "other"}),
    "no key": altered(jwk={}),
    "one key twice": published.write([PublishedKey(Purpose.RECORD, OLD)] * 2),
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_a_file_that_is_not_whole_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        published.read(MALFORMED[wrong])
    assert refused.value.code is Code.KEY_REFUSED


def test_keys_from_before_the_file_are_in_it_from_the_first_rotation_on() -> None:
    every = published.beginning([], {Purpose.RECORD: OLD})
    assert every == [PublishedKey(Purpose.RECORD, OLD)]
    assert not every[0].to_come
    assert published.beginning(every, {Purpose.RECORD: OLD}) == every


def test_a_key_is_announced_then_signs_then_is_retired_and_no_step_twice_changes_a_time() -> None:
    every = published.beginning([], {Purpose.RECORD: OLD, Purpose.STATUS: OLD})
    every = published.announced(every, Purpose.RECORD, NEW, NOW)
    assert every[-1].to_come
    assert published.announced(every, Purpose.RECORD, NEW, NOW + HOUR) == every
    every = published.put_in_force(every, Purpose.RECORD, NEW.kid, NOW + HOUR)
    assert published.put_in_force(every, Purpose.RECORD, NEW.kid, NOW + 2 * HOUR) == every
    assert every == [
        PublishedKey(Purpose.RECORD, OLD, signed_until=NOW + HOUR),
        PublishedKey(Purpose.STATUS, OLD),
        PublishedKey(Purpose.RECORD, NEW, NOW, NOW + HOUR),
    ]
    third = key()
    every = published.announced(every, Purpose.RECORD, third, NOW + 2 * HOUR)
    every = published.put_in_force(every, Purpose.RECORD, third.kid, NOW + 3 * HOUR)
    assert [one.signed_until for one in every] == [NOW + HOUR, None, NOW + 3 * HOUR, None]


def test_a_key_that_was_in_force_before_the_file_keeps_its_unknown_beginning() -> None:
    every = [PublishedKey(Purpose.RECORD, OLD)]
    assert published.put_in_force(every, Purpose.RECORD, OLD.kid, NOW) == every


def test_a_retired_records_key_stays_and_one_of_status_lists_as_long_as_a_list_may_be_valid() -> None:
    status, note, former = key(), key(Purpose.CHECKPOINT), key(Purpose.CHECKPOINT)
    now = NOW
    given_out = Published((), ORIGIN, lambda: now)
    assert (given_out.signing(), given_out.verifier_keys()) == ([], [])
    given_out.take_up(
        [
            PublishedKey(Purpose.RECORD, OLD, signed_until=NOW - 1000 * HOUR),
            PublishedKey(Purpose.RECORD, NEW),
            PublishedKey(Purpose.STATUS, status, signed_until=NOW),
            PublishedKey(Purpose.CHECKPOINT, note),
            PublishedKey(Purpose.CHECKPOINT, former, signed_until=NOW),
        ]
    )
    assert [one.key for one in given_out.signing()] == [OLD, NEW, status]
    now += published.STATUS_KEPT
    assert [one.key for one in given_out.signing()] == [OLD, NEW]
    assert given_out.verifier_keys() == [ledger.verifier_key(ORIGIN, note.public)]  # type: ignore[arg-type] # Ed25519


def test_a_retired_key_says_so_to_whoever_fetches_it() -> None:
    shown = published.jwk(PublishedKey(Purpose.RECORD, OLD, signed_until=NOW))
    assert shown == {**keys.public_jwk(OLD), "exp": int(NOW.timestamp())}
    assert keys.load_public_jwk(shown) == OLD
    assert "exp" not in published.jwk(PublishedKey(Purpose.RECORD, OLD))
