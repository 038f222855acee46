"""How each platform sends, written without the code under test: ``SENDERS`` is the table.

A platform whose profile knows several schemes has several senders. Keys are numbered: 0 is registered first,
1 is its successor, and so on; equal numbers give equal keys.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from tests import certificates as made
from tests.platforms.places import Attribute, Header, Place
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.delivery import Callback, Headers, PlatformSlug
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.transport import TransportKey

START: Final = datetime(2021, 1, 1, tzinfo=UTC)
"""When every key begins to be valid."""

Pairs = tuple[tuple[str, str], ...]
Draw = st.DataObject


@dataclass(frozen=True, slots=True)
class Profile:
    """What a platform writes, whichever way it is sent.

    Attributes:
        render: a payload of the fixtures, its certificates made, as a body; defined for any JSON value.
        certify: the claims of a fixture's ``{"sign": …}`` as what stands for them in the payload.
        trust: a register in which an issuer's certificates by ``certify`` verify.
        documents: files by id that certificates name and no delivery of the fixture brings.
    """

    render: Callable[[Any], bytes]
    certify: Callable[[Any], Any]
    trust: Callable[[str], Register]
    documents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sender:
    """One way in which one platform proves its deliveries.

    Attributes:
        slug: the platform.
        scheme: tells the ways of one platform apart.
        profile: what it writes.
        send: a genuine request from the number of a key, body, delivery id and moment of signing; where the
            delivery's id is in the body, ``delivery_id`` plays no part.
        register: the registered half of the key of a number; None where an access token is the proof.
        tolerance: greatest distance of the signed time from now, the boundary included; None without one.
        required: where authenticity depends on exactly one value.
        timestamp: which of them holds the time.
        signature: which of them holds the signature.
        tamper: the request with one thing changed that is signed; without it, see ``changed``.
        covered: what else is signed, besides ``required``; with ``raw`` the body too.
        raw: whether the raw bytes of the body are what is signed.
        joins: whether the signatures by several keys can stand in one request.
    """

    slug: str
    scheme: str
    profile: Profile
    send: Callable[[int, bytes, str, datetime], Callback]
    register: Callable[[int], TransportKey] | None
    tolerance: timedelta | None
    required: tuple[Place, ...] = ()
    timestamp: Place | None = None
    signature: Place | None = None
    tamper: Callable[[Draw, Callback], Callback] | None = None
    covered: tuple[Place, ...] = ()
    raw: bool = True
    joins: bool = False

    def key(self, number: int) -> TransportKey:
        """The registered half of the key of a number."""
        assert self.register is not None
        return self.register(number)

    def keys(self, *numbers: int) -> tuple[TransportKey, ...]:
        """What the register holds for the platform; nothing where an access token is the proof."""
        return () if self.register is None else tuple(self.register(number) for number in numbers)

    def callback(self, body: bytes, delivery_id: str, signed_at: datetime, *, key: int = 0) -> Callback:
        """A genuine request."""
        return self.send(key, body, delivery_id, signed_at)

    def changed(self, data: Draw, request: Callback) -> Callback:
        """The request with one byte changed of what is signed."""
        if self.tamper is not None:
            return self.tamper(data, request)
        place = data.draw(st.sampled_from([*self.required, *self.covered, *([None] if self.raw else [])]))
        if place is None:
            at, change = data.draw(st.integers(0, len(request.body) - 1)), data.draw(st.integers(1, 255))
            body = request.body[:at] + bytes([request.body[at] ^ change]) + request.body[at + 1 :]
            return with_body(request, body)
        value = place.get(request)
        at = data.draw(st.integers(0, len(value) - 1))
        other = data.draw(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=value[at]))
        return place.put(request, value[:at] + other + value[at + 1 :])


def request(
    slug: str,
    body: bytes,
    headers: Pairs,
    at: datetime,
    *,
    content_type: str = "application/json",
    method: str = "POST",
    rest: str = "",
    query: str = "",
) -> Callback:
    """A request as the first step hands it on."""
    return Callback(
        platform=PlatformSlug(slug),
        method=method,
        path=f"/v1/callbacks/{slug}{rest}",
        headers=Headers((("content-type", content_type), *headers)),
        body=body,
        received_at=at,
        request_id="req-1",
        query=query,
    )


def with_body(callback: Callback, body: bytes) -> Callback:
    """The same request with another body."""
    return dataclasses.replace(callback, body=body)


def encode(value: Any) -> bytes:
    """A payload as JSON."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


