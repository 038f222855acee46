"""The tables, as one portable schema: no sequences, partial indexes, server defaults or foreign-key tricks.

Rows of ``APPEND_ONLY`` tables are never updated; each has a row in ``evidence`` whose salted digest goes
under the next evidence root of the ledger. ``slots``, ``due``, ``outbox``, ``ledger_head`` and the
``touched`` counters are working state: they can be derived again from the rest.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from typing_extensions import override

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime as microseconds since 1970: the same value and order on every engine."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = String(40)
_HASH = LargeBinary(32)

learners = Table(
    "learners",
    metadata,
    Column("learner_id", _ID, primary_key=True),
    Column("sealed_key", LargeBinary),
    Column("created_at", Moment, nullable=False),
)

identifiers = Table(
    "identifiers",
    metadata,
    Column("kind", String(24), primary_key=True),
    Column("pepper_version", Integer, primary_key=True),
    Column("blind_index", _HASH, primary_key=True),
    Column("learner_id", _ID, nullable=False, index=True),
    Column("sealed_value", LargeBinary, nullable=False),
    Column("touched", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("platform", String(64), primary_key=True),
    # 128 characters of the platform's, and 33 where other content came under the same id.
    Column("delivery_id", String(168), primary_key=True),
    Column("request_id", _ID, nullable=False),
    Column("key_id", String(128), nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("body_digest", _HASH, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attention", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sealed_body", LargeBinary),
    Index(None, "platform", "attention", "received_at"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("issuer", String(128), primary_key=True),
    Column("number_scope", String(128), primary_key=True),
    Column("number", String(128), primary_key=True),
    Column("touched", BigInteger, nullable=False),
)

enterprises = Table(
    "enterprises",
    metadata,
    Column("uscc", String(18), primary_key=True),
    Column("touched", BigInteger, nullable=False),
)

completions = Table(
    "completions",
    metadata,
    Column("issuer", String(128), primary_key=True),
    Column("number_scope", String(128), primary_key=True),
    Column("number", String(128), primary_key=True),
    Column("learner_id", _ID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("fact_id", _ID, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("fact_id", _ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("learner_id", _ID, index=True),
    Column("uscc", String(18)),
    Column("reference", String(400), index=True),
    Column("recorded_at", Moment, nullable=False),
    Column("source_kind", String(24), nullable=False),
    Column("source_reference", String(300), nullable=False),
    Column("supersedes", _ID, index=True),
    Column("content", Text, nullable=False),
    Column("sealed", LargeBinary),
    Index(None, "uscc", "kind"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    Column("learner_id", _ID, nullable=False),
    Column("entitlement", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("material", _HASH, nullable=False),
    Column("trace", Text, nullable=False),
    Column("completion_fact", _ID),
    Column("uscc", String(18)),
    Column("dispatched_by", String(18)),
    Column("office", String(32), nullable=False),
    Column("month", Date),
    UniqueConstraint("learner_id", "entitlement", "revision"),
)

slots = Table(
    "slots",
    metadata,
    Column("learner_id", _ID, primary_key=True),
    Column("entitlement", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("decision_id", _ID, nullable=False),
    Column("issuer", String(128), nullable=False),
    Column("number_scope", String(128), nullable=False),
    Column("number", String(128), nullable=False),
    Column("uscc", String(18), nullable=False),
    Column("claim_id", _ID),
)

claims = Table(
    "claims",
    metadata,
    Column("claim_id", _ID, primary_key=True),
    Column("step", String(16), primary_key=True),
    Column("record_id", _ID, nullable=False, index=True),
    Column("learner_id", _ID, nullable=False),
    Column("entitlement", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("payment_reference", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

due = Table(
    "due",
    metadata,
    Column("due_id", _ID, primary_key=True),
    Column("learner_id", _ID, nullable=False),
    Column("cause", String(64), nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", _ID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("learner_id", _ID, nullable=False, index=True),
    Column("about", Text, nullable=False),
    Column("subject_digest", _HASH, nullable=False, unique=True),
    Column("opened_at", Moment, nullable=False),
)

rosters = Table(
    "rosters",
    metadata,
    Column("roster_id", _ID, primary_key=True),
    Column("uscc", String(18), nullable=False, index=True),
    Column("content_digest", _HASH, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("uploaded_by", String(64), nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", _ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

records = Table(
    "records",
    metadata,
    Column("record_id", _ID, primary_key=True),
    Column("decision_id", _ID, nullable=False, unique=True),
    Column("learner_id", _ID, nullable=False, index=True),
    Column("entitlement", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("office", String(32), nullable=False),
    Column("month", Date),
    Column("uscc", String(18)),
    Column("dispatched_by", String(18)),
    Column("supersedes", _ID),
    Column("jws", Text, nullable=False),
    Column("sealed_disclosures", LargeBinary, nullable=False),
    Column("issued_at", Moment, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(24), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", _HASH, nullable=False),
    Column("office", String(32), nullable=False),
    Column("record_id", _ID),
    Column("recorded_at", Moment, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", _HASH, nullable=False),
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
    Column("record_id", _ID, nullable=False, unique=True),
    Column("status", Integer, nullable=False),
)

status_lists = Table(
    "status_lists",
    metadata,
    Column("list_id", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("signed_at", Moment, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("evidence_id", _ID, primary_key=True),
    Column("source_table", String(24), nullable=False),
    Column("source_key", String(300), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", _HASH, nullable=False),
    Column("position", BigInteger, index=True),
)

adoptions = Table(
    "adoptions",
    metadata,
    Column("adoption_id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Column("adopted_at", Moment, nullable=False),
    Index(None, "kind", "digest"),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("role", String(16), nullable=False),
    Column("scope", Text, nullable=False),
    Column("jwk", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

assertions = Table(
    "assertions",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", Moment, nullable=False, index=True),
)

disclosures = Table(
    "disclosures",
    metadata,
    Column("disclosure_id", _ID, primary_key=True),
    Column("learner_id", _ID, nullable=False, index=True),
    Column("client_id", String(64), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("what", String(64), nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

APPEND_ONLY: dict[str, Table] = {
    table.name: table
    for table in (
        learners,
        deliveries,
        facts,
        decisions,
        claims,
        reviews,
        rosters,
        adoptions,
        clients,
        disclosures,
    )
}
"""Tables whose rows are evidence. Records are not: their ledger entries commit to them directly."""

NOT_EVIDENCE = frozenset({"sealed_key", "sealed_body"})
"""Columns that may lawfully be emptied (erasure, retention); what they held is covered another way:
a delivery's body by its keyed digest, a learner's key by the values that it opens."""
