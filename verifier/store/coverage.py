"""Which columns the check of the whole store does not cover, each with its reason; everything else it does.

Tables are named in full: one that stands nowhere in ``COVERED_BY`` has no place, which a test finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EVIDENCE: Final = "evidence root"
LEAF: Final = "ledger entry"
SIGNED: Final = "signature"
DERIVED: Final = "derived again"
NOTHING: Final = "not covered"

COVERED_BY: Final[Mapping[str, str]] = {
    "learners": EVIDENCE,
    "deliveries": EVIDENCE,
    "readings": EVIDENCE,
    "documents": EVIDENCE,
    "facts": EVIDENCE,
    "decisions": EVIDENCE,
    "claims": EVIDENCE,
    "claim_terms": EVIDENCE,
    "freezes": EVIDENCE,
    "reviews": EVIDENCE,
    "rosters": EVIDENCE,
    "adoptions": EVIDENCE,
    "clients": EVIDENCE,
    "disclosures": EVIDENCE,
    "erasures": EVIDENCE,
    "imports": EVIDENCE,
    "signals": EVIDENCE,
    "signal_closings": EVIDENCE,
    "evidence": LEAF,
    "entries": LEAF,
    "records": LEAF,
    "statements": LEAF,
    "nodes": SIGNED,
    "ledger_head": SIGNED,
    "cosignatures": SIGNED,
    "status_lists": SIGNED,
    "status_entries": DERIVED,
    "identifiers": DERIVED,
    "traits": DERIVED,
    "merged": DERIVED,
    "completions": DERIVED,
    "slots": DERIVED,
    "in_force": DERIVED,
    "certificates": NOTHING,
    "enterprises": NOTHING,
    "account_months": NOTHING,
    "own_items": NOTHING,
    "mentions": NOTHING,
    "waiting": NOTHING,
    "import_progress": NOTHING,
    "failures": NOTHING,
    "assertions": NOTHING,
    "questions": NOTHING,
    "due": NOTHING,
    "sweeps": NOTHING,
    "outbox": NOTHING,
    "rotations": NOTHING,
    "signal_cursor": NOTHING,
    "signal_checks": NOTHING,
}
"""By what an edit of each table is found out."""

EMPTIED: Final[Mapping[str, frozenset[str]]] = {
    "facts": frozenset({"sealed_key"}),
    "signal_closings": frozenset({"sealed_key"}),
}
"""Columns that may be emptied without word; any other value in place of theirs is found out."""

FREE: Final[Mapping[str, frozenset[str]]] = {
    "evidence": frozenset({"evidence_id"}),
    "identifiers": frozenset({"touched"}),
    "merged": frozenset({"touched"}),
    "ledger_head": frozenset({"epoch", "signed_at"}),
    "status_lists": frozenset({"signed_at"}),
}
"""Columns of covered tables whose edit is not found out, or not always: see docs/guides/auditor.md."""

ROWS_MAY_GO: Final = frozenset({"traits", "cosignatures"})
"""Tables of which a missing row is not found out."""
