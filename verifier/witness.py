"""A witness of one's own: its key, the logs that it knows, and what it remembers of them, in one directory.

=================  ===================================================================================
``witness.json``   its name and private key; 0600
``logs.txt``       keys of the logs that it watches, one a line (C2SP vkey)
``state.json``     of each log the last checkpoint that it cosigned, cosignature included
=================  ===================================================================================

What it remembers is replaced durably *before* a cosignature leaves, so that no crash makes it sign two trees
that do not continue each other. Without its memory it does not start: having forgotten, it would sign all.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import cosigning, kept, keyfiles, ledger, notes, witnessing
from verifier.cosigning import NoteKey
from verifier.errors import Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.model.ledger import Checkpoint
from verifier.witnessing import Refusal

IDENTITY: Final = "witness.json"
LOGS: Final = "logs.txt"
STATE: Final = "state.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the witness is."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)

    @property
    def vkey(self) -> str:
        """What logs and auditors are given."""
        return cosigning.cosigner_key(self.name, self.key.public_key())


def create(directory: Path, name: str, logs: Sequence[str]) -> Identity:
    """Make a witness: a new key, an empty memory.

    Raises:
        ConfigurationError: KEY_REFUSED, there is one already, or the name or a log's key is no such thing.
    """
    for log_key in logs:
        if cosigning.parse_key(log_key).kind != cosigning.LOG:
            raise ConfigurationError(
                Code.KEY_REFUSED, "this is the key of a witness, not of a log", pointer="log"
            )
    identity = Identity(name, Ed25519PrivateKey.generate())
    try:
        _ = identity.vkey
    except LedgerRefused:
        detail = "a name without spaces and plus signs is needed"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="name") from None
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = {"name": name, "key": base64.b64encode(identity.key.private_bytes_raw()).decode()}
    keyfiles.write_secret(directory / IDENTITY, json.dumps(secret).encode())
    kept.replace(directory / LOGS, "".join(f"{one.strip()}\n" for one in logs).encode())
    kept.replace(directory / STATE, b"{}")
    return identity


def load_identity(directory: Path) -> Identity:
    """Read the key; KEY_REFUSED if it is missing, malformed or readable by others."""
    content = keyfiles.read_secret(directory / IDENTITY)
    try:
        members = json.loads(content)
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(members["key"], validate=True))
        return Identity(members["name"], key)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ConfigurationError(
            Code.KEY_REFUSED, "the witness's key is malformed", pointer=IDENTITY
        ) from None


def load_logs(directory: Path) -> list[NoteKey]:
    """Read the keys of the logs; empty lines and what begins with # are passed over."""
    text = keyfiles.read_public(directory / LOGS).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    return [cosigning.parse_key(line) for line in lines if line and not line.startswith("#")]


def load_state(directory: Path) -> dict[str, bytes]:
    """What the witness remembers: by log, the last note it cosigned.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is missing or malformed.
    """
    content = keyfiles.read_public(directory / STATE)
    try:
        state = {str(origin): str(note).encode() for origin, note in json.loads(content).items()}
        if all(remembered(note).origin == origin for origin, note in state.items()):
            return state
    except (ValueError, AttributeError, LedgerRefused):
        pass  # as wrong as another log's note
    detail = "what the witness remembers is malformed"
    raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=STATE)


def remembered(note: bytes) -> Checkpoint:
    """The checkpoint of a note that this witness cosigned itself."""
    return ledger.parse_checkpoint(notes.split_note(note)[0])


@dataclass(slots=True)
class WitnessService:
    """A running witness; several requests may come at once.

    Attributes:
        keep: replaces what is remembered, durably; OSError if it cannot.
    """

    identity: Identity
    logs: Sequence[NoteKey]
    state: dict[str, bytes]
    keep: Callable[[Mapping[str, bytes]], None]
    seconds: Callable[[], int]
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def add(self, raw: bytes) -> bytes | Refusal:
        """Answer ``add-checkpoint``: the cosignature line, or the refusal.

        Raises:
            RequestRejected: SCHEMA_INVALID, not a request of this form.
            Unavailable: what was accepted could not be remembered; nothing is signed.
        """
        submission = witnessing.read(raw)
        origin = submission.checkpoint.origin
        with self._alone:
            note = self.state.get(origin)
            refusal = witnessing.judge(submission, self.logs, None if note is None else remembered(note))
            if refusal is not None:
                return refusal
            line = cosigning.cosign(
                submission.text, self.identity.name, self.identity.key, max(self.seconds(), 1)
            )
            fresh = {**self.state, origin: self._with_own(submission, line)}
            try:
                self.keep(fresh)
            except OSError:
                raise Unavailable(Code.STORE_UNAVAILABLE, "the witness cannot remember") from None
            self.state = fresh
        return line

    def _with_own(self, submission: witnessing.Submission, line: bytes) -> bytes:
        """The checkpoint with the log's signatures that were verified, and the cosignature."""
        known = {(key.name, key.key_id) for key in self.logs}
        _, signatures = notes.split_note(submission.note)
        lines = b"".join(one.line for one in signatures if one[:2] in known)
        return submission.text + b"\n" + lines + line

    def latest(self, origin_hash: str) -> bytes | None:
        """The last note cosigned of a log, by SHA-256 of its origin in hexadecimal; None if there is none."""
        for origin, note in self.state.items():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                return note
        return None


@contextmanager
def opened(directory: Path, seconds: Callable[[], int]) -> Iterator[WitnessService]:
    """A witness that no other process can be at the same time.

    Raises:
        ConfigurationError: something of it is missing or wrong, or another process is it.
    """
    identity, logs, state = load_identity(directory), load_logs(directory), load_state(directory)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Read again behind the lock: another process may just have ended.
        state = load_state(directory)
        yield WitnessService(identity, logs, state, lambda fresh: _keep(directory, fresh), seconds)
    except BlockingIOError:
        raise ConfigurationError(
            Code.STORE_LOCKED, "another process is this witness", pointer=directory.name
        ) from None
    finally:
        os.close(handle)


def _keep(directory: Path, state: Mapping[str, bytes]) -> None:
    content = json.dumps({origin: note.decode() for origin, note in state.items()}, ensure_ascii=False)
    kept.replace(directory / STATE, content.encode())
