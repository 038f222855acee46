"""The books kept outside: what was acknowledged, compared with what the service has.

The generator holds what each request brought. At the end every acknowledged delivery must stand in the
database exactly once, and so must every certificate in it: as one completion, as one month that is held, and
as one record in the ledger. A loss or a double is a wrong result, however fast it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, text

from benchmarks.load import Outcome
from benchmarks.sending import Sent
from verifier.store.engine import Database

SHOWN: Final = 5
"""Of what is wrong, so many are named."""


@dataclass(slots=True)
class Books:
    """What was sent and what of it was acknowledged.

    Attributes:
        deliveries: acknowledged, by platform and id.
        numbers: of the certificates in them.
        unanswered: numbers of certificates in requests that were not acknowledged: they may be there or not.
    """

    deliveries: set[tuple[str, str]] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)

    def enter(self, sent: Sequence[Sent], outcome: Outcome) -> None:
        """Enter a run."""
        acknowledged = set(outcome.acknowledged)
        for place, one in enumerate(sent):
            if place in acknowledged:
                self.deliveries.add((one.platform, one.delivery))
                self.numbers.update(one.numbers)
            else:
                self.unanswered.update(one.numbers)

    def enter_imported(self, numbers: Iterable[str]) -> None:
        """Enter certificates that an import reported as taken in."""
        self.numbers.update(numbers)


@dataclass(frozen=True, slots=True)
class Found:
    """What the service has, by how often it has it.

    Attributes:
        deliveries: by platform and id.
        completions: by the certificate's number.
        months: that are held, by the number of the certificate that they are held by.
        records: signed and in the ledger, by the number that the month of the record is held by.
    """

    deliveries: Mapping[tuple[str, str], int]
    completions: Mapping[str, int]
    months: Mapping[str, int]
    records: Mapping[str, int]


def _counted(connection: Connection, statement: str) -> Counter[str]:
    return Counter(str(row[0]) for row in connection.execute(text(statement)))


def _look(connection: Connection) -> Found:
    deliveries = connection.execute(text("select platform, delivery_id from deliveries"))
    records = (
        "select slots.number from records join slots on slots.decision_id = records.decision_id"
        " join entries on entries.record_id = records.record_id"
    )
    return Found(
        Counter((str(platform), str(delivery_id)) for platform, delivery_id in deliveries),
        _counted(connection, "select number from completions"),
        _counted(connection, "select number from slots"),
        _counted(connection, records),
    )


async def look(url: str) -> Found:
    """Read it from the database, beside the program; on SQLite no service may run."""
    database = Database(url, read_only=True)
    try:
        return await database.read(_look)
    finally:
        await database.close()


def compare(books: Books, found: Found) -> list[str]:
    """What is wrong, in sentences that name some of it; empty if nothing is."""
    wrong = _differences("delivery", books.deliveries, found.deliveries, None)
    for what, have in (
        ("completion", found.completions),
        ("month", found.months),
        ("record", found.records),
    ):
        wrong += _differences(what, books.numbers, have, books.numbers | books.unanswered)
    return wrong


def _differences(
    what: str,
    expected: set[tuple[str, str]] | set[str],
    found: Mapping[tuple[str, str], int] | Mapping[str, int],
    allowed: set[str] | None,
) -> list[str]:
    have = dict(found)
    lost = [one for one in expected if one not in have]
    double = [one for one, count in have.items() if count != 1]
    strange = [] if allowed is None else [one for one in have if one not in allowed]
    return [
        f"{len(ones):,} × {what} {how}: {', '.join(sorted(map(str, ones))[:SHOWN])}"
        for how, ones in (
            ("acknowledged and lost", lost),
            ("there more than once", double),
            ("there, and never sent", strange),
        )
        if ones
    ]
