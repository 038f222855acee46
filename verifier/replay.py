"""Takes a recorded decision again from what it stood on, and compares the bytes (law 6). Pure.

1. the policy's parameters and the trust register by the digests that the decision pins, as they were adopted;
2. the facts by the ids that it names, whatever superseded them since;
3. the live grant of that moment, from the revision that granted it; of other entitlements what it names;
4. the same evaluation as of the same moment; its trace must be the stored one, byte for byte.

After a lawful erasure the names are gone, and the answer is that the decision can no longer be replayed; the
ledger, which commits to the record's signed bytes, still verifies.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from operator import attrgetter

from verifier import cases, eligibility
from verifier.errors import AccessDenied, Code
from verifier.identity import COMPARED_ALIKE
from verifier.keyring import Register, load_packed
from verifier.model.decision import Holding, Pins
from verifier.model.facts import AdmissionFact, RevocationFact, ScopeFact
from verifier.policy import Policy, load
from verifier.ports.replaying import ReplayTransaction, StoredDecision
from verifier.signatures import strict_json


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it.

    Attributes:
        same: whether every byte agrees; None where it could not be tried.
        why_not: what is missing, where it could not be tried.
        stored: hex SHA-256 of the stored trace.
        computed: hex SHA-256 of the replayed trace; empty where it could not be tried.
    """

    decision_id: str
    same: bool | None
    why_not: str
    stored: str
    computed: str


def replay(tx: ReplayTransaction, reference: str) -> Replayed:
    """Replay a decision.

    Args:
        tx: a reading transaction.
        reference: id of the decision, or of its record.

    Raises:
        AccessDenied: NOT_FOUND, there is no such decision.
        ConfigurationError: what was adopted cannot be read by this version.
    """
    decision = tx.stored(reference)
    if decision is None:
        raise AccessDenied(Code.NOT_FOUND, "no such decision or record", pointer="id")
    stored = sha256(decision.text).hexdigest()
    pins = Pins(**decision.trace["pins"])
    parameters = tx.adopted("policy", pins.parameters)
    files = tx.adopted("register", pins.register)
    if parameters is None or files is None:
        return Replayed(decision.decision_id, None, "what was adopted then is not there", stored, "")
    if _erased(tx, decision):
        return Replayed(decision.decision_id, None, "the evidence was lawfully erased", stored, "")
    if pins.normaliser not in COMPARED_ALIKE:
        return Replayed(decision.decision_id, None, "another normaliser was in use", stored, "")
    computed = _again(tx, decision, load(parameters.encode()), _register(files), pins)
    return Replayed(decision.decision_id, computed == decision.text, "", stored, sha256(computed).hexdigest())


def _erased(tx: ReplayTransaction, decision: StoredDecision) -> bool:
    """A person who was merged is judged by facts of several learners, each with a key of its own."""
    named = tx.facts_named(decision.trace["facts"])
    owners = {getattr(fact, "learner_id", decision.learner_id) for fact in named}
    return any(tx.erased(learner) for learner in sorted({decision.learner_id, *owners}))


def _again(
    tx: ReplayTransaction, decision: StoredDecision, policy: Policy, register: Register, pins: Pins
) -> bytes:
    facts = sorted(tx.facts_named(decision.trace["facts"]), key=attrgetter("fact_id"))
    revocations = [fact for fact in facts if isinstance(fact, RevocationFact)]
    case = cases.assemble(
        decision.learner_id,
        datetime.fromisoformat(decision.trace["as_of"]),
        facts,
        [fact for fact in facts if isinstance(fact, AdmissionFact | ScopeFact)],
        {(fact.issuer, fact.number_scope, fact.number): fact for fact in revocations},
        _holding(tx, decision),
        decision.trace.get("merged_into"),
        frozenset(decision.trace.get("others", ())),
    )
    verdict = eligibility.evaluate(register.applied_to(case), policy, pins)
    return strict_json.canonical(eligibility.trace(verdict))


def _holding(tx: ReplayTransaction, decision: StoredDecision) -> Holding | None:
    said = decision.trace["holding"]
    if said is None:
        return None
    if not said["uscc"]:
        return Holding.elsewhere()
    before = tx.granted_before(decision)
    if before is None:
        return None
    completion, uscc = before
    number = (completion.issuer, completion.number_scope, completion.number)
    return Holding(*number, uscc, blocked=said["blocked"], owed=said.get("owed", False))


def _register(content: str) -> Register:
    # Secrets prove deliveries, not decisions: any will do to read the rest, but no two alike.
    return load_packed(content, lambda name: sha256(b"replay " + name.encode()).hexdigest().encode())
