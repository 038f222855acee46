from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.signatures import base64url

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def reference(text: str) -> bytes | None:
    """By the standard library's lenient decoder: what encodes to the same text again, and only that."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else None


def decoded(text: str) -> bytes | None:
    try:
        return base64url.decode(text)
    except ValueError:
        return None


@given(st.binary(max_size=400), st.integers(1, 40))
def test_what_is_long_is_encoded_alike(data: bytes, thirds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64url, "_PIECE", 3 * thirds)
        assert base64url.encode(data) == base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@given(st.binary(max_size=64))
def test_what_is_encoded_is_decoded_again(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data


@given(st.text(ALPHABET, max_size=12) | st.text(ALPHABET + "+/= \n=\u0100\ud800", max_size=12) | st.text())
def test_any_text_means_what_encodes_to_it_or_nothing(text: str) -> None:
    assert decoded(text) == reference(text)


def test_every_text_of_up_to_three_characters_has_one_meaning_or_none() -> None:
    alphabet = "AQgwBEIMQUYcgkosw048-_+/="
    texts = ["", *alphabet]
    texts += [first + second for first in alphabet for second in alphabet]
    texts += ["A" + rest for rest in texts if len(rest) == 2]
    assert [decoded(text) for text in texts] == [reference(text) for text in texts]


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAB", "AAA=", "AA==", "AA A", "AA+A", "AA/A", "AAA\n", "ＡＡＡＡ"]
)
def test_another_spelling_is_refused(text: str) -> None:
    assert decoded(text) is None
