"""The two schemes in which both sides build one text and sign that: gateways, sorted parameters."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from adapters.declared import body
from adapters.declared.schemes import Proof, fresh, named, shared, verification_key
from verifier.errors import AdapterError, ConfigurationError, SignatureRejected
from verifier.model.delivery import Callback
from verifier.model.time import TimeFormat
from verifier.signatures import hmac, sorted_parameters
from verifier.signatures.jws import Algorithm
from verifier.signatures.sorted_parameters import Canonical, Keyed, Parameters, form_parameters
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey


class Part(StrEnum):
    """What a gateway's signature may cover."""

    METHOD = "method"
    PATH = "path"
    QUERY = "query"
    KEY_ID = "key-id"
    TIMESTAMP = "timestamp"
    NONCE = "nonce"
    BODY = "body"
    BODY_SHA256 = "body-sha256"


class Digits(StrEnum):
    """How a gateway's signature is written."""

    HEX = "hex"
    UPPER_HEX = "HEX"
    BASE64 = "base64"


_WRITTEN: Final[Mapping[Digits, Callable[[bytes], str]]] = MappingProxyType(
    {
        Digits.HEX: lambda digest: digest.hex(),
        Digits.UPPER_HEX: lambda digest: digest.hex().upper(),
        Digits.BASE64: lambda digest: base64.b64encode(digest).decode("ascii"),
    }
)
# Printable ASCII; a space stands in HTTP dates. What separates the parts is looked for besides.
_PART: Final = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class GatewayHmac:
    """HMAC-SHA256 over declared parts of the request, joined by a separator; the proof stands in headers.

    Attributes:
        key_header: says which key; empty where every key is tried.
        nonce_header: holds a value that is used once; empty where there is none.
        signed: the parts, in their order.
        ended: whether the separator stands behind the last part too.
    """

    key_header: str
    timestamp_header: str
    timestamp_format: TimeFormat
    nonce_header: str
    signature_header: str
    signed: tuple[Part, ...]
    separator: str
    ended: bool
    digits: Digits
    tolerance_seconds: int

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The signature holds under a registered secret."""
        headers = callback.headers
        timestamp = headers.one(self.timestamp_header)
        signature = headers.one(self.signature_header)
        key_id = headers.one(self.key_header) if self.key_header else ""
        nonce = headers.one(self.nonce_header) if self.nonce_header else ""
        if self.key_header:
            keys = (named(keys, key_id, now),)
        signed_at = fresh(timestamp, self.timestamp_format, now, self.tolerance_seconds)
        text = self._text(callback, key_id, timestamp, nonce)
        rejection = SignatureRejected(Step.NO_KEY)
        for key, secret in shared(keys, now):
            expected = _WRITTEN[self.digits](hmac.hmac_sha256(secret, text))
            if hmac.equal(expected.encode("ascii"), signature.encode("ascii")):
                return Proof(key.key_id, signed_at, secret)
            rejection = SignatureRejected(Step.SIGNATURE)
        raise rejection

    def _text(self, callback: Callback, key_id: str, timestamp: str, nonce: str) -> bytes:
        values = {
            Part.METHOD: callback.method,
            Part.PATH: callback.path,
            Part.QUERY: callback.query,
            Part.KEY_ID: key_id,
            Part.TIMESTAMP: timestamp,
            Part.NONCE: nonce,
            Part.BODY_SHA256: hashlib.sha256(callback.body).hexdigest(),
        }
        pieces = [callback.body if part is Part.BODY else self._piece(values[part]) for part in self.signed]
        separator = self.separator.encode("ascii")
        return separator.join(pieces) + (separator if self.ended else b"")

    def _piece(self, text: str) -> bytes:
        # Were a separator inside a part, two requests could be signed alike.
        if _PART.fullmatch(text) is None or (self.separator and self.separator in text):
            raise SignatureRejected(Step.MALFORMED)
        return text.encode("ascii")


class ParameterAlgorithm(StrEnum):
    """By what sorted parameters are signed."""

    HMAC_SHA256 = "HMAC-SHA256"
    MD5 = "MD5"
    SM2 = "SM3withSM2"
    RSA = "SHA256withRSA"


_KEYED: Final = MappingProxyType(
    {ParameterAlgorithm.HMAC_SHA256: Keyed.HMAC_SHA256, ParameterAlgorithm.MD5: Keyed.MD5}
)
_PUBLIC: Final = MappingProxyType(
    {ParameterAlgorithm.SM2: Algorithm.SM2, ParameterAlgorithm.RSA: Algorithm.RS256}
)


class Carried(StrEnum):
    """Where parameters stand: in a form, in the query and a form, or as members of a flat JSON object."""

    FORM = "form"
    QUERY_AND_FORM = "query+form"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SortedParameters:
    """Parameters sorted by name, joined and signed (``verifier.signatures.sorted_parameters``).

    Attributes:
        canonical: the platform's variant, with the names that the profile knows; what a later version adds
            is signed like everything else.
        key_name: the parameter that says which key; empty where every key is tried.
        payload: the parameter whose text is itself JSON; empty where there is none.
    """

    carried: Carried
    canonical: Canonical
    algorithm: ParameterAlgorithm
    signature_name: str
    key_name: str
    payload: str
    tolerance_seconds: int

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The signature holds under a registered key."""
        parameters = self._parameters(callback)
        given = dict(parameters)
        if self.key_name:
            keys = (named(keys, given.get(self.key_name, ""), now),)
        signature = given.get(self.signature_name, "")
        rejection = SignatureRejected(Step.NO_KEY)
        for key in keys:
            if not key.valid_at(now):
                continue
            try:
                signed_at = self._verify(parameters, signature, key, now)
            except SignatureRejected as error:
                rejection = error
                continue
            return Proof(key.key_id, signed_at, key.secret or signature.encode())
        raise rejection

    def _verify(self, parameters: Parameters, signature: str, key: TransportKey, now: datetime) -> datetime:
        if self.algorithm in _PUBLIC:
            public = verification_key(key, _PUBLIC[self.algorithm])
            return sorted_parameters.verify_public(
                self._canonical(parameters),
                parameters,
                signature,
                key=public,
                encoding=key.encoding,
                now=now,
                tolerance_seconds=self.tolerance_seconds,
            ).signed_at
        scheme = _KEYED[self.algorithm]
        # The profile may declare MD5, but only the register allows it, key by key.
        if key.secret is None or (scheme is Keyed.MD5 and key.legacy != Keyed.MD5):
            raise SignatureRejected(Step.NO_KEY)
        return sorted_parameters.verify_keyed(
            self._canonical(parameters),
            parameters,
            signature,
            secret=key.secret,
            scheme=scheme,
            now=now,
            tolerance_seconds=self.tolerance_seconds,
        ).signed_at

    def _canonical(self, parameters: Parameters) -> Canonical:
        try:
            return replace(self.canonical, names=self.canonical.names | {name for name, _ in parameters})
        except ConfigurationError as error:
            raise SignatureRejected(Step.MALFORMED) from error  # too many, or a name that is none

    def _parameters(self, callback: Callback) -> Parameters:
        charset = self.canonical.charset
        if self.carried is not Carried.JSON:
            query = callback.query.encode("utf-8", "surrogatepass")
            before = form_parameters(query, charset=charset) if self.carried is Carried.QUERY_AND_FORM else ()
            return [*before, *form_parameters(callback.body, charset=charset)]
        try:
            members = body.json_object(callback.body, charset)
        except AdapterError as error:
            raise SignatureRejected(Step.MALFORMED) from error
        return [(name, _as_text(value)) for name, value in members.items()]

    def message(self, callback: Callback) -> Mapping[str, Any]:
        """The parameters that are signed, and no others. Raises AdapterError."""
        try:
            parameters = self._parameters(callback)
            signed = self._canonical(parameters).signed_parameters(parameters)
        except SignatureRejected as error:
            raise AdapterError(detail="the parameters are not the declared ones") from error
        message: dict[str, Any] = dict(signed)
        if self.payload in message:
            message[self.payload] = body.json_value(message[self.payload].encode(), "utf-8")
        return message


def _as_text(value: Any) -> str:
    """A member of a flat object as the sender joined it; whole numbers as their digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise SignatureRejected(Step.MALFORMED)
