"""The form of a signed note (C2SP signed-note): text, empty line, signature lines. Pure; verifies nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

from verifier.errors import Code, LedgerRefused

MAX_NOTE_BYTES: Final = 1_000_000
"""Longest signed note read; sixteen post-quantum witness signatures take about 80,000 bytes."""

MAX_NOTE_SIGNATURES: Final = 64
"""Most signature lines read; the specification asks for at least 16."""

KEY_ID_BYTES: Final = 4
_SIGNATURE_START: Final = "\N{EM DASH} "


class NoteSignature(NamedTuple):
    """A signature line: whose it claims to be, and what the kind of key makes of it."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> bytes:
        """The line as it stands in a note, newline included."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_SIGNATURE_START}{self.name} {encoded}\n".encode()


def split_note(note: bytes) -> tuple[bytes, list[NoteSignature]]:
    """The text of a note and its signatures; nothing of it is verified yet.

    Raises:
        LedgerRefused: the note is malformed.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise _refused("the note is too long")
    head, separator, tail = decoded(note).rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or lines.pop() != "" or len(lines) > MAX_NOTE_SIGNATURES:
        raise _refused("a note is a text, an empty line and signature lines")
    return f"{head}\n".encode(), [parse_signature(line) for line in lines]


def parse_signature(line: str) -> NoteSignature:
    """Read a signature line, without its newline.

    Raises:
        LedgerRefused: it is none.
    """
    name, space, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
    signature = unbase64(encoded)
    if not line.startswith(_SIGNATURE_START) or not space or len(signature) <= KEY_ID_BYTES:
        raise _refused("a signature line of the note is malformed")
    require_key_name(name)
    return NoteSignature(name, signature[:KEY_ID_BYTES], signature[KEY_ID_BYTES:])


def require_key_name(name: str) -> None:
    """Refuse a name that cannot stand in a note.

    Raises:
        LedgerRefused: it is empty, or holds a space, plus sign or control character.
    """
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        raise _refused("a key name is not empty and holds no space, plus sign or control character")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused("the text cannot be written as UTF-8") from None


def decoded(text: bytes) -> str:
    """UTF-8 without control characters other than newline.

    Raises:
        LedgerRefused: it is something else.
    """
    try:
        found = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused("the text is not UTF-8") from error
    if any(char < " " and char != "\n" for char in found):
        raise _refused("the text holds a control character")
    return found


def unbase64(text: str) -> bytes:
    """Standard base64 with padding, in its one canonical spelling.

    Raises:
        LedgerRefused: it is something else.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise _refused("base64 is not in its canonical form")
    return data


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
