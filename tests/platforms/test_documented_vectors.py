"""The pages for senders say what the code does: their vectors are computed again, their tables compared.

Signing is written out here from the page's own words, without the code under test.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters import ADAPTERS, china_vocational_training, new_occupation
from tests import certificates as made
from verifier import certificates
from verifier.errors import Code
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.delivery import (
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    Headers,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.model.fields import EventFields
from verifier.ports import Adapter
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.transport import TransportKey

PAGES: Final = Path(__file__).parents[2] / "docs" / "platforms"
CVT, XZY = "china_vocational_training", "new_occupation"
START: Final = datetime(2021, 1, 1, tzinfo=UTC)
MODULES: Final = (china_vocational_training, new_occupation)
ADAPTER: Final[Mapping[str, Adapter]] = {adapter.slug: adapter for adapter in ADAPTERS}


def page(slug: str) -> str:
    return (PAGES / f"{slug}.md").read_text(encoding="utf-8")


def vector(slug: str) -> Any:
    (block,) = re.findall(r"^```json reference-vector\n(.*?)^```$", page(slug), re.DOTALL | re.MULTILINE)
    return json.loads(block)


def quoted(slug: str) -> set[str]:
    """All that stands in single backquotes outside the blocks."""
    prose = re.sub(r"^ *```.*?^ *```$", "", page(slug), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", prose))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def private(seed_hex: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed_hex))


def keys_of_cvt(said: Any) -> tuple[TransportKey, TransportKey]:
    secret = base64.b64decode(said["hmac_secret"].removeprefix("whsec_"))
    public = base64.b64decode(said["ed25519_public_key"].removeprefix("whpk_"))
    return (
        TransportKey("docs-hmac", START, secret=secret),
        TransportKey("docs-ed25519", START, public_key=Ed25519PublicKey.from_public_bytes(public)),
    )


def signature_of_xzy(said: Any) -> str:
    digest = hashlib.sha256(said["body"].encode()).hexdigest()
    lines = [said["method"], said["path"], said["headers"]["x-xzy-timestamp"], digest]
    assert said["string_to_sign"] == "\n".join(lines)
    return hmac.new(said["secret"].encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def request(slug: str, said: Any, headers: Mapping[str, str]) -> Callback:
    return Callback(
        platform=PlatformSlug(slug),
        method=said["method"],
        path=said["path"],
        headers=Headers(tuple(headers.items())),
        body=said["body"].encode(),
        received_at=START,
        request_id="req-1",
    )


@pytest.mark.parametrize("slug", [CVT, XZY])
def test_the_documented_certificate_is_what_its_key_signs(slug: str) -> None:
    said = vector(slug)["certificate"]
    key = private(said["private_seed_hex"])
    signed = ".".join(base64url(said[part].encode()) for part in ("header", "payload"))
    assert said["token"] == f"{signed}.{base64url(key.sign(signed.encode()))}"
    assert said["public_key_base64url"] == base64url(key.public_key().public_bytes_raw())


def test_the_documented_chain_and_list_are_what_the_documented_root_signs() -> None:
    said = vector(XZY)
    root_key, key = (
        made.Key(made.Kind.ED25519, private(said[holder]["private_seed_hex"]))
        for holder in ("authority", "certificate")
    )
    root = made.root("示例根证书机构", key=root_key)
    signer = made.leaf(root, "示例学习平台", key=key)
    april, may = (datetime(2021, month, 1, tzinfo=UTC) for month in (4, 5))
    assert base64.b64decode(said["authority"]["root"]) == root.der
    assert json.loads(said["certificate"]["header"])["x5c"] == [base64.b64encode(signer.der).decode()]
    assert base64.b64decode(said["authority"]["revocation_list"]) == made.crl(
        root, this_update=april, next_update=may
    )


def test_the_documented_webhook_signatures_are_what_their_keys_sign() -> None:
    said = vector(CVT)
    headers = said["headers"]
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{said['body']}".encode()
    secret = base64.b64decode(said["hmac_secret"].removeprefix("whsec_"))
    mac = hmac.new(secret, content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    signed = private(said["ed25519_private_seed_hex"]).sign(content)
    assert said["signature_v1a"] == f"v1a,{base64.b64encode(signed).decode()}"


def test_the_documented_gateway_signature_is_what_its_secret_signs() -> None:
    said = vector(XZY)
    assert said["headers"]["x-xzy-signature"] == signature_of_xzy(said)


def test_the_documented_webhook_is_accepted_under_either_signature() -> None:
    said = vector(CVT)
    by_mac, by_ed25519 = keys_of_cvt(said)
    now = datetime.fromtimestamp(int(said["headers"]["webhook-timestamp"]), UTC)
    check(CVT, said, request(CVT, said, said["headers"]), by_mac, now)
    headers = said["headers"] | {"webhook-signature": said["signature_v1a"]}
    check(CVT, said, request(CVT, said, headers), by_ed25519, now)


def test_the_documented_batch_is_accepted() -> None:
    said = vector(XZY)
    key = TransportKey(said["app_id"], START, secret=said["secret"].encode())
    now = datetime.fromtimestamp(int(said["headers"]["x-xzy-timestamp"]), UTC)
    check(XZY, said, request(XZY, said, said["headers"]), key, now)


def check(slug: str, said: Any, callback: Callback, key: TransportKey, now: datetime) -> None:
    """Accepted, read, its certificate verified, and answered as the page says."""
    adapter = ADAPTER[slug]
    authenticated = adapter.authenticate(callback, [key], now)
    (event,) = adapter.parse(authenticated)
    assert isinstance(event, Event)
    assert event.certificate is not None
    assert event.certificate.content.decode() == said["certificate"]["token"]
    verified = certificates.verify(
        event.certificate,
        platform=PlatformSlug(slug),
        register=register(slug, said),
        first_received_at=now,
    )
    certificates.check_stated(event.stated, verified)
    assert set(event.stated) == {"number", "holder_name", "id_number"}
    outcome = DeliveryOutcome(
        authenticated.delivery_id, DeliveryState.ACCEPTED, (ItemOutcome(event.item, ItemState.ACCEPTED),)
    )
    answer = adapter.acknowledge(outcome)
    assert {"status": answer.status, "body": answer.body.decode()} == said["answer"]


def register(slug: str, said: Any) -> Register:
    carried = frozenset({PlatformSlug(slug)})
    if "authority" in said:
        signers: Any = {"keys": {}, "anchors": (anchor(said["authority"]),)}
    else:
        kid = json.loads(said["certificate"]["header"])["kid"]
        public = private(said["certificate"]["private_seed_hex"]).public_key()
        key = IssuerKey(VerificationKey(kid, Algorithm.EDDSA, public), KeyState.ACTIVE, START)
        signers = {"keys": {kid: key}}
    return Register("0" * 64, {}, {"docs-issuer": Issuer("docs-issuer", "all", carried, **signers)})


def anchor(said: Any) -> IssuerAnchor:
    return IssuerAnchor(
        "docs-root",
        base64.b64decode(said["root"]),
        Algorithm.EDDSA,
        KeyState.ACTIVE,
        START,
        crls=(base64.b64decode(said["revocation_list"]),),
        leaf_subject=said["leaf_subject"],
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_page_names_every_event_and_every_member_of_the_tables(module: Any) -> None:
    table: EventFields = module.FIELDS
    members = {field.member for field in table.stated.values()}
    members |= {field.member for field in (table.certificate, table.issuer, table.number, table.reason)}
    certificate = table.certificate_fields
    members |= {
        value
        for field in dataclasses.fields(certificate)
        if isinstance(value := getattr(certificate, field.name), str) and not field.name.endswith("_format")
        if value or field.name not in {"level", "started_at", "study_minutes", "id_country"}  # it has none
    }
    words = {*module.EVENTS, *certificate.documents, *certificate.id_kinds, module.OCCURRED_AT.member}
    assert members | words <= quoted(module.__name__.removeprefix("adapters."))


def answered(adapter: Adapter) -> set[int]:
    """Every status that an adapter can answer with."""
    items = [ItemOutcome("1", ItemState.ACCEPTED)]
    items += [
        ItemOutcome("1", ItemState.REFUSED, code) for code in (Code.FIELD_MISSING, Code.DELIVERY_CONFLICT)
    ]
    outcomes = [DeliveryOutcome(DeliveryId(""), state) for state in DeliveryState]
    # Who names resources and no deliveries answers by the method, with which the name of such a one begins.
    for name in ("post:1", "put:1"):
        outcomes += [DeliveryOutcome(DeliveryId(name), DeliveryState.ACCEPTED, (item,)) for item in items]
    answers = [adapter.acknowledge(outcome) for outcome in outcomes] + [adapter.refuse(code) for code in Code]
    return {answer.status for answer in answers}


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.slug)
def test_the_page_names_every_state_step_and_status(adapter: Adapter) -> None:
    text = page(adapter.slug)
    # Only where files are uploaded apart is anything waited for.
    apart = EventKind.DOCUMENT in sys.modules[type(adapter).__module__].EVENTS.values()
    assert {state.value for state in ItemState if apart or state is not ItemState.WAITING} <= quoted(
        adapter.slug
    )
    rows = re.findall(r"^\| ([0-9 /]+) \|", text, re.MULTILINE)
    statuses = {int(status) for row in rows for status in row.split("/")}
    # 403 and 404 are not for senders: an unknown address has no envelope.
    assert statuses == answered(adapter) - {403, 404}
    assert all(f"{step} " in text for step in range(1, 13))
