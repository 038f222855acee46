"""What a reviewer and a clerk do to find out who somebody is. Every act is a fact; what was shown is logged.

1. A certificate that names its holder by less than an identifier asks a question, ``weak_identity``. The
   reviewer is shown what the certificate says and who it might be: people who bear the same trait. Whoever
   was told apart from its learner is left out, and so are all where too many bear the trait.
2. Answered with a learner, or with an id number that the reviewer saw, the certificate's provisional learner
   is merged with that one (``verifier.merging``). Nothing is merged by itself, however alike.
3. Answered with ``none`` nobody is known. The certificate waits on; it is asked about anew once there is
   another certificate of its number.
4. Two documents of one person, such as the cards of 2021 and 2023, are linked by a clerk who saw both.
5. Without ``apply`` nothing is written but the access log: the decisions that would change are listed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from verifier import identity, learner, merging, review_report, traits, trial
from verifier.asked import Parameters
from verifier.asked import malformed as _malformed
from verifier.asked import source as _source
from verifier.asked import text as _text
from verifier.errors import Code, Conflict
from verifier.merging import Finding
from verifier.model.facts import CompletionFact, FactId, ReviewClosedFact, Source
from verifier.model.person import ClaimedKind, Identifier, LearnerId
from verifier.model.time import beijing_date, iso
from verifier.name_forms import NameForm
from verifier.pipeline import Rulebook
from verifier.ports import Clock, NewId
from verifier.ports.identities import ABOUT_NAMES, Borne, IdentityTransaction, Named, ReportTransaction

T = TypeVar("T")
KIND: Final = "weak_identity"
PURPOSE: Final = "weak-identity"
SHOWN: Final = "candidate: name, identifiers"
_NONE: Final = "none"
_LONGEST_NAME: Final = 64
_SLICE: Final = 500
"""People in one transaction of the report."""


class IdentityUnits(trial.TrialUnits, Protocol):
    """Runs the transactions."""

    async def identities(self, work: Callable[[IdentityTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def reporting(self, work: Callable[[ReportTransaction], T]) -> T:
        """Run one reading transaction of the report."""
        ...

    async def open_reviews(self) -> Sequence[dict[str, Any]]:
        """Questions that no reviewer has answered."""
        ...


@dataclass(frozen=True, slots=True)
class IdentityDesk:
    """Reviewers of weak certificates, and clerks who link a person's documents."""

    units: IdentityUnits
    rulebook: Callable[[], Rulebook]
    clock: Clock
    new_id: NewId

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {
            f"review show {KIND}": self.show,
            f"review close {KIND}": self.close,
            "review apart": self.tell_apart,
            "review report": self.report,
            "learner link": self.link,
        }

    async def show(self, parameters: Parameters) -> dict[str, Any]:
        """A weak certificate and who it might be: ``review``."""
        review, at = await self._review(parameters), self.clock()
        clerk = _clerk(parameters)

        def work(tx: IdentityTransaction) -> dict[str, Any]:
            completion = _completion(tx, review)
            shown = _shown(tx, completion)
            people = {LearnerId(one["learner"]) for one in shown["proposed"]}
            tx.log_disclosures({completion.learner_id, *people}, clerk, PURPOSE, SHOWN, at)
            return {
                "review": review["review_id"],
                "kind": KIND,
                "opened_at": iso(review["opened_at"]),
                **shown,
            }

        return await self.units.identities(work)

    async def close(self, parameters: Parameters) -> dict[str, Any]:
        """Answer who it is: ``review``, ``outcome`` or ``id_number``, ``reason``, ``evidence``, ``apply``."""
        review, at = await self._review(parameters), self.clock()
        reason, source = _text(parameters, "reason"), _source(parameters)
        outcome, number = parameters.get("outcome", "").strip(), parameters.get("id_number", "").strip()
        if bool(outcome) == bool(number):
            raise _malformed("outcome")
        if outcome == _NONE:
            return await self.units.identities(lambda tx: self._nobody(tx, review, reason, at, source))
        evidence = _text(parameters, "evidence")
        known = _document(parameters, "id-kind", number, "id-country", at) if number else None

        def work(tx: IdentityTransaction) -> dict[str, Any]:
            completion = _completion(tx, review)
            weak = completion.learner_id
            who = tx.learners({known}, at, {weak})[known] if known else LearnerId(outcome)
            found = Finding(weak, who, reason, evidence, source)
            canonical = merging.merge(tx, found, at=at, new_id=self.new_id)
            tx.add_facts([self._closed(review, who, reason, at, source)])
            return {"review": review["review_id"], "outcome": who, "judged_as": canonical}

        concerned = {LearnerId(review["learner_id"]), *([LearnerId(outcome)] if outcome else [])}
        return await self._carry_out(parameters, work, PURPOSE, {known} if known else set(), concerned)

    async def tell_apart(self, parameters: Parameters) -> dict[str, Any]:
        """Say that a person is not the one a certificate names: ``review``, ``learner``, ``reason``."""
        review, at = await self._review(parameters), self.clock()
        reason, evidence = _text(parameters, "reason"), _text(parameters, "evidence")
        weak, other = LearnerId(review["learner_id"]), LearnerId(_text(parameters, "learner"))
        said = Finding(weak, other, reason, evidence, _source(parameters))
        await self.units.identities(lambda tx: merging.tell_apart(tx, said, at=at, new_id=self.new_id))
        return {"review": review["review_id"], "not": other}

    async def link(self, parameters: Parameters) -> dict[str, Any]:
        """Two documents of one person: ``number``, ``old_number``, their kinds, ``purpose``, ``apply``."""
        at, purpose = self.clock(), _text(parameters, "purpose")
        evidence, source = _text(parameters, "evidence"), _source(parameters)
        new = _document(parameters, "kind", _text(parameters, "number"), "country", at)
        old = _document(parameters, "old-kind", _text(parameters, "old_number"), "old-country", at)

        def work(tx: IdentityTransaction) -> dict[str, Any]:
            found = tx.learners({new, old}, at)
            finding = Finding(found[old], found[new], purpose, evidence, source)
            canonical = merging.merge(tx, finding, at=at, new_id=self.new_id)
            return {"learner": found[new], "old_learner": found[old], "judged_as": canonical}

        return await self._carry_out(parameters, work, purpose, {new, old})

    async def report(self, _: Parameters) -> dict[str, Any]:
        """Reviews about names and how long they wait, by form of name; nothing about one person."""
        now, waiting = self.clock(), defaultdict[LearnerId, list[datetime]](list)
        for review in await self.units.open_reviews():
            if review["kind"] in ABOUT_NAMES:
                waiting[LearnerId(review["learner_id"])].append(review["opened_at"])
        tallies = defaultdict[NameForm, review_report.Tally](review_report.Tally)
        last = LearnerId("")
        while True:
            some, people = await self.units.reporting(partial(_named_after, last=last))
            if not some:
                break
            review_report.count(tallies, people, waiting, now)
            last = some[-1]
        return {
            "as_of": iso(now),
            "fewest": review_report.FEWEST,
            "forms": review_report.members(tallies),
        }

    # --- what they share

    async def _review(self, parameters: Parameters) -> Mapping[str, Any]:
        wanted = _text(parameters, "review")
        for review in await self.units.open_reviews():
            if review["review_id"] == wanted and review["kind"] == KIND:
                return review
        detail = "no such open question about whom a certificate names"
        raise Conflict(Code.REVIEW_STATE_REFUSED, detail, pointer="review")

    def _nobody(
        self,
        tx: IdentityTransaction,
        review: Mapping[str, Any],
        reason: str,
        at: datetime,
        source: Source,
    ) -> dict[str, Any]:
        tx.lock({LearnerId(review["learner_id"])})
        tx.add_facts([self._closed(review, _NONE, reason, at, source)])
        return {"review": review["review_id"], "outcome": _NONE}

    def _closed(
        self, review: Mapping[str, Any], outcome: str, reason: str, at: datetime, source: Source
    ) -> ReviewClosedFact:
        who, about = LearnerId(review["learner_id"]), str(review["review_id"])
        return ReviewClosedFact(FactId(self.new_id()), who, about, outcome, reason, at, source)

    async def _carry_out(
        self,
        parameters: Parameters,
        work: Callable[[IdentityTransaction], dict[str, Any]],
        purpose: str,
        documents: Collection[Identifier],
        concerned: Collection[LearnerId] = (),
    ) -> dict[str, Any]:
        """Do it, or say what would come of it; either way the access log says whose decisions were seen."""
        at, clerk = self.clock(), _clerk(parameters)

        def log(tx: IdentityTransaction) -> None:
            known = tx.known_learners(documents)
            there = {*known.values(), *(one for one in concerned if tx.weights({one}))}
            tx.log_disclosures(there, clerk, purpose[:_LONGEST_NAME], "decisions that a merge changes", at)

        await self.units.identities(log)
        if parameters.get("apply"):
            return {"applied": True, **await self.units.identities(work)}
        tried = await trial.rehearse(self.units, work, self.rulebook(), clock=self.clock, new_id=self.new_id)
        return {**tried.members(), **tried.result}


