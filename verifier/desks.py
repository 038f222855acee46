"""Where enterprises and subsidy systems are served: each call one transaction, its answer ready for JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, TypeVar

from verifier import claims, enterprises, roster, standing
from verifier.errors import Code, RequestRejected
from verifier.model.access import Client
from verifier.model.person import Uscc
from verifier.model.time import beijing_date
from verifier.pipeline import Rulebook
from verifier.ports import Clock, Digest, NewId
from verifier.ports.claims import ClaimTransaction
from verifier.ports.intake import RosterTransaction, StatusTransaction

T = TypeVar("T")

READERS: Final[Mapping[str, Callable[..., roster.RosterFile]]] = {
    "application/json": roster.read_json,
    "text/csv": roster.read_csv,
}


SHOWN_PROBLEMS: Final = 500
"""Problems of a roster that one answer shows; who mends these and sends it again sees the next."""


class EnterpriseUnits(Protocol):
    """Runs the transactions of an enterprise's calls."""

    async def rosters(self, work: Callable[[RosterTransaction], T]) -> T:
        """A writing transaction about a roster."""
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
        """
        reader = READERS.get(media_type)
        if reader is None:
            raise RequestRejected(Code.CONTENT_TYPE_UNSUPPORTED, "JSON or CSV", pointer="content-type")
        at = self.clock()
        # Reading 20,000 rows takes longer than a loop may be held up.
        file = await asyncio.to_thread(reader, body, today=beijing_date(at))
        problems = {
            "problems": [asdict(problem) for problem in file.problems[:SHOWN_PROBLEMS]],
            "problems_in_all": len(file.problems),
        }
        if file.problems and not partial:
            return {"taken": False, "rows": file.total, **problems}
        result = await self.units.rosters(
            lambda tx: enterprises.upload(
                tx,
                uscc,
                file.rows,
                at=at,
                new_id=self.new_id,
                digest=self.digest,
                client_id=client.client_id,
            )
        )
        return {"taken": True, **asdict(result), **problems}

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
        self, client: Client, uscc: Uscc, body: bytes, *, entitlement: str = ""
    ) -> dict[str, Any]:
        """Where the enterprise's own people stand, by position in the question.

        Raises:
            RequestRejected: SCHEMA_INVALID, the question cannot be read, or no policy in force is about the
                entitlement.
        """
        at, rules = self.clock(), self.rulebook()
        policy = rules.about(entitlement)
        if policy is None:
            raise RequestRejected(Code.SCHEMA_INVALID, "no such entitlement", pointer="?entitlement")
        people = await asyncio.to_thread(roster.read_people, body)
        answer = await self.units.standings(
            lambda tx: standing.status(
                tx,
                uscc,
                people,
                at=at,
                policy=policy,
                register=rules.register,
                client_id=client.client_id,
            )
        )
        return await asyncio.to_thread(standing.members, answer)


class ClaimUnits(Protocol):
    """Runs claims' transactions."""

    async def claiming(self, work: Callable[[ClaimTransaction], T]) -> T:
        """Run one writing transaction."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimDesk:
    """What a subsidy system may do with a record."""

    units: ClaimUnits
    clock: Clock
    new_id: NewId

    async def claim(self, client: Client, record_id: str, payment_reference: str) -> dict[str, Any]:
        """Claim a record's month for a payment; errors as ``claims.claim``."""
        at, claim_id = self.clock(), self.new_id()
        return await self.units.claiming(
            lambda tx: claims.claim(tx, client, record_id, payment_reference, at=at, claim_id=claim_id)
        )

    async def step(self, client: Client, record_id: str, step: str, reason: str) -> dict[str, Any]:
        """Record what followed a claim; errors as ``claims.step``."""
        at = self.clock()
        return await self.units.claiming(lambda tx: claims.step(tx, client, record_id, step, reason, at=at))
