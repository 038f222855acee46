"""Checks a dump of the feed: a page of JSON, or NDJSON with its last line; also several of these in a row.

Every entry, also one whose body the client may not see, has its index and leaf hash. So a dump from index 0
on is the whole tree: its root is computed and compared with a signed checkpoint, by which nothing in it can
be missing, exchanged or made up. Where the last line brings a checkpoint, and the proof that the tree up to
there is its beginning, the log's key suffices. A dump that begins later is only checked entry by entry.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from verifier import merkle, offline, record
from verifier.errors import Code, LedgerRefused, RequestRejected, SignatureRejected
from verifier.merkle import Frontier, leaf_hash
from verifier.model.ledger import HASH_BYTES, Checkpoint
from verifier.signatures import sdjwt, strict_json
from verifier.verifying.given import Given, signed_checkpoint
from verifier.verifying.verdict import Kind, Point, Value, Verdict

MAX_LINE_BYTES: Final = 1 << 20
MAX_PAGE_BYTES: Final = 1 << 25
_TRAILER: Final = frozenset({"next", "size"})
_NOT_WHOLE: Final = (
    "it takes all entries from 0 on, a checkpoint and the log's key to show that none is missing"
)
_BEYOND: Final = "the dump goes on behind the checkpoint: what comes there is not proven"


@dataclass(slots=True)
class _Dump:
    """What was read so far; no more of it is kept than the tree's right edge."""

    given: Given
    checkpoint: Checkpoint | None
    first: int | None = None
    following: int = 0
    tree: Frontier = field(default_factory=Frontier)
    at_checkpoint: bytes = b""
    proven: int = -1
    bodies: int = 0
    records: int = 0
    verified: int = 0
    ended: bool = False

    def take(self, members: Mapping[str, Any]) -> None:
        """One entry, or the line that ends a page."""
        if members.keys() >= _TRAILER and "leaf_hash" not in members:
            self._end(members)
            return
        index, leaf = members.get("index"), _hash(members.get("leaf_hash"))
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise _refused("an entry has no index")
        if self.first is None:
            self.first = self.following = index
        if index != self.following:
            raise _refused("an entry is missing, doubled or out of order")
        self.following, self.ended = index + 1, False
        if "body_b64" in members:
            self._body(members, index, leaf)
        if self.first == 0:
            self.tree, _ = self.tree.append([leaf])
            if self.checkpoint is not None and self.tree.size == self.checkpoint.size:
                self.at_checkpoint = self.tree.root()

    def _end(self, members: Mapping[str, Any]) -> None:
        if self.first is not None and members["next"] != self.following - 1:
            raise _refused("the last line does not follow the last entry: the dump is cut off")
        self.ended = True
        note, path = members.get("checkpoint"), members.get("proof")
        if self.first == 0 and self.given.log_keys and isinstance(note, str) and isinstance(path, list):
            found = signed_checkpoint(note.encode(), self.given.log_keys)
            steps = [_hash(step) for step in path]
            merkle.verify_consistency(self.tree.size, found.size, self.tree.root(), found.root, steps)
            self.proven = self.tree.size

    def _body(self, members: Mapping[str, Any], index: int, leaf: bytes) -> None:
        try:
            body = base64.b64decode(members["body_b64"], validate=True)
            said = strict_json.loads(body, max_bytes=MAX_LINE_BYTES)
        except (binascii.Error, ValueError, TypeError, RequestRejected):
            raise _refused("an entry's body cannot be read") from None
        shown = (said, members.get("body", said), members.get("kind"))
        if leaf_hash(body) != leaf or not isinstance(said, dict) or shown != (said, said, said.get("kind")):
            raise _refused("an entry's body is not the one that its hash is of")
        if said.get("index") != index:
            raise _refused("an entry stands at another index than it says")
        self.bodies += 1
        if isinstance(members.get("record"), dict):
            self._record(str(members["record"].get("sd_jwt", "")), said)

    def _record(self, sd_jwt: str, entry: Mapping[str, Any]) -> None:
        self.records += 1
        try:
            token, disclosures = sdjwt.split(sd_jwt)
            if sha256(token.rpartition(".")[0].encode()).hexdigest() != entry.get("signing_input_sha256"):
                raise _refused("a record is not the one that its entry commits to")
            if self.given.keys is not None:
                sdjwt.disclosed(offline.verified(token, record.TYP, self.given.keys), disclosures)
                self.verified += 1
        except SignatureRejected as error:
            raise _refused(f"a record fails at: {error.step}") from None


