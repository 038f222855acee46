"""A token that is made piece by piece is the one that would be made of the whole."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from verifier.signatures import base64url, jws, jws_long
from verifier.signatures.jws import Algorithm, SigningKey

EC = SigningKey("k-1", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
EDWARDS = SigningKey("k-2", Algorithm.EDDSA, Ed25519PrivateKey.generate())


@given(st.lists(st.binary(max_size=40), max_size=9), st.sampled_from([EC, EDWARDS]))
def test_the_token_of_many_pieces_is_the_token_of_the_whole(pieces: list[bytes], key: SigningKey) -> None:
    made = jws_long.sign(pieces, key, typ="some+jwt")
    token = b"".join(made.pieces())
    assert len(token) == made.length
    parsed = jws.parse_compact(token.decode("ascii"))
    assert jws.verify(parsed, key.verification_key) == b"".join(pieces)
    whole = jws.sign_compact(b"".join(pieces), key, typ="some+jwt")
    assert token.rpartition(b".")[0] == whole.rpartition(".")[0].encode("ascii")


@pytest.mark.parametrize("over", [0, 1, 2])
def test_a_long_payload_is_encoded_as_one_however_it_is_cut(over: int) -> None:
    pieces = [bytes([place % 251]) * (65_537 + place) for place in range(7)] + [b"x" * over]
    found = list(jws_long.encoded(pieces))
    assert len(found) > 1
    assert b"".join(found).decode("ascii") == base64url.encode(b"".join(pieces))
