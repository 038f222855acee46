"""How a declared platform proves its deliveries: one class a scheme; ``canonical`` has two more.

Each proves the sender over the raw request and raises only ``SignatureRejected`` where it cannot; a key of
another kind than the scheme's is no key. A ``Carrier`` reads the message out of what is proven; where the
scheme itself says where that is, it is its own carrier.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.declared import body, places
from verifier.errors import AdapterError, ConfigurationError, SignatureRejected
from verifier.model.delivery import Callback
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import freshness, hmac, jws, raw_rsa, webhooks
from verifier.signatures.gateway import MIN_SECRET_BYTES
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sorted_parameters import form_parameters
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

MAX_TOKEN_BYTES: Final = 1_048_576
_SECRET: Final = re.compile(r"[\x21-\x7e]{1,512}")
_RAW_RSA: Final = "raw-RSA"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a scheme has found out.

    Attributes:
        key_id: which registered key proved it.
        signed_at: when the sender signed; when the request came in, where nothing says it.
        key: what no outsider knows; names a delivery without an id of its own by a keyed digest.
        delivery_id: where the scheme itself has one.
    """

    key_id: str
    signed_at: datetime
    key: bytes = field(repr=False)
    delivery_id: str = ""


class Scheme(Protocol):
    """One way to prove a delivery."""

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """Prove the sender. Raises only SignatureRejected; no key is never acceptance."""
        ...


class Carrier(Protocol):
    """Where a delivery's message stands."""

    def message(self, callback: Callback) -> Mapping[str, Any]:
        """What the delivery says; secrets are taken out. Raises AdapterError."""
        ...


def shared(keys: Sequence[TransportKey], now: datetime) -> Iterator[tuple[TransportKey, bytes]]:
    """The shared secrets that may be used now; a short one is no secret."""
    for key in keys:
        if key.valid_at(now) and key.secret is not None and len(key.secret) >= MIN_SECRET_BYTES:
            yield key, key.secret


def verification_key(key: TransportKey, algorithm: Algorithm) -> VerificationKey:
    """A registered public key for the one algorithm that the profile declares.

    Raises:
        SignatureRejected: ``no_key``: it is registered for another, or does not fit.
    """
    if key.public_key is None or key.algorithm != algorithm.value:
        raise SignatureRejected(Step.NO_KEY)
    try:
        return VerificationKey(key.key_id, algorithm, key.public_key)
    except ConfigurationError as error:
        raise SignatureRejected(Step.NO_KEY) from error


def named(keys: Sequence[TransportKey], key_id: str, now: datetime) -> TransportKey:
    """The key that the request names.

    Raises:
        SignatureRejected: ``no_key``.
    """
    for key in keys:
        if key.key_id == key_id and key.valid_at(now):
            return key
    raise SignatureRejected(Step.NO_KEY)


def fresh(text: object, form: TimeFormat, now: datetime, tolerance_seconds: int) -> datetime:
    """The signed time, if it lies within the window.

    Raises:
        SignatureRejected: ``malformed`` or ``timestamp``.
    """
    try:
        at = parse_moment(text, form)
    except ValueError as error:
        raise SignatureRejected(Step.MALFORMED) from error
    freshness.check(at, now=now, tolerance_seconds=tolerance_seconds)
    return at


@dataclass(frozen=True, slots=True)
class JsonBody:
    """The message is the body.

    Attributes:
        hidden: what stands in it and is no part of the message: a secret.
    """

    charset: str
    hidden: str = ""

    def message(self, callback: Callback) -> Mapping[str, Any]:
        """The body's object. Raises AdapterError."""
        message = body.json_object(callback.body, self.charset)
        return places.left(message, [self.hidden]) if self.hidden else message


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Standard Webhooks 1.0, ``v1`` or ``v1a``, under the platform's own header names."""

    id_header: str
    timestamp_header: str
    signature_header: str
    tolerance_seconds: int

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """Any one key is enough; the message id is signed, and stays the same when it is sent again."""
        message_id = callback.headers.one(self.id_header)
        timestamp = callback.headers.one(self.timestamp_header)
        signatures = callback.headers.one(self.signature_header)
        rejection = SignatureRejected(Step.NO_KEY)
        # One key at a time, so that the delivery can name the key that proved it.
        for key in keys:
            if not key.valid_at(now):
                continue
            public = key.public_key
            try:
                signed_at = webhooks.verify(
                    message_id=message_id,
                    timestamp=timestamp,
                    signatures=signatures,
                    body=callback.body,
                    secrets=() if key.secret is None else (key.secret,),
                    public_keys=(public,) if isinstance(public, Ed25519PublicKey) else (),
                    now=now,
                    tolerance_seconds=self.tolerance_seconds,
                )
            except SignatureRejected as error:
                rejection = error
                continue
            return Proof(key.key_id, signed_at, signatures.encode(), message_id)
        raise rejection