def lines(found: Iterable[bytes], given: Given) -> Verdict:
    """NDJSON; one line is held at a time."""
    number = 0
    dump = _Dump(given, None)
    try:
        dump.checkpoint = _checkpoint(given)
        for number, line in enumerate(found, 1):  # noqa: B007 - told where it stopped
            if line.strip():
                dump.take(_object(line, MAX_LINE_BYTES))
        if not dump.ended:
            raise _refused("the last line is missing: the dump is cut off")
        return _verdict(dump)
    except LedgerRefused as error:
        return _invalid(dump, f"line {number}: {error.detail}")


def page(raw: bytes, given: Given) -> Verdict:
    """The JSON of one answer."""
    dump = _Dump(given, None)
    try:
        dump.checkpoint = _checkpoint(given)
        members = _object(raw, MAX_PAGE_BYTES)
        entries = members["entries"]
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise _refused("entries is no list of objects")
        for one in entries:
            dump.take(one)
        dump.take({name: value for name, value in members.items() if name != "entries"})
        return _verdict(dump)
    except LedgerRefused as error:
        return _invalid(dump, error.detail)


def _checkpoint(given: Given) -> Checkpoint | None:
    if given.checkpoint is None or not given.log_keys:
        return None
    return signed_checkpoint(given.checkpoint, given.log_keys)


def _verdict(dump: _Dump) -> Verdict:
    checked, left = [Point.ORDER], list[Point]()
    if dump.bodies:
        checked.append(Point.LEAF_HASHES)
    if dump.records:
        (checked if dump.verified == dump.records else left).append(Point.RECORDS)
        left.append(Point.RECORD_STATUS)
    reason, whole = _NOT_WHOLE, dump.checkpoint
    if whole is not None and dump.first == 0 and dump.following >= whole.size:
        if dump.at_checkpoint != whole.root:
            raise _refused("the entries are not those of the checkpoint")
        reason = "" if dump.following == whole.size else _BEYOND
    if dump.proven == dump.following:
        reason = ""
    (left if reason else checked).append(Point.WHOLE)
    value = Value.VALID
    if reason:
        value = Value.SIGNATURE_VALID if dump.verified else Value.NOT_CHECKED
    return Verdict(Kind.FEED_DUMP, value, tuple(checked), tuple(left), _says(dump), reason)


def _invalid(dump: _Dump, reason: str) -> Verdict:
    return Verdict(Kind.FEED_DUMP, Value.INVALID, (), (Point.WHOLE,), _says(dump), reason)


def _says(dump: _Dump) -> dict[str, Any]:
    if dump.first is None:
        return {"entries": 0}
    return {
        "first": dump.first,
        "last": dump.following - 1,
        "entries": dump.following - dump.first,
        "with_body": dump.bodies,
        "records": dump.records,
    }


def _object(raw: bytes, limit: int) -> dict[str, Any]:
    try:
        members = strict_json.loads(raw.strip(), max_bytes=limit)
    except RequestRejected:
        members = None
    if not isinstance(members, dict):
        raise _refused("not a strict JSON object")
    return dict(members)


def _hash(value: Any) -> bytes:
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if len(found) != HASH_BYTES:
        raise _refused("a hash is missing or malformed")
    return found


def _refused(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)
