"""What a clause is: a cited function over the facts of one candidate and the parameters of its day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final, Literal

from verifier.errors import Code, ConfigurationError
from verifier.model.decision import Entitlement, Holding, Outcome
from verifier.model.facts import (
    AdmissionFact,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ReleaseFact,
    ScopeFact,
)
from verifier.model.time import beijing_date
from verifier.model.trust import Recognition
from verifier.policy.parameters import Parameters

Read = Literal[
    "completion", "employment", "covering", "admissions", "scopes", "choice", "name_decision", "contest",
    "release", "hold", "dispute",
]  # fmt: skip
"""The attributes of ``ClauseFacts`` that hold facts."""


@dataclass(frozen=True, slots=True)
class ClauseFacts:
    """The facts of one candidate: a completion with one row of a roster that covers its day.

    Attributes:
        employment: None where no roster covers the completion date.
        covering: every roster row, of any enterprise, that covers the completion date.
        revoked: the issuer withdrew the certificate.
        doubtful: its key is called compromised since before the certificate was first received.
        recognised: when the platform is recognised; empty where the register does not list it.
        admissions: those of the candidate's enterprise.
        scopes: declarations of the candidate's enterprise.
        choice: the newest decision of a reviewer on this completion's employer.
        name_decision: the newest one on this completion's name that could know the roster row.
        holding: what holds the month, by number, so that it survives a correction.
        identified: whether the holder is known by an identifier, or by a reviewer's merge.
        unrelated_names: how many names that have nothing to do with each other stand under the person.
        contest: the worker's open contest of the candidate's enterprise's listing.
        release: what gave this completion up under this employer.
        hold: the reviewer's suspension that is in force.
        dispute: the worker's open objection against the month being taken.
        others: other entitlements of which the learner holds a grant that was not given back.
        day: the completion date in Beijing, at which everything effective-dated is judged.
    """

    completion: CompletionFact
    employment: EmploymentFact | None
    covering: tuple[EmploymentFact, ...]
    revoked: bool
    recognised: tuple[Recognition, ...]
    admissions: tuple[AdmissionFact, ...]
    scopes: tuple[ScopeFact, ...]
    choice: EmployerChoiceFact | None
    name_decision: NameDecisionFact | None
    holding: Holding | None = None
    doubtful: bool = False
    identified: bool = True
    unrelated_names: int = 1
    contest: ContestFact | None = None
    release: ReleaseFact | None = None
    hold: HoldFact | None = None
    dispute: ObjectionFact | None = None
    others: frozenset[Entitlement] = frozenset()
    day: date = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "day", beijing_date(self.completion.completed_at))

    @property
    def number(self) -> tuple[str, str, str]:
        """The completion's name among all: it outlives corrections."""
        return (self.completion.issuer, self.completion.number_scope, self.completion.number)

    @property
    def is_holder(self) -> bool:
        """Whether this candidate holds the live grant."""
        return self.holding is not None and not self.holding.blocked and self.was_holder

    @property
    def was_holder(self) -> bool:
        """Whether this candidate holds the month, or held it until its grant fell."""
        return (
            self.holding is not None
            and self.employment is not None
            and self.employment.uscc == self.holding.uscc
            and self.number == (self.holding.issuer, self.holding.number_scope, self.holding.number)
        )

    @property
    def is_paid_for(self) -> bool:
        """Whether this candidate holds the month, and money was asked for or paid on it."""
        return self.is_holder and self.holding is not None and self.holding.owed

    def ids(self, reads: Iterable[Read]) -> tuple[FactId, ...]:
        """Ids of the facts in these attributes, sorted."""
        found: set[FactId] = set()
        for read in reads:
            held = getattr(self, read)
            if isinstance(held, tuple):
                for fact in held:
                    found.add(fact.fact_id)
            elif held is not None:
                found.add(held.fact_id)
        return tuple(sorted(found))


Judge = Callable[[ClauseFacts, Parameters], Outcome]


@dataclass(frozen=True, slots=True)
class Clause:
    """One released revision of a clause.

    Attributes:
        reads: which facts it looks at, for the trace.
        needs: parameters that a policy with this clause must have.
        may: parameters that such a policy may have.
    """

    id: str
    revision: int
    title: str
    citation: str
    reads: tuple[Read, ...]
    judge: Judge
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


PROOFS: Final = frozenset({"course-proof", "skill-certificate", "training-passed"})
"""Clauses that ask whether the certificate stands."""

_EARLIER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "platform-recognised": ("recognised_platforms_only",),
        "within-period": ("window", "window_basis"),
        "category-in-scope": ("staff_scope",),
    }
)
"""What clauses need whose first revisions were released before a clause could say so itself."""

_registered: dict[tuple[str, int], Clause] = {}
REGISTERED: Final[Mapping[tuple[str, int], Clause]] = MappingProxyType(_registered)
"""Every clause by id and revision, once ``rules`` is imported."""


def clause(
    name: str,
    *,
    revision: int,
    title: str,
    citation: str,
    reads: tuple[Read, ...],
    needs: tuple[str, ...] | None = None,
    may: tuple[str, ...] = (),
) -> Callable[[Judge], Judge]:
    """Register a function as one revision of a clause.

    Args:
        name: the clause's stable id.
        revision: 1 for the first; any change of meaning or text is a new one.
        title: in Chinese.
        citation: where it is written, or that it is our reading.
        reads: which facts the function looks at.
        needs: parameters that a policy with it must have.
        may: parameters that such a policy may have.

    Raises:
        ConfigurationError: POLICY_INVALID, this id and revision is taken.
    """

    def register(judge: Judge) -> Judge:
        if (name, revision) in _registered:
            raise ConfigurationError(Code.POLICY_INVALID, "this clause revision exists already")
        needed = _EARLIER.get(name, ()) if needs is None else needs
        _registered[name, revision] = Clause(name, revision, title, citation, reads, judge, needed, may)
        return judge

    return register
