"""Records, decisions without one, signed outcomes, status lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from verifier import outcome, record
from verifier.audit.findings import Finding, Ledger, Trusted
from verifier.errors import SignatureRejected
from verifier.model.decision import State
from verifier.ports.auditing import AuditedRecord, AuditedStatement, AuditedStatusList, AuditTransaction
from verifier.signatures import jws, sdjwt, status_list
from verifier.signatures.status_list import Status

MAX_BYTES: Final = 1 << 16
MAX_LIST_BYTES: Final = 1 << 20


def records(tx: AuditTransaction, trusted: Trusted, ledger: Ledger) -> Iterator[Finding]:
    """Every record, and that no place of a status list belongs to none."""
    for found in tx.records_stored():
        for kind in _record(found, trusted, ledger):
            yield Finding(kind, f"records {found.record_id}")
    for place in tx.stray_statuses():
        yield Finding("record_status_altered", f"status_entries {place}")


def _record(found: AuditedRecord, trusted: Trusted, ledger: Ledger) -> Iterator[str]:
    entry = ledger.entries.get(found.position, {})
    said = (entry.get("record"), entry.get("result"), entry.get("signing_input_sha256"))
    same = said == (found.record_id, found.kind, _signing_input(found.jws))
    if not same or ledger.at.get(found.position) != found.issued_at or not _about_its_decision(found):
        yield "record_altered"
    payload = _payload(found.jws, trusted)
    if payload is None or not _disclosed(payload, found):
        yield "record_signature_invalid"
    elif not _repeats(payload, found):
        yield "record_altered"
    expected = {None: {Status.VALID}, "revoked": {Status.INVALID}}
    allowed = expected.get(found.superseded_by, {Status.SUPERSEDED})
    if found.status not in allowed or (payload is not None and _place(payload) != found.place):
        yield "record_status_altered"


def _signing_input(token: str) -> str:
    return sha256(token.rpartition(".")[0].encode()).hexdigest()


def _payload(token: str, trusted: Trusted, max_bytes: int = MAX_BYTES) -> dict[str, Any] | None:
    """The payload of a token that one of our keys signed; None if none did."""
    try:
        parsed = jws.parse_compact(token, max_bytes=max_bytes)
        payload: dict[str, Any] = json.loads(jws.verify(parsed, trusted.records[parsed.kid or ""]))
    except (SignatureRejected, KeyError, ValueError):
        return None
    return payload


def _disclosed(payload: Mapping[str, Any], found: AuditedRecord) -> bool:
    """Whether all that was disclosed is there, unless its learner's key was destroyed."""
    try:
        sdjwt.disclosed(payload, found.disclosures)
    except SignatureRejected:
        return False
    return found.erased or len(found.disclosures) == len(payload.get("_sd", []))


def _repeats(payload: Mapping[str, Any], found: AuditedRecord) -> bool:
    decision = {
        "id": found.decision_id,
        "result": found.kind,
        "entitlement": found.entitlement,
        "month": found.month.strftime("%Y-%m") if found.month else None,
        "office": found.office or None,
    }
    said = payload["decision"]
    return (
        {name: said.get(name) for name in decision} == decision
        and (payload["jti"], payload["supersedes"]) == (found.record_id, found.supersedes)
        and payload["log"]["index"] == found.position
        and payload["iat"] == int(found.issued_at.timestamp())
    )


def _place(payload: Mapping[str, Any]) -> tuple[int, int] | None:
    """List and place that the signed record names; the list is the last part of its address."""
    place = payload["status"]["status_list"]
    number = place["uri"].rpartition("/")[2]
    return (int(number), place["idx"]) if number.isdigit() else None


def _about_its_decision(found: AuditedRecord) -> bool:
    """What the signed part leaves out: whose it is, and which employer it is about."""
    decision, before = found.decision, found.before
    if decision is None or decision.learner_id != found.learner_id:
        return False
    if found.kind != record.REVOKED:
        return (found.uscc, found.dispatched_by) == (decision.uscc, decision.dispatched_by)
    if before is None:
        return False
    dispatched_by = decision.dispatched_by if decision.uscc == before.uscc else None
    return (found.uscc, found.office, found.dispatched_by) == (before.uscc, before.office, dispatched_by)


def decisions(tx: AuditTransaction) -> Iterator[Finding]:
    """That every decision has the record it calls for, or waits for it, and no other."""
    about: tuple[str, str] | None = None
    last: str | None = None
    pending = False
    for found in tx.decisions_stored():
        if (found.learner_id, found.entitlement) != about:
            about, last, pending = (found.learner_id, found.entitlement), None, False
        pending = pending or found.pending
        try:
            expected = None if pending else record.kind(State(found.state), last)
        except ValueError:
            expected = None  # the row is altered, which its evidence shows
        if found.record_kind != expected:
            kind = "record_missing" if found.record_kind is None else "record_disagrees"
            yield Finding(kind, f"decisions {found.decision_id}")
        last = found.record_kind or last


def statements(tx: AuditTransaction, trusted: Trusted, ledger: Ledger) -> Iterator[Finding]:
    """Every signed outcome, and that none is missing."""
    owed = {position for position, members in ledger.entries.items() if members.get("kind") == outcome.KIND}
    for found in tx.statements_stored():
        where = f"statements {found.statement_id}"
        owed.discard(found.position)
        entry = ledger.entries.get(found.position, {})
        payload = _payload(found.jws, trusted)
        said = (entry.get("kind"), entry.get("number"), entry.get("signing_input_sha256"))
        same = said == (found.kind, found.reference, _signing_input(found.jws))
        if payload is None:
            yield Finding("statement_signature_invalid", where)
        if not same or (payload is not None and not _of_statement(payload, found, ledger)):
            yield Finding("statement_altered", where)
    for position in sorted(owed):
        yield Finding("statement_missing", f"entries {position}")


def _of_statement(payload: Mapping[str, Any], found: AuditedStatement, ledger: Ledger) -> bool:
    said = (payload["jti"], payload["number"], payload["log"]["index"])
    return (
        said == (found.statement_id, found.reference, found.position)
        and ledger.at.get(found.position) == found.issued_at
        and found.learner_id in found.about
    )


def status_lists(tx: AuditTransaction, trusted: Trusted) -> Iterator[Finding]:
    """Every signed status list against the statuses of its records."""
    for found in tx.status_lists_stored():
        if found.token is None or not _listed(found, trusted):
            yield Finding("status_list_altered", f"status_lists {found.list_id}")


def _listed(found: AuditedStatusList, trusted: Trusted) -> bool:
    payload = _payload(found.token or "", trusted, MAX_LIST_BYTES)
    if payload is None or found.signed_at is None or found.taken != len(found.statuses) or not found.taken:
        return False
    try:
        listed = payload["status_list"]
        packed = status_list.decode(listed["lst"], listed["bits"], max_bytes=MAX_LIST_BYTES)
        expected = bytearray(len(packed))
        for place, status in found.statuses.items():
            status_list.put(expected, listed["bits"], place, status)
    except (SignatureRejected, KeyError):
        return False
    said = (payload["sub"].rpartition("/")[2], payload["iat"])
    return bytes(expected) == packed and said == (str(found.list_id), int(found.signed_at.timestamp()))
