"""The platform's own list of what it issued: its columns, and the port of a platform that can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from verifier.signatures.transport import TransportKey


class Column(StrEnum):
    """What a manifest may say of a certificate; the value is the English header and the member of JSON."""

    NUMBER = "certificate_number"
    ID_NUMBER = "id_number"
    NAME = "name"
    COMPLETED_AT = "completed_at"
    ISSUER = "issuer"
    STATUS = "status"
    REVISION = "revision"


@dataclass(frozen=True, slots=True)
class Cells:
    """One row of a manifest as its file or its platform wrote it; no rule was asked yet.

    Attributes:
        row: its number in the manifest, from 1, the header not counted.
        texts: by column; an empty text is as good as none.
    """

    row: int
    texts: Mapping[Column, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What to ask a platform. The caller adds the address, and nothing else.

    Attributes:
        target: path and query, from ``/`` on.
        headers: besides those that every HTTP client sends.
    """

    method: Literal["GET", "POST"]
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PullPage:
    """A piece of a platform's list.

    Attributes:
        rows: their columns; the caller numbers them.
        following: what to ask for the next piece; None at the end.
    """

    rows: Sequence[Mapping[Column, str]] = field(repr=False)
    following: PullRequest | None = None


@runtime_checkable
class Pull(Protocol):
    """An adapter whose platform can be asked what it issued. Pure, as all of an adapter: the caller asks."""

    def pull(self, start: date, end: date, keys: Sequence[TransportKey], now: datetime) -> PullRequest:
        """What to ask for the certificates of completions from a day to a day, both included (Beijing).

        Raises:
            SignatureRejected: none of the keys is of use.
        """
        ...

    def read_page(
        self, asked: PullRequest, answer: bytes, keys: Sequence[TransportKey], now: datetime
    ) -> PullPage:
        """Read an answer with status 200. Raises only AdapterError and SignatureRejected."""
        ...
