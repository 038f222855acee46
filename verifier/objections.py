"""Corrections, objections and appeals (更正, 异议, 申诉): each with a number, a state, and a signed outcome.

Functions over a transaction; they do nothing outside it and may run twice.

1. Each state is a fact that supersedes the one before; the number stays. It says nothing of the person, and
   cannot be guessed.
2. Who has to answer follows from what it is about; by when, from a setting that has no default: nobody has
   published a term, and none is invented.
3. An appeal is about the number of one that was answered, by whoever raised that one.
4. While a worker disputes that their month is taken, nobody else is refused for it (clause ``one-month``).
5. An answer is put before the issuer, which signs it and enters it in the ledger; there its text is a salted
   digest. Whoever is given text and salt can check them: SHA-256 over the salt's and the text's UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from verifier import acts
from verifier.errors import AccessDenied, Code, Conflict, Party
from verifier.model.facts import FactId, ObjectionFact, ObjectionKind, ObjectionState, Source
from verifier.model.person import LearnerId
from verifier.model.time import beijing_date, iso
from verifier.ports import NewId, RandomBytes
from verifier.ports.acting import ActingTransaction

WORKER: Final = "worker"
"""What ``ObjectionFact.raised_by`` says where it is not an enterprise's code."""
TOPICS: Final = ("month", "decision", "listing", "identity", "data")
OUTBOX: Final = "objection"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 8
_SALT_BYTES: Final = 16
_OUTCOMES: Final = frozenset({ObjectionState.UPHELD, ObjectionState.REJECTED})


@dataclass(frozen=True, slots=True)
class Raised:
    """What somebody raises.

    Attributes:
        learner_id: whom it is about.
        about: a decision, record, fact or earlier objection; empty for none.
        raised_by: ``WORKER`` or the code of an enterprise.
        text: in their own words; personal.
    """

    learner_id: LearnerId
    kind: ObjectionKind
    topic: str
    about: str
    raised_by: str
    text: str = field(repr=False)
    source: Source
    at: datetime


@dataclass(frozen=True, slots=True)
class Objection:
    """All states of one objection."""

    opened: ObjectionFact
    newest: ObjectionFact

    def overdue(self, at: datetime) -> bool:
        """Whether the day until which it was to be answered has passed."""
        due = self.newest.answer_by
        return self.newest.state is ObjectionState.OPEN and due is not None and due < beijing_date(at)


def folded(states: Iterable[ObjectionFact]) -> list[Objection]:
    """States as objections, oldest first."""
    by_number: dict[str, list[ObjectionFact]] = {}
    for state in states:
        by_number.setdefault(state.number, []).append(state)
    found = []
    for mine in by_number.values():
        past = {state.supersedes for state in mine}
        [newest] = [state for state in mine if state.fact_id not in past]
        [opened] = [state for state in mine if state.supersedes is None]
        found.append(Objection(opened, newest))
    return sorted(found, key=lambda one: (one.opened.recorded_at, one.opened.number))


def new_number(at: datetime, randbytes: RandomBytes) -> str:
    """A number: two digits of the year in Beijing, and eight characters that cannot be guessed."""
    drawn = "".join(_ALPHABET[value % len(_ALPHABET)] for value in randbytes(_LENGTH))
    return f"{beijing_date(at).year % 100:02}-{drawn}"


def party(kind: ObjectionKind, topic: str) -> Party:
    """Who has to answer: our arrangement, since no text says. An appeal is not for whoever answered first."""
    return Party.BUREAU if kind is ObjectionKind.APPEAL or topic == "data" else Party.REVIEWER


