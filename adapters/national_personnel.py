"""中国国家人事人才培训网: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
older human-resources and social-security services send: a batch as XML in GB 18030 with their field codes
(AAC003 is a name), signed as a whole by an enveloped XML signature; each certificate a small XML document of
its own with a detached CMS/PKCS#7 signature (of GM/T 0010 where it is by SM2); the answer XML with ``ERR``.
A real format replaces these tables. The page for senders is ``docs/platforms/national_personnel.md``.
"""

from __future__ import annotations

import binascii
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from verifier.errors import AdapterError, Code, ConfigurationError, RequestRejected, SignatureRejected
from verifier.model import envelope, fields
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind
from verifier.model.content_type import content_type
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
from verifier.signatures import freshness, strict_json, strict_xml, xmldsig
from verifier.signatures.documents import json_object, xml_object
from verifier.signatures.jws import VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.strict_xml import StrictRoot
from verifier.signatures.transport import TransportKey

TOLERANCE_SECONDS: Final = 300
"""Wide enough for a batch that is signed by a machine of its own before it is sent."""
ALGORITHMS: Final = {algorithm.value: algorithm for algorithm in xmldsig.SIGNATURE_METHODS.values()}

ROOT: Final = "MESSAGE"
# The delivery's id, key and time stand in the document, since only what is signed can be relied on.
MESSAGE_ID: Final = TextField("MSGID", 128, form=re.compile(r"[A-Za-z0-9_\-.]+"))
KEY_ID: Final = TextField("KEYID", 128, form=re.compile(r"[\x21-\x7e]+"))
SENT_AT: Final = MomentField("SENDTIME", TimeFormat.COMPACT_BEIJING)
SEQUENCE: Final = TextField("SEQNO", 15, required=False, form=re.compile(r"[0-9]+"))
# What a signature refers to the root by; it says nothing.
ROOT_IDS: Final = frozenset({"@Id", "@ID", "@id"})
ITEMS: Final = "ITEMS"
ITEM: Final = "ITEM"
MAX_ITEMS: Final = 200

EVENTS: Final[Mapping[str, EventKind]] = {
    "JY": EventKind.COMPLETED,
    "GZ": EventKind.CORRECTED,
    "CX": EventKind.REVOKED,
}
ITEM_ID: Final = TextField("ITEMID", 64, form=re.compile(r"[A-Za-z0-9_\-.]+"))
EVENT_TYPE: Final = TextField("EVENT", 64)
OCCURRED_AT: Final = MomentField("EVENTTIME", TimeFormat.COMPACT_BEIJING)
# The citizen's own number; of a citizen, AAC044 (the document's number) is the same.
CITIZEN_ID: Final = TextField("AAC002", 64, required=False)
# XML lets base64 be broken into lines.
SIGNATURE: Final = TextField("P7S", 49_152)

CERTIFICATE_FIELDS: Final = CertificateFields(
    issuer="FZJG",
    number="ZSBH",
    holder_name="AAC003",
    id_kind="AAC058",
    id_number="AAC044",
    course_code="KCDM",
    course_title="KCMC",
    organisation="PXJGMC",
    completed_at="JYSJ",
    issued_at="FZSJ",
    document="ZSLX",
    revision="BBH",
    completed_format=TimeFormat.COMPACT_BEIJING,
    issued_format=TimeFormat.COMPACT_BEIJING,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"01": "resident_id"},
)
FIELDS: Final = EventFields(
    certificate=TextField("CERT", 24_576),
    certificate_fields=CERTIFICATE_FIELDS,
    stated={
        "number": TextField("ZSBH", 64, required=False),
        "holder_name": TextField("AAC003", 100, required=False),
        "id_number": TextField("AAC044", 64, required=False),
    },
    issuer=TextField("FZJG", 256, form=IDENTIFIER),
    number=TextField("ZSBH", 64, form=IDENTIFIER),
    reason=TextField("REASON", 500),
    kind=CertificateKind.CMS,
)
IMPORT_COLUMNS: Final[Mapping[str, str]] = {
    name: f"/{name}"
    for name in (
        ITEM_ID.member,
        EVENT_TYPE.member,
        OCCURRED_AT.member,
        FIELDS.certificate.member,
        SIGNATURE.member,
        *("ZSBH", "AAC003", "AAC044", "AAC002", "FZJG", "REASON"),
    )
}
_ELEMENT_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _import_body(item: bytes, name: str) -> ImportBody:
    """A batch of one item, in UTF-8 and unsigned, from an object of the item's elements."""
    elements = json_object(item)
    for element, value in elements.items():
        if not isinstance(value, str) or _ELEMENT_NAME.fullmatch(element) is None:
            raise AdapterError(Code.FIELD_INVALID, "an element of an item has a name and a text")
    inside = "".join(_text(element, value) for element, value in elements.items())
    message = _element(ROOT, _text(MESSAGE_ID.member, name), _element(ITEMS, _element(ITEM, inside)))
    content = '<?xml version="1.0" encoding="UTF-8"?>' + message
    return ImportBody("application/xml; charset=utf-8", content.encode())


