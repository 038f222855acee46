"""What a witness says of a checkpoint: Ed25519 cosignatures (C2SP tlog-cosignature, type 0x04). Pure.

A witness signs the text of a checkpoint together with its own time. So a cosignature says: at this time this
was the largest tree of this log that the witness had seen, and all that it had seen before is its beginning.
The witness protocol itself (C2SP tlog-witness) is in ``witnessing``.

The keys of logs and of witnesses are written alike (C2SP signed-note, "vkey") and told apart by the first
byte of what they hold.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from verifier import ledger, notes
from verifier.errors import Code, ConfigurationError, LedgerRefused

LOG, WITNESS = "log", "witness"
_TYPES: Final = {b"\x01": LOG, b"\x04": WITNESS}
_COSIGNATURE: Final = b"\x04"
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_LATEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key that signs notes.

    Attributes:
        name: of the log (its origin) or of the witness.
        kind: ``LOG`` or ``WITNESS``.
    """

    name: str
    kind: str
    public: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signature line names the key."""
        return (ledger.key_id if self.kind == LOG else cosigner_id)(self.name, self.public)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that proved true.

    Attributes:
        witness: the witness's name.
        at: when it was made, by the witness's clock, in seconds since 1970.
        line: the signature line, newline included.
    """

    witness: str
    at: int
    line: bytes


def cosigner_id(name: str, public: Ed25519PublicKey) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || 0x04 || public key)."""
    return sha256(name.encode() + b"\n" + _COSIGNATURE + public.public_bytes_raw()).digest()[:_ID_BYTES]


def cosigner_key(name: str, public: Ed25519PublicKey) -> str:
    """A witness's key in the form in which note tools take it.

    Raises:
        LedgerRefused: the name cannot stand in a note.
    """
    ledger.key_id(name, public)  # refuses such a name
    material = base64.b64encode(_COSIGNATURE + public.public_bytes_raw()).decode()
    return f"{name}+{cosigner_id(name, public).hex()}+{material}"


def parse_key(text: str) -> NoteKey:
    """Read a key of a log or a witness: ``name+id+base64(type || key)``.

    Raises:
        ConfigurationError: KEY_REFUSED, it has another form, is of another type, or its id is another key's.
    """
    try:
        name, identifier, encoded = text.strip().split("+", 2)
        material = base64.b64decode(encoded, validate=True)
        key = NoteKey(name, _TYPES[material[:1]], Ed25519PublicKey.from_public_bytes(material[1:]))
        if key.key_id.hex() == identifier:
            return key
    except (ValueError, KeyError, binascii.Error, LedgerRefused):
        pass  # as refused as a wrong id
    raise ConfigurationError(Code.KEY_REFUSED, "not a log's or witness's name+id+base64", pointer="vkey")


def cosign(text: bytes, name: str, key: Ed25519PrivateKey, at: int) -> bytes:
    """A cosignature line, newline included.

    Args:
        text: of the checkpoint, up to and with the newline before the empty line.
        name: the witness's.
        key: the witness's.
        at: seconds since 1970, not 0.
    """
    signature = at.to_bytes(_TIME_BYTES, "big") + key.sign(_message(text, at))
    return notes.NoteSignature(name, cosigner_id(name, key.public_key()), signature).line


def cosignatures(note: bytes, witnesses: Collection[NoteKey]) -> list[Cosignature]:
    """The cosignatures of known witnesses under a note; unknown ones are passed over.

    Raises:
        LedgerRefused: RECORD_INVALID, the note is malformed or a known witness's cosignature is wrong.
    """
    text, signatures = notes.split_note(note)
    known = {(one.name, one.key_id): one for one in witnesses if one.kind == WITNESS}
    return [_verified(text, one, known[one[:2]]) for one in signatures if one[:2] in known]


def only(text: bytes, lines: bytes, witness: NoteKey) -> list[Cosignature]:
    """What a witness answered, as far as it is this witness's; errors as for ``cosignatures``."""
    return cosignatures(text + b"\n" + lines, [witness])


def unknown(note: bytes, keys: Iterable[NoteKey]) -> list[str]:
    """Names of signatures by keys that are not given, in the note's order.

    Raises:
        LedgerRefused: the note is malformed.
    """
    known = {(one.name, one.key_id) for one in keys}
    return [one.name for one in notes.split_note(note)[1] if one[:2] not in known]


def appended(note: bytes, lines: Sequence[bytes]) -> bytes:
    """A note with further signature lines."""
    return note + b"".join(lines)


def _verified(text: bytes, signature: notes.NoteSignature, witness: NoteKey) -> Cosignature:
    at = int.from_bytes(signature.signature[:_TIME_BYTES], "big")
    try:
        witness.public.verify(signature.signature[_TIME_BYTES:], _message(text, at))
    except InvalidSignature:
        raise LedgerRefused(Code.RECORD_INVALID, "a witness's cosignature is wrong") from None
    if not 0 < at <= _LATEST:
        raise LedgerRefused(Code.RECORD_INVALID, "a cosignature of a checkpoint has its time")
    return Cosignature(witness.name, at, signature.line)


def _message(text: bytes, at: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % at + text


def time_of(signature: notes.NoteSignature) -> int:
    """The seconds that a cosignature states, believed or not."""
    return int.from_bytes(signature.signature[:_TIME_BYTES], "big")
