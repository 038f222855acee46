"""The message: its tables first, then how its items are read by them."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from adapters.mohrss_training.proof import SECRET, SENT_AT
from verifier.errors import AdapterError, Code
from verifier.model import fields
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind, SignedCertificate
from verifier.model.delivery import DeliveryId, Document, Event, EventKind, UnreadableItem
from verifier.model.fields import IDENTIFIER, EventFields, MomentField, TextField
from verifier.model.time import TimeFormat
from verifier.signatures import pdf, strict_json
from verifier.signatures.documents import json_object

_ID: Final = re.compile(r"[A-Za-z0-9_\-.]+")
# The delivery's id: the same whenever the same body is sent again; the query is another one each time.
BATCH_ID: Final = TextField("batchNo", 128, form=_ID)
NAMELESS: Final = DeliveryId("")
SEQUENCE: Final = TextField("seq", 15, required=False, form=re.compile(r"[0-9]+"))
EVENTS: Final[Mapping[str, EventKind]] = {
    "fileList": EventKind.DOCUMENT,
    "graduationList": EventKind.COMPLETED,
    "amendList": EventKind.CORRECTED,
    "cancelList": EventKind.REVOKED,
}
"""The root keys. One that is not here is taken for a list of items if it is called so."""
LIST_SUFFIX: Final = "List"
MAX_ITEMS: Final = 200

ITEM_ID: Final = TextField("itemId", 64, form=_ID)
OCCURRED_AT: Final = MomentField("eventTime", TimeFormat.EPOCH_MILLISECONDS)
FILE_ID: Final = TextField("fileId", 64, form=_ID)
CONTENT: Final = TextField("content", (pdf.MAX_BYTES + 2) // 3 * 4)
PDF_HEADER: Final = b"%PDF-"
# It was renamed while platforms were sending; some still write the old name, some both.
FORMER_NAME: Final = TextField("stuName", 100, required=False)
NAME: Final = TextField("name", 100, required=False)

CERTIFICATE_FIELDS: Final = CertificateFields(
    issuer="issuerId",
    number="certNo",
    holder_name="name",
    id_kind="idType",
    id_number="idNo",
    course_code="courseCode",
    course_title="courseName",
    organisation="orgName",
    completed_at="completeTime",
    issued_at="issueTime",
    document="certType",
    revision="version",
    completed_format=TimeFormat.SPACED_BEIJING,
    issued_format=TimeFormat.SPACED_BEIJING,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"居民身份证": "resident_id"},
)
FIELDS: Final = EventFields(
    certificate=TextField("esign", 2_048),
    certificate_fields=CERTIFICATE_FIELDS,
    stated={
        "number": TextField("certNo", 64, required=False),
        "holder_name": NAME,
        "id_number": TextField("idNo", 64, required=False),
    },
    issuer=TextField("issuerId", 256, form=IDENTIFIER),
    number=TextField("certNo", 64, form=IDENTIFIER),
    reason=TextField("reason", 500),
    kind=CertificateKind.PDF,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a delivery is known by. What cannot be read of it is empty; ``read`` says what is wrong.

    Attributes:
        batch_id: the platform's own; without it, what is authentic is kept under a name of ours.
        sequence: the running number.
        content: all of it but what may change when it is sent again: the time, and the secret.
    """

    batch_id: DeliveryId = NAMELESS
    sequence: int | None = None
    content: bytes = field(default=b"", repr=False)


def identity(body: bytes) -> Identity:
    """What the body is known by."""
    try:
        message = json_object(body)
    except AdapterError:
        return Identity()
    digits = _lenient(message, SEQUENCE)
    kept = {name: value for name, value in message.items() if name not in {SECRET.member, SENT_AT.member}}
    return Identity(
        DeliveryId(_lenient(message, BATCH_ID)),
        int(digits) if digits else None,
        strict_json.canonical(kept),
    )


def read(body: bytes) -> tuple[Event | UnreadableItem, ...]:
    """The batch, item by item, in the order of the message.

    Raises:
        AdapterError: the body is not strict JSON, has no ``batchNo``, a ``seq`` that is no number, or not 1
            to 200 items.
    """
    try:
        message = json_object(body)
        fields.text(message, BATCH_ID, "")
        fields.text(_counted(message), SEQUENCE, "")
        # No more than it takes to see that there are too many.
        entries = list(islice(_entries(message), MAX_ITEMS + 1))
        fields.elements(entries, "", limit=MAX_ITEMS)
    except AdapterError as error:
        raise fields.whole(error) from None
    known = {SECRET.member, SENT_AT.member, BATCH_ID.member, SEQUENCE.member, *EVENTS}
    known |= {entry.list_name for entry in entries}
    around = {name: value for name, value in message.items() if name not in known}
    names = fields.distinct([entry.own_id for entry in entries])  # "#" is in no id
    files = Counter(entry.own_id for entry in entries if entry.kind is EventKind.DOCUMENT)
    return tuple(_item(entry, name, around, files) for entry, name in zip(entries, names, strict=True))


