"""Who is made up, and the signed requests about them, ready to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import gcd
from typing import Final

from benchmarks import load
from benchmarks.places import Place
from verifier.cli.simulator import (
    ChinaVocationalTraining,
    Course,
    Delivery,
    NewOccupation,
    Person,
    enterprise_code,
    person,
)

COMPLETED: Final = datetime(2021, 3, 5, 2, tzinfo=UTC)
OF_ONE_EMPLOYER: Final = 10_000
"""People whom one made-up enterprise lists."""
MOST_PEOPLE: Final = 99_000 * 40 * 12
_OF_ONE_BIRTHDAY: Final = 99_000
_NAMES: Final = "甲乙丙丁戊己庚辛壬癸"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, and what the sender's books say of it.

    Attributes:
        platform: who sends it.
        delivery: its id, if acknowledged.
        numbers: of the certificates in it.
    """

    request: bytes
    platform: str
    delivery: str
    numbers: tuple[str, ...]


def somebody(serial: int) -> Person:
    """A made-up person; the same serial is always the same one, and two serials are never alike."""
    birthday, place = divmod(serial, _OF_ONE_BIRTHDAY)
    month, year = birthday % 12 + 1, 1960 + birthday // 12
    name = "测" + "".join(_NAMES[int(digit)] for digit in str(serial))
    return person(place, name, born=f"{year}{month:02d}01")


def employer(serial: int) -> str:
    """The enterprise that lists this person."""
    return enterprise_code(serial // OF_ONE_EMPLOYER)


def course(number: str, who: Person) -> Course:
    """A completion in the policy's period."""
    return Course(number, who, COMPLETED, COMPLETED + timedelta(hours=1))


def singles(made: Place, serials: Sequence[int], mark: str, path: str = "") -> list[Sent]:
    """One completion a request, by 中国职业培训在线; signed now.

    Args:
        made: whose keys sign.
        serials: of the people.
        mark: what tells these requests from others.
        path: where to, if not to the platform's own address.
    """
    sender, now = ChinaVocationalTraining(made.sandbox), datetime.now(UTC)
    found = []
    for serial in serials:
        number = f"{mark}-{serial}"
        delivery = sender.delivery(sender.completed(course(number, somebody(serial))), number, now)
        found.append(Sent(_request(delivery, path), delivery.platform, number, (number,)))
    return found


def batches(made: Place, serials: Sequence[int], size: int, mark: str) -> list[Sent]:
    """Batches of completions, by 新职业学习平台; signed now."""
    sender, now = NewOccupation(made.sandbox), datetime.now(UTC)
    found = []
    for start in range(0, len(serials), size):
        numbers = [f"{mark}-{serial}" for serial in serials[start : start + size]]
        items = [
            sender.completed(course(number, somebody(serial)), number)
            for number, serial in zip(numbers, serials[start:], strict=False)
        ]
        delivery = sender.delivery(items, f"{mark}-batch-{start}", now)
        found.append(Sent(_request(delivery, ""), delivery.platform, f"{mark}-batch-{start}", tuple(numbers)))
    return found


def _request(delivery: Delivery, path: str) -> bytes:
    headers = {**delivery.headers, "User-Agent": "bench"}
    return load.request("POST", path or delivery.target, list(headers.items()), delivery.body)


class People:
    """Hands out people, each only once, in an order that is the same in every run.

    Those who come one after another are far apart in every index, as in life.
    """

    def __init__(self, count: int) -> None:
        self._used: set[int] = set()
        self.grow(count)

    def grow(self, count: int) -> None:
        """There are so many now; those who were taken stay taken."""
        self._count, self._step, self._place = count, _coprime(count), 0

    def take(self, wanted: int) -> list[int]:
        """Serials of people who were not taken before.

        Raises:
            ValueError: there are not as many.
        """
        if len(self._used) + wanted > self._count:
            raise ValueError(f"{self._count} people are fewer than the measures need")
        found: list[int] = []
        while len(found) < wanted:
            serial = self._place * self._step % self._count
            self._place += 1
            if serial not in self._used:
                self._used.add(serial)
                found.append(serial)
        return found


def _coprime(count: int) -> int:
    """A step, near the golden section, by which a walk round the circle meets everybody once."""
    step = max(1, round(count * 0.618))
    while gcd(step, count) != 1:
        step += 1
    return step
