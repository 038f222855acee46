"""Signals as they are shown and closed: ``SignalTransaction``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, exists, func, or_, select

from verifier.errors import Code, Conflict
from verifier.model.facts import CompletionFact, EmploymentFact, FactId
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Closing, Signal, SignalId, SignalKind, SignalOutcome
from verifier.store import tables
from verifier.store.access import Access
from verifier.store.session import chunks
from verifier.store.tables_signals import signal_closings, signals

_OPERATOR: Final = 64
_WITH_CLOSINGS: Final = signals.outerjoin(signal_closings, signal_closings.c.signal_id == signals.c.signal_id)

_REASON_KEY = "signal_closings.sealed_key"
"""Where the key stands of a reason that is about an enterprise, and so under no learner's."""


class Signals(Access):
    """One transaction that shows or closes signals."""

    def counts(self) -> Mapping[tuple[SignalKind, bool], int]:
        """How many signals there are, by kind and whether they are open."""
        closed = signal_closings.c.signal_id.is_not(None)
        rows = self.connection.execute(
            select(signals.c.kind, closed.label("closed"), func.count())
            .select_from(_WITH_CLOSINGS)
            .group_by(signals.c.kind, closed)
        )
        return {(SignalKind(kind), not closed): count for kind, closed, count in rows}

    def signals(
        self, kind: SignalKind | None, uscc: Uscc | None, *, closed: bool, limit: int
    ) -> Sequence[Signal]:
        """Signals, oldest first; reasons of closed ones are not opened."""
        wanted = []
        if kind is not None:
            wanted.append(signals.c.kind == kind.value)
        if uscc is not None:
            # A code holds no sign that means something to LIKE.
            wanted.append(or_(signals.c.uscc == uscc, signals.c.details.like(f'%"{uscc}"%')))
        if not closed:
            wanted.append(signal_closings.c.signal_id.is_(None))
        rows = self.connection.execute(
            select(signals, signal_closings)
            .select_from(_WITH_CLOSINGS)
            .where(*wanted)
            .order_by(signals.c.found_at, signals.c.signal_id)
            .limit(limit)
        )
        return [_signal(row, "") for row in rows]

    def signal(self, signal_id: SignalId) -> Signal | None:
        """One signal, with the reason for which it was closed."""
        row = self.connection.execute(
            select(signals, signal_closings)
            .select_from(_WITH_CLOSINGS)
            .where(signals.c.signal_id == signal_id)
        ).one_or_none()
        return None if row is None else _signal(row, self._reason(row))

    def _reason(self, row: Row[Any]) -> str:
        if row.sealed_reason is None:
            return ""
        self.learner_keys({row.learner_id} - {None})
        place = ("signal_closings.sealed_reason", row.signal_id)
        opened: bytes | None
        if row.learner_id is None:
            opened = self.vault.open_apart(row.sealed_key, _REASON_KEY, *place, row.sealed_reason)
        else:
            opened = self.vault.open(row.learner_id, *place, row.sealed_reason)
        return "" if opened is None else opened.decode()

    def facts_ever(
        self, facts: Collection[FactId] | Collection[str]
    ) -> Sequence[CompletionFact | EmploymentFact]:
        """Those of these facts a rule may be about, with their names; the superseded ones too, by id."""
        found: list[CompletionFact | EmploymentFact] = []
        for chunk in chunks(facts):
            rows = (
                self.connection.execute(
                    select(tables.facts)
                    .where(tables.facts.c.fact_id.in_(chunk))
                    .order_by(tables.facts.c.fact_id)
                )
                .mappings()
                .all()
            )
            self.learner_keys({row["learner_id"] for row in rows if row["learner_id"]})
            opened = [self.opened(row) for row in rows]
            found += [fact for fact in opened if isinstance(fact, CompletionFact | EmploymentFact)]
        return found

    def close_signal(self, signal: Signal, closing: Closing) -> None:
        """Close a signal; one that was closed meanwhile makes the transaction start again, and fail.

        Raises:
            Conflict: REVIEW_STATE_REFUSED, it is closed.
        """
        table, signal_id = signal_closings, signal.signal_id
        if self.connection.execute(select(exists().where(table.c.signal_id == signal_id))).scalar_one():
            raise Conflict(Code.REVIEW_STATE_REFUSED, "the signal is closed", pointer="signal")
        learner = signal.learner_id
        self.learner_keys({learner} if learner else set())
        sealed = key = None
        place, reason = ("signal_closings.sealed_reason", signal_id), closing.reason.encode()
        if learner is None:
            key, sealed = self.vault.seal_apart(_REASON_KEY, *place, reason)
        elif not self.vault.erased(learner):
            sealed = self.vault.seal(learner, *place, reason)
        row = {
            "signal_id": signal_id,
            "outcome": closing.outcome.value,
            "sealed_reason": sealed,
            "sealed_key": key,
            "operator": closing.operator[:_OPERATOR],
            "closed_at": closing.closed_at,
        }
        self.append(table, [row])


def signals_of(connection: Connection, learners: Collection[LearnerId]) -> Sequence[Signal]:
    """Every signal on these learners, oldest first; reasons for closing are not opened."""
    rows = connection.execute(
        select(signals, signal_closings)
        .select_from(_WITH_CLOSINGS)
        .where(signals.c.learner_id.in_(sorted(learners)))
        .order_by(signals.c.found_at, signals.c.signal_id)
    )
    return [_signal(row, "") for row in rows]


def _signal(row: Row[Any], reason: str) -> Signal:
    closing = None
    if row.outcome is not None:
        closing = Closing(SignalOutcome(row.outcome), reason, row.operator, row.closed_at)
    return Signal(
        signal_id=SignalId(row.signal_id),
        kind=SignalKind(row.kind),
        learner_id=None if row.learner_id is None else LearnerId(row.learner_id),
        uscc=None if row.uscc is None else Uscc(row.uscc),
        about=tuple(FactId(fact) for fact in json.loads(row.about)),
        details=json.loads(row.details),
        rules=row.rules,
        thresholds=row.thresholds,
        found_at=row.found_at,
        closing=closing,
    )
