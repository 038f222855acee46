"""What the web needs of the others; ``app`` fills it in, so that nothing here knows the store."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Protocol

from verifier.callback import Limits
from verifier.claims import Asked
from verifier.model.access import Client
from verifier.model.delivery import Callback, DeliveryOutcome
from verifier.model.person import IdentityClaims, LearnerId, Uscc
from verifier.ports import Adapter, Clock, Digest, NewId
from verifier.ports.reading import Assertions, Reading
from verifier.ports.watching import KEPT_FAILURES, Arrivals, Failure
from verifier.published import Published
from verifier.sandbox import Trial
from verifier.signatures.jws import SigningKey
from verifier.totals import By
from verifier.web.metrics import Metrics
from verifier.web.waiting import Growth, Places

ClaimStep = Literal["release", "paid", "returned"]

Submit = Callable[[Adapter, Callback], Awaitable[DeliveryOutcome]]
"""Prepare, record and commit one callback. Raises SignatureRejected or Unavailable; returns once durable."""

TryOut = Callable[[Adapter, Callback], Awaitable[Trial]]
"""What would become of a callback by the sandbox's register; nothing of it is kept."""

Disclose = Callable[[Collection[LearnerId], str, str, str], Awaitable[None]]
"""Record, durably, that a client is shown personal data: learners, client id, purpose, what."""


class Enterprises(Protocol):
    """What an enterprise may do; answers are ready for JSON, and errors are those of ``verifier.errors``."""

    async def upload_roster(
        self, client: Client, uscc: Uscc, body: bytes, media_type: str, *, partial: bool
    ) -> dict[str, Any]:
        """Take a roster in; with ``partial`` the rows without a problem, though others have one."""
        ...

    async def declare_scope(self, client: Client, uscc: Uscc, body: bytes) -> dict[str, Any]:
        """Take a declaration that the scope is widened to all technical workers."""
        ...

    async def uploads(self, uscc: Uscc, limit: int) -> dict[str, Any]:
        """Rosters that were taken in, newest first, without their people."""
        ...

    async def claim_list(
        self, client: Client, uscc: Uscc, month: date, *, entitlement: str = ""
    ) -> dict[str, Any]:
        """The live grants of a month, for the enterprise to take away."""
        ...

    async def claim_sheet(self, client: Client, uscc: Uscc, month: date, *, entitlement: str = "") -> bytes:
        """The same as an XLSX file."""
        ...

    async def status(
        self, client: Client, uscc: Uscc, body: bytes, *, entitlement: str = "", canonical: bool = False
    ) -> list[bytes]:
        """Answer for people on the roster whether their month is granted: JSON, in pieces.

        With ``canonical`` names are sorted, for what is signed.
        """
        ...


class Employers(Protocol):
    """What an enterprise says about its own people besides its roster; errors as for ``Enterprises``."""

    async def release(
        self, client: Client, uscc: Uscc, who: IdentityClaims, reason: str, entitlement: str = ""
    ) -> dict[str, Any]:
        """Give up the month that the enterprise holds for somebody."""
        ...

    async def object(
        self,
        client: Client,
        uscc: Uscc,
        who: IdentityClaims,
        kind: str,
        topic: str,
        about: str,
        text: str,
    ) -> dict[str, Any]:
        """Raise a correction, objection or appeal about somebody."""
        ...

    async def objections(self, uscc: Uscc) -> dict[str, Any]:
        """Those that the enterprise raised."""
        ...

    async def objection(self, client: Client, uscc: Uscc, number: str) -> dict[str, Any]:
        """One that the enterprise raised, with what was said."""
        ...


