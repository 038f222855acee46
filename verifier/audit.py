"""``verifier ledger fsck``: recomputes all from the stored values and compares.

1. every entry's leaf hash from its body, and that the indices are dense;
2. the tree from the leaves: every stored node, the root, the checkpoint and its signature;
3. every evidence root from the evidence it covers, and every row from its evidence: altered, removed, added;
4. every record: its signing input against its entry, its signature, its disclosures, its status;
   every signed outcome likewise, and that none is missing;
5. kept bodies of deliveries and uploaded documents against their keyed digests;
6. slots against the newest decisions;
7. indices of identifiers against the sealed identifiers, and that every learner can be found;
8. destroyed keys and emptied bodies against what the ledger says of erasures and retention.

What it finds is a list; an empty list means that the database is what was signed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import ledger, outcome
from verifier.errors import LedgerRefused, SignatureRejected
from verifier.merkle import Frontier, leaf_hash
from verifier.ports.auditing import AuditedRecord, AuditTransaction
from verifier.signatures import jws, sdjwt
from verifier.signatures.status_list import Status


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was signed.

    Attributes:
        kind: a stable word.
        where: table and key, or index; never a value.
    """

    kind: str
    where: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the check starts from; taken from outside the database.

    Attributes:
        checkpoints: keys of checkpoints, those that sign no more included.
        records: keys of records, likewise, by id.
        kept: an earlier checkpoint; empty if there is none to compare with.
    """

    origin: str
    checkpoints: Collection[Ed25519PublicKey]
    records: Mapping[str, jws.VerificationKey]
    kept: bytes = b""


def check(tx: AuditTransaction, trusted: Trusted) -> list[Finding]:
    """Run every comparison.

    Args:
        tx: a reading transaction.
        trusted: keys and the ledger's name.
    """
    entries, leaves = dict[int, dict[str, object]](), list[bytes]()
    findings = list(_entries(tx, entries, leaves))
    findings += _tree(tx, trusted, leaves)
    findings += _evidence(tx, entries)
    findings += [Finding("row_without_evidence", f"{table} {key}") for table, key in tx.uncovered()]
    for record in tx.records_stored():
        findings += [
            Finding(kind, f"records {record.record_id}") for kind in _record(record, entries, trusted)
        ]
    findings += _statements(tx, entries, trusted)
    findings += [Finding("delivery_body_altered", f"deliveries {where}") for where in tx.altered_bodies()]
    findings += [Finding("document_altered", f"documents {where}") for where in tx.altered_documents()]
    findings += [Finding("slot_without_grant", f"slots {where}") for where in tx.slots_without_grant()]
    findings += [Finding("identifier_altered", f"learners {where}") for where in tx.altered_identifiers()]
    findings += [Finding("learner_not_found", f"learners {where}") for where in tx.lost_learners()]
    findings += [Finding("emptied_unlawfully", where) for where in tx.emptied_unlawfully()]
    return findings


def tree(tx: AuditTransaction, trusted: Trusted) -> tuple[list[Finding], tuple[int, bytes]]:
    """The comparisons of the ledger alone (1 and 2), and size and root of the tree of the stored entries."""
    entries, leaves = dict[int, dict[str, object]](), list[bytes]()
    findings = [*_entries(tx, entries, leaves), *_tree(tx, trusted, leaves)]
    frontier, _ = Frontier().append(leaves)
    return findings, (frontier.size, frontier.root())


def _entries(
    tx: AuditTransaction, entries: dict[int, dict[str, object]], leaves: list[bytes]
) -> Iterator[Finding]:
    for entry in tx.entries():
        where = f"entries {entry.position}"
        if entry.position != len(leaves):
            yield Finding("entry_missing", f"entries {len(leaves)}")
            return
        computed = leaf_hash(entry.body)
        leaves.append(computed)
        if computed != entry.leaf_hash:
            yield Finding("entry_altered", where)
        try:
            members = json.loads(entry.body)
        except ValueError:
            members = None
        if not isinstance(members, dict) or members.get("index") != entry.position:
            yield Finding("entry_altered", where)
            continue
        if (members.get("kind"), members.get("record")) != (entry.kind, entry.record_id) and (
            entry.kind == "record" or members.get("kind") != entry.kind
        ):
            yield Finding("entry_altered", where)
        entries[entry.position] = members
    if len(leaves) != tx.size():
        yield Finding("entry_missing", f"entries {len(leaves)}")


def _tree(tx: AuditTransaction, trusted: Trusted, leaves: list[bytes]) -> Iterator[Finding]:
    frontier, nodes = Frontier().append(leaves)
    stored = tx.nodes_stored()
    computed = {(node.level, node.index): node.hash for node in nodes}
    for level, index in sorted(computed.keys() | stored.keys()):
        if computed.get((level, index)) != stored.get((level, index)):
            yield Finding("node_altered", f"nodes {level}/{index}")
    if trusted.kept and not _continues(trusted, leaves):
        yield Finding("kept_checkpoint_disagrees", "ledger_head")
    note = tx.checkpoint()
    if not note and not leaves:
        return
    try:
        text = ledger.verify_note(note, {trusted.origin: trusted.checkpoints})
        checkpoint = ledger.parse_checkpoint(text)
    except LedgerRefused:
        yield Finding("checkpoint_invalid", "ledger_head")
        return
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
        trusted.origin,
        frontier.size,
        frontier.root(),
    ):
        yield Finding("checkpoint_disagrees", "ledger_head")


def _continues(trusted: Trusted, leaves: list[bytes]) -> bool:
    try:
        text = ledger.verify_note(trusted.kept, {trusted.origin: trusted.checkpoints})
        kept = ledger.parse_checkpoint(text)
    except LedgerRefused:
        return False
    tree, _ = Frontier().append(leaves[: kept.size])
    return (tree.size, tree.root()) == (kept.size, kept.root)


def _evidence(tx: AuditTransaction, entries: Mapping[int, Mapping[str, object]]) -> Iterator[Finding]:
    covered: dict[int, list[bytes]] = defaultdict(list)
    for evidence in tx.evidence():
        where = f"{evidence.source_table} {evidence.source_key}"
        if evidence.position is not None:
            covered[evidence.position].append(evidence.digest)
        if evidence.row is None:
            yield Finding("row_removed", where)
        elif ledger.row_digest(evidence.salt, evidence.source_table, evidence.row) != evidence.digest:
            yield Finding("row_altered", where)
    for position, members in entries.items():
        if members.get("kind") != "evidence":
            continue
        digests = covered.pop(position, [])
        if (ledger.evidence_root(digests).hex(), len(digests)) != (members.get("root"), members.get("count")):
            yield Finding("evidence_altered", f"entries {position}")
    for position in covered:
        yield Finding("evidence_altered", f"entries {position}")


def _record(
    record: AuditedRecord, entries: Mapping[int, Mapping[str, object]], trusted: Trusted
) -> Iterator[str]:
    entry = entries.get(record.position, {})
    signing_input = record.jws.rpartition(".")[0].encode()
    if (entry.get("record"), entry.get("result"), entry.get("signing_input_sha256")) != (
        record.record_id,
        record.kind,
        sha256(signing_input).hexdigest(),
    ):
        yield "record_altered"
    try:
        parsed = jws.parse_compact(record.jws, max_bytes=1 << 16)
        payload = jws.verify(parsed, trusted.records[parsed.kid or ""])
        sdjwt.disclosed(json.loads(payload), record.disclosures)
    except (SignatureRejected, KeyError):
        yield "record_signature_invalid"
    expected = {None: {Status.VALID}, "revoked": {Status.INVALID}}
    allowed = expected.get(record.superseded_by, {Status.SUPERSEDED})
    if record.status not in allowed:
        yield "record_status_altered"


def _statements(
    tx: AuditTransaction, entries: Mapping[int, Mapping[str, object]], trusted: Trusted
) -> Iterator[Finding]:
    owed = {position for position, members in entries.items() if members.get("kind") == outcome.KIND}
    for statement in tx.statements_stored():
        where = f"statements {statement.statement_id}"
        owed.discard(statement.position)
        entry = entries.get(statement.position, {})
        signed = sha256(statement.jws.rpartition(".")[0].encode()).hexdigest()
        said = (entry.get("kind"), entry.get("number"), entry.get("signing_input_sha256"))
        if said != (statement.kind, statement.reference, signed):
            yield Finding("statement_altered", where)
        try:
            parsed = jws.parse_compact(statement.jws, max_bytes=1 << 16)
            jws.verify(parsed, trusted.records[parsed.kid or ""])
        except (SignatureRejected, KeyError):
            yield Finding("statement_signature_invalid", where)
    for position in sorted(owed):
        yield Finding("statement_missing", f"entries {position}")
