"""The strict reader of a policy's parameter file (TOML): what is not understood is refused, never skipped."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar

from verifier.errors import Code, ConfigurationError
from verifier.model.certificate import DocumentKind, SkillLevel
from verifier.model.decision import Entitlement, Pins
from verifier.model.facts import Category
from verifier.policy.clauses import Clause
from verifier.policy.parameters import (
    EARLIEST,
    MOST_NAMES,
    Categories,
    Ceilings,
    Courses,
    Dated,
    Exclusion,
    OncePer,
    Parameters,
    Schedules,
    StaffScope,
    SubsidyMonth,
    Value,
    Window,
    WindowBasis,
    remembered,
)
from verifier.policy.rules_further import CLAUSES

AMOUNT_MISSING: Final = "当地现行标准（未配置）"

_AMOUNT_OPEN: Final = "；当地标准未配置"

Word = TypeVar("Word", bound=StrEnum)

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,63}")
_YUAN = re.compile(r"[0-9]{1,7}\.[0-9]{2}")
_COURSE: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}/\S{1,128}")
_NEEDED: Final = frozenset({"once_per", "subsidy_month"})
"""Parameters of every policy, besides those that its clauses need."""
_OPTIONAL: Final = frozenset({"ceiling", "ceilings", "standard_amount"})
"""Parameters that any policy may have, besides those that its clauses may."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as its file states it.

    Attributes:
        basis: the documents it rests on, every number under which they are cited.
        clauses: in the order they are answered.
        not_evaluated: what the notice points to but whose text is not at hand; never a clause.
        concerns: the kinds of document that it is about; empty where it looks at every certificate.
        digest: hex SHA-256 of the file.
    """

    policy_id: str
    revision: int
    entitlement: Entitlement
    basis: tuple[str, ...]
    clauses: tuple[Clause, ...]
    not_evaluated: tuple[str, ...]
    schedules: Schedules = field(repr=False)
    digest: str
    concerns: frozenset[DocumentKind] = frozenset()
    _known: dict[date, Parameters] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def pin(self) -> str:
        """Policy id and revision, as a decision pins them."""
        return f"{self.policy_id}@{self.revision}"

    def pins(self, *, register: str, normaliser: str) -> Pins:
        """What a decision under this policy stands on.

        Args:
            register: hex SHA-256 of the trust register.
            normaliser: version of the identity rules.
        """
        return Pins(self.pin, self.digest, register, normaliser)

    def parameters_at(self, day: date) -> Parameters:
        """The values in force on a completion date (Beijing).

        Raises:
            ConfigurationError: POLICY_INVALID, a value is missing on that day.
        """
        return remembered(self._known, self.schedules, day)

    def about(self, document: DocumentKind) -> bool:
        """Whether a certificate of this kind is any of this policy's business."""
        return not self.concerns or document in self.concerns

    @property
    def exclusive(self) -> bool:
        """Whether it is not granted beside some other entitlement, on whatever day."""
        return bool(self._excluding())

    def excluded_by(self, entitlement: Entitlement) -> bool:
        """Whether it is not granted beside this one, on whatever day."""
        return entitlement in self._excluding()

    def _excluding(self) -> set[Entitlement]:
        values = [dated.value for dated in self.schedules.get("excluded_by", ())]
        return {name for value in values if isinstance(value, Exclusion) for name in value.entitlements}

    def not_evaluated_at(self, day: date, level: SkillLevel | None = None) -> tuple[str, ...]:
        """What a decision on a completion of that day does not look at.

        Args:
            day: the completion date, in Beijing's calendar.
            level: of its certificate, where there is one: the ceiling may hang on it.
        """
        parameters = self.parameters_at(day)
        if parameters.standard_amount is not None:
            return self.not_evaluated
        if parameters.ceilings is not None:
            by_level = parameters.ceilings.by_level
            most = [f"{one}不高于{by_level[one]}元" for one in ([level] if level else by_level)]
            return (f"补贴金额：通知规定{'、'.join(most)}{_AMOUNT_OPEN}", *self.not_evaluated)
        if parameters.ceiling is not None:
            return (f"补贴金额：通知规定不超过{parameters.ceiling}元{_AMOUNT_OPEN}", *self.not_evaluated)
        return (AMOUNT_MISSING, *self.not_evaluated)


def says_amount_is_open(text: str) -> bool:
    """Whether what ``not_evaluated_at`` says is that no amount is configured."""
    return text == AMOUNT_MISSING or text.endswith(_AMOUNT_OPEN)


