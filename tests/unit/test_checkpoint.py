"""Signed notes and checkpoints, against the published examples and against forgers."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import ledger, notes
from verifier.errors import Code, LedgerRefused
from verifier.model.ledger import Checkpoint
from verifier.signatures.jws import Algorithm, SigningKey

ORIGIN = "bureau.example/training-ledger"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEYS = {ORIGIN: KEY.public_key()}
ROOT = bytes(range(32))
TEXT = ledger.checkpoint_body(ORIGIN, 20852163, ROOT)
NOTE = ledger.sign_note(TEXT, ORIGIN, KEY)

# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_TEXT = b"This is an example message.\n"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def example_public() -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(b64decode(EXAMPLE_KEY.rpartition("+")[2])[1:])


def refused(note: bytes) -> bool:
    with pytest.raises(LedgerRefused) as caught:
        ledger.verify_note(note, KEYS)
    return caught.value.code is Code.RECORD_INVALID


# Notes


def test_the_example_of_the_specification_verifies_and_its_key_is_written_the_same() -> None:
    assert ledger.verify_note(EXAMPLE_NOTE, {"example.com/foo": example_public()}) == EXAMPLE_TEXT
    assert ledger.verifier_key("example.com/foo", example_public()) == EXAMPLE_KEY
    assert ledger.key_id("example.com/foo", example_public()).hex() == "530d903a"


def test_a_note_signed_here_has_the_form_of_the_specification() -> None:
    head, _, signature = NOTE.decode().rpartition("\n\n")
    assert f"{head}\n".encode() == TEXT
    assert signature.startswith(f"— {ORIGIN} ")
    assert signature.endswith("\n")
    material = b64decode(signature.split(" ")[2])
    assert material[:4] == ledger.key_id(ORIGIN, KEY.public_key())
    KEY.public_key().verify(material[4:], TEXT)


def test_the_text_may_hold_empty_lines() -> None:
    text = "第一行\n\n— 不是签名\n\n末行\n".encode()
    assert ledger.verify_note(ledger.sign_note(text, ORIGIN, KEY), KEYS) == text


@settings(deadline=None)
@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_any_flipped_byte_of_a_note_is_refused(place: int, mask: int) -> None:
    changed = bytearray(NOTE)
    changed[place] ^= mask
    assert refused(bytes(changed))


@given(st.integers(0, len(NOTE) - 1))
def test_a_note_cut_off_anywhere_is_refused(end: int) -> None:
    assert refused(NOTE[:end])


def line_of(name: str, key: Ed25519PrivateKey) -> bytes:
    return ledger.sign_note(TEXT, name, key).rpartition(b"\n\n")[2]


def test_signatures_of_witnesses_not_known_are_ignored() -> None:
    witness = line_of("witness.example", OTHER)
    cosignature = f"— witness.example/pq {b64encode(bytes(2424)).decode()}\n".encode()
    assert ledger.verify_note(NOTE + witness + cosignature, KEYS) == TEXT
    assert ledger.verify_note(TEXT + b"\n" + witness + line_of(ORIGIN, KEY), KEYS) == TEXT


def test_a_signature_under_a_known_name_by_another_key_is_ignored_and_not_enough() -> None:
    assert ledger.verify_note(NOTE + line_of(ORIGIN, OTHER), KEYS) == TEXT
    assert refused(ledger.sign_note(TEXT, ORIGIN, OTHER))
    assert refused(ledger.sign_note(TEXT, "other.example", KEY))


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    both = {ORIGIN: KEY.public_key(), "witness.example": OTHER.public_key()}
    witness = line_of("witness.example", OTHER)
    assert ledger.verify_note(NOTE + witness, both) == TEXT
    foreign = ledger.sign_note(b"another text\n", "witness.example", OTHER).rpartition(b"\n\n")[2]
    with pytest.raises(LedgerRefused):
        ledger.verify_note(NOTE + foreign, both)


def test_sixteen_signatures_are_read_and_too_many_are_not() -> None:
    witness = line_of("witness.example", OTHER)
    assert ledger.verify_note(NOTE + witness * 15, KEYS) == TEXT
    assert refused(NOTE + witness * notes.MAX_NOTE_SIGNATURES)


def test_a_note_without_keys_to_trust_is_refused() -> None:
    with pytest.raises(LedgerRefused):
        ledger.verify_note(NOTE, {})


@pytest.mark.parametrize(
    "note",
    [
        b"",
        TEXT,
        TEXT + b"\n",
        b"\n\n",
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace(b"\n\n", b"\n\n\n"),
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"=\n", b"\n"),
        b"\x00" + NOTE,
        b"\xff" + NOTE,
        b"x" * (notes.MAX_NOTE_BYTES + 1),
    ],
)
def test_a_malformed_note_is_refused(note: bytes) -> None:
    assert refused(note)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "—",
        "— ",
        "— name",
        "— name ",
        "— name AAAA",
        "— name AAAAAA==",
        "— name AAAAAAB=",
        "— name AAAAAAA",
        "— name AAA AAAA=",
        "— name AAAAAAA= ",
        "— na+me AAAAAAA=",
        "—  AAAAAAA=",
        "- name AAAAAAA=",
        "name AAAAAAA=",
        "— name ＡAAAAAA=",
    ],
)
def test_a_malformed_signature_line_spoils_a_note_that_is_well_signed(line: str) -> None:
    assert ledger.verify_note(NOTE + "— name AAAAAAA=\n".encode(), KEYS) == TEXT
    assert refused(NOTE + f"{line}\n".encode())


@pytest.mark.parametrize("text", [b"", b"no newline", b"tab\t\n", b"\xff\n", b"\r\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: bytes) -> None:
    with pytest.raises(LedgerRefused):
        ledger.sign_note(text, ORIGIN, KEY)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\x00b", "a\N{IDEOGRAPHIC SPACE}b", "a\N{NO-BREAK SPACE}b", "\ud800"]
)
def test_a_name_that_no_key_can_have_is_refused(name: str) -> None:
    for use in (
        lambda: ledger.verifier_key(name, KEY.public_key()),
        lambda: ledger.key_id(name, KEY.public_key()),
        lambda: ledger.sign_note(TEXT, name, KEY),
        lambda: ledger.checkpoint_body(name, 0, ROOT),
    ):
        with pytest.raises(LedgerRefused):
            use()


# Checkpoints


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_is_read_back_from_its_note(size: int, root: bytes) -> None:
    note = ledger.sign_note(ledger.checkpoint_body(ORIGIN, size, root), ORIGIN, KEY)
    assert ledger.parse_checkpoint(ledger.verify_note(note, KEYS)) == Checkpoint(ORIGIN, size, root)


def test_the_example_of_the_specification_is_read() -> None:
    text = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    root = bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")
    assert ledger.parse_checkpoint(text) == Checkpoint("example.com/behind-the-sofa", 20852163, root)
    assert ledger.checkpoint_body("example.com/behind-the-sofa", 20852163, root) == text


def test_extension_lines_are_allowed_unless_empty() -> None:
    assert ledger.parse_checkpoint(TEXT + b"extension\nanother\n") == Checkpoint(ORIGIN, 20852163, ROOT)
    with pytest.raises(LedgerRefused):
        ledger.parse_checkpoint(TEXT + b"\n")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"origin\n1\n",
        TEXT[:-1],
        TEXT.replace(b"20852163", b"020852163"),
        TEXT.replace(b"20852163", b"-1"),
        TEXT.replace(b"20852163", b"+1"),
        TEXT.replace(b"20852163", b"1_0"),
        TEXT.replace(b"20852163", "２".encode()),
        TEXT.replace(b"20852163", b"9" * 20),
        TEXT.replace(b"20852163", b"9" * 5000),
        TEXT.replace(b"20852163", b""),
        TEXT.replace(ORIGIN.encode(), b""),
        TEXT.replace(b64encode(ROOT), b64encode(ROOT[:-1])),
        TEXT.replace(b64encode(ROOT), b64encode(ROOT)[:-1]),
        TEXT.replace(b64encode(ROOT), b64encode(ROOT)[:-2] + b"9="),
        TEXT.replace(b"\n", b"\r\n"),
        b"\xff" + TEXT,
    ],
)
def test_a_malformed_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(LedgerRefused) as caught:
        ledger.parse_checkpoint(text)
    assert caught.value.code is Code.RECORD_INVALID


@pytest.mark.parametrize(("size", "root"), [(-1, ROOT), (10**19, ROOT), (1, ROOT[:-1]), (1, b"")])
def test_a_checkpoint_that_cannot_be_is_not_written(size: int, root: bytes) -> None:
    with pytest.raises(LedgerRefused):
        ledger.checkpoint_body(ORIGIN, size, root)


# Several keys under one name


def test_a_note_that_two_keys_signed_is_believed_by_either_and_by_both() -> None:
    both = ledger.sign_note(TEXT, ORIGIN, KEY, OTHER)
    known: list[ledger.NoteKeys] = [
        KEY.public_key(),
        OTHER.public_key(),
        [OTHER.public_key(), KEY.public_key()],
    ]
    for keys in known:
        assert ledger.verify_note(both, {ORIGIN: keys}) == TEXT
    assert ledger.verify_note(NOTE, {ORIGIN: [OTHER.public_key(), KEY.public_key()]}) == TEXT
    with pytest.raises(LedgerRefused):
        ledger.verify_note(both, {ORIGIN: []})


def test_of_two_known_keys_signatures_both_must_be_right() -> None:
    text, _, lines = ledger.sign_note(TEXT, ORIGIN, KEY, OTHER).rpartition(b"\n\n")
    wrong = ledger.sign_note(b"another text\n", ORIGIN, OTHER).rpartition(b"\n\n")[2]
    spoilt = text + b"\n\n" + lines.splitlines(keepends=True)[0] + wrong
    assert ledger.verify_note(spoilt, {ORIGIN: KEY.public_key()}) == TEXT
    with pytest.raises(LedgerRefused):
        ledger.verify_note(spoilt, {ORIGIN: [KEY.public_key(), OTHER.public_key()]})


def test_a_note_is_signed_by_somebody_and_with_ed25519() -> None:
    with pytest.raises(LedgerRefused):
        ledger.sign_note(TEXT, ORIGIN)
    ecdsa = SigningKey("kid", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(LedgerRefused):
        ledger.sign_note(TEXT, ORIGIN, ecdsa)
    signer = SigningKey("kid", Algorithm.EDDSA, KEY)
    assert ledger.sign_note(TEXT, ORIGIN, signer) == NOTE
