"""How much an enterprise asks: at most so many people a day, and an alarm where it seems to be guessing.

1. People are counted by enterprise and day, in Beijing's calendar. A call that would exceed the day's number
   is refused whole, and counts for nothing.
2. Whoever asks mostly about people who are not on its roster may be trying out id numbers: that is alarmed,
   and not refused, since the answer tells nothing. Before admission everybody is answered so: no alarm then.
3. Each alarm is given once a day for an enterprise.

The counts are this process's own and bounded: they go with it, and of too many enterprises the one that has
asked nothing for longest is forgotten. They protect against programs, not against patience.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Protocol

from verifier.errors import Code, RequestRejected
from verifier.model.person import Uscc
from verifier.model.standing import Standing, StatusAnswer
from verifier.model.time import beijing_date

UNLISTED: Final = 200
"""From so many unlisted people a day on it is looked at whether they are most of those asked about."""
ENTERPRISES: Final = 10_000
"""Of whom counts are kept."""
QUOTA_ALARM: Final = "status_quota"
ENUMERATION_ALARM: Final = "status_enumeration"


class Alarm(Protocol):
    """Tells whoever watches the service, without personal data."""

    def __call__(self, code: str, *, enterprise: str, client: str) -> None:
        """Give one alarm."""
        ...


@dataclass(slots=True)
class _Day:
    """What an enterprise asked on one day."""

    day: date
    asked: int = 0
    unlisted: int = 0
    alarmed: set[str] = field(default_factory=set)


class Questions:
    """Counts of one process."""

    def __init__(self, people_per_day: int, alarm: Alarm) -> None:
        """Count from nothing.

        Args:
            people_per_day: that one enterprise may ask about; 0 for any number.
            alarm: called at most twice a day for an enterprise.
        """
        self._most = people_per_day
        self._alarm = alarm
        self._days: OrderedDict[Uscc, _Day] = OrderedDict()

    def ask(self, uscc: Uscc, client_id: str, people: int, at: datetime) -> None:
        """Count a question before it is answered.

        Raises:
            RequestRejected: QUOTA_EXCEEDED.
        """
        counts = self._of(uscc, at)
        if self._most and counts.asked + people > self._most:
            self._once(counts, QUOTA_ALARM, uscc, client_id)
            raise RequestRejected(Code.QUOTA_EXCEEDED, "more people than may be asked about in a day")
        counts.asked += people

    def answered(self, uscc: Uscc, client_id: str, answers: Sequence[StatusAnswer], at: datetime) -> None:
        """Look at what was answered."""
        counts = self._of(uscc, at)
        counts.unlisted += sum(
            person.state is Standing.NOT_LISTED
            for answer in answers
            if answer.admitted
            for person in answer.people
        )
        if counts.unlisted >= UNLISTED and 2 * counts.unlisted > counts.asked:
            self._once(counts, ENUMERATION_ALARM, uscc, client_id)

    def _of(self, uscc: Uscc, at: datetime) -> _Day:
        today = beijing_date(at)
        counts = self._days.pop(uscc, None)
        if counts is None or counts.day != today:
            counts = _Day(today)
        self._days[uscc] = counts
        if len(self._days) > ENTERPRISES:
            self._days.popitem(last=False)
        return counts

    def _once(self, counts: _Day, code: str, uscc: Uscc, client_id: str) -> None:
        if code not in counts.alarmed:
            counts.alarmed.add(code)
            self._alarm(code, enterprise=uscc, client=client_id)
