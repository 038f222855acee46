"""What an operator sees of the platforms: what came of each, and whether it is what the platform issued."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from verifier import manifest, manifest_rows, reconcile, silence
from verifier.errors import AccessDenied, Code, RequestRejected
from verifier.keyring import Platform, Register
from verifier.model.delivery import PlatformSlug
from verifier.model.person import LearnerId
from verifier.model.time import beijing_date, iso
from verifier.ports import Adapter, Clock
from verifier.ports.reconciling import ReconcileTransaction
from verifier.ports.watching import Arrivals, Gap
from verifier.reconcile import Findings, Period

T = TypeVar("T")
PURPOSE: Final = "reconcile"
COMPARED: Final = "compared: name, id_number"
"""What the access log says of a learner about whom a manifest was answered."""
_LONGEST_NAME: Final = 64
_LOGGED_AT_ONCE: Final = 1_000
"""Learners in one transaction of the access log, so that none of them holds deliveries up."""


class PlatformUnits(Arrivals, Protocol):
    """Reads what came of the platforms."""

    async def reconciling(self, work: Callable[[ReconcileTransaction], T]) -> T:
        """Run one reading transaction of a comparison."""
        ...

    async def disclose(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str
    ) -> None:
        """Record, durably, that somebody learns something of these learners."""
        ...


@dataclass(frozen=True, slots=True)
class PlatformDesk:
    """The platforms of one installation."""

    units: PlatformUnits
    adapters: Sequence[Adapter]
    register: Callable[[], Register]
    clock: Clock

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {"platforms list": self.listing, "reconcile": self.reconcile}

    async def listing(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Each platform: whether it is recognised today, what came, what did not."""
        now, registered = self.clock(), self.register().platforms
        last = await self.units.last_deliveries([adapter.slug for adapter in self.adapters])
        return {
            "platforms": [
                await self._entry(adapter, registered.get(adapter.slug), last.get(adapter.slug), now)
                for adapter in self.adapters
            ]
        }

    async def _entry(
        self, adapter: Adapter, platform: Platform | None, last: datetime | None, now: datetime
    ) -> dict[str, Any]:
        # One that is not registered has no keys: nothing of it can be authentic, and nothing is expected.
        heard = silence.judge(platform or Platform(adapter.slug, adapter.name, (), ()), last, now)
        tally = await self.units.tally(adapter.slug)
        return {
            "platform": adapter.slug,
            "name": adapter.name,
            "profile": adapter.profile,
            "registered": platform is not None,
            "recognised": heard.recognised,
            "last_delivery": iso(last) if last else None,
            "deliveries": dict(sorted(tally.states.items())),
            "attention": tally.attention,
            "silence_hours": platform.silence_hours if platform else None,
            "silent": heard.silent,
            "missing_sequences": gaps_said(await self.units.gaps(adapter.slug)),
        }

    async def reconcile(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Compare a manifest with what is held: ``platform``, ``rows``; ``from`` and ``to``, ``whole``.

        Raises:
            AccessDenied: NOT_FOUND, the register has no such platform.
            RequestRejected: the rows or the period are malformed.
        """
        slug, period = PlatformSlug(parameters.get("platform", "")), _period(parameters)
        register = self.register()
        if slug not in register.platforms:
            raise AccessDenied(Code.NOT_FOUND, "no such platform in the register", pointer="platform")
        scopes = {
            issuer.issuer_id: issuer.number_scope
            for issuer in register.issuers.values()
            if slug in issuer.platforms
        }
        cells = await asyncio.to_thread(manifest.unpack, parameters.get("rows", ""))
        checked = await asyncio.to_thread(manifest_rows.check, cells, scopes, beijing_date(self.clock()))
        if checked.problems:
            return {"compared": False, "problems": [asdict(problem) for problem in checked.problems]}
        found = await self.units.reconciling(
            lambda tx: reconcile.compare(
                tx,
                checked.rows,
                platform=slug,
                scopes=scopes,
                period=period,
                whole=bool(parameters.get("whole")),
            )
        )
        await self._log(found.compared, parameters.get("operator", "") or "unnamed")
        return {"compared": True, "platform": slug, "rows": len(checked.rows), **_said(found)}

    async def _log(self, learners: Collection[LearnerId], operator: str) -> None:
        """Before anything is told: which numbers differ answers a guess of a name or an id number."""
        waiting = iter(sorted(learners))
        while some := list(islice(waiting, _LOGGED_AT_ONCE)):
            await self.units.disclose(some, f"clerk:{operator}"[:_LONGEST_NAME], PURPOSE, COMPARED)


def gaps_said(gaps: Sequence[Gap]) -> list[dict[str, int]]:
    """Missing sequence numbers as answers write them: ranges with both ends included."""
    return [{"from": gap.first, "to": gap.last} for gap in gaps]


def _period(parameters: Mapping[str, str]) -> Period | None:
    first, last = (_day(parameters, name) for name in ("from", "to"))
    if first is None and last is None:
        return None
    if first is None or last is None or last < first:
        raise RequestRejected(Code.SCHEMA_INVALID, "a period has a first and a last day", pointer="to")
    return Period(first, last)


def _day(parameters: Mapping[str, str], name: str) -> date | None:
    text = parameters.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise RequestRejected(Code.SCHEMA_INVALID, "not a day such as YYYY-MM-DD", pointer=name) from None


def _said(found: Findings) -> dict[str, Any]:
    period = found.period
    return {
        "period": period and {"from": period.first.isoformat(), "to": period.last.isoformat()},
        "missing": [_certificate(*one) for one in found.missing],
        "differing": [
            {**_certificate(one.issuer, one.number), "columns": [column.value for column in one.columns]}
            for one in found.differing
        ],
        "unknown": [_certificate(*one) for one in found.unknown],
    }


def _certificate(issuer: str, number: str) -> dict[str, str]:
    return {"issuer": issuer, "certificate_number": number}
