"""Step 7: what an entry, a checkpoint and a tile of the ledger are, byte for byte; pure.

The ledger is an RFC 6962 Merkle tree (``verifier.merkle``) served in the forms that existing tools read:

- an **entry** is canonical JSON (RFC 8785); its leaf hash is ``merkle.leaf_hash(entry_body(fields))``;
- a **checkpoint** (C2SP tlog-checkpoint) is the tree head as the text of a **signed note** (C2SP
  signed-note), signed with Ed25519; witnesses may append their own signature lines;
- **tiles** and **entry bundles** (C2SP tlog-tiles) hold 256 hashes or entries each.

What is recorded outside the ledger is bound to it by **evidence roots**: the Merkle root over the salted
digests of the rows (``row_digest``) that came since the last one.

The caller still owes: the comparison with the last checkpoint kept outside the database, before
it signs another.
"""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from verifier.errors import AccessDenied, Code, LedgerRefused, RequestRejected
from verifier.merkle import leaf_hash, tree_root
from verifier.model.ledger import HASH_BYTES, TILE_WIDTH, Checkpoint, NodeReader, Tile
from verifier.notes import KEY_ID_BYTES, NoteSignature, decoded, require_key_name, split_note, unbase64
from verifier.signatures import strict_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from verifier.ports.signing import Signer

NoteKeys: TypeAlias = "Ed25519PublicKey | Collection[Ed25519PublicKey]"
"""The key that a name stands for, or several: while one takes another's place both are trusted."""

MAX_ENTRY_BYTES: Final = 0xFFFF
"""Longest entry: its length must fit the two bytes of an entry bundle's prefix."""

MIN_SALT_BYTES: Final = 16
"""Shortest salt of a row digest: 128 bits, so that personal data cannot be guessed from it."""

_MOST: Final = strict_json.MAX_SAFE_INTEGER
_MARK: Final = "?id?"
_ED25519: Final = b"\x01"
_LENGTH_BYTES: Final = 2
_CHECKPOINT_LINES: Final = 3
_MAX_TILE_LEVEL: Final = 63

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_TILE_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


# Entries and evidence


def entry_body(fields: Mapping[str, Any]) -> bytes:
    """The bytes of an entry: the fields as canonical JSON (RFC 8785).

    Args:
        fields: JSON values; integers within ±(2**53 - 1), no NaN, no lone surrogates.

    Raises:
        LedgerRefused: the fields are not JSON, or the body is longer than ``MAX_ENTRY_BYTES``.
    """
    body = _canonical(dict(fields))
    if len(body) > MAX_ENTRY_BYTES:
        raise _refused("the entry is longer than a bundle can hold")
    return body


def row_digest(salt: bytes, table: str, row: Mapping[str, str | int | bytes | bool | None]) -> bytes:
    """The salted digest by which a row outside the ledger is bound to it.

    SHA-256(salt || J), where J is the canonical JSON (RFC 8785) of
    ``{"row": {column: value, ...}, "table": table}``. A bytes value is written as
    ``{"base64": "<RFC 4648 section 4, padded>"}``, so that no text can pass for it.

    Args:
        salt: secret, at least 16 bytes; per learner where the row holds personal data. Its length must be
            fixed for the table, so that salt and content cannot be shifted against each other.
        table: name of the table.
        row: columns by name, integers within ±(2**53 - 1).

    Returns:
        32 bytes.

    Raises:
        LedgerRefused: the salt is too short or a value has no canonical form.
    """
    if len(salt) < MIN_SALT_BYTES:
        raise _refused("the salt of a row digest is shorter than 16 bytes")
    return sha256(salt + _row_text(table, row)).digest()


def _row_text(table: str, row: Mapping[str, str | int | bytes | bool | None]) -> bytes:
    values = {
        column: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for column, value in row.items()
    }
    return _canonical({"row": values, "table": table})


