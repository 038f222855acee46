"""What an enterprise is told of its own people: what was received, whether it counts, and why not.

1. Until the bureau has admitted the enterprise it is told nothing about people: everybody is ``not_listed``.
   An admission that has begun is enough; one that has ended still lets it ask about that time.
2. Of people who are not on its own roster it gets the very answer that it gets of people nobody ever heard
   of. So does a name unlike the one on its roster: the number may be another employee's, mistyped.
3. Of its own people it sees the completions whose day its own rows cover, and those whose day no roster
   covers, without the course: perhaps they are not its business, but only the roster's days can tell. It sees
   nothing of a completion that only other enterprises' rosters cover.
4. A recorded decision that is about this enterprise is shown as recorded. Otherwise the clauses are asked
   again for its own rows alone. Who else holds a month is never said, only that it is taken.
5. Whose decision waits to be made again is said: what is shown then may be about to change.
6. Whoever was answered about stands in the access log, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from verifier import identity, learner
from verifier.candidates import CaseView
from verifier.errors import IdentityRejected, Party
from verifier.keyring import Register
from verifier.model.decision import Case, Met, NotMet, Outcome, Unknown
from verifier.model.facts import CompletionFact, ContestFact, EmploymentFact
from verifier.model.person import Identifier, IdentityClaims, LearnerId, NameRelation, PersonName, Uscc
from verifier.model.standing import (
    Completed,
    CompletionStanding,
    Listed,
    Mend,
    Outline,
    PersonStanding,
    Reason,
    Recorded,
    Standing,
    StatusAnswer,
)
from verifier.model.time import beijing_date, covers
from verifier.policy import Clause, Policy
from verifier.policy.wording import MISSING
from verifier.ports.acting import ActingTransaction
from verifier.ports.intake import StatusTransaction
from verifier.standing_recorded import Found, said

SLICE: Final = 500
"""People answered about in one transaction of a long question; see ``status``."""
PURPOSE: Final = "enterprise-status"
SHOWN: Final = "status"
"""What the access log says of an answer."""


_FIRST: Final = (Standing.GRANTED_HERE, Standing.MONTH_TAKEN, Standing.PENDING, Standing.REFUSED)
"""Of several completions the foremost of these speaks for the person."""


_NOT_RECEIVED: Final = Mend(
    Party.PLATFORM,
    "尚未收到任何培训平台推送的、结业日期在贵单位花名册内的结业记录；请核对平台登记的证件号码，并请平台重新推送。",
)
_INVALID: Final = Mend(Party.ENTERPRISE, "证件号码或姓名不符合规则，请更正后重新查询。")


def status(
    tx: StatusTransaction,
    uscc: Uscc,
    people: Sequence[IdentityClaims],
    *,
    at: datetime,
    policy: Policy,
    register: Register,
    client_id: str,
    first: int = 0,
) -> StatusAnswer:
    """Answer an enterprise about people, and log the showing.

    A long list is better answered in slices of a few hundred, a transaction each.

    Args:
        tx: the transaction; it creates nothing but rows of the access log.
        uscc: the enterprise that asks; that the client may speak for it is the caller's to check.
        people: as ``verifier.roster.read_people`` read them; an empty name is not compared.
        at: aware UTC.
        policy: the adopted one.
        register: the adopted one.
        client_id: who asks.
        first: position of the first of ``people`` in the call.
    """
    today = beijing_date(at)
    admitted = any(fact.start <= today for fact in tx.admissions(uscc))
    asked = [_read(claims, today) for claims in people]
    learners = tx.known_learners({one.identifier for one in asked if one is not None}) if admitted else {}
    names = tx.listed_names(uscc, set(learners.values()))
    # Under whom each is judged: an employee may have been merged with another id number's holder.
    canonical = tx.members(names)
    # Read before the decisions: of one that is taken meanwhile it is then said that it comes.
    due = {canonical[who] for who in tx.due_among(canonical, at)}
    judged = {canonical[who] for who in names}
    # Whoever is judged under one of those who were asked about is among them already.
    outlines = tx.outlines(canonical if judged <= names.keys() else tx.members(judged))
    standings = _standings(tx, outlines, _Desk(uscc, policy, register), at)
    answers: list[PersonStanding] = []
    told: dict[LearnerId, PersonStanding] = {}
    for one in asked:
        who = learners.get(one.identifier) if one is not None else None
        if one is None:
            answers.append(PersonStanding(Standing.INVALID_ID, mend=(_INVALID,)))
        elif (
            who is None
            or not _fits(one.name, names.get(who, ()))
            or uscc in outlines[canonical[who]].contested
        ):
            answers.append(PersonStanding(Standing.NOT_LISTED))
        else:
            if who not in told:
                standing = standings[canonical[who]]
                told[who] = replace(standing, evaluating=True) if canonical[who] in due else standing
            answers.append(told[who])
    if told:
        tx.log_disclosures(tuple(told), client_id, PURPOSE, SHOWN, at)
    return StatusAnswer(admitted, at, policy.pin, first, tuple(answers))


def _standings(
    tx: StatusTransaction, outlines: Mapping[LearnerId, Outline], desk: _Desk, at: datetime
) -> Mapping[LearnerId, PersonStanding]:
    """What each is told. A case is read, and opened, only where a clause has to be asked for the answer."""
    recorded = tx.recorded(set(outlines), desk.policy.entitlement)
    found: dict[LearnerId, PersonStanding] = {}
    unsaid: list[LearnerId] = []
    for who, outline in outlines.items():
        standing = desk.person(outline, recorded.get(who), None)
        if standing is None:
            unsaid.append(who)
        else:
            found[who] = standing
    cases = tx.cases(unsaid, desk.policy.entitlement, at) if unsaid else {}
    for who, case in cases.items():
        view = CaseView.of(desk.register.applied_to(case), desk.policy.entitlement)
        standing = desk.person(outline_of(case), recorded.get(who), view)
        assert standing is not None, "with a case there is nothing that cannot be said"
        found[who] = standing
    return found


def outline_of(case: Case) -> Outline:
    """The outline of a case that is there: as ``StatusTransaction.outlines`` reads it without one."""
    return Outline(
        tuple(
            Completed(
                fact.fact_id,
                fact.platform,
                fact.completed_at,
                fact.recorded_at,
                fact.document,
                fact.course_title,
            )
            for fact in case.completions
        ),
        tuple(Listed(row.uscc, row.start, row.end) for row in case.employments),
        frozenset(contest.uscc for contest in case.contests if contest.upheld is not False),
        frozenset(contest.uscc for contest in case.contests if contest.upheld),
    )


# --- who is asked for ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    identifier: Identifier
    name: PersonName | None


def _read(claims: IdentityClaims, today: date) -> _Asked | None:
    try:
        return _identified(claims, today)
    except IdentityRejected:
        return None


def _identified(claims: IdentityClaims, today: date) -> _Asked:
    # A name may be missing here, and then any fits.
    identifier = learner.strong(claims.id_kind, claims.id_number, claims.country, today)
    return _Asked(identifier, identity.person_name(claims.name) if claims.name else None)


def employee(tx: ActingTransaction, uscc: Uscc, claims: IdentityClaims, at: datetime) -> LearnerId | None:
    """The learner whom an enterprise may speak of; None for whoever does not exist as far as it may know.

    Args:
        tx: the transaction.
        uscc: the enterprise that asks; that the client may speak for it is the caller's to check.
        claims: whom it asks about; an empty name is not compared.
        at: aware UTC.

    Raises:
        IdentityRejected: the number or the name breaks its rule.
    """
    today = beijing_date(at)
    one = _identified(claims, today)
    known = tx.known_learners({one.identifier})
    admitted = any(fact.start <= today for fact in tx.admissions(uscc))
    who = known.get(one.identifier)
    if who is None or not admitted or not _fits(one.name, tx.listed_names(uscc, {who}).get(who, ())):
        return None
    group = tx.members({*tx.members({who}).values()})
    contests = [fact for fact in tx.acts_of(group) if isinstance(fact, ContestFact)]
    return None if _contested(contests, uscc) else who


def _contested(contests: Iterable[ContestFact], uscc: Uscc) -> bool:
    """Whether somebody's listing by an enterprise is closed: contested, or found not to count."""
    return any(contest.uscc == uscc and contest.upheld is not False for contest in contests)


