"""Where enterprises and subsidy systems are served: each call one transaction, its answer ready for JSON."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial as bound
from typing import Any, Final, Protocol, TypeVar

from verifier import claim_list, claims, enterprises, roster, standing, totals
from verifier.claim_list import ClaimList
from verifier.claims import Asked
from verifier.errors import AccessDenied, Code, RequestRejected
from verifier.model.access import Client, Role
from verifier.model.person import Uscc
from verifier.model.standing import StatusAnswer
from verifier.model.time import beijing_date, iso
from verifier.pipeline import Rulebook
from verifier.policy import Policy
from verifier.ports import Clock, Digest, NewId
from verifier.ports.claims import AccountTransaction, ClaimTransaction
from verifier.ports.intake import RosterTransaction, StatusTransaction
from verifier.ports.listing import ListingTransaction
from verifier.questioning import Questions
from verifier.roster_rows import NOT_STANDING, RowProblem
from verifier.spreadsheet import Bounds, Cell
from verifier.standing_written import Writer
from verifier.totals import By

T = TypeVar("T")

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
READERS: Final[Mapping[str, Callable[..., roster.RosterFile]]] = {
    "application/json": roster.read_json,
    "text/csv": roster.read_csv,
}
ReadWorkbook = Callable[[bytes, Bounds], Awaitable[Sequence[Sequence[Cell]]]]
"""The cells of a workbook, read under limits. Raises RequestRejected or Unavailable."""

SHOWN_PROBLEMS: Final = 500
"""Problems of a roster that one answer shows; who mends these and sends it again sees the next."""


class EnterpriseUnits(Protocol):
    """Runs the transactions of an enterprise's calls."""

    async def rosters(self, work: Callable[[RosterTransaction], T]) -> T:
        """A writing transaction about a roster."""
        ...

    async def listing(self, work: Callable[[ListingTransaction], T], *, write: bool) -> T:
        """A transaction that lists an enterprise's people or uploads."""
        ...

    async def standings(self, work: Callable[[StatusTransaction], T]) -> T:
        """A transaction that answers about people, and logs that it did."""
        ...


@dataclass(frozen=True, slots=True)
class EnterpriseDesk:
    """What an enterprise may do. Whether the client may act for the enterprise is the web's to check."""

    units: EnterpriseUnits
    rulebook: Callable[[], Rulebook]
    digest: Digest
    clock: Clock
    new_id: NewId
    read_workbook: ReadWorkbook
    questions: Questions

    async def upload_roster(
        self,
        client: Client,
        uscc: Uscc,
        body: bytes,
        media_type: str,
        *,
        partial: bool,
    ) -> dict[str, Any]:
        """Take a roster in: all of it or, with ``partial``, the rows without a problem.

        Raises:
            RequestRejected: the file as a whole cannot be read, or is of a type that is not taken.
            Unavailable: too many workbooks are being read.
        """
        at = self.clock()
        file = await self._read(body, media_type, beijing_date(at))
        if file.problems and not partial:
            return {"taken": False, "rows": file.total, **_problems(file.problems)}

        def work(tx: RosterTransaction) -> tuple[enterprises.UploadResult | None, tuple[RowProblem, ...]]:
            unfounded = enterprises.unfounded(tx, uscc, file.rows)
            column = file.columns["withdrawn"]
            found = tuple(RowProblem(row, column, *NOT_STANDING) for row in sorted(unfounded))
            if found and not partial:
                return None, found
            rows = [row for row in file.rows if row.row not in unfounded]
            result = enterprises.upload(
                tx,
                uscc,
                rows,
                at=at,
                new_id=self.new_id,
                digest=self.digest,
                client_id=client.client_id,
            )
            return result, found

        result, found = await self.units.rosters(work)
        problems = _problems(sorted((*file.problems, *found), key=lambda problem: problem.row))
        if result is None:
            return {"taken": False, "rows": file.total, **problems}
        return {"taken": True, **asdict(result), **problems}

    async def _read(self, body: bytes, media_type: str, today: date) -> roster.RosterFile:
        # Reading 20,000 rows takes longer than a loop may be held up.
        if media_type == XLSX:
            cells = await self.read_workbook(body, roster.BOUNDS)
            return await asyncio.to_thread(roster.read_cells, cells, today=today)
        reader = READERS.get(media_type)
        if reader is None:
            raise RequestRejected(Code.CONTENT_TYPE_UNSUPPORTED, "JSON, CSV or XLSX", pointer="content-type")
        return await asyncio.to_thread(reader, body, today=today)

    async def uploads(self, uscc: Uscc, limit: int) -> dict[str, Any]:
        """Rosters of the enterprise that were taken in, newest first, without their people."""
        found = await self.units.listing(lambda tx: tx.uploads(uscc, limit + 1), write=False)
        return {
            "rosters": [
                {
                    "roster": upload.roster_id,
                    "recorded_at": iso(upload.recorded_at),
                    "rows": upload.rows,
                    "client": upload.client_id,
                }
                for upload in found[:limit]
            ],
            "more": len(found) > limit,
        }

    async def claim_list(
        self, client: Client, uscc: Uscc, month: date, *, entitlement: str = ""
    ) -> dict[str, Any]:
        """The enterprise's live grants of a month; errors as ``verifier.claim_list`` and ``status``."""
        return claim_list.members(await self._claim_list(client, uscc, month, entitlement))

    async def claim_sheet(self, client: Client, uscc: Uscc, month: date, *, entitlement: str = "") -> bytes:
        """The same as an XLSX file."""
        found = await self._claim_list(client, uscc, month, entitlement)
        return await asyncio.to_thread(claim_list.workbook, found)

    async def _claim_list(self, client: Client, uscc: Uscc, month: date, entitlement: str) -> ClaimList:
        rules = self.rulebook()
        listed = bound(
            claim_list.claim_list,
            uscc=uscc,
            month=month,
            at=self.clock(),
            entitlement=_policy(rules, entitlement).entitlement,
            register=rules.register,
            client_id=client.client_id,
        )
        return await self.units.listing(listed, write=True)

    async def declare_scope(self, client: Client, uscc: Uscc, body: bytes) -> dict[str, Any]:
        """Record that the enterprise widens the scope to all its technical workers."""
        days = roster.read_declaration(body)
        at = self.clock()
        changed = await self.units.rosters(
            lambda tx: enterprises.declare_scope(
                tx, uscc, days.start, days.end, at=at, new_id=self.new_id, client_id=client.client_id
            )
        )
        return {
            "changed": changed,
            "from": days.start.isoformat(),
            "to": days.end.isoformat() if days.end else None,
        }

    async def status(
        self, client: Client, uscc: Uscc, body: bytes, *, entitlement: str = "", canonical: bool = False
    ) -> list[bytes]:
        """Where the enterprise's own people stand, by position in the question: JSON, in pieces.

        A long question is answered in slices, a transaction each: none keeps other writers waiting for long,
        and no more than a slice is there as anything but bytes.

        Args:
            client: who asks; that it may speak for the enterprise is the web's to check.
            uscc: the enterprise.
            body: the question.
            entitlement: which of those in force; empty for the first.
            canonical: with sorted names, for what is signed.

        Raises:
            RequestRejected: SCHEMA_INVALID, the question cannot be read, or no policy in force is about the
                entitlement.
        """
        at, rules = self.clock(), self.rulebook()
        policy = _policy(rules, entitlement)
        people = await asyncio.to_thread(roster.read_people, body)
        await self.questions.ask(uscc, client.client_id, len(people), at)
        writer = Writer(canonical)
        slices = [
            bound(
                standing.status,
                uscc=uscc,
                people=people[first : first + standing.SLICE],
                at=at,
                policy=policy,
                register=rules.register,
                client_id=client.client_id,
                first=first,
            )
            for first in range(0, len(people), standing.SLICE)
        ]
        async with aclosing(self._answers(slices)) as answers:
            async for answer in answers:
                await self.questions.answered(uscc, client.client_id, [answer], at)
                writer.add(answer)
        return writer.pieces()

    async def _answers(
        self, slices: Sequence[Callable[[StatusTransaction], StatusAnswer]]
    ) -> AsyncGenerator[StatusAnswer, None]:
        """Answers in their order, two slices at work: while one waits for a database server, one computes."""
        at_work: deque[asyncio.Future[StatusAnswer]] = deque()
        try:
            for work in slices:
                at_work.append(asyncio.ensure_future(self.units.standings(work)))
                if len(at_work) > 1:
                    yield await at_work[0]
                    del at_work[0]
            while at_work:
                yield await at_work[0]
                del at_work[0]
        finally:
            for left in at_work:
                left.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)


