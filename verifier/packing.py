"""Writes an audit pack: one ledger's part, with all that an auditor needs to check it alone. Pure.

===================  ===================================================================================
``checkpoint.txt``   the newest checkpoint, with the witnesses' signatures
``leaves.bin``       the leaf hash of every entry of the whole ledger, 32 bytes each: from them anybody has
                     the root of the newest tree and of every earlier one
``entries.ndjson``   the entries that are shown, a line each, byte for byte
``evidence.ndjson``  of each evidence root every digest, then the rows of ``OPEN`` tables with their salts
``signed.ndjson``    the status lists, records without disclosures, outcomes of objections
``keys.json``        the public keys, as information: an auditor has their fingerprints from elsewhere
``adopted/…``        policies, register, offices and profiles that were ever adopted, as they are digested
``sealed/…``         encrypted to the auditor: further rows, disclosures, certificates, payments, cross-match
===================  ===================================================================================

The caller has logged beforehand whom the pack shows (``PackDesk``), and calls ``write`` afterwards.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from verifier import cross_match, keyring, originals
from verifier.asked import malformed, text
from verifier.model.facts import AnyFact, CompletionFact, FactId
from verifier.model.person import LearnerId
from verifier.model.time import beijing_date, iso
from verifier.originals import Originals
from verifier.pack_file import PackWriter, line
from verifier.pack_plan import Plan
from verifier.ports.auditing import Evidence
from verifier.ports.packing import PackedClaim, PackTransaction

OPEN: Final = frozenset({"adoptions", "decisions", "rosters"})
"""Tables of which no column is personal; rows of every other table are encrypted, with their salts."""
_AT_ONCE: Final = 500
SHOWN: Final = "audit pack"
"""What the access log says of it."""
README: Final = """\
审计包：用独立的核验脚本检查，不要相信包内自述。检查点、账本公钥与记录公钥指纹须取自包外。
An audit pack: check it with the separate script, and believe nothing that it says of itself. Take an earlier
checkpoint, the ledger's key and the fingerprints of the record keys from elsewhere.

    python3 check_pack.py THIS_FILE --ledger-key VKEY --record-key SHA256 --record-key SHA256 \\
        --checkpoint EARLIER_FILE --private-key YOUR_KEY
"""


@dataclass(frozen=True, slots=True)
class About:
    """What the manifest says of a pack besides its members.

    Attributes:
        asked: the range and what it was narrowed to, as it was asked for.
        keys: public keys of records and status lists by ``kid``, as SubjectPublicKeyInfo in DER.
    """

    auditor: str
    purpose: str
    made_at: datetime
    asked: Mapping[str, str]
    keys: Mapping[str, bytes]


@dataclass(slots=True)
class _Counts:
    certificates: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


def write(tx: PackTransaction, plan: Plan, about: About, found: Originals, out: PackWriter) -> dict[str, Any]:
    """Write the pack, and say what is in it.

    Args:
        tx: a reading transaction.
        plan: what goes in; everybody in it was logged.
        about: for the manifest.
        found: finds certificates.
        out: the file; it is closed.
    """
    size, counts = plan.checkpoint.size, _Counts()
    out.write("README.txt", [README.encode()])
    out.write("checkpoint.txt", [plan.note])
    out.write("leaves.bin", tx.leaf_hashes(size))
    out.write_lines("entries.ndjson", (entry.body for entry in tx.entries_at(plan.entries)))
    out.write_lines("evidence.ndjson", map(line, _evidence(tx, plan)))
    out.write_lines("signed.ndjson", map(line, _signed(tx, plan)))
    out.write("keys.json", [line({kid: base64.b64encode(spki).decode() for kid, spki in about.keys.items()})])
    for name, content in _adopted(tx, plan):
        out.write(name, [content])
    out.seal_lines(map(line, _sealed(tx, plan, found, counts)))
    said = {
        "origin": plan.checkpoint.origin,
        "size": size,
        "first": plan.first,
        "last": plan.last,
        "narrowed": plan.narrowed,
        "asked": dict(about.asked),
        "made_at": iso(about.made_at),
        "auditor": about.auditor,
        "purpose": about.purpose,
        "counts": {
            "entries": len(plan.entries),
            "records": len(plan.records),
            "claims": len(plan.claims),
            "people": len(plan.learners),
            "certificates": dict(sorted(counts.certificates.items())),
            "missing": dict(sorted(counts.missing.items())),
            "rows_not_covered_yet": plan.uncovered,
        },
    }
    out.close(said)
    return said


def _adopted(tx: PackTransaction, plan: Plan) -> Iterator[tuple[str, bytes]]:
    """What was ever adopted, as the bytes that its digest is of."""
    left = set(plan.adopted)
    for _, kind, digest, content in tx.adoptions_stored():
        if digest in left:
            left.remove(digest)
            digested = keyring.digested(content) if kind == "register" else content.encode()
            yield f"adopted/{kind}-{digest}", digested


def _signed(tx: PackTransaction, plan: Plan) -> Iterator[dict[str, Any]]:
    """Status lists first: a record is checked when it comes."""
    yield from ({"is": "status", "jws": token} for token in plan.status_lists)
    yield from ({"is": "record", "jws": record.jws} for record in tx.packed_records(plan.records))
    yield from ({"is": "outcome", "jws": token} for token in tx.outcomes_at(plan.entries))


def _evidence(tx: PackTransaction, plan: Plan) -> Iterator[dict[str, Any]]:
    for position in sorted(plan.roots):
        covered = list(tx.evidence_under(position))
        yield {"is": "root", "at": position, "digests": [one.digest.hex() for one in covered if one.digest]}
        for one in covered:
            if one.row is not None and one.source_table in OPEN and plan.shows(one):
                yield _row(one)


def _row(one: Evidence) -> dict[str, Any]:
    """Salt and row, written as they are digested (``ledger.row_digest``)."""
    row = {
        column: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for column, value in (one.row or {}).items()
    }
    return {"is": "row", "table": one.source_table, "salt": one.salt.hex(), "row": row}


def _sealed(tx: PackTransaction, plan: Plan, found: Originals, counts: _Counts) -> Iterator[dict[str, Any]]:
    for position in sorted(plan.roots):
        for one in tx.evidence_under(position):
            if one.row is not None and one.source_table not in OPEN and plan.shows(one):
                yield _row(one)
    for record in tx.packed_records(plan.records):
        if record.disclosures is None:
            counts.missing["disclosures_erased"] += 1
        yield {"is": "disclosures", "id": record.record_id, "disclosures": record.disclosures}
    yield from _certificates(tx, plan, found, counts)
    yield from _payments(tx, plan)
    yield from _cross_match(tx, plan)


def _certificates(
    tx: PackTransaction, plan: Plan, found: Originals, counts: _Counts
) -> Iterator[dict[str, Any]]:
    for chunk in _chunks(set(plan.completions.values())):
        facts = [fact for fact in tx.facts_named(chunk) if isinstance(fact, CompletionFact)]
        for fact in sorted(facts, key=lambda fact: (fact.source.reference, fact.fact_id)):
            signed = found.find(tx, fact)
            if isinstance(signed, str):
                counts.missing[signed] += 1
                yield {"is": "certificate", "id": fact.fact_id, "missing": signed}
            else:
                said = originals.members(signed, fact)
                counts.certificates[said["kind"]] += 1
                yield {"is": "certificate", "id": fact.fact_id, **said}


def _payments(tx: PackTransaction, plan: Plan) -> Iterator[dict[str, Any]]:
    """From each payment to the record and its decision, which names the facts and the certificate's."""
    claimed: dict[str, list[PackedClaim]] = {}
    for claim in plan.claims.values():
        claimed.setdefault(claim.record_id, []).append(claim)
    for record in tx.packed_records(claimed):
        for claim in claimed[record.record_id]:
            yield {
                "is": "payment",
                "id": claim.claim_id,
                "payment_reference": claim.payment_reference,
                "record": record.record_id,
                "decision": record.decision_id,
                "month": record.month,
            }


