from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from verifier import sealing
from verifier.errors import Code, ConfigurationError
from verifier.sealing import FieldKeys

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
AAD = sealing.associated_data("learners", "name", "L1")


def _fixed(count: int) -> bytes:
    return b"\x07" * count


def _refused(function: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        function(*args, **kwargs)
    assert caught.value.code is Code.KEY_REFUSED
    return caught.value.detail


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=40))
def test_what_was_sealed_opens_with_the_same_key_at_the_same_place(plaintext: bytes, aad: bytes) -> None:
    assert sealing.open_sealed(KEY, sealing.seal(KEY, plaintext, aad, os.urandom), aad) == plaintext


def test_the_form_is_version_nonce_and_aes_gcm_over_version_and_place() -> None:
    sealed = sealing.seal(KEY, b"secret", AAD, _fixed)
    assert sealed[:13] == b"\x01" + b"\x07" * 12
    assert sealed[13:] == AESGCM(KEY).encrypt(b"\x07" * 12, b"secret", b"\x01" + AAD)


def test_the_same_text_sealed_twice_looks_different() -> None:
    assert sealing.seal(KEY, b"x", AAD, os.urandom) != sealing.seal(KEY, b"x", AAD, os.urandom)


@given(data=st.data())
def test_a_flipped_bit_or_a_cut_never_opens(data: st.DataObject) -> None:
    sealed = bytearray(sealing.seal(KEY, b"secret", AAD, _fixed))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[at // 8] ^= 1 << at % 8
    else:
        del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    assert _refused(sealing.open_sealed, KEY, bytes(sealed), AAD) == "a sealed value does not open"


def test_another_key_and_another_place_are_refused_in_the_same_words() -> None:
    sealed = sealing.seal(KEY, b"secret", AAD, _fixed)
    elsewhere = sealing.associated_data("learners", "name", "L2")
    details = {
        _refused(sealing.open_sealed, OTHER, sealed, AAD),
        _refused(sealing.open_sealed, KEY, sealed, elsewhere),
    }
    assert details == {"a sealed value does not open"}


def test_associated_data_of_other_parts_is_never_the_same() -> None:
    assert sealing.associated_data("ab", "c") != sealing.associated_data("a", "bc")
    assert sealing.associated_data("a") != sealing.associated_data("a", "")


@pytest.mark.parametrize("key", [b"", KEY[:16], KEY + b"x"])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    _refused(sealing.seal, key, b"", b"", _fixed)
    _refused(sealing.open_sealed, key, b"\x01" * 40, b"")
    _refused(sealing.wrap_key, KEY, 1, key, b"", _fixed)


def test_randomness_of_another_length_is_refused() -> None:
    _refused(sealing.new_data_key, lambda count: b"x" * (count - 1))
    _refused(sealing.seal, KEY, b"", b"", lambda _: b"x" * 8)
    assert sealing.new_data_key(_fixed) == b"\x07" * 32


def test_a_data_key_unwraps_under_the_version_that_wrapped_it_only() -> None:
    wrapped = sealing.wrap_key(KEY, 3, OTHER, b"L1", os.urandom)
    assert sealing.wrapped_version(wrapped) == 3
    assert sealing.unwrap_key({3: KEY}, wrapped, b"L1") == OTHER
    _refused(sealing.unwrap_key, {2: KEY}, wrapped, b"L1")
    _refused(sealing.unwrap_key, {3: OTHER}, wrapped, b"L1")
    _refused(sealing.unwrap_key, {3: KEY}, wrapped, b"L2")
    relabelled = (4).to_bytes(4, "big") + wrapped[4:]
    _refused(sealing.unwrap_key, {4: KEY}, relabelled, b"L1")
    _refused(sealing.unwrap_key, {0: KEY}, b"", b"L1")


def test_a_wrapped_key_is_no_sealed_field_and_the_reverse() -> None:
    wrapped = sealing.wrap_key(KEY, 1, OTHER, AAD, os.urandom)
    _refused(sealing.open_sealed, KEY, wrapped[4:], AAD)
    field = sealing.seal(KEY, OTHER, AAD, os.urandom)
    _refused(sealing.unwrap_key, {1: KEY}, (1).to_bytes(4, "big") + field, AAD)


def test_digests_differ_by_key_purpose_and_data() -> None:
    digests = {
        sealing.keyed_digest(KEY, "body", b"x"),
        sealing.keyed_digest(OTHER, "body", b"x"),
        sealing.keyed_digest(KEY, "content", b"x"),
        sealing.keyed_digest(KEY, "body", b"y"),
        sealing.keyed_digest(KEY, "bod", b"yx"),
    }
    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {32}
    assert sealing.keyed_digest(KEY, "body", b"x") in digests
    _refused(sealing.keyed_digest, KEY[:31], "body", b"x")


def _key(seed: int) -> bytes:
    return bytes((seed * 40 + n) % 256 for n in range(32))


KEYS = FieldKeys({1: _key(0), 2: _key(1)}, 2, {1: _key(2)}, 1, _key(3))


def test_the_holder_wraps_under_the_current_version_and_unwraps_older_ones() -> None:
    old = sealing.wrap_key(_key(0), 1, OTHER, AAD, os.urandom)
    new = KEYS.wrap(OTHER, AAD, os.urandom)
    assert (sealing.wrapped_version(old), sealing.wrapped_version(new)) == (1, 2)
    assert KEYS.unwrap(old, AAD) == KEYS.unwrap(new, AAD) == OTHER
    assert KEYS.digest("body", b"x") == sealing.keyed_digest(_key(3), "body", b"x")


def test_the_holder_shows_no_key() -> None:
    assert repr(KEYS) == "FieldKeys(master_version=2, pepper_version=1)"


def test_the_holder_does_not_follow_changes_of_what_it_was_made_from() -> None:
    masters = {1: _key(0)}
    held = FieldKeys(masters, 1, {1: _key(2)}, 1, _key(3))
    masters[1] = b"x" * 32
    assert held.master_keys[1] == _key(0)


@pytest.mark.parametrize(
    "changed",
    [
        {"master_version": 3},
        {"pepper_version": 2},
        {"master_keys": {0: _key(0), 2: _key(1)}},
        {"peppers": {1: _key(2), 2**32: _key(4)}},
        {"digest_key": _key(3)[:31]},
        {"digest_key": b"\0" * 32},
        {"digest_key": _key(0)},
        {"peppers": {1: _key(1)}},
    ],
)
def test_missing_short_sample_and_doubled_keys_stop_the_start(changed: dict[str, Any]) -> None:
    _refused(replace, KEYS, **changed)
