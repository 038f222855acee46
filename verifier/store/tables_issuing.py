"""The tables that only the issuer writes, the outbox that it reads, and the evidence that it roots."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Integer, LargeBinary, String, Table, Text

from verifier.store.columns import HASH, ID, Moment, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

records = Table(
    "records",
    metadata,
    Column("record_id", ID, primary_key=True),
    Column("decision_id", ID, nullable=False, unique=True),
    Column("learner_id", ID, nullable=False, index=True),
    Column("entitlement", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("office", String(32), nullable=False),
    Column("month", Date),
    Column("uscc", String(18)),
    Column("dispatched_by", String(18)),
    Column("supersedes", ID),
    Column("jws", Text, nullable=False),
    Column("sealed_disclosures", LargeBinary, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Index(None, "office", "month"),
)

statements = Table(
    "statements",
    metadata,
    # What the issuer signed besides records: outcomes of objections.
    Column("statement_id", ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("reference", String(128), nullable=False, index=True),
    Column("learner_id", ID, index=True),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("jws", Text, nullable=False),
    Column("issued_at", Moment, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(24), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", HASH, nullable=False),
    Column("office", String(32), nullable=False),
    Column("record_id", ID),
    Column("recorded_at", Moment, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", HASH, nullable=False),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
    Column("signed_at", Moment, nullable=False),
)

status_entries = Table(
    "status_entries",
    metadata,
    Column("list_id", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("record_id", ID, nullable=False, unique=True),
    Column("status", Integer, nullable=False),
)

status_lists = Table(
    "status_lists",
    metadata,
    Column("list_id", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("signed_at", Moment, nullable=False),
    # How many of its places are taken: counting them would take longer than a batch.
    Column("taken", Integer, nullable=False, server_default="0"),
)

cosignatures = Table(
    "cosignatures",
    metadata,
    # The newest of each witness; what it is about stands beside it, as the log signed it.
    Column("witness", String(200), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
    Column("line", LargeBinary, nullable=False),
    Column("cosigned_at", Moment, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("evidence_id", ID, primary_key=True),
    Column("source_table", String(24), nullable=False),
    Column("source_key", String(300), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", HASH, nullable=False),
    Column("position", BigInteger, index=True),
)
