"""The demonstration's ends of the wire: platforms, enterprises, subsidy systems and an auditor, over HTTP.

Only two things are looked at from inside the service, because nobody outside is told: whether the issuer has
caught up, and the newest decision about somebody whom no roster lists.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, TypeVar

import aiohttp
from typing_extensions import override

from verifier import identity, offline
from verifier.app import Service, now
from verifier.cli.sandbox import Sandbox
from verifier.cli.scenario import WORKERS
from verifier.cli.simulator import ChinaVocationalTraining, Delivery, NewOccupation, Person
from verifier.model.decision import State
from verifier.model.time import beijing_date
from verifier.policy.wording import MISSING
from verifier.ports.intake import LatestTrace
from verifier.ports.issuing import IssuingTransaction
from verifier.signatures import jws, keys, strict_json
from verifier.store.access import Access

T = TypeVar("T")
PATIENCE: Final = 10.0
"""Seconds until what was waited for counts as not happening."""
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SUBSIDY: Final = "subsidy-a"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """Its JSON value."""
        return json.loads(self.body)

    @override
    def __str__(self) -> str:
        """Status and code: of a platform's envelope, or of a problem document."""
        try:
            said = self.json
        except ValueError:
            said = None
        if not isinstance(said, dict) or "code" not in said:
            # Another envelope than ours: the states that it names, in its own words.
            found = re.findall(rb'(?:"state": ?"|<STATE>)([a-z_]+)|^([A-Z]+)$', self.body)
            states = [one or other for one, other in found]
            return " ".join([str(self.status), *dict.fromkeys(state.decode() for state in states)])
        code = said["code"]
        items = said["data"].get("items", []) if "data" in said else []
        if code == 0:
            code = "、".join(dict.fromkeys(item["state"] for item in items))
        step = next((item["step"] for item in items if item["step"]), 0)
        return " ".join(filter(None, (str(self.status), str(code), f"第{step}步" if step else "")))


@dataclass(frozen=True, slots=True)
class Pulled:
    """A record as a subsidy system pulls it: its signature was checked on arrival.

    Attributes:
        body: the ledger entry's exact bytes.
    """

    index: int
    body: bytes = field(repr=False)
    sd_jwt: str = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def result(self) -> str:
        """``granted``, ``refused`` or ``revoked``."""
        return str(self.claims["decision"]["result"])


