"""Taking in a platform's back-log from a file: what a platform says of its form, and what the run needs.

What an import takes in goes the way of callbacks; only what proves the sender is another: the operator who
hands the file over stands where the transport's signature stood, and each certificate proves itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from verifier.model.delivery import PlatformSlug
from verifier.ports.intake import IntakeTransaction


@dataclass(frozen=True, slots=True)
class ImportBody:
    """A body as a callback would have carried it: what is kept, and what the adapter reads."""

    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImportForm:
    """How a platform's items stand in a file.

    Attributes:
        pack: makes the body that a callback would have carried of one item, or of one body, in JSON; the
            second argument is a name by which it may be called where the protocol asks for one. Raises only
            AdapterError. It says nothing of what is in the body: that is for ``Adapter.parse``.
        columns: of a table, by name: where in the item each cell goes, as a JSON pointer. Empty where a
            platform's items cannot be written as a table.
        required: columns without which no row could be read.
    """

    pack: Callable[[bytes, str], ImportBody]
    columns: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


@runtime_checkable
class Importable(Protocol):
    """What an adapter says of files; every adapter says it.

    Attributes:
        importing: None where its protocol has no form of one item that could stand in a file.
    """

    @property
    def importing(self) -> ImportForm | None:
        """The form, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the items of a file so far. A line that holds nothing readable counts as one item.

    Attributes:
        taken: now in force, or recorded beside what is.
        unchanged: known already.
        review: kept, and before a reviewer.
        waiting: kept, until the document that they name comes.
        refused: kept with a reason, and without effect.
        rejected: not kept: nothing proves them.
    """

    taken: int = 0
    unchanged: int = 0
    review: int = 0
    waiting: int = 0
    refused: int = 0
    rejected: int = 0

    @property
    def clean(self) -> bool:
        """Whether everything was taken in."""
        return not self.refused and not self.rejected


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come; written in the very transaction that has the effects.

    Attributes:
        position: the last line, or row, whose effects are committed; 0 at the beginning.
        errors_bytes: length of the side file of errors up to that line.
    """

    position: int = 0
    errors_bytes: int = 0
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """Which file, handed over by whom.

    Attributes:
        file_digest: hex SHA-256.
        operator: who ran the command.
    """

    platform: PlatformSlug
    file_digest: str
    operator: str


class ImportTransaction(IntakeTransaction, Protocol):
    """What an import needs of a transaction besides the pipeline's."""

    def hold_adopted(self, digests: Mapping[str, str]) -> bool:
        """Let no adoption commit before this transaction ends; False where another rulebook is in force."""
        ...

    def import_progress(self, source: ImportSource) -> Progress | None:
        """How far an unfinished import of this file has come; None if there is none."""
        ...

    def begin_import(self, source: ImportSource) -> None:
        """Begin, or begin again, at the first line."""
        ...

    def advance_import(self, source: ImportSource, before: Progress, after: Progress) -> None:
        """Move on.

        Raises:
            Conflict: STATE_REFUSED, somebody else moved it meanwhile.
        """
        ...

    def finish_import(self, source: ImportSource, progress: Progress, import_id: str, at: datetime) -> None:
        """Record that the file was taken in, and by whom; its progress is no longer needed."""
        ...
