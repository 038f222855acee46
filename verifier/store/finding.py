"""Whose turn it is to be looked at for signals, and what was found: ``FindingTransaction``.

Whose turn it is follows from the evidence roots. Every fact has its evidence, every piece of evidence gets
the ledger index of one root, and these indices only grow; so a cursor over them passes every fact once,
whatever transactions overlapped, and nothing has to be written with a fact. Reading again what was read does
no harm: the same finding is kept once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Integer, bindparam, delete, exists, func, or_, select, tuple_, update
from typing_extensions import override

from verifier.model.decision import Case, Entitlement, Holding
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmploymentFact,
    FactKind,
    ScopeFact,
)
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Course, Finding, Former, Person, Row, Sketch
from verifier.ports.signals import Check, Cursor, Slice
from verifier.signatures import strict_json
from verifier.store import codec, tables
from verifier.store.keys import KEYS
from verifier.store.session import chunks
from verifier.store.signals import Signals
from verifier.store.tables_signals import signal_checks, signal_cursor, signals

_NAME: Final = "facts"
_BEGINNING: Final = Cursor(-1, "")
_LOOKED_AT: Final = (FactKind.COMPLETION.value, FactKind.EMPLOYMENT.value, FactKind.MERGE.value)
_NO_ENTITLEMENT: Final = Entitlement("")
"""Whether a month is taken is nothing that a rule looks at."""
_KEY_MEMBERS: Final = ("kty", "crv", "x", "y", "n", "e")


_FACTS: Final = tables.facts.c
_LATER: Final = tables.facts.alias("later")
_CURSOR: Final = select(signal_cursor.c.position, signal_cursor.c.evidence_id).where(
    signal_cursor.c.name == _NAME
)
_SLICE: Final = (
    select(
        tables.evidence.c.position,
        tables.evidence.c.evidence_id,
        tables.evidence.c.source_table,
        tables.evidence.c.source_key,
    )
    .where(
        tables.evidence.c.position >= bindparam("root"),
        or_(
            tables.evidence.c.position > bindparam("root"),
            tables.evidence.c.evidence_id > bindparam("last"),
        ),
    )
    .order_by(tables.evidence.c.position, tables.evidence.c.evidence_id)
    .limit(bindparam("most", type_=Integer))
)
_CONCERNED: Final = select(_FACTS.learner_id, _FACTS.reference, _FACTS.kind).where(
    _FACTS.fact_id.in_(KEYS), _FACTS.kind.in_(_LOOKED_AT)
)
_SKETCHED: Final = select(_FACTS.learner_id, _FACTS.kind, _FACTS.reference, _FACTS.content).where(
    _FACTS.learner_id.in_(KEYS), ~exists().where(_LATER.c.supersedes == _FACTS.fact_id)
)
_ENTANGLED: Final = (
    select(_FACTS.reference)
    .where(
        _FACTS.reference.in_(KEYS),
        _FACTS.kind.in_((FactKind.COMPLETION.value, FactKind.REVOCATION.value)),
    )
    .group_by(_FACTS.reference)
    # Of the two words the second comes later in every alphabet.
    .having(
        or_(
            func.count(_FACTS.learner_id.distinct()) > 1,
            func.max(_FACTS.kind) == FactKind.REVOCATION.value,
        )
    )
)
_TRAITS: Final = tables.traits.c
_VALUE: Final = (_TRAITS.kind, _TRAITS.pepper_version, _TRAITS.blind_index)
_BORNE: Final = select(_TRAITS.learner_id, *_VALUE).where(_TRAITS.learner_id.in_(KEYS))
# Once for each value: joined person by person, what thousands share would be counted thousands of times.
_BEARERS: Final = select(*_VALUE, func.count()).where(tuple_(*_VALUE).in_(KEYS)).group_by(*_VALUE)
_ADVANCE: Final = (
    update(signal_cursor)
    .where(
        signal_cursor.c.name == _NAME,
        signal_cursor.c.position == bindparam("root"),
        signal_cursor.c.evidence_id == bindparam("last"),
    )
    .values(position=bindparam("new_root"), evidence_id=bindparam("new_last"))
)
_COURSES: Final = msgspec.json.Decoder(Course)
_ROWS: Final = msgspec.json.Decoder(Row)


class Looking(Signals):
    """One transaction that looks for signals, or writes down what was found."""

    names_opened = True
    """Whether what is sealed in a fact is opened; the rules on a whole roster need no name."""

    @override
    def opened(self, row: Mapping[Any, Any]) -> AnyFact:
        return super().opened(row) if self.names_opened else codec.fact(row, None)

    @override
    def learner_keys(self, learners: Collection[str]) -> None:
        if self.names_opened:
            super().learner_keys(learners)

    @override
    def _organisations(self, uscc: Collection[Uscc]) -> list[AdmissionFact | ScopeFact]:
        return []  # no rule looks at admissions and scopes

    @override
    def _holdings(
        self, members: Mapping[LearnerId, LearnerId], entitlement: Entitlement
    ) -> tuple[dict[LearnerId, Holding], dict[LearnerId, set[Entitlement]]]:
        return {}, {}  # nor at what is granted

    # Whose turn it is

    def _cursor(self) -> Cursor:
        row = self.connection.execute(_CURSOR).one_or_none()
        return _BEGINNING if row is None else Cursor(row.position, row.evidence_id)

    def next_slice(self, limit: int) -> Slice | None:
        """The next facts under an evidence root; None where all were looked at."""
        before = self._cursor()
        where = {"root": before.position, "last": before.evidence, "most": limit}
        rows = self.connection.execute(_SLICE, where).all()
        if not rows:
            return None
        facts = [json.loads(row.source_key)[0] for row in rows if row.source_table == tables.facts.name]
        after = Cursor(rows[-1].position, rows[-1].evidence_id)
        return Slice(before, after, self._concerned(facts), len(rows))

    def _concerned(self, facts: Collection[str]) -> Collection[LearnerId]:
        found: set[LearnerId] = set()
        for learner, reference, kind in self.among(_CONCERNED, facts):
            found.add(LearnerId(learner))
            if kind == FactKind.MERGE.value:
                found.add(LearnerId(reference))
        return {*self.members(found).values()}

    def advance(self, found: Slice) -> bool:
        """Move the cursor; False if somebody else moved it meanwhile."""
        first = {"name": _NAME, "position": _BEGINNING.position, "evidence_id": _BEGINNING.evidence}
        self.insert_missing(signal_cursor, [first])
        before, after = found.before, found.after
        there = {"root": before.position, "last": before.evidence}
        new = {"new_root": after.position, "new_last": after.evidence}
        return self.connection.execute(_ADVANCE, {**there, **new}).rowcount == 1

    def ask(self, enterprises: Collection[Uscc], at: datetime, not_before: datetime) -> None:
        """Note that these enterprises are to be looked at, from a moment on.

        Always a row of its own: one that waits already may belong to a look that began before.
        """
        rows = [
            {"check_id": self.vault.new_id(), "uscc": uscc, "not_before": max(at, not_before)}
            for uscc in sorted(enterprises)
        ]
        if rows:
            self.connection.execute(signal_checks.insert(), rows)

    def next_check(self, at: datetime) -> Check | None:
        """The enterprise that waits longest, where one is ripe."""
        table = signal_checks
        uscc = self.connection.execute(
            select(table.c.uscc)
            .where(table.c.not_before <= at)
            .order_by(table.c.not_before, table.c.check_id)
            .limit(1)
        ).scalar_one_or_none()
        if uscc is None:
            return None
        rows = self.connection.execute(select(table.c.check_id).where(table.c.uscc == uscc)).scalars()
        return Check(Uscc(uscc), sorted(rows))

    def done(self, check: Check) -> None:
        """An enterprise was looked at; what asks for it since then stays."""
        for chunk in chunks(check.rows):
            self.connection.execute(delete(signal_checks).where(signal_checks.c.check_id.in_(chunk)))

    # What the rules look at

    def sketches(self, learners: Collection[LearnerId], *, shared: bool = True) -> Sequence[Sketch]:
        """These people without their names; ``shared`` only if it is asked for."""
        courses: dict[str, list[Course]] = defaultdict(list)
        rows: dict[str, list[Row]] = defaultdict(list)
        under: dict[str, list[str]] = defaultdict(list)
        members = self.members(learners)
        entangled = {one for pair in members.items() if pair[0] != pair[1] for one in pair}
        for learner, kind, reference, content in self.among(_SKETCHED, learners):
            if kind == FactKind.COMPLETION.value:
                courses[learner].append(_COURSES.decode(content))
                under[reference].append(learner)
            elif kind == FactKind.EMPLOYMENT.value:
                if not (row := _ROWS.decode(content)).withdrawn:
                    rows[learner].append(row)
            else:
                entangled.add(LearnerId(learner))
        for (reference,) in self.among(_ENTANGLED, under):
            entangled.update(map(LearnerId, under[reference]))
        alike = self._shared({one: one for one in learners if one in courses}) if shared else {}
        return [
            Sketch(one, tuple(courses[one]), tuple(rows[one]), one in entangled, alike.get(one, {}))
            for one in sorted(learners)
        ]

    def persons(self, learners: Collection[LearnerId], at: datetime) -> Sequence[Person]:
        """These people, with their names."""
        cases = self.cases(learners, _NO_ENTITLEMENT, at)
        former, shared = self._former(cases.values(), at), self._shared(self.members(cases))
        return [
            Person(
                case,
                tuple(
                    one
                    for completion in case.completions
                    for one in former.get(_number(completion), ())
                    if one.completion.learner_id != completion.learner_id
                ),
                shared.get(learner, {}),
            )
            for learner, case in sorted(cases.items())
        ]

    def _former(
        self, cases: Collection[Case], at: datetime
    ) -> Mapping[tuple[str, str, str], Sequence[Former]]:
        """Every completion that ever stood under these numbers, where they were several people's."""
        table = tables.completions
        key = (table.c.issuer, table.c.number_scope, table.c.number)
        numbers = {_number(completion) for case in cases for completion in case.completions}
        ids: list[str] = []
        for chunk in chunks(numbers):
            moved = (
                select(*key)
                .where(tuple_(*key).in_(chunk))
                .group_by(*key)
                .having(func.count(table.c.learner_id.distinct()) > 1)
            )
            ids += self.connection.execute(select(table.c.fact_id).where(tuple_(*key).in_(moved))).scalars()
        completions = [fact for fact in self.facts_ever(ids) if isinstance(fact, CompletionFact)]
        rows = self._rows({fact.learner_id for fact in completions}, at)
        found: dict[tuple[str, str, str], list[Former]] = defaultdict(list)
        for fact in completions:
            found[_number(fact)].append(Former(fact, rows[fact.learner_id]))
        return found

    def _rows(
        self, learners: Collection[LearnerId], at: datetime
    ) -> Mapping[LearnerId, tuple[EmploymentFact, ...]]:
        canonical = {one: self.members({one})[one] for one in learners}
        cases = self.cases({*canonical.values()}, _NO_ENTITLEMENT, at)
        return {one: cases[canonical[one]].employments for one in learners}

    def _shared(self, members: Mapping[LearnerId, LearnerId]) -> Mapping[LearnerId, Mapping[str, int]]:
        """By kind of weak value: how many people bear the most shared one of each of these."""
        borne = [
            (members[LearnerId(learner)], (kind, version, bytes(index)))
            for learner, kind, version, index in self.among(_BORNE, members)
        ]
        people = {
            (kind, version, bytes(index)): count
            for kind, version, index, count in self.among(_BEARERS, {value for _, value in borne})
        }
        found: dict[LearnerId, dict[str, int]] = defaultdict(dict)
        for learner, value in borne:
            found[learner][value[0]] = max(people[value], found[learner].get(value[0], 0))
        return found

    def listed_after(self, uscc: Uscc, learner: LearnerId, limit: int) -> Sequence[LearnerId]:
        """The next learners that any row of an enterprise's roster names, by id."""
        table = tables.facts
        rows = self.connection.execute(
            select(table.c.learner_id)
            .where(
                table.c.uscc == uscc,
                table.c.kind == FactKind.EMPLOYMENT.value,
                table.c.learner_id > learner,
            )
            .distinct()
            .order_by(table.c.learner_id)
            .limit(limit)
        ).scalars()
        return [LearnerId(who) for who in rows]

    def nameless(self, learners: Collection[LearnerId], at: datetime) -> Sequence[Case]:
        """The cases under which these are judged; no name in them is opened."""
        self.names_opened = False
        return [*self.cases({*self.members(learners).values()}, _NO_ENTITLEMENT, at).values()]

    def first_recorded(self, uscc: Uscc) -> datetime | None:
        """When the first row of an enterprise's rosters was recorded."""
        table = tables.facts
        mine = (table.c.uscc == uscc, table.c.kind == FactKind.EMPLOYMENT.value)
        first: datetime | None = self.connection.execute(
            select(func.min(table.c.recorded_at)).where(*mine)
        ).scalar_one()
        return first

    def sharing(self, uscc: Uscc, limit: int) -> Collection[Uscc]:
        """Other enterprises whose rosters came through a client that holds the same public key."""
        rosters = tables.rosters
        through = self.connection.execute(
            select(rosters.c.uploaded_by).where(rosters.c.uscc == uscc).distinct()
        ).scalars()
        keys = self._client_keys()
        held = {keys[client] for client in through if client in keys}
        clients = [client for client, key in keys.items() if key in held]
        found: set[Uscc] = set()
        for chunk in chunks(clients):
            rows = self.connection.execute(
                select(rosters.c.uscc)
                .where(rosters.c.uploaded_by.in_(chunk), rosters.c.uscc != uscc)
                .distinct()
                .order_by(rosters.c.uscc)
                .limit(limit)
            ).scalars()
            found |= {Uscc(code) for code in rows}
        return found

    def _client_keys(self) -> Mapping[str, str]:
        """The newest public key of each client that has one, as one text."""
        table = tables.clients
        rows = self.connection.execute(
            select(table.c.client_id, table.c.jwk).order_by(table.c.client_id, table.c.version)
        ).all()
        keys = {client: json.loads(jwk) for client, jwk in rows}
        return {
            client: json.dumps([key.get(member) for member in _KEY_MEMBERS])
            for client, key in keys.items()
            if key
        }

    def keep(self, findings: Collection[Finding], rules: str, thresholds: str, at: datetime) -> int:
        """Write down what was not found before, and say how many that are."""
        wanted = {found.digest: found for found in findings}
        for chunk in chunks(wanted):
            known = self.connection.execute(
                select(signals.c.subject_digest).where(signals.c.subject_digest.in_(chunk))
            ).scalars()
            for digest in {bytes(value) for value in known}:
                del wanted[digest]
        rows = [
            {
                "signal_id": self.vault.new_id(),
                "kind": found.kind.value,
                "learner_id": found.learner_id,
                "uscc": found.uscc,
                "about": json.dumps(found.about),
                "details": strict_json.canonical(dict(found.details)).decode(),
                "subject_digest": digest,
                "rules": rules,
                "thresholds": thresholds,
                "found_at": at,
            }
            for digest, found in sorted(wanted.items())
        ]
        self.append(signals, rows)
        return len(rows)


def _number(completion: CompletionFact) -> tuple[str, str, str]:
    return (completion.issuer, completion.number_scope, completion.number)
