"""What a check finds, and what it starts from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier.cosigning import NoteKey
from verifier.signatures import jws


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was signed.

    Attributes:
        kind: a stable word.
        where: table and key, or index; never a value.
    """

    kind: str
    where: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the check starts from; taken from outside the database.

    Attributes:
        checkpoints: keys of checkpoints, those that sign no more included.
        records: keys of records and of status lists, likewise, by id.
        kept: an earlier checkpoint; empty if there is none to compare with.
        witnesses: keys of the witnesses that are asked to cosign.
    """

    origin: str
    checkpoints: Collection[Ed25519PublicKey]
    records: Mapping[str, jws.VerificationKey]
    kept: bytes = b""
    witnesses: Collection[NoteKey] = ()


@dataclass(slots=True)
class Ledger:
    """The entries as read: what further checks compare with.

    Attributes:
        entries: members of each by index, as far as its body could be read.
        at: when each was recorded, by the column that its body repeats.
        leaves: computed from the bodies.
    """

    entries: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    at: dict[int, datetime] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)
