"""A made-up population whose truth is known, sent through the real steps: ``make population``.

Each person has one number and one true name, works at one enterprise and completes a course at one of two
platforms. Against that stand, in known shares: names written in another of their forms, second completions
(another platform, the number in its 15-digit form, in full width or with a small x), numbers with faults (a
wrong check character, somebody else's number, nobody's number), corrections of these, people whom two
enterprises list. What must come of everybody follows from the truth alone and is compared with the database:

1. no false merge: under no learner stand completions or roster rows of two numbers;
2. every true duplicate found: under no two learners stands one number;
3. no double grant: nobody holds two months, nobody holds one at an enterprise that does not list them, or
   on another person's completion whose name does not fit. A mistyped number that is somebody else's
   of a like name cannot be told from that one's; such grants are counted apart;
4. everybody's decision is the expected one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from random import Random
from typing import Final

from tests.functional import world as worlds
from tests.functional.world import World, row
from verifier.cli.simulator import Course, Delivery, Person, enterprise_code, person
from verifier.model.person import Uscc
from verifier.store.engine import Database
from verifier.store.schema import upgrade

MINORITY, DUPLICATE, FAULT, TWO_LISTS = 0.30, 0.05, 0.01, 0.01
PER_ENTERPRISE: Final = 500
GROUP: Final = 200
FIRST: Final = datetime(2021, 3, 1, 1, tzinfo=UTC)

_HAN: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN: Final = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰文辉建国志红梅晨"
_PARTS: Final = (
    "阿依古丽", "买买提", "吐尔逊", "热依汗", "艾力", "古丽娜尔", "努尔兰", "别克", "阿曼古丽", "叶尔肯",
    "木合塔尔", "帕提古丽", "居马洪", "赛力克", "玛依拉", "哈力木拉提", "加孜拉", "库尔班", "巴哈尔",
    "沙吾列",
)  # fmt: skip
_SEPARATORS: Final = "·•・∙.．"


class Form(Enum):
    """How a name is written; the last four are those of minority names."""

    HAN = "汉字姓名"
    GIVEN = "名"
    FATHER = "名·父名"
    GRANDFATHER = "名·父名·祖父名"
    UNKNOWN_SIGN = "缺字（▀）"


MINORITY_FORMS: Final = (Form.GIVEN, Form.FATHER, Form.GRANDFATHER, Form.UNKNOWN_SIGN)


@dataclass(slots=True)
class Somebody:
    """One true person.

    Attributes:
        parts: the true name's components; one for a Han name.
        own: certificate numbers of completions that bear this person's right number at the end.
        listed: who lists the person.
        form: how the roster writes the name, and ``rostered`` what it writes.
    """

    serial: int
    number: str
    parts: tuple[str, ...]
    listed: tuple[Uscc, ...]
    form: Form = Form.HAN
    own: set[str] = field(default_factory=set)
    rostered: str = ""

    def written(self, form: Form, random: Random) -> str:
        """The name in one of its forms."""
        if form is Form.HAN:
            return self.parts[0]
        count = {Form.GIVEN: 1, Form.FATHER: 2, Form.GRANDFATHER: 3, Form.UNKNOWN_SIGN: random.randint(1, 3)}
        parts = list(self.parts[: count[form]])
        if form is Form.UNKNOWN_SIGN:
            place = random.randrange(1, len(parts[0]))
            parts[0] = parts[0][:place] + "▀" + parts[0][place + 1 :]
        return random.choice(_SEPARATORS).join(parts)


@dataclass(frozen=True, slots=True)
class Sent:
    """One certificate that a platform sends.

    Attributes:
        number: the certificate's number.
        bears: the id number that it bears, as written.
        truth: whose number that is in canonical form; empty where it is no number at all.
        counts: whether it is accepted.
    """

    number: str
    bears: str
    truth: str
    name: str
    at: datetime
    elsewhere: bool
    counts: bool
    revision: int = 1


@dataclass(slots=True)
class Population:
    """Everybody, and all that is sent of them."""

    people: list[Somebody]
    sent: list[Sent]
    duplicates: int = 0
    faults: int = 0
    corrected: int = 0


def seeded(seed: int) -> Random:
    """What decides by chance; the same seed makes the same population."""
    return Random(seed)  # noqa: S311 - nothing is kept secret by it


def made_up(count: int, random: Random) -> Population:
    """A population of that many people."""
    everybody = [_somebody(serial, count, random) for serial in range(count)]
    population = Population(everybody, [])
    for one in everybody:
        population.sent += list(_completions(one, population, random))
    return population


def _somebody(serial: int, count: int, random: Random) -> Somebody:
    firms = max(2, count // PER_ENTERPRISE)
    firm = serial % firms
    listed = [Uscc(enterprise_code(firm))]
    if random.random() < TWO_LISTS:
        listed.append(Uscc(enterprise_code((firm + 1) % firms)))
    number = person(serial % 99_000, "甲", born=f"19{60 + serial // 99_000}0101").id_number
    if random.random() < MINORITY:
        parts = tuple(random.sample(_PARTS, 3))
        return Somebody(serial, number, parts, tuple(listed), random.choice(MINORITY_FORMS))
    name = random.choice(_HAN) + "".join(random.sample(_GIVEN, random.randint(1, 2)))
    return Somebody(serial, number, (name,), tuple(listed))


def _completions(one: Somebody, population: Population, random: Random) -> Iterator[Sent]:
    name, at = _name(one, random), FIRST + timedelta(minutes=random.randrange(90 * 24 * 60))
    elsewhere = random.random() < 0.5
    certificate = f"C{one.serial:07d}"
    if random.random() < FAULT:
        population.faults += 1
        bears, truth = _faulty(one, population, random)
        yield Sent(certificate, bears, truth, name, at, elsewhere, counts=bool(truth))
        if random.random() < 0.5:
            population.corrected += 1
            one.own.add(certificate)
            yield Sent(certificate, one.number, one.number, name, at, elsewhere, counts=True, revision=2)
    else:
        one.own.add(certificate)
        yield Sent(certificate, one.number, one.number, name, at, elsewhere, counts=True)
    if random.random() < DUPLICATE:
        population.duplicates += 1
        second = f"D{one.serial:07d}"
        one.own.add(second)
        again = at + timedelta(days=random.randrange(1, 20))
        written = _otherwise(one.number, random)
        yield Sent(second, written, one.number, _name(one, random), again, not elsewhere, counts=True)


def _name(one: Somebody, random: Random) -> str:
    return one.written(Form.HAN if len(one.parts) == 1 else random.choice(MINORITY_FORMS), random)


def _otherwise(number: str, random: Random) -> str:
    """The same number in another form."""
    wide = number.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})
    return random.choice([number[:6] + number[8:17], number.lower(), wide, number])


def _faulty(one: Somebody, population: Population, random: Random) -> tuple[str, str]:
    """A number with a fault, and whose it is."""
    kind = random.randrange(3)
    if kind == 0:
        wrong = "X" if one.number[-1] != "X" else "1"
        return one.number[:-1] + wrong, ""
    if kind == 1:
        other = population.people[(one.serial + 1) % len(population.people)]
        return other.number, other.number
    nobody = person(one.serial % 99_000, "甲", born="19550505").id_number
    return nobody, nobody


# --- through the real steps ---------------------------------------------------------------------------------


async def run(world: World, population: Population, random: Random) -> None:
    """Send everything, the rosters in the midst of it, and let all that is due be decided."""
    sent, firms = list(population.sent), _rosters(population, random)
    # In random order but for corrections, which come after what they correct.
    random.shuffle(sent)
    sent.sort(key=lambda one: one.revision)
    groups = [sent[start : start + GROUP] for start in range(0, len(sent), GROUP)]
    for place, group in enumerate(groups):
        await world.post(*(_delivery(world, one) for one in group))
        for uscc in list(firms)[: 1 + len(firms) // len(groups)]:
            await world.roster(uscc, firms.pop(uscc))
            await world.admit(uscc)
        if place % 10 == 0:
            await world.evaluate()
    for uscc, rows in firms.items():
        await world.roster(uscc, rows)
        await world.admit(uscc)
    await world.evaluate()


def _rosters(population: Population, random: Random) -> dict[Uscc, list[dict[str, str]]]:
    firms: dict[Uscc, list[dict[str, str]]] = defaultdict(list)
    for one in population.people:
        one.rostered = one.written(one.form, random)
        for uscc in one.listed:
            firms[uscc].append(row(Person(one.number, one.rostered), post=one.number))
    return firms


def _delivery(world: World, one: Sent) -> Delivery:
    course = Course(
        one.number,
        Person(one.bears, one.name),
        one.at,
        issued_at=one.at + timedelta(hours=one.revision),
        revision=one.revision,
    )
    if one.elsewhere:
        return world.xzy.delivery([world.xzy.completed(course, "1")], world.new_id(), world.now)
    return world.cvt.delivery(world.cvt.completed(course), world.new_id(), world.now)


# --- compared with the truth --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it.

    Attributes:
        fitting: grants on a certificate with a mistyped number whose owner has a like name.
        wrong: serial numbers of people whose decision is not the expected one.
        questioned: people with a name question, by the form in which their roster writes them.
    """

    people: int
    completions: int
    duplicates: int
    faults: int
    corrected: int
    false_merges: int
    missed_duplicates: int
    double_grants: int
    fitting: int
    wrong: tuple[int, ...]
    granted: int
    pending: int
    questioned: dict[Form, int]