KID: Final = "certificates-2021"
CERTIFICATE_KEY: Final = Ed25519PrivateKey.generate()


def compact_jws(claims: Any, *, kid: str = KID, key: Ed25519PrivateKey = CERTIFICATE_KEY) -> str:
    """A compact JWS over claims, by EdDSA (RFC 7515, RFC 8037)."""
    return _jws({"alg": "EdDSA", "kid": kid, "typ": "JWT"}, claims, key.sign)


def _jws(header: Any, claims: Any, sign: Callable[[bytes], bytes]) -> str:
    parts = [_base64url(encode(header)), _base64url(encode(claims))]
    return ".".join([*parts, _base64url(sign(".".join(parts).encode("ascii")))])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def trust(slug: str, issuer: str, *keys: IssuerKey, **others: Any) -> Register:
    """A register with one issuer, carried by one platform."""
    named = {key.key.kid: key for key in keys}
    carried = frozenset({PlatformSlug(slug)})
    return Register("0" * 64, {}, {issuer: Issuer(issuer, "all", carried, named, **others)})


def trusting_jws(slug: str) -> Callable[[str], Register]:
    """The register for certificates by ``compact_jws``."""
    public = VerificationKey(KID, Algorithm.EDDSA, CERTIFICATE_KEY.public_key())
    return lambda issuer: trust(slug, issuer, IssuerKey(public, KeyState.ACTIVE, START))


AUTHORITY: Final = made.root()
SIGNER: Final = made.leaf(AUTHORITY, kind=made.Kind.ED25519)
REVOCATIONS: Final = made.crl(AUTHORITY, next_update=made.NOT_AFTER)


def chained_jws(claims: Any) -> str:
    """The same with a certificate chain to ``AUTHORITY`` instead of a key's id (RFC 7515, section 4.1.6)."""
    header = {"alg": "EdDSA", "typ": "JWT", "x5c": [base64.b64encode(SIGNER.der).decode("ascii")]}
    return _jws(header, claims, SIGNER.key.sign)


def trusting_chains(slug: str) -> Callable[[str], Register]:
    """The register for certificates by ``chained_jws``."""
    anchor = IssuerAnchor(
        "authority", AUTHORITY.der, Algorithm.EDDSA, KeyState.ACTIVE, START, crls=(REVOCATIONS,)
    )
    return lambda issuer: trust(slug, issuer, anchors=(anchor,))


def secret(label: str, number: int) -> bytes:
    """A secret for tests: 32 bytes that look like any others."""
    return hashlib.sha256(f"{label} {number}".encode()).digest()


CVT: Final = "china_vocational_training"
XZY: Final = "new_occupation"


def _webhook(body: bytes, delivery_id: str, at: datetime, signature: str) -> Callback:
    headers = (
        ("webhook-id", delivery_id),
        ("webhook-timestamp", str(int(at.timestamp()))),
        ("webhook-signature", signature),
    )
    return request(CVT, body, headers, at)


def _cvt_v1_key(number: int) -> TransportKey:
    return TransportKey(f"cvt-hmac-{number}", START, secret=secret("cvt", number))


