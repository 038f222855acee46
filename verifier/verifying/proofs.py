"""Checks of proofs and checkpoints.

A proof's arithmetic alone says nothing: whoever makes up a tree makes up its proofs too. So a proof is valid
only under a checkpoint that the log signed, and says of which tree it is by that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from verifier import cosigning, ledger, merkle, notes
from verifier.errors import Code, LedgerRefused, RequestRejected
from verifier.merkle import leaf_hash
from verifier.model.ledger import Checkpoint
from verifier.model.time import iso
from verifier.signatures import strict_json
from verifier.verifying.given import Given, signed_checkpoint
from verifier.verifying.verdict import Kind, Point, Value, Verdict

MAX_BYTES: Final = 1 << 20
_NO_VKEY: Final = "no key of the log was given (--vkey)"
_LARGEST: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Inclusion:
    """An inclusion proof as read; nothing is proved yet."""

    origin: str
    index: int
    size: int
    leaf: bytes
    root: bytes
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Consistency:
    """A consistency proof as read; nothing is proved yet."""

    origin: str
    old: int
    new: int
    old_root: bytes
    new_root: bytes
    path: Sequence[bytes]


def read_proof(raw: bytes) -> Inclusion | Consistency:
    """Read the JSON of ``/ledger/proof``.

    Raises:
        LedgerRefused: RECORD_INVALID, it is none.
    """
    try:
        members = strict_json.loads(raw, max_bytes=MAX_BYTES)
        if isinstance(members, dict) and "index" in members:
            return Inclusion(
                _text(members, "origin"),
                _number(members, "index"),
                _number(members, "size"),
                _hash(members.get("leaf_hash")),
                _hash(members.get("root")),
                _hashes(members),
            )
        if isinstance(members, dict):
            return Consistency(
                _text(members, "origin"),
                _number(members, "from"),
                _number(members, "to"),
                _hash(members.get("from_root")),
                _hash(members.get("to_root")),
                _hashes(members),
            )
    except (RequestRejected, ValueError):
        pass  # as refused as another form
    raise _refused("the proof is malformed")


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise ValueError(name)  # noqa: TRY004 - one error for a caller that reads foreign JSON
    return value


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise ValueError(name)
    return value


def _hash(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("hash")  # noqa: TRY004 - as above
    return bytes.fromhex(value)


def _hashes(members: Mapping[str, Any]) -> list[bytes]:
    value = members.get("proof")
    if not isinstance(value, list):
        raise ValueError("proof")  # noqa: TRY004 - as above
    return [_hash(one) for one in value]


def entry_bytes(given: bytes, leaf: bytes) -> bytes:
    """The exact bytes of an entry from what was given: these themselves, or its line of the feed.

    Raises:
        LedgerRefused: RECORD_INVALID, it is not the entry with this leaf hash.
    """
    for body in (given, given.rstrip(b"\n"), _of_line(given)):
        if leaf_hash(body) == leaf:
            return body
    raise _refused("the entry is not the one that the proof is about")


def _of_line(given: bytes) -> bytes:
    try:
        members = strict_json.loads(given.strip(), max_bytes=MAX_BYTES)
        if isinstance(members, dict) and isinstance(members.get("body_b64"), str):
            return base64.b64decode(str(members["body_b64"]), validate=True)
    except (RequestRejected, binascii.Error, ValueError):
        pass  # no line of the feed
    return b""


def proof(raw: bytes, given: Given) -> Verdict:
    """A proof of ``/ledger/proof``."""
    found = read_proof(raw)
    return _inclusion(found, given) if isinstance(found, Inclusion) else _consistency(found, given)


def _inclusion(found: Inclusion, given: Given) -> Verdict:
    says = {"origin": found.origin, "index": found.index, "size": found.size, "root": found.root.hex()}
    checked, left = [Point.ARITHMETIC], [Point.LOG_SIGNATURE, Point.ENTRY]
    kind = Kind.INCLUSION_PROOF
    try:
        merkle.verify_inclusion(found.leaf, found.index, found.size, found.path, found.root)
        if given.entry is not None:
            entry_bytes(given.entry, found.leaf)
            left.remove(Point.ENTRY)
            checked.append(Point.ENTRY)
        if given.checkpoint is not None and given.log_keys:
            _same(signed_checkpoint(given.checkpoint, given.log_keys), found.origin, found.size, found.root)
            left.remove(Point.LOG_SIGNATURE)
            checked.append(Point.LOG_SIGNATURE)
    except LedgerRefused as error:
        return Verdict(kind, Value.INVALID, (), tuple(left), says, error.detail)
    return _under_the_log(kind, checked, left, says, Point.LOG_SIGNATURE)


def _consistency(found: Consistency, given: Given) -> Verdict:
    says = {"origin": found.origin, "from": found.old, "to": found.new, "to_root": found.new_root.hex()}
    checked, left = [Point.ARITHMETIC], [Point.LOG_SIGNATURE, Point.EARLIER_SIGNATURE]
    kind = Kind.CONSISTENCY_PROOF
    try:
        merkle.verify_consistency(found.old, found.new, found.old_root, found.new_root, found.path)
        for note, size, root, point in (
            (given.checkpoint, found.new, found.new_root, Point.LOG_SIGNATURE),
            (given.earlier, found.old, found.old_root, Point.EARLIER_SIGNATURE),
        ):
            if note is not None and given.log_keys:
                _same(signed_checkpoint(note, given.log_keys), found.origin, size, root)
                left.remove(point)
                checked.append(point)
    except LedgerRefused as error:
        return Verdict(kind, Value.INVALID, (), tuple(left), says, error.detail)
    return _under_the_log(kind, checked, left, says, Point.LOG_SIGNATURE, Point.EARLIER_SIGNATURE)


def _under_the_log(
    kind: Kind, checked: Sequence[Point], left: Sequence[Point], says: Mapping[str, Any], *needed: Point
) -> Verdict:
    if set(needed) <= set(checked):
        return Verdict(kind, Value.VALID, tuple(checked), tuple(left), says)
    reason = "signed checkpoints and the log's key were not given: made-up trees have proofs too"
    return Verdict(kind, Value.NOT_CHECKED, tuple(checked), tuple(left), says, reason)


def _same(checkpoint: Checkpoint, origin: str, size: int, root: bytes) -> None:
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (origin, size, root):
        raise _refused("the proof is about another tree than the checkpoint")


def checkpoint(note: bytes, given: Given) -> Verdict:
    """A checkpoint: signature, cosignatures, and that it continues an earlier one."""
    kind, says = Kind.CHECKPOINT, dict[str, Any]()
    points = (Point.SIGNATURE, Point.CONSISTENCY, Point.COSIGNATURES)
    try:
        text, _ = notes.split_note(note)
        found = ledger.parse_checkpoint(text)
        says = {"origin": found.origin, "size": found.size, "root": found.root.hex()}
        if not given.log_keys:
            return Verdict(kind, Value.NOT_CHECKED, (), points, says, _NO_VKEY)
        found = signed_checkpoint(note, given.log_keys)
        checked, left = [Point.SIGNATURE], list[Point]()
        witnesses = cosigning.cosignatures(note, given.note_keys)
        says["witnesses"] = {one.witness: _time(one.at) for one in witnesses}
        (checked if witnesses else left).append(Point.COSIGNATURES)
        if cosigning.unknown(note, given.note_keys):
            left.append(Point.OTHER_SIGNATURES)
        continued = _continues(found, given)
        (checked if continued else left).append(Point.CONSISTENCY)
    except LedgerRefused as error:
        return Verdict(kind, Value.INVALID, (), points, says, error.detail)
    return Verdict(kind, Value.VALID, tuple(checked), tuple(left), says)


def _time(seconds: int) -> str:
    """The witness's own time; one that no calendar has is shown as the number it is."""
    return iso(datetime.fromtimestamp(seconds, UTC)) if seconds < 1 << 36 else str(seconds)


def _continues(later: Checkpoint, given: Given) -> bool:
    """Whether it was shown to continue an earlier one; False if nothing was given to show it by."""
    if given.earlier is None:
        return False
    earlier = signed_checkpoint(given.earlier, given.log_keys)
    if earlier.origin != later.origin:
        raise _refused("the earlier checkpoint is another log's")
    if earlier.size > later.size:
        raise _refused("the earlier checkpoint is larger: the ledger shrank, or the two were exchanged")
    if earlier.size in {0, later.size}:
        merkle.verify_consistency(earlier.size, later.size, earlier.root, later.root, [])
        return True
    if given.proof is None:
        return False
    found = read_proof(given.proof)
    if not isinstance(found, Consistency):
        raise _refused("the proof given is no consistency proof")
    merkle.verify_consistency(earlier.size, later.size, earlier.root, later.root, found.path)
    return True


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