def _fits(name: PersonName | None, listed: Sequence[PersonName]) -> bool:
    if name is None:
        return bool(listed)
    return any(identity.compare_names(name, other) is not NameRelation.DIFFERENT for other in listed)


# --- what they are told -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Desk:
    """One enterprise's view of cases."""

    uscc: Uscc
    policy: Policy
    register: Register

    def person(
        self, outline: Outline, recorded: Recorded | None, view: CaseView | None
    ) -> PersonStanding | None:
        """What somebody is told; None where a clause has to be asked and there is no case to ask it of."""
        decided = None if recorded is None else said(recorded)
        shown: list[CompletionStanding] = []
        business = (fact for fact in outline.completions if self.policy.about(fact.document))
        for completion in sorted(business, key=lambda fact: (fact.completed_at, fact.fact_id)):
            day = beijing_date(completion.completed_at)
            covering = [row.uscc for row in outline.listings if _counts(row, outline, day)]
            own = self.uscc in covering
            if not own and covering:
                continue
            if decided is not None and decided.is_about(completion, self.uscc if own else None):
                found = decided.found
            elif view is not None:
                found = self._asked(view, completion)
            else:
                return None
            shown.append(self._completion(completion, day, found, own=own))
        if not shown:
            return PersonStanding(Standing.NOT_RECEIVED, mend=(_NOT_RECEIVED,))
        state = min((one.state for one in shown), key=_FIRST.index)
        mend = dict.fromkeys(
            Mend(reason.party, MISSING.get(reason.missing, reason.missing))
            for one in shown
            if one.state is Standing.PENDING
            for reason in one.reasons
            if reason.party is not None
        )
        return PersonStanding(state, tuple(shown), tuple(mend))

    def _completion(self, completion: Completed, day: date, found: Found, *, own: bool) -> CompletionStanding:
        platform = self.register.platforms.get(completion.platform)
        return CompletionStanding(
            platform=completion.platform,
            platform_name=platform.name if platform else completion.platform,
            course_title=completion.course_title if own else None,
            completed_on=day,
            received_at=completion.recorded_at,
            state=found.state,
            month=found.month,
            decided_at=found.decided_at,
            reasons=found.reasons,
        )

    def _asked(self, view: CaseView, outlined: Completed) -> Found:
        completion = next(fact for fact in view.case.completions if fact.fact_id == outlined.fact_id)
        covering = view.covering(completion)
        own = [row for row in covering if row.uscc == self.uscc]
        asked = [self._ask(view, completion, covering, row) for row in own or (None,)]
        state, reasons = min(asked, key=_rank)
        return Found(state, reasons)

    def _ask(
        self,
        view: CaseView,
        completion: CompletionFact,
        covering: tuple[EmploymentFact, ...],
        row: EmploymentFact | None,
    ) -> tuple[Standing, tuple[Reason, ...]]:
        """Ask every clause of one candidate as step 5 does, first as if the month were free."""
        free = view.facts(completion, row, covering)
        parameters = self.policy.parameters_at(free.day)
        alone = [clause.judge(free, parameters) for clause in self.policy.clauses]
        held = replace(free, holding=view.case.holding)
        reasons = tuple(
            _asked_reason(clause, clause.judge(held, parameters)) for clause in self.policy.clauses
        )
        if any(isinstance(outcome, NotMet) for outcome in alone):
            return Standing.REFUSED, reasons
        if any(reason.answer == "not_met" for reason in reasons):
            return Standing.MONTH_TAKEN, reasons
        # Also where every clause is met: only a recorded decision grants, and it is on its way.
        return Standing.PENDING, reasons


def _rank(asked: tuple[Standing, tuple[Reason, ...]]) -> tuple[int, int]:
    """Of several rows of its own, the one with the least to mend is shown."""
    state, reasons = asked
    return _FIRST.index(state), sum(reason.answer != "met" for reason in reasons)


def _counts(row: Listed, outline: Outline, day: date) -> bool:
    """As ``CaseView.covering`` says it."""
    return row.uscc not in outline.refuted and covers(row.start, row.end, day)


def _asked_reason(clause: Clause, outcome: Outcome) -> Reason:
    answer = {Met: "met", NotMet: "not_met", Unknown: "unknown"}[type(outcome)]
    missing, party = (outcome.missing, outcome.party) if isinstance(outcome, Unknown) else ("", None)
    return Reason(clause.id, clause.title, clause.citation, answer, outcome.why, missing, party)
