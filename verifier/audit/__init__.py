"""``verifier ledger fsck``: recomputes all from the stored values and compares.

1. every entry's leaf hash from its body, that the columns beside it repeat it, that no index is missing;
2. the tree from the leaves: every stored node, the root, the checkpoint and its signatures, the cosignatures;
3. every evidence root from the evidence it covers, and every row from its evidence: altered, removed, added;
4. every record: its signing input against its entry, its signature, its columns and disclosures, its status,
   and that no decision lacks the record it calls for; every signed outcome likewise; the signed status lists;
5. whatever is sealed opens, and what was emptied was emptied lawfully; kept bodies of deliveries and
   uploaded documents have their keyed digests;
6. slots against decisions and claims, unique keys of completions, who is merged, what is in force;
7. indices of identifiers and traits against the sealed values, and that every learner can be found.

What it finds is a list; an empty list means that the database is what was signed. What no check covers is
listed, with the reason, in ``verifier.store.coverage``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from verifier.audit import records, tree
from verifier.audit.findings import Finding, Ledger, Trusted
from verifier.errors import LedgerRefused
from verifier.merkle import Frontier
from verifier.ports.auditing import AuditTransaction

__all__ = ["Finding", "Trusted", "check", "check_tree"]


def check(tx: AuditTransaction, trusted: Trusted) -> list[Finding]:
    """Run every comparison.

    Args:
        tx: a reading transaction.
        trusted: keys and the ledger's name.
    """
    ledger = Ledger()
    parts: dict[str, Callable[[], Iterable[Finding]]] = {
        "entries": lambda: tree.entries(tx, ledger),
        "nodes": lambda: tree.nodes_and_checkpoint(tx, trusted, ledger),
        "evidence": lambda: tree.evidence(tx, ledger),
        "records": lambda: records.records(tx, trusted, ledger),
        "decisions": lambda: records.decisions(tx),
        "statements": lambda: records.statements(tx, trusted, ledger),
        "status_lists": lambda: records.status_lists(tx, trusted),
        **_compared(tx),
    }
    findings: list[Finding] = []
    for name, find in parts.items():
        try:
            findings += find()
        except (LedgerRefused, ValueError, TypeError, OverflowError, LookupError):
            # A value that is none of its column's: nothing that this program writes.
            findings.append(Finding("unreadable", name))
    return findings


def check_tree(tx: AuditTransaction, trusted: Trusted) -> tuple[list[Finding], tuple[int, bytes]]:
    """The comparisons of the ledger alone (1 and 2), and size and root of the tree of the stored entries."""
    ledger = Ledger()
    findings = [*tree.entries(tx, ledger), *tree.nodes_and_checkpoint(tx, trusted, ledger)]
    frontier, _ = Frontier().append(ledger.leaves)
    return findings, (frontier.size, frontier.root())


def _compared(tx: AuditTransaction) -> dict[str, Callable[[], Iterable[Finding]]]:
    """What the store compares by itself; each names the rows that are not as they should be."""
    comparisons: tuple[tuple[str, str, Callable[[], Iterable[str]]], ...] = (
        ("evidence_altered", "evidence ", tx.stray_evidence),
        ("head_altered", "ledger_head ", tx.stray_heads),
        ("sealed_altered", "", tx.unopenable),
        ("emptied_unlawfully", "", tx.emptied_unlawfully),
        ("delivery_body_altered", "deliveries ", tx.altered_bodies),
        ("document_altered", "documents ", tx.altered_documents),
        ("slot_without_grant", "slots ", tx.slots_without_grant),
        ("slot_altered", "slots ", tx.altered_slots),
        ("completion_altered", "completions ", tx.altered_completions),
        ("merge_altered", "merged ", tx.altered_merges),
        ("in_force_altered", "in_force ", tx.altered_in_force),
        ("identifier_altered", "learners ", tx.altered_identifiers),
        ("trait_altered", "learners ", tx.altered_traits),
        ("learner_not_found", "learners ", tx.lost_learners),
    )
    return {kind: partial(_found, kind, table, find) for kind, table, find in comparisons}


def _found(kind: str, table: str, find: Callable[[], Iterable[str]]) -> Iterator[Finding]:
    for where in find():
        yield Finding(kind, f"{table}{where}")
