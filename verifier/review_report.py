"""How often names go to review, and how long people wait, by form of name. Pure.

It is for seeing whether workers with minority names are quietly slower. Nothing in it is about one person:

1. The form of a name is worked out from the names on record when the report is asked for, and kept nowhere.
2. A form with fewer than ``FEWEST`` people says only that; a count below ``FEWEST`` is not said either, and
   no times where they would stand on so few questions. There are no totals, from which the rest would follow.
3. People are counted once, under whom they are judged. A question counts as open while a decision waits for
   it, and as answered once a reviewer answered it; one that settled itself is not counted.
4. Waiting times are of answered questions from their opening to their answer, of open ones until now: leaving
   these out would hide those who wait the longest. Percentiles are by nearest rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from verifier.model.person import LearnerId
from verifier.name_forms import NameForm, form_of
from verifier.ports.identities import Named

FEWEST: Final = 5
_HOUR: Final = timedelta(hours=1)


@dataclass(slots=True)
class Tally:
    """What was counted of one form."""

    people: int = 0
    asked: int = 0
    open: int = 0
    answered: int = 0
    waits: list[timedelta] = field(default_factory=list)


def count(
    tallies: defaultdict[NameForm, Tally],
    people: Sequence[Named],
    waiting: Mapping[LearnerId, Sequence[datetime]],
    now: datetime,
) -> None:
    """Count people into the tallies.

    Args:
        tallies: so far.
        people: with their names and answered questions.
        waiting: when each learner's open questions about a name were opened.
        now: aware UTC.
    """
    for person in people:
        tally = tallies[form_of(person.names)]
        opened = [moment for one in person.learners for moment in waiting.get(one, ())]
        tally.people += 1
        tally.asked += bool(opened or person.answered)
        tally.open += len(opened)
        tally.answered += len(person.answered)
        tally.waits += [asked.answered_at - asked.opened_at for asked in person.answered]
        tally.waits += [now - moment for moment in opened]


def members(tallies: Mapping[NameForm, Tally]) -> list[dict[str, Any]]:
    """The report, form by form, as JSON members; None stands for what is too few to be said."""
    said: list[dict[str, Any]] = []
    for form in reversed(NameForm):
        tally = tallies.get(form, Tally())
        counts = (tally.asked, tally.open, tally.answered)
        asked, still, answered = (_sayable(n) if tally.people >= FEWEST else None for n in counts)
        # Fewer questions than that are of fewer people, too.
        timed = tally.asked >= FEWEST
        said.append(
            {
                "form": form.value,
                "people": _sayable(tally.people),
                "people_asked_about": asked,
                "open": still,
                "answered": answered,
                "median_hours": _hours(tally.waits, 50) if timed else None,
                "p90_hours": _hours(tally.waits, 90) if timed else None,
            }
        )
    return said


def _sayable(number: int) -> int | None:
    return number if number == 0 or number >= FEWEST else None


def _hours(waits: Sequence[timedelta], percent: int) -> float:
    ordered = sorted(waits)
    return round(ordered[ceil(len(ordered) * percent / 100) - 1] / _HOUR, 1)
