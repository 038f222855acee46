"""The page for 中国国家人事人才培训网: its vector is computed again, its tables are compared with the code.

Signing is written out here from the page's own words, without the code under test.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from adapters import national_personnel as npt
from tests import certificates as made
from tests import cms_messages
from tests.certificates import Issued, Key, Kind
from tests.platforms.senders import START, trust
from verifier import certificates
from verifier.errors import CertificateRejected, Code
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.certificate import SignedCertificate, VerifiedCertificate
from verifier.model.delivery import (
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    Headers,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.model.fields import MomentField, TextField
from verifier.signatures.jws import Algorithm
from verifier.signatures.transport import TransportKey

PAGE: Final = Path(__file__).parents[2] / "docs" / "platforms" / "national_personnel.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```json reference-vector\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SAID: Final[Any] = json.loads(BLOCK)
NOW: Final = datetime(2021, 4, 21, 1, 0, 5, tzinfo=UTC)
ADAPTER: Final = npt.NationalPersonnel()
ES256: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def private(value: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(value, 16), ec.SECP256R1())


def encoded(text: str) -> bytes:
    return text.encode("gb18030")


def test_the_documented_certificate_is_what_its_key_signs() -> None:
    said = SAID["certificate"]
    content, key = encoded(said["content"]), private(said["private_key_hex"])
    assert hashlib.sha256(content).hexdigest() == said["content_sha256"]
    attributes = [
        cms_messages.attribute(cms_messages.CONTENT_TYPE, made.oid(cms_messages.PKCS_DATA)),
        cms_messages.attribute(cms_messages.MESSAGE_DIGEST, made.octets(hashlib.sha256(content).digest())),
    ]
    assert made.set_of(*attributes).hex() == said["signed_attributes_hex"]
    signer = base64.b64decode(said["signer"])
    parsed = Issued(signer, Key(Kind.P256, key), b"", 0).parsed
    message = cms_messages.cms(
        Issued(signer, Key(Kind.P256, key), b"", parsed.serial_number),
        content,
        named=made.sequence(parsed.issuer.public_bytes(), made.integer(parsed.serial_number)),
        attributes=attributes,
        signature=key.sign(made.set_of(*attributes), ES256),
    )
    assert base64.b64encode(message).decode() == said["cms_base64"]


def test_the_documented_document_is_what_its_key_signs() -> None:
    root = etree.fromstring(SAID["body"].partition("?>")[2])
    info, value = root[-1][0], root[-1][1]
    canonical = etree.tostring(info, method="c14n", exclusive=True).decode()
    assert canonical == SAID["signed_info"]
    root.remove(root[-1])
    assert etree.tostring(root, method="c14n", exclusive=True).decode() == SAID["canonical"]
    digest = base64.b64encode(hashlib.sha256(SAID["canonical"].encode()).digest()).decode()
    assert f"<DigestValue>{digest}</DigestValue>" in SAID["signed_info"]
    key = private(SAID["private_key_hex"])
    r, s = decode_dss_signature(key.sign(SAID["signed_info"].encode(), ES256))
    assert value.text == base64.b64encode(r.to_bytes(32) + s.to_bytes(32)).decode()
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert point.hex() == SAID["public_point_hex"]


def event() -> Event:
    """The one event of the documented delivery, accepted."""
    callback = Callback(
        platform=PlatformSlug("national_personnel"),
        method=SAID["method"],
        path=SAID["path"],
        headers=Headers(tuple(SAID["headers"].items())),
        body=encoded(SAID["body"]),
        received_at=NOW,
        request_id="req-1",
    )
    point = bytes.fromhex(SAID["public_point_hex"])
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    key = TransportKey(SAID["key_id"], START, public_key=public, algorithm="ES256")
    authenticated = ADAPTER.authenticate(callback, [key], NOW)
    assert (authenticated.delivery_id, authenticated.sequence) == ("R-DOCS-0001", 1)
    (found,) = ADAPTER.parse(authenticated)
    assert isinstance(found, Event)
    return found


def register(anchor: str, algorithm: Algorithm) -> Register:
    trusted = IssuerAnchor("docs", base64.b64decode(anchor), algorithm, KeyState.ACTIVE, START)
    return trust("national_personnel", "docs-issuer", anchors=(trusted,))


def verified(certificate: SignedCertificate, anchor: str, algorithm: Algorithm) -> VerifiedCertificate:
    return certificates.verify(
        certificate,
        platform=PlatformSlug("national_personnel"),
        register=register(anchor, algorithm),
        first_received_at=NOW,
    )


def test_the_documented_delivery_is_accepted_and_answered_as_the_page_says() -> None:
    found = event()
    assert found.certificate is not None
    assert found.certificate.content == encoded(SAID["certificate"]["content"])
    assert found.certificate.signature == SAID["certificate"]["cms_base64"]
    certificate = verified(found.certificate, SAID["certificate"]["anchor"], Algorithm.ES256)
    certificates.check_stated(found.stated, certificate)
    assert set(found.stated) == {"number", "holder_name", "id_number"}
    outcome = DeliveryOutcome(
        DeliveryId("R-DOCS-0001"),
        DeliveryState.ACCEPTED,
        (ItemOutcome(found.item, ItemState.ACCEPTED),),
    )
    answer = ADAPTER.acknowledge(outcome)
    assert {"status": answer.status, "body": answer.body.decode("gb18030")} == SAID["answer"]


def test_the_documented_sm2_signature_is_accepted_for_the_same_content() -> None:
    found, said = event().certificate, SAID["gm_certificate"]
    assert found is not None
    by_sm2 = replace(found, signature=said["cms_base64"])
    assert verified(by_sm2, said["anchor"], Algorithm.SM2).number == "NPTDOCS0001"
    altered = replace(by_sm2, content=by_sm2.content.replace(b"DOCS0001", b"DOCS0002"))
    with pytest.raises(CertificateRejected) as caught:
        verified(altered, said["anchor"], Algorithm.SM2)
    assert caught.value.code is Code.CERTIFICATE_SIGNATURE_INVALID


def test_the_page_names_every_element() -> None:
    prose = re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    quoted = set(re.findall(r"`([^`\n]+)`", prose))
    table, certificate = npt.FIELDS, npt.CERTIFICATE_FIELDS
    fields: list[TextField | MomentField] = [
        npt.MESSAGE_ID,
        npt.KEY_ID,
        npt.SENT_AT,
        npt.SEQUENCE,
        npt.ITEM_ID,
        npt.EVENT_TYPE,
    ]
    fields += [npt.OCCURRED_AT, npt.CITIZEN_ID, npt.SIGNATURE, *table.stated.values()]
    fields += [table.certificate, table.issuer, table.number, table.reason]
    members = {field.member for field in fields} | {
        value
        for field in dataclasses.fields(certificate)
        if isinstance(value := getattr(certificate, field.name), str) and not field.name.endswith("_format")
        if value or field.name not in {"level", "started_at", "study_minutes", "id_country"}  # it has none
    }
    words = {npt.ROOT, npt.ITEMS, npt.ITEM, *npt.EVENTS, *certificate.documents, *certificate.id_kinds}
    assert members | words | {"ERR", "PARTY", "STATE", "POINTER", "STEP"} <= quoted
    assert ADAPTER.accepts.charsets <= quoted
