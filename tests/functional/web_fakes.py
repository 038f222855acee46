"""The web's ports as fakes, a real listener on loopback, and clients that sign what a test tells them to."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import aiohttp
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier.claims import Asked
from verifier.errors import CATALOGUE, Code, SignatureRejected, VerifierError
from verifier.ledger import checkpoint_body, entry_body, sign_note
from verifier.merkle import Frontier, leaf_hash
from verifier.model import envelope
from verifier.model.access import Client, ClientState, Role
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.person import IdentityClaims, LearnerId, Uscc
from verifier.ports import Adapter
from verifier.ports.reading import (
    DeliverySummary,
    Explanation,
    FeedEntry,
    ShownRecord,
    Shows,
    StoredRecord,
    every,
)
from verifier.ports.watching import Failure, Gap, Tally
from verifier.ports.witnessing import Cosigned
from verifier.published import Published, PublishedKey, Purpose
from verifier.signatures import jws, keys, sdjwt, strict_json
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.sdjwt import new_disclosure
from verifier.signatures.transport import TransportKey
from verifier.totals import By
from verifier.web import server
from verifier.web.services import ClaimStep, HttpLimits, Services

ISSUER: Final = "https://verifier.example"
NOW: Final = datetime(2021, 7, 1, 4, tzinfo=UTC)
USCC: Final = Uscc("91650100MA0000000X")
OFFICE, OTHER_OFFICE = "650100", "650200"


def signing_key(kid: str) -> SigningKey:
    return SigningKey(kid, Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))


CLIENT_KEYS: Final = {name: signing_key(f"{name}-key") for name in ("plat", "ent", "sub", "aud")}
RECORD_KEY: Final = signing_key("record-key")
CHECKPOINT_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOTE_KEY: Final = CHECKPOINT_KEY.public_key()
PUBLISHED: Final = (
    PublishedKey(Purpose.RECORD, RECORD_KEY.verification_key),
    PublishedKey(Purpose.CHECKPOINT, VerificationKey("notes", Algorithm.EDDSA, NOTE_KEY)),
)
TOKEN_KEY: Final = signing_key("token-key")
ANSWER_KEY: Final = signing_key("answer-key")
DISCLOSURES: Final = tuple(
    new_disclosure(name, value, bytes).encoded for name, value in (("name", "阿依古丽"), ("employer", "x"))
)


def client(name: str, role: Role, **members: Any) -> Client:
    jwk = keys.public_jwk(CLIENT_KEYS[name].verification_key)
    return Client(name, 1, role, ClientState.ACTIVE, jwk, **members)


def stored_record(record_id: str, position: int, office: str) -> StoredRecord:
    signed = jws.sign_compact(b'{"vct":"x"}', RECORD_KEY, typ="dc+sd-jwt")
    sd_jwt = "~".join([signed, *DISCLOSURES, ""])
    learner = LearnerId(f"learner-{record_id}")
    return StoredRecord(
        record_id, learner, "granted", position, office, date(2021, 6, 1), sd_jwt, current=True
    )


def entry(position: int, kind: str, office: str, record: StoredRecord | None = None) -> FeedEntry:
    body = entry_body({"v": 1, "kind": kind, "index": position})
    return FeedEntry(position, kind, body, leaf_hash(body), office, None if record is None else shown(record))


def shown(record: StoredRecord) -> ShownRecord:
    jws, disclosures = sdjwt.split(record.sd_jwt)
    return ShownRecord(record.record_id, record.learner_id, record.kind, jws, tuple(disclosures))


def _seen(one: FeedEntry, shows: Shows, *, disclosed: bool) -> FeedEntry:
    if one.record is None or not shows(one.kind, one.office):
        return replace(one, record=None)
    return one if disclosed else replace(one, record=replace(one.record, disclosures=()))


class FakeReading:
    def __init__(self) -> None:
        self.clients = {
            found.client_id: found
            for found in (
                client("plat", Role.PLATFORM, platform="fake_platform"),
                client("ent", Role.ENTERPRISE, enterprises=frozenset({USCC})),
                client("sub", Role.SUBSIDY, offices=frozenset({OFFICE})),
                client("aud", Role.AUDITOR),
            )
        }
        self.records = {
            found.record_id: found
            for found in (stored_record("rec-1", 1, OFFICE), stored_record("rec-2", 2, OTHER_OFFICE))
        }
        self.entries = [
            entry(0, "adoption", ""),
            entry(1, "record", OFFICE, self.records["rec-1"]),
            entry(2, "record", OTHER_OFFICE, self.records["rec-2"]),
            entry(3, "claim", OFFICE),
            entry(4, "clawback", ""),
        ]
        self.tree: dict[tuple[int, int], bytes] = {}
        self.note = b""
        self.grow(300)
        self.cosigned: list[Cosigned] = []
        self.tokens = {3: "a.b.c"}
        self.listed: list[DeliverySummary] = []
        self.asked: list[tuple[str, bool, int]] = []
        self.written: list[Failure] = []
        self.missing: list[Gap] = []
        self.explained: dict[str, Explanation] = {}
        self.is_ready = True
        self.pages: list[tuple[int, int]] = []
        self.delay = 0.0
        self.fails: BaseException | None = None

    async def cosignatures(self) -> Sequence[Cosigned]:
        return self.cosigned

    def grow(self, size: int) -> None:
        frontier, made = Frontier().append([leaf_hash(b"%d" % index) for index in range(size)])
        self.tree = {(node.level, node.index): node.hash for node in made}
        self.note = checkpoint_body("log.example", size, frontier.root()) + b"\n\xe2\x80\x94 log.example xx\n"

    def publish(self) -> None:
        """Let the tree and its checkpoint be those of the entries."""
        frontier, made = Frontier().append([one.leaf_hash for one in self.entries])
        self.tree = {(node.level, node.index): node.hash for node in made}
        text = checkpoint_body("log.example", frontier.size, frontier.root())
        self.note = sign_note(text, "log.example", CHECKPOINT_KEY)

    async def feed(
        self, after: int, limit: int, shows: Shows = every, *, disclosed: bool = True
    ) -> tuple[Sequence[FeedEntry], int]:
        """As the store does it: nothing is opened that is not shown or not disclosed."""
        self.pages.append((after, limit))
        page = self.entries[after + 1 : after + 1 + limit]
        return [_seen(one, shows, disclosed=disclosed) for one in page], len(self.entries)

    async def record(self, record_id: str) -> StoredRecord | None:
        return self.records.get(record_id)

    async def checkpoint(self) -> bytes:
        return self.note

    async def nodes(self, coordinates: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        return {place: self.tree[place] for place in coordinates if place in self.tree}

    async def bodies(self, first: int, count: int) -> Sequence[bytes]:
        return [b"%d" % index for index in range(first, first + count)]

    async def status_token(self, list_id: int) -> str | None:
        return self.tokens.get(list_id)

    async def deliveries(
        self, platform: str, *, attention: bool, limit: int, before: datetime | None = None
    ) -> Sequence[DeliverySummary]:
        del before
        self.asked.append((platform, attention, limit))
        return self.listed

    async def failures(self, platform: str) -> Sequence[Failure]:
        assert platform == "fake_platform"
        return self.written

    async def gaps(self, platform: str) -> Sequence[Gap]:
        assert platform == "fake_platform"
        return self.missing

    async def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        raise NotImplementedError(platforms)

    async def tally(self, platform: str) -> Tally:
        raise NotImplementedError(platform)

    async def client(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    async def explain(self, reference: str) -> Explanation | None:
        return self.explained.get(reference)

    async def ready(self) -> bool:
        await asyncio.sleep(self.delay)
        if self.fails is not None:
            raise self.fails
        return self.is_ready


class FakeAssertions:
    def __init__(self) -> None:
        self.used: dict[tuple[str, str], datetime] = {}

    async def use_assertion(self, client_id: str, jti: str, expires_at: datetime) -> bool:
        fresh = (client_id, jti) not in self.used
        self.used[client_id, jti] = expires_at
        return fresh


@dataclass
class FakeEnterprises:
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    error: VerifierError | None = None

    async def upload_roster(
        self, client: Client, uscc: Uscc, body: bytes, media_type: str, *, partial: bool
    ) -> dict[str, Any]:
        return self._called("roster", client.client_id, uscc, body, media_type, partial)

    async def declare_scope(self, client: Client, uscc: Uscc, body: bytes) -> dict[str, Any]:
        return self._called("scope", client.client_id, uscc, body)

    async def status(
        self, client: Client, uscc: Uscc, body: bytes, *, entitlement: str = "", canonical: bool = False
    ) -> list[bytes]:
        asked = ("status", client.client_id, uscc, body, *([entitlement] if entitlement else ()))
        said = self._called(*asked)
        return [strict_json.canonical(said) if canonical else msgspec.json.encode(said)]

    async def uploads(self, uscc: Uscc, limit: int) -> dict[str, Any]:
        return self._called("uploads", uscc, limit)

    async def claim_list(
        self, client: Client, uscc: Uscc, month: date, *, entitlement: str = ""
    ) -> dict[str, Any]:
        return self._called("claim-list", client.client_id, uscc, month, entitlement)

    async def claim_sheet(self, client: Client, uscc: Uscc, month: date, *, entitlement: str = "") -> bytes:
        self._called("claim-sheet", client.client_id, uscc, month, entitlement)
        return b"a workbook"

    def _called(self, *call: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.calls.append(call)
        return {"done": call[0], "名": "好"}


@dataclass
class FakeEmployers:
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def release(
        self, client: Client, uscc: Uscc, who: IdentityClaims, reason: str, entitlement: str = ""
    ) -> dict[str, Any]:
        return self._called("release", client.client_id, uscc, who, reason, entitlement)

    async def object(
        self, client: Client, uscc: Uscc, who: IdentityClaims, kind: str, topic: str, about: str, text: str
    ) -> dict[str, Any]:
        return self._called("object", client.client_id, uscc, who, kind, topic, about, text)

    async def objections(self, uscc: Uscc) -> dict[str, Any]:
        return self._called("objections", uscc)

    async def objection(self, client: Client, uscc: Uscc, number: str) -> dict[str, Any]:
        return self._called("objection", client.client_id, uscc, number)

    def _called(self, *call: Any) -> dict[str, Any]:
        self.calls.append(call)
        return {"done": call[0]}


@dataclass
class FakeClaims:
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    error: VerifierError | None = None

    async def claim(self, client: Client, record_id: str, asked: Asked) -> dict[str, Any]:
        return self._called("claim", client.client_id, record_id, asked)

    async def step(
        self, client: Client, record_id: str, step: ClaimStep, payment_reference: str, reason: str
    ) -> dict[str, Any]:
        return self._called(step, client.client_id, record_id, payment_reference, reason)

    async def totals(
        self, client: Client, office: str, month: date, by: By, entitlement: str = ""
    ) -> dict[str, Any]:
        return self._called("totals", client.client_id, office, month, by, entitlement)

    def _called(self, *call: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.calls.append(call)
        return {"state": call[0]}


class FakeAdapter:
    slug = PlatformSlug("fake_platform")
    name = "模拟平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts = Accepts(frozenset({"application/json"}))

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        raise NotImplementedError

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        raise NotImplementedError

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        return envelope.acknowledgment(outcome, single=False)

    def refuse(self, code: Code) -> Acknowledgment:
        return envelope.refusal(code)


class Submissions:
    """What ``submit`` was given, and what it answers: an outcome or an error, after an optional wait."""

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []
        self.answer: DeliveryOutcome | BaseException = DeliveryOutcome(
            DeliveryId("delivery-1"), DeliveryState.ACCEPTED
        )
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Semaphore(0)
        self.committed = 0

    async def __call__(self, adapter: Adapter, callback: Callback) -> DeliveryOutcome:
        assert adapter.slug == callback.platform
        self.callbacks.append(callback)
        self.begun.release()
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        self.committed += 1
        return self.answer


@dataclass
class Web:
    """A running service with its fakes."""

    reading: FakeReading = field(default_factory=FakeReading)
    assertions: FakeAssertions = field(default_factory=FakeAssertions)
    enterprises: FakeEnterprises = field(default_factory=FakeEnterprises)
    employers: FakeEmployers = field(default_factory=FakeEmployers)
    claims: FakeClaims = field(default_factory=FakeClaims)
    submissions: Submissions = field(default_factory=Submissions)
    disclosed: list[tuple[set[str], str, str, str]] = field(default_factory=list)
    now: datetime = NOW
    port: int = 0
    session: aiohttp.ClientSession = field(init=False)
    services: Services = field(init=False)
    serial: itertools.count[int] = field(default_factory=itertools.count)

    async def disclose(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str
    ) -> None:
        self.disclosed.append((set(learners), client_id, purpose, what))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def call(
        self, method: str, path: str, *, client: str = "", **options: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request; ``client`` names whose fresh token goes with it."""
        headers = dict(options.pop("headers", {}))
        if client:
            headers["Authorization"] = f"Bearer {self.access_token(client)}"
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])  # aiohttp's client warns of large raw bodies
        async with self.session.request(method, self.url(path), headers=headers, **options) as response:
            return response.status, response.headers, await response.read()

    async def post_json(self, path: str, body: bytes, **options: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        status, _, answer = await self.call("POST", path, data=body, headers=headers, **options)
        return status, json.loads(answer)

    def access_token(self, name: str, **changes: Any) -> str:
        """A token as the token endpoint makes it, with members changed; None removes one."""
        known = self.reading.clients[name]
        now = int(self.now.timestamp())
        claims = {
            "iss": ISSUER,
            "sub": name,
            "client_id": name,
            "aud": f"{ISSUER}/v1",
            "iat": now,
            "exp": now + 300,
            "jti": f"t{next(self.serial)}",
            "role": known.role.value,
            "scope": " ".join(known.scopes),
            "ver": known.version,
        }
        return signed(_changed(claims, changes), TOKEN_KEY, "at+jwt")

    def assertion(self, name: str = "sub", **changes: Any) -> str:
        return signed(self.assertion_claims(name, **changes), CLIENT_KEYS[name], "JWT")

    def assertion_claims(self, name: str = "sub", **changes: Any) -> dict[str, Any]:
        now = int(self.now.timestamp())
        claims = {
            "iss": name,
            "sub": name,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 300,
            "jti": f"a{next(self.serial)}",
        }
        return _changed(claims, changes)

    async def token(self, assertion: str, **changes: Any) -> tuple[int, Mapping[str, str], Any]:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        status, headers, body = await self.call("POST", "/oauth/token", data=_changed(form, changes))
        return status, headers, json.loads(body)

    async def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send bytes as they are, in parts, and gather what comes back until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = asyncio.create_task(_gathered(reader))
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
        try:
            return await asyncio.wait_for(answer, 5)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _gathered(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            answer += chunk
    return answer


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**members, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def signed(claims: Mapping[str, Any], key: SigningKey, typ: str) -> str:
    return jws.sign_compact(strict_json.canonical(dict(claims)), key, typ=typ)


@asynccontextmanager
async def serving(*, limits: HttpLimits | None = None, **changes: Any) -> AsyncIterator[Web]:
    """A service on a free port of loopback."""
    made = Web()
    ids = itertools.count()
    made.services = Services(
        issuer=ISSUER,
        adapters={FakeAdapter.slug: FakeAdapter()},
        submit=made.submissions,
        disclose=made.disclose,
        reading=made.reading,
        arrivals=made.reading,
        assertions=made.assertions,
        enterprises=made.enterprises,
        employers=made.employers,
        claims=made.claims,
        token_key=TOKEN_KEY,
        answer_key=ANSWER_KEY,
        published=Published(PUBLISHED, "log.example", lambda: made.now),
        ledger_origin="log.example",
        clock=lambda: made.now,
        new_id=lambda: f"request-{next(ids)}",
        digest=lambda purpose, data: (purpose.encode() + data).ljust(32, b"#")[:32],
        limits=limits or HttpLimits(linger_seconds=0.1),
    )
    made.services = replace(made.services, **changes)
    runner = server.runner(server.build(made.services))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as made.session:
        yield made
    await runner.cleanup()


def refused(step: str = "signature") -> SignatureRejected:
    return SignatureRejected(step)


def later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def assert_problem(status: int, headers: Mapping[str, str], body: bytes, code: Code) -> dict[str, Any]:
    """The one shape of our errors."""
    problem: dict[str, Any] = json.loads(body)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    explanation = CATALOGUE[code]
    expected = {
        "type": f"urn:training-verifier:error:{code.value}",
        "title": explanation.zh,
        "status": status,
        "code": code.value,
        "detail_en": explanation.en,
        "party": explanation.party.value,
    }
    assert {name: problem.get(name) for name in expected} == expected
    extra = set(problem) - set(expected)
    assert extra == ({"reason", "pointer"} if status == 401 else {"reason", "pointer", "request_id"})
    assert problem.get("request_id", headers["Request-Id"]) == headers["Request-Id"]
    return problem
