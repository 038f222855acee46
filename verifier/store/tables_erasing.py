"""The tables of erasure. ``mentions`` says whose data a delivery's raw body holds; it is no evidence."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table

from verifier.store.columns import ID, Moment, metadata

erasures = Table(
    "erasures",
    metadata,
    # Why this learner's key is gone; the ledger's ``erasure`` entry names the same erasure.
    Column("learner_id", ID, primary_key=True),
    Column("erasure_id", ID, nullable=False),
    Column("operator", String(64), nullable=False),
    Column("sealed_reason", LargeBinary, nullable=False),
    Column("sealed_key", LargeBinary),
    Column("erased_at", Moment, nullable=False),
)

mentions = Table(
    "mentions",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("delivery_id", String(168), primary_key=True),
    Column("learner_id", ID, primary_key=True, index=True),
)
