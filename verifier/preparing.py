"""Steps 2 to 4b for one callback, before any transaction: authenticate, parse, verify, identify. Pure.

They come in two halves, because a certificate may be a document that was uploaded apart: ``open_delivery``
says which documents a delivery names, the caller looks for them, and ``verify`` takes those that were found.
What is not found waits; nothing is lost.

A ``Reader`` runs the parts that look into what a platform wrote. ``HERE`` runs them in this process; where
documents can be costly to read, the composition root gives one that has limits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

from verifier import certificates, learner
from verifier.completions import Proven, Reference
from verifier.errors import AdapterError, CertificateRejected, Code, IdentityRejected
from verifier.keyring import Register
from verifier.model.certificate import SignedCertificate, VerifiedCertificate
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    Document,
    Event,
    EventKind,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    UnreadableItem,
    Uploaded,
)
from verifier.model.person import Identifier, Trait
from verifier.model.time import beijing_date
from verifier.ports import Adapter, Digest
from verifier.ports.intake import DeliveryClaim

log = logging.getLogger("verifier.preparing")

Part = Event | UnreadableItem


@dataclass(frozen=True, slots=True)
class Read:
    """An authentic delivery as its adapter read it.

    Attributes:
        code: why it could not be read as a whole.
    """

    authenticated: AuthenticatedCallback
    parts: tuple[Part, ...]
    code: Code | None = None


class Reader(Protocol):
    """Runs what looks into a platform's bytes."""

    def open(self, adapter: Adapter, callback: Callback, register: Register, now: datetime) -> Read:
        """Step 2. Raises SignatureRejected: not authentic."""
        ...

    def read(self, adapter: Adapter, authenticated: AuthenticatedCallback) -> Read:
        """The second half of step 2, for what was authentic before."""
        ...

    def verify(
        self,
        signed: Sequence[SignedCertificate],
        platform: PlatformSlug,
        register: Register,
        first_received_at: datetime,
    ) -> Sequence[VerifiedCertificate | CertificateRejected]:
        """Step 3 for each certificate."""
        ...


class _Here:
    """Reads in this process."""

    def open(self, adapter: Adapter, callback: Callback, register: Register, now: datetime) -> Read:
        platform = register.platforms.get(adapter.slug)
        keys = platform.transport_at(now) if platform is not None else ()
        return self.read(adapter, adapter.authenticate(callback, keys, now))

    def read(self, adapter: Adapter, authenticated: AuthenticatedCallback) -> Read:
        try:
            return Read(authenticated, adapter.parse(authenticated))
        except AdapterError as error:
            return Read(authenticated, (), error.code)
        except Exception as error:  # noqa: BLE001 - the adapter boundary: what is authentic is kept whatever breaks
            log.error("adapter %s failed: %s", adapter.slug, type(error).__name__)  # noqa: TRY400 - holds input
            return Read(authenticated, (), Code.INTERNAL)

    def verify(
        self,
        signed: Sequence[SignedCertificate],
        platform: PlatformSlug,
        register: Register,
        first_received_at: datetime,
    ) -> Sequence[VerifiedCertificate | CertificateRejected]:
        results: list[VerifiedCertificate | CertificateRejected] = []
        for one in signed:
            try:
                certificate = certificates.verify(
                    one, platform=platform, register=register, first_received_at=first_received_at
                )
            except CertificateRejected as error:
                results.append(error)
            else:
                results.append(certificate)
        return results


HERE: Final[Reader] = _Here()


@dataclass(frozen=True, slots=True)
class ProvenItem:
    """A completion or correction that passed steps 3 and 4a.

    Attributes:
        identifier: its holder's; a provisional one where the certificate names nobody for certain.
        traits: by which a reviewer may be shown whom it might be about.
    """

    proven: Proven
    identifier: Identifier
    traits: tuple[Trait, ...] = ()

    @property
    def event(self) -> Event:
        """What the platform said."""
        return self.proven.event


