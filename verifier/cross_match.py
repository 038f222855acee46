"""Whoever money was asked for, against what the enterprise's rosters ever said of that person. Pure.

The clauses judged by the rosters of their moment. Rosters are corrected and taken back later, and a worker
may contest a listing; so an auditor asks what they say by now of the day of completion:

=====================  =====================================================================
``listed``             a row that stands covers the day
``withdrawn``          a row that covered the day was taken back, or changed so that none does
``left_before``        the last day of the rows that stand is before the day
``marked_left``        a row that stands and covers the day says 离职
``contested``          the person contests the listing, and nobody has answered
``contest_upheld``     a reviewer found that the listing does not count
``never_listed``       the enterprise never listed the person
=====================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from verifier.model.facts import AnyFact, ContestFact, EmploymentFact, EmploymentMark
from verifier.model.time import covers


def words(history: Iterable[AnyFact], uscc: str, day: date) -> list[str]:
    """What the history says of one enterprise and day, in the words above, sorted.

    Args:
        history: roster rows and contests of one person, superseded ones too.
        uscc: the enterprise for whose month money was asked for.
        day: the day of completion in Beijing.
    """
    mine = [fact for fact in history if isinstance(fact, EmploymentFact | ContestFact) and fact.uscc == uscc]
    gone = {fact.supersedes for fact in mine}
    rows = [fact for fact in mine if isinstance(fact, EmploymentFact)]
    standing = [row for row in rows if row.fact_id not in gone and not row.withdrawn]
    now = [row for row in standing if covers(row.start, row.end, day)]
    found = {"listed"} if now else set[str]()
    if not now and any(covers(row.start, row.end, day) for row in rows):
        found.add("withdrawn")
    if standing and all(row.end is not None and row.end < day for row in standing):
        found.add("left_before")
    if any(row.mark is EmploymentMark.LEFT for row in now):
        found.add("marked_left")
    if not rows:
        found.add("never_listed")
    for contest in mine:
        if isinstance(contest, ContestFact) and contest.fact_id not in gone and contest.upheld is not False:
            found.add("contest_upheld" if contest.upheld else "contested")
    return sorted(found)