def _cvt_v1(number: int, body: bytes, delivery_id: str, at: datetime) -> Callback:
    """By the specification's own Python library."""
    # The library takes text only; a body that is none is signed by hand.
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        content = f"{delivery_id}.{int(at.timestamp())}.".encode("ascii") + body
        digest = hmac.new(secret("cvt", number), content, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode('ascii')}"
    else:
        signature = Webhook(secret("cvt", number)).sign(msg_id=delivery_id, timestamp=at, data=text)
    return _webhook(body, delivery_id, at, signature)


def _cvt_private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret("cvt-ed25519", number))


def _cvt_v1a_key(number: int) -> TransportKey:
    return TransportKey(f"cvt-ed25519-{number}", START, public_key=_cvt_private(number).public_key())


def _cvt_v1a(number: int, body: bytes, delivery_id: str, at: datetime) -> Callback:
    signed = _cvt_private(number).sign(f"{delivery_id}.{int(at.timestamp())}.".encode("ascii") + body)
    return _webhook(body, delivery_id, at, f"v1a,{base64.b64encode(signed).decode('ascii')}")


def _xzy_key(number: int) -> TransportKey:
    return TransportKey(f"xzy-{number}", START, secret=secret("xzy", number))


def _xzy(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    seconds = int(at.timestamp())
    lines = ("POST", f"/v1/callbacks/{XZY}", str(seconds), hashlib.sha256(body).hexdigest())
    signed = hmac.new(secret("xzy", number), "\n".join(lines).encode("ascii"), hashlib.sha256)
    headers = (
        ("x-xzy-appid", f"xzy-{number}"),
        ("x-xzy-timestamp", str(seconds)),
        ("x-xzy-nonce", "6f1c"),
        ("x-xzy-signature", signed.hexdigest()),
    )
    return request(XZY, body, headers, at)


_CVT_PROFILE: Final = Profile(encode, compact_jws, trusting_jws(CVT))
_WEBHOOK: Final = (Header("webhook-id"), Header("webhook-timestamp"), Header("webhook-signature"))

# Here, because it takes its types from above.
from tests.platforms.sending_declared import DECLARED  # noqa: E402
from tests.platforms.sending_employment_training import EMPLOYMENT_TRAINING  # noqa: E402
from tests.platforms.sending_mohrss_training import MOHRSS_TRAINING  # noqa: E402
from tests.platforms.sending_national_personnel import NATIONAL_PERSONNEL  # noqa: E402
from tests.platforms.sending_skill_master import SKILL_MASTER  # noqa: E402

SENDERS: Final[tuple[Sender, ...]] = (
    Sender(
        slug=CVT,
        scheme="v1",
        profile=_CVT_PROFILE,
        send=_cvt_v1,
        register=_cvt_v1_key,
        tolerance=timedelta(seconds=300),
        required=_WEBHOOK,
        timestamp=_WEBHOOK[1],
        signature=_WEBHOOK[2],
        joins=True,
    ),
    Sender(
        slug=CVT,
        scheme="v1a",
        profile=_CVT_PROFILE,
        send=_cvt_v1a,
        register=_cvt_v1a_key,
        tolerance=timedelta(seconds=300),
        required=_WEBHOOK,
        timestamp=_WEBHOOK[1],
        signature=_WEBHOOK[2],
        joins=True,
    ),
    Sender(
        slug=XZY,
        scheme="gateway",
        profile=Profile(encode, chained_jws, trusting_chains(XZY)),
        send=_xzy,
        register=_xzy_key,
        tolerance=timedelta(seconds=90),
        required=(Header("x-xzy-appid"), Header("x-xzy-timestamp"), Header("x-xzy-signature")),
        timestamp=Header("x-xzy-timestamp"),
        signature=Header("x-xzy-signature"),
        covered=(Attribute("method"), Attribute("path")),
    ),
    *EMPLOYMENT_TRAINING,
    *DECLARED,
    *NATIONAL_PERSONNEL,
    *SKILL_MASTER,
    *MOHRSS_TRAINING,
)
