"""The witness protocol (C2SP tlog-witness): what a log sends, and what a witness makes of it. Pure.

A witness remembers of each log the size and root of the largest tree it cosigned. It cosigns another only if
a proof shows that this one is its beginning; so a log that shows two people two histories gets only one of
them cosigned. The answers::

    200  cosignature lines                        404  the log is not known here
    400  not a request of this form               409  another old size is meant; the body says which
    403  not signed by the log's key              422  the proof does not hold
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from verifier import cosigning, ledger, merkle, notes
from verifier.cosigning import NoteKey
from verifier.errors import Code, LedgerRefused, RequestRejected
from verifier.model.ledger import HASH_BYTES, Checkpoint

MAX_BYTES: Final = notes.MAX_NOTE_BYTES + 4096
MOST_STEPS: Final = 63
SIZE_TYPE: Final = "text/x.tlog.size"
_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to cosign; nothing of it is believed yet."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes
    text: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a witness does not cosign: an answer of the protocol."""

    status: int
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"


NOTHING: Final = Checkpoint("", 0, merkle.EMPTY_ROOT)
"""What a witness remembers of a log that it never cosigned."""


def request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body of ``POST …/add-checkpoint``.

    Args:
        old: size of the tree that the witness cosigned last, 0 if none.
        proof: consistency proof from there.
        note: the signed checkpoint.
    """
    steps = b"".join(base64.b64encode(step) + b"\n" for step in proof)
    return b"old %d\n" % old + steps + b"\n" + note


def read(raw: bytes) -> Submission:
    """Read such a body.

    Raises:
        RequestRejected: SCHEMA_INVALID, it has another form.
    """
    head, _, note = raw.partition(b"\n\n")
    first, *steps = head.split(b"\n")
    old = _OLD.fullmatch(first)
    if old is None or len(steps) > MOST_STEPS or len(raw) > MAX_BYTES:
        raise _malformed()
    try:
        text, _ = notes.split_note(note)
        return Submission(
            int(old.group(1)), tuple(map(_hash, steps)), note, text, ledger.parse_checkpoint(text)
        )
    except LedgerRefused:
        raise _malformed() from None


def _hash(line: bytes) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except binascii.Error:
        found = b""
    if len(found) != HASH_BYTES:
        raise _malformed()
    return found


def judge(submission: Submission, log_keys: Collection[NoteKey], last: Checkpoint | None) -> Refusal | None:
    """Whether a witness may cosign, by all that it is to check; None if it may.

    Args:
        submission: as read.
        log_keys: the keys it trusts, of whatever logs.
        last: what it cosigned last of this log; None if it never did.
    """
    found, known = submission.checkpoint, last or NOTHING
    keys = [key for key in log_keys if key.kind == cosigning.LOG and key.name == found.origin]
    if not keys:
        return Refusal(404, b"this witness does not know the log\n")
    if not _signed(submission.note, keys):
        return Refusal(403, b"the log's key did not sign this\n")
    if submission.old > found.size:
        return Refusal(400, b"the old size is larger than the checkpoint's\n")
    if submission.old != known.size:
        return Refusal(409, b"%d\n" % known.size, SIZE_TYPE)
    try:
        if found.size == 0:
            merkle.verify_consistency(0, 0, merkle.EMPTY_ROOT, found.root, submission.proof)
        else:
            merkle.verify_consistency(known.size, found.size, known.root, found.root, submission.proof)
    except LedgerRefused:
        return Refusal(422, b"the consistency proof does not hold\n")
    return None


def _signed(note: bytes, keys: Sequence[NoteKey]) -> bool:
    """Whether one of the log's keys signed, and none of them wrongly."""
    held = False
    _, signatures = notes.split_note(note)
    for key in keys:
        if any(one[:2] == (key.name, key.key_id) for one in signatures):
            try:
                ledger.verify_note(note, {key.name: key.public})
            except LedgerRefused:
                return False
            held = True
    return held


def _malformed() -> RequestRejected:
    return RequestRejected(Code.SCHEMA_INVALID, "not a request of tlog-witness")
