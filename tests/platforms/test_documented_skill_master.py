"""The page of 技能大师在线培训 says what the code does; its vectors are computed again from its own words."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters import skill_master as skm
from verifier import callback, certificates
from verifier.keyring import Issuer, IssuerKey, KeyState, Register
from verifier.model.delivery import (
    Bearer,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.web import credentials, oauth

NOW: Final = datetime(2021, 4, 21, 1, 0, tzinfo=UTC)
TEXT: Final = (Path(__file__).parents[2] / "docs" / "platforms" / "skill_master.md").read_text(
    encoding="utf-8"
)
ADAPTER: Final = skm.SkillMaster()
SLUG: Final = PlatformSlug("skill_master")
(_BLOCK,) = re.findall(r"^```json reference-vector\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
VECTOR: Final = json.loads(_BLOCK)
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["private_seed_hex"]))
PROSE: Final = re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
QUOTED: Final = set(re.findall(r"`([^`\n]+)`", PROSE))

each = pytest.mark.parametrize(
    "said", [VECTOR["signed_statement"], VECTOR["open_badge"]], ids=["xapi", "badge"]
)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


@each
def test_the_documented_certificate_is_what_its_key_signs(said: Any) -> None:
    certificate = said["certificate"]
    signed = ".".join(base64url(certificate[part].encode()) for part in ("header", "payload"))
    assert certificate["token"] == f"{signed}.{base64url(KEY.sign(signed.encode()))}"
    assert VECTOR["public_key_base64url"] == base64url(KEY.public_key().public_bytes_raw())


def test_the_documented_package_is_put_together_as_the_page_says() -> None:
    said = VECTOR["signed_statement"]
    token = said["certificate"]["token"]
    digest = hashlib.sha256(token.encode()).hexdigest()
    statement = json.loads(said["certificate"]["payload"])
    attachment = {
        "usageType": "http://adlnet.gov/expapi/attachments/signature",
        "display": {"zh-CN": "签名"},
        "contentType": "application/octet-stream",
        "length": len(token),
        "sha2": digest,
    }
    written = json.dumps(
        {**statement, "attachments": [attachment]}, ensure_ascii=False, separators=(",", ":")
    )
    headers = (
        "application/octet-stream",
        "Content-Transfer-Encoding: binary",
        f"X-Experience-API-Hash: {digest}",
    )
    lines = (
        "--docs-boundary",
        "Content-Type: application/json",
        "",
        written,
        "--docs-boundary",
        f"Content-Type: {headers[0]}",
        *headers[1:],
        "",
        token,
        "--docs-boundary--",
        "",
    )
    assert said["body"] == "\r\n".join(lines)


def test_the_documented_digest_is_of_what_the_statement_says() -> None:
    said = VECTOR["open_badge"]
    credential = json.loads(said["certificate"]["payload"])
    hashed = credential["credentialSubject"]["identifier"][1]
    extensions = json.loads(said["body"])["context"]["extensions"]
    plain = extensions["https://skill-master.invalid/xapi/extensions/id-number"]
    digest = hashlib.sha256((plain + hashed["salt"]).encode()).hexdigest()
    assert hashed["identityHash"] == f"sha256${digest}"


@each
def test_the_documented_delivery_is_accepted_and_answered(said: Any) -> None:
    received = callback.receive(
        platform=SLUG,
        method=said["method"],
        path=said["path"],
        rest=said["path"].removeprefix(f"/v1/callbacks/{SLUG}"),
        query=said["query"],
        headers=said["headers"].items(),
        body=said["body"].encode(),
        received_at=NOW,
        request_id="req-1",
        accepts=ADAPTER.accepts,
        limits=callback.Limits(),
        bearer=Bearer("skm-lms", "t-1", NOW),
    )
    (event,) = ADAPTER.parse(ADAPTER.authenticate(received, (), NOW))
    assert isinstance(event, Event)
    assert event.certificate is not None
    public = VerificationKey("docs-2021", Algorithm.EDDSA, KEY.public_key())
    key = IssuerKey(public, KeyState.ACTIVE, datetime(2021, 1, 1, tzinfo=UTC))
    issuer = Issuer("docs-issuer", "all", frozenset({SLUG}), {"docs-2021": key})
    verified = certificates.verify(
        event.certificate,
        platform=SLUG,
        register=Register("0" * 64, {}, {"docs-issuer": issuer}),
        first_received_at=NOW,
    )
    certificates.check_stated(event.stated, verified)
    assert (verified.holder.name, verified.holder.id_number) == ("测试·甲", "999901199003070025")
    named = DeliveryId(f"{said['method'].lower()}:…")
    accepted = ItemOutcome(event.item, ItemState.ACCEPTED)
    answer = ADAPTER.acknowledge(DeliveryOutcome(named, DeliveryState.ACCEPTED, (accepted,)))
    assert {"status": answer.status, "body": answer.body.decode()} == said["answer"]


def test_the_page_names_every_verb_extension_and_word_of_the_tables() -> None:
    words = {*skm.EVENTS, skm.OCCURRED_AT.member, skm.STATEMENT_ID.member}
    for table in (skm.STATEMENT_FIELDS, skm.BADGE_FIELDS):
        words |= {*table.documents, *table.id_kinds}
    prefix = "https://skill-master.invalid/xapi/extensions/"
    assert prefix in QUOTED
    at = "/context/extensions/" + prefix.replace("/", "~1")
    read = [getattr(skm.STATEMENT_FIELDS, field.name) for field in dataclasses.fields(skm.STATEMENT_FIELDS)]
    pointers = {one for one in read if isinstance(one, str) and one.startswith("/")}
    extensions = {one.removeprefix(at) for one in pointers if one.startswith(at)}
    extensions |= {one.member.removeprefix(prefix) for one in (skm.REASON, skm.OPEN_BADGE, skm.ID_NUMBER)}
    paths = {one[1:].replace("/", ".") for one in pointers if not one.startswith(at)}
    assert words | extensions | paths <= QUOTED


def test_the_documented_token_requests_are_what_the_endpoint_takes() -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    fields = dict(field.split("=", 1) for field in re.findall(r"-d (\S+)", block))
    assert fields == {
        "grant_type": oauth.GRANT_TYPE,
        "client_assertion_type": credentials.ASSERTION_TYPE,
        "client_assertion": "HEADER.CLAIMS.SIGNATURE",
    }
    assert "/oauth/token" in {route.path for route in oauth.ROUTES}
    assert block.count("/oauth/token") == 2
