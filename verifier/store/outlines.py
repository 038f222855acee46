"""What an answer about people needs of their facts and decisions, a few columns of each and nothing opened.

The same facts as a case is made of (``Deciding.cases``); where a decision is recorded nobody needs more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import msgspec
from sqlalchemy import bindparam, exists, func, literal_column, select

from verifier.model.decision import Entitlement, State
from verifier.model.facts import FactKind
from verifier.model.person import LearnerId, PersonName, Uscc
from verifier.model.standing import Completed, Listed, Outline, Recorded
from verifier.store import tables
from verifier.store.columns import moment, plainly
from verifier.store.intake import Roster
from verifier.store.keys import KEYS


class _Row(msgspec.Struct):
    """A roster's row without its name."""

    uscc: Uscc
    start: date
    end: date | None
    withdrawn: bool = False


class _Contest(msgspec.Struct):
    uscc: Uscc
    upheld: bool | None = None


_COMPLETIONS: Final = msgspec.json.Decoder(Completed)
_ROWS: Final = msgspec.json.Decoder(_Row)
_CONTESTS: Final = msgspec.json.Decoder(_Contest)
_NAMES: Final = msgspec.json.Decoder(PersonName)
_NOBODY: Final = PersonName("", "", ())
"""What is read of a name once its key was destroyed."""
_COMPLETION: Final = FactKind.COMPLETION.value
_EMPLOYMENT: Final = FactKind.EMPLOYMENT.value
_KINDS: Final = {
    kind.value: kind.value for kind in (FactKind.COMPLETION, FactKind.EMPLOYMENT, FactKind.CONTEST)
}
_FACTS, _LEARNERS, _DECISIONS = tables.facts.c, tables.learners.c, tables.decisions.c
_LATER, _OTHER = tables.facts.alias("later").c, tables.decisions.alias("other").c
_CURRENT: Final = ~exists().where(_LATER.supersedes == _FACTS.fact_id)
_OUTLINED: Final = select(_FACTS.learner_id, _FACTS.kind, _FACTS.content).where(
    _FACTS.learner_id.in_(KEYS), _FACTS.kind.in_([bindparam(name) for name in _KINDS]), _CURRENT
)
_LISTED: Final = select(
    _FACTS.learner_id, _FACTS.fact_id, _FACTS.content, _FACTS.sealed, _LEARNERS.sealed_key
).where(
    _FACTS.learner_id.in_(KEYS),
    # Not by the enterprise's index: of one that lists many it finds them all, for each of the learners.
    _FACTS.uscc + literal_column("''") == bindparam("uscc"),
    _FACTS.kind == bindparam("employment"),
    _CURRENT,
    # With the rows comes the key by which their names are opened.
    _LEARNERS.learner_id == _FACTS.learner_id,
)
_NEWEST: Final = (
    select(func.max(_OTHER.revision))
    .where(_OTHER.learner_id == _DECISIONS.learner_id, _OTHER.entitlement == bindparam("entitlement"))
    .scalar_subquery()
)
_RECORDED: Final = select(
    _DECISIONS.learner_id, _DECISIONS.state, plainly(_DECISIONS.decided_at), _DECISIONS.trace
).where(
    _DECISIONS.learner_id.in_(KEYS),
    _DECISIONS.entitlement == bindparam("entitlement"),
    _DECISIONS.revision == _NEWEST,
)


@dataclass(slots=True)
class _Sheet:
    """An outline while its facts are read."""

    completions: list[Completed] = field(default_factory=list)
    listings: list[Listed] = field(default_factory=list)
    contested: set[Uscc] = field(default_factory=set)
    refuted: set[Uscc] = field(default_factory=set)

    def take(self, kind: str, content: str) -> None:
        if kind == _COMPLETION:
            self.completions.append(_COMPLETIONS.decode(content))
        elif kind == _EMPLOYMENT:
            row = _ROWS.decode(content)
            if not row.withdrawn:
                self.listings.append(Listed(row.uscc, row.start, row.end))
        else:
            contest = _CONTESTS.decode(content)
            if contest.upheld is not False:
                self.contested.add(contest.uscc)
            if contest.upheld:
                self.refuted.add(contest.uscc)

    def outline(self) -> Outline:
        return Outline(
            tuple(self.completions),
            tuple(self.listings),
            frozenset(self.contested),
            frozenset(self.refuted),
        )


class Outlines(Roster):
    """Reads about many people at once."""

    def outlines(self, members: Mapping[LearnerId, LearnerId]) -> Mapping[LearnerId, Outline]:
        """What is known of everyone who is judged under somebody, nothing sealed; by that somebody."""
        sheets: dict[LearnerId, _Sheet] = defaultdict(_Sheet)
        for learner, kind, content in self.among(_OUTLINED, members, **_KINDS):
            sheets[members[learner]].take(kind, content)
        return {who: sheets[who].outline() for who in {*members.values()}}

    def listed_names(
        self, uscc: Uscc, learners: Collection[LearnerId]
    ) -> Mapping[LearnerId, Sequence[PersonName]]:
        """The names on an enterprise's rows that it did not take back, for those of the learners it lists."""
        found: dict[LearnerId, list[PersonName]] = defaultdict(list)
        vault = self.vault
        lacking = vault.lacking(learners)
        rows = self.among(_LISTED, learners, uscc=uscc, employment=_EMPLOYMENT)
        for learner, fact_id, content, sealed, key in rows:
            if _ROWS.decode(content).withdrawn:
                continue
            if learner in lacking:
                vault.load(learner, key)
                lacking.discard(learner)
            opened = vault.open(learner, "facts.sealed", fact_id, sealed)
            found[learner].append(_NOBODY if opened is None else _NAMES.decode(opened))
        return found

    def recorded(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, Recorded]:
        """The newest decision of each learner that has one."""
        rows = self.among(_RECORDED, learners, entitlement=entitlement)
        return {who: Recorded(State(state), moment(at), trace) for who, state, at, trace in rows}
