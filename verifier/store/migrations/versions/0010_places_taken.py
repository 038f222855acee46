"""how many places of a status list are taken, beside its token"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("status_lists", sa.Column("taken", sa.Integer(), nullable=False, server_default="0"))
    lists = sa.table("status_lists", sa.column("list_id", sa.Integer), sa.column("taken", sa.Integer))
    places = sa.table("status_entries", sa.column("list_id", sa.Integer))
    counted = (
        sa.select(sa.func.count())
        .select_from(places)
        .where(places.c.list_id == lists.c.list_id)
        .scalar_subquery()
    )
    op.execute(lists.update().values(taken=counted))
