"""How each platform signs, written without the code under test: ``SENDERS`` is the table.

A platform whose profile knows several schemes has several senders. Keys are numbered: 0 is registered first,
1 is its successor, and so on; equal numbers give equal keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import Webhook

from verifier.model.delivery import Callback, Headers, PlatformSlug
from verifier.model.trust import TransportKey

START: Final = datetime(2021, 1, 1, tzinfo=UTC)
"""When every key begins to be valid."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sender:
    """One way in which one platform signs.

    Attributes:
        slug: the platform.
        scheme: tells the ways of one platform apart.
        tolerance: greatest distance of the signed time from now, the boundary included.
        required: the headers on which authenticity depends.
        covered: what the signature covers: ``body``, ``method``, ``path`` or a header.
        register: the registered half of the key of a number.
        sign: headers from the number of a key, body, delivery id, Unix seconds and path.
        joins: whether the signatures by several keys can stand in one request.
    """

    slug: str
    scheme: str
    tolerance: timedelta
    required: tuple[str, ...]
    covered: tuple[str, ...]
    register: Callable[[int], TransportKey]
    sign: Callable[[int, bytes, str, int, str], Pairs]
    joins: bool = False

    @property
    def path(self) -> str:
        return f"/v1/callbacks/{self.slug}"

    def callback(self, body: bytes, delivery_id: str, signed_at: datetime, *, key: int = 0) -> Callback:
        """A genuine request; where the delivery's id is in the body, ``delivery_id`` plays no part."""
        pairs = self.sign(key, body, delivery_id, int(signed_at.timestamp()), self.path)
        return Callback(
            platform=PlatformSlug(self.slug),
            method="POST",
            path=self.path,
            headers=Headers((("content-type", "application/json"), *pairs)),
            body=body,
            received_at=signed_at,
            request_id="req-1",
        )


def secret(label: str, number: int) -> bytes:
    """A secret for tests: 32 bytes that look like any others."""
    return hashlib.sha256(f"{label} {number}".encode()).digest()


def _webhook_headers(delivery_id: str, seconds: int, signature: str) -> Pairs:
    return (
        ("webhook-id", delivery_id),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", signature),
    )


def _cvt_v1_key(number: int) -> TransportKey:
    return TransportKey(f"cvt-hmac-{number}", START, secret=secret("cvt", number))


def _cvt_v1(number: int, body: bytes, delivery_id: str, seconds: int, _path: str) -> Pairs:
    """By the specification's own Python library."""
    # The library takes text only; a body that is none is signed by hand.
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        content = f"{delivery_id}.{seconds}.".encode("ascii") + body
        digest = hmac.new(secret("cvt", number), content, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode('ascii')}"
    else:
        at = datetime.fromtimestamp(seconds, UTC)
        signature = Webhook(secret("cvt", number)).sign(msg_id=delivery_id, timestamp=at, data=text)
    return _webhook_headers(delivery_id, seconds, signature)


def _cvt_private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret("cvt-ed25519", number))


def _cvt_v1a_key(number: int) -> TransportKey:
    return TransportKey(f"cvt-ed25519-{number}", START, public_key=_cvt_private(number).public_key())


def _cvt_v1a(number: int, body: bytes, delivery_id: str, seconds: int, _path: str) -> Pairs:
    signed = _cvt_private(number).sign(f"{delivery_id}.{seconds}.".encode("ascii") + body)
    return _webhook_headers(delivery_id, seconds, f"v1a,{base64.b64encode(signed).decode('ascii')}")


def _xzy_key(number: int) -> TransportKey:
    return TransportKey(f"xzy-{number}", START, secret=secret("xzy", number))


def _xzy(number: int, body: bytes, _delivery_id: str, seconds: int, path: str) -> Pairs:
    lines = ("POST", path, str(seconds), hashlib.sha256(body).hexdigest())
    signed = hmac.new(secret("xzy", number), "\n".join(lines).encode("ascii"), hashlib.sha256)
    return (
        ("x-xzy-appid", f"xzy-{number}"),
        ("x-xzy-timestamp", str(seconds)),
        ("x-xzy-nonce", "6f1c"),
        ("x-xzy-signature", signed.hexdigest()),
    )


_WEBHOOK_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")

SENDERS: Final[tuple[Sender, ...]] = (
    Sender(
        slug="china_vocational_training",
        scheme="v1",
        tolerance=timedelta(seconds=300),
        required=_WEBHOOK_HEADERS,
        covered=("body", "webhook-id", "webhook-timestamp"),
        register=_cvt_v1_key,
        sign=_cvt_v1,
        joins=True,
    ),
    Sender(
        slug="china_vocational_training",
        scheme="v1a",
        tolerance=timedelta(seconds=300),
        required=_WEBHOOK_HEADERS,
        covered=("body", "webhook-id", "webhook-timestamp"),
        register=_cvt_v1a_key,
        sign=_cvt_v1a,
        joins=True,
    ),
    Sender(
        slug="new_occupation",
        scheme="gateway",
        tolerance=timedelta(seconds=90),
        required=("x-xzy-appid", "x-xzy-timestamp", "x-xzy-signature"),
        covered=("body", "method", "path", "x-xzy-timestamp"),
        register=_xzy_key,
        sign=_xzy,
    ),
)
