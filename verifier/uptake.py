"""Keeps a process's rulebook what is adopted, whichever process adopted it.

1. Whoever decides finds in its transaction that another rulebook is in force (``hold_rules``): what is
   adopted is read in that very transaction, taken up, and the transaction begins again.
2. Verification happens before any transaction. So a process also looks once a second, and at once where it is
   told to; and what was verified by another register than the one it is recorded under is prepared again
   (``verifier.receiving``).
3. What cannot be taken up, because a secret that it names is missing here or this version cannot read it,
   makes every decision of this process fail, and the process not ready, until it can.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from verifier import adopted
from verifier.adoption import Rulebooks
from verifier.errors import ConfigurationError
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.ports.operating import Adoption

T = TypeVar("T")
log = logging.getLogger("verifier.uptake")


class AdoptedTransaction(Protocol):
    """Reads what was adopted."""

    def in_force(self) -> Mapping[str, str]:
        """Digests of what decisions go by, by name; empty while nothing was adopted."""
        ...

    def adoptions(self, kind: str) -> Sequence[Adoption]:
        """Everything of a kind that was ever adopted, oldest first."""
        ...


class AdoptedUnits(Protocol):
    """Runs reading transactions."""

    async def previewing(self, work: Callable[[Any], T]) -> T:
        """Run one reading transaction."""
        ...


@dataclass(slots=True)
class Uptake:
    """Takes up what is adopted.

    Attributes:
        rulebooks: of this process.
        files: the rulebook as the settings' files say it, for what nothing was adopted of.
        forms: its source forms: of each policy in order, then of the register.
        secret: reads a transport secret by its file name.
        failed: why what is adopted cannot be taken up; empty when it could.
    """

    rulebooks: Rulebooks
    files: Rulebook
    forms: Sequence[SourceForm]
    secret: Callable[[str], bytes]
    failed: str = ""

    def take_up(self, tx: AdoptedTransaction) -> None:
        """Exchange the rulebook for what is adopted; its secrets are read anew.

        Raises:
            ConfigurationError: it cannot be read by this version, or a secret is missing.
        """
        in_force = set(tx.in_force().values())

        def adoptions(kind: str) -> Sequence[Adoption]:
            # What is in force comes last, also where the clocks of those who adopted differ.
            return sorted(tx.adoptions(kind), key=lambda one: one.digest in in_force)

        policies, registers = adoptions("policy"), adoptions("register")
        found = adopted.standing(self.files, self.forms, policies, registers, self.secret).rulebook
        self.rulebooks.take_up(found)
        log.info("took up what is adopted: register %s", found.register.digest)

    def look(self, tx: AdoptedTransaction) -> None:
        """Take up what is adopted, if it is not what this process goes by; errors as ``take_up``."""
        digests = self.rulebooks().digests
        if any(digests.get(name, digest) != digest for name, digest in tx.in_force().items()):
            self.take_up(tx)

    async def step(self, units: AdoptedUnits, *, anew: bool = False) -> int:
        """Look once; a worker's step.

        Args:
            units: where.
            anew: whether to read it in any case, since a secret may have changed.

        Returns:
            0: the next look has to wait its turn.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            await units.previewing(self.take_up if anew else self.look)
        except ConfigurationError as error:
            if not self.failed:
                log.critical("what is adopted cannot be taken up: %s [%s]", error.code, error.pointer)
            self.failed = f"rules: {error.code}"
        else:
            self.failed = ""
        return 0

    def failures(self) -> Sequence[str]:
        """Why this process is not ready, if it is not."""
        return (self.failed,) if self.failed else ()
