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
from typing import Any, Final, TypeVar

from verifier import identity, learner
from verifier.candidates import CaseView
from verifier.errors import IdentityRejected, Party
from verifier.keyring import Register
from verifier.model.decision import Case, Met, NotMet, Outcome, State, Unknown
from verifier.model.facts import (
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    NameDecisionFact,
)
from verifier.model.person import Identifier, IdentityClaims, LearnerId, NameRelation, PersonName, Uscc
from verifier.model.standing import (
    CompletionStanding,
    Mend,
    PersonStanding,
    Reason,
    Standing,
    StatusAnswer,
)
from verifier.model.time import beijing_date, iso
from verifier.policy import Clause, Policy
from verifier.policy.wording import MISSING
from verifier.ports.acting import ActingTransaction
from verifier.ports.intake import LatestTrace, StatusTransaction

Decided = TypeVar("Decided", EmployerChoiceFact, NameDecisionFact)

PURPOSE: Final = "enterprise-status"
SHOWN: Final = "status"
"""What the access log says of an answer."""


_FIRST: Final = (Standing.GRANTED_HERE, Standing.MONTH_TAKEN, Standing.PENDING, Standing.REFUSED)
"""Of several completions the foremost of these speaks for the person."""
_RECORDED: Final = {
    State.GRANTED: Standing.GRANTED_HERE,
    State.PENDING: Standing.PENDING,
    State.REFUSED: Standing.REFUSED,
}


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
    desk = _Desk(uscc, policy, register)
    learners = tx.known_learners({one.identifier for one in asked if one is not None}) if admitted else {}
    rows = _own_rows(tx, uscc, learners)
    # Under whom each is judged: an employee may have been merged with another id number's holder.
    canonical = tx.members(rows)
    # Read before the decisions: of one that is taken meanwhile it is then said that it comes.
    due = {canonical[who] for who in tx.due_among(canonical, at)}
    people_judged = {canonical[who] for who in rows}
    cases = tx.cases(people_judged, policy.entitlement, at)
    latest = tx.latest_traces(people_judged, policy.entitlement)
    closed = {who for who in rows if _contested(cases[canonical[who]].contests, uscc)}
    answers: list[PersonStanding] = []
    told: dict[LearnerId, PersonStanding] = {}
    for one in asked:
        who = learners.get(one.identifier) if one is not None else None
        if one is None:
            answers.append(PersonStanding(Standing.INVALID_ID, mend=(_INVALID,)))
        elif who is None or who in closed or not _fits(one.name, rows.get(who, ())):
            answers.append(PersonStanding(Standing.NOT_LISTED))
        else:
            if who not in told:
                judged = canonical[who]
                standing = desk.person(cases[judged], latest.get(judged))
                told[who] = replace(standing, evaluating=judged in due)
            answers.append(told[who])
    if told:
        tx.log_disclosures(tuple(told), client_id, PURPOSE, SHOWN, at)
    return StatusAnswer(admitted, at, policy.pin, first, tuple(answers))


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
    # Reading claims takes a name; here it may be missing, and then any readable one does.
    named = claims if claims.name else replace(claims, name="不详")
    who = learner.identify(named, today)
    return _Asked(who.identifier, who.name if claims.name else None)


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
    if who is None or not admitted or not _fits(one.name, _own_rows(tx, uscc, known).get(who, ())):
        return None
    group = tx.members({*tx.members({who}).values()})
    contests = [fact for fact in tx.acts_of(group) if isinstance(fact, ContestFact)]
    return None if _contested(contests, uscc) else who


def _contested(contests: Iterable[ContestFact], uscc: Uscc) -> bool:
    """Whether somebody's listing by an enterprise is closed: contested, or found not to count."""
    return any(contest.uscc == uscc and contest.upheld is not False for contest in contests)


def _own_rows(
    tx: StatusTransaction, uscc: Uscc, learners: Mapping[Identifier, LearnerId]
) -> dict[LearnerId, list[EmploymentFact]]:
    rows: dict[LearnerId, list[EmploymentFact]] = {}
    for row in tx.employments(uscc, set(learners.values())):
        if row.withdrawn:
            continue
        rows.setdefault(row.learner_id, []).append(row)
    return rows


def _fits(name: PersonName | None, rows: Sequence[EmploymentFact]) -> bool:
    if name is None:
        return bool(rows)
    return any(identity.compare_names(name, row.name) is not NameRelation.DIFFERENT for row in rows)


