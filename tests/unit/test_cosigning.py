"""Cosignatures by the letter of C2SP tlog-cosignature, made and read by independent means."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from verifier import cosigning, ledger
from verifier.errors import Code, ConfigurationError, LedgerRefused

LOG, WITNESS = (
    Ed25519PrivateKey.from_private_bytes(b"1" * 32),
    Ed25519PrivateKey.from_private_bytes(b"2" * 32),
)
ORIGIN, NAME = "log.test.invalid", "witness.test.invalid/w1"
TEXT = ledger.checkpoint_body(ORIGIN, 7, b"r" * 32)
NOTE = ledger.sign_note(TEXT, ORIGIN, LOG)
KEY = cosigning.parse_key(cosigning.cosigner_key(NAME, WITNESS.public_key()))
LOG_KEY = cosigning.parse_key(ledger.verifier_key(ORIGIN, LOG.public_key()))


@given(
    at=st.integers(1, (1 << 63) - 1), size=st.integers(0, 1 << 50), extension=st.sampled_from(["", "more\n"])
)
def test_a_cosignature_has_the_bytes_that_the_specification_says(at: int, size: int, extension: str) -> None:
    text = ledger.checkpoint_body(ORIGIN, size, b"r" * 32) + extension.encode()
    line = cosigning.cosign(text, NAME, WITNESS, at).decode()
    dash, name, encoded = line.removesuffix("\n").split(" ")
    assert (dash, name) == ("—", NAME)
    raw, public = base64.b64decode(encoded), WITNESS.public_key()
    hashed = hashlib.sha256(NAME.encode() + b"\n\x04" + public.public_bytes_raw()).digest()
    assert raw[:4] == hashed[:4]
    assert int.from_bytes(raw[4:12], "big") == at
    public.verify(raw[12:], f"cosignature/v1\ntime {at}\n".encode() + text)
    note = ledger.sign_note(text, ORIGIN, LOG) + line.encode()
    [found] = cosigning.cosignatures(note, [KEY])
    assert (found.witness, found.at, found.line) == (NAME, at, line.encode())
    # The log's own signature holds as before: whoever knows no witness reads the same note.
    assert ledger.verify_note(note, {ORIGIN: LOG.public_key()}) == text


def test_a_key_is_told_by_its_first_byte() -> None:
    assert (KEY.kind, KEY.name, LOG_KEY.kind) == (cosigning.WITNESS, NAME, cosigning.LOG)
    assert cosigning.parse_key(f" {cosigning.cosigner_key(NAME, WITNESS.public_key())}\n") == KEY
    assert KEY.key_id != ledger.key_id(NAME, WITNESS.public_key())


RAW = WITNESS.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        f"{NAME}+00000000+{base64.b64encode(b'' + bytes([4]) + RAW).decode()}",
        f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(bytes([1]) + RAW).decode()}",
        f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(bytes([6]) + RAW).decode()}",
        f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(bytes([4]) + RAW[1:]).decode()}",
        f"a b+{KEY.key_id.hex()}+{base64.b64encode(bytes([1]) + RAW).decode()}",
        f"{NAME}+{KEY.key_id.hex()}+*",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        cosigning.parse_key(text)
    assert refused.value.code is Code.KEY_REFUSED


def test_a_wrong_cosignature_of_a_known_witness_is_refused_and_an_unknown_one_passed_over() -> None:
    line = cosigning.cosign(ledger.checkpoint_body(ORIGIN, 8, b"r" * 32), NAME, WITNESS, 5)
    with pytest.raises(LedgerRefused):
        cosigning.cosignatures(NOTE + line, [KEY])
    assert cosigning.cosignatures(NOTE + line, [LOG_KEY]) == []
    assert cosigning.unknown(NOTE + line, [LOG_KEY]) == [NAME]
    assert cosigning.unknown(NOTE + line, [LOG_KEY, KEY]) == []


def test_a_cosignature_without_its_time_is_refused() -> None:
    with pytest.raises(LedgerRefused):
        cosigning.cosignatures(NOTE + cosigning.cosign(TEXT, NAME, WITNESS, 0), [KEY])
    with pytest.raises(LedgerRefused):
        cosigning.cosignatures(NOTE + cosigning.cosign(TEXT, NAME, WITNESS, 1 << 63), [KEY])


def test_a_name_that_cannot_stand_in_a_note_is_none() -> None:
    with pytest.raises(LedgerRefused):
        cosigning.cosigner_key("two words", WITNESS.public_key())


def test_only_lines_of_the_witness_that_was_asked_count() -> None:
    mine, other = cosigning.cosign(TEXT, NAME, WITNESS, 5), cosigning.cosign(TEXT, "other", LOG, 5)
    assert [one.line for one in cosigning.only(TEXT, other + mine, KEY)] == [mine]
    with pytest.raises(LedgerRefused):
        cosigning.only(TEXT, b"nothing of the kind", KEY)
