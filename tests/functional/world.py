"""A small world for functional tests: a real store, the sandbox's keys, and a clock that the test moves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from adapters import ADAPTERS
from verifier import audit, enterprises, evaluator, keyfiles, objecting, pipeline, preparing, spreadsheet
from verifier.accounts import AccountDesk
from verifier.admissions import AdmissionDesk
from verifier.callback import Limits, receive
from verifier.cli import sandbox
from verifier.cli.simulator import ChinaVocationalTraining, Course, Delivery, NewOccupation, Person
from verifier.desks import ClaimDesk, EnterpriseDesk
from verifier.enterprises import UploadResult
from verifier.erasing import Terms
from verifier.identities import IdentityDesk
from verifier.identity import resident_id
from verifier.issuer import Issuer, IssuerKeys
from verifier.keyring import Register, load_register
from verifier.listing import ListingDesk
from verifier.model.access import Client, ClientState, Role
from verifier.model.delivery import Bearer, DeliveryOutcome
from verifier.model.facts import Category
from verifier.model.person import LearnerId, Uscc
from verifier.model.time import beijing_date
from verifier.objecting import EmployerDesk, desks
from verifier.operations import Operations, SourceForm
from verifier.own_data import OwnDataDesk
from verifier.pipeline import Rulebook
from verifier.platforms import PlatformDesk
from verifier.policy import load
from verifier.ports import Adapter, Clock, NewId
from verifier.ports.reading import StoredRecord
from verifier.preparing import HERE, Prepared
from verifier.questioning import Questions
from verifier.retention import RetentionDesk
from verifier.roster import read_json
from verifier.sealing import FieldKeys
from verifier.settings import Settings
from verifier.signatures.keys import public_jwk
from verifier.sources import offices
from verifier.spreadsheet import Bounds, Cell
from verifier.store.engine import Database
from verifier.store.group import GroupCommit
from verifier.store.intake import Intake
from verifier.store.reading import ReadingSession
from verifier.store.schema import upgrade
from verifier.store.store import Store
from verifier.store.vault import Vault

ORIGIN: Final = "test.invalid/ledger"
BASE_URL: Final = "https://test.invalid"
FACTORY: Final = Uscc("91650000MA0000000K")
WORKSHOP: Final = Uscc("91650100MA0000001U")
"""Two made-up enterprises."""

BUREAU: Final = Client(
    "bureau", 1, Role.SUBSIDY, ClientState.ACTIVE, jwk={}, offices=frozenset({"652301", "652302"})
)
"""A subsidy system that sees every record made here."""

OFFICES: Final = offices(Settings())
BY_SLUG: dict[str, Adapter] = {adapter.slug: adapter for adapter in ADAPTERS}


class KeptInMemory:
    """The checkpoint outside the database, for a test to look at or to spoil."""

    def __init__(self) -> None:
        self.note = b""

    def read(self) -> bytes:
        return self.note

    def write(self, note: bytes) -> None:
        self.note = note


@dataclass
class World:
    store: Store
    keys: FieldKeys
    register: Register
    rulebook: Rulebook
    cvt: ChinaVocationalTraining
    xzy: NewOccupation
    issuer_keys: IssuerKeys
    issuer: Issuer
    kept: KeptInMemory
    installation: Installation
    now: datetime = datetime(2021, 7, 1, 4, tzinfo=UTC)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)
    answer_days: int = 0
    terms: Terms = field(default_factory=lambda: Terms(0, 0))

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> str:
        """Random from its first digit on, so that nothing can rely on the order of ids."""
        return os.urandom(16).hex()

    def prepared(self, delivery: Delivery) -> Prepared:
        """Steps 1 to 4a."""
        adapter = BY_SLUG[delivery.platform]
        callback = receive(
            platform=adapter.slug,
            method="POST",
            path=delivery.path,
            rest=delivery.rest,
            query=delivery.query,
            headers=[(name.encode(), value.encode()) for name, value in delivery.headers.items()],
            body=delivery.body,
            received_at=self.now,
            request_id=self.new_id(),
            accepts=adapter.accepts,
            limits=Limits(),
            # Where an access token proves the sender, the web has checked it by then.
            bearer=Bearer("client", "token", self.now) if adapter.accepts.bearer else None,
        )
        return preparing.verify(
            HERE.open(adapter, callback, self.register, self.now), self.register, self.keys.digest, {}
        )

    async def post(self, *deliveries: Delivery) -> list[DeliveryOutcome]:
        """Steps 1 to 5 for deliveries that share a transaction."""
        return await self.commit([self.prepared(delivery) for delivery in deliveries])

    async def commit(self, group: Sequence[Prepared]) -> list[DeliveryOutcome]:
        return await self.store.intake(
            lambda tx: pipeline.record(tx, group, self.rulebook, self.now, self.new_id)
        )

    def group_commit(self) -> GroupCommit[Prepared, DeliveryOutcome]:
        return GroupCommit(self.commit)

    async def evaluate(self) -> None:
        """Work off everything that is due."""
        while await evaluator.step(self.store, lambda: self.rulebook, clock=self.clock, new_id=self.new_id):
            pass

    async def issue(self) -> None:
        """Bring everything pending into the ledger."""
        while await self.issuer.step():
            pass

    @property
    def operations(self) -> Operations:
        """What an operator may do here."""
        platforms = PlatformDesk(self.store, ADAPTERS, lambda: self.register, self.clock)
        listing = ListingDesk(self.store, self.clock)
        identities = IdentityDesk(self.store, lambda: self.rulebook, self.clock, self.new_id)
        own_data = OwnDataDesk(self.store, self.terms, self.clock, self.new_id)
        retention = RetentionDesk(self.store, self.terms.raw, self.clock, self.new_id)
        further_desks = (own_data, retention, *desks(self.objections))
        every = (platforms, listing, self.admissions, identities, *further_desks)
        further = {name: run for desk in every for name, run in desk.table().items()}
        return Operations(self.store, self.clock, self.new_id, os.urandom, further)

    @property
    def admissions(self) -> AdmissionDesk:
        """Who takes part here."""
        return AdmissionDesk(self.store, OFFICES, lambda: self.rulebook, self.clock, self.new_id)

    def enterprises(self, people_per_day: int = 0) -> EnterpriseDesk:
        """What an enterprise may do here; its workbooks are read in this process."""

        async def read_workbook(raw: bytes, bounds: Bounds) -> Sequence[Sequence[Cell]]:
            return spreadsheet.read(raw, bounds)

        def alarm(code: str, *, enterprise: str, client: str) -> None:
            self.alarms.append((code, enterprise, client))

        return EnterpriseDesk(
            self.store,
            lambda: self.rulebook,
            self.keys.digest,
            self.clock,
            self.new_id,
            read_workbook,
            Questions(self.store, people_per_day, alarm),
        )

    @property
    def objections(self) -> objecting.Register:
        """Where objections are taken in here."""
        return objecting.Register(
            self.store,
            lambda: self.rulebook,
            self.clock,
            self.new_id,
            os.urandom,
            self.answer_days,
        )

    @property
    def employers(self) -> EmployerDesk:
        """What an enterprise may say about its people here."""
        return EmployerDesk(self.objections)

    @property
    def claims(self) -> ClaimDesk:
        """What a subsidy system may do here."""
        return ClaimDesk(self.store, self.clock, self.new_id)

    @property
    def accounts(self) -> AccountDesk:
        """What an operator may do about account months here."""
        return AccountDesk(self.store, self.operations, lambda: self.rulebook, self.clock, self.new_id)

    async def adopt(self) -> None:
        """Adopt the policy and the register in force, as a service does when it starts."""
        source = self.installation.sandbox.register
        files = {"trust.toml": source.read_text()}
        files |= {f"issuers/{path.name}": path.read_text() for path in (source.parent / "issuers").iterdir()}
        policy, register = self.rulebook.policy, self.rulebook.register
        await self.operations.adopt(
            (
                SourceForm("policy", policy.digest, Settings().policy.read_text(), {"policy": policy.pin}),
                SourceForm("register", register.digest, json.dumps(files), {}),
            )
        )

    async def complete(self, number: str, learner: Person, **changes: Any) -> DeliveryOutcome:
        """中国职业培训在线 pushes a completion, in a delivery of its own."""
        course = self.course(number, learner, **changes)
        [outcome] = await self.post(self.cvt.delivery(self.cvt.completed(course), self.new_id(), self.now))
        return outcome

    async def complete_elsewhere(self, number: str, learner: Person, **changes: Any) -> DeliveryOutcome:
        """新职业学习平台 pushes a completion, in a delivery of its own."""
        item = self.xzy.completed(self.course(number, learner, **changes), "1")
        [outcome] = await self.post(self.xzy.delivery([item], self.new_id(), self.now))
        return outcome

    async def revoke(self, number: str) -> DeliveryOutcome:
        """中国职业培训在线 revokes a certificate."""
        message = self.cvt.revoked(number, "误发", self.now)
        [outcome] = await self.post(self.cvt.delivery(message, self.new_id(), self.now))
        return outcome

    async def close(self, kind: str, outcome: str) -> None:
        """A reviewer answers the one open question, and what is due is decided."""
        [review] = await self.store.open_reviews()
        assert review["kind"] == kind
        answer = {"review": review["review_id"], "outcome": outcome, "reason": "核实", "operator": "赵"}
        await self.operations.close_review(answer)
        await self.evaluate()

    def client_parameters(self, name: str, role: str, **scope: str) -> dict[str, str]:
        """What an operator types to register a system."""
        jwk = public_jwk(self.issuer_keys.status.verification_key)
        return {"client": name, "role": role, "jwk": json.dumps(dict(jwk)), **scope}

    async def settle(self) -> None:
        """Decide all that is due, and bring it into the ledger."""
        await self.evaluate()
        await self.issue()

    async def admit(self, code: Uscc, name: str = "沙箱企业", office: str = "652301") -> None:
        """Admit an enterprise; whom it lists is due."""
        start = date(2021, 1, 1)
        await self.store.rosters(
            lambda tx: enterprises.admit(
                tx, code, name, office, start, None, at=self.now, new_id=self.new_id, operator="test"
            )
        )

    async def roster(self, code: Uscc, rows: Sequence[Mapping[str, str]]) -> UploadResult:
        """Upload a roster as an enterprise does: JSON rows by their documented members."""
        body = json.dumps({"rows": list(rows)}, ensure_ascii=False).encode()
        file = read_json(body, today=beijing_date(self.now))
        assert not file.problems
        return await self.store.rosters(
            lambda tx: enterprises.upload(
                tx,
                code,
                file.rows,
                at=self.now,
                new_id=self.new_id,
                digest=self.keys.digest,
                client_id="enterprise",
            )
        )

    async def employ(self, code: Uscc, *people: Person, **changes: str) -> None:
        """Admit an enterprise that lists these people at their posts since the year began."""
        await self.roster(code, [row(person, **changes) for person in people])
        await self.admit(code)
        await self.evaluate()

    async def sql(self, statement: str, /, **values: object) -> list[Any]:
        """Run a statement beside the program, as somebody with access to the database could."""

        def work(connection: Connection) -> list[Any]:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

        return await self.store.database.write(work)

    async def fsck(self, kept: bytes = b"") -> list[audit.Finding]:
        """What the check of the whole store finds."""
        keys = self.issuer_keys
        known = {key.kid: key.verification_key for key in (keys.record, keys.status)}
        trusted = audit.Trusted(ORIGIN, keys.known, known, kept)
        return await self.store.auditing(lambda tx: audit.check(tx, trusted))

    async def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The ledger's entries by index, or those of one kind."""
        found, _ = await self.store.feed(-1, 10_000)
        bodies = [json.loads(entry.body) for entry in found]
        return [body for body in bodies if kind in {"", body["kind"]}]

    async def records(self) -> list[StoredRecord]:
        """Every record by index."""
        found, _ = await self.store.feed(-1, 10_000)
        shown = [entry.record for entry in found if entry.record is not None]
        ids = [record.record_id for record in shown]
        records = await self.store.read(ReadingSession, lambda tx: tx.records(ids))
        assert [records[one.record_id].sd_jwt for one in shown] == [one.sd_jwt for one in shown]
        return [records[one] for one in ids]

    async def states(self, person: Person) -> list[str]:
        """What was decided about a person, revision by revision."""
        rows = await self.sql(
            "select state from decisions where learner_id = :who order by revision",
            who=await self.learner(person),
        )
        return [state for (state,) in rows]

    async def learner(self, person: Person) -> LearnerId:
        """Our id of a person; empty if nobody told of that person yet."""
        who = resident_id(person.id_number, today=beijing_date(self.now))
        return await self.store.write(Intake, lambda tx: tx.known_learners([who]).get(who, LearnerId("")))

    async def opened_body(self, platform: str, delivery_id: str) -> bytes | None:
        """The kept bytes of a delivery."""
        [(sealed,)] = await self.sql(
            "select sealed_body from deliveries where platform = :platform and delivery_id = :delivery_id",
            platform=platform,
            delivery_id=delivery_id,
        )
        vault = Vault(self.keys, os.urandom, self.new_id)
        return vault.open(None, "deliveries.sealed_body", f"{platform}/{delivery_id}", sealed)

    async def slots(self) -> list[Any]:
        """Who holds which month by what: learner, state, number, employer."""
        return await self.sql("select learner_id, state, number, uscc from slots order by learner_id")

    def course(
        self, number: str, learner: Person, completed_at: datetime | None = None, **changes: object
    ) -> Course:
        done = completed_at or datetime(2021, 3, 5, 2, tzinfo=UTC)
        members = {"issued_at": done + timedelta(hours=1), **changes}
        return Course(number, learner, done, **members)  # type: ignore[arg-type] # members of Course


