"""The store as the rest sees it: every port, each use in its own kind of transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from verifier.errors import Code, ConfigurationError
from verifier.model.access import Client
from verifier.model.delivery import PlatformSlug, Uploaded
from verifier.model.person import LearnerId
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.acting import ActingTransaction
from verifier.ports.auditing import AuditTransaction
from verifier.ports.claims import AccountTransaction, ClaimTransaction
from verifier.ports.counting import CountingTransaction
from verifier.ports.erasing import ErasingTransaction, RetainingTransaction
from verifier.ports.identities import IdentityTransaction, ReportTransaction
from verifier.ports.importing import ImportTransaction
from verifier.ports.intake import (
    IntakeTransaction,
    RosterTransaction,
    StatusTransaction,
)
from verifier.ports.issuing import IssuingTransaction
from verifier.ports.listing import ListingTransaction
from verifier.ports.merging import MergingTransaction
from verifier.ports.packing import PackTransaction
from verifier.ports.reading import DeliverySummary, Explanation, FeedEntry, Shows, StoredRecord, every
from verifier.ports.reconciling import ReconcileTransaction
from verifier.ports.replaying import ReplayTransaction
from verifier.ports.rereading import RereadingTransaction
from verifier.ports.rotating import RotatingTransaction
from verifier.ports.signals import FindingTransaction, SignalTransaction
from verifier.ports.subject import SubjectTransaction
from verifier.ports.sweeping import Backlog, SweepingTransaction
from verifier.ports.watching import Failure, Gap, Tally
from verifier.ports.witnessing import Cosigned
from verifier.randomness import Reserve
from verifier.sealing import FieldKeys
from verifier.store.access import Access
from verifier.store.accounting import Accounting
from verifier.store.acting import Acting
from verifier.store.auditing import Auditing
from verifier.store.claiming import Claiming
from verifier.store.counting import Counting
from verifier.store.engine import Database
from verifier.store.erasing import Erasing
from verifier.store.finding import Looking
from verifier.store.identities import Identities
from verifier.store.importing import Importing
from verifier.store.intake import Intake, Roster
from verifier.store.issuing import Issuing
from verifier.store.listing import Listing
from verifier.store.merging import Merging
from verifier.store.packing import Packing
from verifier.store.reading import ReadingSession
from verifier.store.reconciling import Reconciling
from verifier.store.replaying import Replaying
from verifier.store.rotating import Rotating
from verifier.store.session import Session
from verifier.store.signals import Signals
from verifier.store.subject import Subject
from verifier.store.trying import Trying
from verifier.store.vault import Vault
from verifier.store.watching import Watching
from verifier.store.witnessed import Witnessed

T = TypeVar("T")
S = TypeVar("S", bound=Session)


class Store:
    """Implements the ports over one database."""

    def __init__(
        self,
        database: Database,
        keys: FieldKeys,
        *,
        clock: Clock,
        randbytes: RandomBytes,
        new_id: NewId,
        on_commit: Callable[[], None] = lambda: None,
        read_keys: Callable[[], FieldKeys] | None = None,
    ) -> None:
        """Compose.

        Args:
            database: where.
            keys: for what is sealed.
            clock: aware UTC.
            randbytes: cryptographic randomness.
            new_id: random ids.
            on_commit: called after every commit, to wake whoever works on what was written.
            read_keys: reads the keys anew, for a transaction that meets a version which came after the start.
        """
        self.database = database
        self._keys = keys
        self._clock = clock
        self._randbytes = randbytes
        self._new_id = new_id
        self._on_commit = on_commit
        self.read_keys = read_keys
        self.take_up: Callable[[Access], None] = lambda _: None
        """Takes up, within a transaction that found other rules in force, what is adopted."""

    async def _run(
        self,
        how: Callable[[Callable[[Connection], T]], Awaitable[T]],
        session: type[S],
        work: Callable[[S], T],
    ) -> T:
        """Run a transaction; once more where it lacked a key that has been added meanwhile."""
        try:
            return await how(self._in(session, work))
        except ConfigurationError as error:
            if error.code is not Code.KEY_REFUSED or not await self._keys_changed():
                raise
        return await how(self._in(session, work))

    async def _keys_changed(self) -> bool:
        if self.read_keys is None:
            return False
        before, self._keys = self._keys, await asyncio.to_thread(self.read_keys)
        return self._keys != before

    def _in(self, session: type[S], work: Callable[[S], T]) -> Callable[[Connection], T]:
        def run(connection: Connection) -> T:
            # A vault a transaction: no opened key outlives its use, nor does randomness drawn ahead.
            vault = Vault(self._keys, Reserve(self._randbytes), self._new_id)
            transaction = session(connection, vault)
            transaction.other_rules = lambda: self.take_up(Access(connection, vault))
            return work(transaction)

        return run

    async def write(self, session: type[S], work: Callable[[S], T]) -> T:
        """One writing transaction; returns after the commit is durable."""
        result = await self._run(self.database.write, session, work)
        self._on_commit()
        return result

    async def read(self, session: type[S], work: Callable[[S], T]) -> T:
        """One reading transaction."""
        return await self._run(self.database.read, session, work)

    async def intake(self, work: Callable[[IntakeTransaction], T]) -> T:
        """A transaction of the pipeline."""
        return await self.write(Intake, work)

    async def importing(self, work: Callable[[ImportTransaction], T]) -> T:
        """A transaction of an import."""
        return await self.write(Importing, work)

    async def anything_due(self) -> bool:
        """Whether anybody is due or a sweep is under way."""
        at = self._clock()
        return await self.read(Intake, lambda tx: tx.anything_due(at))

    async def evaluating(self, work: Callable[[SweepingTransaction], T]) -> T:
        """A transaction of the evaluator; it looks unasked, so one without result wakes nobody."""
        result = await self._run(self.database.write, Intake, work)
        if result:
            self._on_commit()
        return result

    async def backlog(self) -> Backlog:
        """What is still to be judged again."""
        at = self._clock()
        return await self.read(Intake, lambda tx: tx.backlog(at))

    async def issuing(self, work: Callable[[IssuingTransaction], T], *, write: bool) -> T:
        """A transaction of the issuer."""
        return await (self.write if write else self.read)(Issuing, work)

    async def rereading(self, work: Callable[[RereadingTransaction], T], *, write: bool) -> T:
        """A transaction that reads stored deliveries again."""
        return await (self.write if write else self.read)(Intake, work)

    async def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those uploaded documents that have come."""
        return await self.read(Intake, lambda tx: tx.documents(platform, ids))

    async def claiming(self, work: Callable[[ClaimTransaction], T]) -> T:
        """A transaction of a claim."""
        return await self.write(Claiming, work)

    async def accounting(self, work: Callable[[AccountTransaction], T], *, write: bool) -> T:
        """A transaction about account months."""
        return await (self.write if write else self.read)(Accounting, work)

    async def rosters(self, work: Callable[[RosterTransaction], T]) -> T:
        """A transaction of a roster."""
        return await self.write(Roster, work)

    async def listing(self, work: Callable[[ListingTransaction], T], *, write: bool) -> T:
        """A transaction that lists an enterprise's people or uploads, and logs whom it showed."""
        return await (self.write if write else self.read)(Listing, work)

    async def standings(self, work: Callable[[StatusTransaction], T]) -> T:
        """A transaction that answers an enterprise, and logs that it did."""
        return await self.write(Access, work)

    async def counting(self, work: Callable[[CountingTransaction], T]) -> T:
        """A transaction that counts an enterprise's questions; nobody has to work on it."""
        return await self._run(self.database.write, Counting, work)

    async def operating(self, work: Callable[[Access], T]) -> T:
        """A transaction of an operator's act."""
        return await self.write(Access, work)

    async def trying(self, work: Callable[[Acting], T]) -> T:
        """A writing transaction that leaves nothing behind."""
        return await self._run(self.database.try_out, Trying, work)

    async def acting(self, work: Callable[[ActingTransaction], T]) -> T:
        """A transaction of somebody's act about a person."""
        return await self.write(Acting, work)

    async def reading_acts(self, work: Callable[[ActingTransaction], T]) -> T:
        """A reading transaction of what people said."""
        return await self.read(Acting, work)

    async def merging(self, work: Callable[[MergingTransaction], T]) -> T:
        """A transaction that merges or parts learners."""
        return await self.write(Merging, work)

    async def rotating(self, work: Callable[[RotatingTransaction], T], *, write: bool) -> T:
        """A step of a rotation, or a look at it; nobody has to work on what it writes."""
        return await self._run(self.database.write if write else self.database.read, Rotating, work)

    async def identities(self, work: Callable[[IdentityTransaction], T]) -> T:
        """A transaction in which somebody finds out who a learner is."""
        return await self.write(Identities, work)

    async def reporting(self, work: Callable[[ReportTransaction], T]) -> T:
        """A reading transaction of a report on people."""
        return await self.read(Identities, work)

    async def previewing(self, work: Callable[[Access], T]) -> T:
        """A reading transaction that tries out what is not adopted yet."""
        return await self.read(Access, work)

    async def feed(
        self, after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
    ) -> tuple[Sequence[FeedEntry], int]:
        """Entries with index > ``after`` (-1 for all), up to ``limit``, and the ledger's size."""
        return await self.read(ReadingSession, lambda tx: tx.feed(after, limit, shows, disclosed=disclosed))

    async def record(self, record_id: str) -> StoredRecord | None:
        """A record."""
        return await self.read(ReadingSession, lambda tx: tx.records({record_id}).get(record_id))

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint; empty while the ledger is."""
        return await self.read(ReadingSession, lambda tx: tx.checkpoint())

    async def cosignatures(self) -> Sequence[Cosigned]:
        """The newest cosignature of each witness."""
        return await self.read(Witnessed, lambda tx: tx.cosignatures())

    async def keep_cosignature(self, cosigned: Cosigned) -> None:
        """Keep a witness's newest cosignature; nobody has to work on it, so nobody is woken."""
        await self._run(self.database.write, Witnessed, lambda tx: tx.keep(cosigned))

    async def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Stored complete subtrees by (level, index)."""
        return await self.read(ReadingSession, lambda tx: tx.nodes(coordinates))

    async def bodies(self, first: int, count: int) -> Sequence[bytes]:
        """Entry bodies from an index on."""
        return await self.read(ReadingSession, lambda tx: tx.bodies(first, count))

    async def status_token(self, list_id: int) -> str | None:
        """The newest signed status list."""
        return await self.read(ReadingSession, lambda tx: tx.status_token(list_id))

    async def deliveries(
        self, platform: str, *, attention: bool, limit: int, before: datetime | None = None
    ) -> Sequence[DeliverySummary]:
        """A platform's newest deliveries; with ``attention`` only those with something wrong."""
        return await self.read(
            ReadingSession,
            lambda tx: tx.deliveries(platform, attention=attention, limit=limit, before=before),
        )

    async def client(self, client_id: str) -> Client | None:
        """The newest version of a client."""
        return await self.read(ReadingSession, lambda tx: tx.client(client_id))

    async def explain(self, reference: str) -> Explanation | None:
        """A decision by its own id or by its record's."""
        return await self.read(ReadingSession, lambda tx: tx.explain(reference))

    async def open_reviews(self) -> Sequence[dict[str, Any]]:
        """Questions that no reviewer has answered, oldest first."""
        return await self.read(ReadingSession, lambda tx: tx.open_reviews())

    async def showing(self, work: Callable[[SubjectTransaction], T]) -> T:
        """A transaction that shows a person their own data, and logs that it did."""
        return await self.write(Subject, work)

    async def erasing(self, work: Callable[[ErasingTransaction], T]) -> T:
        """A transaction that erases a person, or says what that would come to, and logs that it was asked."""
        return await self.write(Erasing, work)

    async def retaining(self, work: Callable[[RetainingTransaction], T], *, write: bool) -> T:
        """A step of emptying raw bodies, or a look at them; one that emptied nothing wakes nobody."""
        if not write:
            return await self.read(Erasing, work)
        result = await self._run(self.database.write, Erasing, work)
        if result:
            self._on_commit()
        return result

    async def looking(self, work: Callable[[FindingTransaction], T]) -> T:
        """A reading transaction that looks for signals."""
        return await self.read(Looking, work)

    async def finding(self, work: Callable[[FindingTransaction], T]) -> T:
        """A transaction that writes down what was found; one that found nothing wakes nobody."""
        result = await self.database.write(self._in(Looking, work))
        if result:
            self._on_commit()
        return result

    async def signalling(self, work: Callable[[SignalTransaction], T], *, write: bool) -> T:
        """A transaction that shows or closes signals."""
        return await (self.write if write else self.read)(Signals, work)

    async def replaying(self, work: Callable[[ReplayTransaction], T]) -> T:
        """A reading transaction of a replay."""
        return await self.read(Replaying, work)

    async def reconciling(self, work: Callable[[ReconcileTransaction], T]) -> T:
        """A reading transaction of a comparison with a platform's manifest."""
        return await self.read(Reconciling, work)

    async def auditing(self, work: Callable[[AuditTransaction], T]) -> T:
        """A reading transaction of the check."""
        return await self.read(Auditing, work)

    async def packing(self, work: Callable[[PackTransaction], T]) -> T:
        """A reading transaction of an audit pack."""
        return await self.read(Packing, work)

    async def keep_failures(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        """Write failures to authenticate; nobody has to work on them, so nobody is woken."""
        await self._run(self.database.write, Watching, lambda tx: tx.keep_failures(failures))

    async def failures(self, platform: str) -> Sequence[Failure]:
        """A platform's newest failures to authenticate, newest first."""
        return await self.read(Watching, lambda tx: tx.failures(platform))

    async def gaps(self, platform: str) -> Sequence[Gap]:
        """The lowest missing sequence numbers between a platform's smallest and largest."""
        return await self.read(Watching, lambda tx: tx.gaps(platform))

    async def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        """When each platform's newest authentic delivery was received, for those that sent any."""
        return await self.read(Watching, lambda tx: tx.last_deliveries(platforms))

    async def entries(self) -> int:
        """How many entries the ledger has."""
        return await self.read(Watching, lambda tx: tx.entries())

    async def analyse(self) -> None:
        """Have the database look at how its tables are filled; nobody has to work on that."""
        await self._run(self.database.write, Watching, lambda tx: tx.analyse())

    async def tally(self, platform: str) -> Tally:
        """How many deliveries are kept of a platform."""
        return await self.read(Watching, lambda tx: tx.tally(platform))

    async def disclose(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str
    ) -> None:
        """Record, durably, that a client is shown personal data of these learners."""
        at = self._clock()
        await self.write(Access, lambda tx: tx.log_disclosures(learners, client_id, purpose, what, at))

    async def use_assertion(self, client_id: str, jti: str, expires_at: datetime) -> bool:
        """Claim a ``jti`` once; False if it was used before."""
        now = self._clock()
        return await self.write(Access, lambda tx: tx.use_assertion(client_id, jti, expires_at, now))

    async def ready(self) -> bool:
        """Whether the database answers."""
        return await self.read(ReadingSession, lambda tx: tx.ready())
