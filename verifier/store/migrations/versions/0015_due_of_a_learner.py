"""who is due is found by learner: a batch is taken out of as many as wait after a sweep or a large roster"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On a large table it may be made beforehand, without holding up writers (see CONTRIBUTING.md).
    op.create_index(op.f("ix_due_learner_id"), "due", ["learner_id"], unique=False, if_not_exists=True)