def load(raw: bytes) -> Policy:
    """Read a parameter file.

    Args:
        raw: the file's bytes; their digest is what decisions pin.

    Raises:
        ConfigurationError: POLICY_INVALID, with the path of the key that is wrong. Refused are unknown,
            missing or ill-typed keys, unknown or doubled clauses, values whose days overlap or leave a gap.
    """
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except ValueError:
        _refuse("not a TOML file in UTF-8", "")
    keys = ("policy", "revision", "entitlement", "basis", "clauses", "not_evaluated", "parameters")
    _keys(document, "", required=keys, optional=("concerns",))
    clauses = _clauses(document["clauses"])
    entitlement = Entitlement(_slug(document["entitlement"], "entitlement"))
    return Policy(
        policy_id=_slug(document["policy"], "policy"),
        revision=_positive(document["revision"], "revision"),
        entitlement=entitlement,
        basis=_texts(document["basis"], "basis"),
        clauses=clauses,
        not_evaluated=_texts(document["not_evaluated"], "not_evaluated"),
        schedules=_schedules(document["parameters"], clauses, entitlement),
        digest=hashlib.sha256(raw).hexdigest(),
        concerns=_documents(document["concerns"]) if "concerns" in document else frozenset(),
    )


def entitlement_of(content: str) -> str:
    """What a parameter file is about, without reading the rest of it; empty where it does not say."""
    return _heading(content, "entitlement")


def pin_of(content: str) -> str:
    """Policy and revision of a parameter file as decisions pin them, without reading the rest of it."""
    return f"{_heading(content, 'policy')}@{_heading(content, 'revision')}"


def _heading(content: str, key: str) -> str:
    # What was adopted by another version may hold more than this one understands.
    try:
        said = tomllib.loads(content).get(key, "")
    except tomllib.TOMLDecodeError:
        return ""
    return str(said)


def _refuse(why: str, path: str) -> NoReturn:
    raise ConfigurationError(Code.POLICY_INVALID, why, pointer=path)


