"""The page for 人力资源社会保障部培训网: its vector is computed again, its tables are compared with the code.

Signing is written out here from the page's own words, without the code under test.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pyhanko.pdf_utils.reader import PdfFileReader
from typing_extensions import override

from adapters.mohrss_training import MohrssTraining, message, proof
from adapters.mohrss_training.answers import NUMBERS
from tests import certificates as made
from tests import cms_messages
from tests.certificates import Issued, Key, Kind
from tests.platforms.senders import START, trust
from verifier import certificates
from verifier.errors import CertificateRejected, Code
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.certificate import VerifiedCertificate
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
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

PAGE: Final = Path(__file__).parents[2] / "docs" / "platforms" / "mohrss_training.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```json reference-vector\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SAID: Final[Any] = json.loads(BLOCK)
SIGNED: Final[Any] = SAID["certificate"]
NOW: Final = datetime(2021, 4, 21, 1, 1, tzinfo=UTC)
ADAPTER: Final = MohrssTraining()
SLUG: Final = PlatformSlug("mohrss_training")
ES256: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
FILE: Final = base64.b64decode(json.loads(SAID["upload"]["body"])["fileList"][0]["content"])
each_request = pytest.mark.parametrize("name", ["upload", "record"])


def private(said: Any) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(said["private_key_hex"], 16), ec.SECP256R1())


class Deterministic(Key):
    """By RFC 6979, so that it is the same each time."""

    @override
    def sign(self, data: bytes) -> bytes:
        assert isinstance(self.private, ec.EllipticCurvePrivateKey)
        return self.private.sign(data, ES256)


def authority() -> tuple[Issued, Issued]:
    root_key, key = (Deterministic(Kind.P256, private(SAID[name])) for name in ("authority", "certificate"))
    root = made.root("文档示例根证书机构", key=root_key)
    return root, made.leaf(root, "文档示例培训网", key=key)


# --- computed again -----------------------------------------------------------------------------------------


def test_the_documented_chain_and_list_are_what_the_documented_root_signs() -> None:
    root, leaf = authority()
    april, may = (datetime(2021, month, 1, tzinfo=UTC) for month in (4, 5))
    assert base64.b64decode(SAID["authority"]["root"]) == root.der
    assert base64.b64decode(SIGNED["signer"]) == leaf.der
    assert base64.b64decode(SAID["authority"]["revocation_list"]) == made.crl(
        root, this_update=april, next_update=may
    )


def test_the_documented_file_is_signed_inside_over_all_but_the_signature() -> None:
    root, leaf = authority()
    assert hashlib.sha256(FILE).hexdigest() == SIGNED["file_sha256"]
    start, gap, resume, rest = SIGNED["byte_range"]
    assert b"/ByteRange[%d %010d %010d %010d]" % (start, gap, resume, rest) in FILE
    assert (start, resume + rest) == (0, len(FILE))
    covered = FILE[:gap] + FILE[resume:]
    assert hashlib.sha256(covered).hexdigest() == SIGNED["covered_sha256"]
    attributes = [
        cms_messages.attribute(cms_messages.CONTENT_TYPE, made.oid(cms_messages.PKCS_DATA)),
        cms_messages.attribute(cms_messages.MESSAGE_DIGEST, made.octets(hashlib.sha256(covered).digest())),
    ]
    assert made.set_of(*attributes).hex() == SIGNED["signed_attributes_hex"]
    cms = cms_messages.cms(leaf, covered, issuer=root, attributes=attributes)
    assert base64.b64encode(cms).decode() == SIGNED["cms_base64"]
    assert re.fullmatch(rb"<%b0*>" % cms.hex().encode(), FILE[gap:resume])


def test_another_program_reads_the_documented_fields() -> None:
    form: Any = PdfFileReader(io.BytesIO(FILE)).root["/AcroForm"]
    fields = [reference.get_object() for reference in form["/Fields"]]
    found = {str(field["/T"]): str(field["/V"]) for field in fields if field["/FT"] == "/Tx"}
    assert found == SIGNED["fields"]


def test_the_documented_e_signature_covers_the_whole_file() -> None:
    assert base64.b64encode(private(SIGNED).sign(FILE, ES256)).decode() == SIGNED["esign"]
    for body in (SAID["record"]["body"], SAID["by_secret"]["body"]):
        assert json.loads(body)["graduationList"][0]["esign"] == SIGNED["esign"]


@each_request
def test_the_documented_query_is_what_the_key_signs(name: str) -> None:
    said, key = SAID[name], SAID["rsa"]
    query = dict(parse_qsl(said["query"]))
    digest = hashlib.sha256(said["body"].encode() + int(query["ts"]).to_bytes(8)).digest()
    assert digest.hex() == said["digest_hex"]
    modulus = int(key["modulus_hex"], 16)
    size = modulus.bit_length() // 8
    padded = b"\x00\x01" + b"\xff" * (size - 35) + b"\x00" + digest
    signature = pow(int.from_bytes(padded), int(key["private_exponent_hex"], 16), modulus)
    assert query == {
        "v": "1.0.0.e1",
        "ts": query["ts"],
        "sign": signature.to_bytes(size).hex().upper(),
        "user": SAID["user"],
    }


# --- accepted -----------------------------------------------------------------------------------------------


def authenticated(body: str, query: str = "") -> AuthenticatedCallback:
    callback = Callback(
        platform=SLUG,
        method=SAID["method"],
        path=SAID["path"],
        headers=Headers(tuple(SAID["headers"].items())),
        body=body.encode(),
        received_at=NOW,
        request_id="req-1",
        query=query,
    )
    numbers = rsa.RSAPublicNumbers(SAID["rsa"]["public_exponent"], int(SAID["rsa"]["modulus_hex"], 16))
    keys = [
        TransportKey(SAID["user"], START, public_key=numbers.public_key(), algorithm="raw-RSA"),
        TransportKey("docs-secret", START, secret=SAID["by_secret"]["secret"].encode()),
    ]
    return ADAPTER.authenticate(callback, keys, NOW)


def register() -> Register:
    anchor = IssuerAnchor(
        "docs-root",
        base64.b64decode(SAID["authority"]["root"]),
        Algorithm.ES256,
        KeyState.ACTIVE,
        START,
        crls=(base64.b64decode(SAID["authority"]["revocation_list"]),),
        leaf_subject=SAID["authority"]["leaf_subject"],
    )
    return trust(SLUG, "docs-issuer", anchors=(anchor,))


def only_event(found: AuthenticatedCallback) -> Event:
    (event,) = ADAPTER.parse(found)
    assert isinstance(event, Event)
    return event


def verified(event: Event, content: bytes) -> VerifiedCertificate:
    assert event.certificate is not None
    certificate = certificates.verify(
        replace(event.certificate, content=content),
        platform=SLUG,
        register=register(),
        first_received_at=NOW,
    )
    certificates.check_stated(event.stated, certificate)
    return certificate


def answer(found: AuthenticatedCallback, event: Event) -> Any:
    items = (ItemOutcome(event.item, ItemState.ACCEPTED),)
    given = ADAPTER.acknowledge(DeliveryOutcome(found.delivery_id, DeliveryState.ACCEPTED, items))
    return {"status": given.status, "body": given.body.decode()}


def test_the_documented_file_is_taken_in_and_answered_as_the_page_says() -> None:
    found = authenticated(SAID["upload"]["body"], SAID["upload"]["query"])
    assert (found.delivery_id, found.sequence, found.key_id) == ("B-DOCS-0001", 1, SAID["user"])
    event = only_event(found)
    assert event.document is not None
    assert (event.document.document_id, event.document.content) == ("F-DOCS-1", FILE)
    assert answer(found, event) == SAID["upload"]["answer"]


def test_the_documented_record_is_accepted_and_answered_as_the_page_says() -> None:
    found = authenticated(SAID["record"]["body"], SAID["record"]["query"])
    assert (found.delivery_id, found.sequence) == ("B-DOCS-0002", 2)
    event = only_event(found)
    assert event.certificate is not None
    assert event.certificate.document == "F-DOCS-1"
    assert verified(event, FILE).number == "MPXDOCS0001"
    assert set(event.stated) == {"number", "holder_name", "id_number"}
    assert answer(found, event) == SAID["record"]["answer"]
    with pytest.raises(CertificateRejected) as caught:
        verified(event, FILE.replace(b"/F 132", b"/F 133"))
    assert caught.value.code is Code.CERTIFICATE_SIGNATURE_INVALID


def test_the_documented_secret_is_accepted() -> None:
    found = authenticated(SAID["by_secret"]["body"])
    assert (found.delivery_id, found.sequence, found.key_id) == ("B-DOCS-0003", 3, "docs-secret")
    assert verified(only_event(found), FILE).number == "MPXDOCS0001"
    assert only_event(found).stated["holder_name"] == SIGNED["fields"]["name"]


# --- compared -----------------------------------------------------------------------------------------------


def prose() -> str:
    return re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)


def test_the_page_has_every_number() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]+) \|$", TEXT, re.MULTILINE)
    assert {Code(code): int(number) for code, number in rows} == NUMBERS
    assert len(rows) == len(NUMBERS)


def test_the_example_of_an_answer_is_one() -> None:
    waiting = ItemOutcome("I1", ItemState.WAITING, Code.DOCUMENT_MISSING)
    outcome = DeliveryOutcome(
        authenticated(SAID["by_secret"]["body"]).delivery_id, DeliveryState.ACCEPTED, (waiting,)
    )
    assert f"```json\n{ADAPTER.acknowledge(outcome).body.decode()}\n```" in TEXT


def test_the_page_names_every_member_and_parameter() -> None:
    quoted = set(re.findall(r"`([^`\n]+)`", prose()))
    table, certificate = message.FIELDS, message.CERTIFICATE_FIELDS
    fields: list[TextField | MomentField] = [
        proof.SECRET,
        proof.SENT_AT,
        message.BATCH_ID,
        message.SEQUENCE,
        message.ITEM_ID,
        message.OCCURRED_AT,
        message.FILE_ID,
        message.CONTENT,
        message.FORMER_NAME,
        *table.stated.values(),
    ]
    fields += [table.certificate, table.issuer, table.number, table.reason]
    members = {field.member for field in fields} | {
        value
        for field in dataclasses.fields(certificate)
        if isinstance(value := getattr(certificate, field.name), str) and not field.name.endswith("_format")
        if value or field.name not in {"level", "started_at", "study_minutes", "id_country"}  # it has none
    }
    words = {*proof.QUERY, proof.SPOKEN_VERSION, proof.RAW_RSA, *message.EVENTS}
    words |= {*certificate.documents, *certificate.id_kinds, message.LIST_SUFFIX, "c", "msg", "ctt"}
    assert members | words <= quoted
    assert f"±{proof.TOLERANCE_SECONDS} 秒" in TEXT
