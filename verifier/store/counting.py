"""How much each enterprise asks: one statement counts a question, or refuses it, whatever process asks."""

from __future__ import annotations

from datetime import date

from sqlalchemy import and_, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from verifier.model.person import Uscc
from verifier.ports.counting import Alarmed
from verifier.store.session import Session
from verifier.store.tables_counting import questions


class Counting(Session):
    """One transaction that counts."""

    def count_question(self, uscc: Uscc, day: date, people: int, most: int) -> bool:
        """Count people asked about, unless that would exceed ``most`` (0 for any number); whether it did not.

        The first question of a day forgets the enterprise's earlier days.
        """
        dialect = postgresql if self.connection.dialect.name == "postgresql" else sqlite
        row = {"uscc": uscc, "day": day, "asked": people, "unlisted": 0}
        fresh = dialect.insert(questions).values(**row, quota_alarm=False, enumeration_alarm=False)
        more = questions.c.asked + people
        counted = fresh.on_conflict_do_update(
            index_elements=[questions.c.uscc, questions.c.day],
            set_={"asked": more},
            where=more <= most if most else None,
        ).returning(questions.c.asked)
        if 0 < most < people:
            return False
        asked = self.connection.execute(counted).scalar_one_or_none()
        if asked == people:
            earlier = and_(questions.c.uscc == uscc, questions.c.day < day)
            self.connection.execute(delete(questions).where(earlier))
        return asked is not None

    def count_unlisted(self, uscc: Uscc, day: date, people: int) -> tuple[int, int]:
        """Count people who are not on the roster; how many were asked about that day, and were not on it."""
        counted = (
            update(questions)
            .where(questions.c.uscc == uscc, questions.c.day == day)
            .values(unlisted=questions.c.unlisted + people)
            .returning(questions.c.asked, questions.c.unlisted)
        )
        row = self.connection.execute(counted).one_or_none()
        return (0, 0) if row is None else (row.asked, row.unlisted)

    def first_alarm(self, uscc: Uscc, day: date, alarm: Alarmed) -> bool:
        """Note that an alarm was given; False if it was given that day already."""
        row = {"uscc": uscc, "day": day, "asked": 0, "unlisted": 0}
        self.insert_missing(questions, [{**row, "quota_alarm": False, "enumeration_alarm": False}])
        given = questions.c[alarm.value]
        noted = self.connection.execute(
            update(questions)
            .where(questions.c.uscc == uscc, questions.c.day == day, given.is_(False))
            .values({given: True})
            .returning(questions.c.uscc)
        )
        return noted.one_or_none() is not None
