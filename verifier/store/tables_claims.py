"""The tables of claims and of account months."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, LargeBinary, String, Table, Text

from verifier.store.columns import ID, Moment, metadata

claims = Table(
    "claims",
    metadata,
    Column("claim_id", ID, primary_key=True),
    Column("step", String(16), primary_key=True),
    Column("record_id", ID, nullable=False, index=True),
    Column("learner_id", ID, nullable=False),
    Column("entitlement", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("payment_reference", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

claim_terms = Table(
    "claim_terms",
    metadata,
    # Beside each step of ``claims``: on what terms it was taken. Claims of older versions have none.
    Column("claim_id", ID, primary_key=True),
    Column("step", String(16), primary_key=True),
    # The account month that the step is booked in, and whom the money goes to.
    Column("booked_in", Date),
    Column("payee", String(16), nullable=False),
    # Pinned at the claim: the amount, and the digest of the standards or ``not_configured``.
    Column("amount_fen", BigInteger),
    Column("standard", String(64), nullable=False),
    Column("sealed_reason", LargeBinary),
)

freezes = Table(
    "freezes",
    metadata,
    Column("office", String(32), primary_key=True),
    Column("month", Date, primary_key=True),
    Column("entitlement", String(64), primary_key=True),
    # Canonical JSON, and its digest.
    Column("totals", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("unclaimed", BigInteger, nullable=False),
    Column("operator", String(64), nullable=False),
    Column("frozen_at", Moment, nullable=False),
)

account_months = Table(
    "account_months",
    metadata,
    # Held by whoever books a step in the month, touched by whoever freezes it.
    Column("office", String(32), primary_key=True),
    Column("month", Date, primary_key=True),
    Column("touched", BigInteger, nullable=False),
)