async def compared(world: World, population: Population) -> Figures:
    """Compare the database with the truth."""
    truth = {one.number: one.truth for one in sorted(population.sent, key=lambda one: one.revision)}
    numbers: dict[str, set[str]] = defaultdict(set)
    learners: dict[str, set[str]] = defaultdict(set)
    for learner, kind, content in await world.sql(
        "select learner_id, kind, content from facts where kind in ('completion', 'employment')"
        " and not exists (select 1 from facts later where later.supersedes = facts.fact_id)"
    ):
        said = json.loads(content)
        number = said["post"] if kind == "employment" else truth[said["number"]]
        numbers[learner].add(number)
        learners[number].add(learner)
    held = [(number, uscc) for _, _, number, uscc in await world.slots()]
    holders = Counter(truth[number] for number, _ in held)
    by_number = {one.number: one for one in population.people}
    borne_by = {one.number: one.name for one in sorted(population.sent, key=lambda one: one.revision)}
    foreign = {number for number, uscc in held if not _is_own(number, uscc, truth[number], by_number)}
    fitting = {
        number
        for number, uscc in held
        if number in foreign and _fits(borne_by[number], uscc, by_number.get(truth[number]))
    }
    states = await _states(world, learners)
    wrong = tuple(
        one.serial
        for one in population.people
        if states.get(one.number, "none") not in _expected(one, population)
    )
    return Figures(
        people=len(population.people),
        completions=len(population.sent),
        duplicates=population.duplicates,
        faults=population.faults,
        corrected=population.corrected,
        false_merges=sum(len(found) > 1 for found in numbers.values()),
        missed_duplicates=sum(len(found) > 1 for found in learners.values()),
        double_grants=sum(count > 1 for count in holders.values()) + len(foreign - fitting),
        fitting=len(fitting),
        wrong=tuple(wrong),
        granted=len(held),
        pending=sum(state == "pending" for state in states.values()),
        questioned=await _questioned(world, learners, population.people),
    )


