"""An answer about people in JSON, written slice by slice: of a slice only what is written stays. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import msgspec

from verifier.model.standing import CompletionStanding, PersonStanding, Reason, StatusAnswer
from verifier.model.time import iso
from verifier.standing_recorded import SAID_ALIKE

_AS_SAID: Final = msgspec.json.Encoder()
_SORTED: Final = msgspec.json.Encoder(order="sorted")


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
        said = [
            _person_members(position, one, canonical=self.canonical)
            for position, one in enumerate(answer.people, answer.first)
        ]
        self._people.append((_SORTED if self.canonical else _AS_SAID).encode(said)[1:-1])
        self._admitted = self._admitted and answer.admitted
        self._head = replace(answer, people=())

    def pieces(self) -> list[bytes]:
        """The whole answer, in pieces that follow upon each other."""
        assert self._head is not None, "nobody was asked about"
        head = {"admitted": self._admitted, "as_of": iso(self._head.as_of)}
        policy = {"policy": self._head.policy}
        before, after = (head, policy) if self.canonical else ({**head, **policy}, {})
        found = [_AS_SAID.encode(before)[:-1] + b',"people":[']
        for number, people in enumerate(self._people):
            found += [b",", people] if number else [people]
        found.append(b"]," + _AS_SAID.encode(after)[1:] if after else b"]}")
        return found


def _person_members(position: int, person: PersonStanding, *, canonical: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "position": position,
        "state": person.state.value,
        "completions": [_completion_members(one, canonical=canonical) for one in person.completions],
        "mend": [{"party": mend.party.value, "what": mend.what} for mend in person.mend],
    }
    if person.evaluating:
        said["evaluating"] = True
    return said


def _completion_members(one: CompletionStanding, *, canonical: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "platform": one.platform,
        "platform_name": one.platform_name,
        "course_title": one.course_title,
        "completed_on": one.completed_on.isoformat(),
        "received_at": iso(one.received_at),
        "state": one.state.value,
        "month": one.month.strftime("%Y-%m") if one.month else None,
        "decided_at": iso(one.decided_at) if one.decided_at else None,
        "reasons": _written(one.reasons, canonical=canonical),
    }
    return {name: value for name, value in said.items() if value is not None}


@lru_cache(maxsize=SAID_ALIKE)
def _written(reasons: tuple[Reason, ...], *, canonical: bool) -> msgspec.Raw:
    return msgspec.Raw((_SORTED if canonical else _AS_SAID).encode(reasons))
