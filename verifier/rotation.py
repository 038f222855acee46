"""Rotates the pepper and the master key while traffic runs: one step, one transaction, repeated until done.

A step either does a slice of the phase's work, or moves the phase on, never both: a slice holds rows that
others may wait for, and moving on waits for those others. Whatever ends a step half-way leaves things as they
were before it.

The rule for erased learners: their key is gone, so no index under the new pepper can be computed for them.
Their old rows go with the others, but only on the operator's word: such a person who comes again is a new
learner, and a month granted before the erasure no longer stands in the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from verifier.errors import Code, ConfigurationError, RequestRejected
from verifier.model.rotation import Phase, Progress, Rotated, Standing, Turn, Usage
from verifier.ports import Clock
from verifier.ports.rotating import RotatingTransaction

T = TypeVar("T")
PARTS: Final[Mapping[Rotated, tuple[str, ...]]] = {
    Rotated.PEPPER: ("identifiers", "traits"),
    Rotated.MASTER: ("learners", "deliveries", "documents", "facts", "signal_closings", "erasures"),
}
SLICES: Final[Mapping[str, int]] = {
    "identifiers": 500,
    "traits": 500,
    "learners": 500,
    # Each row is read and written whole; a document may have megabytes.
    "deliveries": 200,
    "documents": 10,
    "facts": 500,
    "signal_closings": 500,
    "erasures": 500,
}
"""Rows of one step."""


def step(
    tx: RotatingTransaction,
    name: Rotated,
    to: int,
    at: datetime,
    *,
    forget_erased: bool = False,
    slices: Mapping[str, int] = SLICES,
) -> Standing:
    """Take the next step of a rotation; begins one where none is under way.

    Args:
        tx: one transaction.
        name: what is rotated.
        to: the version that it is about.
        at: aware UTC.
        forget_erased: that erased learners may be dropped from the index.
        slices: rows of one step, by table.

    Returns:
        Where it stands after the step.

    Raises:
        ConfigurationError: KEY_REFUSED, the version is not configured, or a row does not agree with its key.
        RequestRejected: another version's rotation is under way, or this version is behind.
    """
    turn, progress = tx.begin_step(name)
    if turn.phase is Phase.DONE:
        return _begin(tx, name, turn, to, at)
    if turn.new != to:
        raise RequestRejected(Code.SCHEMA_INVALID, "another version's rotation is under way", pointer="to")
    if progress.part:
        return _slice(tx, name, turn, progress, at, slices[progress.part])
    return _move(tx, name, turn, progress, at, forget_erased=forget_erased)


def _begin(tx: RotatingTransaction, name: Rotated, turn: Turn, to: int, at: datetime) -> Standing:
    if to == turn.new:
        return Standing(turn, Progress())
    if to < turn.new:
        raise RequestRejected(Code.SCHEMA_INVALID, "versions only go up", pointer="to")
    if to not in tx.known(name):
        raise ConfigurationError(Code.KEY_REFUSED, "the new key version is not configured")
    phase = Phase.DUAL if name is Rotated.PEPPER else Phase.REWRAP
    return _moved(tx, name, Turn(phase, turn.new, to), at, total=tx.count(name))


def _moved(tx: RotatingTransaction, name: Rotated, turn: Turn, at: datetime, total: int) -> Standing:
    works = turn.phase in {Phase.DUAL, Phase.DROP, Phase.REWRAP}
    progress = Progress(PARTS[name][0] if works else "", (), 0, total)
    tx.move(name, turn, progress, at)
    return Standing(turn, progress)


def _slice(
    tx: RotatingTransaction, name: Rotated, turn: Turn, progress: Progress, at: datetime, limit: int
) -> Standing:
    part, after = progress.part, progress.after
    if turn.phase is Phase.DROP:
        done, after = tx.drop(part, after, limit)
    elif turn.phase is Phase.DUAL:
        done, after = tx.fill_in(part, after, limit)
    else:
        done, after = tx.rewrap(part, after, limit)
    if done < limit:
        parts = PARTS[name]
        part, after = (*parts, "")[parts.index(part) + 1], ()
    progress = Progress(part, after, progress.done + done, max(progress.total, progress.done + done))
    tx.note(name, progress, at)
    return Standing(turn, progress)


def _move(
    tx: RotatingTransaction,
    name: Rotated,
    turn: Turn,
    progress: Progress,
    at: datetime,
    *,
    forget_erased: bool,
) -> Standing:
    done = Turn(Phase.DONE, turn.new, turn.new)
    if turn.phase is Phase.REWRAP:
        left = tx.wrapped_otherwise()
        return _again(tx, name, turn, left, at) if left else _moved(tx, name, done, at, 0)
    if turn.phase is Phase.DROP:
        left = tx.count(name)
        return _again(tx, name, turn, left, at) if left else _moved(tx, name, done, at, 0)
    # In these two phases whoever writes a row of the old version writes its twin too: what is counted here
    # can only become less until the phase is moved on, further down in this very transaction.
    lacking, erased = tx.without_twin()
    if lacking:
        return replace(_again(tx, name, turn, lacking, at), erased=erased)
    if turn.phase is Phase.DUAL:
        return replace(_moved(tx, name, replace(turn, phase=Phase.SWITCHED), at, 0), erased=erased)
    if erased and not forget_erased:
        return Standing(turn, progress, erased, waits=True)
    return replace(_moved(tx, name, replace(turn, phase=Phase.DROP), at, tx.count(name)), erased=erased)


def _again(tx: RotatingTransaction, name: Rotated, turn: Turn, lacking: int, at: datetime) -> Standing:
    """Go through everything once more: the phase stays, so nobody is misled meanwhile."""
    if turn.phase is Phase.SWITCHED:
        turn = replace(turn, phase=Phase.DUAL)
        return replace(_moved(tx, name, turn, at, tx.count(name)), lacking=lacking)
    progress = Progress(PARTS[name][0], (), 0, tx.count(name))
    tx.note(name, progress, at)
    return Standing(turn, progress, lacking=lacking)


def usage(tx: RotatingTransaction, name: Rotated) -> Usage:
    """Which versions are in use, and which configured ones nothing needs any more."""
    turn, progress = tx.standing(name)
    erased = tx.without_twin()[1] if name is Rotated.PEPPER and turn.phase is not Phase.DONE else 0
    return Usage(turn, progress, tx.rows(name), tuple(sorted(tx.known(name))), erased)


class RotatingUnits(Protocol):
    """Runs the transactions."""

    async def rotating(self, work: Callable[[RotatingTransaction], T], *, write: bool) -> T:
        """Run one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class RotationDesk:
    """A rotation as an operator commands it, step by step."""

    units: RotatingUnits
    clock: Clock
    slices: Mapping[str, int] = field(default_factory=lambda: SLICES)

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by name."""
        return {"secrets status": self.status, "secrets rotate-step": self.rotate_step}

    async def rotate_step(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Take one step: ``name``, ``to``; ``forget-erased``.

        Raises:
            RequestRejected: a parameter is malformed; otherwise as ``step``.
        """
        name, to, at = _name(parameters), _version(parameters), self.clock()
        forget = parameters.get("forget-erased") == "yes"
        standing = await self.units.rotating(
            lambda tx: step(tx, name, to, at, forget_erased=forget, slices=self.slices), write=True
        )
        return {
            "name": name.value,
            **_turn(standing.turn),
            **_progress(standing.progress),
            "erased": standing.erased,
            "lacking": standing.lacking,
            "waits": standing.waits,
            "more": standing.turn.phase is not Phase.DONE and not standing.waits,
        }

    async def status(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Where both rotations stand, and which versions are still needed."""

        def work(tx: RotatingTransaction) -> dict[str, Any]:
            return {name.value: described(usage(tx, name)) for name in Rotated}

        return await self.units.rotating(work, write=False)


def described(found: Usage) -> dict[str, Any]:
    """A key's versions as the command line and ``doctor`` show them."""
    return {
        **_turn(found.turn),
        **_progress(found.progress),
        "erased": found.erased,
        "rows": {str(version): count for version, count in sorted(found.rows.items())},
        "configured": list(found.known),
        "removable": list(found.removable),
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {"phase": turn.phase.value, "from": turn.old, "to": turn.new}


def _progress(progress: Progress) -> dict[str, Any]:
    shown = asdict(progress)
    return {name: shown[name] for name in ("part", "done", "total")}


def _name(parameters: Mapping[str, str]) -> Rotated:
    try:
        return Rotated(parameters.get("name", ""))
    except ValueError:
        raise RequestRejected(Code.SCHEMA_INVALID, "neither pepper nor master", pointer="name") from None


def _version(parameters: Mapping[str, str]) -> int:
    text = parameters.get("to", "")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**31)):
        raise RequestRejected(Code.SCHEMA_INVALID, "no version", pointer="to")
    return int(text)