class RowForm:
    """``row_digest`` for the rows of one table: what they have in common is worked out once."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        """Prepare.

        Args:
            table: name of the table.
            columns: their names, in the order in which ``digest`` gets the values.
        """
        self._table, self._columns = table, tuple(columns)
        self._end = b',"table":' + strict_json.canonical(table) + b"}"
        self._quick = all(name.isascii() for name in columns)

    def digest(self, salt: bytes, values: Sequence[str | int | bytes | bool | None]) -> bytes:
        """What ``row_digest`` says of a row of these values; errors likewise."""
        said: dict[str, object] = {}
        for column, value in zip(self._columns, values, strict=True):
            kind = type(value)
            if kind is bytes:
                said[column] = {"base64": value}  # written in base64 by the encoder
            elif kind is str or value is None or (kind is int and -_MOST <= value <= _MOST):  # type: ignore[operator] # kind says so
                said[column] = value
            else:
                return row_digest(salt, self._table, dict(zip(self._columns, values, strict=True)))
        if len(salt) < MIN_SALT_BYTES or not self._quick:
            return row_digest(salt, self._table, dict(zip(self._columns, values, strict=True)))
        return sha256(salt + b'{"row":' + _plain(said) + self._end).digest()

    def between(
        self, values: Sequence[str | int | bytes | bool | None], places: Sequence[int]
    ) -> tuple[bytes, ...] | None:
        """What is digested of rows that differ in some texts alone, cut where these texts stand.

        Args:
            values: of such a row; those at ``places`` do not count.
            places: of the texts, as canonical JSON orders their columns.

        Returns:
            One piece more than ``places``. The digest of a row is SHA-256 over the salt, the pieces and the
            texts between them, as long as no text has a character to be escaped. None where the other values
            hold what marks the places.
        """
        marked = list(values)
        for place in places:
            marked[place] = _MARK
        row = dict(zip(self._columns, marked, strict=True))
        pieces = _row_text(self._table, row).split(_MARK.encode())
        return tuple(pieces) if len(pieces) == len(places) + 1 else None


def evidence_root(digests: Sequence[bytes]) -> bytes:
    """The Merkle root (RFC 6962) over digests in ascending order, each the body of one leaf.

    Sorted, so that the root depends on what was recorded and not on the order in which it was read.

    Args:
        digests: results of ``row_digest``; a digest that occurs twice counts twice.

    Returns:
        32 bytes; ``merkle.EMPTY_ROOT`` if there are none.
    """
    return tree_root([leaf_hash(digest) for digest in sorted(digests)])


# Checkpoints


def checkpoint_body(origin: str, size: int, root: bytes) -> bytes:
    """The text of a checkpoint, to be signed with ``sign_note``.

    Args:
        origin: name of the log, without spaces and plus signs; also the name of the key that signs it.
        size: number of leaves.
        root: Merkle tree hash, 32 bytes.

    Raises:
        LedgerRefused: one of these cannot be written.
    """
    require_key_name(origin)
    if not _SIZE.fullmatch(str(size)) or len(root) != HASH_BYTES:
        raise _refused("a checkpoint needs a size and a 32-byte root")
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read the text of a checkpoint: only what ``verify_note`` returned may be believed.

    Extension lines after the third are allowed by the specification and ignored.

    Raises:
        LedgerRefused: it is not a checkpoint.
    """
    lines = decoded(text).split("\n")
    if len(lines) <= _CHECKPOINT_LINES or lines.pop() != "" or "" in lines:
        raise _refused("a checkpoint has at least three lines, none of them empty")
    origin, size, root = lines[:_CHECKPOINT_LINES]
    digest = unbase64(root)
    if not _SIZE.fullmatch(size) or len(digest) != HASH_BYTES:
        raise _refused("a checkpoint's size or root is malformed")
    return Checkpoint(origin, int(size), digest)


# Signed notes


def sign_note(text: bytes, signer_name: str, *signers: Ed25519PrivateKey | Signer) -> bytes:
    """A note with an Ed25519 signature (C2SP signed-note, type 0x01) by each of the signers.

    Args:
        text: UTF-8 that ends in a newline, without other control characters.
        signer_name: name of the keys, without spaces and plus signs.
        signers: one, or more under the one name while a key takes another's place.

    Raises:
        LedgerRefused: text or name cannot stand in a note.
    """
    if not decoded(text).endswith("\n") or not signers:
        raise _refused("the text of a note ends in a newline, and somebody signs it")
    made = [
        NoteSignature(signer_name, key_id(signer_name, public_of(one)), one.sign(text)) for one in signers
    ]
    return text + b"\n" + b"".join(one.line for one in made)


def public_of(signer: Ed25519PrivateKey | Signer) -> Ed25519PublicKey:
    """The public key of what signs notes.

    Raises:
        LedgerRefused: it is not Ed25519, the one kind of our notes.
    """
    if isinstance(signer, Ed25519PrivateKey):
        return signer.public_key()
    public = signer.verification_key.public
    if not isinstance(public, Ed25519PublicKey):
        raise _refused("a note is signed with Ed25519")
    return public


