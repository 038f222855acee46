from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError
from verifier.signatures import base64url, client_secret


def test_a_fresh_secret_has_256_bits_and_matches_what_is_stored_of_it() -> None:
    secret, stored = client_secret.new(os.urandom)
    assert len(base64url.decode(secret)) == 32
    assert secret not in stored
    assert client_secret.matches(secret, [stored])


def test_the_same_secret_is_stored_differently_under_every_salt() -> None:
    first, second = (client_secret.stored("secret", salt) for salt in (b"0" * 16, b"1" * 16))
    assert first != second
    assert client_secret.matches("secret", [first])
    assert client_secret.matches("secret", [second])


def test_what_is_stored_is_the_documented_digest() -> None:
    # RFC 4231, test case 2: the salt is the key.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    stored = client_secret.stored("what do ya want for nothing?", b"Jefe")
    assert stored == f"hmac-sha256.{base64url.encode(b'Jefe')}.{base64url.encode(bytes.fromhex(expected))}"


@pytest.mark.parametrize("place", [0, 1])
def test_each_of_two_secrets_holds(place: int) -> None:
    secrets = ["old", "new"]
    stored = [client_secret.stored(secret, b"salt") for secret in secrets]
    assert client_secret.matches(secrets[place], stored)


def test_nothing_stored_matches_nothing() -> None:
    assert not client_secret.matches("", [])


@given(st.text())
def test_no_other_text_matches(text: str) -> None:
    stored = client_secret.stored("the secret", b"salt")
    assert not client_secret.matches(text + "x", [stored])


def test_another_form_of_digest_never_matches() -> None:
    stored = client_secret.stored("secret", b"salt")
    assert not client_secret.matches("secret", [stored.replace("hmac-sha256", "sha256")])
    assert not client_secret.matches("secret", ["密" + stored])


@pytest.mark.parametrize("stored", ["", "hmac-sha256", "hmac-sha256.=.x", "a.b.c.d"])
def test_a_damaged_digest_is_our_fault_and_not_the_callers(stored: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        client_secret.matches("secret", [stored])
    assert refused.value.code is Code.KEY_REFUSED


@pytest.mark.parametrize("lengths", [(31, 16), (32, 15)])
def test_too_little_randomness_makes_no_secret(lengths: tuple[int, int]) -> None:
    given_lengths = itertools.cycle(lengths)
    with pytest.raises(ConfigurationError):
        client_secret.new(lambda _: bytes(next(given_lengths)))
