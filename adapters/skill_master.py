"""技能大师在线培训: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
learning platforms abroad do where they keep to a standard: statements of the Experience API 1.0.3 (xAPI), one
or a batch, sent with an access token of our own token endpoint; the certificate is the statement itself as it
was signed (Data, section 2.6), or an Open Badges 3.0 credential in one of its extensions. A real format
replaces these tables. The page for senders is ``docs/platforms/skill_master.md``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import parse_qs

from verifier.errors import AdapterError, Code, RequestRejected, SignatureRejected
from verifier.model import envelope, fields
from verifier.model.certificate import CertificateFields, CertificateKind, DocumentKind, SignedCertificate
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    ItemState,
    OwnId,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.fields import IDENTIFIER, MomentField, TextField
from verifier.model.time import TimeFormat
from verifier.ports.importing import ImportBody, ImportForm
from verifier.signatures import multipart, strict_json, xapi
from verifier.signatures.multipart import Part
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

VERSION: Final = "1.0.3"
VERSION_HEADER: Final = "x-experience-api-version"
# Communication, section 3.3: "1.0" is taken for 1.0.0, and every patch of it is understood.
_VERSIONS: Final = re.compile(r"1\.0(?:\.[0-9]{1,4})?")
MAX_STATEMENTS: Final = 200

OURS: Final = "https://skill-master.invalid/xapi"
"""Where the platform's own verbs and extensions would be: a domain that nobody can have (RFC 2606)."""

EVENTS: Final[Mapping[str, EventKind]] = {
    "http://adlnet.gov/expapi/verbs/completed": EventKind.COMPLETED,
    f"{OURS}/verbs/corrected": EventKind.CORRECTED,
    # It voids a statement by its id; here it names the certificate as well, which is what is revoked.
    "http://adlnet.gov/expapi/verbs/voided": EventKind.REVOKED,
}
# The platform's, and for good. An LRS would make one up where there is none; then nobody could tell the
# statement from its repetition, so that here it has to be there.
STATEMENT_ID: Final = TextField(
    "id", 36, form=re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
)
STATEMENT_ID_PARAMETER: Final = "statementId"
VERB: Final = TextField("id", 256)
# When it happened, by the platform; an LRS would put the time of storing where there is none.
OCCURRED_AT: Final = MomentField("timestamp", TimeFormat.RFC3339)
# The actor's account is the platform's own, and tells nobody else who that is.
NAME: Final = TextField("name", 100, required=False)

_EXTENSIONS: Final = f"{OURS}/extensions"
ISSUER: Final = TextField(f"{_EXTENSIONS}/issuer", 256, form=IDENTIFIER)
NUMBER: Final = TextField(f"{_EXTENSIONS}/certificate-number", 64, form=IDENTIFIER)
ID_NUMBER: Final = TextField(f"{_EXTENSIONS}/id-number", 64, required=False)
REASON: Final = TextField(f"{_EXTENSIONS}/reason", 500)
OPEN_BADGE: Final = TextField(f"{_EXTENSIONS}/open-badge", 32_768, required=False)


def _pointer(name: str) -> str:
    extension = f"{_EXTENSIONS}/{name}".replace("/", "~1")
    return f"/context/extensions/{extension}"


STATEMENT_FIELDS: Final = CertificateFields(
    issuer=_pointer("issuer"),
    number=_pointer("certificate-number"),
    holder_name="/actor/name",
    id_kind=_pointer("id-type"),
    id_number=_pointer("id-number"),
    course_code="/object/id",
    course_title="/object/definition/name/zh-CN",
    organisation=_pointer("training-organisation"),
    completed_at=_pointer("completed-at"),
    issued_at=_pointer("issued-at"),
    document=_pointer("document-type"),
    revision=_pointer("revision"),
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.RFC3339,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"居民身份证": "resident_id"},
)
BADGE_FIELDS: Final = CertificateFields(
    issuer="iss",
    number="jti",
    holder_name="/identifiers/name/value",
    id_kind="/identifiers/nationalIdentityNumber/type",
    id_number="/identifiers/nationalIdentityNumber/value",
    course_code="/credential/credentialSubject/achievement/id",
    course_title="/credential/credentialSubject/achievement/name",
    organisation="/credential/issuer/name",
    completed_at="/credential/credentialSubject/activityEndDate",
    issued_at="nbf",
    # Words of Open Badges' own list (AchievementType).
    document="/credential/credentialSubject/achievement/achievementType",
    revision="",  # a credential has none: what was issued later counts
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.EPOCH_SECONDS,
    documents={
        "CertificateOfCompletion": DocumentKind.COURSE_PROOF,
        "Certification": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"nationalIdentityNumber": "resident_id"},
)