def _is_own(number: str, uscc: Uscc, truth: str, people: Mapping[str, Somebody]) -> bool:
    holder = people.get(truth)
    return holder is not None and number in holder.own and uscc in holder.listed


def _fits(name: str, uscc: Uscc, holder: Somebody | None) -> bool:
    """Whether the name on a certificate could be the one that the holder's roster writes."""
    if holder is None or uscc not in holder.listed:
        return False
    first, second = (re.split(f"[{_SEPARATORS}]", one) for one in (name, holder.rostered))
    both = min(len(first), len(second))
    one, other = "".join(first[:both]), "".join(second[:both])
    return len(one) == len(other) and all(a == b or "▀" in {a, b} for a, b in zip(one, other, strict=True))


async def _states(world: World, learners: dict[str, set[str]]) -> dict[str, str]:
    rows = await world.sql("select learner_id, state from decisions order by learner_id, revision")
    newest: dict[str, str] = {who: state for who, state in rows}  # noqa: C416 - rows are no pairs to mypy
    return {number: newest[who] for number, found in learners.items() for who in found if who in newest}


def _expected(one: Somebody, population: Population) -> set[str]:
    if one.own:
        # A second roster that came after the grant leaves it; one before it keeps it waiting.
        return {"granted"} if len(one.listed) == 1 else {"granted", "pending"}
    # Nothing of their own arrived. Somebody else's certificate may bear their number, or have borne it until
    # it was corrected: then what was pending was refused.
    if _borne(population).get(one.number):
        return {"pending"}
    return {"none", "refused"} if _once_borne(population, one.number) else {"none"}


