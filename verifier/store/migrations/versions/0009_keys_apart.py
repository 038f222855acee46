"""wrapped keys beside what evidence covers, so that they can be wrapped anew"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("facts", sa.Column("sealed_key", sa.LargeBinary(), nullable=True))
    op.add_column("signal_closings", sa.Column("sealed_key", sa.LargeBinary(), nullable=True))
