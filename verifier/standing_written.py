"""An answer about people in JSON, written slice by slice: of a slice only what is written stays. Pure.

What is said of the clauses is most of an answer, and the same for most people: it is written once, and stands
between the pieces of the others' answers as one and the same bytes. So the answer about 10,000 people, 44 MB,
takes up a tenth of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Final

import msgspec

from verifier.model.standing import (
    CompletionStanding,
    Mend,
    PersonStanding,
    Reason,
    Standing,
    StatusAnswer,
)
from verifier.model.time import iso, month_text
from verifier.standing_recorded import SAID_ALIKE

_AS_SAID: Final = msgspec.json.Encoder()
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_GAP: Final = b"\0"
"""Where something is put in later; in JSON it stands nowhere, since in texts it is escaped."""
_LATER: Final = msgspec.Raw(_GAP)


class _Completion(msgspec.Struct, omit_defaults=True, gc=False):
    """A completion, its members in the order in which they are said."""

    platform: str
    platform_name: str
    course_title: str | None = None
    completed_on: date | None = None
    received_at: datetime | None = None
    state: Standing | None = None
    month: str | None = None
    decided_at: datetime | None = None
    reasons: msgspec.Raw | None = None


class _Person(msgspec.Struct, omit_defaults=True):
    """A person, likewise."""

    position: int
    state: Standing
    completions: list[_Completion]
    mend: tuple[Mend, ...]
    evaluating: bool = False


@dataclass(slots=True)
class Writer:
    """Writes an answer in JSON, slice by slice; what does not apply is left out.

    Attributes:
        canonical: with sorted names (RFC 8785), for what is signed.
    """

    canonical: bool = False
    _people: list[bytes] = field(default_factory=list)
    _head: StatusAnswer | None = None
    _admitted: bool = True

    def add(self, answer: StatusAnswer) -> None:
        """Write the next slice; at least one."""
        said = [_person(position, one) for position, one in enumerate(answer.people, answer.first)]
        written = (_SORTED if self.canonical else _AS_SAID).encode(said)[1:-1]
        if self._people:
            self._people.append(b",")
        before, *others = written.split(_GAP)
        self._people.append(before)
        gaps = (one.reasons for person in answer.people for one in person.completions)
        for reasons, behind in zip(gaps, others, strict=True):
            self._people += (_written(reasons, canonical=self.canonical), behind)
        self._admitted = self._admitted and answer.admitted
        self._head = replace(answer, people=())

    def pieces(self) -> list[bytes]:
        """The whole answer, in many small pieces that follow upon each other."""
        assert self._head is not None, "nobody was asked about"
        head = {"admitted": self._admitted, "as_of": iso(self._head.as_of)}
        policy = {"policy": self._head.policy}
        before, after = (head, policy) if self.canonical else ({**head, **policy}, {})
        last = b"]," + _AS_SAID.encode(after)[1:] if after else b"]}"
        return [_AS_SAID.encode(before)[:-1] + b',"people":[', *self._people, last]


def _person(position: int, person: PersonStanding) -> _Person:
    completions = [_completion(one) for one in person.completions]
    return _Person(position, person.state, completions, person.mend, person.evaluating)


def _completion(one: CompletionStanding) -> _Completion:
    return _Completion(
        one.platform,
        one.platform_name,
        one.course_title,
        one.completed_on,
        one.received_at,
        one.state,
        month_text(one.month) if one.month else None,
        one.decided_at,
        _LATER,
    )


@lru_cache(maxsize=SAID_ALIKE)
def _written(reasons: tuple[Reason, ...], *, canonical: bool) -> bytes:
    return (_SORTED if canonical else _AS_SAID).encode(reasons)
