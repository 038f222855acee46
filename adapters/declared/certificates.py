"""Where an item keeps its signed certificate. Nothing of it is believed here, or even read."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from adapters.declared.places import Place, Text, pointer
from verifier.errors import AdapterError, Code, SignatureRejected
from verifier.model.certificate import CertificateFields, CertificateKind, SignedCertificate
from verifier.signatures import base64url
from verifier.signatures.sorted_parameters import Canonical

MAX_CHAIN: Final = 5
MAX_CHAINED: Final = 8_192
"""Characters of one certificate of a chain, in base64."""


class ContentEncoding(StrEnum):
    """How signed content that need not be text is written."""

    TEXT = "text"
    BASE64 = "base64"
    BASE64URL = "base64url"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate stands, and how it will be read once it is verified.

    Attributes:
        content: what is signed, as text.
        encoding: how that text holds it.
        joined: where what is signed is an object in the message: how its members are joined to one text.
        signature: beside the content; None where the kind holds it inside.
        chain: certificates beside it, DER in base64: a list, or one text with commas between them; None where
            there is none.
        known: plain values that the message states for identifiers which the content holds as digests.
    """

    kind: CertificateKind
    fields: CertificateFields
    content: Text
    encoding: ContentEncoding = ContentEncoding.TEXT
    joined: Canonical | None = None
    signature: Text | None = None
    chain: Place | None = None
    known: Mapping[str, Text] | None = None

    @property
    def names(self) -> Iterator[str]:
        """The members of an item that hold it."""
        yield from self.content.place.names
        if self.signature:
            yield from self.signature.place.names
        if self.chain:
            yield from self.chain.names
        for text in (self.known or {}).values():
            yield from text.place.names

    def read(self, source: Any, base: str) -> SignedCertificate:
        """The certificate as it came.

        Raises:
            AdapterError: ``field_missing`` or ``field_invalid``.
        """
        known = {ours: text.read(source, base) for ours, text in (self.known or {}).items()}
        return SignedCertificate(
            self.kind,
            self._content(source, base),
            self.fields,
            signature=self.signature.read(source, base) if self.signature else "",
            chain=self._chain(source, base) if self.chain else (),
            known={ours: value for ours, value in known.items() if value},
        )

    def _content(self, source: Any, base: str) -> bytes:
        at = pointer(base, self.content.place.names[0])
        if self.joined is not None:
            return _joined(self.content.place.find(source, base), self.joined, at)
        text = self.content.read(source, base)
        if self.encoding is ContentEncoding.TEXT:
            return text.encode()
        try:
            if self.encoding is ContentEncoding.BASE64:
                return base64.b64decode(text, validate=True)
            return base64url.decode(text)
        except ValueError:
            raise _invalid(at) from None

    def _chain(self, source: Any, base: str) -> tuple[str, ...]:
        assert self.chain is not None
        found, at = self.chain.find(source, base), pointer(base, self.chain.names[0])
        if found is None:
            return ()
        if isinstance(found, str):
            found = found.split(",")
        if not isinstance(found, list) or not 1 <= len(found) <= MAX_CHAIN:
            raise _invalid(at)
        if not all(isinstance(one, str) and len(one) <= MAX_CHAINED for one in found):
            raise _invalid(at)
        return tuple(found)


def _joined(found: Any, canonical: Canonical, at: str) -> bytes:
    """An object's members as the one text that is signed (``a=1&b=2``)."""
    if found is None:
        raise AdapterError(Code.FIELD_MISSING, "a required member is missing", pointer=at)
    if not isinstance(found, dict):
        raise _invalid(at)
    values = {name: str(value) if type(value) is int else value for name, value in found.items()}
    if not all(isinstance(value, str) for value in values.values()):
        raise _invalid(at)
    try:
        return canonical.canonical_string(list(values.items())).encode()
    except SignatureRejected:
        raise _invalid(at) from None


def _invalid(at: str) -> AdapterError:
    return AdapterError(Code.FIELD_INVALID, "a member breaks its rule", pointer=at)
