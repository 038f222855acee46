"""Asks outside witnesses to cosign the ledger's checkpoints; works beside the issuer and never holds it up.

A round asks every witness whose turn it is for the same, newest checkpoint, so that their cosignatures stand
under one note. A witness that fails is asked again later and later, up to ``LONGEST``. What a witness says
that cannot be (it has seen more than there is here, or another history) is an alarm: either it is mistaken,
or this database is not the one that it saw.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from verifier import cosigning, ledger, merkle, notes, witnessing
from verifier.cosigning import NoteKey
from verifier.errors import LedgerRefused
from verifier.model.ledger import Checkpoint, NodeReader
from verifier.ports import Clock
from verifier.ports.witnessing import Answered, Ask, Cosigned, WitnessedStore
from verifier.toml_tables import document

EVERY: Final = timedelta(seconds=5)
"""A witness is not asked more often."""
LONGEST: Final = timedelta(minutes=10)
SKEW: Final = timedelta(minutes=5)
_MOST_LINES_BYTES: Final = 1 << 16
_MOST_SIZE_BYTES: Final = 20

log = logging.getLogger("verifier.witnesses")


class Alarm(Protocol):
    """Tells somebody."""

    def __call__(self, *, code: str, witness: str) -> None:
        """Tell a code, and the witness that it is about."""
        ...


@dataclass(frozen=True, slots=True)
class Witness:
    """An outside party that countersigns.

    Attributes:
        url: its submission prefix.
        key: its public key.
    """

    url: str
    key: NoteKey


def read(raw: bytes) -> tuple[Witness, ...]:
    """Read the file that names the witnesses: ``[[witness]]`` with ``url`` and ``vkey``.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID or KEY_REFUSED.
    """
    source = document(raw, "the list of witnesses")
    source.allow("witness")
    found: dict[str, Witness] = {}
    for table in source.tables("witness", least=1):
        table.allow("url", "vkey")
        url, key = table.text("url"), cosigning.parse_key(table.text("vkey"))
        if not url.startswith(("https://", "http://")):
            raise table.invalid("url", "an http(s) address is needed")
        if key.kind != cosigning.WITNESS:
            raise table.refused("vkey", "this is the key of a log, not of a witness")
        if key.name in found:
            raise table.invalid("vkey", "a witness stands twice")
        found[key.name] = Witness(url.rstrip("/"), key)
    return tuple(found.values())


@dataclass(slots=True)
class _Turn:
    """When a witness is asked again."""

    after: datetime | None = None
    wait: timedelta = EVERY


@dataclass(slots=True)
class WitnessWorker:
    """One round a step.

    Attributes:
        measured: is told of every witness the seconds since its last cosignature (None: never) and how many
            entries it is behind.
    """

    store: WitnessedStore
    witnesses: Sequence[Witness]
    ask: Ask
    clock: Clock
    alarm: Alarm
    measured: Callable[[str, float | None, int], None]
    _turns: dict[str, _Turn] = field(default_factory=dict)

    async def step(self) -> int:
        """Ask those whose turn it is for the newest checkpoint; always 0: the next round has to wait.

        Raises:
            Unavailable: the database does not answer.
        """
        note = await self.store.checkpoint()
        if not note:
            return 0
        newest, now = ledger.parse_checkpoint(notes.split_note(note)[0]), self.clock()
        kept = {one.witness: one for one in await self.store.cosignatures()}
        asked = [
            self._round(one, note, newest, kept.get(one.key.name), now)
            for one in self.witnesses
            if self._due(one, newest, kept.get(one.key.name), now)
        ]
        for cosigned in filter(None, await asyncio.gather(*asked)):
            await self.store.keep_cosignature(cosigned)
            kept[cosigned.witness] = cosigned
        for one in self.witnesses:
            self._measure(one.key.name, newest, kept.get(one.key.name), now)
        return 0

    def _measure(self, name: str, newest: Checkpoint, kept: Cosigned | None, now: datetime) -> None:
        age = None if kept is None else (now - kept.at).total_seconds()
        self.measured(name, age, newest.size - (0 if kept is None else kept.size))

    def _due(self, witness: Witness, newest: Checkpoint, kept: Cosigned | None, now: datetime) -> bool:
        after = self._turns.setdefault(witness.key.name, _Turn()).after
        # A clock that is set back must not keep a witness from being asked.
        waiting = after is not None and now < after <= now + LONGEST
        return not waiting and (kept is None or kept.size < newest.size)

    async def _round(
        self, witness: Witness, note: bytes, newest: Checkpoint, kept: Cosigned | None, now: datetime
    ) -> Cosigned | None:
        turn = self._turns[witness.key.name]
        found = await self._asked(witness, note, newest, 0 if kept is None else kept.size, now)
        turn.wait = EVERY if found else min(turn.wait * 2, LONGEST)
        turn.after = now + turn.wait
        if found is None:
            log.warning("witness %s did not cosign; asked again in %s", witness.key.name, turn.wait)
        return found

    async def _asked(
        self, witness: Witness, note: bytes, newest: Checkpoint, old: int, now: datetime
    ) -> Cosigned | None:
        answer = await self._submit(witness, note, newest, old)
        if answer is not None and answer.status == 409:  # noqa: PLR2004 - the protocol's number
            meant = _size(answer.body)
            if meant is None:
                return None
            if meant > newest.size:
                # It cosigned a tree that is not here: this database may be an old copy.
                self.alarm(code="witness_ahead", witness=witness.key.name)
                return None
            answer = await self._submit(witness, note, newest, meant)
        if answer is not None and answer.status == 422:  # noqa: PLR2004 - as above
            self.alarm(code="witness_disagrees", witness=witness.key.name)
            return None
        if answer is None or answer.status != 200:  # noqa: PLR2004 - as above
            return None
        return _accepted(witness, note, newest, answer, now)

    async def _submit(self, witness: Witness, note: bytes, newest: Checkpoint, old: int) -> Answered | None:
        def path(node: NodeReader) -> list[bytes]:
            return merkle.consistency_proof(old, newest.size, node)

        wanted = merkle.coordinates(path)
        found = await self.store.nodes(wanted)
        if len(found) != len(wanted):
            return None
        proof = path(lambda level, index: found[level, index])
        return await self.ask(f"{witness.url}/add-checkpoint", witnessing.request(old, proof, note))


def _size(body: bytes) -> int | None:
    text = body.removesuffix(b"\n")
    return int(text) if text.isdigit() and len(text) < _MOST_SIZE_BYTES else None


def _accepted(
    witness: Witness, note: bytes, newest: Checkpoint, answer: Answered, now: datetime
) -> Cosigned | None:
    """The cosignature in an answer, if it is this witness's, of this checkpoint and not of the future."""
    text, _ = notes.split_note(note)
    try:
        found = cosigning.only(text, answer.body[:_MOST_LINES_BYTES], witness.key)
    except LedgerRefused:
        return None
    latest = int((now + SKEW).timestamp())
    good = [one for one in found if one.at <= latest]
    if not good:
        return None
    best = max(good, key=lambda one: one.at)
    return Cosigned(witness.key.name, newest.size, note, best.line, datetime.fromtimestamp(best.at, UTC))


def under(note: bytes, kept: Sequence[Cosigned]) -> bytes:
    """A checkpoint with the cosignatures that are for exactly this one."""
    text = _text(note)
    lines = [one.line for one in kept if _text(one.checkpoint) == text]
    return cosigning.appended(note, lines)


def _text(note: bytes) -> bytes:
    return note.rpartition(b"\n\n")[0]


def newest_witnessed(kept: Sequence[Cosigned]) -> bytes:
    """The newest checkpoint that a witness cosigned, with all its cosignatures; empty if there is none."""
    if not kept:
        return b""
    return under(max(kept, key=lambda one: one.size).checkpoint, kept)