def _holder(given: str, keys: Sequence[TransportKey], callback: Callback, now: datetime) -> Proof:
    """Who knows the secret. Every key is compared, so that the time does not say which it was."""
    if _SECRET.fullmatch(given) is None:
        raise SignatureRejected(Step.MALFORMED)
    known = list(shared(keys, now))
    if not known:
        raise SignatureRejected(Step.NO_KEY)
    holders = [(key, secret) for key, secret in known if hmac.equal(secret, given.encode("ascii"))]
    if not holders:
        raise SignatureRejected(Step.SIGNATURE)
    key, secret = holders[0]
    return Proof(key.key_id, callback.received_at, secret)


@dataclass(frozen=True, slots=True)
class SecretInBody:
    """The secret itself stands in the JSON body. Nothing is signed: only TLS keeps the body whole."""

    secret: str
    charset: str

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The secret is the registered one; nothing else of the body is looked at."""
        try:
            given = places.value(body.json_object(callback.body, self.charset), self.secret)
        except AdapterError as error:
            raise SignatureRejected(Step.MALFORMED) from error
        return _holder(given if isinstance(given, str) else "", keys, callback, now)


@dataclass(frozen=True, slots=True)
class SecretInHeader:
    """The secret itself stands in a header, behind a fixed word or none. As for ``SecretInBody``."""

    header: str
    prefix: str

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The secret is the registered one."""
        value = callback.headers.one(self.header)
        if not value.startswith(self.prefix):
            raise SignatureRejected(Step.MALFORMED)
        return _holder(value.removeprefix(self.prefix), keys, callback, now)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token of our own token endpoint, which was checked when the request came in."""

    def prove(self, callback: Callback, _keys: Sequence[TransportKey], _now: datetime) -> Proof:
        """The token was given to a client of this platform."""
        bearer = callback.bearer
        if bearer is None:
            raise SignatureRejected(Step.NO_KEY)
        return Proof(bearer.client_id, callback.received_at, bearer.token_id.encode())


@dataclass(frozen=True, slots=True)
class RawRsaQuery:
    """Time, signature and key in the query; a raw RSA operation over body and time (``raw_rsa``)."""

    timestamp_name: str
    signature_name: str
    key_name: str
    other_names: frozenset[str]
    tolerance_seconds: int

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The key that the query names signed body and time."""
        given = form_parameters(callback.query.encode("utf-8", "surrogatepass"))
        query = dict(given)
        needed = {self.timestamp_name, self.signature_name, self.key_name}
        if len(query) != len(given) or not needed <= query.keys() <= needed | self.other_names:
            raise SignatureRejected(Step.MALFORMED)
        key = named(keys, query[self.key_name], now)
        if key.algorithm != _RAW_RSA or not isinstance(key.public_key, RSAPublicKey):
            raise SignatureRejected(Step.NO_KEY)
        signature = query[self.signature_name]
        signed_at = raw_rsa.verify(
            body=callback.body,
            timestamp=query[self.timestamp_name],
            signature_hex=signature,
            public_key=key.public_key,
            now=now,
            tolerance_seconds=self.tolerance_seconds,
        )
        return Proof(key.key_id, signed_at, signature.encode())


@dataclass(frozen=True, slots=True)
class SignedToken:
    """The body is a compact JWS, or an object with one, by the platform's own transport key.

    Attributes:
        typ: what its header says it is.
        member: where the token stands in a JSON body; empty where it is the body.
        time: where its payload says when it was signed.
    """

    typ: str
    member: str
    time: str
    time_format: TimeFormat
    tolerance_seconds: int

    def prove(self, callback: Callback, keys: Sequence[TransportKey], now: datetime) -> Proof:
        """The key that the token names signed it, and lately."""
        try:
            token = jws.parse_compact(self._token(callback), max_bytes=MAX_TOKEN_BYTES)
            said = body.json_object(token.payload, "utf-8")
        except AdapterError as error:
            raise SignatureRejected(Step.MALFORMED) from error
        if token.typ != self.typ or token.kid is None:
            raise SignatureRejected(Step.HEADER_REFUSED)
        key = named(keys, token.kid, now)
        algorithm = _token_algorithm(key)
        signed_at = fresh(places.value(said, self.time), self.time_format, now, self.tolerance_seconds)
        jws.verify(token, verification_key(key, algorithm))
        return Proof(key.key_id, signed_at, token.signature)

    def message(self, callback: Callback) -> Mapping[str, Any]:
        """The token's payload. Raises AdapterError."""
        try:
            token = jws.parse_compact(self._token(callback), max_bytes=MAX_TOKEN_BYTES)
        except SignatureRejected as error:
            raise AdapterError(detail="the body is not a token") from error
        return body.json_object(token.payload, "utf-8")

    def _token(self, callback: Callback) -> str:
        if not self.member:
            return callback.body.decode("latin-1")
        found = places.value(body.json_object(callback.body, "utf-8"), self.member)
        if not isinstance(found, str):
            raise AdapterError(detail="the body holds no token")
        return found


def _token_algorithm(key: TransportKey) -> Algorithm:
    """What the key is registered for, if tokens may be signed by it."""
    for algorithm in jws.REGISTERABLE:
        if key.algorithm == algorithm.value:
            return algorithm
    raise SignatureRejected(Step.NO_KEY)