_OF_EVERY: Final = frozenset({(STATEMENT_ID.member,), (OCCURRED_AT.member,)})
_OF_REVOKED: Final = _OF_EVERY | {
    ("verb", VERB.member),
    *(("context", "extensions", one.member) for one in (ISSUER, NUMBER, REASON)),
}
_OF_COMPLETED: Final = _OF_REVOKED | {
    ("attachments",),
    ("context", "extensions", OPEN_BADGE.member),
    *(
        tuple(part.replace("~1", "/") for part in pointer[1:].split("/"))
        for field in dataclasses.fields(STATEMENT_FIELDS)
        if isinstance(pointer := getattr(STATEMENT_FIELDS, field.name), str) and pointer.startswith("/")
    ),
}
_READ: Final[Mapping[EventKind, frozenset[tuple[str, ...]]]] = {
    EventKind.COMPLETED: _OF_COMPLETED,
    EventKind.CORRECTED: _OF_COMPLETED,
    EventKind.REVOKED: _OF_REVOKED,
    EventKind.UNKNOWN: _OF_EVERY,
}
"""What is read of a statement, as paths."""

_HEADERS: Final = (("X-Experience-API-Version", VERSION),)
"""Communication, section 3.3: in every answer."""
_STATUS: Final = {422: 400}
"""What xAPI has in place of ours (Communication, section 3.2)."""
_BY_PUT: Final = "put:"
"""How ``verifier.preparing`` begins the name of a delivery that was PUT."""


def _import_body(item: bytes, name: str) -> ImportBody:
    return ImportBody(*xapi.pack_line(item, f"import-{name[:32]}"))


class SkillMaster:
    """技能大师在线培训."""

    slug: PlatformSlug = PlatformSlug("skill_master")
    name: str = "技能大师在线培训"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(
        frozenset({"application/json", "multipart/mixed"}),
        routes=frozenset({("POST", "/statements"), ("PUT", "/statements")}),
        body_bytes=2_097_152,
        bearer=True,
    )
    importing: ImportForm | None = ImportForm(
        _import_body, {name: f"/{name}" for name in xapi.LINE}, frozenset({xapi.STATEMENT})
    )

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Take over whom the access token was given to; no key of the register proves anything here.

        Raises:
            SignatureRejected: there was no token.
        """
        del keys, now
        if callback.bearer is None:
            raise SignatureRejected(Step.NO_KEY)
        # The protocol has ids of statements, and none of deliveries.
        return AuthenticatedCallback(
            callback, DeliveryId(""), callback.bearer.client_id, callback.bearer.issued_at
        )

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the statements.

        Raises:
            AdapterError: FIELD_MISSING or FIELD_INVALID for the version; else the body is not one statement
                or 1 to 200, in strict JSON or well packed, or is not the one that a PUT names.
        """
        callback = authenticated.callback
        _check_version(callback)
        try:
            content, attachments = _unpacked(callback)
            statements = _statements(callback, content)
        except AdapterError as error:
            raise fields.whole(error) from None
        names = fields.distinct([_statement_id(one) for one in statements.values()])
        return tuple(
            _read(name, statement, pointer, attachments)
            for name, (pointer, statement) in zip(names, statements.items(), strict=True)
        )

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """An LRS's answer where every statement is kept; else what became of each, with 400 or 409."""
        refused = [item for item in outcome.items if item.state is ItemState.REFUSED]
        if outcome.state is DeliveryState.ACCEPTED and not refused:
            if outcome.delivery_id.startswith(_BY_PUT):
                return Acknowledgment(204, "", b"", _HEADERS)
            # A name is the id, and its position behind "#" where one id came twice.
            ids = [item.item.partition("#")[0] for item in outcome.items]
            return Acknowledgment(200, envelope.CONTENT_TYPE, json.dumps(ids).encode(), _HEADERS)
        said = envelope.acknowledgment(outcome, single=True)
        conflict = outcome.state is DeliveryState.CONFLICT or any(
            item.code is Code.DELIVERY_CONFLICT for item in refused
        )
        return replace(said, status=409 if conflict else 400, headers=_HEADERS)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        said = envelope.refusal(code)
        challenge = (("WWW-Authenticate", "Bearer"),) if code is Code.SIGNATURE_REJECTED else ()
        return replace(
            said,
            status=_STATUS.get(said.status, said.status),
            headers=_HEADERS + challenge,
        )


# The request


def _check_version(callback: Callback) -> None:
    if callback.bearer is None:
        return  # it is read again, and of its headers the content type alone was kept
    given = [value for name, value in callback.headers.pairs if name == VERSION_HEADER]
    if not given:
        raise AdapterError(Code.FIELD_MISSING, "no version of xAPI", pointer=VERSION_HEADER)
    if len(given) > 1 or _VERSIONS.fullmatch(given[0]) is None:
        raise AdapterError(Code.FIELD_INVALID, "another version of xAPI than 1.0", pointer=VERSION_HEADER)


def _unpacked(callback: Callback) -> tuple[bytes, Mapping[str, Part]]:
    content_type = callback.headers.get("content-type") or ""
    if not content_type.lower().startswith("multipart/"):
        return callback.body, {}
    return xapi.unpack(multipart.read(callback.body, content_type))


