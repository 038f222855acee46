"""新职业学习平台: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
government gateways in China ask for (HMAC over method, path, time and body digest, in headers with the
system's own prefix), batches as regulators take them, fields named by their initials in pinyin, and
certificates signed under an electronic certification authority's root, whose certificates come with each
document. A real format replaces these tables. The page for senders is ``docs/platforms/new_occupation.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from verifier.errors import AdapterError, Code, SignatureRejected
from verifier.model import envelope, fields
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Event,
    EventKind,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.fields import IDENTIFIER, EventFields, MomentField, TextField
from verifier.model.time import TimeFormat
from verifier.ports.importing import ImportBody, ImportForm
from verifier.signatures import gateway
from verifier.signatures.documents import json_object
from verifier.signatures.hmac import hmac_sha256
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

TOLERANCE_SECONDS: Final = 90
"""As 浙江's X-BG-HMAC has it; the time is in epoch seconds, so no time zone can be mistaken."""

# The application id is the id of the transport key. A nonce header (x-xzy-nonce) may come as well: the
# signature does not cover it, so nothing depends on it.
KEY_HEADER: Final = "x-xzy-appid"
TIMESTAMP_HEADER: Final = "x-xzy-timestamp"
SIGNATURE_HEADER: Final = "x-xzy-signature"

EVENTS: Final[Mapping[str, EventKind]] = {
    "FINISH": EventKind.COMPLETED,
    "AMEND": EventKind.CORRECTED,
    "CANCEL": EventKind.REVOKED,
}
# The delivery's id is in the body, since only what is signed can tell a delivery from its repetition.
MESSAGE_ID: Final = TextField("messageId", 128, form=re.compile(r"[A-Za-z0-9_\-.]+"))
ITEMS: Final = "items"
MAX_ITEMS: Final = 200
ITEM_ID: Final = TextField("itemId", 64, form=re.compile(r"[A-Za-z0-9_\-.]+"))
EVENT_TYPE: Final = TextField("eventType", 64)
OCCURRED_AT: Final = MomentField("eventTime", TimeFormat.COMPACT_BEIJING)

CERTIFICATE_FIELDS: Final = CertificateFields(
    issuer="fzjg",
    number="zsbh",
    holder_name="xm",
    id_kind="zjlx",
    id_number="zjhm",
    course_code="kcdm",
    course_title="kcmc",
    organisation="pxjgmc",
    completed_at="jysj",
    issued_at="fzsj",
    document="zslx",
    revision="bbh",
    completed_format=TimeFormat.COMPACT_BEIJING,
    issued_format=TimeFormat.COMPACT_BEIJING,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"01": "resident_id"},
)
FIELDS: Final = EventFields(
    certificate=TextField("certificate", 16_384),
    certificate_fields=CERTIFICATE_FIELDS,
    stated={
        "number": TextField("zsbh", 64, required=False),
        "holder_name": TextField("xm", 100, required=False),
        "id_number": TextField("zjhm", 64, required=False),
    },
    issuer=TextField("fzjg", 256, form=IDENTIFIER),
    number=TextField("zsbh", 64, form=IDENTIFIER),
    reason=TextField("reason", 500),
    kind=CertificateKind.JWS_X5C,
)
IMPORT_COLUMNS: Final[Mapping[str, str]] = {
    name: f"/{name}"
    for name in (
        ITEM_ID.member,
        EVENT_TYPE.member,
        OCCURRED_AT.member,
        *("certificate", "zsbh", "xm", "zjhm", "fzjg", "reason"),
    )
}


def _import_body(item: bytes, name: str) -> ImportBody:
    """A batch as it is; an item alone as a batch of one, its own bytes untouched."""
    if ITEMS in json_object(item):
        return ImportBody("application/json", item)
    head = f'{{"{MESSAGE_ID.member}":"{name}","{ITEMS}":['.encode()
    return ImportBody("application/json", head + item + b"]}")


class NewOccupation:
    """新职业学习平台 (xzy.mohrss.gov.cn)."""

    slug: PlatformSlug = PlatformSlug("new_occupation")
    name: str = "新职业学习平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(frozenset({"application/json"}))
    importing: ImportForm | None = ImportForm(
        _import_body, IMPORT_COLUMNS, frozenset({ITEM_ID.member, EVENT_TYPE.member, OCCURRED_AT.member})
    )

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Verify the gateway signature with the secret that the application id names.

        Raises:
            SignatureRejected: for whatever reason.
        """
        key_id = callback.headers.one(KEY_HEADER)
        timestamp = callback.headers.one(TIMESTAMP_HEADER)
        signature = callback.headers.one(SIGNATURE_HEADER)
        secret = next((key.secret for key in keys if key.key_id == key_id and key.valid_at(now)), None)
        if secret is None:
            raise SignatureRejected(Step.NO_KEY)
        signed_at = gateway.verify(
            method=callback.method,
            path=callback.path,
            timestamp=timestamp,
            signature_hex=signature,
            body=callback.body,
            secret=secret,
            now=now,
            tolerance_seconds=TOLERANCE_SECONDS,
        )
        return AuthenticatedCallback(callback, _delivery_id(callback.body, secret), key_id, signed_at)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the batch, item by item.

        Raises:
            AdapterError: the body is not strict JSON, has no ``messageId``, or not 1 to 200 ``items``.
        """
        try:
            message = json_object(authenticated.callback.body)
            fields.text(message, MESSAGE_ID, "")
            items = fields.elements(message.get(ITEMS), f"/{ITEMS}", limit=MAX_ITEMS)
        except AdapterError as error:
            raise fields.whole(error) from None
        names = _names(items)
        return tuple(_read(message, position, names[position], item) for position, item in enumerate(items))

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a batch, item by item."""
        return envelope.acknowledgment(outcome, single=False)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return envelope.refusal(code)


def _delivery_id(body: bytes, secret: bytes) -> DeliveryId:
    try:
        return DeliveryId(fields.text(json_object(body), MESSAGE_ID, ""))
    except AdapterError:
        # Authentic, so it is kept. Keyed, since a body holds personal data; the colon is in no messageId.
        return DeliveryId(f"digest:{hmac_sha256(secret, body).hex()}")


def _names(items: Sequence[Any]) -> list[str]:
    return fields.distinct([_item_id(item) for item in items])  # "#" is in no itemId


def _item_id(item: Any) -> str:
    try:
        return fields.text(fields.members(item, ""), ITEM_ID, "")
    except AdapterError:
        return ""


def _read(message: Mapping[str, Any], position: int, name: str, item: Any) -> Event | UnreadableItem:
    try:
        return _event(message, f"/{ITEMS}/{position}", name, item)
    except AdapterError as error:
        return UnreadableItem(name, error.code, error.pointer)


def _event(message: Mapping[str, Any], pointer: str, name: str, item: Any) -> Event:
    source = fields.members(item, pointer)
    fields.text(source, ITEM_ID, pointer)
    kind = EVENTS.get(fields.text(source, EVENT_TYPE, pointer), EventKind.UNKNOWN)
    occurred_at = fields.moment(source, OCCURRED_AT, pointer)
    own = {ITEM_ID.member, OCCURRED_AT.member} | (
        {EVENT_TYPE.member} if kind is not EventKind.UNKNOWN else set()
    )
    extra = fields.unknown(message, {MESSAGE_ID.member, ITEMS}, source, own | fields.known(kind, FIELDS))
    return fields.event(kind, name, source, FIELDS, pointer, occurred_at=occurred_at, extra=extra)
