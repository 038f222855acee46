"""What can be derived from the rest, derived again and compared: for ``verifier.audit``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import and_, exists, func, select, tuple_

from verifier.model.facts import FactKind
from verifier.policy import entitlement_of
from verifier.store import tables
from verifier.store.deciding import CLAIMED, CLAWBACK, GRANTED, PAID
from verifier.store.reading import ReadingSession
from verifier.store.session import PIECE, chunks

_OVER = frozenset({"release", "returned"})

Row = Mapping[Any, Any]


class Derived(ReadingSession):
    """Compares working state with what it follows from."""

    # Slots

    def slots_without_grant(self) -> Iterator[str]:
        """Learners whose month's slot does not agree with their newest decision."""
        decisions, slots = tables.decisions, tables.slots
        newest = (
            select(decisions.c.learner_id, decisions.c.entitlement, func.max(decisions.c.revision))
            .group_by(decisions.c.learner_id, decisions.c.entitlement)
            .subquery()
        )
        granted = select(decisions.c.learner_id, decisions.c.entitlement).where(
            tuple_(decisions.c.learner_id, decisions.c.entitlement, decisions.c.revision).in_(select(newest)),
            decisions.c.state == "granted",
        )
        missing = granted.where(
            # A month just given back is judged again in a moment; a hold that ends some day excuses nothing.
            decisions.c.learner_id.not_in(
                select(tables.due.c.learner_id).where(tables.due.c.not_before.is_(None))
            ),
            # Nothing is decided about whoever was erased, also when their month is given back.
            decisions.c.learner_id.not_in(
                select(tables.learners.c.learner_id).where(tables.learners.c.sealed_key.is_(None))
            ),
            ~exists().where(
                and_(
                    slots.c.learner_id == decisions.c.learner_id,
                    slots.c.entitlement == decisions.c.entitlement,
                    slots.c.decision_id == decisions.c.decision_id,
                )
            ),
        )
        yield from self.connection.execute(missing).scalars()
        surplus = select(slots.c.learner_id).where(
            slots.c.state != CLAWBACK, tuple_(slots.c.learner_id, slots.c.entitlement).not_in(granted)
        )
        yield from self.connection.execute(surplus).scalars()

    def altered_slots(self) -> Iterator[str]:
        """Learners whose slot is not what decisions and claims made of it."""
        slots = tables.slots
        piece: list[Row] = []
        for row in self.pieces(select(slots), [slots.c.learner_id, slots.c.entitlement]):
            piece.append(row)
            if len(piece) == PIECE:
                yield from self._altered_among(piece)
                piece = []
        yield from self._altered_among(piece)
        yield from self._claimed_without_slot()

    def _claimed_without_slot(self) -> Iterator[str]:
        """Learners on whose month a claim stands, and whose slot is gone."""
        claims, slots = tables.claims, tables.slots
        over = claims.alias("over")
        standing = select(claims.c.learner_id).where(
            claims.c.step == "claim",
            ~exists().where(over.c.claim_id == claims.c.claim_id, over.c.step.in_(sorted(_OVER))),
            ~exists().where(slots.c.claim_id == claims.c.claim_id),
        )
        yield from self.connection.execute(standing).scalars()

    def _altered_among(self, slots: list[Row]) -> Iterator[str]:
        learners = {row["learner_id"] for row in slots}
        decisions, claims = self._history(learners), self._live_claims(learners)
        wanted = {one["completion_fact"] for several in decisions.values() for one in several}
        numbers = self._numbers({fact for fact in wanted if fact})
        for row in slots:
            about = (row["learner_id"], row["entitlement"])
            if _holding(row) != _expected(decisions.get(about, []), claims.get(about), numbers):
                yield row["learner_id"]

    def _history(self, learners: Collection[str]) -> dict[tuple[str, str], list[Row]]:
        table = tables.decisions
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        columns = ("decision_id", "learner_id", "entitlement", "state", "completion_fact", "uscc")
        for chunk in chunks(learners):
            rows = select(*(table.c[name] for name in columns)).where(table.c.learner_id.in_(chunk))
            for row in self.connection.execute(rows.order_by(table.c.revision)).mappings():
                found[row["learner_id"], row["entitlement"]].append(row)
        return found

    def _live_claims(self, learners: Collection[str]) -> dict[tuple[str, str], tuple[str, str]]:
        """The claim that stands on each month, and whether it is claimed or paid."""
        table = tables.claims
        steps: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for chunk in chunks(learners):
            for row in self.connection.execute(select(table).where(table.c.learner_id.in_(chunk))):
                steps[row.learner_id, row.entitlement][row.claim_id].add(row.step)
        return {
            about: (claim, PAID if PAID in taken else CLAIMED)
            for about, claims in steps.items()
            for claim, taken in claims.items()
            if taken.isdisjoint(_OVER)
        }

    def _numbers(self, facts: Collection[str]) -> dict[str, list[str]]:
        """Issuer, number scope and number of completions."""
        table = tables.facts
        found = {}
        for chunk in chunks(facts):
            rows = select(table.c.fact_id, table.c.reference).where(table.c.fact_id.in_(chunk))
            found.update({fact: _list(reference) for fact, reference in self.connection.execute(rows)})
        return found

    # Unique keys of completions

    def altered_completions(self) -> Iterator[str]:
        """Facts whose unique key is missing or another's, and keys without a fact."""
        facts, table = tables.facts, tables.completions
        joined = (
            select(table, facts.c.reference, facts.c.recorded_at, facts.c.learner_id.label("whose"))
            .outerjoin(
                facts, and_(facts.c.fact_id == table.c.fact_id, facts.c.kind == FactKind.COMPLETION.value)
            )
            .order_by(table.c.issuer, table.c.number_scope, table.c.number, table.c.revision)
        )
        number: list[str] = []
        revision, last = 0, None
        for row in self.connection.execute(joined).mappings():
            mine = [row["issuer"], row["number_scope"], row["number"]]
            if mine != number:
                number, revision, last = mine, 0, None
            revision += 1
            stands = (_list(row["reference"]), row["whose"], revision)
            # Counted in the order in which they came.
            late = last is not None and row["recorded_at"] is not None and row["recorded_at"] < last
            if stands != (mine, row["learner_id"], row["revision"]) or late:
                yield row["fact_id"]
            last = row["recorded_at"]
        unkeyed = select(facts.c.fact_id).where(
            facts.c.kind == FactKind.COMPLETION.value, ~exists().where(table.c.fact_id == facts.c.fact_id)
        )
        yield from self.connection.execute(unkeyed).scalars()
        twice = select(table.c.fact_id).group_by(table.c.fact_id).having(func.count() > 1)
        yield from self.connection.execute(twice).scalars()

    # Who is merged, and what is in force

    def altered_merges(self) -> Iterator[str]:
        """Learners who are not judged with those they are merged with."""
        rows = self.connection.execute(select(tables.merged.c.learner_id, tables.merged.c.canonical_id))
        canonical = {learner: whom for learner, whom in rows}  # noqa: C416 - rows are no pairs to mypy
        together = self._merged_groups()
        for learner in sorted(canonical.keys() | together.keys()):
            group = together.get(learner, set())
            if {canonical.get(one) for one in group} != {canonical.get(learner)} or (
                canonical.get(learner) not in group
            ):
                yield learner

    def _merged_groups(self) -> dict[str, set[str]]:
        """Whoever was ever merged with anybody, with all who are one person with them by now."""
        facts = tables.facts
        later = facts.alias("later")
        merges = (
            select(facts.c.learner_id, facts.c.reference, facts.c.content, later.c.fact_id.label("undone_by"))
            .outerjoin(later, later.c.supersedes == facts.c.fact_id)
            .where(facts.c.kind == FactKind.MERGE.value)
        )
        together: dict[str, set[str]] = {}
        for learner, other, content, undone_by in self.connection.execute(merges):
            first, second = together.get(learner, {learner}), together.get(other, {other})
            together |= {**dict.fromkeys(first, first), **dict.fromkeys(second, second)}
            if undone_by is None and not _member(content, "undone"):
                together |= dict.fromkeys(first | second, first | second)
        return together

    def altered_in_force(self) -> Iterator[str]:
        """What is in force other than was adopted last."""
        adoptions, table = tables.adoptions, tables.in_force
        adopted: dict[str, str] = {}
        rows = select(adoptions).order_by(adoptions.c.adopted_at, adoptions.c.adoption_id)
        for row in self.connection.execute(rows):
            about = entitlement_of(row.content) if row.kind == "policy" else ""
            adopted[f"{row.kind}/{about}" if about else row.kind] = row.digest
        found = self.connection.execute(select(table.c.name, table.c.digest))
        standing = {name: digest for name, digest in found}  # noqa: C416 - as above
        for name in sorted(adopted.keys() | standing.keys()):
            if adopted.get(name) != standing.get(name):
                yield name


def _holding(row: Row) -> tuple[Any, ...]:
    number = [row["issuer"], row["number_scope"], row["number"]]
    return (row["state"], row["claim_id"], row["decision_id"], row["uscc"], number)


def _expected(
    history: list[Row], claim: tuple[str, str] | None, numbers: Mapping[str, list[str]]
) -> tuple[Any, ...]:
    """State, claim, decision, employer and number that decisions and claims made of a slot."""
    grants = [place for place, one in enumerate(history) if one["state"] == "granted"]
    if not grants:
        return ()
    last = grants[-1]
    grant = history[last]
    claim_id, paid = claim or (None, GRANTED)
    number = numbers.get(grant["completion_fact"], [])
    if last == len(history) - 1:
        return (paid, claim_id, grant["decision_id"], grant["uscc"], number)
    # The first decision that took the grant back asked for the money.
    return (CLAWBACK, claim_id, history[last + 1]["decision_id"], grant["uscc"], number)


def _list(text: str | None) -> list[str]:
    try:
        return list(json.loads(text or "[]"))
    except ValueError:
        return []  # the row is altered, which its evidence shows


def _member(content: str, name: str) -> Any:
    try:
        return json.loads(content).get(name)
    except (ValueError, AttributeError):
        return None  # as above
