"""What an operator does about account months: freeze one, look at its totals, take rows of a file in.

A freeze closes an account month of an office for one entitlement, for good. It first says what it would close
over; with ``apply`` one transaction waits for whoever is booking in the month, counts, and writes the row and
the ledger entry. A grant that nobody claimed by then is not lost: it is claimed in the next open month.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from verifier import asked, claim_files, totals
from verifier.asked import Parameters
from verifier.errors import AccessDenied, Code, ConfigurationError, RequestRejected
from verifier.model.access import Client, ClientState, Role
from verifier.model.person import LearnerId
from verifier.model.time import beijing_date, month_text, parse_month
from verifier.operations import Operations, SourceForm
from verifier.pipeline import Rulebook
from verifier.policy.standards import KIND, standards_of
from verifier.ports import Clock, NewId
from verifier.ports.claims import AccountTransaction, Freeze
from verifier.ports.operating import PreviewTransaction
from verifier.signatures.strict_json import canonical
from verifier.totals import By

T = TypeVar("T")
MOST_ROWS: Final = 500
"""Claims in one answer, and rows taken in one call."""
_OPERATOR_LENGTH: Final = 64


class AccountUnits(Protocol):
    """Runs the transactions."""

    async def accounting(self, work: Callable[[AccountTransaction], T], *, write: bool) -> T:
        """Run one transaction about account months."""
        ...

    async def disclose(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str
    ) -> None:
        """Record, durably, that a client is shown personal data of these learners."""
        ...

    async def previewing(self, work: Callable[[PreviewTransaction], T]) -> T:
        """Run one reading transaction."""
        ...


def standards_form(content: str) -> SourceForm:
    """A table of standards as its file says it.

    Raises:
        ConfigurationError: it is not as it should be; where is said.
    """
    table = standards_of(content)
    return SourceForm(KIND, table.digest, content, {"revision": table.revision})


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Account months, for an operator.

    Attributes:
        rulebook: in force at the moment, for the entitlements that there are.
    """

    units: AccountUnits
    operations: Operations
    rulebook: Callable[[], Rulebook]
    clock: Clock
    new_id: NewId

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Its operations by their names on the command line."""
        return {
            "claims freeze": self.freeze,
            "claims totals": self.totals,
            "claims page": self.page,
            "claims take": self.take,
            "feed disclose": self.disclose,
            "standards show": self.show_standards,
            "standards adopt": self.adopt_standards,
        }

    async def freeze(self, parameters: Parameters) -> dict[str, Any]:
        """Freeze an account month: ``month``, ``office``, ``entitlement`` (all without it); ``apply``.

        Raises:
            RequestRejected: SCHEMA_INVALID, the month has not begun yet, or there is no such entitlement.
        """
        month, office = _month(parameters), asked.text(parameters, "office")
        at = self.clock()
        if month > beijing_date(at):
            raise RequestRejected(Code.SCHEMA_INVALID, "the month has not begun", pointer="month")
        wanted = parameters.get("entitlement", "")
        in_force = {policy.entitlement for policy in self.rulebook().policies}
        operator = asked.source(parameters).reference[:_OPERATOR_LENGTH]
        apply = asked.flag(parameters, "apply")

        def work(tx: AccountTransaction) -> dict[str, Any]:
            known = {*in_force, *tx.entitlements(office)}
            if wanted and wanted not in known:
                raise asked.malformed("entitlement")
            if apply:
                tx.close_month(office, month)
            made = _freezes(tx, office, month, sorted({wanted} if wanted else known), operator, at)
            before = {one.entitlement for one in tx.freezes(office, month)}
            for one in made:
                if apply and one.entitlement not in before:
                    tx.put_freeze(one)
            return _frozen(made, before, apply=apply)

        found = await self.units.accounting(work, write=apply)
        return {"month": month_text(month), "office": office, **found}

    async def totals(self, parameters: Parameters) -> dict[str, Any]:
        """Totals: ``month``, ``office``; ``by`` (``subsidy`` or ``account``) and ``entitlement``."""
        month, office = _month(parameters), asked.text(parameters, "office")
        by, entitlement, at = _by(parameters), parameters.get("entitlement", ""), self.clock()
        found = await self.units.accounting(
            lambda tx: totals.totals(tx, office, month, by, entitlement, at=at), write=False
        )
        return {**found.pop("totals"), **found}

    async def page(self, parameters: Parameters) -> dict[str, Any]:
        """Claims of a month at an office, by id from ``after`` on; the last page has no ``next``."""
        month, office = _month(parameters), asked.text(parameters, "office")
        entitlement, after = parameters.get("entitlement", ""), parameters.get("after", "")
        found = await self.units.accounting(
            lambda tx: tx.claims_of(office, month, entitlement, after, MOST_ROWS), write=False
        )
        following = found[-1].claim.claim_id if len(found) == MOST_ROWS else ""
        return {"claims": [claim_files.listed(one) for one in found], "next": following}

    async def take(self, parameters: Parameters) -> dict[str, Any]:
        """Take steps of a ``client`` in, each in its own transaction: ``rows``, a JSON array of lines.

        Who signed them is whoever calls to check. Every row gets its result, refused or done.
        """
        client = await self._client(asked.text(parameters, "client"))
        results = []
        for line in _listed(parameters, "rows"):
            at, claim_id = self.clock(), self.new_id()
            take = partial(claim_files.take, client=client, line=str(line), at=at, claim_id=claim_id)
            results.append(await claim_files.result(partial(self.units.accounting, write=True), take))
        return {"results": results}

    async def disclose(self, parameters: Parameters) -> dict[str, Any]:
        """Write down that a ``client`` is shown ``learners``, a JSON array, before a file of the feed is."""
        client = await self._client(asked.text(parameters, "client"))
        shown = {LearnerId(str(who)) for who in _listed(parameters, "learners")}
        await self.units.disclose(shown, client.client_id, "subsidy", "feed")
        return {"disclosed": len(shown)}

    async def _client(self, client_id: str) -> Client:
        found = await self.units.accounting(lambda tx: tx.client(client_id), write=False)
        if found is None or found.role is not Role.SUBSIDY or found.state is not ClientState.ACTIVE:
            raise AccessDenied(Code.NOT_FOUND, "no such subsidy system", pointer="client")
        return found

    async def show_standards(self, _: Parameters) -> dict[str, Any]:
        """The amounts and payees that were adopted last."""
        adopted = await self.units.previewing(lambda tx: tx.newest_adoption(KIND))
        if adopted is None:
            return {"adopted": False, "standards": [], "payees": []}
        table = standards_of(adopted[1])
        shown = {"adopted": True, "revision": table.revision, "digest": table.digest}
        return {
            **shown,
            "standards": [
                {
                    "entitlement": row.entitlement,
                    **_scope(row.office, row.start, row.end),
                    "amount_fen": row.amount_fen,
                    "reference": row.reference,
                }
                for row in table.standards
            ],
            "payees": [
                {
                    **_scope(row.office, row.start, row.end),
                    "payee": row.payee.value,
                    "reference": row.reference,
                }
                for row in table.payees
            ],
        }

    async def adopt_standards(self, parameters: Parameters) -> dict[str, Any]:
        """Adopt a table of standards: ``file``, its content; ``apply``. No claim that stands is changed.

        Raises:
            ConfigurationError: it cannot be read, or its revision is not above the one that was adopted last.
        """
        form = standards_form(parameters.get("file", ""))
        adopted = await self.units.previewing(lambda tx: tx.newest_adoption(KIND))
        before = standards_of(adopted[1]) if adopted else None
        table = standards_of(form.content)
        if before is not None and before.digest != table.digest and table.revision <= before.revision:
            detail = "the revision has to be above the one that was adopted last"
            raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="revision")
        done = asked.flag(parameters, "apply") and await self.operations.adopt([form])
        return {
            "standards": form.digest,
            "before": before.digest if before else None,
            "rows": len(table.standards),
            "payees": len(table.payees),
            "adopted": done,
            **({} if asked.flag(parameters, "apply") else {"hint": "--apply"}),
        }


def _freezes(
    tx: AccountTransaction, office: str, month: date, entitlements: list[str], operator: str, at: datetime
) -> list[Freeze]:
    """What would be frozen now, by entitlement; what is frozen already as it was then."""
    standing = {one.entitlement: one for one in tx.freezes(office, month)}
    booked, states, unclaimed = (
        tx.booked(office, month),
        tx.states(office, month),
        tx.unclaimed(office, month),
    )
    made = []
    for entitlement in entitlements:
        if entitlement in standing:
            made.append(standing[entitlement])
            continue
        counted = totals.document(office, month, By.ACCOUNT, entitlement, booked)
        granted = sum(one.count for one in states if (one.entitlement, one.state) == (entitlement, "granted"))
        made.append(
            Freeze(
                office,
                month,
                entitlement,
                canonical(counted).decode(),
                totals.digest(counted),
                granted,
                unclaimed.get(entitlement, 0),
                operator,
                at,
            )
        )
    return made


def _frozen(made: list[Freeze], before: set[str], *, apply: bool) -> dict[str, Any]:
    shown = []
    for one in made:
        rows = json.loads(one.totals)["rows"]
        steps = {name: sum(row[name] for row in rows) for name in ("claimed", "paid", "released", "returned")}
        shown.append({**totals.frozen(one), "booked": steps, "already": one.entitlement in before})
    fresh = [one for one in made if one.entitlement not in before]
    return {"freezes": shown, "frozen": len(fresh) if apply else 0, **({} if apply else {"hint": "--apply"})}


def _scope(office: str, start: date, end: date | None) -> dict[str, Any]:
    return {
        "office": office or None,
        "from": month_text(start),
        "to": month_text(end) if end else None,
    }


def _month(parameters: Parameters) -> date:
    try:
        return parse_month(asked.text(parameters, "month"))
    except ValueError:
        raise asked.malformed("month") from None


def _by(parameters: Parameters) -> By:
    try:
        return By(parameters.get("by") or By.SUBSIDY)
    except ValueError:
        raise asked.malformed("by") from None


def _listed(parameters: Parameters, name: str) -> list[Any]:
    try:
        found = json.loads(parameters.get(name, ""))
    except ValueError:
        raise asked.malformed(name) from None
    if not isinstance(found, list) or len(found) > MOST_ROWS:
        raise asked.malformed(name)
    return found