def _policy(rules: Rulebook, entitlement: str) -> Policy:
    policy = rules.about(entitlement)
    if policy is None:
        raise RequestRejected(Code.SCHEMA_INVALID, "no such entitlement", pointer="?entitlement")
    return policy


def _problems(found: Sequence[RowProblem]) -> dict[str, Any]:
    return {
        "problems": [asdict(problem) for problem in found[:SHOWN_PROBLEMS]],
        "problems_in_all": len(found),
    }


class ClaimUnits(Protocol):
    """Runs claims' transactions."""

    async def claiming(self, work: Callable[[ClaimTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def accounting(self, work: Callable[[AccountTransaction], T], *, write: bool) -> T:
        """Run one transaction about account months."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimDesk:
    """What a subsidy system may do with a record."""

    units: ClaimUnits
    clock: Clock
    new_id: NewId

    async def claim(self, client: Client, record_id: str, asked: Asked) -> dict[str, Any]:
        """Claim a record's month for a payment; errors as ``claims.claim``."""
        at, claim_id = self.clock(), self.new_id()
        return await self.units.claiming(
            lambda tx: claims.claim(tx, client, record_id, asked, at=at, claim_id=claim_id)
        )

    async def step(
        self, client: Client, record_id: str, step: str, payment_reference: str, reason: str
    ) -> dict[str, Any]:
        """Record what followed a claim; errors as ``claims.step``."""
        at = self.clock()
        return await self.units.claiming(
            lambda tx: claims.step(tx, client, record_id, step, payment_reference, reason, at=at)
        )

    async def totals(
        self, client: Client, office: str, month: date, by: By, entitlement: str = ""
    ) -> dict[str, Any]:
        """What stands of a month, or was booked in it; an auditor sees every office.

        Raises:
            AccessDenied: NOT_FOUND, the office is not the client's.
        """
        if client.role is not Role.AUDITOR and office not in client.offices:
            raise AccessDenied(Code.NOT_FOUND, "not an office of this client")
        at = self.clock()
        return await self.units.accounting(
            lambda tx: totals.totals(tx, office, month, by, entitlement, at=at), write=False
        )