class NationalPersonnel:
    """中国国家人事人才培训网 (www.chinanet.gov.cn)."""

    slug: PlatformSlug = PlatformSlug("national_personnel")
    name: str = "中国国家人事人才培训网"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(
        frozenset({"application/xml", "text/xml"}), charsets=strict_xml.CHARSETS, confined=True
    )
    importing: ImportForm | None = ImportForm(
        _import_body, IMPORT_COLUMNS, frozenset({ITEM_ID.member, EVENT_TYPE.member, OCCURRED_AT.member})
    )

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Verify the XML signature over the whole document by the key that the document names.

        Raises:
            SignatureRejected: for whatever reason.
        """
        try:
            root = _root(callback, self.accepts)
            key = _key(keys, root.findtext(KEY_ID.member), now)
            signed = xmldsig.verify(xmldsig.open_enveloped(root), key)
            message = _message(signed)
            # It stands there once: so it is the one by which the key was looked for before.
            fields.text(message, KEY_ID, "")
            sent_at = fields.moment(message, SENT_AT, "")
        except (RequestRejected, AdapterError):
            raise SignatureRejected(Step.MALFORMED) from None
        freshness.check(sent_at, now=now, tolerance_seconds=TOLERANCE_SECONDS)
        name, content = _delivery_id(message, callback.body), _content(message)
        return AuthenticatedCallback(callback, name, key.kid, sent_at, _sequence(message), content)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the batch, item by item; the signature covers all of the document but itself.

        Raises:
            AdapterError: no ``MSGID``, a ``SEQNO`` that is no number, or not 1 to 200 items.
        """
        try:
            message = _message(_root(authenticated.callback, self.accepts))
        except RequestRejected as error:
            raise AdapterError(error.code, "the body is not strict XML", pointer=error.pointer) from None
        try:
            fields.text(message, MESSAGE_ID, "")
            fields.text(message, SEQUENCE, "")
            holder = fields.members(message.get(ITEMS), f"/{ITEMS}")
            items = _items(holder)
        except AdapterError as error:
            raise fields.whole(error) from None
        around = _around(message, holder)
        names = fields.distinct([_item_id(item) for item in items])  # "#" is in no ITEMID
        return tuple(_read(around, position, names[position], item) for position, item in enumerate(items))

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a batch, item by item."""
        return _response(envelope.acknowledgment(outcome, single=False))

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return _response(envelope.refusal(code))


# --- the document -------------------------------------------------------------------------------------------


def _root(callback: Callback, accepts: Accepts) -> StrictRoot:
    declared = content_type(callback.headers.get("content-type") or "", accepts)
    return strict_xml.parse(
        callback.body,
        max_bytes=accepts.body_bytes,
        charsets=accepts.charsets,
        content_charset=declared[1].get("charset") if declared else None,
        # One rare name must not sink a batch: each item is looked at by itself.
        keep_private_use=True,
    )


def _message(root: StrictRoot) -> Mapping[str, Any]:
    if root.tag != ROOT:
        raise AdapterError(detail="the root is not the profile's")
    members = dict(xml_object(root))
    # There is one in the whole document, the root's last child: the signature's form says so.
    members.pop(xmldsig.ELEMENT, None)
    return members


def _content(message: Mapping[str, Any]) -> bytes:
    """All but what changes when the same is signed and sent again: time, and perhaps key."""
    kept = {name: value for name, value in message.items() if name not in {SENT_AT.member, KEY_ID.member}}
    return strict_json.canonical(kept)


def _key(keys: Sequence[TransportKey], key_id: str | None, now: datetime) -> VerificationKey:
    for key in keys:
        algorithm = ALGORITHMS.get(key.algorithm)
        if key.key_id == key_id and key.valid_at(now) and key.public_key is not None and algorithm:
            try:
                return VerificationKey(key.key_id, algorithm, key.public_key)
            except ConfigurationError:
                break
    raise SignatureRejected(Step.NO_KEY)


def _delivery_id(message: Mapping[str, Any], body: bytes) -> DeliveryId:
    try:
        return DeliveryId(fields.text(message, MESSAGE_ID, ""))
    except AdapterError:
        # Authentic, so it is kept. The body holds personal data, but its signature too, which nobody can
        # guess to try digests; the colon is in no MSGID.
        return DeliveryId(f"digest:{sha256(body).hexdigest()}")


def _sequence(message: Mapping[str, Any]) -> int | None:
    try:
        text = fields.text(message, SEQUENCE, "")
    except AdapterError:
        return None  # ``parse`` says what is wrong
    return int(text) if text else None


# --- the items ----------------------------------------------------------------------------------------------


def _items(holder: Mapping[str, Any]) -> Sequence[Any]:
    found = holder.get(ITEM)
    # One alone is no array in XML.
    several = found if found is None or isinstance(found, list) else [found]
    return fields.elements(several, f"/{ITEMS}/{ITEM}", limit=MAX_ITEMS)


def _around(message: Mapping[str, Any], holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the profile does not know of the message, beside its items too."""
    known = {MESSAGE_ID.member, KEY_ID.member, SENT_AT.member, SEQUENCE.member, ITEMS, *ROOT_IDS}
    beside = {name: value for name, value in holder.items() if name != ITEM}
    around = {name: value for name, value in message.items() if name not in known}
    return {**around, ITEMS: beside} if beside else around


