"""What lists about an enterprise's people need of a transaction: it reads, and logs what it showed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from verifier.model.decision import Entitlement
from verifier.model.facts import AdmissionFact, CompletionFact, EmploymentFact
from verifier.model.person import Identifier, LearnerId, Uscc


@dataclass(frozen=True, slots=True)
class Upload:
    """One roster that was taken in, without its people.

    Attributes:
        rows: as many as the file had.
        client_id: who uploaded it.
    """

    roster_id: str
    recorded_at: datetime
    rows: int
    client_id: str


@dataclass(frozen=True, slots=True)
class LiveGrant:
    """A grant that holds a month at an enterprise.

    Attributes:
        employment: the roster's row under which it was granted.
        record_id: empty while the record is not issued yet.
    """

    completion: CompletionFact
    employment: EmploymentFact
    month: date
    office: str
    record_id: str


class ListingTransaction(Protocol):
    """Reads an enterprise's rosters and grants, and logs whom it showed."""

    def admissions(self, uscc: Uscc) -> Sequence[AdmissionFact]:
        """Current admissions of an enterprise."""
        ...

    def uploads(self, uscc: Uscc, limit: int) -> Sequence[Upload]:
        """Rosters of an enterprise that were taken in, newest first."""
        ...

    def known_rows(self, uscc: Uscc, known_at: datetime) -> Sequence[EmploymentFact]:
        """Rows of an enterprise's roster as they stood at a moment, by what was recorded until then."""
        ...

    def live_grants(self, uscc: Uscc, entitlement: Entitlement, month: date) -> Sequence[LiveGrant]:
        """Grants that hold a month at an enterprise, whether claimed or not."""
        ...

    def contested(self, uscc: Uscc) -> Collection[LearnerId]:
        """Whose listing by an enterprise is contested, or was found not to count; their whole groups."""
        ...

    def newest_adoption(self, kind: str) -> tuple[str, str] | None:
        """Digest and content of the source form of a kind that was adopted last."""
        ...

    def identifiers_of(self, learners: Collection[LearnerId]) -> Mapping[LearnerId, Sequence[Identifier]]:
        """The identifiers of learners, as far as they can still be opened; sorted by kind and value."""
        ...

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Write one row of the access log for each learner: what was shown to whom, and what for."""
        ...
