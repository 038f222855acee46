"""The certificate behind a completion, as its issuer signed it, out of the delivery that is kept. Pure.

1. the delivery that the fact names, if its body is still kept;
2. read by its platform's adapter, as it was read when it came;
3. of its items the certificate that bears the fact's issuer, number and content;
4. where that is a document which was uploaded apart: the document, if it is still kept.

Nothing is judged again here: the fact says what was found when it came.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, Protocol

from verifier import certificates
from verifier.certificates import reading
from verifier.certificates.form import Claims
from verifier.errors import CertificateRejected
from verifier.model.certificate import CertificateKind, SignedCertificate
from verifier.model.delivery import AuthenticatedCallback, DeliveryId, Event, PlatformSlug, Uploaded
from verifier.model.facts import CompletionFact
from verifier.model.time import TimeFormat
from verifier.ports import Adapter, Digest
from verifier.ports.rereading import StoredDelivery
from verifier.preparing import Read
from verifier.signatures import strict_json

EMPTIED: Final = "delivery_emptied"
DOCUMENT_EMPTIED: Final = "document_emptied"
NO_ADAPTER: Final = "platform_unknown"
NOT_FOUND: Final = "not_in_delivery"
"""Why there is no certificate: its delivery or document is lawfully emptied, or we can no longer read it."""

_PLACES: Final = ("issuer", "number", "holder_name", "id_number", "completed_at")
_READABLE: Final = frozenset({TimeFormat.RFC3339, TimeFormat.EPOCH_SECONDS})


class Kept(Protocol):
    """Reads what is kept of deliveries."""

    def stored_delivery(self, platform: PlatformSlug, delivery_id: DeliveryId) -> StoredDelivery | None:
        """A delivery as it came, opened; None if its body is no longer kept."""
        ...

    def documents(self, platform: PlatformSlug, ids: Collection[str]) -> Mapping[str, Uploaded]:
        """Those documents that have come and are still kept."""
        ...


class Originals:
    """Finds certificates; facts of one delivery are best asked for one after another."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        read: Callable[[Adapter, AuthenticatedCallback], Read],
        digest: Digest,
    ) -> None:
        """Compose.

        Args:
            adapters: by slug.
            read: runs an adapter over a delivery.
            digest: keyed digest, as the facts'.
        """
        self._adapters = adapters
        self._read = read
        self._digest = digest
        self._last: tuple[str, Read | str] = ("", EMPTIED)

    def find(self, kept: Kept, fact: CompletionFact) -> SignedCertificate | str:
        """The certificate, with its document's content where it is one; else why there is none.

        Args:
            kept: what is stored.
            fact: which completion.
        """
        if self._last[0] != fact.source.reference:
            self._last = (fact.source.reference, self._delivery(kept, fact))
        read = self._last[1]
        if isinstance(read, str):
            return read
        reason = NOT_FOUND
        for part in read.parts:
            signed = part.certificate if isinstance(part, Event) else None
            if signed is not None and signed.document:
                document = kept.documents(fact.platform, [signed.document]).get(signed.document)
                if document is None:
                    reason = DOCUMENT_EMPTIED
                    continue
                signed = replace(signed, content=document.content)
            if signed is not None and self._is_of(signed, fact):
                return signed
        return reason

    def _delivery(self, kept: Kept, fact: CompletionFact) -> Read | str:
        delivery = DeliveryId(fact.source.reference.partition("/")[2])
        stored = kept.stored_delivery(fact.platform, delivery)
        if stored is None:
            return EMPTIED
        adapter = self._adapters.get(fact.platform)
        return NO_ADAPTER if adapter is None else self._read(adapter, stored.authenticated)

    def _is_of(self, signed: SignedCertificate, fact: CompletionFact) -> bool:
        try:
            claims = certificates.FORMS[signed.kind](signed).claims
        except CertificateRejected:
            return False
        named = (reading.value(claims, signed.fields.issuer), reading.value(claims, signed.fields.number))
        content = sha256(strict_json.canonical(dict(claims))).digest()
        same = self._digest("completion", content) == fact.content_digest
        return named == (fact.issuer, fact.number) and same


def members(signed: SignedCertificate, fact: CompletionFact) -> dict[str, Any]:
    """A certificate as JSON members.

    Returns:
        ``kind``, and the bytes as they came. Of a JWS under a registered key the token stands as ``jws``, and
        ``places`` says where in its payload issuer, number, name, id number and moment of completion stand.
        Other kinds, weak holders and times that do not say what they are cannot be checked by the
        separate checker: their ``kind`` says so.
    """
    said: dict[str, Any] = {
        "kind": signed.kind.value,
        "content": base64.b64encode(signed.content).decode(),
        "signature": signed.signature,
        "chain": list(signed.chain),
        "document": signed.document,
    }
    if signed.kind not in {CertificateKind.JWS, CertificateKind.XAPI}:
        return said
    unverified = certificates.FORMS[signed.kind](signed)
    form = signed.fields.completed_format
    if unverified.chain:
        return said | {"kind": f"{signed.kind.value} x5c"}
    if fact.weak:
        return said | {"kind": f"{signed.kind.value} {fact.weak}"}
    if form not in _READABLE:
        return said | {"kind": f"{signed.kind.value} {form.value}"}
    token = signed.content.decode("ascii") if signed.kind is CertificateKind.JWS else signed.signature
    places = [_path(unverified.claims, getattr(signed.fields, name)) for name in _PLACES]
    return said | {"content": "", "signature": "", "jws": token, "places": places}


def _path(claims: Claims, name: str) -> list[str | int]:
    """A member's name or JSON pointer, step by step."""
    if not name.startswith("/"):
        return [name]
    found: Any = claims
    path: list[str | int] = []
    for token in name[1:].split("/"):
        part = token.replace("~1", "/").replace("~0", "~")
        path.append(int(part) if isinstance(found, list) else part)
        found = found[path[-1]]
    return path