def raise_one(
    tx: ActingTransaction, raised: Raised, *, answer_days: int, number: Callable[[], str], new_id: NewId
) -> ObjectionFact:
    """Take one in.

    Args:
        tx: the transaction.
        raised: what is said.
        answer_days: within which it is to be answered; 0 where no term is configured.
        number: draws numbers.
        new_id: source of random ids.

    Raises:
        AccessDenied: NOT_FOUND, what it is about does not exist for whoever raises it.
        Conflict: STATE_REFUSED, the same is open already, or was appealed already.
    """
    group = acts.person(tx, raised.learner_id)
    _check_about(tx, raised, group)
    _check_new(tx, raised, group)
    due = beijing_date(raised.at) + timedelta(days=answer_days) if answer_days else None
    fact = _new(tx, raised, number, due, new_id)
    tx.add_facts([fact])
    tx.put_due(group, "objection", raised.at)
    return fact


def _new(
    tx: ActingTransaction,
    raised: Raised,
    number: Callable[[], str],
    answer_by: date | None,
    new_id: NewId,
    state: ObjectionState = ObjectionState.OPEN,
    salt: str = "",
) -> ObjectionFact:
    free = number()
    while tx.objection(free):
        free = number()
    return ObjectionFact(
        fact_id=FactId(new_id()),
        learner_id=raised.learner_id,
        number=free,
        kind=raised.kind,
        topic=raised.topic,
        about=raised.about,
        raised_by=raised.raised_by,
        party=party(raised.kind, raised.topic).value,
        answer_by=answer_by,
        state=state,
        text=raised.text,
        recorded_at=raised.at,
        source=raised.source,
        salt=salt,
    )


def _check_about(tx: ActingTransaction, raised: Raised, group: Collection[LearnerId]) -> None:
    earlier = folded(tx.objection(raised.about)) if raised.about else []
    mine = [
        one for one in earlier if one.newest.learner_id in group and one.newest.raised_by == raised.raised_by
    ]
    if raised.kind is ObjectionKind.APPEAL:
        known = bool(mine) and mine[0].newest.state in _OUTCOMES
    elif raised.about and not mine:
        subject = tx.subject_of(raised.about)
        known = subject is not None and subject.learner_id in group
        known = known and raised.raised_by in {WORKER, subject.uscc if subject else None}
    else:
        known = True
    if not known:
        raise AccessDenied(Code.NOT_FOUND, "there is no such thing to object to", pointer="about")


def _check_new(tx: ActingTransaction, raised: Raised, group: Collection[LearnerId]) -> None:
    said = (raised.raised_by, raised.kind, raised.topic, raised.about)
    for fact in tx.acts_of(group):
        if not isinstance(fact, ObjectionFact) or fact.state is ObjectionState.WITHDRAWN:
            continue
        same = (fact.raised_by, fact.kind, fact.topic, fact.about) == said
        again = raised.kind is ObjectionKind.APPEAL and (fact.kind, fact.about) == said[1::2]
        if again or (same and fact.state is ObjectionState.OPEN):
            raise Conflict(Code.STATE_REFUSED, "the same was raised already", pointer="about")


def answer(
    tx: ActingTransaction,
    number: str,
    outcome: ObjectionState,
    text: str,
    *,
    salt: str,
    at: datetime,
    new_id: NewId,
    source: Source,
) -> ObjectionFact:
    """Answer one: upheld or rejected, with reasons. The issuer signs it.

    Args:
        tx: the transaction.
        number: which.
        outcome: ``UPHELD`` or ``REJECTED``.
        text: the reasons; personal.
        salt: from ``new_salt``.
        at: aware UTC.
        new_id: source of random ids.
        source: who answers.

    Raises:
        AccessDenied: NOT_FOUND, no such number.
        Conflict: STATE_REFUSED, it is not open.
    """
    before, group = _open(tx, number)
    fact = _next(before, outcome, text, at, new_id, source, salt)
    tx.add_facts([fact])
    tx.put_due(group, "objection", at)
    _announce(tx, fact, group)
    return fact


def settle(
    tx: ActingTransaction, raised: Raised, *, number: Callable[[], str], salt: str, new_id: NewId
) -> ObjectionFact:
    """Record a correction that was made at once, with its number and its signed outcome."""
    group = acts.person(tx, raised.learner_id)
    fact = _new(tx, raised, number, None, new_id, ObjectionState.UPHELD, salt)
    tx.add_facts([fact])
    _announce(tx, fact, group)
    return fact