def row(person: Person, **changes: str) -> dict[str, str]:
    """A roster's row, by its documented members; ``from_`` stands for ``from``."""
    members = {
        "id_number": person.id_number,
        "name": person.name,
        "from": "2021-01-01",
        "category": Category.AT_POST.value,
    }
    return members | {name.rstrip("_"): value for name, value in changes.items()}


@dataclass(frozen=True)
class Installation:
    """Keys and trust register, of a sandbox and of the service."""

    sandbox: sandbox.Sandbox
    register: Register
    secrets_dir: Path


def install(directory: Path) -> Installation:
    """Make every key anew."""
    secrets_dir = directory / "secrets"
    made = sandbox.create(directory / "sandbox", secrets_dir, os.urandom)
    keyfiles.create(secrets_dir, os.urandom)
    issuers = made.register.parent / "issuers"
    register = load_register(
        made.register.read_bytes(),
        lambda name: (issuers / name).read_bytes(),
        lambda name: keyfiles.read_secret(secrets_dir / name),
    )
    return Installation(made, register, secrets_dir)


async def build(url: str, directory: Path) -> World:
    """A fresh world over an empty database, with keys of its own."""
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    return await over(url, install(directory))


async def over(url: str, installation: Installation, on_commit: Callable[[], None] = lambda: None) -> World:
    """A world over a database at this version's schema."""
    keys = keyfiles.load_fields(installation.secrets_dir)
    kept = KeptInMemory()
    world: World

    def clock() -> datetime:
        return world.now

    def new_id() -> str:
        return world.new_id()

    read_keys = partial(keyfiles.load_fields, installation.secrets_dir)
    store = Store(
        Database(url),
        keys,
        clock=clock,
        randbytes=os.urandom,
        new_id=new_id,
        on_commit=on_commit,
        read_keys=read_keys,
    )
    issuer_keys = keyfiles.load_issuer_keys(installation.secrets_dir)
    # Of a database that was worked on before, what its issuer has kept.
    kept.note = await store.checkpoint()
    world = World(
        store=store,
        keys=keys,
        register=installation.register,
        rulebook=Rulebook((load(Settings().policy.read_bytes()),), installation.register),
        cvt=ChinaVocationalTraining(installation.sandbox),
        xzy=NewOccupation(installation.sandbox),
        issuer_keys=issuer_keys,
        issuer=make_issuer(store, issuer_keys, kept, clock, new_id),
        kept=kept,
        installation=installation,
    )
    await world.issuer.start()
    return world


def make_issuer(store: Store, keys: IssuerKeys, kept: KeptInMemory, clock: Clock, new_id: NewId) -> Issuer:
    """An issuer over a store; a second one is a twin."""
    return Issuer(
        store,
        keys,
        kept,
        origin=ORIGIN,
        base_url=BASE_URL,
        clock=clock,
        randbytes=os.urandom,
        new_id=new_id,
    )