def _cross_match(tx: PackTransaction, plan: Plan) -> Iterator[dict[str, Any]]:
    """What the rosters say by now of everybody for whom money was asked."""
    for chunk in _chunks({claim.record_id for claim in plan.claims.values()} & plan.completions.keys()):
        named = tx.facts_named([plan.completions[record] for record in chunk])
        facts = {fact.fact_id: fact for fact in named if isinstance(fact, CompletionFact)}
        records = list(tx.packed_records(chunk))
        history: dict[str, list[AnyFact]] = {}
        owners = {fact.learner_id for fact in facts.values()} | {record.learner_id for record in records}
        for one in tx.histories(owners):
            if ("facts", json.dumps([one.fact_id])) not in plan.rows:
                continue  # later than the checkpoint
            history.setdefault(getattr(one, "learner_id", ""), []).append(one)
        for record in records:
            completion = facts[FactId(plan.completions[record.record_id])]
            day = beijing_date(completion.completed_at)
            # Of somebody who was merged, the rosters may name the one number or the other.
            rows = [one for who in {record.learner_id, completion.learner_id} for one in history.get(who, ())]
            yield {
                "is": "cross_match",
                "id": record.record_id,
                "enterprise": record.uscc,
                "day": day.isoformat(),
                "words": cross_match.words(rows, record.uscc or "", day),
            }


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


class DisclosureLog(Protocol):
    """Writes the access log."""

    async def disclose(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str
    ) -> None:
        """Record, durably, that a client is shown personal data of these learners."""
        ...


@dataclass(frozen=True, slots=True)
class PackDesk:
    """Logs whom a pack shows, on the side of whoever may write."""

    log: DisclosureLog

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operation; the command line calls it for a pack, nobody by hand."""
        return {"ledger shown": self.shown}

    async def shown(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Log that an ``auditor`` is shown data of ``learners``, a JSON array of ids, for a ``purpose``."""
        try:
            learners = json.loads(parameters.get("learners", ""))
        except ValueError:
            learners = None
        if not isinstance(learners, list):
            raise malformed("learners")
        auditor, purpose = text(parameters, "auditor"), text(parameters, "purpose")
        who = {LearnerId(str(one)) for one in learners}
        await self.log.disclose(who, f"auditor:{auditor}"[:64], purpose[:64], SHOWN)
        return {"logged": len(who)}