def _item_id(item: Any) -> str:
    try:
        return fields.text(fields.members(item, ""), ITEM_ID, "")
    except AdapterError:
        return ""


def _read(around: Mapping[str, Any], position: int, name: str, item: Any) -> Event | UnreadableItem:
    try:
        return _event(around, f"/{ITEMS}/{ITEM}/{position}", name, item)
    except AdapterError as error:
        return UnreadableItem(name, error.code, error.pointer)


def _event(around: Mapping[str, Any], pointer: str, name: str, item: Any) -> Event:
    source = fields.members(item, pointer)
    _refuse_private_use(source, pointer)
    fields.text(source, ITEM_ID, pointer)
    kind = EVENTS.get(fields.text(source, EVENT_TYPE, pointer), EventKind.UNKNOWN)
    occurred_at = fields.moment(source, OCCURRED_AT, pointer)
    extra = fields.unknown(around, (), source, _known(kind))
    event = fields.event(kind, name, source, FIELDS, pointer, occurred_at=occurred_at, extra=extra)
    return _certified(event, source, pointer) if event.certificate else event


def _known(kind: EventKind) -> frozenset[str]:
    own = {ITEM_ID.member, OCCURRED_AT.member}
    if kind is not EventKind.UNKNOWN:
        own.add(EVENT_TYPE.member)
    if kind in {EventKind.COMPLETED, EventKind.CORRECTED}:
        own |= {SIGNATURE.member, CITIZEN_ID.member}
    return fields.known(kind, FIELDS) | own


_SPACE: Final = re.compile("[ \t\r\n]+")
_MEMBERS: Final = _known(EventKind.COMPLETED) | _known(EventKind.REVOKED)


def _refuse_private_use(source: Mapping[str, Any], pointer: str) -> None:
    for name, value in source.items():
        if strict_xml.has_private_use(json.dumps([name, value], ensure_ascii=False)):
            at = f"{pointer}/{name}" if name in _MEMBERS else pointer
            detail = "holds a private-use character, which stands for no certain one"
            raise AdapterError(Code.PRIVATE_USE_CHARACTER, detail, pointer=at)


def _certified(event: Event, source: Mapping[str, Any], pointer: str) -> Event:
    """With the certificate's content as it was signed, and its signature."""
    assert event.certificate is not None
    signature = _SPACE.sub("", fields.text(source, SIGNATURE, pointer))
    try:
        written = _SPACE.sub("", event.certificate.content.decode())
        content = binascii.a2b_base64(written, strict_mode=True)
    except ValueError:
        raise _invalid(f"{pointer}/{FIELDS.certificate.member}") from None
    certificate = replace(event.certificate, content=content, signature=signature)
    return replace(event, certificate=certificate, stated=_stated(event, source, pointer))


def _stated(event: Event, source: Mapping[str, Any], pointer: str) -> Mapping[str, str]:
    citizen = fields.text(source, CITIZEN_ID, pointer)
    if not citizen:
        return event.stated
    if event.stated.get("id_number", citizen) != citizen:
        raise _invalid(f"{pointer}/{CITIZEN_ID.member}")
    return {**event.stated, "id_number": citizen}


def _invalid(pointer: str) -> AdapterError:
    return AdapterError(Code.FIELD_INVALID, "a member breaks its rule", pointer=pointer)


# --- the answer ---------------------------------------------------------------------------------------------

CONTENT_TYPE: Final = "application/xml; charset=gb18030"
_DECLARATION: Final = '<?xml version="1.0" encoding="GB18030"?>'
_ITEM_ELEMENTS: Final[Mapping[str, str]] = {
    "ITEMID": "item",
    "STATE": "state",
    "ERR": "code",
    "MSG": "message",
    "PARTY": "party",
    "POINTER": "pointer",
    "STEP": "step",
}


def _response(plain: Acknowledgment) -> Acknowledgment:
    """What the common envelope says, with the same status, as this platform's XML."""
    said = json.loads(plain.body)
    data = said["data"]
    items = [
        _element(ITEM, *(_text(name, item[member]) for name, member in _ITEM_ELEMENTS.items()))
        for item in data.get("items", ())
    ]
    response = _element(
        "RESPONSE",
        _text("ERR", said["code"]),
        _text("MSG", said["msg"]),
        _text(MESSAGE_ID.member, data.get("deliveryId", "")),
        _text("PARTY", data["party"]),
        _element(ITEMS, *items),
    )
    return Acknowledgment(plain.status, CONTENT_TYPE, (_DECLARATION + response).encode("gb18030"))


def _element(name: str, *inside: str) -> str:
    return f"<{name}>{''.join(inside)}</{name}>"


def _text(name: str, value: str | int) -> str:
    return _element(name, html.escape(str(value), quote=False))
