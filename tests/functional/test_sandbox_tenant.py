"""The sandbox: production's own steps under keys of its own, every failure named, and nothing left behind."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typing_extensions import override

from tests.functional import process
from tests.functional.process import running
from tests.functional.web_fakes import FakeAdapter, assert_problem, serving
from tests.functional.world import BY_SLUG, Installation, World
from verifier import keyfiles
from verifier import sandbox as tenancy
from verifier.callback import Limits, receive
from verifier.cli import sandbox
from verifier.cli.sandbox import CVT, XZY
from verifier.cli.simulator import ChinaVocationalTraining, Course, Delivery, NewOccupation, Person, person
from verifier.errors import CATALOGUE, Code, ConfigurationError, SignatureRejected
from verifier.keyring import Register, load_register
from verifier.model import envelope
from verifier.model.certificate import SignedCertificate
from verifier.model.delivery import (
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    Document,
    Event,
    EventKind,
    PlatformSlug,
    UnreadableItem,
)
from verifier.ports import Adapter
from verifier.preparing import HERE, Read
from verifier.sandbox import STEPS, Tenant, Trial, attempt, separate
from verifier.settings import Settings
from verifier.signatures import gateway
from verifier.signatures.transport import TransportKey
from verifier.sources import sandbox_register
from verifier.store import tables

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
DONE = datetime(2021, 3, 5, 2, tzinfo=UTC)
LI = person(1, "阿依古丽·买买提")


@dataclass(frozen=True)
class Stage:
    """A sandbox's register and those who send under it."""

    directory: Path
    secrets_dir: Path
    made: sandbox.Sandbox
    register: Register

    @property
    def cvt(self) -> ChinaVocationalTraining:
        return ChinaVocationalTraining(self.made)

    @property
    def xzy(self) -> NewOccupation:
        return NewOccupation(self.made)


def loaded(register: Path, secrets_dir: Path) -> Register:
    return load_register(
        register.read_bytes(),
        lambda name: (register.parent / "issuers" / name).read_bytes(),
        lambda name: keyfiles.read_secret(secrets_dir / name),
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    directory = tmp_path_factory.mktemp("tenant")
    secrets_dir = directory / "secrets" / "sandbox"
    made = sandbox.create(directory / "register", secrets_dir, os.urandom)
    return Stage(directory, secrets_dir, made, loaded(made.register, secrets_dir))


def course(number: str = "N-1", learner: Person = LI, **changes: Any) -> Course:
    return Course(
        number, learner, **({"completed_at": DONE, "issued_at": DONE + timedelta(hours=1)} | changes)
    )


def keyed(purpose: str, data: bytes) -> bytes:
    return (purpose.encode() + data).ljust(32, b"#")[:32]


def received(delivery: Delivery, *, path: str = "") -> Callback:
    adapter = BY_SLUG[delivery.platform]
    return receive(
        platform=adapter.slug,
        method="POST",
        path=path or delivery.path,
        headers=[(name.encode(), value.encode()) for name, value in delivery.headers.items()],
        body=delivery.body,
        received_at=NOW,
        request_id="r",
        accepts=adapter.accepts,
        limits=Limits(),
    )


def tried(stage: Stage, delivery: Delivery, *, now: datetime = NOW) -> Trial:
    return attempt(BY_SLUG[delivery.platform], received(delivery), stage.register, keyed, now)


def message(stage: Stage, **changes: Any) -> dict[str, Any]:
    """A completion of 中国职业培训在线, some of its data changed."""
    made = stage.cvt.completed(course())
    return {**made, "data": {**made["data"], **changes}}


# --- what would become of it


def test_a_good_delivery_would_be_accepted_and_answered_as_in_production(stage: Stage) -> None:
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW)
    trial = tried(stage, delivery)
    assert (trial.authentic, trial.failed_step, trial.delivery_id, trial.code) == (True, "", "d-1", None)
    [item] = trial.items
    assert (item.kind, item.outcome.state.value, item.failed_step) == (EventKind.COMPLETED, "accepted", "")
    assert (trial.answer.status, json.loads(trial.answer.body)["code"]) == (200, 0)