def _statements(callback: Callback, content: bytes) -> Mapping[str, Any]:
    """Each statement by where it stands."""
    try:
        value = strict_json.loads(content, max_bytes=len(content))
    except RequestRejected as error:
        raise AdapterError(detail="the body is not strict JSON", pointer=error.pointer) from None
    if callback.method == "PUT":
        statement = fields.members(value, "")
        return {"": {**statement, STATEMENT_ID.member: _named_by(callback.query, statement)}}
    if isinstance(value, list):
        listed = fields.elements(value, "", limit=MAX_STATEMENTS)
        return {f"/{position}": statement for position, statement in enumerate(listed)}
    return {"": fields.members(value, "")}


def _named_by(query: str, statement: Mapping[str, Any]) -> str:
    """The id that a PUT names; a statement that has one has the same."""
    pointer = f"?{STATEMENT_ID_PARAMETER}"
    given = parse_qs(query, keep_blank_values=True).get(STATEMENT_ID_PARAMETER, [])
    own = statement.get(STATEMENT_ID.member)
    if len(given) != 1:
        raise AdapterError(detail="a PUT names one statement", pointer=pointer)
    if own is not None and (not isinstance(own, str) or own.lower() != given[0].lower()):
        raise AdapterError(detail="the statement is not the one that is named", pointer=pointer)
    return given[0]


# A statement


def _statement_id(statement: Any) -> str:
    try:
        return fields.text(fields.members(statement, ""), STATEMENT_ID, "")
    except AdapterError:
        return ""


def _read(name: str, statement: Any, pointer: str, attachments: Mapping[str, Part]) -> Event | UnreadableItem:
    try:
        return _event(name, fields.members(statement, pointer), pointer, attachments)
    except AdapterError as error:
        return UnreadableItem(name, error.code, error.pointer)


def _event(name: str, statement: Mapping[str, Any], pointer: str, attachments: Mapping[str, Part]) -> Event:
    own_id = fields.text(statement, STATEMENT_ID, pointer)
    verb = fields.text(_member(statement, "verb", pointer), VERB, f"{pointer}/verb")
    kind = EVENTS.get(verb, EventKind.UNKNOWN)
    event = Event(
        kind,
        name,
        occurred_at=fields.moment(statement, OCCURRED_AT, pointer),
        extra=_extra(kind, statement),
        # UUIDs that differ by case alone are one.
        own_id=OwnId(own_id.lower(), xapi.comparable(statement)),
    )
    if kind is EventKind.UNKNOWN:
        return event
    at = f"{pointer}/context/extensions"
    said = _member(_member(statement, "context", pointer), "extensions", f"{pointer}/context")
    if kind is EventKind.REVOKED:
        return replace(
            event,
            issuer=fields.text(said, ISSUER, at),
            number=fields.text(said, NUMBER, at),
            reason=fields.text(said, REASON, at),
        )
    stated = {
        "number": fields.text(said, replace(NUMBER, required=False), at),
        "holder_name": fields.text(_member(statement, "actor", pointer), NAME, f"{pointer}/actor"),
        "id_number": fields.text(said, ID_NUMBER, at),
    }
    stated = {word: value for word, value in stated.items() if value}
    badge = fields.text(said, OPEN_BADGE, at)
    return replace(
        event,
        certificate=_badge(badge, stated, statement, pointer)
        if badge
        else _signed(statement, attachments, pointer),
        stated=stated,
        reason=fields.text(said, replace(REASON, required=False), at),
    )


def _member(source: Mapping[str, Any], name: str, pointer: str) -> Mapping[str, Any]:
    return fields.members(source.get(name), f"{pointer}/{name}")


def _signed(statement: Mapping[str, Any], attachments: Mapping[str, Part], pointer: str) -> SignedCertificate:
    signature = xapi.signature_of(statement, attachments, pointer)
    content = strict_json.canonical(dict(statement))
    return SignedCertificate(CertificateKind.XAPI, content, STATEMENT_FIELDS, signature)


def _badge(
    badge: str, stated: Mapping[str, str], statement: Mapping[str, Any], pointer: str
) -> SignedCertificate:
    if xapi.is_signed(statement):
        detail = "a credential and a signature: which of them is the certificate?"
        raise AdapterError(Code.FIELD_INVALID, detail, pointer=f"{pointer}/attachments")
    # Where the credential has digests only, it vouches for what the statement says beside it.
    words = {"name": "holder_name", "nationalIdentityNumber": "id_number"}
    known = {word: stated[ours] for word, ours in words.items() if ours in stated}
    return SignedCertificate(CertificateKind.OPEN_BADGE, badge.encode(), BADGE_FIELDS, known=known)


# What the profile does not know


def _extra(kind: EventKind, statement: Mapping[str, Any]) -> Mapping[str, Any]:
    rest = _unread(statement, _READ[kind])
    return {"item": rest} if rest else {}


def _unread(
    value: Mapping[str, Any], read: Collection[tuple[str, ...]], at: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An object without the members that are read, and without those of which nothing is left then."""
    rest = {}
    for name, member in value.items():
        path = (*at, name)
        if path in read:
            continue
        if not isinstance(member, dict) or all(one[: len(path)] != path for one in read):
            rest[name] = member
        elif left := _unread(member, read, path):
            rest[name] = left
    return rest
