from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import SignatureRejected
from verifier.signatures import raw_rsa

KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key()
N = PUBLIC.public_numbers().n
D = KEY.private_numbers().d
BODY = '{"学时":40}'.encode()
TIME = "1748752200123"
NOW = datetime(2025, 6, 1, 4, 30, 0, 123_000, tzinfo=UTC)
DIGEST = hashlib.sha256(BODY + (1748752200123).to_bytes(8, "big")).digest()
SIGNATURE = raw_rsa.sign(body=BODY, timestamp=TIME, private_key=KEY)


def verify(
    *,
    body: bytes = BODY,
    timestamp: str = TIME,
    signature_hex: str = SIGNATURE,
    public_key: rsa.RSAPublicKey = PUBLIC,
    now: datetime = NOW,
) -> datetime:
    return raw_rsa.verify(
        body=body, timestamp=timestamp, signature_hex=signature_hex, public_key=public_key, now=now
    )


def step(act: Callable[..., object], **named: object) -> str:
    with pytest.raises(SignatureRejected) as caught:
        act(**named)
    return caught.value.step


def powered(padded: bytes) -> str:
    """The private operation on a block of bytes, whatever it is."""
    return pow(int.from_bytes(padded), D, N).to_bytes(256).hex().upper()


def block(
    content: bytes, *, start: bytes = b"\x00\x01", filler: bytes = b"\xff", end: bytes = b"\x00"
) -> bytes:
    return start + filler * (256 - len(start) - len(end) - len(content)) + end + content


def test_the_signature_is_the_documented_one_made_by_hand() -> None:
    assert powered(block(DIGEST)) == SIGNATURE
    assert verify() == NOW


def test_body_and_time_are_signed() -> None:
    assert step(verify, body=BODY + b" ") == "signature"
    assert step(verify, timestamp="1748752200124") == "signature"
    assert step(verify, public_key=rsa.generate_private_key(65537, 2048).public_key()) == "signature"


def test_sha256_with_rsa_and_this_refuse_each_other() -> None:
    usual = KEY.sign(BODY, padding.PKCS1v15(), hashes.SHA256()).hex().upper()
    assert step(verify, signature_hex=usual) == "signature"
    message = BODY + (1748752200123).to_bytes(8, "big")
    named = KEY.sign(message, padding.PKCS1v15(), hashes.SHA256()).hex().upper()
    assert step(verify, signature_hex=named) == "signature"


@pytest.mark.parametrize(
    "padded",
    [
        block(DIGEST, start=b"\x00\x02"),
        block(DIGEST, start=b"\x00\x00", filler=b"\x00"),
        block(DIGEST, filler=b"\xfe"),
        block(DIGEST, end=b"\x01"),
        block(DIGEST + b"\x00"),
        block(DIGEST[1:]),
        block(b"\x00" + DIGEST),
        b"\x00\x01" + b"\xff" * 8 + b"\x00" + DIGEST + bytes(213),
        b"\x00\x01" + b"\xff" * 7 + b"\x00" + b"\xff" * 213 + b"\x00" + DIGEST,
        b"\x00\x01\x00" + bytes(221) + DIGEST,
        DIGEST.rjust(256, b"\x00"),
    ],
    ids=count(),
)
def test_another_padding_is_refused(padded: bytes) -> None:
    assert len(padded) == 256
    assert step(verify, signature_hex=powered(padded)) == "signature"


def test_a_signature_plus_the_modulus_or_of_another_length_is_refused() -> None:
    twice = int(SIGNATURE, 16) + N
    assert step(verify, signature_hex=f"{twice:0514X}") == "signature"
    assert step(verify, signature_hex="00" + SIGNATURE) == "signature"
    for other in ("00" * 256, "FF" * 256, f"{N:0512X}", f"{1:0512X}", f"{N - 1:0512X}"):
        assert step(verify, signature_hex=other) == "signature"


@given(st.integers(0, 2047))
def test_any_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    flipped = f"{int(SIGNATURE, 16) ^ (1 << bit):0512X}"
    assert step(verify, signature_hex=flipped) == "signature"


@pytest.mark.parametrize(
    "signature",
    ["", SIGNATURE.lower(), SIGNATURE[:-1], SIGNATURE[2:], SIGNATURE + "\n", "０" * 512, "00" * 1025],
    ids=count(),
)
def test_a_signature_of_another_form_is_malformed(signature: str) -> None:
    assert step(verify, signature_hex=signature) == "malformed"


@pytest.mark.parametrize(
    "timestamp", ["", "1748752200", "0748752200123", "17487522001234", "1_48752200123", "１748752200123"]
)
def test_a_time_of_another_form_is_malformed(timestamp: str) -> None:
    assert step(verify, timestamp=timestamp) == "malformed"
    assert step(raw_rsa.sign, body=BODY, timestamp=timestamp, private_key=KEY) == "malformed"


@pytest.mark.parametrize("seconds", [300, -300])
def test_a_time_at_the_boundary_is_accepted_in_both_directions(seconds: int) -> None:
    assert verify(now=NOW + timedelta(seconds=seconds)) == NOW


@pytest.mark.parametrize("seconds", [300.001, -300.001])
def test_a_time_beyond_the_boundary_is_refused_in_both_directions(seconds: float) -> None:
    assert step(verify, now=NOW + timedelta(seconds=seconds)) == "timestamp"


def test_a_time_beyond_every_calendar_is_refused() -> None:
    far = "9999999999999"
    signature = raw_rsa.sign(body=BODY, timestamp=far, private_key=KEY)
    assert step(verify, timestamp=far, signature_hex=signature) == "timestamp"


def test_the_library_agrees_on_the_bare_padding() -> None:
    assert KEY.sign(DIGEST, padding.PKCS1v15(), NoDigestInfo()).hex().upper() == SIGNATURE


@given(st.binary(max_size=20), st.text(max_size=14), st.text(max_size=20) | st.just(SIGNATURE))
def test_any_input_raises_only_signature_rejected(body: bytes, timestamp: str, signature: str) -> None:
    assert step(verify, body=body, timestamp=timestamp, signature_hex=signature)
