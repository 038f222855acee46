"""What whoever checks has at hand besides the file; nothing of it is fetched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from verifier import cosigning
from verifier.cosigning import NoteKey
from verifier.errors import Code, LedgerRefused
from verifier.keyring import Register
from verifier.ledger import parse_checkpoint, verify_note
from verifier.model.certificate import CertificateFields, CertificateKind
from verifier.model.delivery import PlatformSlug
from verifier.model.ledger import Checkpoint
from verifier.signatures.jws import VerificationKey
from verifier.signed_file import Contents


@dataclass(frozen=True, slots=True)
class Reading:
    """How a platform's certificates of one kind are read."""

    platform: PlatformSlug
    kind: CertificateKind
    fields: CertificateFields


@dataclass(frozen=True, slots=True)
class Given:
    """Everything that may be given.

    Attributes:
        now: aware UTC, against which times are judged.
        keys: the issuer's published keys; None if none were given.
        status: a status list token.
        note_keys: of the log and of witnesses.
        checkpoint: the signed note that proofs lead to.
        earlier: a signed note from before.
        proof: the JSON of a proof.
        entry: the exact bytes of an entry, or its line of the feed.
        companion: reads the file that a signature stands beside; None if there is none.
    """

    now: datetime
    keys: Collection[VerificationKey] | None = None
    status: str | None = None
    note_keys: Sequence[NoteKey] = ()
    checkpoint: bytes | None = None
    earlier: bytes | None = None
    proof: bytes | None = None
    entry: bytes | None = None
    register: Register | None = None
    readings: Sequence[Reading] = ()
    companion: Callable[[], Contents | None] = field(default=lambda: None)

    @property
    def log_keys(self) -> list[NoteKey]:
        """Keys of logs among the note keys."""
        return [key for key in self.note_keys if key.kind == cosigning.LOG]


def signed_checkpoint(note: bytes, log_keys: Collection[NoteKey]) -> Checkpoint:
    """A checkpoint that one of these logs' keys signed under its own name.

    Raises:
        LedgerRefused: RECORD_INVALID.
    """
    refused = LedgerRefused(Code.RECORD_INVALID, "no key was given")
    for key in log_keys:
        try:
            checkpoint = parse_checkpoint(verify_note(note, {key.name: key.public}))
        except LedgerRefused as error:
            refused = error
            continue
        if checkpoint.origin != key.name:
            raise LedgerRefused(Code.RECORD_INVALID, "the checkpoint is another log's")
        return checkpoint
    raise refused
