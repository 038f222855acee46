"""merged learners, traits, sweeps, rotations, signed statements"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("due", sa.Column("not_before", sa.BigInteger(), nullable=True))
    op.create_table(
        "merged",
        sa.Column("learner_id", sa.String(length=40), nullable=False),
        sa.Column("canonical_id", sa.String(length=40), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("learner_id", name=op.f("pk_merged")),
    )
    op.create_index(op.f("ix_merged_canonical_id"), "merged", ["canonical_id"], unique=False)
    op.create_table(
        "traits",
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("pepper_version", sa.Integer(), nullable=False),
        sa.Column("blind_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("learner_id", sa.String(length=40), nullable=False),
        sa.Column("sealed_value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "kind", "pepper_version", "blind_index", "learner_id", name=op.f("pk_traits")
        ),
    )
    op.create_index(op.f("ix_traits_learner_id"), "traits", ["learner_id"], unique=False)
    op.create_table(
        "rotations",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rotations")),
    )
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.String(length=40), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("cursor", sa.String(length=40), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "statements",
        sa.Column("statement_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("learner_id", sa.String(length=40), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_statements")),
        sa.UniqueConstraint("position", name=op.f("uq_statements_position")),
    )
    op.create_index(op.f("ix_statements_learner_id"), "statements", ["learner_id"], unique=False)
    op.create_index(op.f("ix_statements_reference"), "statements", ["reference"], unique=False)
