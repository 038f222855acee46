"""中国职业培训在线: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
commercial learning platforms send abroad: one event a delivery, as JSON, signed by Standard Webhooks 1.0
(``v1`` HMAC-SHA256 or ``v1a`` Ed25519), its certificate a compact JWS. A real format replaces these tables.
The page for senders is ``docs/platforms/china_vocational_training.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier.errors import AdapterError, Code, SignatureRejected
from verifier.model import envelope, fields
from verifier.model.certificate import CertificateFields, DocumentKind
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
from verifier.signatures import webhooks
from verifier.signatures.documents import json_object
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

TOLERANCE_SECONDS: Final = 300
"""Standard Webhooks leaves the window to the receiver; its own libraries take five minutes."""

# The message id is signed, and stays the same when a delivery is sent again.
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

EVENTS: Final[Mapping[str, EventKind]] = {
    "completion.created": EventKind.COMPLETED,
    "completion.corrected": EventKind.CORRECTED,
    "completion.revoked": EventKind.REVOKED,
}
TYPE: Final = TextField("type", 64)
# When it happened, by the payload; the header's time is when it was sent, and changes with every attempt.
OCCURRED_AT: Final = MomentField("timestamp", TimeFormat.RFC3339)
DATA: Final = "data"
ITEM: Final = "0"
"""A delivery holds one event; its name is its position."""

CERTIFICATE_FIELDS: Final = CertificateFields(
    issuer="iss",
    number="certificate_number",
    holder_name="holder_name",
    id_kind="id_type",
    id_number="id_number",
    course_code="course_code",
    course_title="course_title",
    organisation="training_organisation",
    completed_at="completed_at",
    issued_at="issued_at",
    document="document_type",
    revision="revision",
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.RFC3339,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={
        "居民身份证": "resident_id",
        "港澳台居民居住证": "hmt_permit",
        "外国人永久居留身份证": "foreign_card",
        "护照": "passport",
        "手机号码": "phone",
    },
    id_country="id_country",
)
FIELDS: Final = EventFields(
    certificate=TextField("certificate", 16_384),
    certificate_fields=CERTIFICATE_FIELDS,
    stated={
        "number": TextField("certificate_number", 64, required=False),
        "holder_name": TextField("holder_name", 100, required=False),
        "id_number": TextField("id_number", 64, required=False),
    },
    issuer=TextField("issuer", 256, form=IDENTIFIER),
    number=TextField("certificate_number", 64, form=IDENTIFIER),
    reason=TextField("reason", 500),
)
# The columns of a table: what stands in ``data`` of a delivery stands there here, too.
IMPORT_COLUMNS: Final[Mapping[str, str]] = {
    TYPE.member: f"/{TYPE.member}",
    OCCURRED_AT.member: f"/{OCCURRED_AT.member}",
    **{
        name: f"/{DATA}/{name}"
        for name in ("certificate", "certificate_number", "holder_name", "id_number", "issuer", "reason")
    },
}


def _import_body(item: bytes, _name: str) -> ImportBody:
    """A delivery holds one event: an item is a whole body already."""
    return ImportBody("application/json", item)


class ChinaVocationalTraining:
    """中国职业培训在线 (px.class.com.cn)."""

    slug: PlatformSlug = PlatformSlug("china_vocational_training")
    name: str = "中国职业培训在线"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(frozenset({"application/json"}))
    importing: ImportForm | None = ImportForm(
        _import_body, IMPORT_COLUMNS, frozenset({TYPE.member, OCCURRED_AT.member})
    )

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Verify the Standard Webhooks signature over the raw body; any one key is enough.

        Raises:
            SignatureRejected: for whatever reason.
        """
        message_id = callback.headers.one(ID_HEADER)
        timestamp = callback.headers.one(TIMESTAMP_HEADER)
        signatures = callback.headers.one(SIGNATURE_HEADER)
        rejection: SignatureRejected | None = None
        # One key at a time, so that the delivery can name the key that proved it.
        for key in keys:
            if not key.valid_at(now):
                continue
            try:
                signed_at = webhooks.verify(
                    message_id=message_id,
                    timestamp=timestamp,
                    signatures=signatures,
                    body=callback.body,
                    secrets=() if key.secret is None else (key.secret,),
                    public_keys=(key.public_key,) if isinstance(key.public_key, Ed25519PublicKey) else (),
                    now=now,
                    tolerance_seconds=TOLERANCE_SECONDS,
                )
            except SignatureRejected as error:
                rejection = error
                continue
            return AuthenticatedCallback(callback, DeliveryId(message_id), key.key_id, signed_at)
        raise rejection or SignatureRejected(Step.NO_KEY)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the one event.

        Raises:
            AdapterError: the body is not strict JSON, not an object, or has no ``type``.
        """
        try:
            message = json_object(authenticated.callback.body)
            word = fields.text(message, TYPE, "")
        except AdapterError as error:
            raise fields.whole(error) from None
        kind = EVENTS.get(word, EventKind.UNKNOWN)
        try:
            return (_event(kind, message),)
        except AdapterError as error:
            return (UnreadableItem(ITEM, error.code, error.pointer),)

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a delivery."""
        return envelope.acknowledgment(outcome, single=True)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return envelope.refusal(code)


def _event(kind: EventKind, message: Mapping[str, Any]) -> Event:
    occurred_at = fields.moment(message, OCCURRED_AT, "")
    data = message.get(DATA)
    own = {OCCURRED_AT.member, DATA} | ({TYPE.member} if kind is not EventKind.UNKNOWN else set())
    extra = fields.unknown(message, own, data, fields.known(kind, FIELDS))
    if kind is EventKind.UNKNOWN:
        # Its data may be anything, or nothing.
        data = {}
    source = fields.members(data, f"/{DATA}")
    return fields.event(kind, ITEM, source, FIELDS, f"/{DATA}", occurred_at=occurred_at, extra=extra)
