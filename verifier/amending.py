"""What a clerk mends of a completion on paper: whose it is, and that its issuer took it back.

Functions over a transaction; they do nothing outside it and may run twice.

1. A certificate that bears another id number than its holder's, by the id card that a clerk saw: the same
   content becomes a completion of the right learner and supersedes the one under the number it bears. The
   same certificate pushed again changes nothing; one that the issuer corrects supersedes it as usual.
2. A revocation that the issuer gave in writing is final for its number, as one from the platform is.
3. Certificate rows are touched first, then the learners; who is concerned is put on the due list.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from verifier.completions import Reference
from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.facts import CompletionFact, FactId, RevocationFact, Source
from verifier.model.person import Identifier, LearnerId
from verifier.ports import NewId
from verifier.ports.acting import ActingTransaction


@dataclass(frozen=True, slots=True)
class Numbered:
    """A certificate by its number.

    Attributes:
        scope: within which the number is unique; None where it is known in one scope only.
    """

    issuer: str
    number: str = field(repr=False)
    scope: str | None = None


def reassign(
    tx: ActingTransaction,
    certificate: Numbered,
    borne: LearnerId,
    holder: Identifier,
    *,
    at: datetime,
    new_id: NewId,
    source: Source,
) -> CompletionFact:
    """Put a completion under its holder's id number.

    Args:
        tx: the transaction.
        certificate: which.
        borne: whose number the certificate bears.
        holder: the holder's identifier, as a clerk saw it on the id card.
        at: aware UTC.
        new_id: source of random ids.
        source: the clerk.

    Returns:
        The completion as it stands now; its learner is the holder.

    Raises:
        AccessDenied: NOT_FOUND, no such certificate, or not under the number that it is said to bear.
        Conflict: STATE_REFUSED, it is the holder's already.
    """
    standing = _standing(tx, certificate)
    if standing.learner_id != borne:
        raise AccessDenied(Code.NOT_FOUND, "no such certificate under this id number", pointer="number")
    learner = tx.learners({holder}, at, {borne})[holder]
    if learner == borne:
        raise Conflict(Code.STATE_REFUSED, "the certificate is this person's already", pointer="id_number")
    fact = replace(
        standing,
        fact_id=FactId(new_id()),
        learner_id=learner,
        recorded_at=at,
        source=source,
        supersedes=standing.fact_id,
        first_received_at=standing.received_at,
    )
    tx.add_facts([fact])
    tx.put_due({borne, learner}, "id_correction", at)
    return fact


def revoke(
    tx: ActingTransaction,
    certificate: Numbered,
    reason: str,
    *,
    at: datetime,
    new_id: NewId,
    source: Source,
) -> bool:
    """Record that an issuer revoked a certificate in writing.

    Returns:
        False if the number was revoked before, and nothing changed.

    Raises:
        AccessDenied: NOT_FOUND, no such certificate.
    """
    standing = _standing(tx, certificate)
    tx.lock({standing.learner_id})
    if tx.revocations({_reference(standing)}):
        return False
    tx.add_facts(
        [RevocationFact(FactId(new_id()), standing.platform, *_reference(standing), reason, at, source)]
    )
    tx.put_due({standing.learner_id}, "revocation", at)
    return True


def _reference(fact: CompletionFact) -> Reference:
    return (fact.issuer, fact.number_scope, fact.number)


def _standing(tx: ActingTransaction, certificate: Numbered) -> CompletionFact:
    scopes = [certificate.scope]
    if certificate.scope is None:
        scopes = [*tx.number_scopes(certificate.issuer, certificate.number)]
    if len(scopes) > 1:
        detail = "the number is known in several scopes: say in which"
        raise RequestRejected(Code.SCHEMA_INVALID, detail, pointer="scope")
    wanted = {(certificate.issuer, scope or "", certificate.number) for scope in scopes}
    found = tx.completions(wanted) if wanted else ()
    if not found:
        raise AccessDenied(Code.NOT_FOUND, "no such certificate", pointer="number")
    return found[0]
