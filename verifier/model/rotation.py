"""Where the change from one version of a key to the next stands, and what a transaction does in each phase.

Pepper (the blind index):

============  ===========  =================  =========================================================
phase         looks up by  writes             meanwhile
============  ===========  =================  =========================================================
``done``      the version  the version        nothing
``dual``      old          old and new        rows of the old version get their twins, slice by slice
``switched``  new          old and new        nothing; every row has its twin
``drop``      new          new                rows of the old version are deleted, slice by slice
============  ===========  =================  =========================================================

Master key: in ``rewrap`` data keys are wrapped under the new version, and those there are wrapped anew, slice
by slice. What is wrapped says under which version, so nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Rotated(StrEnum):
    """What is rotated. The value is stored."""

    PEPPER = "pepper"
    MASTER = "master"


class Phase(StrEnum):
    """A phase. The value is stored."""

    DONE = "done"
    DUAL = "dual"
    SWITCHED = "switched"
    DROP = "drop"
    REWRAP = "rewrap"


@dataclass(frozen=True, slots=True)
class Turn:
    """How far one key's rotation has come.

    Attributes:
        old: the version before; with ``done`` the same as ``new``.
        new: the version to come, or that is in force.
    """

    phase: Phase
    old: int
    new: int

    @property
    def lookup(self) -> int:
        """The version that every row has: what is found is found by it."""
        return self.old if self.phase is Phase.DUAL else self.new

    @property
    def written(self) -> tuple[int, ...]:
        """The versions that a new row is written under, in the order of the rows' keys."""
        both = self.phase in {Phase.DUAL, Phase.SWITCHED}
        return tuple(sorted({self.old, self.new})) if both else (self.new,)

    @property
    def present(self) -> tuple[int, ...]:
        """The versions that rows may bear: whoever touches a row touches those of all of these."""
        return tuple(sorted({self.old, self.new}))


@dataclass(frozen=True, slots=True)
class Turns:
    """Both, as one transaction read and holds them."""

    pepper: Turn
    master: Turn

    def of(self, name: Rotated) -> Turn:
        """One of them."""
        return self.pepper if name is Rotated.PEPPER else self.master


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the present phase's work stands.

    Attributes:
        part: the table that is worked on; empty when all are through.
        after: key of the last row that was done, as text; empty at a table's beginning.
        done: rows done in this phase.
        total: rows there were when the phase began.
    """

    part: str = ""
    after: tuple[str, ...] = ()
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What an operator is told.

    Attributes:
        erased: identifiers of erased learners, which cannot be indexed anew.
        lacking: rows that were found without a twin at the end, so that filling in began again.
        waits: whether only the operator's word is missing.
    """

    turn: Turn
    progress: Progress
    erased: int = 0
    lacking: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Which versions are in use.

    Attributes:
        rows: number of rows by version.
        known: versions that are configured.
    """

    turn: Turn
    progress: Progress
    rows: Mapping[int, int]
    known: tuple[int, ...]
    erased: int = field(default=0)

    @property
    def removable(self) -> tuple[int, ...]:
        """Configured versions that nothing needs any more; a new one that waits for its turn is not old."""
        if self.turn.phase is not Phase.DONE:
            return ()
        return tuple(one for one in self.known if one < self.turn.new and not self.rows.get(one))
