"""how much each enterprise asked today, for all processes together"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "questions",
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("unlisted", sa.BigInteger(), nullable=False),
        sa.Column("quota_alarm", sa.Boolean(), nullable=False),
        sa.Column("enumeration_alarm", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uscc", "day", name=op.f("pk_questions")),
    )
