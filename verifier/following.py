"""Follows the feed from outside, believing only keys that came another way: what a puller checks. Pure.

Of each answer, before anything in it has an effect:

1. its entries follow the cursor without a gap, and what is shown of one hashes to its leaf;
2. the checkpoint is signed by the log's key, of its origin and size, and no smaller than the one before;
3. the tree with the new entries is the beginning of the checkpoint's (``proof``, RFC 9162, 2.1.4);
4. a checkpoint that lay ahead when it was seen is met on the way: the tree has its root when it has its size;
5. each record: signature, disclosures, that it names this log and index, and that the entry commits to it.

A cursor holds the tree's right edge, so that nothing before it has to be read again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import ledger, offline
from verifier.errors import Code, LedgerRefused, RequestRejected, SignatureRejected
from verifier.merkle import Frontier, leaf_hash, verify_consistency
from verifier.model.ledger import HASH_BYTES, Checkpoint
from verifier.signatures import sdjwt, strict_json
from verifier.signatures.jws import VerificationKey

MAX_LINE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Trust:
    """What the puller believes, and got another way than by the feed.

    Attributes:
        origin: the log's name.
        log_keys: of its checkpoints; more than one while one replaces another.
        record_keys: of its records.
    """

    origin: str
    log_keys: Sequence[Ed25519PublicKey]
    record_keys: Collection[VerificationKey]


class Record(msgspec.Struct, frozen=True):
    """A record as an entry shows it."""

    id: str
    sd_jwt: str


class Entry(msgspec.Struct, frozen=True):
    """One line of an answer: an entry, or only its hash where the client may not see it."""

    index: int
    leaf_hash: str
    kind: str | None = None
    body_b64: str | None = None
    record: Record | None = None


class End(msgspec.Struct, frozen=True):
    """The last line of an answer."""

    next: int
    size: int
    checkpoint: str
    proof: list[str]


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cursor as JSON."""

    next: int
    frontier: list[str]
    end: End | None
    ahead: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a copy of the ledger reaches.

    Attributes:
        edge: the right edge of the tree of what was taken over.
        end: of the answer that led here; None before the first.
        ahead: a checkpoint that was larger than what was taken over, to be met on the way; empty for none.
    """

    edge: Frontier = field(default_factory=Frontier)
    end: End | None = None
    ahead: str = ""

    @property
    def next(self) -> int:
        """The index taken over last; -1 for none."""
        return self.edge.size - 1


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry that was checked.

    Attributes:
        body: its members, empty where it is not shown.
        raw: the body's exact bytes.
        claims: of its record, personal ones where they are disclosed; None without a record.
        sd_jwt: its record.
    """

    index: int
    leaf: bytes
    kind: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    sd_jwt: str = field(default="", repr=False)


_entry: Final = msgspec.json.Decoder(Entry)
_end: Final = msgspec.json.Decoder(End)


def check(
    cursor: Cursor, lines: Sequence[bytes], trust: Trust, *, now: datetime
) -> tuple[Cursor, list[Taken]]:
    """Check an answer, and say where it leads.

    Args:
        cursor: where the copy stands.
        lines: of the answer, the last one included.
        trust: keys.
        now: aware UTC.

    Returns:
        the cursor behind the answer, and its entries.

    Raises:
        LedgerRefused: RECORD_INVALID, with what is wrong; nothing of the answer may have an effect.
    """
    if not lines:
        raise _refused("the answer is empty")
    end = _read(_end, lines[-1], "the last line")
    if end.checkpoint:
        _note(end.checkpoint, trust)  # first: a wrong key is not to be taken for wrong entries
    taken = [_taken(cursor.edge.size + place, line, trust, now) for place, line in enumerate(lines[:-1])]
    edge = _extended(cursor, [one.leaf for one in taken], trust)
    if end.next != edge.size - 1:
        raise _refused(f"the answer ends at {end.next}, its last entry is {edge.size - 1}")
    checkpoint = _proven(edge, end, trust)
    before = cursor.end.size if cursor.end is not None else 0
    ahead = _note(cursor.ahead, trust).size if cursor.ahead else 0
    if checkpoint.size < max(before, ahead):
        raise _refused(f"the ledger shrank: {checkpoint.size} entries, there were {max(before, ahead)}")
    if ahead <= edge.size:
        following = end.checkpoint if checkpoint.size > edge.size else ""
    else:
        following = cursor.ahead
    return Cursor(edge, end, following), taken


def check_cursor(cursor: Cursor, trust: Trust) -> None:
    """Check a cursor that was stored: that it is one that an answer led to.

    Raises:
        LedgerRefused: RECORD_INVALID, it was altered, or is another log's.
    """
    if cursor.end is None:
        if cursor.edge.size or cursor.ahead:
            raise _refused("the cursor stands on no checkpoint")
        return
    if cursor.end.next != cursor.next:
        raise _refused("the cursor's next is not where its tree ends")
    _proven(cursor.edge, cursor.end, trust)
    if cursor.ahead:
        _note(cursor.ahead, trust)


