"""A platform's manifest against what is held: what did not come, or came otherwise, or was not told of. Pure.

1. **Missing**: the manifest lists a certificate, and no completion stands under its number here; of one that
   the manifest calls revoked, not even the revocation came.
2. **Differing**: both have it, and something that the row says is otherwise here: the completion's day or
   moment, the holder's name after folding (``verifier.names``, N7), the id number, the revision, or whether
   it is revoked. What the row leaves empty is not compared.
3. **Unknown**: a completion that this platform brought stands here, of an issuer and within the period of the
   manifest, and the manifest does not list its number. The issuers are those that its rows name, or all of
   the platform's where it is the whole list. The period is the one that was asked for, or else from the first
   to the last completion that the manifest tells of; without either nothing is called unknown.

Id numbers are compared by whom they find, names as they are opened for this; what is told is the number and
which member differs, never what it says. That alone answers a guess, so the caller logs whose were compared
before telling.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from verifier.manifest_rows import ManifestRow
from verifier.model.delivery import PlatformSlug
from verifier.model.person import Identifier, LearnerId
from verifier.model.time import BEIJING, beijing_date, covers
from verifier.ports.pull import Column
from verifier.ports.reconciling import Held, ReconcileTransaction, Reference

_CLOCKS = timedelta(minutes=5)
"""By how much a certificate's completion may lie after the moment it was recorded."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days of completion in Beijing's calendar, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Difference:
    """A certificate that is otherwise here.

    Attributes:
        columns: what differs, by the manifest's names.
    """

    issuer: str
    number: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison found; certificates by issuer and number, sorted.

    Attributes:
        period: within what ``unknown`` was looked for; None if it was not.
        compared: learners whose name or id number was compared.
    """

    missing: tuple[tuple[str, str], ...]
    differing: tuple[Difference, ...]
    unknown: tuple[tuple[str, str], ...]
    period: Period | None
    compared: frozenset[LearnerId]

    @property
    def any(self) -> bool:
        """Whether anything was found."""
        return bool(self.missing or self.differing or self.unknown)


def period_of(rows: Sequence[ManifestRow]) -> Period | None:
    """From the first to the last completion that a manifest tells of; None if it tells of none."""
    days = [day for row in rows if (day := _day(row.completed)) is not None]
    return Period(min(days), max(days)) if days else None


def _day(completed: date | datetime | None) -> date | None:
    return beijing_date(completed) if isinstance(completed, datetime) else completed


def compare(
    tx: ReconcileTransaction,
    rows: Sequence[ManifestRow],
    *,
    platform: PlatformSlug,
    scopes: Mapping[str, str],
    period: Period | None,
    whole: bool = False,
) -> Findings:
    """Compare a manifest with what is held.

    Args:
        tx: a reading transaction.
        rows: of the manifest; every issuer is one of ``scopes``.
        platform: whose manifest it is.
        scopes: number scopes by issuer, of every issuer for which the platform may speak.
        period: days of completion that the manifest is meant to cover; None takes them from its rows.
        whole: whether it is all that the platform issued, whoever the issuer.
    """
    listed = {(row.issuer, scopes[row.issuer], row.number): row for row in rows}
    named = {reference for reference, row in listed.items() if row.name is not None}
    held = tx.held(listed.keys(), named)
    revoked = tx.revoked(listed.keys())
    owners = tx.known_learners({row.identifier for row in rows if row.identifier is not None})
    missing, differing = [], []
    compared: set[LearnerId] = set()
    for reference, row in sorted(listed.items()):
        here = held.get(reference)
        if here is None:
            if not (row.revoked and reference in revoked):
                missing.append((row.issuer, row.number))
            continue
        if row.name is not None or row.identifier is not None:
            compared.add(here.learner_id)
        if columns := _differing(row, here, owners, revoked=reference in revoked):
            differing.append(Difference(row.issuer, row.number, columns))
    period = period or period_of(rows)
    issuers = scopes.keys() if whole else {row.issuer for row in rows}
    unknown = (
        _unknown(tx, platform, {one: scopes[one] for one in issuers}, period, listed.keys()) if period else []
    )
    return Findings(tuple(missing), tuple(differing), tuple(unknown), period, frozenset(compared))


def _differing(
    row: ManifestRow, here: Held, owners: Mapping[Identifier, LearnerId], *, revoked: bool
) -> tuple[Column, ...]:
    same = {
        Column.ID_NUMBER: row.identifier is None
        or here.erased
        or owners.get(row.identifier) == here.learner_id,
        Column.NAME: row.name is None or here.name is None or row.name.folded == here.name.folded,
        Column.COMPLETED_AT: _same_completion(row.completed, here.completed_at),
        Column.STATUS: row.revoked is None or row.revoked == revoked,
        Column.REVISION: row.revision is None or row.revision == here.revision,
    }
    return tuple(column for column, agrees in same.items() if not agrees)


def _same_completion(told: date | datetime | None, here: datetime) -> bool:
    if isinstance(told, datetime):
        return told == here
    return told is None or told == beijing_date(here)


def _unknown(
    tx: ReconcileTransaction,
    platform: PlatformSlug,
    scopes: Mapping[str, str],
    period: Period,
    listed: Collection[Reference],
) -> list[tuple[str, str]]:
    since = datetime.combine(period.first, time(), BEIJING) - _CLOCKS
    return sorted(
        (issuer, number)
        for issuer, scope in scopes.items()
        for number, completed_at in tx.brought(platform, issuer, scope, since)
        if covers(period.first, period.last, beijing_date(completed_at))
        and (issuer, scope, number) not in listed
    )