def _named_after(tx: ReportTransaction, *, last: LearnerId) -> tuple[Sequence[LearnerId], Sequence[Named]]:
    some = tx.learners_after(last, _SLICE)
    return some, tx.named(some)


# --- what a reviewer is shown -------------------------------------------------------------------------------


def _completion(tx: IdentityTransaction, review: Mapping[str, Any]) -> CompletionFact:
    for fact in tx.facts_by_id([FactId(one) for one in review["about"]]):
        if isinstance(fact, CompletionFact):
            return fact
    detail = "what the review was about has changed"
    raise Conflict(Code.REVIEW_STATE_REFUSED, detail, pointer="review")


def _shown(tx: IdentityTransaction, completion: CompletionFact) -> dict[str, Any]:
    weak = completion.learner_id
    borne = tx.borne(weak)
    apart = _told_apart(tx, weak)
    because: dict[LearnerId, list[str]] = defaultdict(list)
    for one in borne:
        if not _is_shared(one):
            for who in one.people - apart:
                because[who].append(one.kind.value)
    return {
        "learner": weak,
        "certificate": _certificate(completion),
        "holder": completion.holder.raw,
        "named_by": {"kind": completion.weak, "value": _covered(tx, weak)},
        "traits": [
            {
                "kind": one.kind.value,
                "shared": _is_shared(one),
                "people": len(one.people),
                "unidentified": one.unidentified,
            }
            for one in borne
        ],
        "proposed": _proposed(tx, completion, because),
        "told_apart": len(apart),
    }


