"""The tables, as one portable schema: no sequences, partial indexes, server defaults or foreign-key tricks.

Rows of ``APPEND_ONLY`` tables are never updated; each has a row in ``evidence`` whose salted digest goes
under the next evidence root of the ledger. ``slots``, ``due``, ``sweeps``, ``outbox``, ``ledger_head``,
``own_items``, ``waiting``, ``in_force``, ``account_months``, ``merged``, ``traits``, ``rotations``,
``import_progress`` and the ``touched`` counters are working state: they can be derived again from the rest.
``failures`` is what callers who proved nothing made us write: bounded, and no evidence of anything. What the
issuer writes is in ``tables_issuing``; the other ``tables_`` modules are named by what they serve.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from verifier.store.columns import HASH, ID, Moment, metadata
from verifier.store.tables_claims import account_months, claim_terms, claims, freezes
from verifier.store.tables_counting import questions
from verifier.store.tables_erasing import erasures
from verifier.store.tables_importing import import_progress, imports
from verifier.store.tables_issuing import (
    cosignatures,
    entries,
    evidence,
    ledger_head,
    nodes,
    outbox,
    records,
    statements,
    status_entries,
    status_lists,
)
from verifier.store.tables_signals import signal_closings, signals

__all__ = [
    "APPEND_ONLY",
    "NOT_EVIDENCE",
    "account_months",
    "claim_terms",
    "claims",
    "cosignatures",
    "entries",
    "evidence",
    "freezes",
    "import_progress",
    "imports",
    "ledger_head",
    "metadata",
    "nodes",
    "outbox",
    "questions",
    "records",
    "signal_closings",
    "signals",
    "statements",
    "status_entries",
    "status_lists",
]

learners = Table(
    "learners",
    metadata,
    Column("learner_id", ID, primary_key=True),
    Column("sealed_key", LargeBinary),
    Column("created_at", Moment, nullable=False),
)

identifiers = Table(
    "identifiers",
    metadata,
    Column("kind", String(24), primary_key=True),
    Column("pepper_version", Integer, primary_key=True),
    Column("blind_index", HASH, primary_key=True),
    Column("learner_id", ID, nullable=False, index=True),
    Column("sealed_value", LargeBinary, nullable=False),
    Column("touched", BigInteger, nullable=False),
)

merged = Table(
    "merged",
    metadata,
    # Every learner that was ever merged with another one; where it stands alone again, it is its own.
    Column("learner_id", ID, primary_key=True),
    Column("canonical_id", ID, nullable=False, index=True),
    Column("touched", BigInteger, nullable=False),
)

traits = Table(
    "traits",
    metadata,
    # What is weaker than an identifier: it finds nobody, it only lets a reviewer be shown who it might be.
    Column("kind", String(24), primary_key=True),
    Column("pepper_version", Integer, primary_key=True),
    Column("blind_index", HASH, primary_key=True),
    Column("learner_id", ID, primary_key=True, index=True),
    Column("sealed_value", LargeBinary, nullable=False),
)

rotations = Table(
    "rotations",
    metadata,
    # ``pepper`` or ``master``: where the change from one version of a key to another stands.
    Column("name", String(16), primary_key=True),
    Column("phase", String(16), nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("platform", String(64), primary_key=True),
    # 128 characters of the platform's, and 33 where other content came under the same id.
    Column("delivery_id", String(168), primary_key=True),
    Column("request_id", ID, nullable=False),
    Column("key_id", String(128), nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("body_digest", HASH, nullable=False),
    Column("content_digest", HASH, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attention", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sequence", BigInteger),
    # What reading it again needs besides the body.
    Column("method", String(8), nullable=False),
    Column("target", Text, nullable=False),
    Column("content_type", String(256), nullable=False),
    Column("sealed_body", LargeBinary),
    Index(None, "platform", "attention", "received_at"),
    Index(None, "platform", "sequence"),
)

readings = Table(
    "readings",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("delivery_id", String(168), primary_key=True),
    # 1 for the first time that a delivery was read again.
    Column("reading", Integer, primary_key=True, autoincrement=False),
    Column("cause", String(64), nullable=False),
    Column("attention", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

own_items = Table(
    "own_items",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("own_id", String(128), primary_key=True),
    Column("digest", HASH, nullable=False),
    Column("delivery_id", String(168), nullable=False),
    Column("item", String(128), nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("document_id", String(128), primary_key=True),
    Column("digest", HASH, nullable=False),
    Column("delivery_id", String(168), nullable=False),
    Column("sealed_content", LargeBinary),
)

waiting = Table(
    "waiting",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("document_id", String(128), primary_key=True),
    Column("delivery_id", String(168), primary_key=True),
)

failures = Table(
    "failures",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("request_id", ID, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("step", String(64), nullable=False),
    Index(None, "platform", "at", "request_id"),
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
    Column("learner_id", ID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("fact_id", ID, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("fact_id", ID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("learner_id", ID, index=True),
    Column("uscc", String(18)),
    Column("reference", String(400), index=True),
    Column("recorded_at", Moment, nullable=False),
    Column("source_kind", String(24), nullable=False),
    Column("source_reference", String(300), nullable=False),
    Column("supersedes", ID, index=True),
    Column("content", Text, nullable=False),
    Column("sealed", LargeBinary),
    # The wrapped key of a value that is under no learner's; it may be wrapped anew.
    Column("sealed_key", LargeBinary),
    Index(None, "uscc", "kind"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", ID, primary_key=True),
    Column("learner_id", ID, nullable=False),
    Column("entitlement", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("material", HASH, nullable=False),
    Column("trace", Text, nullable=False),
    Column("completion_fact", ID),
    Column("uscc", String(18)),
    Column("dispatched_by", String(18)),
    Column("office", String(32), nullable=False),
    Column("month", Date),
    UniqueConstraint("learner_id", "entitlement", "revision"),
)

slots = Table(
    "slots",
    metadata,
    Column("learner_id", ID, primary_key=True),
    Column("entitlement", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("decision_id", ID, nullable=False),
    Column("issuer", String(128), nullable=False),
    Column("number_scope", String(128), nullable=False),
    Column("number", String(128), nullable=False),
    Column("uscc", String(18), nullable=False),
    Column("claim_id", ID),
)

due = Table(
    "due",
    metadata,
    Column("due_id", ID, primary_key=True),
    Column("learner_id", ID, nullable=False, index=True),
    Column("cause", String(64), nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
    # Not to be judged before this moment: a hold that ends, a day that comes.
    Column("not_before", Moment),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("sweep_id", ID, primary_key=True),
    Column("cause", String(64), nullable=False),
    # The last learner that was judged, by id; empty at first.
    Column("cursor", ID, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", ID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("learner_id", ID, nullable=False, index=True),
    Column("about", Text, nullable=False),
    Column("subject_digest", HASH, nullable=False, unique=True),
    Column("opened_at", Moment, nullable=False),
)

rosters = Table(
    "rosters",
    metadata,
    Column("roster_id", ID, primary_key=True),
    Column("uscc", String(18), nullable=False, index=True),
    Column("content_digest", HASH, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("uploaded_by", String(64), nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

in_force = Table(
    "in_force",
    metadata,
    # ``register``, or ``policy/`` and what the policy is about.
    Column("name", String(80), primary_key=True),
    Column("digest", String(64), nullable=False),
)

adoptions = Table(
    "adoptions",
    metadata,
    Column("adoption_id", ID, primary_key=True),
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
    Column("secrets", Text, nullable=False),
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
    Column("disclosure_id", ID, primary_key=True),
    Column("learner_id", ID, nullable=False, index=True),
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
        readings,
        documents,
        facts,
        decisions,
        claims,
        claim_terms,
        freezes,
        reviews,
        rosters,
        adoptions,
        clients,
        disclosures,
        erasures,
        imports,
        signals,
        signal_closings,
    )
}
"""Tables whose rows are evidence. Records are not: their ledger entries commit to them directly."""

NOT_EVIDENCE = frozenset({"sealed_key", "sealed_body", "sealed_content"})
"""Columns that may lawfully be emptied (erasure, retention); what they held is covered another way:
a delivery's body and a document by its keyed digest, a learner's key by the values that it opens."""