# --- what they are told -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Desk:
    """One enterprise's view of cases."""

    uscc: Uscc
    policy: Policy
    register: Register

    def person(self, case: Case, latest: LatestTrace | None) -> PersonStanding:
        view = CaseView.of(self.register.applied_to(case), self.policy.entitlement)
        shown: list[CompletionStanding] = []
        business = (fact for fact in case.completions if self.policy.about(fact.document))
        for completion in sorted(business, key=lambda fact: (fact.completed_at, fact.fact_id)):
            covering = view.covering(completion)
            own = [row for row in covering if row.uscc == self.uscc]
            if own or not covering:
                shown.append(self._completion(view, completion, covering, own, latest))
        if not shown:
            return PersonStanding(Standing.NOT_RECEIVED, mend=(_NOT_RECEIVED,))
        state = min((one.state for one in shown), key=_FIRST.index)
        mend = dict.fromkeys(
            Mend(reason.party, MISSING.get(reason.missing, reason.missing))
            for one in shown
            for reason in one.reasons
            if one.state is Standing.PENDING and reason.party is not None
        )
        return PersonStanding(state, tuple(shown), tuple(mend))

    def _completion(
        self,
        view: CaseView,
        completion: CompletionFact,
        covering: tuple[EmploymentFact, ...],
        own: Sequence[EmploymentFact],
        latest: LatestTrace | None,
    ) -> CompletionStanding:
        month = None
        decided_at = None
        if latest is not None and _is_about(latest, completion, self.uscc if own else None):
            state = _RECORDED[latest.state]
            reasons = tuple(_recorded_reason(clause) for clause in latest.trace["clauses"])
            month = date.fromisoformat(latest.trace["month"]) if latest.trace["month"] else None
            decided_at = latest.decided_at
        else:
            asked = [self._ask(view, completion, covering, row) for row in own or (None,)]
            state, reasons = min(asked, key=_rank)
        platform = self.register.platforms.get(completion.platform)
        return CompletionStanding(
            platform=completion.platform,
            platform_name=platform.name if platform else completion.platform,
            course_title=completion.course_title if own else None,
            completed_on=beijing_date(completion.completed_at),
            received_at=completion.recorded_at,
            state=state,
            month=month,
            decided_at=decided_at,
            reasons=reasons,
        )

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


def _is_about(latest: LatestTrace, completion: CompletionFact, uscc: Uscc | None) -> bool:
    candidate = latest.trace["candidate"]
    return candidate is not None and (candidate["completion"], candidate["uscc"]) == (
        completion.fact_id,
        uscc,
    )


def _recorded_reason(clause: Mapping[str, Any]) -> Reason:
    said = clause["outcome"]
    return Reason(
        clause["clause"],
        clause["title"],
        clause["citation"],
        said["answer"],
        said["why"],
        said.get("missing", ""),
        Party(said["party"]) if "party" in said else None,
    )


def _asked_reason(clause: Clause, outcome: Outcome) -> Reason:
    answer = {Met: "met", NotMet: "not_met", Unknown: "unknown"}[type(outcome)]
    missing, party = (outcome.missing, outcome.party) if isinstance(outcome, Unknown) else ("", None)
    return Reason(clause.id, clause.title, clause.citation, answer, outcome.why, missing, party)


# --- how it is answered -------------------------------------------------------------------------------------


def members(answer: StatusAnswer) -> dict[str, Any]:
    """An answer as JSON members; what does not apply is left out."""
    return {
        "admitted": answer.admitted,
        "as_of": iso(answer.as_of),
        "policy": answer.policy,
        "people": [
            {
                "position": position,
                "state": person.state.value,
                "completions": [_completion_members(one) for one in person.completions],
                "mend": [{"party": mend.party.value, "what": mend.what} for mend in person.mend],
                **({"evaluating": True} if person.evaluating else {}),
            }
            for position, person in enumerate(answer.people, answer.first)
        ],
    }


def _completion_members(one: CompletionStanding) -> dict[str, Any]:
    said: dict[str, Any] = {
        "platform": one.platform,
        "platform_name": one.platform_name,
        "course_title": one.course_title,
        "completed_on": one.completed_on.isoformat(),
        "received_at": iso(one.received_at),
        "state": one.state.value,
        "month": one.month.strftime("%Y-%m") if one.month else None,
        "decided_at": iso(one.decided_at) if one.decided_at else None,
        "reasons": [_reason_members(reason) for reason in one.reasons],
    }
    return {name: value for name, value in said.items() if value is not None}


def _reason_members(reason: Reason) -> dict[str, Any]:
    said = {name: getattr(reason, name) for name in ("clause", "title", "citation", "answer", "why")}
    if reason.party is not None:
        said |= {"missing": reason.missing, "party": reason.party.value}
    return said
