"""How much an enterprise asks: at most so many people a day, and an alarm where it seems to be guessing.

1. People are counted by enterprise and day, in Beijing's calendar. A call that would exceed the day's number
   is refused whole, and counts for nothing.
2. Whoever asks mostly about people who are not on its roster may be trying out id numbers: that is alarmed,
   and not refused, since the answer tells nothing. Before admission everybody is answered so: no alarm then.
3. Each alarm is given once a day for an enterprise.

The counts are in the database, so that all processes count together and a restart forgets nothing; of each
enterprise the newest day is kept. A call is counted before it is answered, in a transaction of its own: one
that were held until the answer is ready would make an enterprise's calls wait for each other. They protect
against programs, not against patience.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from verifier.errors import Code, RequestRejected
from verifier.model.person import Uscc
from verifier.model.standing import Standing, StatusAnswer
from verifier.model.time import beijing_date
from verifier.ports.counting import Alarmed, CountingTransaction, CountingUnits

UNLISTED: Final = 200
"""From so many unlisted people a day on it is looked at whether they are most of those asked about."""
QUOTA_ALARM: Final = "status_quota"
ENUMERATION_ALARM: Final = "status_enumeration"


class Alarm(Protocol):
    """Tells whoever watches the service, without personal data."""

    def __call__(self, code: str, *, enterprise: str, client: str) -> None:
        """Give one alarm."""
        ...


class Questions:
    """Counts of all processes."""

    def __init__(self, units: CountingUnits, people_per_day: int, alarm: Alarm) -> None:
        """Compose.

        Args:
            units: where the counts are.
            people_per_day: that one enterprise may ask about; 0 for any number.
            alarm: called at most twice a day for an enterprise.
        """
        self._units = units
        self._most = people_per_day
        self._alarm = alarm

    async def ask(self, uscc: Uscc, client_id: str, people: int, at: datetime) -> None:
        """Count a question before it is answered.

        Raises:
            RequestRejected: QUOTA_EXCEEDED.
            Unavailable: nothing was counted.
        """
        day, most = beijing_date(at), self._most

        def count(tx: CountingTransaction) -> tuple[bool, bool]:
            counted = tx.count_question(uscc, day, people, most)
            return counted, not counted and tx.first_alarm(uscc, day, Alarmed.QUOTA)

        counted, alarmed = await self._units.counting(count)
        if alarmed:
            self._alarm(QUOTA_ALARM, enterprise=uscc, client=client_id)
        if not counted:
            raise RequestRejected(Code.QUOTA_EXCEEDED, "more people than may be asked about in a day")

    async def answered(
        self, uscc: Uscc, client_id: str, answers: Sequence[StatusAnswer], at: datetime
    ) -> None:
        """Look at what was answered.

        Raises:
            Unavailable: nothing was counted.
        """
        day, unlisted = beijing_date(at), sum(map(_unlisted, answers))
        if not unlisted:
            return

        def count(tx: CountingTransaction) -> bool:
            asked, not_listed = tx.count_unlisted(uscc, day, unlisted)
            guessing = not_listed >= UNLISTED and 2 * not_listed > asked
            return guessing and tx.first_alarm(uscc, day, Alarmed.ENUMERATION)

        if await self._units.counting(count):
            self._alarm(ENUMERATION_ALARM, enterprise=uscc, client=client_id)


def _unlisted(answer: StatusAnswer) -> int:
    if not answer.admitted:
        return 0
    return sum(person.state is Standing.NOT_LISTED for person in answer.people)