def _once_borne(population: Population, number: str) -> bool:
    return any(sent.truth == number for sent in population.sent)


_BORNE: dict[int, dict[str, list[Sent]]] = {}


def _borne(population: Population) -> dict[str, list[Sent]]:
    """What bears each number at the end, by the number."""
    key = id(population)
    if key not in _BORNE:
        newest = {one.number: one for one in sorted(population.sent, key=lambda one: one.revision)}
        found: dict[str, list[Sent]] = defaultdict(list)
        for one in newest.values():
            found[one.truth].append(one)
        _BORNE[key] = found
    return _BORNE[key]


async def _questioned(
    world: World, learners: dict[str, set[str]], people: Sequence[Somebody]
) -> dict[Form, int]:
    asked = {who for (who,) in await world.sql("select learner_id from reviews where kind = 'name_mismatch'")}
    counted = Counter(one.form for one in people if learners[one.number] & asked)
    return {form: counted[form] for form in Form}


# --- the command --------------------------------------------------------------------------------------------


def shown(figures: Figures, seconds: float, seed: int) -> str:
    """The figures as lines."""
    asked = ", ".join(f"{form.value} {count}" for form, count in figures.questioned.items())
    lines = {
        "certificates sent": figures.completions,
        "second completions": figures.duplicates,
        "faulty numbers": figures.faults,
        "of these corrected": figures.corrected,
        "granted": figures.granted,
        "pending": figures.pending,
        "false merges": figures.false_merges,
        "duplicates missed": figures.missed_duplicates,
        "double grants": figures.double_grants,
        "grants on a mistyped number of somebody of a like name": figures.fitting,
        "unexpected decisions": len(figures.wrong),
        "of people": ", ".join(map(str, figures.wrong[:20])) or "none",
        "people with a name question": asked,
    }
    told = [f"  {name}: {value}" for name, value in lines.items()]
    return "\n".join([f"population of {figures.people}, seed {seed}, {seconds:.0f} s", *told])


def sound(figures: Figures) -> bool:
    """Whether everything is as the truth says."""
    counts = (figures.false_merges, figures.missed_duplicates, figures.double_grants, len(figures.wrong))
    return not any(counts)


async def _main(count: int, seed: int) -> int:
    random = seeded(seed)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        url = f"sqlite+aiosqlite:///{directory}/population.db"
        database = Database(url)
        await database.write(upgrade)
        await database.close()
        world = await worlds.over(url, worlds.install(directory))
        started = time.monotonic()
        population = made_up(count, random)
        await run(world, population, random)
        figures = await compared(world, population)
        print(shown(figures, time.monotonic() - started, seed))  # noqa: T201 - a command
        await world.store.database.close()
    return 0 if sound(figures) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=2021)
    given = parser.parse_args()
    raise SystemExit(asyncio.run(_main(given.people, given.seed)))
