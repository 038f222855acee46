"""A recorded decision, as far as an enterprise is told of it. Pure.

Of most people the clauses say the same, but for the facts on which they rest, and those are not told. What
was read once is not read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from verifier.errors import Party
from verifier.model.decision import State
from verifier.model.person import Uscc
from verifier.model.standing import Completed, Reason, Recorded, Standing
from verifier.traces import without_facts

SAID_ALIKE: Final = 512
"""Answers of all the clauses that are kept, read or written: some 5 kB each."""
_RECORDED: Final = {
    State.GRANTED: Standing.GRANTED_HERE,
    State.PENDING: Standing.PENDING,
    State.REFUSED: Standing.REFUSED,
}


class Found(NamedTuple):
    """Where one completion stands, recorded or asked for."""

    state: Standing
    reasons: tuple[Reason, ...]
    month: date | None = None
    decided_at: datetime | None = None


class _Outcome(msgspec.Struct, gc=False):
    """What a trace says of a clause's answer."""

    answer: str
    why: str
    missing: str = ""
    party: Party | None = None


class _Clause(msgspec.Struct):
    """What a trace says of a clause; on which facts it rests is nothing that is told."""

    clause: str
    title: str
    citation: str
    outcome: _Outcome


class _Candidate(msgspec.Struct, gc=False):
    completion: str
    uscc: str | None


class _Trace(msgspec.Struct):
    """What of a trace is told; to read no more than that takes a fraction of the time."""

    candidate: _Candidate | None
    clauses: msgspec.Raw
    month: date | None


_TRACES: Final = msgspec.json.Decoder(_Trace)
_CLAUSES: Final = msgspec.json.Decoder(tuple[_Clause, ...])


@lru_cache(maxsize=SAID_ALIKE)
def _reasons(clauses: bytes) -> tuple[Reason, ...]:
    """What a trace says of the clauses; of most people it is the same, but for the facts."""
    return tuple(
        Reason(one.clause, one.title, one.citation, said.answer, said.why, said.missing, said.party)
        for one in _CLAUSES.decode(clauses)
        for said in (one.outcome,)
    )


@dataclass(frozen=True, slots=True)
class Said:
    """A recorded decision, read."""

    candidate: tuple[str, str | None] | None
    found: Found

    def is_about(self, completion: Completed, uscc: Uscc | None) -> bool:
        """Whether it was taken on this completion with this employer; None where no roster covers the day."""
        return self.candidate == (completion.fact_id, uscc)


def said(recorded: Recorded) -> Said:
    """Read a recorded decision, as far as it is told."""
    trace = _TRACES.decode(recorded.trace)
    candidate = trace.candidate
    return Said(
        None if candidate is None else (candidate.completion, candidate.uscc),
        Found(
            _RECORDED[recorded.state],
            _reasons(without_facts(bytes(trace.clauses))),
            trace.month,
            recorded.decided_at,
        ),
    )
