"""What the web needs of the others; ``app`` fills it in, so that nothing here knows the store."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from verifier.callback import Limits
from verifier.model.access import Client
from verifier.model.delivery import Callback, DeliveryOutcome
from verifier.model.person import LearnerId, Uscc
from verifier.ports import Adapter, Clock, Digest, NewId
from verifier.ports.reading import Assertions, Reading
from verifier.signatures.jws import SigningKey, VerificationKey
from verifier.web.metrics import Metrics

KEPT_FAILURES: Final = 100
"""Failures to authenticate that a platform can look up, newest last."""

ClaimStep = Literal["release", "paid", "returned"]

Submit = Callable[[Adapter, Callback], Awaitable[DeliveryOutcome]]
"""Prepare, record and commit one callback. Raises SignatureRejected or Unavailable; returns once durable."""

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

    async def status(self, client: Client, uscc: Uscc, body: bytes) -> dict[str, Any]:
        """Answer for people on the roster whether their month is granted."""
        ...


class Claims(Protocol):
    """What a subsidy system may do with a record."""

    async def claim(self, client: Client, record_id: str, payment_reference: str) -> dict[str, Any]:
        """Claim the record's month for one payment, exclusively and idempotently."""
        ...

    async def step(self, client: Client, record_id: str, step: ClaimStep, reason: str) -> dict[str, Any]:
        """Record what followed a claim."""
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
    hosts: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Failure:
    """A request to a platform's address that was not authentic; nothing else of it is kept."""

    at: datetime
    request_id: str
    step: str


class Failures:
    """The last failures to authenticate, by platform, in memory only."""

    def __init__(self) -> None:
        self._kept: defaultdict[str, deque[Failure]] = defaultdict(lambda: deque(maxlen=KEPT_FAILURES))

    def note(self, platform: str, failure: Failure) -> None:
        """Keep one, and let the oldest go."""
        self._kept[platform].append(failure)

    def of(self, platform: str) -> Sequence[Failure]:
        """What is kept of a platform, oldest first."""
        return tuple(self._kept.get(platform, ()))


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the handlers call.

    Attributes:
        issuer: our address as others know it: issuer of tokens and audience of client assertions.
        adapters: by slug.
        token_key: signs access tokens; of this process alone, never one of the issuer's.
        answer_key: signs status answers; as above.
        public_keys: to be published besides ``answer_key``: those of records, status lists.
        ledger_origin: the log's name.
        ledger_key: the log's key in the form of C2SP signed-note ("vkey").
        digest: keyed digest, for audit lines.
        failed: background workers that stopped for good; while there is one, the process is not ready.
    """

    issuer: str
    adapters: Mapping[str, Adapter]
    submit: Submit
    disclose: Disclose
    reading: Reading
    assertions: Assertions
    enterprises: Enterprises
    claims: Claims
    token_key: SigningKey
    answer_key: SigningKey
    public_keys: tuple[VerificationKey, ...]
    ledger_origin: str
    ledger_key: str
    clock: Clock
    new_id: NewId
    digest: Digest
    limits: HttpLimits = field(default_factory=HttpLimits)
    metrics: Metrics = field(default_factory=Metrics)
    failures: Failures = field(default_factory=Failures)
    failed: Callable[[], Sequence[str]] = tuple
