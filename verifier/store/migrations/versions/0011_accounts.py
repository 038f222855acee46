"""terms of claims, frozen months, and the rows that keep a claim and a freeze apart"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claim_terms",
        sa.Column("claim_id", sa.String(length=40), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("booked_in", sa.Date(), nullable=True),
        sa.Column("payee", sa.String(length=16), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("standard", sa.String(length=64), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("claim_id", "step", name=op.f("pk_claim_terms")),
    )
    op.create_table(
        "freezes",
        sa.Column("office", sa.String(length=32), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("entitlement", sa.String(length=64), nullable=False),
        sa.Column("totals", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("unclaimed", sa.BigInteger(), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("frozen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("office", "month", "entitlement", name=op.f("pk_freezes")),
    )
    op.create_table(
        "account_months",
        sa.Column("office", sa.String(length=32), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("office", "month", name=op.f("pk_account_months")),
    )
    op.create_index(op.f("ix_records_office_month"), "records", ["office", "month"], unique=False)
