"""How much each enterprise asked today; counts for all processes together, and no evidence."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, String, Table

from verifier.store.columns import metadata

questions = Table(
    "questions",
    metadata,
    Column("uscc", String(18), primary_key=True),
    # In Beijing's calendar.
    Column("day", Date, primary_key=True),
    Column("asked", BigInteger, nullable=False),
    Column("unlisted", BigInteger, nullable=False),
    # Whether each alarm was given.
    Column("quota_alarm", Boolean, nullable=False),
    Column("enumeration_alarm", Boolean, nullable=False),
)
