"""the rows that say which versions of the keys are in force, and how far a rotation's work has come"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    rotations = sa.table(
        "rotations",
        sa.column("name", sa.String),
        sa.column("phase", sa.String),
        sa.column("from_version", sa.Integer),
        sa.column("to_version", sa.Integer),
        sa.column("cursor", sa.Text),
        sa.column("changed_at", sa.BigInteger),
    )
    # Version 0: never rotated; which version that is, the rows and the keys say. The rows must be there from
    # the start, because only a row that exists can be locked. Work has a row of its own, so that a slice
    # does not wait for those who hold the phase.
    never = {"phase": "done", "from_version": 0, "to_version": 0, "cursor": "", "changed_at": 0}
    names = ("pepper", "master", "pepper-progress", "master-progress")
    op.bulk_insert(rotations, [{"name": name, **never} for name in names])
