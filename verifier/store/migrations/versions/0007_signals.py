"""signals for reviewers, how they were closed, and whose turn it is"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signals",
        sa.Column("signal_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("learner_id", sa.String(length=40), nullable=True),
        sa.Column("uscc", sa.String(length=18), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("subject_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("rules", sa.String(length=16), nullable=False),
        sa.Column("thresholds", sa.String(length=64), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_signals")),
        sa.UniqueConstraint("subject_digest", name=op.f("uq_signals_subject_digest")),
    )
    op.create_index(op.f("ix_signals_learner_id"), "signals", ["learner_id"], unique=False)
    op.create_index(op.f("ix_signals_uscc"), "signals", ["uscc"], unique=False)
    op.create_table(
        "signal_closings",
        sa.Column("signal_id", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_signal_closings")),
    )
    op.create_table(
        "signal_cursor",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("evidence_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_signal_cursor")),
    )
    op.create_table(
        "signal_checks",
        sa.Column("check_id", sa.String(length=40), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("check_id", name=op.f("pk_signal_checks")),
    )
    op.create_index(op.f("ix_signal_checks_not_before"), "signal_checks", ["not_before"], unique=False)
    op.create_index(op.f("ix_signal_checks_uscc"), "signal_checks", ["uscc"], unique=False)
