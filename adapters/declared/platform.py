"""A platform made of a profile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from adapters.declared.answers import Answers
from adapters.declared.message import Mapped
from adapters.declared.places import Place, Text, pointer
from adapters.declared.schemes import Carrier, JsonBody, Scheme
from verifier.errors import AdapterError, Code, SignatureRejected
from verifier.model import fields
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
from verifier.ports.importing import ImportBody, ImportForm
from verifier.signatures import strict_json
from verifier.signatures.hmac import hmac_sha256
from verifier.signatures.transport import TransportKey

_LARGEST: Final = 2**53 - 1
_DIGITS: Final = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that a profile says.

    Attributes:
        delivery_id: where the message has the delivery's id; None where the scheme has it, or nothing.
        id_header: the header in which the scheme has it; else empty.
        sequence: where the message has the platform's running number of the delivery.
        changing: the message's members that change when the same is signed and sent again.
        digest: SHA-256 of the file, hexadecimal.
        content: the file.
    """

    slug: str
    name: str
    profile: Literal["assumed", "confirmed"]
    accepts: Accepts
    scheme: Scheme
    carrier: Carrier
    delivery_id: Text | None
    id_header: str
    sequence: Place | None
    changing: frozenset[str]
    mapped: Mapped
    answers: Answers
    digest: str
    content: str = field(repr=False)


class DeclaredPlatform:
    """An adapter that does what its declaration says."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.slug: PlatformSlug = PlatformSlug(declaration.slug)
        self.name: str = declaration.name
        self.profile: Literal["assumed", "confirmed"] = declaration.profile
        self.accepts: Accepts = declaration.accepts

    @property
    def events(self) -> Mapping[str, EventKind]:
        """The words of the platform that say what an item is, roots among them."""
        mapped = self.declaration.mapped
        return {**mapped.words.kinds, **mapped.items.roots}

    @property
    def importing(self) -> ImportForm | None:
        """One JSON body a line; None where the body is another, which says nothing without its proof."""
        return ImportForm(self._import_body) if isinstance(self.declaration.carrier, JsonBody) else None

    def _import_body(self, item: bytes, _name: str) -> ImportBody:
        """A body as it is, in the charset that the profile declares."""
        carrier = self.declaration.carrier
        assert isinstance(carrier, JsonBody)
        if carrier.charset != "utf-8":
            try:
                item = item.decode().encode(carrier.charset)
            except UnicodeError:
                raise AdapterError(Code.CHARSET_REFUSED, "not in the platform's charset") from None
        return ImportBody(min(self.accepts.content_types), item)

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Prove the sender by the declared scheme.

        Raises:
            SignatureRejected: for whatever reason.
        """
        proof = self.declaration.scheme.prove(callback, keys, now)
        delivery_id = proof.delivery_id or self.written_id(callback)
        if not delivery_id:
            # Authentic, so it is kept. Keyed, since a body holds personal data; no id of its own begins so.
            delivery_id = f"digest:{hmac_sha256(proof.key, callback.body).hex()}"
        return AuthenticatedCallback(
            callback,
            DeliveryId(delivery_id),
            proof.key_id,
            proof.signed_at,
            self.written_sequence(callback),
            self._content(callback),
        )

    def _content(self, callback: Callback) -> bytes:
        """What stays the same when the same is signed and sent again; empty where that is the body."""
        if not self.declaration.changing:
            return b""
        try:
            message = self.declaration.carrier.message(callback)
        except AdapterError:
            return b""  # ``parse`` says what is wrong
        kept = {name: value for name, value in message.items() if name not in self.declaration.changing}
        return strict_json.canonical(kept)

    def written_id(self, callback: Callback) -> str:
        """The delivery's id as the platform wrote it; empty where it wrote none that can be read."""
        declared = self.declaration
        try:
            if declared.id_header:
                return callback.headers.one(declared.id_header)
            if declared.delivery_id:
                return declared.delivery_id.read(declared.carrier.message(callback), "")
        except (AdapterError, SignatureRejected):
            pass
        return ""

    def written_sequence(self, callback: Callback) -> int | None:
        """The platform's running number as it wrote it; None where there is none that can be read."""
        try:
            return self._sequence(self.declaration.carrier.message(callback))
        except AdapterError:
            return None  # ``parse`` says what is wrong

    def _sequence(self, message: Mapping[str, Any]) -> int | None:
        place = self.declaration.sequence
        if place is None:
            return None
        found = place.find(message, "")
        if found is None:
            return None
        if isinstance(found, str) and _DIGITS.fullmatch(found):
            found = int(found)  # numbers are sent as texts, too
        if type(found) is not int or not 0 <= found <= _LARGEST:
            at = pointer("", place.names[0])
            raise AdapterError(Code.FIELD_INVALID, "the running number is none", pointer=at)
        return found

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the items.

        Raises:
            AdapterError: the message as a whole cannot be read.
        """
        declared = self.declaration
        try:
            message = declared.carrier.message(authenticated.callback)
            if declared.delivery_id:
                declared.delivery_id.read(message, "")
            self._sequence(message)
            return declared.mapped.read(message)
        except AdapterError as error:
            # Of a delivery as a whole only the charset has a code of its own.
            raise error if error.code is Code.CHARSET_REFUSED else fields.whole(error) from None

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a delivery, in the declared envelope."""
        return self.declaration.answers.acknowledge(outcome)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return self.declaration.answers.refuse(code)
