"""Step 6: a decision -> what is signed of it. Pure.

A record is an SD-JWT (RFC 9901) in the form of an SD-JWT VC: ``typ: dc+sd-jwt``, ``vct`` below. The signed
part holds no personal data: name, id number and employer are disclosures. Refusals are signed like grants.

What a decision revision issues depends on what was issued before it:

==================  =====================  ====================================
the decision says   the last record was    what is issued
==================  =====================  ====================================
granted             none, or not a grant   ``granted``
granted             a grant                ``granted``; the last becomes superseded
refused             a grant                ``revoked``; the last becomes invalid
refused             none, or not a grant   ``refused``; an earlier refusal becomes superseded
pending             a grant                ``revoked``; the last becomes invalid
pending             none, or not a grant   nothing: unknown is not no
==================  =====================  ====================================

Whoever got a grant hears what becomes of it: a revocation goes to the office of the grant that it revokes,
and where a grant is superseded by one of another office, an entry ``superseded`` tells the former.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from verifier.model.decision import State
from verifier.model.standards import NOT_CONFIGURED
from verifier.policy import says_amount_is_open
from verifier.ports import RandomBytes
from verifier.ports.issuing import Issuable
from verifier.signatures import strict_json
from verifier.signatures.sdjwt import Disclosure, issue, new_disclosure
from verifier.signatures.status_list import Status

TYP: Final = "dc+sd-jwt"
VCT: Final = "urn:training-verifier:eligibility:1"
GRANTED, REFUSED, REVOKED = "granted", "refused", "revoked"

DISCLOSED: Final = ("name", "id_number", "employer", "dispatched_by")
"""Claims that only a disclosure reveals."""


SAID_ALIKE: Final = 512
"""Answers of all the clauses that are kept as they are written: some 10 kB each."""
_NO_CLAUSES: Final = b'"clauses":[]'


@dataclass(frozen=True, slots=True)
class Clauses:
    """What a record says of the clauses, in canonical JSON: written once for all of whom the same is said."""

    written: bytes


@lru_cache(maxsize=SAID_ALIKE)
def clauses(trace: bytes) -> Clauses:
    """What a record says of the clauses of a trace.

    Args:
        trace: its member of that name, in JSON, perhaps without the facts (``traces.without_facts``).

    Raises:
        SignatureRejected: step ``disclosure``, a name is reserved.
    """
    whole, _ = issue({"clauses": _clauses(msgspec.json.decode(trace))}, [])
    return Clauses(whole[len(_NO_CLAUSES) - 1 : -1])


def kind(state: State, last: str | None) -> str | None:
    """Which kind of record a decision issues, if any; see the table above.

    Args:
        state: what the decision says.
        last: the kind of the newest record of the same learner and entitlement.
    """
    if state is State.GRANTED:
        return GRANTED
    if last == GRANTED:
        return REVOKED
    return REFUSED if state is State.REFUSED else None


def statuses(issued: str, last: str | None) -> tuple[Status, Status | None]:
    """The status of a new record, and what the one before it becomes.

    A revocation is itself a valid statement; what it revokes is invalid. A record that merely has a newer
    revision is superseded.
    """
    if last is None:
        return Status.VALID, None
    return Status.VALID, Status.INVALID if issued == REVOKED else Status.SUPERSEDED


def about(issuable: Issuable, issued: str) -> Issuable:
    """What a record is about: a revocation is about the grant that it takes back, not about what came after.

    It goes to the office that got the grant, and names its month. If the decision now looks at another
    employer, that one is nobody's business there.
    """
    revoked = issuable.previous
    if issued != REVOKED or revoked is None:
        return issuable
    same = issuable.uscc == revoked.uscc
    return replace(
        issuable,
        office=revoked.office,
        month=revoked.month,
        uscc=revoked.uscc,
        dispatched_by=issuable.dispatched_by if same else None,
        disclosures={
            name: value
            for name, value in issuable.disclosures.items()
            if same or name not in {"employer", "dispatched_by"}
        },
    )


def disclosures(issuable: Issuable, randbytes: RandomBytes) -> list[Disclosure]:
    """The personal claims as disclosures, in the fixed order of ``DISCLOSED``, each with a fresh salt."""
    return [
        new_disclosure(name, issuable.disclosures[name], randbytes)
        for name in DISCLOSED
        if name in issuable.disclosures
    ]


def claims(
    issuable: Issuable,
    *,
    record_id: str,
    issued: str,
    issuer: str,
    origin: str,
    position: int,
    status_uri: str,
    status_index: int,
    at: datetime,
) -> dict[str, Any]:
    """The visible claims.

    Args:
        issuable: the decision.
        record_id: random id of the record.
        issued: from ``kind``.
        issuer: our ``iss``.
        origin: the ledger's name.
        position: the record's index in the ledger.
        status_uri: address of the status list.
        status_index: its place there.
        at: moment of issue, aware UTC.
    """
    trace = issuable.trace
    return {
        "iss": issuer,
        "iat": int(at.timestamp()),
        "jti": record_id,
        "vct": VCT,
        "decision": {
            "id": issuable.decision_id,
            "revision": issuable.revision,
            "result": issued,
            "entitlement": issuable.entitlement,
            "month": issuable.month.isoformat()[:7] if issuable.month else None,
            "office": issuable.office or None,
        },
        "clauses": said if isinstance(said := trace["clauses"], Clauses) else _clauses(said),
        "policy": trace["pins"],
        "not_evaluated": _not_evaluated(issuable, issued),
        "standard": _standard(issuable, issued),
        "supersedes": issuable.previous.record_id if issuable.previous else None,
        "log": {"origin": origin, "index": position},
        "status": {"status_list": {"idx": status_index, "uri": status_uri}},
    }


def _standard(issuable: Issuable, issued: str) -> dict[str, Any] | str | None:
    """The amount that was adopted when a grant was signed, or that there was none; others have neither."""
    if issued != GRANTED:
        return None
    return NOT_CONFIGURED if issuable.standard is None else dict(issuable.standard)


def _not_evaluated(issuable: Issuable, issued: str) -> list[str]:
    """As the decision says; but a grant that bears an amount does not say that there is none."""
    said = issuable.trace["not_evaluated"]
    if issued != GRANTED or issuable.standard is None:
        return list(said)
    return [text for text in said if not says_amount_is_open(text)]


def _clauses(trace: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kept = ("clause", "revision", "citation", "outcome")
    return [{name: clause[name] for name in kept if name in clause} for clause in trace]


def payload(visible: Mapping[str, Any], hidden: Sequence[Disclosure]) -> tuple[bytes, list[str]]:
    """The payload to sign, visible claims and digests of the hidden ones; and the disclosures, encoded."""
    said = visible["clauses"]
    if not isinstance(said, Clauses):
        return issue(visible, hidden)
    # What else is said was composed here and in the trace: texts and small whole numbers.
    written, encoded = issue({**visible, "clauses": []}, hidden, strict_json.plain)
    # In canonical order nothing but digests stands before the clauses.
    before, _, after = written.partition(_NO_CLAUSES)
    return b"".join((before, _NO_CLAUSES[:-2], said.written, after)), encoded


def entry(issuable: Issuable, record_id: str, issued: str, signing_input_digest: bytes) -> dict[str, Any]:
    """What the ledger says of a record: no personal data, nothing that a second signature would change."""
    return {
        "record": record_id,
        "decision": issuable.decision_id,
        "result": issued,
        "entitlement": issuable.entitlement,
        "month": issuable.month.isoformat()[:7] if issuable.month else None,
        "office": issuable.office or None,
        "supersedes": issuable.previous.record_id if issuable.previous else None,
        "signing_input_sha256": signing_input_digest.hex(),
    }