def verify_note(note: bytes, keys: Mapping[str, NoteKeys]) -> bytes:
    """The text of a note, after every signature by a known key proved true and at least one was there.

    Signatures by keys that are not known (by name and key id together) are ignored, as the specification
    demands.

    Args:
        note: text, empty line, signature lines.
        keys: the public keys trusted, by name.

    Raises:
        LedgerRefused: the note is malformed, a known key's signature is wrong, or no known key signed.
    """
    text, signatures = split_note(note)
    known = {(name, key_id(name, key)): key for name, several in keys.items() for key in _each(several)}
    trusted = [(known[one[:2]], one.signature) for one in signatures if one[:2] in known]
    if not trusted:
        raise _refused("no known key signed the note")
    for public, signature in trusted:
        try:
            public.verify(signature, text)
        except InvalidSignature as error:
            raise _refused("a signature of the note is wrong") from error
    return text


def _each(keys: NoteKeys) -> Collection[Ed25519PublicKey]:
    return (keys,) if isinstance(keys, Ed25519PublicKey) else keys


def key_id(name: str, public: Ed25519PublicKey) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key) (C2SP signed-note).

    Raises:
        LedgerRefused: the name cannot stand in a note.
    """
    require_key_name(name)
    return sha256(name.encode() + b"\n" + _ED25519 + public.public_bytes_raw()).digest()[:KEY_ID_BYTES]


def verifier_key(name: str, public: Ed25519PublicKey) -> str:
    """The key in the form in which note tools take it: ``name+id+base64(0x01 || public key)``.

    Raises:
        LedgerRefused: the name cannot stand in a note.
    """
    material = base64.b64encode(_ED25519 + public.public_bytes_raw()).decode()
    return f"{name}+{key_id(name, public).hex()}+{material}"


# Tiles


def tile_path(level: int | None, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below the log's prefix: ``tile/<L>/<N>[.p/<W>]``, ``tile/entries/<N>[.p/<W>]``.

    Args:
        level: 0 to 63, or None for a bundle of entries.
        index: from 0 to 2**63 - 1.
        width: 1 to 256.

    Raises:
        AccessDenied: there is no such tile (``Code.NOT_FOUND``).
    """
    if not (0 <= (level or 0) <= _MAX_TILE_LEVEL and 0 <= index < 1 << 63 and 0 < width <= TILE_WIDTH):
        raise AccessDenied(Code.NOT_FOUND, "there is no such tile")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    number = "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{number}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Read what ``tile_path`` writes, and no other spelling of it.

    Raises:
        AccessDenied: there is no such tile (``Code.NOT_FOUND``).
    """
    match = _TILE_PATH.fullmatch(path)
    if match is None:
        raise AccessDenied(Code.NOT_FOUND, "there is no such tile")
    kind, number, width = match.groups()
    tile = Tile(
        None if kind == "entries" else int(kind),
        int(number.replace("/", "").replace("x", "")),
        TILE_WIDTH if width is None else int(width),
    )
    if tile_path(tile.level, tile.index, tile.width) != path:
        raise AccessDenied(Code.NOT_FOUND, "there is no such tile")
    return tile


def tile_bytes(level: int, index: int, width: int, node: NodeReader) -> bytes:
    """The content of a tile of hashes: ``width`` nodes of tree level ``8 * level``, 32 bytes each.

    The caller has compared ``Tile.tree_size`` with the size of the tree.
    """
    first = index * TILE_WIDTH
    return b"".join(node(8 * level, first + place) for place in range(width))


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """The content of a bundle: each entry after its length as two bytes, big-endian.

    Raises:
        LedgerRefused: an entry is too long, or there are none or more than 256.
    """
    if not 0 < len(entries) <= TILE_WIDTH or any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise _refused("a bundle holds 1 to 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def parse_entry_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        LedgerRefused: it is cut off, or holds none or more than 256.
    """
    entries, place = list[bytes](), 0
    while place < len(bundle) and len(entries) <= TILE_WIDTH:
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(bundle[place:start], "big")
        entries.append(bundle[start:place])
    if place != len(bundle) or not 0 < len(entries) <= TILE_WIDTH:
        raise _refused("the bundle is malformed")
    return entries


# Text and bytes


def _canonical(value: dict[str, Any]) -> bytes:
    try:
        return strict_json.canonical(value)
    except RequestRejected:
        # The library's message may name the value: it is not repeated, nor kept as the cause.
        raise _refused("the fields have no canonical form") from None


def _plain(value: dict[str, object]) -> bytes:
    try:
        return strict_json.plain(value)
    except RequestRejected:
        raise _refused("the fields have no canonical form") from None


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