async def test_production_answers_what_the_sandbox_foretold(
    small_world: World, installation: Installation
) -> None:
    del installation
    items = [
        small_world.xzy.completed(small_world.course("N-1", LI), "1"),
        {**small_world.xzy.completed(small_world.course("N-2", LI), "2"), "zsbh": "N-3"},
        {"itemId": "3", "eventType": "FINISH"},
        {"itemId": "4", "eventType": "SING", "eventTime": "20210305100000"},
    ]
    delivery = small_world.xzy.delivery(items, "d-1", small_world.now)
    foretold = attempt(
        BY_SLUG[XZY], received(delivery), small_world.register, small_world.keys.digest, small_world.now
    )
    [outcome] = await small_world.post(delivery)
    assert BY_SLUG[XZY].acknowledge(outcome) == foretold.answer
    assert [(one.kind and one.kind.value, one.failed_step) for one in foretold.items] == [
        ("completed", ""),
        ("completed", "message"),
        (None, "fields"),
        ("unknown", ""),
    ]


def test_a_certificate_that_names_nobody_for_certain_would_go_to_review(stage: Stage) -> None:
    unknown = Person("13800000000", "阿依古丽", "手机号码")
    made = stage.cvt.completed(course(learner=unknown))
    [item] = tried(stage, stage.cvt.delivery(made, "d-1", NOW)).items
    assert (item.outcome.state.value, item.outcome.code) == ("in_review", Code.IDENTITY_WEAK)


@pytest.mark.parametrize(
    ("changes", "now", "step"),
    [
        ({"webhook-signature": "v1,AAAA"}, NOW, "signature"),
        ({"webhook-timestamp": "soon"}, NOW, "malformed"),
        ({}, NOW + timedelta(hours=1), "timestamp"),
        ({"webhook-id": ""}, NOW, "header_garbled"),
    ],
)
def test_the_step_at_which_authenticity_failed_is_named(
    stage: Stage, changes: Mapping[str, str], now: datetime, step: str
) -> None:
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW)
    trial = tried(stage, replace(delivery, headers={**delivery.headers, **changes}), now=now)
    assert (trial.authentic, trial.failed_step, trial.code) == (False, step, Code.SIGNATURE_REJECTED)
    assert (trial.items, trial.delivery_id) == ((), "")
    assert trial.answer == BY_SLUG[CVT].refuse(Code.SIGNATURE_REJECTED)


def test_a_platform_that_the_sandbox_does_not_know_has_no_key(stage: Stage) -> None:
    empty = replace(stage.register, platforms={}, issuers={})
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW)
    trial = attempt(BY_SLUG[CVT], received(delivery), empty, keyed, NOW)
    assert trial.failed_step == "no_key"


def test_keys_of_production_open_nothing_here_and_these_nothing_there(
    stage: Stage, installation: Installation
) -> None:
    genuine = ChinaVocationalTraining(installation.sandbox)
    assert not tried(stage, genuine.delivery(genuine.completed(course()), "d-1", NOW)).authentic
    ours = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW)
    assert not attempt(BY_SLUG[CVT], received(ours), installation.register, keyed, NOW).authentic
    # A certificate of production is nobody's here either.
    mixed = stage.cvt.delivery(message(stage, certificate=genuine.certificate(course())), "d-1", NOW)
    assert [item.failed_step for item in tried(stage, mixed).items] == ["signature"]


LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "number", "name", "code"),
    [
        ({"certificate": "a.b"}, 1, "form", Code.CERTIFICATE_MALFORMED),
        ({"kid": "unknown"}, 5, "key", Code.KEY_UNKNOWN),
        ({"issuer": "urn:nobody"}, 3, "issuer", Code.ISSUER_UNKNOWN),
        ({"issuer": "urn:sandbox:new-occupation"}, 4, "platform", Code.ISSUER_NOT_ALLOWED),
        ({"title": ""}, 8, "claims", Code.CERTIFICATE_CLAIMS_INVALID),
        ({"issued_at": DONE.replace(year=2020)}, 9, "key_at_issue", Code.KEY_NOT_VALID_AT_ISSUE),
        ({"issued_at": LATER}, 11, "time", Code.CERTIFICATE_NOT_YET_VALID),
        ({"stated": "N-2"}, 12, "message", Code.CERTIFICATE_MISMATCH),
        ({"learner": Person("999901199001010011", LI.name)}, 0, "identity", Code.IDENTIFIER_INVALID),
        ({"learner": Person(LI.id_number, "\u200b")}, 0, "identity", Code.NAME_INVALID),
        ({"certificate": None}, 0, "fields", Code.FIELD_MISSING),
    ],
)
def test_the_step_at_which_an_item_failed_is_named_and_numbered(
    stage: Stage, changes: dict[str, Any], number: int, name: str, code: Code
) -> None:
    certificate, stated = changes.pop("certificate", ""), changes.pop("stated", "N-1")
    kid, issuer = changes.pop("kid", ""), changes.pop("issuer", "")
    signer = stage.cvt
    if issuer:
        signer.issuer = issuer
    if certificate == "":
        certificate = signer.certificate(course(**changes))
    if kid:
        header, *rest = certificate.split(".")
        padded = json.loads(base64.urlsafe_b64decode(header + "=="))
        spoilt = base64.urlsafe_b64encode(json.dumps({**padded, "kid": kid}).encode()).decode().rstrip("=")
        certificate = ".".join([spoilt, *rest])
    sent = message(stage, certificate=certificate, certificate_number=stated)
    [item] = tried(stage, stage.cvt.delivery(sent, "d-1", NOW)).items
    assert (item.outcome.step, item.failed_step, item.outcome.code) == (number, name, code)
    assert item.outcome.state.value == "refused"


@pytest.mark.parametrize(
    ("issuer", "name", "state"),
    [
        ("urn:nobody", "issuer", "refused"),
        ("urn:sandbox:new-occupation", "platform", "refused"),
        ("urn:sandbox:china-vocational-training", "", "accepted"),
    ],
)
def test_a_revocation_is_tried_too(stage: Stage, issuer: str, name: str, state: str) -> None:
    sent = stage.cvt.revoked("N-1", "误发", NOW)
    sent["data"]["issuer"] = issuer
    [item] = tried(stage, stage.cvt.delivery(sent, "d-1", NOW)).items
    assert (item.kind, item.failed_step, item.outcome.state.value) == (EventKind.REVOKED, name, state)


def test_what_cannot_be_read_would_be_kept_in_quarantine(stage: Stage) -> None:
    trial = tried(stage, stage.cvt.delivery({"type": 1}, "d-1", NOW))
    assert (trial.authentic, trial.code, trial.items) == (True, Code.DELIVERY_UNREADABLE, ())
    assert trial.answer.status == 422


class Uploading(FakeAdapter):
    """Believes everybody, and brings a document and a certificate that names another."""

    certificate: SignedCertificate

    @override
    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        return AuthenticatedCallback(callback, DeliveryId("d-1"), "k", now)

    @override
    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        return (
            Event(EventKind.DOCUMENT, "1", document=Document("doc-1", b"%PDF")),
            Event(EventKind.COMPLETED, "2", self.certificate),
            UnreadableItem("3", Code.FIELD_INVALID, "/x"),
        )


def uploading(stage: Stage) -> tuple[Uploading, Callback]:
    adapter = Uploading()
    genuine = BY_SLUG[CVT].parse(
        BY_SLUG[CVT].authenticate(
            received(stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW)),
            stage.register.platforms[PlatformSlug(CVT)].transport,
            NOW,
        )
    )
    assert isinstance(genuine[0], Event)
    assert genuine[0].certificate is not None
    adapter.certificate = replace(genuine[0].certificate, content=b"", document="doc-2")
    callback = received(stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW))
    return adapter, callback


