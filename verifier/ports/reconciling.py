"""What comparing a platform's manifest with what is held needs of a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from verifier.model.delivery import PlatformSlug
from verifier.model.person import Identifier, LearnerId, PersonName

Reference = tuple[str, str, str]
"""Issuer, number scope, number."""


@dataclass(frozen=True, slots=True)
class Held:
    """The completion that stands under a certificate number.

    Attributes:
        completed_at: aware UTC.
        name: the holder's; None where it was not asked for, or cannot be opened any more.
        erased: whether the holder's personal data were erased, so that nothing personal can be compared.
    """

    learner_id: LearnerId
    completed_at: datetime
    revision: int
    name: PersonName | None
    erased: bool = False


class ReconcileTransaction(Protocol):
    """Reads what is held under numbers, and which numbers a platform brought."""

    def held(
        self, references: Collection[Reference], named: Collection[Reference]
    ) -> Mapping[Reference, Held]:
        """The completion that stands under each number; the holder's name is opened for ``named`` alone."""
        ...

    def revoked(self, references: Collection[Reference]) -> Collection[Reference]:
        """Those of the numbers that are revoked."""
        ...

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one."""
        ...

    def brought(
        self, platform: PlatformSlug, issuer: str, number_scope: str, since: datetime
    ) -> Iterator[tuple[str, datetime]]:
        """Numbers of an issuer that a platform brought and that stand, with when they were completed.

        Args:
            platform: who brought them.
            issuer: whose they are.
            number_scope: of the issuer.
            since: what was recorded before need not be looked at, aware UTC.
        """
        ...
