"""The page for 就业创业和职业培训在线: its texts and digests are computed again, its SM2 signatures verified.

Joining and signing are written out here from the page's own words, without the code under test.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest

from adapters import employment_training as jc
from tests.platforms.senders import START, trust
from tests.platforms.sending_employment_training import base64url, joined
from verifier import certificates
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    Headers,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.signatures import sm2
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey
from verifier.signatures.transport import TransportKey

PAGE: Final = Path(__file__).parents[2] / "docs" / "platforms" / "employment_training.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```json reference-vector\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SAID: Final[Any] = json.loads(BLOCK)
CERTIFICATE: Final[Any] = SAID["certificate"]
NOW: Final = datetime(2021, 4, 21, 0, 30, 10, tzinfo=UTC)
ADAPTER: Final = jc.EmploymentTraining()
SCHEMES: Final = ("by_sm2", "by_hmac", "by_md5")


def public(said: Mapping[str, str]) -> Sm2PublicKey:
    assert said["sm2_id"] == "default"
    return Sm2PublicKey(bytes.fromhex(said["public_key_hex"]), DEFAULT_ID)


def parameters(query_or_form: str) -> dict[str, str]:
    pairs = parse_qsl(query_or_form, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def registered(scheme: str) -> TransportKey:
    said = SAID[scheme]
    if scheme == "by_sm2":
        encoding = SignatureEncoding(said["encoding"])
        key = TransportKey(said["app_id"], START, public_key=public(said), algorithm="SM3withSM2")
        return replace(key, encoding=encoding)
    legacy = "MD5" if scheme == "by_md5" else ""
    return TransportKey(said["app_id"], START, secret=said["secret"].encode(), legacy=legacy)


def authenticated(scheme: str) -> AuthenticatedCallback:
    said = SAID[scheme]
    callback = Callback(
        platform=PlatformSlug(ADAPTER.slug),
        method=SAID["method"],
        path=SAID["path"],
        headers=Headers((("content-type", SAID["content_type"]),)),
        body=said["body"].encode("ascii"),
        received_at=NOW,
        request_id="req-1",
        query=said["query"],
    )
    return ADAPTER.authenticate(callback, [registered(scheme)], NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_documented_text_is_what_query_and_body_join_to(scheme: str) -> None:
    said = SAID[scheme]
    query, body = parameters(said["query"]), parameters(said["body"])
    assert query.pop("sign") == said["sign"]
    assert query["app_id"] == said["app_id"]
    ending = f"&key={said['secret']}" if "secret" in said else ""
    assert said["string_to_sign"] == joined(query | body) + ending


def test_the_documented_digests_are_what_their_secrets_give() -> None:
    by_hmac, by_md5 = SAID["by_hmac"], SAID["by_md5"]
    text, secret = by_hmac["string_to_sign"].encode(), by_hmac["secret"].encode()
    assert by_hmac["sign"] == hmac.new(secret, text, hashlib.sha256).hexdigest().upper()
    # What the page documents for legacy keys.
    digest = hashlib.md5(by_md5["string_to_sign"].encode(), usedforsecurity=False)
    assert by_md5["sign"] == digest.hexdigest().upper()


def test_the_documented_sm2_signatures_hold_and_altered_they_do_not() -> None:
    by_sm2 = SAID["by_sm2"]
    for said, text, signature in (
        (by_sm2, by_sm2["string_to_sign"], base64.b64decode(by_sm2["sign"])),
        (CERTIFICATE, CERTIFICATE["canonical_string"], bytes.fromhex(CERTIFICATE["cert_sign"])),
    ):
        sm2.verify(public(said), text.encode(), signature)
        with pytest.raises(SignatureRejected):
            sm2.verify(public(said), f"{text} ".encode(), signature)
        private = Sm2PrivateKey(bytes.fromhex(said["private_key_hex"]), public(said))
        sm2.verify(public(said), b"of one pair", private.sign(b"of one pair"))


def test_the_documented_certificate_is_its_text_as_documented() -> None:
    text = CERTIFICATE["canonical_string"]
    pairs = [pair.split("=") for pair in text.split("&")]
    assert text == joined(dict(pairs))
    body = parameters(SAID["by_sm2"]["body"])
    assert body["cert_data"] == CERTIFICATE["cert_data"] == base64url(text.encode())
    assert body["cert_sign"] == CERTIFICATE["cert_sign"]
    assert body["cert_chain"] == CERTIFICATE["cert_chain"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_documented_delivery_is_accepted_and_answered_as_the_page_says(scheme: str) -> None:
    proven = authenticated(scheme)
    assert proven.delivery_id == parameters(SAID[scheme]["body"])["notify_id"]
    (event,) = ADAPTER.parse(proven)
    assert isinstance(event, Event)
    assert event.kind is (EventKind.COMPLETED if scheme == "by_sm2" else EventKind.REVOKED)
    assert event.extra == {}
    item = ItemOutcome(event.item, ItemState.ACCEPTED)
    answer = ADAPTER.acknowledge(DeliveryOutcome(proven.delivery_id, DeliveryState.ACCEPTED, (item,)))
    assert {"status": answer.status, "body": answer.body.decode()} == SAID[scheme]["answer"]


def register() -> Register:
    said = SAID["authority"]
    anchor = IssuerAnchor(
        "docs-root",
        base64.b64decode(said["root"]),
        Algorithm.SM2,
        KeyState.ACTIVE,
        START,
        crls=(base64.b64decode(said["revocation_list"]),),
        encoding=SignatureEncoding(CERTIFICATE["encoding"]),
        leaf_subject=said["leaf_subject"],
    )
    return trust(ADAPTER.slug, "docs-issuer", anchors=(anchor,))


def test_the_documented_certificate_is_verified_by_its_chain_and_altered_it_is_not() -> None:
    (event,) = ADAPTER.parse(authenticated("by_sm2"))
    assert isinstance(event, Event)
    assert event.certificate is not None
    slug = PlatformSlug(ADAPTER.slug)
    verified = certificates.verify(
        event.certificate, platform=slug, register=register(), first_received_at=NOW
    )
    certificates.check_stated(event.stated, verified)
    assert set(event.stated) == {"number", "holder_name", "id_number"}
    altered = replace(event.certificate, content=event.certificate.content.replace(b"0001&", b"0002&"))
    with pytest.raises(CertificateRejected) as refused:
        certificates.verify(altered, platform=slug, register=register(), first_received_at=NOW)
    assert refused.value.code is Code.CERTIFICATE_SIGNATURE_INVALID


def test_the_page_names_every_event_and_every_parameter_of_the_tables() -> None:
    prose = re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    quoted = set(re.findall(r"`([^`\n]+)`", prose))
    fields, certificate = jc.FIELDS, jc.CERTIFICATE_FIELDS
    texts = [*fields.stated.values(), fields.certificate, fields.issuer, fields.number, fields.reason]
    texts += [jc.CERTIFICATE_SIGNATURE, jc.CERTIFICATE_CHAIN, jc.EVENT_TYPE]
    members = {field.member for field in texts} | {jc.NOTIFY_ID, jc.OCCURRED_AT.member, *jc.QUERY}
    members |= {
        value
        for field in dataclasses.fields(certificate)
        if isinstance(value := getattr(certificate, field.name), str) and not field.name.endswith("_format")
        if value or field.name not in {"level", "started_at", "study_minutes", "id_country"}  # it has none
    }
    assert members | {*jc.EVENTS, *certificate.documents, *certificate.id_kinds} <= quoted
    assert set(SignatureEncoding) <= quoted
    assert f"±{jc.TOLERANCE_SECONDS} 秒" in TEXT
    assert f"≤ {ADAPTER.accepts.body_bytes // 1024} KiB" in TEXT
