"""A transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from typing_extensions import override

from verifier.model.person import LearnerId
from verifier.store.acting import Acting


class Trying(Acting):
    """Leaves nothing behind, so that whom it puts on the due list is only remembered.

    A cause about a large enterprise is carried out anew for every slice of those it concerns.
    """

    @override
    def put_due(
        self,
        learners: Iterable[LearnerId],
        cause: str,
        at: datetime,
        not_before: datetime | None = None,
    ) -> None:
        self.made_due |= set(learners)
