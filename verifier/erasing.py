"""Erases a person: destroys the keys under which everything on them is sealed (PIPL, article 47).

Functions over a transaction; they do nothing outside it and may run twice.

1. Only where no duty to keep remains. What keeps, whatever the time: a month that is granted, claimed or to
   be paid back; an open objection, hold or question. Where money was ever asked for, everything is kept for
   the configured number of years after the last step of any claim; nobody has published that number, so it
   has no default, and without it nobody is erased of whose months money was asked for. It is also what keeps
   a paid month from being paid twice: after an erasure nobody knows any more whose month it was (law 4).
2. Whoever is one person is erased as one: every learner of the group.
3. Destroyed are the learner's keys, the words that are sealed apart, identifiers and traits, and the raw
   bodies that mention nobody else. What stays names nobody: decisions, signed records without disclosures,
   facts without names, the ledger.
4. Nothing is decided about an erased learner any more. Whoever comes again is a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from verifier.errors import Code, ConfigurationError, Conflict
from verifier.model.facts import HoldFact, ObjectionFact, ObjectionState
from verifier.model.person import LearnerId
from verifier.model.time import beijing_date, iso
from verifier.ports.erasing import ErasingTransaction, Erasure
from verifier.raw_bodies import RawDelivery, Term, held_back

KIND: Final = "erasure"
_LIVE: Final = frozenset({"granted", "claimed", "clawback_due"})
_OTHERS: Final = "others"
_LISTED: Final = 100
"""Deliveries that a dry run lists one by one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the bureau decided about keeping.

    Attributes:
        keep_years: after the last step of a claim; 0 if nobody decided.
        raw_days: of raw bodies; 0 for as long as the database lasts.
    """

    keep_years: int
    raw_days: int

    @property
    def raw(self) -> Term:
        """For how long raw bodies are kept."""
        return Term(self.raw_days)


def look(tx: ErasingTransaction, group: Collection[LearnerId], terms: Terms, at: datetime) -> dict[str, Any]:
    """What an erasure would destroy, what keeps it waiting, and which raw bodies would stay until when."""
    emptied, kept = _bodies(tx, group, terms.raw, at)
    return {
        "learners": sorted(group),
        "kept_by": _kept_by(tx, group, terms.keep_years, at),
        "destroys": {**tx.extent(group), "raw_deliveries": len(emptied)},
        "raw_kept": kept[:_LISTED],
        "raw_kept_total": len(kept),
    }


def erase(tx: ErasingTransaction, erasure: Erasure, terms: Terms) -> dict[str, Any]:
    """Erase a person.

    Raises:
        ConfigurationError: KEEP_TERM_NOT_CONFIGURED, money was asked for, and nobody decided how long that
            is kept.
        Conflict: DUTY_TO_KEEP, something else keeps it; LEARNER_ERASED, the person is erased already.
    """
    group, at = erasure.learners, erasure.at
    tx.hold_person(group)
    if tx.keyless_among(group):
        raise Conflict(Code.LEARNER_ERASED, "erased already", pointer="id_number")
    seen = look(tx, group, terms, at)
    waits = [one["kind"] for one in seen["kept_by"]]
    if waits == ["payment"] and not terms.keep_years:
        detail = "money was asked for, and no term of keeping is configured"
        raise ConfigurationError(Code.KEEP_TERM_NOT_CONFIGURED, detail, pointer="erasure_keep_years")
    if waits:
        raise Conflict(Code.DUTY_TO_KEEP, f"kept by: {', '.join(sorted(set(waits)))}", pointer="id_number")
    emptied, _ = _bodies(tx, group, terms.raw, at)
    bodies, documents = tx.empty([one.key for one in emptied])
    tx.destroy(erasure)
    counts = {"learners": len(group), "deliveries": bodies, "documents": documents}
    tx.announce(KIND, erasure.erasure_id, {"erasure": erasure.erasure_id, **counts}, at)
    return {**seen, "erasure": erasure.erasure_id, "documents": documents}


def _kept_by(
    tx: ErasingTransaction, group: Collection[LearnerId], years: int, at: datetime
) -> list[dict[str, Any]]:
    found = tx.holdings(group)
    kept: list[dict[str, Any]] = [
        {"kind": "month", "entitlement": entitlement, "state": state}
        for entitlement, state in found.slots
        if state in _LIVE
    ]
    kept += [{"kind": "review", "review": review, "about": about} for review, about in found.reviews]
    for act in tx.acts_of(group):
        if isinstance(act, ObjectionFact) and act.state is ObjectionState.OPEN:
            kept.append({"kind": "objection", "number": act.number})
        if isinstance(act, HoldFact) and not act.lifted and act.until > at:
            kept.append({"kind": "hold", "until": iso(act.until)})
    if found.money_at is not None:
        last = beijing_date(found.money_at)
        until = years_after(last, years) if years else None
        if until is None or beijing_date(at) <= until:
            said = until.isoformat() if until else Code.KEEP_TERM_NOT_CONFIGURED.value
            kept.append({"kind": "payment", "last": last.isoformat(), "until": said})
    return kept


def years_after(day: date, years: int) -> date:
    """The same day so many years later; of a 29 February in a year without one, the day before."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28) if day.year + years <= date.max.year else date.max


def _bodies(
    tx: ErasingTransaction, group: Collection[LearnerId], raw: Term, at: datetime
) -> tuple[Sequence[RawDelivery], list[Mapping[str, Any]]]:
    """Raw bodies that can be emptied with this person, and those that stay."""
    found = tx.raw_mentioning(group)
    everyone = {who for one in found for who in one.learners}
    erased = {*group, *tx.erased_among(everyone)}
    emptied, kept = [], list[Mapping[str, Any]]()
    for one in found:
        # What is open about this person keeps the whole erasure, and is looked at there.
        why = held_back(one, Term(0), at, erased=erased, questioned=())
        if not why:
            emptied.append(one)
            continue
        until = raw.until(one.received_at)
        kept.append(
            {
                "platform": one.platform,
                "delivery": one.delivery_id,
                "because": why if one.learners.issubset(erased) else _OTHERS,
                "until": iso(until) if until else None,
            }
        )
    return emptied, kept
