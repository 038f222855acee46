"""Cases in, decisions out: what ``DeciderTransaction`` promises."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, exists, func, select, tuple_, update

from verifier.cases import assemble
from verifier.model.decision import Case, DecisionId, Entitlement, Holding, LatestDecision, ReviewNeed, State
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmploymentFact,
    FactKind,
    RevocationFact,
    ScopeFact,
)
from verifier.model.person import LearnerId, Uscc
from verifier.model.standards import Standards
from verifier.policy.standards import KIND, standards_of
from verifier.ports.intake import LatestTrace, NewDecision
from verifier.signatures import strict_json
from verifier.store import codec, tables
from verifier.store.engine import Restart
from verifier.store.keys import KEYS
from verifier.store.persons import Persons
from verifier.store.session import review_digest

GRANTED, CLAIMED, PAID, CLAWBACK = "granted", "claimed", "paid", "clawback_due"
"""States of a slot. ``paid`` and ``claimed`` keep the month even when the grant is revoked."""


_FACTS, _DECISIONS, _LATER = tables.facts.c, tables.decisions.c, tables.facts.alias("later")
_IN_FORCE = select(tables.in_force).order_by(tables.in_force.c.name).with_for_update(read=True)
_CURRENT = select(tables.facts).where(~exists().where(_LATER.c.supersedes == _FACTS.fact_id))
_UNDER = _CURRENT.where(_FACTS.reference.in_(KEYS), _FACTS.kind == bindparam("kind"))
_ABOUT = _CURRENT.where(_FACTS.learner_id.in_(KEYS))
_OF_ENTERPRISES = _CURRENT.where(
    _FACTS.uscc.in_(KEYS), _FACTS.kind.in_((FactKind.ADMISSION.value, FactKind.SCOPE.value))
)
_STANDARDS = (
    select(tables.adoptions.c.content)
    .where(tables.adoptions.c.kind == KIND)
    .order_by(tables.adoptions.c.adopted_at.desc(), tables.adoptions.c.adoption_id.desc())
    .limit(1)
)
_SLOTS = select(tables.slots).where(tables.slots.c.learner_id.in_(KEYS))
_MINE = and_(_DECISIONS.learner_id.in_(KEYS), _DECISIONS.entitlement == bindparam("entitlement"))
_NEWEST = select(tables.decisions).where(
    _MINE,
    tuple_(_DECISIONS.learner_id, _DECISIONS.revision).in_(
        select(_DECISIONS.learner_id, func.max(_DECISIONS.revision))
        .where(_MINE)
        .group_by(_DECISIONS.learner_id)
    ),
)
_HELD_BY: Final = ("decision_id", "issuer", "number_scope", "number", "uscc")


def _holder(new: NewDecision) -> dict[str, Any]:
    """By what a grant holds its month; empty where nothing is granted."""
    if new.state is not State.GRANTED or new.completion is None or new.uscc is None:
        return {}
    return {
        "decision_id": new.decision_id,
        "issuer": new.completion.issuer,
        "number_scope": new.completion.number_scope,
        "number": new.completion.number,
        "uscc": new.uscc,
    }


def _of_employers(
    known: Sequence[AnyFact], organisations: Mapping[Uscc, Sequence[AdmissionFact | ScopeFact]]
) -> list[AdmissionFact | ScopeFact]:
    """What is known of whoever lists a learner, sorted by id: of thousands of enterprises, these few."""
    employers = {fact.uscc for fact in known if isinstance(fact, EmploymentFact)}
    found = [fact for uscc in employers for fact in organisations.get(uscc, ())]
    return sorted(found, key=lambda fact: fact.fact_id)


_KEEP: Final = (
    update(tables.slots)
    .where(
        tables.slots.c.learner_id == bindparam("whose"), tables.slots.c.entitlement == bindparam("of_what")
    )
    .values({name: bindparam(f"new_{name}") for name in _HELD_BY})
)
"""Lets a month be held by the newest decision that grants it."""


def _keeping(new: NewDecision, state: str, claim: str | None) -> dict[str, Any]:
    """What a month that is held is held by from now on; empty where it is not simply kept."""
    holder = _holder(new)
    if not holder or (state == CLAWBACK and claim is not None):
        return {}
    named = {f"new_{name}": value for name, value in holder.items()}
    return {**named, "whose": new.learner_id, "of_what": new.entitlement}


def _given(new: NewDecision) -> list[dict[str, Any]]:
    """The slot of a month that nobody held, if it is given now."""
    fresh = {"learner_id": new.learner_id, "entitlement": new.entitlement, "state": GRANTED}
    holder = _holder(new)
    return [{**fresh, **holder}] if holder else []


class Deciding(Persons):
    """Reads everything that a decision may look at, and appends decisions."""

    def hold_rules(self, digests: Mapping[str, str]) -> None:
        """Let no adoption commit before this transaction ends; start again where another one is in force.

        The rows are locked against change and shared with all who decide. An adoption changes them, so that
        it waits for whoever decides by what was in force, and whoever comes after it sees what is: nobody
        commits a decision by a rulebook that was replaced before. (SQLite has one writer at a time.) The
        process takes up what it finds in force, before it starts again.
        """
        rows = self.connection.execute(_IN_FORCE).all()
        if any(digests.get(row.name, row.digest) != row.digest for row in rows):
            self.other_rules()
            raise Restart

    def standards(self) -> Standards | None:
        """The amounts and payees that were adopted last; None where none ever were."""
        content = self.connection.execute(_STANDARDS).scalar_one_or_none()
        return None if content is None else standards_of(content)

    def facts_where(self, condition: ColumnElement[bool]) -> list[AnyFact]:
        """Current facts (nothing supersedes them) that fulfil a condition, opened."""
        return self._all_opened(self.connection.execute(_CURRENT.where(condition)))

    def facts_under(self, references: Collection[tuple[str, str, str]], kind: FactKind) -> list[AnyFact]:
        """Current facts of a kind under (issuer, number scope, number), opened."""
        keys = [codec.certificate_reference(*reference) for reference in references]
        return self._all_opened(self.among(_UNDER, keys, kind=kind.value))

    def _all_opened(self, rows: Iterable[Row[Any]]) -> list[AnyFact]:
        found = [row._mapping for row in rows]  # noqa: SLF001 - so SQLAlchemy calls it
        self.learner_keys({row["learner_id"] for row in found if row["learner_id"]})
        return [self.opened(row) for row in found]

    def opened(self, row: Mapping[Any, Any]) -> AnyFact:
        """A fact from its row; the learner's key must be loaded."""
        return codec.fact(row, self.unsealed(row))

    def unsealed(self, row: Mapping[Any, Any]) -> bytes | None:
        """What a fact's row holds sealed; None if nothing is, or the key was destroyed."""
        sealed, fact_id = row["sealed"], row["fact_id"]
        if sealed is None:
            return None
        if row["learner_id"] is not None:
            return self.vault.open(row["learner_id"], "facts.sealed", fact_id, sealed)
        key = row["sealed_key"]
        return (
            self.vault.open_apart(key, "facts.sealed_key", "facts.sealed", fact_id, sealed) if key else None
        )

    def cases(
        self, learners: Collection[LearnerId], entitlement: Entitlement, as_of: datetime
    ) -> Mapping[LearnerId, Case]:
        """All current facts of each learner, and the live grant; ``recognised`` is left to the decider.

        The facts of whoever was merged into a learner are that learner's; the other's case is empty.
        """
        members = self.members(learners)
        facts = self._all_opened(self.among(_ABOUT, members))
        completions = [fact for fact in facts if isinstance(fact, CompletionFact)]
        revoked = self._revoked(completions)
        uscc = {fact.uscc for fact in facts if isinstance(fact, EmploymentFact)}
        organisations: dict[Uscc, list[AdmissionFact | ScopeFact]] = defaultdict(list)
        for fact in self._organisations(uscc):
            organisations[fact.uscc].append(fact)
        holdings, others = self._holdings(members, entitlement)
        mine: dict[LearnerId, list[AnyFact]] = defaultdict(list)
        for one in sorted(facts, key=lambda fact: fact.fact_id):
            owner = LearnerId(getattr(one, "learner_id"))  # noqa: B009 - every fact found here has a learner
            mine[members[owner]].append(one)
        found = {}
        for learner in learners:
            elsewhere = members[learner] if members[learner] != learner else None
            known, holding = ([] if elsewhere else mine[learner]), holdings.get(learner)
            found[learner] = assemble(
                learner,
                as_of,
                known,
                _of_employers(known, organisations),
                revoked,
                holding,
                elsewhere,
                frozenset(others.get(learner, ())),
            )
        return found

    def revocations(self, references: Collection[tuple[str, str, str]]) -> Sequence[RevocationFact]:
        """Revocations under (issuer, number scope, number)."""
        facts = self.facts_under(references, FactKind.REVOCATION)
        return [fact for fact in facts if isinstance(fact, RevocationFact)]

    def _revoked(self, completions: Sequence[CompletionFact]) -> dict[tuple[str, str, str], RevocationFact]:
        references = {(fact.issuer, fact.number_scope, fact.number) for fact in completions}
        return {(fact.issuer, fact.number_scope, fact.number): fact for fact in self.revocations(references)}

    def _organisations(self, uscc: Collection[Uscc]) -> list[AdmissionFact | ScopeFact]:
        facts = self._all_opened(self.among(_OF_ENTERPRISES, uscc))
        found = [fact for fact in facts if isinstance(fact, AdmissionFact | ScopeFact)]
        return sorted(found, key=lambda fact: fact.fact_id)

    def _holdings(
        self, members: Mapping[LearnerId, LearnerId], entitlement: Entitlement
    ) -> tuple[dict[LearnerId, Holding], dict[LearnerId, set[Entitlement]]]:
        """The live grant of each learner; without one, what is not returned yet of those merged into it.

        Beside it, by canonical learner, of what other entitlements any of them holds a grant.
        """
        found: dict[LearnerId, Holding] = {}
        others: dict[LearnerId, set[Entitlement]] = defaultdict(set)
        for row in self.among(_SLOTS, members):
            if row.entitlement != entitlement:
                others[members[LearnerId(row.learner_id)]].add(Entitlement(row.entitlement))
                continue
            found[LearnerId(row.learner_id)] = Holding(
                row.issuer,
                row.number_scope,
                row.number,
                Uscc(row.uscc),
                blocked=row.state == CLAWBACK,
                owed=row.state in {CLAIMED, PAID},
            )
        # Money that was asked for under one of them keeps the month from all of them.
        kept = {learner for learner, holding in found.items() if holding.blocked or holding.owed}
        for canonical in {members[learner] for learner in kept} - kept:
            found[canonical] = Holding.elsewhere()
        return found, others

    def latest(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, LatestDecision]:
        """The newest decision of each learner that has one."""
        return {
            LearnerId(row["learner_id"]): LatestDecision(
                DecisionId(row["decision_id"]), row["revision"], State(row["state"]), row["material"]
            )
            for row in self._newest(learners, entitlement)
        }

    def _newest(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Iterator[Mapping[Any, Any]]:
        rows = self.among(_NEWEST, learners, entitlement=entitlement)
        return (row._mapping for row in rows)  # noqa: SLF001 - so SQLAlchemy calls it

    def latest_traces(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, LatestTrace]:
        """The newest decision of each learner that has one, with its trace."""
        return {
            LearnerId(row["learner_id"]): LatestTrace(
                State(row["state"]), json.loads(row["trace"]), row["decided_at"]
            )
            for row in self._newest(learners, entitlement)
        }

    def append_decisions(self, decisions: Sequence[NewDecision]) -> None:
        """Append revisions, move slots accordingly, and put each decision before the issuer."""
        rows = [
            {
                "decision_id": new.decision_id,
                "learner_id": new.learner_id,
                "entitlement": new.entitlement,
                "revision": new.revision,
                "state": new.state.value,
                "decided_at": new.decided_at,
                "material": new.material,
                "trace": strict_json.plain(new.trace).decode(),
                "completion_fact": new.completion.fact_id if new.completion else None,
                "uscc": new.uscc,
                "dispatched_by": new.dispatched_by,
                "office": new.office,
                "month": new.month,
            }
            for new in decisions
        ]
        self.append(tables.decisions, rows)
        held = self._slots({new.learner_id for new in decisions})
        announced: list[tuple[str, str, Mapping[str, Any]]] = []
        fresh: list[dict[str, Any]] = []
        kept: list[dict[str, Any]] = []
        for new in decisions:
            announced.append(("decision", new.decision_id, {}))
            before = held.get((new.learner_id, new.entitlement))
            if before is None:
                fresh += _given(new)
            elif keeps := _keeping(new, *before):
                kept.append(keeps)
            else:
                announced += self._move_slot(new, *before)
        # One call for all of them: most decisions are somebody's first, and a sweep takes thousands anew.
        for statement, several in ((_KEEP, kept), (tables.slots.insert(), fresh)):
            if several:
                self.connection.execute(statement, several)
        if decisions:
            self.announce_all(announced, decisions[0].decided_at)

    def _slots(self, learners: Collection[LearnerId]) -> dict[tuple[str, str], tuple[str, str | None]]:
        """State and claim of the learners' slots, whoever holds them."""
        rows = self.among(_SLOTS, learners)
        return {(row.learner_id, row.entitlement): (row.state, row.claim_id) for row in rows}

    def _move_slot(
        self, new: NewDecision, state: str, claim: str | None
    ) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Take up again, free or call back a month that is held; what must be announced of it."""
        slots = tables.slots
        mine = and_(slots.c.learner_id == new.learner_id, slots.c.entitlement == new.entitlement)
        if (holder := _holder(new)) and claim is not None:
            # The same grant again before its money came back: what is claimed or paid is so once more.
            before = PAID if self._is_paid(claim) else CLAIMED
            self.connection.execute(update(slots).where(mine).values(**holder, state=before))
            return [("clawback", claim, {**self._clawback(new, claim), "withdrawn": True})]
        if state == GRANTED:
            self.connection.execute(delete(slots).where(mine))
        if state not in {CLAIMED, PAID} or claim is None:
            return []
        # A month that money was asked for or paid stays taken until its return is recorded.
        self.connection.execute(update(slots).where(mine).values(state=CLAWBACK, decision_id=new.decision_id))
        return [("clawback", claim, self._clawback(new, claim))]

    def _is_paid(self, claim: str) -> bool:
        table = tables.claims
        paid = select(table.c.step).where(table.c.claim_id == claim, table.c.step == PAID)
        return self.connection.execute(paid).first() is not None

    def _clawback(self, new: NewDecision, claim: str) -> dict[str, Any]:
        claims, records = tables.claims, tables.records
        # The office that the claimed record was for: its subsidy system is the one to ask for the return.
        office, record = self.connection.execute(
            select(records.c.office, records.c.record_id)
            .join(claims, claims.c.record_id == records.c.record_id)
            .where(claims.c.claim_id == claim, claims.c.step == "claim")
        ).one()
        return {"claim": claim, "record": record, "decision": new.decision_id, "office": office}

    def open_reviews(self, learner: LearnerId, needs: Sequence[ReviewNeed], at: datetime) -> None:
        """Open the questions that were never asked; one that was asked before keeps its answer."""
        wanted = {}
        for need in needs:
            wanted[review_digest(learner, need)] = need
        if not wanted:
            return
        table = tables.reviews
        known = self.connection.execute(
            select(table.c.subject_digest).where(table.c.subject_digest.in_(sorted(wanted)))
        ).scalars()
        for digest in {bytes(value) for value in known}:
            del wanted[digest]
        rows = [
            {
                "review_id": self.vault.new_id(),
                "kind": need.kind,
                "learner_id": learner,
                "about": json.dumps(need.about),
                "subject_digest": digest,
                "opened_at": at,
            }
            for digest, need in sorted(wanted.items())
        ]
        self.append(table, rows)