class Claims(Protocol):
    """What a subsidy system may do with a record."""

    async def claim(self, client: Client, record_id: str, asked: Asked) -> dict[str, Any]:
        """Claim the record's month for one payment, exclusively and idempotently."""
        ...

    async def step(
        self, client: Client, record_id: str, step: ClaimStep, payment_reference: str, reason: str
    ) -> dict[str, Any]:
        """Record what followed a claim."""
        ...

    async def totals(
        self, client: Client, office: str, month: date, by: By, entitlement: str = ""
    ) -> dict[str, Any]:
        """What stands of a month at an office, or was booked in it."""
        ...


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What the listener bears.

    Attributes:
        callback: of a platform's request.
        body_bytes: greatest body of our own API.
        roster_bytes: greatest roster.
        form_bytes: greatest body of a token request.
        header_bytes: all header names and values together.
        body_seconds: from the headers to the end of the body.
        body_grace_seconds: before ``body_rate`` counts.
        body_rate: least bytes a second.
        idle_seconds: for a request's headers, counted from the connection or the answer before.
        linger_seconds: reading a refused body's rest away, so that no reset takes the answer along.
        connections: open at once, in all.
        connections_per_peer: open at once from one address; 0 for no limit.
        requests: worked on at once; more are answered 503.
        waiters: calls that wait for the ledger to grow, at once; more are answered 503.
        waiters_per_client: of these, of one client.
        streams: answers sent in pieces, at once; more are answered 503.
        streams_per_client: of these, of one client.
        stall_seconds: within which a piece of an answer is taken, or its reader is cut off.
        stream_seconds: after which an answer in pieces comes to its end, to be continued by another call.
        hosts: Host headers that are answered, lower case, with port where it is not the scheme's; empty
            for all.
        proxies: addresses of our own proxies, which ``connections_per_peer`` does not count.
    """

    callback: Limits = field(default_factory=Limits)
    body_bytes: int = 2_097_152
    roster_bytes: int = 8_388_608
    form_bytes: int = 16_384
    header_bytes: int = 16_384
    body_seconds: float = 10.0
    body_grace_seconds: float = 5.0
    body_rate: int = 1024
    idle_seconds: float = 10.0
    linger_seconds: float = 1.0
    connections: int = 4000
    connections_per_peer: int = 400
    requests: int = 256
    waiters: int = 64
    waiters_per_client: int = 4
    streams: int = 32
    streams_per_client: int = 4
    stall_seconds: float = 20.0
    stream_seconds: float = 120.0
    hosts: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()


class Failures:
    """Failures to authenticate that are not written yet, by platform: the last of each, and no more.

    They are noted on the loop that answers requests, and written on another.
    """

    def __init__(self) -> None:
        self._kept: defaultdict[str, deque[Failure]] = defaultdict(lambda: deque(maxlen=KEPT_FAILURES))
        self._lock = threading.Lock()

    def note(self, platform: str, failure: Failure) -> None:
        """Keep one, and let the oldest go."""
        with self._lock:
            self._kept[platform].append(failure)

    def of(self, platform: str) -> Sequence[Failure]:
        """What waits of a platform, oldest first."""
        with self._lock:
            return tuple(self._kept.get(platform, ()))

    def waiting(self) -> Mapping[str, Sequence[Failure]]:
        """All that waits to be written, by platform."""
        with self._lock:
            return {platform: tuple(kept) for platform, kept in self._kept.items() if kept}

    def written(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        """Let go of what was written."""
        with self._lock:
            for platform, done in failures.items():
                kept = self._kept[platform]
                while kept and kept[0] in done:
                    kept.popleft()


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the handlers call.

    Attributes:
        issuer: our address as others know it: issuer of tokens and audience of client assertions.
        adapters: by slug.
        token_key: signs access tokens; of this process alone, never one of the issuer's.
        answer_key: signs status answers; as above.
        published: public keys of the issuer, to be given out besides ``answer_key``'s.
        ledger_origin: the log's name.
        digest: keyed digest, for audit lines.
        try_out: the sandbox; None where this installation has none.
        failed: background workers that stopped for good; while there is one, the process is not ready.
        growth: wakes those who wait for the ledger to grow.
        waiters, streams: places of those calls.
    """

    issuer: str
    adapters: Mapping[str, Adapter]
    submit: Submit
    disclose: Disclose
    reading: Reading
    arrivals: Arrivals
    assertions: Assertions
    enterprises: Enterprises
    employers: Employers
    claims: Claims
    token_key: SigningKey
    answer_key: SigningKey
    published: Published
    ledger_origin: str
    clock: Clock
    new_id: NewId
    digest: Digest
    limits: HttpLimits = field(default_factory=HttpLimits)
    metrics: Metrics = field(default_factory=Metrics)
    failures: Failures = field(default_factory=Failures)
    try_out: TryOut | None = None
    failed: Callable[[], Sequence[str]] = tuple
    growth: Growth = field(default_factory=Growth)
    waiters: Places = field(default_factory=Places)
    streams: Places = field(default_factory=Places)