def test_a_document_that_did_not_come_along_is_waited_for(stage: Stage) -> None:
    adapter, callback = uploading(stage)
    trial = attempt(adapter, callback, stage.register, keyed, NOW)
    assert [(one.outcome.item, one.outcome.state.value, one.outcome.code) for one in trial.items] == [
        ("1", "accepted", None),
        ("2", "waiting", Code.DOCUMENT_MISSING),
        ("3", "refused", Code.FIELD_INVALID),
    ]


def test_every_numbered_step_has_a_name_in_the_order_of_the_list() -> None:
    text = (Path(tenancy.__file__).parent / "certificates" / "__init__.py").read_text(encoding="utf-8")
    for number, name in STEPS.items():
        assert f"{number}.{' ' * (4 - len(f'{number}.'))}**{name.replace('_', ' ').capitalize()}**" in text
    assert sorted(STEPS) == list(range(1, 13))


# --- two registers that share nothing


def test_two_fresh_registers_share_nothing(stage: Stage, installation: Installation) -> None:
    separate(stage.register, installation.register)


def test_a_secret_key_or_certificate_of_the_real_register_is_refused(
    stage: Stage, installation: Installation
) -> None:
    real = installation.register
    for slug, platform in real.platforms.items():
        for key in platform.transport:
            shared = replace(stage.register.platforms[slug], transport=(key,))
            refuse(replace(stage.register, platforms={slug: shared}), real)
    for name, issuer in real.issuers.items():
        bare = replace(stage.register.issuers[name], keys={}, anchors=())
        for kid, registered in issuer.keys.items():
            refuse(replace(stage.register, issuers={name: replace(bare, keys={kid: registered})}), real)
        for anchor in issuer.anchors:
            refuse(replace(stage.register, issuers={name: replace(bare, anchors=(anchor,))}), real)
    assert any(issuer.anchors for issuer in real.issuers.values())
    refuse(real, real)


def refuse(tenant: Register, real: Register) -> None:
    with pytest.raises(ConfigurationError) as refused:
        separate(tenant, real)
    assert (refused.value.code, refused.value.pointer) == (Code.KEY_REFUSED, "sandbox_register")


def test_a_register_that_changes_meanwhile_is_compared_again(
    stage: Stage, installation: Installation
) -> None:
    in_force = [installation.register]
    tenant = Tenant(stage.register, lambda: in_force[-1], keyed, lambda: NOW)
    callback = received(stage.cvt.delivery(stage.cvt.completed(course()), "d-1", NOW))
    assert all(tenant.attempt(BY_SLUG[CVT], callback).authentic for _ in range(2))
    in_force.append(stage.register)
    with pytest.raises(ConfigurationError):
        tenant.attempt(BY_SLUG[CVT], callback)


def test_documents_are_read_where_the_platform_asks_for_it(stage: Stage, installation: Installation) -> None:
    asked: list[str] = []

    class Confined(type(HERE)):  # type: ignore[misc] # the class of the reader here
        def open(self, adapter: Adapter, *arguments: Any) -> Read:
            asked.append(adapter.slug)
            read: Read = super().open(adapter, *arguments)
            return read

    tenant = Tenant(stage.register, lambda: installation.register, keyed, lambda: NOW, Confined())
    adapter, callback = uploading(stage)
    tenant.attempt(adapter, callback)
    assert asked == []
    adapter.accepts = replace(adapter.accepts, confined=True)
    tenant.attempt(adapter, callback)
    assert asked == [adapter.slug]


def settings(stage: Stage, tmp_path: Path, installation: Installation) -> Settings:
    """A service with both registers, its secrets in one directory."""
    shutil.copytree(installation.secrets_dir, tmp_path / "secrets")
    shutil.copytree(stage.secrets_dir, tmp_path / "secrets" / "sandbox")
    chosen = process.settings(tmp_path, installation)
    return replace(chosen, secrets_dir=tmp_path / "secrets", sandbox_register=stage.made.register)