def _keys(table: object, path: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    prefix = f"{path}." if path else ""
    if not isinstance(table, dict):
        _refuse("not a table", path)
    for key in table:
        if key not in required and key not in optional:
            _refuse("unknown key", prefix + key)
    for key in required:
        if key not in table:
            _refuse("missing key", prefix + key)


def _list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        _refuse("not a list with something in it", path)
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse("not a text", path)
    return value


def _texts(value: object, path: str) -> tuple[str, ...]:
    return tuple(_text(item, f"{path}.{position}") for position, item in enumerate(_list(value, path)))


def _slug(value: object, path: str) -> str:
    text = _text(value, path)
    if not _SLUG.fullmatch(text):
        _refuse("not a name of lower-case letters, digits and hyphens", path)
    return text


def _positive(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse("not a positive whole number", path)
    return value


def _bool(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        _refuse("neither true nor false", path)
    return value


def _date(value: object, path: str) -> date:
    # A moment is a date to Python; here it would bring a time zone in unseen.
    if not isinstance(value, date) or isinstance(value, datetime):
        _refuse("not a date", path)
    return value


def _window(value: object, path: str) -> Window:
    _keys(value, path, required=("first", "last"))
    assert isinstance(value, dict)
    window = Window(_date(value["first"], f"{path}.first"), _date(value["last"], f"{path}.last"))
    if window.last < window.first:
        _refuse("ends before it begins", f"{path}.last")
    return window


def _yuan(value: object, path: str) -> Decimal:
    # As text: a TOML float cannot hold an amount exactly.
    if not isinstance(value, str) or not _YUAN.fullmatch(value):
        _refuse('not an amount in yuan such as "1234.00"', path)
    return Decimal(value)


def _few(value: object, path: str) -> int:
    number = _positive(value, path)
    if number >= MOST_NAMES:
        _refuse(f"not below {MOST_NAMES}", path)
    return number


def _one_of(kind: Callable[[str], Word], words: type[Word]) -> Callable[[object, str], Word]:
    def read(value: object, path: str) -> Word:
        if not isinstance(value, str) or value not in {word.value for word in words}:
            _refuse("not a value that the rules know", path)
        return kind(value)

    return read


def _documents(value: object) -> frozenset[DocumentKind]:
    return frozenset(_words(value, DocumentKind, "concerns"))


def _words(value: object, kind: type[Word], path: str) -> tuple[Word, ...]:
    read = _one_of(kind, kind)
    return tuple(read(item, f"{path}.{position}") for position, item in enumerate(_list(value, path)))


def _categories(value: object, path: str) -> Categories:
    return Categories(_words(value, Category, path))


def _ceilings(value: object, path: str) -> Ceilings:
    _keys(value, path, required=tuple(level.value for level in SkillLevel))
    assert isinstance(value, dict)
    found = {level: _yuan(value[level.value], f"{path}.{level}") for level in SkillLevel}
    return Ceilings(MappingProxyType(found))


def _courses(value: object, path: str) -> Courses:
    codes = _texts(value, path)
    for position, code in enumerate(codes):
        if not _COURSE.fullmatch(code):
            _refuse("not a course such as platform/code", f"{path}.{position}")
    return Courses(frozenset(codes))


def _exclusion(value: object, path: str) -> Exclusion:
    # The one list that may be empty: nothing is excluded then.
    names = _texts(value, path) if value != [] else ()
    slugs = (_slug(name, f"{path}.{position}") for position, name in enumerate(names))
    return Exclusion(tuple(Entitlement(slug) for slug in slugs))


_READERS: Final[Mapping[str, Callable[[object, str], Value]]] = {
    "window": _window,
    "window_basis": _one_of(WindowBasis, WindowBasis),
    "recognised_platforms_only": _bool,
    "staff_scope": _one_of(StaffScope, StaffScope),
    "once_per": _one_of(OncePer, OncePer),
    "subsidy_month": _one_of(SubsidyMonth, SubsidyMonth),
    "categories": _categories,
    "comprehensive_courses": _courses,
    "excluded_by": _exclusion,
    "ceiling": _yuan,
    "ceilings": _ceilings,
    "standard_amount": _yuan,
    "names_per_number": _few,
}


def _clauses(value: object) -> tuple[Clause, ...]:
    found: dict[str, Clause] = {}
    for position, item in enumerate(_list(value, "clauses")):
        path = f"clauses.{position}"
        _keys(item, path, required=("id", "revision"))
        name = _slug(item["id"], f"{path}.id")
        clause = CLAUSES.get((name, _positive(item["revision"], f"{path}.revision")))
        if clause is None:
            _refuse("no such clause and revision", path)
        if name in found:
            _refuse("clause named twice", f"{path}.id")
        found[name] = clause
    return tuple(found.values())


def _schedules(value: object, clauses: tuple[Clause, ...], entitlement: Entitlement) -> Schedules:
    needed = _NEEDED.union(*(clause.needs for clause in clauses))
    optional = _OPTIONAL.union(*(clause.may for clause in clauses)) - needed
    _keys(value, "parameters", required=tuple(sorted(needed)), optional=tuple(optional))
    assert isinstance(value, dict)
    schedules = {name: _schedule(name, items, always=name in needed) for name, items in value.items()}
    if "standard_amount" in schedules and "ceilings" in schedules:
        _refuse("one amount cannot be that of every level", "parameters.standard_amount")
    for position, dated in enumerate(schedules.get("excluded_by", ())):
        if isinstance(dated.value, Exclusion) and entitlement in dated.value.entitlements:
            _refuse("the policy's own entitlement", f"parameters.excluded_by.{position}.value")
    return MappingProxyType(schedules)


def _schedule(name: str, value: object, *, always: bool) -> tuple[Dated, ...]:
    path = f"parameters.{name}"
    schedule = tuple(
        _dated(name, item, f"{path}.{position}") for position, item in enumerate(_list(value, path))
    )
    for position, (earlier, later) in enumerate(pairwise(schedule), 1):
        if earlier.end is None or later.start <= earlier.end:
            _refuse("overlaps the one before", f"{path}.{position}.from")
        if later.start != earlier.end + _DAY:
            _refuse("leaves a gap to the one before", f"{path}.{position}.from")
    if always and schedule[0].start > EARLIEST:
        _refuse("leaves earlier days without a value", f"{path}.0.from")
    if always and schedule[-1].end is not None:
        _refuse("leaves later days without a value", f"{path}.{len(schedule) - 1}.to")
    return schedule


def _dated(name: str, value: object, path: str) -> Dated:
    _keys(value, path, required=("from", "value", "reference", "reading"), optional=("to",))
    assert isinstance(value, dict)
    dated = Dated(
        start=_date(value["from"], f"{path}.from"),
        end=_date(value["to"], f"{path}.to") if "to" in value else None,
        value=_READERS[name](value["value"], f"{path}.value"),
        reference=_text(value["reference"], f"{path}.reference"),
        reading=_bool(value["reading"], f"{path}.reading"),
    )
    if dated.end is not None and dated.end < dated.start:
        _refuse("ends before it begins", f"{path}.to")
    return dated
