"""What separates two parameter files: clauses, revisions, dated values with their references. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from verifier.policy.loader import Policy
from verifier.policy.parameters import Categories, Ceilings, Courses, Dated, Exclusion, Value, Window


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same.

    Attributes:
        what: ``policy``, ``basis``, ``concerns``, ``clause``, ``order``, ``parameter`` or ``not_evaluated``.
        name: which clause or parameter; empty where there is only one such thing.
        before: in the first file, JSON-ready; None where it is not in it.
        after: in the second.
    """

    what: str
    name: str
    before: Any
    after: Any


def differences(before: Policy, after: Policy) -> list[Difference]:
    """Everything that separates two policies, in the order of the file.

    Args:
        before: the first.
        after: the second.
    """
    found = [
        Difference("policy", "", before.pin, after.pin),
        Difference("basis", "", list(before.basis), list(after.basis)),
        Difference("concerns", "", sorted(before.concerns), sorted(after.concerns)),
    ]
    old, new = _clauses(before), _clauses(after)
    found += [Difference("clause", name, old.get(name), new.get(name)) for name in {**old, **new}]
    kept = [name for name in old if name in new], [name for name in new if name in old]
    found.append(Difference("order", "", *kept))
    found.append(Difference("not_evaluated", "", list(before.not_evaluated), list(after.not_evaluated)))
    for name in {**before.schedules, **after.schedules}:
        dates = (_dates(policy.schedules.get(name, ())) for policy in (before, after))
        found.append(Difference("parameter", name, *dates))
    return [one for one in found if one.before != one.after]


def _clauses(policy: Policy) -> Mapping[str, Any]:
    return {
        one.id: {"revision": one.revision, "title": one.title, "citation": one.citation}
        for one in policy.clauses
    }


def _dates(schedule: Iterable[Dated]) -> list[dict[str, Any]] | None:
    said = [
        {
            "from": dated.start.isoformat(),
            "to": dated.end.isoformat() if dated.end else None,
            "value": _said(dated.value),
            "reference": dated.reference,
            "reading": dated.reading,
        }
        for dated in schedule
    ]
    return said or None


def _said(value: Value) -> Any:
    said: Any = str(value)
    match value:
        case Window():
            said = {"first": value.first.isoformat(), "last": value.last.isoformat()}
        case Ceilings():
            said = {level.value: str(yuan) for level, yuan in value.by_level.items()}
        case Categories():
            said = [category.value for category in value.named]
        case Courses():
            said = sorted(value.codes)
        case Exclusion():
            said = list(value.entitlements)
        case bool() | int():
            said = value
        case _:
            pass
    return said