def test_the_sandboxs_register_is_read_from_its_setting(
    stage: Stage, tmp_path: Path, installation: Installation
) -> None:
    chosen = settings(stage, tmp_path, installation)
    found = sandbox_register(chosen, installation.register)
    assert found is not None
    assert found.digest == stage.register.digest
    assert sandbox_register(replace(chosen, sandbox_register=Path()), installation.register) is None
    with pytest.raises(ConfigurationError):
        sandbox_register(replace(chosen, sandbox_register=tmp_path / "none.toml"), installation.register)
    # Secrets of production are out of its reach.
    shutil.rmtree(tmp_path / "secrets" / "sandbox")
    with pytest.raises(ConfigurationError):
        sandbox_register(chosen, installation.register)


# --- over HTTP


@dataclass
class Service:
    """The real service, and an HTTP client."""

    session: aiohttp.ClientSession
    address: str
    world: Any

    async def post(
        self, delivery: Delivery, path: str = "", body: io.BytesIO | None = None
    ) -> tuple[int, dict[str, Any]]:
        target = self.address + (path or delivery.path.replace("/callbacks/", "/sandbox/"))
        data = body or delivery.body
        async with self.session.post(target, data=data, headers=delivery.headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def counts(self) -> list[Any]:
        """How many rows every table has but those that bring the start into the ledger, or look at it."""
        started = {"entries", "evidence", "ledger_head", "nodes", "outbox", "signal_cursor", "status_lists"}

        def work(connection: Any) -> list[Any]:
            return [
                (name, connection.exec_driver_sql(f"select count(*) from {name}").scalar_one())  # noqa: S608 - ours
                for name in sorted(tables.metadata.tables.keys() - started)
            ]

        found: list[Any] = await self.world.store.database.read(work)
        return found


@pytest.fixture
async def served(
    stage: Stage, sqlite: str, tmp_path: Path, installation: Installation
) -> AsyncIterator[Service]:
    chosen = settings(stage, tmp_path, installation)
    assert chosen.database_url == sqlite
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:
        yield Service(session, address, service)


async def test_everything_is_told_and_nothing_is_written(served: Service, stage: Stage) -> None:
    before = await served.counts()
    now = datetime.now(UTC)
    good = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", now)
    bad = stage.cvt.delivery(message(stage, certificate_number="N-9"), "d-2", now)
    told = [await served.post(delivery) for delivery in (good, good, bad)]
    assert [status for status, _ in told] == [200, 200, 200]
    assert told[0] == told[1]
    explanation = CATALOGUE[Code.CERTIFICATE_MISMATCH]
    answer = told[2][1].pop("answer")
    assert told[2][1] == {
        "sandbox": True,
        "authentic": True,
        "failed_step": None,
        "pointer": "",
        "code": None,
        "delivery_id": "d-2",
        "items": [
            {
                "item": "0",
                "kind": "completed",
                "state": "refused",
                "step": 12,
                "failed_step": "message",
                "pointer": "",
                "code": "certificate_mismatch",
                "title": explanation.zh,
                "detail_en": explanation.en,
                "party": "platform",
            }
        ],
    }
    assert (answer["status"], answer["body_encoding"]) == (422, "text")
    assert json.loads(answer["body"])["code"] == "certificate_mismatch"
    assert await served.counts() == before


async def test_a_forged_delivery_is_told_where_it_failed_and_is_on_no_list(
    served: Service, stage: Stage
) -> None:
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", datetime.now(UTC))
    status, told = await served.post(replace(delivery, body=delivery.body + b" "))
    assert (status, told["authentic"], told["failed_step"], told["items"]) == (200, False, "signature", [])
    assert (told["code"], told["party"], told["delivery_id"]) == ("signature_rejected", "platform", None)
    assert told["answer"]["status"] == 401
    assert served.world.services.failures.waiting() == {}
    async with served.session.get(f"{served.address}/metrics") as metrics:
        assert "not_authentic" not in await metrics.text()
    # In production nothing of the sandbox is known, and nothing is told.
    status, answer = await served.post(delivery, delivery.path)
    assert (status, "failed_step" in answer) == (401, False)


async def test_what_breaks_the_requests_form_is_told_as_production_answers_it(
    served: Service, stage: Stage
) -> None:
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", datetime.now(UTC))
    plain = replace(delivery, headers={**delivery.headers, "Content-Type": "text/plain"})
    status, told = await served.post(plain)
    assert (status, told["failed_step"], told["pointer"]) == (200, "receive", "content-type")
    assert (told["code"], told["answer"]["status"]) == ("content_type_unsupported", 415)
    status, told = await served.post(delivery, body=io.BytesIO(b" " * 1_100_000))
    assert (status, told["code"], told["answer"]["status"]) == (200, "request_too_large", 413)


async def test_the_path_that_is_signed_is_the_one_that_is_called(served: Service, stage: Stage) -> None:
    now = datetime.now(UTC)
    delivery = stage.xzy.delivery([stage.xzy.completed(course(), "1")], "d-1", now)
    assert (await served.post(delivery))[1]["failed_step"] == "signature"
    path = f"/v1/sandbox/{XZY}"
    signature = gateway.sign(
        method="POST",
        path=path,
        timestamp=str(int(now.timestamp())),
        body=delivery.body,
        secret=stage.made.secrets["xzy-gateway"],
    )
    signed = replace(delivery, headers={**delivery.headers, "x-xzy-signature": signature})
    status, told = await served.post(signed)
    assert (status, told["authentic"], [item["state"] for item in told["items"]]) == (200, True, ["accepted"])


@pytest.mark.untraced
async def test_many_items_are_tried_apart_from_the_loop(served: Service, stage: Stage) -> None:
    items = [stage.xzy.completed(course(f"N-{n}"), str(n)) for n in range(40)]
    delivery = stage.xzy.delivery(items, "d-1", datetime.now(UTC))
    assert len(delivery.body) > 16_384
    assert (await served.post(delivery))[1]["failed_step"] == "signature"


async def test_a_query_is_the_platforms_own_and_a_platform_must_be_one(served: Service, stage: Stage) -> None:
    delivery = stage.cvt.delivery(stage.cvt.completed(course()), "d-1", datetime.now(UTC))
    status, told = await served.post(delivery, f"/v1/sandbox/{CVT}?v=1.0.0.e1&sign=AB&sign=CD")
    assert (status, told["authentic"]) == (200, True)
    assert (await served.post(delivery, "/v1/sandbox/nobody"))[0] == 404


async def test_without_a_sandbox_there_is_nothing() -> None:
    async with serving() as made:
        status, headers, body = await made.call("POST", "/v1/sandbox/fake_platform", data=b"{}")
        assert status == 404
        assert_problem(status, headers, body, Code.NOT_FOUND)


async def test_an_answer_that_is_no_text_is_given_in_base64_and_a_token_may_be_what_failed() -> None:
    gbk = Acknowledgment(200, "text/xml; charset=GBK", "<结果>成功</结果>".encode("gbk"))
    answers: list[Trial | SignatureRejected] = [
        Trial("", "d-1", None, (), gbk),
        SignatureRejected("token"),
    ]

    async def try_out(adapter: object, callback: Callback) -> Trial:
        del adapter
        assert callback.path == "/v1/sandbox/fake_platform"
        answer = answers.pop(0)
        if isinstance(answer, SignatureRejected):
            raise answer
        return answer

    async with serving(try_out=try_out) as made:
        call: dict[str, Any] = {"data": b"{}", "headers": {"Content-Type": "application/json"}}
        status, _, body = await made.call("POST", "/v1/sandbox/fake_platform", **call)
        told = json.loads(body)
        assert (status, told["answer"]["body_encoding"]) == (200, "base64")
        assert base64.b64decode(told["answer"]["body"]) == gbk.body
        status, _, body = await made.call("POST", "/v1/sandbox/fake_platform", **call)
        told = json.loads(body)
        assert (status, told["failed_step"], told["authentic"]) == (200, "token", False)
        expected = envelope.refusal(Code.SIGNATURE_REJECTED)
        assert told["answer"]["body"].encode() == expected.body
