"""why a learner's key is gone, and whose data a delivery's raw body holds"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("learner_id", sa.String(length=40), nullable=False),
        sa.Column("erasure_id", sa.String(length=40), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("learner_id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "mentions",
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.String(length=168), nullable=False),
        sa.Column("learner_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("platform", "delivery_id", "learner_id", name=op.f("pk_mentions")),
    )
    op.create_index(op.f("ix_mentions_learner_id"), "mentions", ["learner_id"], unique=False)
    # Of what came before, the facts tell; a delivery that only repeated something is not found again.
    op.execute(
        "insert into mentions (platform, delivery_id, learner_id)"
        " select distinct d.platform, d.delivery_id, f.learner_id from facts f"
        " join deliveries d on f.source_reference = d.platform || '/' || d.delivery_id"
        " where f.source_kind = 'delivery' and f.learner_id is not null"
    )