@dataclass(frozen=True, slots=True)
class RevokedItem:
    """A revocation whose platform may speak for the issuer."""

    event: Event
    reference: Reference


@dataclass(frozen=True, slots=True)
class DocumentItem:
    """An uploaded document.

    Attributes:
        digest: keyed digest of its content.
    """

    event: Event
    document: Document
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """An item whose certificate is a document that has not come yet."""

    event: Event
    document_id: str


Item = ProvenItem | RevokedItem | DocumentItem | WaitingItem | ItemOutcome
"""A prepared item; one that needs no transaction is its outcome already."""


def item_name(item: Item) -> str:
    """The item's name within its delivery."""
    return item.item if isinstance(item, ItemOutcome) else item.event.item


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery after the steps that need no transaction.

    Attributes:
        code: why the delivery as a whole is quarantined.
        register: digest of the register by which it was authenticated and verified.
        own_ids: by item's name: the platform's own id of it, and the keyed digest of what it stands for.
    """

    claim: DeliveryClaim
    items: tuple[Item, ...]
    code: Code | None = None
    own_ids: Mapping[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    register: str = ""

    @property
    def platform(self) -> PlatformSlug:
        """Whose delivery it is."""
        return self.claim.authenticated.callback.platform

    @property
    def key(self) -> tuple[str, str]:
        """Platform and delivery id."""
        return (self.platform, self.claim.authenticated.delivery_id)


def documents_wanted(read: Read) -> Collection[str]:
    """The documents that certificates of a delivery name, also those that it brings: what stands counts."""
    events = [part for part in read.parts if isinstance(part, Event)]
    return {
        event.certificate.document for event in events if event.certificate and event.certificate.document
    }


def _brought(read: Read) -> Mapping[str, Uploaded]:
    at = read.authenticated.callback.received_at
    documents = [part.document for part in read.parts if isinstance(part, Event) and part.document]
    return {document.document_id: Uploaded(document.content, at) for document in documents}


def verify(
    read: Read,
    register: Register,
    digest: Digest,
    documents: Mapping[str, Uploaded],
    reader: Reader = HERE,
) -> Prepared:
    """Steps 3, 4a and 4b.

    Args:
        read: after step 2.
        register: adopted trust register.
        digest: keyed digest.
        documents: those wanted that have come, by id. What stands in the store counts before what the
            delivery brings, so that a document is never taken for another of its id.
        reader: runs step 3.
    """
    read = _named(read, digest)
    callback = read.authenticated.callback
    content = read.authenticated.content
    body = digest("delivery", callback.body)
    claim = DeliveryClaim(read.authenticated, body, digest("delivery-content", content) if content else body)
    verified = _verified(read, register, {**_brought(read), **documents}, reader)
    items = tuple(
        _item(part, read.authenticated, register, digest, verified.get(n))
        for n, part in enumerate(read.parts)
    )
    own_ids = {
        part.item: (part.own_id.value, digest("item", part.own_id.content))
        for part in read.parts
        if isinstance(part, Event) and part.own_id is not None
    }
    return Prepared(claim, items, read.code, own_ids, register.digest)


def _named(read: Read, digest: Digest) -> Read:
    """The delivery with an id: where its protocol has none, the keyed digest of all that is kept of it.

    Why it could not be read is part of that: what it lacked may have been a header, which is not kept, so
    that the same bytes with that header are another delivery. The method stands in front, since a protocol
    that names resources and no deliveries answers by it.
    """
    authenticated = read.authenticated
    if authenticated.delivery_id:
        return read
    callback = authenticated.callback
    about = (
        callback.method,
        callback.path,
        callback.query,
        callback.headers.get("content-type") or "",
        read.code or "",
    )
    # A line end stands in none of them.
    kept = "\n".join(about).encode("utf-8", "surrogatepass") + b"\n" + callback.body
    named = DeliveryId(f"{callback.method.lower()}:{digest('delivery-id', kept).hex()}")
    return replace(read, authenticated=replace(authenticated, delivery_id=named))


@dataclass(frozen=True, slots=True)
class _Checked:
    """What became of a certificate in step 3.

    Attributes:
        first_received_at: when all of it had reached this service; aware UTC.
    """

    result: VerifiedCertificate | CertificateRejected
    first_received_at: datetime


def _verified(
    read: Read, register: Register, documents: Mapping[str, Uploaded], reader: Reader
) -> Mapping[int, _Checked]:
    """Step 3 for each part's certificate that is there whole, by the part's position."""
    callback = read.authenticated.callback
    # By the moment of receipt: a document that was uploaded apart may have come after what names it.
    due: dict[datetime, dict[int, SignedCertificate]] = {}
    for n, part in enumerate(read.parts):
        signed = part.certificate if isinstance(part, Event) else None
        at = callback.received_at
        if signed is not None and signed.document:
            document = documents.get(signed.document)
            signed = replace(signed, content=document.content) if document else None
            at = max(at, document.received_at) if document else at
        if signed is not None:
            due.setdefault(at, {})[n] = signed
    found: dict[int, _Checked] = {}
    for at, wanted in due.items():
        results = reader.verify(list(wanted.values()), callback.platform, register, at)
        found.update({n: _Checked(result, at) for n, result in zip(wanted, results, strict=True)})
    return found


def _item(
    part: Part,
    authenticated: AuthenticatedCallback,
    register: Register,
    digest: Digest,
    checked: _Checked | None,
) -> Item:
    if isinstance(part, UnreadableItem):
        return ItemOutcome(part.item, ItemState.REFUSED, part.code, pointer=part.pointer)
    if part.kind is EventKind.UNKNOWN:
        return ItemOutcome(part.item, ItemState.RECORDED, Code.EVENT_UNKNOWN)
    if part.document is not None:
        return DocumentItem(part, part.document, digest("document", part.document.content))
    if part.certificate is None:
        return _revocation(part, authenticated, register)
    if checked is None:
        return WaitingItem(part, part.certificate.document)
    return _certified(part, checked, digest, authenticated.callback.platform)


def _certified(part: Event, checked: _Checked, digest: Digest, platform: PlatformSlug) -> Item:
    try:
        if isinstance(checked.result, CertificateRejected):
            raise checked.result
        return _completion(part, checked.result, checked.first_received_at, digest, platform)
    except CertificateRejected as error:
        return ItemOutcome(part.item, ItemState.REFUSED, error.code, error.step)
    except IdentityRejected as error:
        return ItemOutcome(part.item, ItemState.REFUSED, error.code, pointer=error.pointer)


def _completion(
    part: Event,
    certificate: VerifiedCertificate,
    received_at: datetime,
    digest: Digest,
    platform: PlatformSlug,
) -> Item:
    certificates.check_stated(part.stated, certificate)
    reference = (certificate.issuer, certificate.number_scope, certificate.number)
    if part.kind is EventKind.REVOKED:
        return RevokedItem(part, reference)
    who = learner.holder(certificate.holder, reference, platform, beijing_date(received_at))
    content = digest("completion", certificate.content_digest)
    proven = Proven(part, certificate, who.name, content, received_at, who.weak)
    return ProvenItem(proven, who.identifier, who.traits)


def _revocation(part: Event, authenticated: AuthenticatedCallback, register: Register) -> Item:
    issuer = register.issuers.get(part.issuer)
    if issuer is None:
        return ItemOutcome(part.item, ItemState.REFUSED, Code.ISSUER_UNKNOWN)
    if authenticated.callback.platform not in issuer.platforms:
        return ItemOutcome(part.item, ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED)
    return RevokedItem(part, (issuer.issuer_id, issuer.number_scope, part.number))
