"""Small facts for the rules on signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from verifier.identity import person_name
from verifier.model.certificate import DocumentKind
from verifier.model.decision import Case
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, EmploymentFact, FactId, Source
from verifier.model.person import LearnerId, Uscc
from verifier.model.signals import Finding, Former, Person, SignalKind
from verifier.model.time import BEIJING
from verifier.policy.thresholds import Thresholds, load_thresholds
from verifier.signals import of_person

RAW: Final = (Path(__file__).parents[2] / "verifier/policy/parameters/signals.toml").read_bytes()
THRESHOLDS: Final = load_thresholds(RAW)
NOW: Final = datetime(2022, 6, 1, tzinfo=UTC)
LEARNER: Final = LearnerId("p1")
SOURCE: Final = Source("test", "unit")
E1, E2, E3 = Uscc("E1"), Uscc("E2"), Uscc("E3")
P1, P2 = PlatformSlug("p1"), PlatformSlug("p2")
MINUTE: Final = timedelta(minutes=1)


def beijing(text: str) -> datetime:
    """A moment in Beijing, as ``2021-03-15 10:00``."""
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING).astimezone(UTC)


def done(number: str = "C1", at: str | datetime = "2021-03-15 10:00", **changes: Any) -> CompletionFact:
    completed = beijing(at) if isinstance(at, str) else at
    fact = CompletionFact(
        fact_id=FactId(f"fact-{number}"),
        learner_id=LEARNER,
        platform=P1,
        issuer="issuer",
        number_scope="all",
        number=number,
        revision=1,
        completed_at=completed,
        issued_at=completed,
        document=DocumentKind.COURSE_PROOF,
        course_code="K1",
        course_title="安全生产",
        organisation="机构",
        key_id="k1",
        content_digest=b"digest",
        holder=person_name("测试员甲"),
        recorded_at=NOW,
        source=SOURCE,
    )
    return replace(fact, **changes)


def employed(uscc: Uscc = E1, start: str = "2021-01-01", end: str = "", **changes: Any) -> EmploymentFact:
    fact = EmploymentFact(
        fact_id=FactId(f"row-{uscc}-{start}"),
        learner_id=LEARNER,
        uscc=uscc,
        start=date.fromisoformat(start),
        end=date.fromisoformat(end) if end else None,
        category=None,
        post="操作工",
        dispatched_by=None,
        name=person_name("测试员甲"),
        recorded_at=NOW,
        source=SOURCE,
    )
    return replace(fact, **changes)


CASE: Final = Case(
    learner_id=LEARNER,
    as_of=NOW,
    completions=(),
    revoked={},
    employments=(),
    admissions=(),
    scopes=(),
    employer_choices=(),
    name_decisions=(),
    recognised={},
)


def case(completions: Sequence[CompletionFact], rows: Sequence[EmploymentFact] = (), **changes: Any) -> Case:
    return replace(CASE, completions=tuple(completions), employments=tuple(rows), **changes)


def found(
    *facts: CompletionFact | EmploymentFact,
    former: Sequence[Former] = (),
    shared: dict[str, int] | None = None,
    thresholds: Thresholds = THRESHOLDS,
    **changes: Any,
) -> list[Finding]:
    """What the rules find of one person's facts."""
    completions = [fact for fact in facts if isinstance(fact, CompletionFact)]
    rows = [fact for fact in facts if isinstance(fact, EmploymentFact)]
    person = Person(case(completions, rows, **changes), tuple(former), shared or {})
    return of_person(person, thresholds)


def kinds(findings: Sequence[Finding]) -> list[SignalKind]:
    return [finding.kind for finding in findings]