def _lenient(message: Mapping[str, Any], member: TextField) -> str:
    try:
        return fields.text(_counted(message), member, "")
    except AdapterError:
        return ""


def _counted(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with its running number as a text, whether it is written as a number or as a text."""
    value = message.get(SEQUENCE.member)
    # A bool is an int.
    return {**message, SEQUENCE.member: str(value)} if type(value) is int else message


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item where it stands: in the list of a name, at a place in it."""

    list_name: str
    place: int
    item: Any

    @property
    def kind(self) -> EventKind:
        return EVENTS.get(self.list_name, EventKind.UNKNOWN)

    @property
    def pointer(self) -> str:
        # Only asked where the list's name is one of ours.
        return f"/{self.list_name}/{self.place}"

    @property
    def own_id(self) -> str:
        try:
            own = FILE_ID if self.kind is EventKind.DOCUMENT else ITEM_ID
            return fields.text(fields.members(self.item, ""), own, "")
        except AdapterError:
            return ""


def _entries(message: Mapping[str, Any]) -> Iterator[_Entry]:
    for name, value in message.items():
        if name in EVENTS:
            # Senders with one object for every batch leave the other lists empty.
            found = () if value in (None, []) else fields.elements(value, f"/{name}", limit=MAX_ITEMS)
        else:
            found = value if name.endswith(LIST_SUFFIX) and isinstance(value, list) else ()
        for place, item in enumerate(found):
            yield _Entry(name, place, item)


def _item(
    entry: _Entry, name: str, around: Mapping[str, Any], files: Mapping[str, int]
) -> Event | UnreadableItem:
    try:
        if entry.kind is EventKind.UNKNOWN:
            extra = {"list": entry.list_name, **fields.unknown(around, (), entry.item, ())}
            return Event(entry.kind, name, extra=extra)
        source = fields.members(entry.item, entry.pointer)
        if entry.kind is EventKind.DOCUMENT:
            return _document(entry, name, source, around, files)
        return _event(entry, name, source, around)
    except AdapterError as error:
        return UnreadableItem(name, error.code, error.pointer)


def _document(
    entry: _Entry,
    name: str,
    source: Mapping[str, Any],
    around: Mapping[str, Any],
    files: Mapping[str, int],
) -> Event:
    file_id = fields.text(source, FILE_ID, entry.pointer)
    if files[file_id] > 1:
        # Which of them a record means could not be said.
        raise _invalid(f"{entry.pointer}/{FILE_ID.member}")
    try:
        content = base64.b64decode(fields.text(source, CONTENT, entry.pointer), validate=True)
    except ValueError:
        content = b""
    # An id is taken for good by what is kept under it, so that what is no PDF at all must not be.
    if not content.startswith(PDF_HEADER) or len(content) > pdf.MAX_BYTES:
        raise _invalid(f"{entry.pointer}/{CONTENT.member}")
    extra = fields.unknown(around, (), source, {FILE_ID.member, CONTENT.member})
    return Event(entry.kind, name, extra=extra, document=Document(file_id, content))


def _event(entry: _Entry, name: str, source: Mapping[str, Any], around: Mapping[str, Any]) -> Event:
    at = entry.pointer
    fields.text(source, ITEM_ID, at)
    occurred_at = fields.moment(source, OCCURRED_AT, at)
    known = {ITEM_ID.member, OCCURRED_AT.member} | fields.known(entry.kind, FIELDS)
    if entry.kind is EventKind.REVOKED:
        extra = fields.unknown(around, (), source, known)
        return fields.event(entry.kind, name, source, FIELDS, at, occurred_at=occurred_at, extra=extra)
    extra = fields.unknown(around, (), source, known | {FILE_ID.member, FORMER_NAME.member})
    certificate = SignedCertificate(
        CertificateKind.PDF,
        b"",
        CERTIFICATE_FIELDS,
        signature=fields.text(source, FIELDS.certificate, at),
        document=fields.text(source, FILE_ID, at),
    )
    event = fields.event(
        entry.kind, name, _renamed(source, at), FIELDS, at, occurred_at=occurred_at, extra=extra
    )
    return replace(event, certificate=certificate)


def _renamed(source: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """The item with the name under its present member, whichever it came under."""
    former, name = (fields.text(source, one, pointer) for one in (FORMER_NAME, NAME))
    if former and name and former != name:
        raise _invalid(f"{pointer}/{FORMER_NAME.member}")
    return {**source, NAME.member: name or former}


def _invalid(pointer: str) -> AdapterError:
    return AdapterError(Code.FIELD_INVALID, "a member breaks its rule", pointer=pointer)