async def until(look: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> T:
    """Look again and again until it is done or patience ends; what was seen last."""
    deadline = monotonic() + PATIENCE
    while not done(seen := await look()) and monotonic() < deadline:  # noqa: ASYNC110 - HTTP has no event
        await asyncio.sleep(0.01)
    return seen


@dataclass(slots=True)
class Stage:
    """Everybody's credentials, and what the subsidy system has pulled so far.

    Attributes:
        session: whose base address is the service's.
        keys: each client's own key.
        records: pulled so far, in the ledger's order.
        cursor: the feed's ``next``.
        sandbox: what the simulated platforms hold.
        first: the first delivery and its answer, for the act that sends it again.
    """

    service: Service
    session: aiohttp.ClientSession
    keys: Mapping[str, jws.SigningKey]
    cvt: ChinaVocationalTraining
    xzy: NewOccupation
    sandbox: Sandbox
    records: list[Pulled] = field(default_factory=list)
    cursor: int = -1
    first: tuple[Delivery, Answer] | None = None
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _published: tuple[jws.VerificationKey, ...] = ()

    # --- requests

    async def post(self, delivery: Delivery) -> Answer:
        """Post a platform's callback."""
        async with self.session.post(
            delivery.target, data=delivery.body, headers=delivery.headers
        ) as response:
            return Answer(response.status, await response.read())

    async def get(self, path: str) -> Answer:
        """Get what anybody may see."""
        async with self.session.get(path) as response:
            return Answer(response.status, await response.read())

    async def call(self, client: str, method: str, path: str, **options: Any) -> Answer:
        """Call as a client; options as aiohttp takes them."""
        headers = {"Authorization": f"Bearer {await self.token(client)}", **options.pop("headers", {})}
        async with self.session.request(method, path, headers=headers, **options) as response:
            return Answer(response.status, await response.read())

    async def token(self, client: str) -> str:
        """A client's access token, fetched once."""
        if client not in self._tokens:
            self._tokens[client] = await self._token(client)
        return self._tokens[client]

    async def _token(self, client: str) -> str:
        """An access token for a signed assertion (RFC 7523)."""
        issued = int(now().timestamp())
        claims: dict[str, strict_json.JsonValue] = {
            "iss": client,
            "sub": client,
            "aud": self.service.settings.base_url,
            "iat": issued,
            "exp": issued + 60,
            "jti": secrets.token_hex(16),
        }
        typ = "client-authentication+jwt"
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jws.sign_compact(strict_json.canonical(claims), self.keys[client], typ=typ),
        }
        async with self.session.post("/oauth/token", data=form) as response:
            return str(json.loads(await response.read())["access_token"])

    # --- what came of it

    async def published(self) -> tuple[jws.VerificationKey, ...]:
        """The service's public keys, fetched once."""
        if not self._published:
            self._published = keys.load_jwks((await self.get("/.well-known/jwks.json")).body)
        return self._published

    async def settle(self) -> None:
        """Wait until nothing waits for the issuer: what is not in the ledger now will not come."""

        def waits(tx: IssuingTransaction) -> bool:
            return bool(tx.pending(1) or tx.unrooted(1))

        def done(is_waiting: bool) -> bool:  # noqa: FBT001 - what `until` saw
            return not is_waiting or bool(self.service.crew.failed())

        await until(lambda: self.service.store.issuing(waits, write=False), done)

    async def pull(self) -> None:
        """Pull the rest of the feed as a subsidy system does, and check each record's signature."""
        trusted = await self.published()
        while True:
            page = (await self.call(SUBSIDY, "GET", f"/v1/feed?after={self.cursor}")).json
            for entry in page["entries"]:
                if "record" in entry:
                    sd_jwt = entry["record"]["sd_jwt"]
                    checked = offline.check(sd_jwt, trusted, status_token=None, now=now())
                    body = base64.b64decode(entry["body_b64"])
                    self.records.append(Pulled(entry["index"], body, sd_jwt, checked.claims))
            self.cursor = page["next"]
            if self.cursor + 1 >= page["size"]:
                return

    def records_of(self, person: Person) -> list[Pulled]:
        """What was pulled about somebody, oldest first."""
        return [one for one in self.records if one.claims.get("id_number") == person.id_number]

    async def decision(self, person: Person) -> LatestTrace | None:
        """The newest decision about somebody."""
        identifier = identity.resident_id(person.id_number, today=beijing_date(now()))
        entitlement = self.service.rules.policy.entitlement

        def work(tx: Access) -> LatestTrace | None:
            learners = tx.known_learners({identifier}).values()
            return next(iter(tx.latest_traces(set(learners), entitlement).values()), None)

        return await self.service.store.previewing(work)

    async def status_token(self, record: Pulled) -> str:
        """The status list that a record names, as it is published now."""
        uri = str(record.claims["status"]["status_list"]["uri"])
        return (await self.get(uri.removeprefix(self.service.settings.base_url))).body.decode()

    async def outcome(self, who: str) -> str:
        """The newest decision about a worker, and that the feed says the same."""
        await self.settle()
        await self.pull()
        person = WORKERS[who].person
        decision, records = await self.decision(person), self.records_of(person)
        if decision is None:
            return "无决定" + (f"，却有{len(records)}条记录" if records else "")
        if decision.state is State.PENDING:
            return "待定：缺" + "、".join(_missing(decision.trace))
        if not records or (records[-1].result == "granted") != (decision.state is State.GRANTED):
            return f"{decision.state}，与账本中的记录不一致"
        if decision.state is State.GRANTED:
            return f"准予 {records[-1].claims['decision']['month']}"
        return "已撤销" if records[-1].result == "revoked" else "不予：" + "、".join(_not_met(decision.trace))


def _missing(trace: Mapping[str, Any]) -> list[str]:
    outcomes = [clause["outcome"] for clause in trace["clauses"]]
    unknown = dict.fromkeys(said["missing"] for said in outcomes if said["answer"] == "unknown")
    return [MISSING.get(word, word) for word in unknown]


def _not_met(trace: Mapping[str, Any]) -> list[str]:
    return [clause["clause"] for clause in trace["clauses"] if clause["outcome"]["answer"] == "not_met"]
