"""The tables of signals. ``signal_cursor`` and ``signal_checks`` are working state: whose turn it is."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, Text

from verifier.store.columns import HASH, ID, Moment, metadata

signals = Table(
    "signals",
    metadata,
    Column("signal_id", ID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("learner_id", ID, index=True),
    Column("uscc", String(18), index=True),
    Column("about", Text, nullable=False),
    Column("details", Text, nullable=False),
    # By what it is about: the same finding is said once.
    Column("subject_digest", HASH, nullable=False, unique=True),
    Column("rules", String(16), nullable=False),
    Column("thresholds", String(64), nullable=False),
    Column("found_at", Moment, nullable=False),
)

signal_closings = Table(
    "signal_closings",
    metadata,
    Column("signal_id", ID, primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("sealed_reason", LargeBinary),
    Column("sealed_key", LargeBinary),
    Column("operator", String(64), nullable=False),
    Column("closed_at", Moment, nullable=False),
)

signal_cursor = Table(
    "signal_cursor",
    metadata,
    Column("name", String(16), primary_key=True),
    # The evidence that was looked at last: under which root of the ledger, and which of those under it.
    Column("position", BigInteger, nullable=False),
    Column("evidence_id", ID, nullable=False),
)

signal_checks = Table(
    "signal_checks",
    metadata,
    Column("check_id", ID, primary_key=True),
    Column("uscc", String(18), nullable=False, index=True),
    Column("not_before", Moment, nullable=False, index=True),
)