def _is_shared(one: Borne) -> bool:
    return one.more or traits.is_shared(len(one.people), one.unidentified)


def _certificate(completion: CompletionFact) -> dict[str, str]:
    return {
        "platform": completion.platform,
        "issuer": completion.issuer,
        "number": completion.number,
        "course": completion.course_title,
        "organisation": completion.organisation,
        "completed_on": beijing_date(completion.completed_at).isoformat(),
        "issued_on": beijing_date(completion.issued_at).isoformat(),
    }


def _covered(tx: IdentityTransaction, weak: LearnerId) -> str:
    """By what the certificate names its holder: enough of it to compare with a paper, and no more."""
    [key] = tx.identifiers_of({weak})[weak]
    return traits.covered(json.loads(key.value)[4])


def _told_apart(tx: IdentityTransaction, weak: LearnerId) -> frozenset[LearnerId]:
    """People, by canonical learner, of whom somebody said that they are not this one."""
    facts = tx.told_apart({weak})
    others = {who for fact in facts for who in (fact.learner_id, fact.other)} - {weak}
    members = tx.members(others)
    return frozenset(members[one] for one in others)


def _proposed(
    tx: IdentityTransaction, completion: CompletionFact, because: Mapping[LearnerId, Sequence[str]]
) -> list[dict[str, Any]]:
    members = tx.members(because)
    names, identifiers = tx.names_of(members), tx.identifiers_of(members)
    said = []
    for who, kinds in sorted(because.items()):
        group = sorted(one for one, judged in members.items() if judged == who)
        known = [name for one in group for name in names.get(one, ())]
        relations = [identity.compare_names(completion.holder, name) for name in known]
        said.append(
            {
                "learner": who,
                "because": sorted(kinds),
                "names": sorted({name.raw for name in known}),
                "compared": sorted({relation.value for relation in relations}),
                "identifiers": [
                    identity.masked(item)
                    for one in group
                    for item in identifiers.get(one, ())
                    if not learner.is_provisional(item)
                ],
            }
        )
    return said


# --- parameters ---------------------------------------------------------------------------------------------


def _document(parameters: Parameters, kind: str, number: str, country: str, at: datetime) -> Identifier:
    word = parameters.get(kind, "") or ClaimedKind.RESIDENT_ID.value
    return learner.strong(word, number, parameters.get(country, ""), beijing_date(at))


def _clerk(parameters: Parameters) -> str:
    return f"clerk:{_source(parameters).reference}"[:_LONGEST_NAME]
