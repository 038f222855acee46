"""What a platform sends: from raw request to the events in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from verifier.errors import Code, SignatureRejected
from verifier.model.certificate import SignedCertificate

PlatformSlug = NewType("PlatformSlug", str)
DeliveryId = NewType("DeliveryId", str)


@dataclass(frozen=True, slots=True)
class Headers:
    """Request headers as they came: lower-case names, order and doubles kept."""

    pairs: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """The only value of a header that authenticity depends on.

        Raises:
            SignatureRejected: it is missing, empty, doubled, or not printable ASCII.
        """
        values = [value for key, value in self.pairs if key == name]
        if len(values) != 1:
            raise SignatureRejected("header_missing" if not values else "header_doubled")
        value = values[0].strip(" \t")
        if not value or not value.isascii() or not value.isprintable():
            raise SignatureRejected("header_garbled")
        return value

    def get(self, name: str) -> str | None:
        """The first value of a header on which nothing depends."""
        return next((value for key, value in self.pairs if key == name), None)


@dataclass(frozen=True, slots=True)
class Accepts:
    """Which requests a platform's address takes; anything else is refused before it is looked into.

    Attributes:
        content_types: media types, lower case, without parameters; a ``multipart`` one may name its boundary.
        charsets: what ``Content-Type`` may name as charset, lower case; naming none is always allowed.
        routes: method and the rest of the path after the platform's address, as ``("POST", "")``.
        body_bytes: greatest length of the body.
        bearer: whether an access token of our own token endpoint is what proves the sender.
        confined: whether its documents (XML, PDF) are read in a process of their own, under limits.
    """

    content_types: frozenset[str]
    charsets: frozenset[str] = frozenset({"utf-8"})
    routes: frozenset[tuple[str, str]] = frozenset({("POST", "")})
    body_bytes: int = 1_048_576
    bearer: bool = False
    confined: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """What our own token endpoint vouches for: a client of this platform sent the request.

    Attributes:
        client_id: whose access token it was.
        token_id: the token's ``jti``.
        issued_at: when the token was issued, aware UTC.
    """

    client_id: str
    token_id: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Callback:
    """A raw request whose limits and form were checked; nothing in it is believed yet.

    Attributes:
        path: the path of the request line as it came, without query.
        body: the raw bytes that were received, never decoded or re-encoded.
        received_at: aware UTC.
        query: the query of the request line as it came, without the question mark.
        bearer: for a platform that declares it: the access token that was checked, else None.
    """

    platform: PlatformSlug
    method: str
    path: str
    headers: Headers
    body: bytes = field(repr=False)
    received_at: datetime
    request_id: str
    query: str = field(default="", repr=False)
    bearer: Bearer | None = None


@dataclass(frozen=True, slots=True)
class AuthenticatedCallback:
    """A callback whose sender is proven by the platform's own scheme. Only adapters make one.

    Attributes:
        delivery_id: the platform's own id, else a keyed digest of the signed content. Empty where the
            protocol has no id and the sender shares no secret to key a digest with: then
            ``verifier.preparing`` names the delivery.
        key_id: which registered transport key it was proven with.
        signed_at: the moment the sender signed, aware UTC.
        sequence: the platform's own running number of the delivery, where its profile has one.
        content: what makes it the same delivery when it is sent again, where the body holds what changes
            then, such as the time of sending; empty where that is the body.
    """

    callback: Callback
    delivery_id: DeliveryId
    key_id: str
    signed_at: datetime
    sequence: int | None = None
    content: bytes = field(default=b"", repr=False)


class EventKind(StrEnum):
    """What an item of a delivery says."""

    COMPLETED = "completed"
    CORRECTED = "corrected"
    REVOKED = "revoked"
    DOCUMENT = "document"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Document:
    """A file that a platform uploads, to be named by certificates that come before or after it.

    Attributes:
        document_id: the platform's own name for it, 1 to 128 printable ASCII characters.
        content: the file.
    """

    document_id: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A document that has come.

    Attributes:
        content: the file.
        received_at: when it first reached this service, aware UTC.
    """

    content: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class OwnId:
    """The platform's own id of an item, which stands for one content for ever, whatever delivery brings it.

    Attributes:
        value: 1 to 128 printable ASCII characters.
        content: what the id stands for, so written that equal content gives equal bytes.
    """

    value: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One readable item of an authentic delivery.

    Attributes:
        item: the item's name within its delivery (the platform's id for it, else its position).
        certificate: the signed certificate; None for a revocation by number and for unknown events.
        issuer: for a revocation by number: the issuer's id in the trust register, else empty.
        number: for a revocation by number: the certificate's number, else empty.
        stated: fields of the message that repeat the certificate, by our names; compared, never used.
        reason: the platform's own words for a correction or revocation.
        occurred_at: when the platform says it happened.
        extra: fields that the profile does not know; kept, and changing nothing.
        document: for an uploaded file: the file.
        own_id: where the platform gives its items ids that hold beyond the delivery.
    """

    kind: EventKind
    item: str
    certificate: SignedCertificate | None = field(default=None, repr=False)
    issuer: str = ""
    number: str = ""
    stated: Mapping[str, str] = field(default_factory=dict, repr=False)
    reason: str = field(default="", repr=False)
    occurred_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    document: Document | None = field(default=None, repr=False)
    own_id: OwnId | None = None


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """One item of an authentic delivery that the profile cannot read; it never sinks the others.

    Attributes:
        pointer: where, as a JSON pointer; never a value.
    """

    item: str
    code: Code
    pointer: str = ""


class ItemState(StrEnum):
    """What became of one item, as the platform is told."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IN_REVIEW = "in_review"
    RECORDED = "recorded"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """The answer for one item.

    Attributes:
        code: why, when it was not simply accepted.
        step: which numbered certificate step failed, 0 when none did.
    """

    item: str
    state: ItemState
    code: Code | None = None
    step: int = 0
    pointer: str = ""


class DeliveryState(StrEnum):
    """What became of a delivery as a whole."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The answer to one delivery, stored with it and given again for the same bytes.

    Attributes:
        replayed: this delivery was answered before; nothing was done now.
        code: why the whole delivery was quarantined or refused.
    """

    delivery_id: DeliveryId
    state: DeliveryState
    items: tuple[ItemOutcome, ...] = ()
    code: Code | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """An answer in a platform's own envelope.

    Attributes:
        content_type: empty where there is no body.
        headers: further ones that the platform's protocol asks for.
    """

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
