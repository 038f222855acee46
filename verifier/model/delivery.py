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
class Callback:
    """A raw request whose limits and form were checked; nothing in it is believed yet.

    Attributes:
        path: the path of the request line as it came, without query.
        body: the raw bytes that were received, never decoded or re-encoded.
        received_at: aware UTC.
    """

    platform: PlatformSlug
    method: str
    path: str
    headers: Headers
    body: bytes = field(repr=False)
    received_at: datetime
    request_id: str


@dataclass(frozen=True, slots=True)
class AuthenticatedCallback:
    """A callback whose sender is proven by the platform's own scheme. Only adapters make one.

    Attributes:
        delivery_id: the platform's own id, else a keyed digest of the signed content.
        key_id: which registered transport key it was proven with.
        signed_at: the moment the sender signed, aware UTC.
    """

    callback: Callback
    delivery_id: DeliveryId
    key_id: str
    signed_at: datetime


class EventKind(StrEnum):
    """What an item of a delivery says."""

    COMPLETED = "completed"
    CORRECTED = "corrected"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


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
    """An answer in a platform's own envelope."""

    status: int
    content_type: str
    body: bytes