def _announce(tx: ActingTransaction, fact: ObjectionFact, group: Collection[LearnerId]) -> None:
    """Put an outcome before the issuer; of its text only the salted digest."""
    body = {
        "number": fact.number,
        "of": fact.kind.value,
        "topic": fact.topic,
        "about": fact.about,
        "outcome": fact.state.value,
        "decided_at": iso(fact.recorded_at),
        "text_sha256": text_digest(fact.salt, fact.text),
        "learner": fact.learner_id,
        "office": tx.office_of(group),
    }
    tx.announce(OUTBOX, fact.fact_id, body, fact.recorded_at)


def withdraw(
    tx: ActingTransaction, number: str, *, at: datetime, new_id: NewId, source: Source
) -> ObjectionFact:
    """Whoever raised it takes it back. Errors as ``answer``."""
    before, group = _open(tx, number)
    fact = _next(before, ObjectionState.WITHDRAWN, "", at, new_id, source)
    tx.add_facts([fact])
    tx.put_due(group, "objection", at)
    return fact


def _open(tx: ActingTransaction, number: str) -> tuple[ObjectionFact, Collection[LearnerId]]:
    found = find(tx, number)
    group = acts.person(tx, found.newest.learner_id)
    newest = find(tx, number).newest  # as it is now that the person's rows are touched
    if newest.state is not ObjectionState.OPEN:
        raise Conflict(Code.STATE_REFUSED, "it is not open", pointer="number")
    return newest, group


def _next(
    before: ObjectionFact,
    state: ObjectionState,
    text: str,
    at: datetime,
    new_id: NewId,
    source: Source,
    salt: str = "",
) -> ObjectionFact:
    return replace(
        before,
        fact_id=FactId(new_id()),
        state=state,
        text=text,
        recorded_at=at,
        source=source,
        supersedes=before.fact_id,
        salt=salt,
    )


def find(tx: ActingTransaction, number: str) -> Objection:
    """An objection by its number.

    Raises:
        AccessDenied: NOT_FOUND, no such number.
    """
    found = folded(tx.objection(number))
    if not found:
        raise AccessDenied(Code.NOT_FOUND, "no such number", pointer="number")
    return found[0]


def new_salt(randbytes: RandomBytes) -> str:
    """A salt for ``text_digest``: 32 hexadecimal digits."""
    return randbytes(_SALT_BYTES).hex()


def text_digest(salt: str, text: str) -> str:
    """Hex SHA-256 over the salt and the text, both UTF-8."""
    return sha256(salt.encode() + text.encode()).hexdigest()


# --- how it is shown ----------------------------------------------------------------------------------------


def summary(one: Objection, at: datetime) -> dict[str, Any]:
    """An objection as JSON members without anything personal."""
    newest = one.newest
    return {
        "number": newest.number,
        "kind": newest.kind.value,
        "topic": newest.topic,
        "about": newest.about or None,
        "raised_by": newest.raised_by,
        "state": newest.state.value,
        "party": newest.party,
        "answer_by": newest.answer_by.isoformat() if newest.answer_by else None,
        "answer_term": "configured" if newest.answer_by else "not_configured",
        "overdue": one.overdue(at),
        "opened_at": iso(one.opened.recorded_at),
        "closed_at": None if newest.state is ObjectionState.OPEN else iso(newest.recorded_at),
    }


def whole(one: Objection, at: datetime, signed: Mapping[str, str]) -> dict[str, Any]:
    """An objection with what was said, and its signed outcome once the issuer has signed it.

    Args:
        one: the objection.
        at: aware UTC.
        signed: signed outcomes by number.
    """
    shown = {**summary(one, at), "text": one.opened.text}
    if one.newest.state in _OUTCOMES:
        shown["answer"] = {"text": one.newest.text, "salt": one.newest.salt}
        shown["outcome_jws"] = signed.get(one.newest.number)
    return shown
