"""Entries, tree, checkpoints, cosignatures, evidence."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from verifier import cosigning, ledger, notes
from verifier.audit.findings import Finding, Ledger, Trusted
from verifier.errors import LedgerRefused
from verifier.merkle import Frontier, leaf_hash
from verifier.model.ledger import Checkpoint
from verifier.model.time import iso
from verifier.ports.auditing import AuditTransaction, Evidence, StoredEntry
from verifier.ports.witnessing import Cosigned


def entries(tx: AuditTransaction, found: Ledger) -> Iterator[Finding]:
    """Every entry; what was read is put into ``found``."""
    for entry in tx.entries():
        where = f"entries {entry.position}"
        if entry.position != len(found.leaves):
            yield Finding("entry_missing", f"entries {len(found.leaves)}")
            return
        computed = leaf_hash(entry.body)
        found.leaves.append(computed)
        try:
            members = json.loads(entry.body)
        except ValueError:
            members = None
        if not isinstance(members, dict) or computed != entry.leaf_hash or not _repeats(entry, members):
            yield Finding("entry_altered", where)
        if isinstance(members, dict) and members.get("index") == entry.position:
            found.entries[entry.position] = members
            found.at[entry.position] = entry.recorded_at
    if len(found.leaves) != tx.size():
        yield Finding("entry_missing", f"entries {len(found.leaves)}")


def _repeats(entry: StoredEntry, members: dict[str, object]) -> bool:
    """Whether the columns say what the body says."""
    said = (members.get("index"), members.get("kind"), members.get("at"), members.get("office") or "")
    record = members.get("record") if entry.kind == "record" else None
    stands = (entry.position, entry.kind, iso(entry.recorded_at), entry.office)
    return (*said, record) == (*stands, entry.record_id)


def nodes_and_checkpoint(tx: AuditTransaction, trusted: Trusted, found: Ledger) -> Iterator[Finding]:
    """Every stored node, the head's checkpoint, the kept one, and those that witnesses cosigned."""
    frontier, nodes = Frontier().append(found.leaves)
    stored = tx.nodes_stored()
    computed = {(node.level, node.index): node.hash for node in nodes}
    for level, index in sorted(computed.keys() | stored.keys()):
        if computed.get((level, index)) != stored.get((level, index)):
            yield Finding("node_altered", f"nodes {level}/{index}")
    if trusted.kept and not _signed_root(trusted, trusted.kept, found.leaves):
        yield Finding("kept_checkpoint_disagrees", "ledger_head")
    for cosigned in tx.cosignatures():
        if not _cosigned(cosigned, trusted, found.leaves):
            yield Finding("cosignature_altered", f"cosignatures {cosigned.witness}")
    note = tx.checkpoint()
    if not note and not found.leaves:
        return
    try:
        checkpoint = _checkpoint(trusted, note)
    except LedgerRefused:
        yield Finding("checkpoint_invalid", "ledger_head")
        return
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
        trusted.origin,
        frontier.size,
        frontier.root(),
    ):
        yield Finding("checkpoint_disagrees", "ledger_head")


def _checkpoint(trusted: Trusted, note: bytes) -> Checkpoint:
    """A checkpoint that the log alone signed: a line that nobody can check could hold anything."""
    text = ledger.verify_note(note, {trusted.origin: trusted.checkpoints})
    known = [cosigning.NoteKey(trusted.origin, cosigning.LOG, key) for key in trusted.checkpoints]
    if cosigning.unknown(note, known):
        raise LedgerRefused
    return ledger.parse_checkpoint(text)


def _signed_root(trusted: Trusted, note: bytes, leaves: Sequence[bytes]) -> bool:
    """Whether a note signed by the log is about the beginning of these leaves."""
    try:
        text = ledger.verify_note(note, {trusted.origin: trusted.checkpoints})
        kept = ledger.parse_checkpoint(text)
    except LedgerRefused:
        return False
    tree, _ = Frontier().append(leaves[: kept.size])
    return (trusted.origin, tree.size, tree.root()) == (kept.origin, kept.size, kept.root)


def _cosigned(cosigned: Cosigned, trusted: Trusted, leaves: Sequence[bytes]) -> bool:
    try:
        size = _checkpoint(trusted, cosigned.checkpoint).size
        line = notes.parse_signature(cosigned.line.decode().removesuffix("\n"))
        known = cosigning.cosignatures(cosigned.checkpoint + cosigned.line, trusted.witnesses)
    except (LedgerRefused, UnicodeDecodeError):
        return False
    asked = any(one.name == cosigned.witness for one in trusted.witnesses)
    said = (line.name, cosigning.time_of(line), line.line)
    return (
        said == (cosigned.witness, int(cosigned.at.timestamp()), cosigned.line)
        and cosigned.at.microsecond == 0
        and size == cosigned.size
        and bool(known) >= asked
        and _signed_root(trusted, cosigned.checkpoint, leaves)
    )


def _digest(one: Evidence) -> bytes:
    """The digest of a row as it stands; empty where it holds what no row can."""
    try:
        return ledger.row_digest(one.salt, one.source_table, one.row or {})
    except LedgerRefused:
        return b""


def evidence(tx: AuditTransaction, found: Ledger) -> Iterator[Finding]:
    """Every evidence root from what it covers, and every row from its evidence."""
    covered: dict[int, list[bytes]] = defaultdict(list)
    for one in tx.evidence():
        where = f"{one.source_table} {one.source_key}"
        if one.digest is None:
            yield Finding("row_without_evidence", where)
            continue
        if one.position is not None:
            covered[one.position].append(one.digest)
        if one.row is None:
            yield Finding("row_removed", where)
        elif _digest(one) != one.digest:
            yield Finding("row_altered", where)
    for position, members in found.entries.items():
        if members.get("kind") != "evidence":
            continue
        digests = covered.pop(position, [])
        if (ledger.evidence_root(digests).hex(), len(digests)) != (members.get("root"), members.get("count")):
            yield Finding("evidence_altered", f"entries {position}")
    for position in covered:
        yield Finding("evidence_altered", f"entries {position}")
