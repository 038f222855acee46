"""Which files were taken in, by whom; and, while one is, how far it has come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from verifier.store.columns import ID, Moment, metadata

COUNTED = ("taken", "unchanged", "review", "waiting", "refused", "rejected")

imports = Table(
    "imports",
    metadata,
    Column("import_id", ID, primary_key=True),
    Column("platform", String(64), nullable=False),
    # Hex SHA-256. Each delivery that came of the file names it in its target.
    Column("file_digest", String(64), nullable=False),
    Column("operator", String(64), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in COUNTED),
    Column("recorded_at", Moment, nullable=False),
)

import_progress = Table(
    "import_progress",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("file_digest", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
    # Length of the side file of errors up to there.
    Column("errors_bytes", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in COUNTED),
)
