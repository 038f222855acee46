"""How the senders of the example profiles send."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

from tests.platforms.places import Header
from tests.platforms.senders import (
    START,
    Profile,
    Sender,
    compact_jws,
    encode,
    request,
    secret,
    trusting_jws,
)
from verifier.model.delivery import Callback
from verifier.signatures.transport import TransportKey

MOODLE: Final = "moodle_style"
LEARNING_360: Final = "learning_360_style"


def _login(number: int) -> str:
    """User name and password in HTTP's basic form (RFC 7617)."""
    password = secret(MOODLE, number).hex()
    return base64.b64encode(f"moodle:{password}".encode()).decode("ascii")


def _moodle_key(number: int) -> TransportKey:
    return TransportKey(f"moodle-{number}", START, secret=_login(number).encode())


def _moodle(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    return request(MOODLE, body, (("authorization", f"Basic {_login(number)}"),), at)


def _learning_360_key(number: int) -> TransportKey:
    return TransportKey(f"360-{number}", START, secret=secret(LEARNING_360, number))


def _learning_360(number: int, body: bytes, delivery_id: str, at: datetime) -> Callback:
    seconds = int(at.timestamp())
    content = f"{delivery_id}.{seconds}.".encode("ascii") + body
    digest = hmac.new(secret(LEARNING_360, number), content, hashlib.sha256).digest()
    headers = (
        ("webhook-id", delivery_id),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", f"v1,{base64.b64encode(digest).decode('ascii')}"),
    )
    return request(LEARNING_360, body, headers, at)


_WEBHOOK: Final = (Header("webhook-id"), Header("webhook-timestamp"), Header("webhook-signature"))

DECLARED: Final = (
    Sender(
        slug=MOODLE,
        scheme="basic",
        profile=Profile(encode, compact_jws, trusting_jws(MOODLE)),
        send=_moodle,
        register=_moodle_key,
        tolerance=None,
        required=(Header("authorization"),),
        raw=False,
    ),
    Sender(
        slug=LEARNING_360,
        scheme="v1",
        profile=Profile(encode, compact_jws, trusting_jws(LEARNING_360)),
        send=_learning_360,
        register=_learning_360_key,
        tolerance=timedelta(seconds=300),
        required=_WEBHOOK,
        timestamp=_WEBHOOK[1],
        signature=_WEBHOOK[2],
        joins=True,
    ),
)
