"""What an answer about people needs of their facts and decisions, a few columns of each and nothing opened.

The same facts as a case is made of (``Deciding.cases``); where a decision is recorded nobody needs more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, and_, exists, func, select

from verifier.model.decision import Entitlement, State
from verifier.model.facts import FactKind
from verifier.model.person import LearnerId, PersonName, Uscc
from verifier.model.standing import Completed, Listed, Outline, Recorded
from verifier.store import tables
from verifier.store.intake import Roster
from verifier.store.session import chunks


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
_OUTLINED: Final = (FactKind.COMPLETION.value, FactKind.EMPLOYMENT.value, FactKind.CONTEST.value)


@dataclass(slots=True)
class _Sheet:
    """An outline while its facts are read."""

    completions: list[Completed] = field(default_factory=list)
    listings: list[Listed] = field(default_factory=list)
    contested: set[Uscc] = field(default_factory=set)
    refuted: set[Uscc] = field(default_factory=set)

    def take(self, kind: str, content: str) -> None:
        if kind == FactKind.COMPLETION.value:
            self.completions.append(_COMPLETIONS.decode(content))
        elif kind == FactKind.EMPLOYMENT.value:
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
        table = tables.facts
        columns = (table.c.learner_id, table.c.kind, table.c.content)
        for learner, kind, content in self._current(columns, members, table.c.kind.in_(_OUTLINED)):
            sheets[members[learner]].take(kind, content)
        return {who: sheets[who].outline() for who in {*members.values()}}

    def _current(
        self,
        columns: Sequence[ColumnElement[Any]],
        learners: Collection[LearnerId],
        which: ColumnElement[bool],
    ) -> Iterator[Sequence[Any]]:
        """Columns of facts about learners that nothing supersedes."""
        table, later = tables.facts, tables.facts.alias("later")
        current = ~exists().where(later.c.supersedes == table.c.fact_id)
        for chunk in chunks(learners):
            yield from self.connection.execute(
                select(*columns).where(table.c.learner_id.in_(chunk), which, current)
            )

    def listed_names(
        self, uscc: Uscc, learners: Collection[LearnerId]
    ) -> Mapping[LearnerId, Sequence[PersonName]]:
        """The names on an enterprise's rows that it did not take back, for those of the learners it lists."""
        table = tables.facts
        columns = (table.c.learner_id, table.c.fact_id, table.c.content, table.c.sealed)
        mine = and_(table.c.uscc == uscc, table.c.kind == FactKind.EMPLOYMENT.value)
        rows = [row for row in self._current(columns, learners, mine) if not _ROWS.decode(row[2]).withdrawn]
        self.learner_keys({row[0] for row in rows})
        found: dict[LearnerId, list[PersonName]] = defaultdict(list)
        for learner, fact_id, _, sealed in rows:
            opened = self.vault.open(learner, "facts.sealed", fact_id, sealed)
            found[learner].append(_NOBODY if opened is None else _NAMES.decode(opened))
        return found

    def recorded(
        self, learners: Collection[LearnerId], entitlement: Entitlement
    ) -> Mapping[LearnerId, Recorded]:
        """The newest decision of each learner that has one."""
        table, other = tables.decisions, tables.decisions.alias("other")
        newest = (
            select(func.max(other.c.revision))
            .where(other.c.learner_id == table.c.learner_id, other.c.entitlement == entitlement)
            .scalar_subquery()
        )
        found: dict[LearnerId, Recorded] = {}
        for chunk in chunks(learners):
            rows = self.connection.execute(
                select(table.c.learner_id, table.c.state, table.c.decided_at, table.c.trace).where(
                    table.c.learner_id.in_(chunk),
                    table.c.entitlement == entitlement,
                    table.c.revision == newest,
                )
            )
            found.update(
                {LearnerId(who): Recorded(State(state), at, trace) for who, state, at, trace in rows}
            )
        return found