def dumped(cursor: Cursor) -> dict[str, Any]:
    """A cursor as JSON values, to be stored in the transaction of the effects."""
    return {
        "next": cursor.next,
        "frontier": [node.hex() for node in cursor.edge.hashes],
        "end": msgspec.to_builtins(cursor.end),
        "ahead": cursor.ahead,
    }


def loaded(members: object) -> Cursor:
    """Read what ``dumped`` wrote; ``check_cursor`` says whether it may be believed.

    Raises:
        LedgerRefused: RECORD_INVALID, it is not what was written.
    """
    try:
        stored = msgspec.convert(members, _Stored)
        edge = Frontier(stored.next + 1, tuple(bytes.fromhex(node) for node in stored.frontier))
    except (msgspec.ValidationError, ValueError, LedgerRefused):
        raise _refused("the cursor is not as it was stored") from None
    return Cursor(edge, stored.end, stored.ahead)


def _extended(cursor: Cursor, leaves: Sequence[bytes], trust: Trust) -> Frontier:
    """The tree with more leaves; where a checkpoint lay ahead, it is met."""
    edge = cursor.edge
    if cursor.ahead and edge.size < (met := _note(cursor.ahead, trust)).size <= edge.size + len(leaves):
        edge, leaves = edge.append(leaves[: met.size - edge.size])[0], leaves[met.size - edge.size :]
        if edge.root() != met.root:
            raise _refused(
                f"two checkpoints were signed that do not belong to one ledger, by {met.size} entries"
            )
    return edge.append(leaves)[0]


def _proven(edge: Frontier, end: End, trust: Trust) -> Checkpoint:
    """The checkpoint of an answer, of which the tree is proven to be the beginning."""
    if not end.size and not end.checkpoint:
        if edge.size:
            raise _refused("the ledger is empty, and was not")
        return Checkpoint(trust.origin, 0, edge.root())
    checkpoint = _note(end.checkpoint, trust)
    if checkpoint.size != end.size:
        raise _refused("the checkpoint is of another size than the answer")
    try:
        proof = [bytes.fromhex(step) for step in end.proof]
        verify_consistency(edge.size, checkpoint.size, edge.root(), checkpoint.root, proof)
    except (ValueError, LedgerRefused):
        raise _refused("the entries are not the beginning of what the checkpoint signs") from None
    return checkpoint


def _note(text: str, trust: Trust) -> Checkpoint:
    try:
        return offline.check_checkpoint(text.encode("utf-8", "replace"), trust.origin, trust.log_keys)
    except LedgerRefused:
        raise _refused("the checkpoint is not signed by the log's key") from None


def _taken(index: int, line: bytes, trust: Trust, now: datetime) -> Taken:
    where = f"entry {index}"
    shown = _read(_entry, line, where)
    leaf = _hash(shown.leaf_hash, where)
    if shown.index != index:
        raise _refused(f"{where} is missing: index {shown.index} stands in its place")
    if shown.body_b64 is None:
        if shown.kind is not None or shown.record is not None:
            raise _refused(f"{where} has a record or kind without a body")
        return Taken(index, leaf)
    try:
        raw = base64.b64decode(shown.body_b64, validate=True)
        body = strict_json.loads(raw, max_bytes=ledger.MAX_ENTRY_BYTES)
    except (binascii.Error, ValueError, RequestRejected):
        raise _refused(f"{where} cannot be read") from None
    if leaf_hash(raw) != leaf:
        raise _refused(f"{where} has another body than its hash is of")
    if not isinstance(body, dict) or (body.get("index"), body.get("kind")) != (index, shown.kind):
        raise _refused(f"{where} says of itself another index or kind")
    if (shown.kind == "record") != (shown.record is not None):
        raise _refused(f"{where} is shown without its record, or with one that it is not of")
    claims = _record(where, shown.record, body, trust, now) if shown.record is not None else None
    sd_jwt = shown.record.sd_jwt if shown.record is not None else ""
    return Taken(index, leaf, shown.kind or "", body, raw, claims, sd_jwt)


def _record(
    where: str, record: Record, body: Mapping[str, Any], trust: Trust, now: datetime
) -> Mapping[str, Any]:
    """The claims of a record that is signed, and that its entry commits to."""
    try:
        claims = offline.check(record.sd_jwt, trust.record_keys, status_token=None, now=now).claims
        token, _ = sdjwt.split(record.sd_jwt)
    except (LedgerRefused, SignatureRejected) as error:
        raise _refused(f"{where}: {error.detail}") from None
    signed = sha256(token.rpartition(".")[0].encode()).hexdigest()
    log = {"origin": trust.origin, "index": body["index"]}
    if (body.get("signing_input_sha256"), claims.get("log")) != (signed, log):
        raise _refused(f"{where} does not commit to the record that is shown with it")
    if not body.get("record") == claims.get("jti") == record.id:
        raise _refused(f"{where} names another record than is shown with it")
    return claims


def _read(decoder: msgspec.json.Decoder[Any], line: bytes, where: str) -> Any:
    try:
        if len(line) > MAX_LINE_BYTES:
            raise _refused(f"{where} is too long")
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refused(f"{where} is not as documented") from None


def _hash(text: str, where: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != HASH_BYTES:
        raise _refused(f"{where} has no leaf hash")
    return found


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
